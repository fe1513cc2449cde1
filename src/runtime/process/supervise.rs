//! The supervision of a native plugin: one process at a time, started again when it dies.
//!
//! States: *serving* has a process. *Starting* waits for one, and calls wait with it. *Pausing* lets some time pass after a
//! crash, and calls fail. *Given up* waits for an operator. *Resting* has none until somebody calls. *Stopped* is the end.
//!
//! Processes are started one at a time, whoever wants one, so that none is ever in nobody's hands; and each under what the
//! policy grants at that moment. What happened to a process counts only as long as it is the one that serves.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use serde_json::{Value, json};

use super::late::Late;
use super::native::ProcessEvent;
use super::phases::{Phase, State, chance, given_up, restarting, stopped, within};
use super::running::Process;
use super::session::Ending;
use super::start::Recipe;
use super::terms::Terms;
use crate::clock::{self, Nanos};
use crate::error::{Error, ErrorCode, Result};
use crate::executor;
use crate::plugin::recovery::Verdict;
use crate::plugin::{CallContext, Cancellation, Recovery, Registration, RuntimeLimits};

/// Is told what happens to processes.
pub(super) type Observer = Box<dyn Fn(ProcessEvent) + Send + Sync>;

/// A plugin and its process.
pub(super) struct Supervisor {
    recipe: Recipe,
    registration: Registration,
    serving: ArcSwapOption<Process>,
    state: Mutex<State>,
    /// Held by who starts a process.
    turn: Mutex<()>,
    /// Ends a start that is under way when the plugin is stopped.
    stopped: Cancellation,
    recovery: Arc<Recovery>,
    observer: Observer,
    processes: AtomicU64,
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
            state: Mutex::new(State { phase, limits, waiting, last: None, leaving }),
            turn: Mutex::default(),
            stopped: Cancellation::new(),
            recovery,
            observer,
            processes: AtomicU64::new(1),
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
            (None, Phase::Pausing(until)) => return Err(state.failed(restarting(until))),
            (None, Phase::GivenUp) => return Err(state.failed(given_up())),
            (None, Phase::Stopped) => return Err(stopped()),
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

    /// Starts a process for calls that wait for it, unless somebody else did or decided otherwise meanwhile.
    fn start_again(self: &Arc<Self>) {
        let turn = self.turn();
        let mut state = self.state();
        match state.phase {
            Phase::Starting => {}
            Phase::Pausing(until) if clock::now() >= until => state.move_to(Phase::Starting),
            _ => return,
        }
        let is_after_failure = state.last.is_some();
        drop(state);
        match self.exchange(turn) {
            Ok(()) if is_after_failure => self.recovery.restarted(),
            Ok(()) => {}
            Err(error) => {
                let state = self.state();
                if state.phase == Phase::Starting {
                    self.fail(state, Ending::of(&error));
                }
            }
        }
    }

    /// Starts a process and lets it serve; the one that did ends with its calls.
    fn exchange(self: &Arc<Self>, turn: MutexGuard<'_, ()>) -> Result<()> {
        let process = self.new_process()?;
        let old = self.put_into_service(process)?;
        drop(turn);
        (self.observer)(ProcessEvent::Restarted);
        self.follow_policy();
        self.retire(old);
        Ok(())
    }

    fn new_process(self: &Arc<Self>) -> Result<Arc<Process>> {
        let limits = self.limits();
        let terms = (self.recipe.terms)();
        let context = within(terms.init_timeout(), self.stopped.clone());
        let (late, on_end) = Late::new();
        let same = |registration: &Registration| self.check_same(registration);
        let (process, _) = self.recipe.start(terms, limits, same, on_end, &context)?;
        self.processes.fetch_add(1, Ordering::Relaxed);
        late.arrive(self);
        Ok(process)
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
        state.move_to(Phase::Serving);
        Ok(old)
    }

    /// Ends a process that serves no more, once its calls have ended.
    fn retire(&self, old: Option<Arc<Process>>) {
        if let Some(old) = old {
            old.host_calls.retire(old.terms.call_timeout());
            old.stop(&within(old.terms.shutdown_timeout(), Cancellation::default()));
        }
    }

    /// Puts a new process in the place of the present one, which ends with its calls.
    pub(super) fn restart(self: &Arc<Self>) -> Result<()> {
        self.exchange(self.turn())
    }

    /// Puts other limits in force, and other terms if they have changed.
    pub(super) fn set_limits(self: &Arc<Self>, limits: &RuntimeLimits) {
        let mut state = self.state();
        state.limits = *limits;
        if let Some(process) = &*self.serving.load() {
            process.host_calls.set_limits(*limits);
        }
        drop(state);
        self.follow_policy();
    }

    /// Renews a process whose terms no longer hold: what the kernel holds it to was settled when it was started.
    fn follow_policy(self: &Arc<Self>) {
        if self.outdated().is_some() {
            let inner = Arc::clone(self);
            // Without a thread the old terms stay until the next start.
            let _ = executor::spawn(move || inner.renew());
        }
    }

