//! What follows upon the end of a native plugin's process: the next start, at once, after a pause, or not.

use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use super::leaving::retire;
use super::native::ProcessEvent;
use super::phases::{Phase, State};
use super::running::Process;
use super::session::Ending;
use super::supervise::Supervisor;
use crate::clock::{self, Nanos};
use crate::error::ErrorCode;
use crate::executor;
use crate::plugin::recovery::{Verdict, chance};

impl Supervisor {
    /// Starts a process for calls that wait for it, unless somebody else did or decided otherwise meanwhile.
    pub(super) fn start_again(self: &Arc<Self>) {
        loop {
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
                Ok(old) => {
                    if is_after_failure {
                        self.recovery.restarted();
                    }
                    return retire(old);
                }
                // It was not wanted any more, or not under these terms: perhaps under others.
                Err(error) if error.code() == ErrorCode::LifecycleStopped => {}
                Err(error) => {
                    let state = self.state();
                    if state.phase == Phase::Starting {
                        self.fail(state, Ending::of(&error));
                    }
                    return;
                }
            }
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
}
