//! The sandbox: a host API in front of the host API. Every call of a plugin passes the same gates in the same order:
//! identity → depth → permission → arguments and scope → quota → account → provider.

pub mod denials;
pub mod dry_run;
pub mod live;
pub mod quota;
pub mod services;
pub mod sql;
pub mod usage;

mod explain;
mod gates;
mod limits;
mod observe;
mod outbound;

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::clock;
use crate::error::{Error, Result};
use crate::host::{Event, Function, HostApi, HostCall, LogLevel, LogRecord, Reply, Request, Service, provider};
use crate::plugin::CallContext;
use crate::plugin::name::shorten;
use crate::policy::{Policy, lacks_grant};

use self::observe::Judged;

pub use denials::Denials;
pub use limits::RateLimits;
pub use live::{InForce, LivePolicy};
pub use services::{CustomFunction, Services};
pub use usage::Usage;

/// The host as one plugin sees it. Belongs to the plugin's name: it outlives reloads, and so do its limits.
pub struct Sandbox {
    plugin: Arc<str>,
    services: Arc<Services>,
    /// Rules in force; shared with requests that take time.
    pub policy: Arc<LivePolicy>,
    /// What the plugin did.
    pub usage: Usage,
    /// What it was refused.
    pub denials: Denials,
    /// What it was let do while it was observed, that its policy does not allow.
    pub observed: Denials,
    rates: RateLimits,
}

impl Sandbox {
    /// A sandbox for the plugin of this name.
    #[must_use]
    pub fn new(plugin: Arc<str>, policy: LivePolicy, services: Arc<Services>) -> Self {
        Self {
            plugin,
            services,
            policy: Arc::new(policy),
            usage: Usage::default(),
            denials: Denials::default(),
            observed: Denials::default(),
            rates: RateLimits::default(),
        }
    }

    fn pass(&self, context: &CallContext, name: &str, arguments: &[u8]) -> Result<Reply> {
        let in_force = self.policy.snapshot();
        let policy = &in_force.policy;
        policy.check_not_blocked()?;
        match Function::from_name(name) {
            Some(function) => self.pass_function(policy, context, function, arguments),
            None => self.pass_custom(policy, context, name, arguments),
        }
    }

    fn pass_function(
        &self,
        policy: &Policy,
        context: &CallContext,
        function: Function,
        arguments: &[u8],
    ) -> Result<Reply> {
        let Judged { request, lacking } = self.judge(policy, context, function, arguments)?;
        self.rates.take(policy.limits(), function, request.weight(), self.services.clock.monotonic())?;
        if let Some(lacking) = lacking {
            self.observe(context, function.name(), &lacking);
        }
        self.usage.count(Some(function), self.now_ms());
        self.serve(context, function, &request)
    }

    fn pass_custom(&self, policy: &Policy, context: &CallContext, name: &str, arguments: &[u8]) -> Result<Reply> {
        let function = self.services.custom_or_unknown(name)?;
        let judged = gates::admit_custom(policy, &function, arguments);
        let request = match (judged, policy.observing(self.services.clock.wall())) {
            (Err(lacking), Some(wider)) if lacks_grant(lacking.code()) => {
                let request = gates::admit_custom(wider, &function, arguments)?;
                self.observe(context, &function.name, &lacking);
                request
            }
            (judged, _) => judged?,
        };
        self.usage.count(None, self.now_ms());
        function.provider.serve(&self.host_call(context, Service::Custom, &function.name, &request))
    }

    fn serve(&self, context: &CallContext, function: Function, request: &Request<'_>) -> Result<Reply> {
        let call = self.host_call(context, function.service(), function.name(), request);
        match request {
            Request::PluginCall { plugin, function, arguments } => {
                self.call_plugin(context, plugin, function, arguments)
            }
            Request::Log { level, message, fields } => {
                self.write_log(Some(context), *level, message, fields.clone());
                Ok(provider::OK)
            }
            Request::PublishEvent { channel, event_type, data } => self.publish(&call, channel, event_type, data),
            _ => self.services.provider(call.service)?.serve(&call),
        }
    }

