//! What a plugin name stands for.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::generation::{Generation, Live, State};
use super::health::Health;
use super::operation::Lane;
use super::serving::{Call, Refused, Serving};
use super::traffic::{Figures, Traffic};
use crate::clock::{self, Nanos};
use crate::error::{Error, ErrorCode, Result};
use crate::plugin::{CallContext, Recovery, ResultSink};
use crate::policy::SwapRules;
use crate::sandbox::Sandbox;

/// A name with everything that survives a reload.
pub struct Slot {
    /// Name of the plugin.
    pub name: Arc<str>,
    /// The host as the plugin sees it.
    pub sandbox: Arc<Sandbox>,
    /// Failures, and whether the plugin is started again after one.
    pub recovery: Arc<Recovery>,
    /// What probes found.
    pub health: Health,
    /// Asynchronous calls.
    pub(super) lane: Arc<Lane>,
    serving: Serving<Generation>,
    standby: Mutex<Option<Standby>>,
    /// Calls into generations that are gone.
    past: Arc<Traffic>,
    /// Every generation that is not gone.
    alive: Mutex<Vec<Weak<Live>>>,
    generations: AtomicU64,
    /// What is counted in and is no call of a host.
    visits: AtomicUsize,
    /// A generation is being exchanged.
    swapping: AtomicBool,
    /// Exchanges of the generation, and how many of them were when nothing but the serving one had calls.
    exchanges: AtomicU64,
    settled: AtomicU64,
    /// What serves is a process.
    is_process: AtomicBool,
    /// The manager was shut down.
    retired: AtomicBool,
}

/// The generation before the one that serves: the way back.
pub struct Standby {
    /// It.
    pub generation: Arc<Live>,
    /// How the one that serves now is judged, while it is.
    pub trial: Option<Trial>,
}

/// How a new generation is held against the one before it.
#[derive(Debug, Clone, Copy)]
pub struct Trial {
    /// When it has passed.
    pub until: Nanos,
    /// Figures of the one before it.
    pub before: Figures,
    /// What is worse.
    pub rules: SwapRules,
}

/// The right to exchange the generation of a slot; given back when dropped.
pub struct SwapTurn(Arc<Slot>);

/// Something in flight that is no call of a host, and takes no call's place.
pub struct Visit<'a> {
    call: Call<Generation>,
    /// Dropped last: it is there for as long as the call is counted.
    _place: Place<'a>,
}

/// One of the visits; counted out when dropped.
struct Place<'a>(&'a AtomicUsize);

