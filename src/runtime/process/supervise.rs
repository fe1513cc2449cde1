//! The supervision of a native plugin: one process at a time, started again when it dies.
//!
//! States: *serving* has a process. *Starting* waits for one, and calls wait with it. *Pausing* lets some time pass after a
//! crash, and calls fail. *Given up* waits for an operator. *Resting* has none until somebody calls. *Stopped* is the end.
//!
//! Processes are started one at a time, whoever wants one, so that none is ever in nobody's hands; and each under what the
//! policy grants at that moment. What happened to a process counts only as long as it is the one that serves.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use serde_json::{Value, json};

use super::late::Late;
use super::leaving::retire_elsewhere;
use super::native::ProcessEvent;
use super::phases::{Phase, Start, State, stopped, within};
use super::running::Process;
use super::start::Recipe;
use super::terms::Terms;
use crate::error::{Error, ErrorCode, Result};
use crate::executor;
use crate::plugin::{CallContext, Cancellation, Recovery, Registration, RuntimeLimits};

/// Is told what happens to processes.
pub(super) type Observer = Box<dyn Fn(ProcessEvent) + Send + Sync>;

/// A plugin and its process.
pub(super) struct Supervisor {
    pub(super) recipe: Recipe,
    registration: Registration,
    pub(super) serving: ArcSwapOption<Process>,
    state: Mutex<State>,
    /// Held by who starts a process.
    turn: Mutex<()>,
    pub(super) recovery: Arc<Recovery>,
    pub(super) observer: Observer,
    processes: AtomicU64,
    /// A renewal waits for its turn.
    pub(super) is_renewing: AtomicBool,
}

impl Supervisor {
    /// Starts a first process; `admit` looks at what it registers before it may do anything.
    pub(super) fn start(
        recipe: Recipe,
        (recovery, observer): (Arc<Recovery>, Observer),
        (terms, limits): (Terms, RuntimeLimits),
        admit: impl FnOnce(&Registration) -> Result<()>,
        context: &CallContext,
    ) -> Result<Arc<Self>> {
        let (late, on_end) = Late::new();
        let (process, registration) = recipe.start(terms, limits, admit, on_end, context)?;
        let (phase, waiting, leaving) = (Phase::Serving, Vec::new(), Vec::new());
        let supervisor = Arc::new(Self {
            recipe,
            registration,
            serving: ArcSwapOption::from(Some(process)),
            state: Mutex::new(State { phase, limits, starting: None, waiting, last: None, leaving }),
            turn: Mutex::default(),
            recovery,
            observer,
            processes: AtomicU64::new(1),
            is_renewing: AtomicBool::new(false),
        });
        late.arrive(&supervisor);
        Ok(supervisor)
    }

    /// What the plugin said about itself when it was loaded.
    pub(super) fn registration(&self) -> &Registration {
        &self.registration
    }

    /// Limits that are in force.
    pub(super) fn limits(&self) -> RuntimeLimits {
        self.state().limits
    }

    /// Number of the process that serves.
    pub(super) fn pid(&self) -> Option<u32> {
        self.serving.load().as_ref().and_then(|process| process.pid())
    }

    /// Processes that were started in all.
    pub(super) fn processes(&self) -> u64 {
        self.processes.load(Ordering::Relaxed)
    }

    /// State of the process, as reports show it.
    pub(super) fn status(&self) -> Value {
        let process = self.serving.load_full();
        let phase = self.state().phase;
        json!({
            "state": phase.name(),
            "pid": process.as_ref().and_then(|process| process.pid()),
            "protocol": process.as_ref().map(|process| process.protocol.name()),
            "processes": self.processes(),
            "isolation": process.as_ref().map(|process| process.report().to_json()),
        })
    }

    /// The process that serves; waits for one that is being started.
    pub(super) fn process(self: &Arc<Self>, context: &CallContext) -> Result<Arc<Process>> {
        if let Some(process) = self.serving.load_full().filter(|process| !process.has_ended()) {
            return Ok(process);
        }
        let found = context.block_until(|| self.ready().transpose()).flatten();
        // A thread that gave up is not waiting any more.
        let me = std::thread::current().id();
        self.state().waiting.retain(|thread| thread.id() != me);
        found
    }