    fn host_call<'a>(
        &'a self,
        context: &'a CallContext,
        service: Service,
        function: &'a str,
        request: &'a Request<'a>,
    ) -> HostCall<'a> {
        HostCall { plugin: &self.plugin, context, service, function, request }
    }

    fn call_plugin(&self, context: &CallContext, plugin: &str, function: &str, arguments: &str) -> Result<Reply> {
        let nested = context.nested(&self.plugin, context.deadline);
        let mut answer = Vec::new();
        self.services.plugins()?.call_plugin(&nested, plugin, function, arguments.as_bytes(), &mut |bytes| {
            answer = bytes.to_vec();
            Ok(())
        })?;
        Ok(answer.into())
    }

    /// Events reach those who subscribed, and a host that answers the service itself.
    fn publish(&self, call: &HostCall<'_>, channel: &str, event_type: &str, data: &Value) -> Result<Reply> {
        if self.services.events.wants("published") {
            let event = Event::new("published", &self.plugin)
                .with("channel", channel)
                .with("event_type", event_type)
                .with("data", data.clone());
            self.services.events.emit(event);
        }
        match self.services.optional_provider(Service::Event) {
            Some(provider) => provider.serve(call),
            None => Ok(provider::STATUS_OK),
        }
    }

    fn write_log(&self, context: Option<&CallContext>, level: LogLevel, message: &str, fields: Map<String, Value>) {
        let limit = self.policy.snapshot().policy.limits().log_lines_per_second;
        if !self.rates.take_log_line(limit, self.services.clock.monotonic()) {
            self.usage.count_dropped_log_line();
            return;
        }
        let mut fields = bounded_fields(fields);
        // The host's word, never the plugin's.
        fields.remove("request_id");
        if let Some(request_id) = context.and_then(|context| context.origin.request_id.as_deref()) {
            fields.insert("request_id".into(), request_id.into());
        }
        let record = Arc::new(LogRecord::new(&self.plugin, level, message, fields));
        self.services.logs.push(Arc::clone(&record));
        if self.services.events.wants("log") {
            let event = Event::new("log", &self.plugin).with("record", record.to_json());
            self.services.events.emit(event);
        }
        self.hand_log_to_host(context, &record);
    }

    /// A host that takes log lines itself can't fail a plugin by failing to.
    fn hand_log_to_host(&self, context: Option<&CallContext>, record: &LogRecord) {
        let (Some(provider), Some(context)) = (self.services.optional_provider(Service::Log), context) else { return };
        let request =
            Request::Log { level: record.level, message: record.message.clone(), fields: record.fields.clone() };
        let _ = provider.serve(&self.host_call(context, Service::Log, Function::Log.name(), &request));
    }

    /// Every failure is accounted, every denial remembered; the plugin's author finds both in the log.
    fn account_failure(&self, context: &CallContext, function: &str, error: &Error) {
        let denied = error.code().is_denial();
        self.usage.count_error(denied);
        if denied {
            self.denials.record(function, error, self.services.clock.wall());
            if self.services.events.wants("call.denied") {
                let event = Event::new("call.denied", &self.plugin)
                    .with("function", shorten(function, 80))
                    .with("error", error.to_json());
                self.services.events.emit(event);
            }
        }
        let message = format!("host_call {} failed: {error}", shorten(function, 80));
        let mut fields = Map::new();
        fields.insert("caller".into(), (&*self.plugin).into());
        fields.insert("code".into(), error.code().slug().into());
        self.write_log(Some(context), LogLevel::Error, &message, fields);
    }

    fn now_ms(&self) -> u64 {
        let since = self.services.clock.wall().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |since| clock::saturating_nanos(since) / 1_000_000)
    }
}

/// Fields of a log line that are larger than a message may be are left out.
fn bounded_fields(fields: Map<String, Value>) -> Map<String, Value> {
    let size = Value::Object(fields.clone()).to_string().len();
    if size <= crate::host::log::MAX_MESSAGE_BYTES {
        return fields;
    }
    let mut left_out = Map::new();
    left_out.insert("left_out".into(), json!(format!("{size} bytes of fields")));
    left_out
}

impl HostApi for Sandbox {
    fn call(&self, context: &CallContext, function: &str, arguments: &[u8]) -> Result<Reply> {
        self.pass(context, function, arguments).map_err(|error| {
            let error = if error.code().is_denial() { explain::describe(error, function) } else { error };
            let error = error.with_plugin(&self.plugin);
            self.account_failure(context, function, &error);
            explain::for_guest(error, &self.plugin)
        })
    }

    fn failed(&self, context: &CallContext, function: &str, error: &Error) {
        self.account_failure(context, function, error);
    }

    fn log(&self, context: Option<&CallContext>, level: LogLevel, message: &str) {
        self.write_log(context, level, message, Map::new());
    }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox").field("plugin", &self.plugin).finish_non_exhaustive()
    }
}