impl Deref for Visit<'_> {
    type Target = Live;

    fn deref(&self) -> &Live {
        &self.call
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for SwapTurn {
    fn drop(&mut self) {
        self.0.swapping.store(false, Ordering::Release);
    }
}

impl Slot {
    /// A slot that nothing serves, and that lets no calls in before somebody says so.
    #[must_use]
    pub fn new(name: Arc<str>, sandbox: Arc<Sandbox>) -> Self {
        Self {
            name,
            sandbox,
            recovery: Arc::default(),
            health: Health::default(),
            lane: Arc::default(),
            serving: Serving::new(),
            standby: Mutex::default(),
            past: Arc::default(),
            alive: Mutex::default(),
            generations: AtomicU64::new(0),
            visits: AtomicUsize::new(0),
            swapping: AtomicBool::new(false),
            exchanges: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            is_process: AtomicBool::new(false),
            retired: AtomicBool::new(false),
        }
    }

    /// The generation that serves, if one does.
    #[must_use]
    pub fn serving(&self) -> Option<Arc<Live>> {
        self.serving.current()
    }

    /// Numbers a generation, which serves nothing yet.
    #[must_use]
    pub fn adopt(&self, generation: Generation) -> Arc<Live> {
        let number = self.generations.fetch_add(1, Ordering::Relaxed) + 1;
        let live = Arc::new(Live::new(generation.numbered(number, &self.past)));
        let mut alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        alive.retain(|known| known.strong_count() > 0);
        alive.push(Arc::downgrade(&live));
        live
    }

    /// Lets `generation` serve from now on; gives back the one that served before, which drains. Writers take turns.
    pub fn swap(&self, generation: Option<Arc<Live>>) -> Result<Option<Arc<Live>>> {
        if let Some(next) = &generation {
            next.advance(State::Serving)?;
            self.is_process.store(next.plugin.is_process(), Ordering::Relaxed);
        }
        let before = self.serving.swap(generation);
        self.exchanges.fetch_add(1, Ordering::AcqRel);
        if let Some(before) = &before {
            before.advance(State::Draining)?;
        }
        Ok(before)
    }

    /// Takes the slot out of service for good; gives back the generation that served.
    pub fn retire(&self) -> Result<Option<Arc<Live>>> {
        self.retired.store(true, Ordering::SeqCst);
        self.swap(None)
    }

    /// The way back.
    pub fn standby(&self) -> MutexGuard<'_, Option<Standby>> {
        self.standby.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True when what serves is a process: whoever calls it only waits. About to change while it is exchanged.
    #[must_use]
    pub fn is_process(&self) -> bool {
        self.is_process.load(Ordering::Relaxed)
    }

    /// The right to exchange the generation. Fails when somebody else has it.
    pub fn begin_swap(self: &Arc<Self>) -> Result<SwapTurn> {
        if self.swapping.swap(true, Ordering::AcqRel) {
            return Err(Error::new(
                ErrorCode::LifecycleSwapping,
                format!("another version of plugin \"{}\" is being put into service (try again later)", self.name),
            )
            .with_plugin(&self.name));
        }
        Ok(SwapTurn(Arc::clone(self)))
    }

    /// Calls into the plugin, over all its generations.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        let sum = Traffic::default();
        sum.absorb(&self.past);
        let alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for generation in alive.iter().filter_map(Weak::upgrade) {
            sum.absorb(&generation.traffic);
        }
        sum
    }

    /// Waits for the calls of every generation, the earlier ones' too; gives the number of those that did not end in time.
    #[must_use]
    pub fn drain(&self, patience: Duration) -> usize {
        let until = clock::now().saturating_add(clock::saturating_nanos(patience));
        let alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let running = |generation: Arc<Live>| {
            let left = Duration::from_nanos(until.saturating_sub(clock::now()));
            if generation.drain(left) { 0 } else { generation.in_flight() }
        };
        alive.iter().filter_map(Weak::upgrade).map(running).sum()
    }

    /// True when calls are let in.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.serving.admits()
    }

    /// Lets calls in, or keeps them out. Calls that are under way go on. Writers take turns.
    pub fn set_enabled(&self, enabled: bool) {
        self.serving.admit(enabled);
    }

    /// Counts something into the serving generation that is no call of a host; `None` when no call could begin.
    #[must_use]
    pub fn enter(&self) -> Option<Visit<'_>> {
        self.visits.fetch_add(1, Ordering::AcqRel);
        let place = Place(&self.visits);
        Some(Visit { call: self.serving.enter().ok()?, _place: place })
    }

    /// Calls the plugin. Fails when nothing serves, the slot is disabled or the plugin blocked.
    pub fn call(
        &self,
        context: &CallContext,
        function: &str,
        arguments: &[u8],
        result: &mut ResultSink<'_>,
    ) -> Result<()> {
        let mut stopped = None;
        loop {
            context.check_alive().map_err(|error| error.with_plugin(&self.name))?;
            let call = self.serving.enter().map_err(|refused| self.refusal(refused, context))?;
            self.check_policy(&call).map_err(|error| error.with_plugin(&self.name))?;
            let started = clock::now();
            let outcome = call.plugin.call(context, function, arguments, result);
            let failure = outcome.as_ref().err().map(Error::code);
            if failure == Some(ErrorCode::LifecycleStopped) && stopped.replace(call.number) != Some(call.number) {
                // It waited for an instance of a version that was stopped, and never began: the next one serves it, however
                // often that happens.
                continue;
            }
            let took = clock::now().saturating_sub(started);
            let is_callers = failure == Some(ErrorCode::PluginDeadline) && self.was_short(context, started);
            call.traffic.count(took, failure, is_callers);
            return outcome.map_err(|error| self.explain(error, context).with_plugin(&self.name));
        }
    }

    /// True when another plugin left this one less time than its policy gives it.
    fn was_short(&self, context: &CallContext, started: Nanos) -> bool {
        let given_ms = self.sandbox.policy.snapshot().policy.limits().call_timeout_ms;
        let whole = if given_ms == 0 { Nanos::MAX } else { given_ms.saturating_mul(1_000_000) };
        // Some of it goes by on the way here.
        !context.chain.is_empty() && context.deadline.saturating_sub(started) < whole / 10 * 9
    }

    /// A call that waited for an instance when the plugin was stopped.
    fn explain(&self, error: Error, context: &CallContext) -> Error {
        if error.code() == ErrorCode::LifecycleStopped { self.refusal(Refused::Empty, context) } else { error }
    }

    fn refusal(&self, refused: Refused, context: &CallContext) -> Error {
        match refused {
            Refused::Empty if self.retired.load(Ordering::SeqCst) => shut_down(),
            Refused::Empty => not_found(&self.name, context),
            Refused::Shut => disabled(&self.name, context),
        }
    }

    /// Calls under way in other generations than this one. Most of the time there are none, which is known without looking.
    fn in_flight_besides(&self, generation: &Live) -> usize {
        let exchanges = self.exchanges.load(Ordering::Acquire);
        if self.settled.load(Ordering::Acquire) == exchanges {
            return 0;
        }
        let alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let alive: Vec<_> = alive.iter().filter_map(Weak::upgrade).collect();
        let serving = self.serving.current().map(|live| live.number);
        // No call gets into a generation that serves no more.
        if alive.iter().all(|live| Some(live.number) == serving || live.in_flight() == 0) {
            self.settled.store(exchanges, Ordering::Release);
        }
        alive.iter().filter(|live| live.number != generation.number).map(|live| live.in_flight()).sum()
    }

    fn check_policy(&self, generation: &Live) -> Result<()> {
        let in_force = self.sandbox.policy.snapshot();
        in_force.policy.check_not_blocked()?;
        let limit = in_force.policy.limits().concurrent_calls as usize;
        if limit == 0 {
            return Ok(());
        }
        // Looked at twice: a visit that comes or goes meanwhile keeps no call out.
        let visits = || self.visits.load(Ordering::Acquire);
        let in_flight = || generation.in_flight() + self.in_flight_besides(generation);
        let (before, in_flight, after) = (visits(), in_flight(), visits());
        if in_flight.saturating_sub(before.max(after)) <= limit {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::LifecycleOverloaded,
            format!("{limit} calls of plugin \"{}\" are under way already (call again later)", self.name),
        ))
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