    /// A process, or why none will come; `None` while one is being started.
    fn ready(self: &Arc<Self>) -> Result<Option<Arc<Process>>> {
        let mut state = self.state();
        match (self.serving.load_full(), state.phase) {
            (Some(process), _) if !process.has_ended() => return Ok(Some(process)),
            (Some(process), _) => {
                // Told already, unless there was no thread to tell it on.
                let inner = Arc::clone(self);
                executor::spawn(move || inner.ended(&process))?;
            }
            (None, Phase::Serving | Phase::Starting) => {}
            (None, Phase::Resting) => self.begin_start(&mut state)?,
            // Somebody has reset it.
            (None, Phase::GivenUp) if !self.recovery.has_given_up() => self.begin_start(&mut state)?,
            (None, phase) => return Err(state.failed(phase.error())),
        }
        let me = std::thread::current();
        if !state.waiting.iter().any(|thread| thread.id() == me.id()) {
            state.waiting.push(me);
        }
        Ok(None)
    }

    fn begin_start(self: &Arc<Self>, state: &mut State) -> Result<()> {
        let inner = Arc::clone(self);
        executor::spawn(move || inner.start_again())?;
        state.phase = Phase::Starting;
        Ok(())
    }

    /// Starts a process and lets it serve; gives the one that did, which is to be retired.
    pub(super) fn exchange(self: &Arc<Self>, turn: MutexGuard<'_, ()>) -> Result<Option<Arc<Process>>> {
        let process = self.new_process()?;
        let old = self.put_into_service(process)?;
        drop(turn);
        (self.observer)(ProcessEvent::Restarted);
        self.follow_policy();
        Ok(old)
    }

    fn new_process(self: &Arc<Self>) -> Result<Arc<Process>> {
        let (limits, Start { terms, switch }) = self.begin()?;
        let context = within(terms.init_timeout(), switch.clone());
        let (late, on_end) = Late::new();
        let same = |registration: &Registration| self.check_same(registration);
        let started = self.recipe.start(terms, limits, same, on_end, &context);
        // Whatever it failed of then, it is no failure of the plugin.
        let (process, _) = started.map_err(|error| if switch.is_cancelled() { stopped() } else { error })?;
        self.processes.fetch_add(1, Ordering::Relaxed);
        late.arrive(self);
        Ok(process)
    }

    /// Begins a start under the terms of this moment.
    fn begin(&self) -> Result<(RuntimeLimits, Start)> {
        let mut state = self.state();
        if matches!(state.phase, Phase::Stopped | Phase::Resting) {
            return Err(stopped());
        }
        let start = Start { terms: (self.recipe.terms)(), switch: Cancellation::new() };
        state.starting = Some(start.clone());
        Ok((state.limits, start))
    }

    fn check_same(&self, registration: &Registration) -> Result<()> {
        if registration.name() == self.registration.name() {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::PackageNameMismatch,
            format!("a new process of `{}` registered as `{}`", self.registration.name(), registration.name()),
        ))
    }

    /// Lets a new process serve; gives the one that did. Fails when the plugin was stopped or put to rest
    /// meanwhile, or the process ended.
    fn put_into_service(&self, process: Arc<Process>) -> Result<Option<Arc<Process>>> {
        let mut state = self.state();
        if matches!(state.phase, Phase::Stopped | Phase::Resting) {
            drop(state);
            process.end();
            return Err(stopped());
        }
        // What ends from here on is found to be serving by who is told.
        if let Some(ending) = process.ending() {
            return Err(ending.error());
        }
        process.host_calls.set_limits(state.limits);
        let old = self.serving.swap(Some(process));
        state.leaving.retain(|process| process.upgrade().is_some_and(|process| !process.has_ended()));
        state.leaving.extend(old.iter().map(Arc::downgrade));
        state.last = None;
        state.move_to(Phase::Serving);
        Ok(old)
    }

    /// Puts a new process in the place of the present one, which ends with its calls. Where there is none, that has its
    /// reason, and its own remedy.
    pub(super) fn restart(self: &Arc<Self>) -> Result<()> {
        let turn = self.turn();
        let state = self.state();
        if state.phase != Phase::Serving {
            return Err(state.failed(state.phase.error()));
        }
        drop(state);
        let old = self.exchange(turn)?;
        retire_elsewhere(old)
    }

    /// True when it is the one that serves.
    pub(super) fn is_serving(&self, process: &Arc<Process>) -> bool {
        self.serving.load().as_ref().is_some_and(|serving| Arc::ptr_eq(serving, process))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
