//! What stands behind the gates, shared by all plugins of a manager.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use arc_swap::{ArcSwap, ArcSwapOption};
use serde_json::Value;

use super::sql::{Dialect, FactsCache, SqlProfile};
use crate::clock::Clock;
use crate::error::{Error, ErrorCode, Result};
use crate::host::log::LogRing;
use crate::host::request::Statement;
use crate::host::{EventSink, Function, HostCall, PluginCaller, Provider, Reply, Request, Service};
use crate::plugin::call::in_callback;
use crate::plugin::name::shorten;
use crate::policy::{Access, PermissionType};

/// Who answers a service: the host's callback, else the built-in provider, else nobody.
struct Seat {
    current: ArcSwapOption<Box<dyn Provider>>,
    built_in: Option<Arc<Box<dyn Provider>>>,
}

/// Providers, declared functions, logs and events of a manager.
pub struct Services {
    seats: [Seat; Service::PROVIDED.len()],
    custom: ArcSwap<HashMap<String, Arc<CustomFunction>>>,
    declaring: Mutex<()>,
    plugins: OnceLock<Weak<dyn PluginCaller>>,
    /// Newest log lines of all plugins.
    pub logs: LogRing,
    /// Where events go.
    pub events: Arc<dyn EventSink>,
    /// Facts about statements that were seen before.
    pub facts: FactsCache,
    /// Dialect of the database.
    pub profile: SqlProfile,
    /// Time for rate limits.
    pub clock: Arc<dyn Clock>,
    /// Statements for the host's own PostgreSQL or MySQL name the plugin that asks.
    pub stamp_caller: bool,
}

/// A provider of the host: calls that it makes of plugins are nested in the call it serves.
struct Foreign {
    provider: Box<dyn Provider>,
    /// Statements name the plugin in a comment.
    stamp: bool,
}

impl Provider for Foreign {
    fn serve(&self, call: &HostCall<'_>) -> Result<Reply> {
        let around = call.context.nested(call.plugin, call.context.deadline);
        match self.stamp.then(|| stamped(call)).flatten() {
            Some(request) => in_callback(around, || self.provider.serve(&HostCall { request: &request, ..*call })),
            None => in_callback(around, || self.provider.serve(call)),
        }
    }
}