    fn outdated(&self) -> Option<Arc<Process>> {
        self.serving.load_full().filter(|process| process.terms != (self.recipe.terms)())
    }

    fn renew(self: &Arc<Self>) {
        let turn = self.turn();
        // Somebody may have been faster.
        let Some(process) = self.outdated() else { return };
        if let Err(error) = self.exchange(turn) {
            self.refuse(&process, &error);
        }
    }

    /// Ends a process whose terms no longer hold, when none can be started under the new ones.
    fn refuse(&self, process: &Arc<Process>, error: &Error) {
        let mut state = self.state();
        if state.phase != Phase::Serving || !self.is_serving(process) {
            return;
        }
        let refused = self.serving.swap(None);
        state.last = Some(Ending::of(error));
        state.move_to(Phase::Resting);
        drop(state);
        if let Some(refused) = refused {
            refused.kill();
        }
    }

    fn is_serving(&self, process: &Arc<Process>) -> bool {
        self.serving.load().as_ref().is_some_and(|serving| Arc::ptr_eq(serving, process))
    }

    /// Ends the process once its calls have ended; the next call starts one.
    pub(super) fn rest(self: &Arc<Self>) -> Result<()> {
        let mut state = self.state();
        // A start that is under way comes to its end.
        if !matches!(state.phase, Phase::Serving | Phase::Pausing(_)) {
            return Ok(());
        }
        state.move_to(Phase::Resting);
        let process = self.serving.swap(None);
        state.leaving.extend(process.iter().map(Arc::downgrade));
        drop(state);
        let inner = Arc::clone(self);
        executor::spawn(move || inner.retire(process))
    }

    /// Begins no call any more; the process ends with the last one that is under way.
    pub(super) fn let_go(self: &Arc<Self>) {
        let mut state = self.state();
        state.move_to(Phase::Stopped);
        let process = self.serving.swap(None);
        state.leaving.extend(process.iter().map(Arc::downgrade));
        drop(state);
        self.stopped.cancel();
        let Some(process) = process else { return };
        let inner = Arc::clone(self);
        let retired = Arc::clone(&process);
        if executor::spawn(move || inner.retire(Some(retired))).is_err() {
            process.kill();
        }
    }

    /// Ends the plugin and everything that it runs in.
    pub(super) fn stop(&self, patience: Duration) {
        let mut state = self.state();
        state.move_to(Phase::Stopped);
        let serving = self.serving.swap(None);
        let leaving: Vec<_> = state.leaving.drain(..).filter_map(|process| process.upgrade()).collect();
        drop(state);
        self.stopped.cancel();
        let context = within(patience, Cancellation::default());
        for process in serving.into_iter().chain(leaving) {
            if patience.is_zero() {
                process.kill();
            } else {
                process.stop(&context);
            }
        }
        if !patience.is_zero() {
            // A start that was under way has ended when this is to be had.
            drop(self.turn());
        }
    }

    /// A process has ended. May be told more than once.
    pub(super) fn ended(self: &Arc<Self>, process: &Arc<Process>) {
        let state = self.state();
        if let Some(ending) = process.ending().filter(|_| self.is_serving(process)) {
            self.fail(state, ending);
        }
    }

    /// The process has crashed, or could not be started: what comes next.
    fn fail(self: &Arc<Self>, mut state: MutexGuard<'_, State>, ending: Ending) {
        let verdict = self.recovery.failed(clock::now(), chance());
        let crashed = ProcessEvent::Crashed(Arc::new(ending.error()));
        let gone = self.serving.swap(None);
        state.last = Some(ending);
        let due = match verdict {
            Verdict::GiveUp => None,
            Verdict::RestartAfter(pause) => Some(clock::now().saturating_add(clock::saturating_nanos(pause))),
        };
        state.move_to(match verdict {
            Verdict::GiveUp => Phase::GivenUp,
            Verdict::RestartAfter(Duration::ZERO) => Phase::Starting,
            Verdict::RestartAfter(_) => due.map_or(Phase::Starting, Phase::Pausing),
        });
        drop(state);
        drop(gone);
        (self.observer)(crashed);
        match due {
            None => (self.observer)(ProcessEvent::GaveUp),
            Some(due) => self.start_later(due),
        }
    }

    fn start_later(self: &Arc<Self>, due: Nanos) {
        let plugin = Arc::downgrade(self);
        // On the timer's thread, which must not be held up.
        let start = move || {
            let Some(plugin) = plugin.upgrade() else { return };
            let starter = Arc::clone(&plugin);
            if executor::spawn(move || starter.start_again()).is_err() {
                plugin.leave_to_callers();
            }
        };
        if executor::at(due, start).is_err() {
            self.leave_to_callers();
        }
    }

    /// There is no thread or no timer to be had: the next call starts a process.
    fn leave_to_callers(&self) {
        let mut state = self.state();
        if matches!(state.phase, Phase::Starting | Phase::Pausing(_)) {
            state.move_to(Phase::Resting);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if let Some(process) = self.serving.swap(None) {
            process.kill();
        }
    }
}
