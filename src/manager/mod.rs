//! What a host embeds: loads plugins, calls them, and changes what they may do.

mod anteroom;
pub mod config;
pub mod learning;
mod loading;
#[cfg(native_plugins)]
mod native;
#[cfg(not(native_plugins))]
#[path = "native/unsupported.rs"]
mod native;
mod packages;
mod policies;
mod policy_watch;
mod probing;
mod reports;
mod starting;
mod stopping;
mod swapping;
mod trials;
mod watching;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use serde_json::Value;

use crate::clock::SystemClock;
use crate::error::{Error, ErrorCode, Result};
use crate::host::log::{LogFilter, LogRing};
use crate::host::{Event, LogLevel, LogRecord, Provider, Service};
use crate::lifecycle::events::{HubSink, Subscriber};
use crate::lifecycle::registry::deadline_of;
use crate::lifecycle::slot::shut_down;
use crate::lifecycle::{EventHub, Registry, Slot, operation};
use crate::package::{Gate, Store};
use crate::plugin::call::{around, with_room};
use crate::plugin::{CallContext, Cancellation, MAX_CALL_DEPTH, Origin, ResultSink};
use crate::policy::DefaultRules;
use crate::providers::cache::MemoryCache;
use crate::providers::translations::Translations;
use crate::runtime::wasm::WaitGraph;
use crate::sandbox::{CustomFunction, Services};

use self::policies::Policies;
use self::policy_watch::PolicyWatch;
use self::watching::Watches;

pub use crate::lifecycle::operation::{Done, Outcome};
pub use crate::lifecycle::{Operation, Subscription};
pub use config::Config;
pub use starting::Change;
pub use swapping::ReplaceOptions;

/// Started calls of one process that are served at the same time: each holds a worker thread, all of which are shared.
const PROCESS_WIDTH: u32 = 64;

/// Runs plugins. Thread-safe; share it in an [`Arc`].
pub struct Manager {
    registry: Arc<Registry>,
    services: Arc<Services>,
    hub: Arc<EventHub>,
    policies: Policies,
    /// Looks for changes that others make in the policy store; only where others can.
    watch: OnceLock<PolicyWatch>,
    translations: Arc<Translations>,
    rules: DefaultRules,
    settings: config::Settings,
    gate: Gate,
    packages: Option<Store>,
    graph: Arc<WaitGraph>,
    /// What plugins are loaded from, as far as it is watched.
    watches: Watches,
    /// Held while a plugin is put into or out of service, or its policy is changed.
    changing: Mutex<()>,
    shut_down: AtomicBool,
}

/// How a host wants a call to be made.
#[derive(Debug, Clone, Default)]
pub struct CallOptions {
    /// Longest time for the call, in milliseconds; 0 = the plugin's policy decides. Never longer than the policy's.
    pub timeout_ms: u64,
    /// Refuse the call before it begins where this thread would only wait for a process, and no call is around it.
    pub no_waiting: bool,
    /// Stops the call.
    pub cancellation: Cancellation,
    /// What host callbacks are told.
    pub origin: Origin,
}

/// A function of a plugin, found once. Stays valid over reloads of the plugin.
#[derive(Debug, Clone)]
pub struct Function {
    manager: Arc<Manager>,
    slot: Arc<Slot>,
    name: Arc<str>,
}