/// The request with a statement that ends in a comment with the caller's name, for the logs and views of a database. The
/// text that was checked stays as it is, and so does what is remembered of it; names of plugins can't end a comment.
fn stamped(call: &HostCall<'_>) -> Option<Request<'static>> {
    let stamp = |statement: &Statement| Statement {
        sql: format!("{} /* goatflow-plugin: {} */", statement.sql, call.plugin).into(),
        ..statement.clone()
    };
    match call.request {
        Request::DbQuery(statement) => Some(Request::DbQuery(stamp(statement))),
        Request::DbExec(statement) => Some(Request::DbExec(stamp(statement))),
        _ => None,
    }
}

/// A function that the host offers beyond the dispatch table.
pub struct CustomFunction {
    /// Name that plugins call.
    pub name: String,
    /// Permission it needs.
    pub permission: PermissionType,
    /// Access it needs.
    pub access: Access,
    /// JSON pointer into the arguments to what a scope is matched against; `None` = the permission alone counts.
    pub target: Option<String>,
    /// Who answers.
    pub provider: Box<dyn Provider>,
}

impl Services {
    /// Services with these built-in providers.
    #[must_use]
    pub fn new(
        mut built_in: HashMap<Service, Box<dyn Provider>>,
        profile: SqlProfile,
        logs: LogRing,
        events: Arc<dyn EventSink>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let seats = Service::PROVIDED.map(|service| {
            let built_in = built_in.remove(&service).map(Arc::new);
            Seat { current: ArcSwapOption::new(built_in.clone()), built_in }
        });
        Self {
            seats,
            custom: ArcSwap::default(),
            declaring: Mutex::new(()),
            plugins: OnceLock::new(),
            logs,
            events,
            facts: FactsCache::default(),
            profile,
            clock,
            stamp_caller: false,
        }
    }

    /// Lets `provider` answer a service from now on; `None` brings the built-in one back.
    pub fn provide(&self, service: Service, provider: Option<Box<dyn Provider>>) {
        if let Some(seat) = self.seat(service) {
            // SQLite shows nobody the text of a statement.
            let stamp = self.stamp_caller && service == Service::Database && self.profile.dialect != Dialect::Sqlite;
            let foreign = provider.map(|provider| Arc::new(Box::new(Foreign { provider, stamp }) as Box<dyn Provider>));
            seat.current.store(foreign.or_else(|| seat.built_in.clone()));
        }
    }

    /// Who answers a service now.
    pub fn provider(&self, service: Service) -> Result<Arc<Box<dyn Provider>>> {
        self.optional_provider(service).ok_or_else(|| {
            Error::new(
                ErrorCode::HostNoProvider,
                format!(
                    "no provider configured for `{0}` (the host configures one or provides a callback for `{0}`)",
                    service.name()
                ),
            )
        })
    }

    /// Who answers a service that can do without.
    pub fn optional_provider(&self, service: Service) -> Option<Arc<Box<dyn Provider>>> {
        self.seat(service)?.current.load_full()
    }

    /// Offers a further function to plugins.
    pub fn declare(&self, function: CustomFunction) -> Result<()> {
        let valid = !function.name.is_empty()
            && function.name.len() <= 64
            && function.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !valid || Function::from_name(&function.name).is_some() {
            return Err(Error::new(
                ErrorCode::ArgumentInvalid,
                format!(
                    "a host function can't be called `{}` (letters, digits and `_`, not a built-in name)",
                    function.name
                ),
            ));
        }
        if !matches!(function.permission, PermissionType::Custom(_)) || function.permission.name().is_empty() {
            return Err(Error::new(
                ErrorCode::ArgumentInvalid,
                format!(
                    "`{}` can't be the permission of a declared function (choose a name of its own)",
                    function.permission
                ),
            ));
        }
        let function =
            CustomFunction { provider: Box::new(Foreign { provider: function.provider, stamp: false }), ..function };
        let _one_at_a_time = self.declaring.lock().unwrap_or_else(PoisonError::into_inner);
        let mut functions = HashMap::clone(&self.custom.load());
        functions.insert(function.name.clone(), Arc::new(function));
        self.custom.store(Arc::new(functions));
        Ok(())
    }

    /// The declared function of that name.
    pub fn custom(&self, name: &str) -> Option<Arc<CustomFunction>> {
        self.custom.load().get(name).cloned()
    }

    /// The declared function of that name; refused when there is none.
    pub fn custom_or_unknown(&self, name: &str) -> Result<Arc<CustomFunction>> {
        self.custom(name).ok_or_else(|| {
            let name = shorten(name, 80);
            Error::new(ErrorCode::PolicyFunctionUnknown, format!("unknown host function: {name}"))
                .with_detail("target", name)
        })
    }

    /// Names, permissions and targets of the declared functions.
    #[must_use]
    pub fn custom_functions(&self) -> Value {
        let functions = self.custom.load();
        let mut names: Vec<&String> = functions.keys().collect();
        names.sort();
        names.into_iter().map(|name| Value::from(name.as_str())).collect()
    }

    /// Tells who calls plugins; once.
    pub fn connect_plugins(&self, plugins: Weak<dyn PluginCaller>) {
        let _ = self.plugins.set(plugins);
    }

    /// Who calls plugins.
    pub fn plugins(&self) -> Result<Arc<dyn PluginCaller>> {
        self.plugins
            .get()
            .and_then(Weak::upgrade)
            .ok_or_else(|| Error::new(ErrorCode::LifecycleShutDown, "the manager was shut down"))
    }

    fn seat(&self, service: Service) -> Option<&Seat> {
        let position = Service::PROVIDED.iter().position(|provided| *provided == service)?;
        self.seats.get(position)
    }
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services").finish_non_exhaustive()
    }
}
