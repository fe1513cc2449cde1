//! What a plugin name stands for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use serde_json::Value;

use super::operation::Lane;
use super::traffic::Traffic;
use crate::clock;
use crate::error::{Error, ErrorCode, Result};
use crate::package::Assets;
use crate::plugin::{CallContext, Plugin, Recovery, ResultSink};
use crate::policy::ResourceRequest;
use crate::sandbox::Sandbox;

/// How often a drain looks whether calls have ended.
const DRAIN_POLL: Duration = Duration::from_millis(1);

/// A name with everything that survives a reload.
pub struct Slot {
    /// Name of the plugin.
    pub name: Arc<str>,
    /// The host as the plugin sees it.
    pub sandbox: Arc<Sandbox>,
    /// Calls into the plugin.
    pub traffic: Traffic,
    /// Failures of the plugin, and what follows from them.
    pub recovery: Arc<Recovery>,
    /// Asynchronous calls.
    pub(super) lane: Arc<Lane>,
    serving: ArcSwapOption<Generation>,
    enabled: AtomicBool,
    /// The manager was shut down.
    retired: AtomicBool,
}

/// One loaded plugin.
pub struct Generation {
    /// The plugin.
    pub plugin: Box<dyn Plugin>,
    /// What it asks for.
    pub request: ResourceRequest,
    /// Warnings about its manifest and registration.
    pub warnings: Vec<String>,
    /// Where it was loaded from.
    pub origin: String,
    /// What its package brought besides the code.
    pub packaged: Packaged,
    /// Calls it serves at this moment.
    in_flight: AtomicUsize,
}

/// What a package brought besides the code.
#[derive(Debug, Default)]
pub struct Packaged {
    /// How the plugin runs, as its manifest calls it.
    pub runtime: &'static str,
    /// Verdict over its signatures, as reports show it.
    pub signature: Value,
    /// Files that hosts may read.
    pub assets: Option<Assets>,
}

impl Generation {
    /// A plugin that serves nothing yet.
    #[must_use]
    pub fn new(
        plugin: Box<dyn Plugin>,
        request: ResourceRequest,
        warnings: Vec<String>,
        origin: String,
        packaged: Packaged,
    ) -> Self {
        Self { plugin, request, warnings, origin, packaged, in_flight: AtomicUsize::new(0) }
    }

    /// Calls it serves at this moment.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// Waits until no call is served any more; false when the patience ends first.
    pub fn drain(&self, patience: Duration) -> bool {
        let until = clock::now().saturating_add(clock::saturating_nanos(patience));
        while self.in_flight() > 0 {
            if clock::now() >= until {
                return false;
            }
            std::thread::park_timeout(DRAIN_POLL);
        }
        true
    }
}

/// A call counted into a generation; counted out when dropped.
struct Counted(Arc<Generation>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Slot {
    /// A slot that nothing serves, and that lets no calls in before somebody says so.
    #[must_use]
    pub fn new(name: Arc<str>, sandbox: Arc<Sandbox>) -> Self {
        Self {
            name,
            sandbox,
            traffic: Traffic::default(),
            recovery: Arc::default(),
            lane: Arc::default(),
            serving: ArcSwapOption::empty(),
            enabled: AtomicBool::new(false),
            retired: AtomicBool::new(false),
        }
    }

    /// The generation that serves, if one does.
    #[must_use]
    pub fn serving(&self) -> Option<Arc<Generation>> {
        self.serving.load_full()
    }

    /// Lets `generation` serve from now on; gives back the one that served before.
    pub fn swap(&self, generation: Option<Arc<Generation>>) -> Option<Arc<Generation>> {
        self.serving.swap(generation)
    }

    /// Takes the slot out of service for good; gives back the generation that served.
    #[must_use]
    pub fn retire(&self) -> Option<Arc<Generation>> {
        self.retired.store(true, Ordering::SeqCst);
        self.swap(None)
    }

    /// True when calls are let in.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::SeqCst)
    }

    /// Lets calls in, or keeps them out. Calls that are under way go on.
    pub fn set_enabled(&self, enabled: bool) {
        self.enabled.store(enabled, Ordering::SeqCst);
    }

    /// Calls the plugin. Fails when nothing serves, the slot is disabled or the plugin blocked.
    pub fn call(
        &self,
        context: &CallContext,
        function: &str,
        arguments: &[u8],
        result: &mut ResultSink<'_>,
    ) -> Result<()> {
        context.check_alive().map_err(|error| error.with_plugin(&self.name))?;
        let counted = self.count_in(context)?;
        self.check_policy(&counted.0).map_err(|error| error.with_plugin(&self.name))?;
        let started = clock::now();
        let outcome = counted.0.plugin.call(context, function, arguments, result);
        self.traffic.count(clock::now().saturating_sub(started), outcome.is_err());
        outcome.map_err(|error| self.explain(error).with_plugin(&self.name))
    }

    /// A call that waited for an instance when the manager was shut down.
    fn explain(&self, error: Error) -> Error {
        let was_stopped = error.code() == ErrorCode::LifecyclePluginNotFound;
        if was_stopped && self.retired.load(Ordering::SeqCst) { shut_down() } else { error }
    }

    fn check_policy(&self, generation: &Generation) -> Result<()> {
        let in_force = self.sandbox.policy.snapshot();
        in_force.policy.check_not_blocked()?;
        let limit = in_force.policy.limits().concurrent_calls as usize;
        if limit == 0 || generation.in_flight() <= limit {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::LifecycleOverloaded,
            format!("{limit} calls of plugin \"{}\" are under way already (call again later)", self.name),
        ))
    }

    /// Counts a call into the serving generation. Counting comes before the second look at the pointer: whoever swaps
    /// the pointer and then finds no call in flight knows that none will come.
    fn count_in(&self, context: &CallContext) -> Result<Counted> {
        loop {
            let Some(generation) = self.serving() else {
                let retired = self.retired.load(Ordering::SeqCst);
                return Err(if retired { shut_down() } else { not_found(&self.name, context) });
            };
            generation.in_flight.fetch_add(1, Ordering::SeqCst);
            let counted = Counted(generation);
            if !self.is_enabled() {
                return Err(disabled(&self.name, context));
            }
            let still_serving = self.serving.load();
            if still_serving.as_ref().is_some_and(|serving| Arc::ptr_eq(serving, &counted.0)) {
                return Ok(counted);
            }
        }
    }
}

/// Error of everything after the manager was shut down.
pub(crate) fn shut_down() -> Error {
    Error::new(ErrorCode::LifecycleShutDown, "the manager was shut down")
}

/// Error of a call to a plugin that is not loaded (in GoatFlow's words).
pub(crate) fn not_found(name: &str, context: &CallContext) -> Error {
    let name = crate::plugin::name::shorten(name, 80);
    Error::new(ErrorCode::LifecyclePluginNotFound, format!("plugin \"{name}\" not found{}", required_by(context)))
        .with_plugin(&name.as_str().into())
        .with_detail("target", name)
}

fn disabled(name: &str, context: &CallContext) -> Error {
    Error::new(ErrorCode::LifecycleDisabled, format!("plugin \"{name}\" is disabled{}", required_by(context)))
}

fn required_by(context: &CallContext) -> String {
    context.chain.innermost().map_or_else(String::new, |caller| format!(" (required by \"{caller}\")"))
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot").field("name", &self.name).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Generation").field("origin", &self.origin).finish_non_exhaustive()
    }
}