impl Manager {
    /// A manager as `config` says.
    pub fn new(config: Config) -> Result<Arc<Self>> {
        let clock = Arc::new(SystemClock);
        let hub = EventHub::new();
        let translations = Arc::new(config.translations());
        let mut providers = config.database_providers()?;
        providers.extend(config.outbound_providers()?);
        providers.insert(
            Service::Cache,
            Box::new(MemoryCache::new(config.cache.max_bytes, Arc::<SystemClock>::clone(&clock))),
        );
        providers.insert(Service::Translate, Box::new(Arc::clone(&translations)));
        let mut services = Services::new(
            providers,
            config.sql_profile(),
            LogRing::new(config.limits.log_lines),
            Arc::new(HubSink(Arc::clone(&hub))),
            clock,
        );
        services.stamp_caller = config.database.stamp_caller;
        let manager = Arc::new(Self {
            registry: Arc::default(),
            services: Arc::new(services),
            hub,
            policies: Policies::open(&config)?,
            watch: OnceLock::new(),
            translations,
            rules: config.default_rules()?,
            gate: config.packages.gate(config.limits.module.bytes)?,
            packages: config.packages.store(),
            settings: config.settings(),
            graph: Arc::default(),
            watches: Watches::default(),
            changing: Mutex::new(()),
            shut_down: AtomicBool::new(false),
        });
        let registry: Arc<dyn crate::host::PluginCaller> = Arc::<Registry>::clone(&manager.registry);
        manager.services.connect_plugins(Arc::downgrade(&registry));
        probing::start(&manager);
        if let Some(watch) = PolicyWatch::start(&manager)? {
            let _ = manager.watch.set(watch);
        }
        Ok(manager)
    }

    /// Loads the plugin at `path`: a package, a `.wasm` file, an installed version or a directory with a manifest; gives
    /// the name it is called by.
    pub fn load(&self, path: &Path) -> Result<Arc<str>> {
        self.check_running()?;
        with_room(|| loading::load(self, path))
    }

    /// Calls a function of a plugin and blocks until it has answered. `result` is called once with the answer, or not at
    /// all when the plugin answers nothing.
    pub fn call(
        &self,
        plugin: &str,
        function: &str,
        arguments: &[u8],
        options: &CallOptions,
        result: &mut ResultSink<'_>,
    ) -> Result<()> {
        self.check_running()?;
        let slot = self.registry.slot(plugin);
        match slot {
            Some(slot) => slot.call(&self.blocking_context(&slot, options)?, function, arguments, result),
            None => self.registry.loaded(plugin).map(drop),
        }
    }

    /// Finds a function, so that calls need not look it up. Whether the plugin knows the function shows at the call.
    pub fn function(self: &Arc<Self>, plugin: &str, function: &str) -> Result<Function> {
        self.check_running()?;
        if function.is_empty() {
            return Err(Error::new(ErrorCode::ArgumentInvalid, "the name of the function is empty"));
        }
        Ok(Function { manager: Arc::clone(self), slot: self.registry.loaded(plugin)?, name: function.into() })
    }

    /// Starts a call and returns at once; `done` is called once, on a worker thread.
    pub fn start_call(
        &self,
        plugin: &str,
        function: &str,
        arguments: &[u8],
        options: CallOptions,
        done: Done,
    ) -> Result<Arc<Operation>> {
        self.check_running()?;
        let slot = self.registry.loaded(plugin)?;
        let width = width_of(&slot);
        let mut context = self.context(&slot, &options);
        // A switch of its own, besides the caller's: stopping one call must not stop others that share the caller's.
        context.cancellation = Cancellation::either(Cancellation::new(), context.cancellation);
        operation::start(slot, width, context, function, arguments, done)
    }

    /// Lets calls in again.
    pub fn enable(&self, plugin: &str) -> Result<()> {
        self.set_enabled(plugin, true).map(drop)
    }

    /// Lets the host answer a service itself; `None` brings the built-in provider back.
    pub fn provide(&self, service: &str, provider: Option<Box<dyn Provider>>) -> Result<()> {
        let Some(known) = Service::from_name(service) else {
            return Err(Error::new(
                ErrorCode::ArgumentInvalid,
                format!("there is no service `{}`", crate::plugin::name::shorten(service, 80)),
            )
            .with_detail("services", Service::PROVIDED.map(Service::name).to_vec()));
        };
        self.services.provide(known, provider);
        Ok(())
    }

    /// Offers a further host function to plugins.
    pub fn declare(&self, function: CustomFunction) -> Result<()> {
        self.services.declare(function)
    }

    /// Hands events to `subscriber` for as long as the returned value lives.
    pub fn subscribe(&self, filter: &[u8], subscriber: Subscriber) -> Result<Arc<Subscription>> {
        self.check_running()?;
        self.hub.subscribe(filter, subscriber)
    }

    /// Log lines of plugins, newest first.
    #[must_use]
    pub fn logs(&self, filter: &LogFilter) -> Value {
        self.services.logs.newest(filter).iter().map(|record| record.to_json()).collect()
    }

    /// Forgets the log lines.
    pub fn clear_logs(&self) {
        self.services.logs.clear();
    }

    /// True once `shut_down` was called.
    #[must_use]
    pub fn is_shut_down(&self) -> bool {
        self.shut_down.load(Ordering::SeqCst)
    }

    fn check_running(&self) -> Result<()> {
        if self.is_shut_down() { Err(shut_down()) } else { Ok(()) }
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn emit(&self, event: Event) {
        if self.services.events.wants(event.kind) {
            self.services.events.emit(event);
        }
    }

    /// A line of the host itself in a plugin's log.
    fn note(&self, plugin: &Arc<str>, level: LogLevel, message: &str) {
        self.services.logs.push(Arc::new(LogRecord::new(plugin, level, message, serde_json::Map::new())));
    }

    fn context(&self, slot: &Slot, options: &CallOptions) -> CallContext {
        let policy_timeout_ms = slot.sandbox.policy.snapshot().policy.limits().call_timeout_ms;
        let timeout_ms = match (policy_timeout_ms, options.timeout_ms) {
            (limit, 0) => limit,
            (0, asked) => asked,
            (limit, asked) => limit.min(asked),
        };
        CallContext::from_host(deadline_of(timeout_ms), options.cancellation.clone(), options.origin.clone())
    }

    /// Context of a call that blocks this thread: nested in the call whose host callback runs here, if one does.
    fn blocking_context(&self, slot: &Slot, options: &CallOptions) -> Result<CallContext> {
        let context = self.context(slot, options);
        let Some(around) = around() else {
            return if options.no_waiting && slot.is_process() { Err(would_wait(slot)) } else { Ok(context) };
        };
        if around.depth() > MAX_CALL_DEPTH {
            return Err(Error::new(
                ErrorCode::PolicyCallDepth,
                format!("plugin call depth exceeded (max {MAX_CALL_DEPTH}): {}", around.chain),
            ));
        }
        Ok(CallContext {
            strand: around.strand,
            chain: around.chain,
            deadline: context.deadline.min(around.deadline),
            cancellation: Cancellation::either(context.cancellation, around.cancellation),
            origin: context.origin,
        })
    }
}

impl Function {
    /// Calls the function; see [`Manager::call`].
    pub fn call(&self, arguments: &[u8], options: &CallOptions, result: &mut ResultSink<'_>) -> Result<()> {
        self.manager.check_running()?;
        let context = self.manager.blocking_context(&self.slot, options)?;
        self.slot.call(&context, &self.name, arguments, result)
    }
}

/// Calls of a plugin that are served at the same time when they are started asynchronously.
fn width_of(slot: &Slot) -> u32 {
    let in_force = slot.sandbox.policy.snapshot();
    let limits = in_force.policy.limits();
    match limits.concurrent_calls {
        _ if !slot.is_process() => limits.instances,
        0 => PROCESS_WIDTH,
        limit => limit.min(PROCESS_WIDTH),
    }
}

fn would_wait(slot: &Slot) -> Error {
    let problem = format!("plugin \"{}\" is a process, and this thread would wait for it (start the call)", slot.name);
    Error::new(ErrorCode::LifecyclePending, problem).with_plugin(&slot.name)
}

impl Provider for Arc<Translations> {
    fn serve(&self, call: &crate::host::HostCall<'_>) -> Result<crate::host::Reply> {
        (**self).serve(call)
    }
}

type Providers = HashMap<Service, Box<dyn Provider>>;

impl std::fmt::Debug for Manager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Manager").finish_non_exhaustive()
    }
}
