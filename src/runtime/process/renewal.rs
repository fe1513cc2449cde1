//! Changes of policy: other limits at once, other terms by another process.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::leaving::retire;
use super::phases::Phase;
use super::running::Process;
use super::session::Ending;
use super::supervise::Supervisor;
use crate::error::{Error, ErrorCode};
use crate::executor;
use crate::plugin::RuntimeLimits;

impl Supervisor {
    /// Puts other limits in force, and other terms if they have changed.
    pub(super) fn set_limits(self: &Arc<Self>, limits: &RuntimeLimits) {
        let mut state = self.state();
        state.limits = *limits;
        if let Some(process) = &*self.serving.load() {
            process.host_calls.set_limits(*limits);
        }
        // What is being started under other terms would have to be replaced at once.
        if state.starting.as_ref().is_some_and(|start| start.terms != (self.recipe.terms)()) {
            state.end_start();
            // Failures under other terms say nothing about these.
            if matches!(state.phase, Phase::Pausing(_) | Phase::GivenUp) {
                self.recovery.reset();
                state.last = None;
                state.move_to(Phase::Resting);
            }
        }
        drop(state);
        self.follow_policy();
    }

    /// Renews a process whose terms no longer hold: what the kernel holds it to was settled when it was started.
    pub(super) fn follow_policy(self: &Arc<Self>) {
        // One that waits for its turn follows every change until then.
        if self.outdated().is_some() && !self.is_renewing.swap(true, Ordering::SeqCst) {
            let inner = Arc::clone(self);
            if executor::spawn(move || inner.renew()).is_err() {
                // Without a thread the old terms stay until the next start.
                self.is_renewing.store(false, Ordering::SeqCst);
            }
        }
    }

    fn outdated(&self) -> Option<Arc<Process>> {
        self.serving.load_full().filter(|process| process.terms != (self.recipe.terms)())
    }

    fn renew(self: &Arc<Self>) {
        let turn = self.turn();
        self.is_renewing.store(false, Ordering::SeqCst);
        // Somebody may have been faster.
        let Some(process) = self.outdated() else { return };
        match self.exchange(turn) {
            Ok(old) => retire(old),
            // The terms have changed once more: who changed them looks what follows.
            Err(error) if error.code() == ErrorCode::LifecycleStopped => self.follow_policy(),
            Err(error) => self.refuse(&process, &error),
        }
    }

    /// Ends a process whose terms no longer hold, when none can be started under the new ones.
    fn refuse(&self, process: &Arc<Process>, error: &Error) {
        let mut state = self.state();
        let hold_again = process.terms == (self.recipe.terms)();
        if hold_again || state.phase != Phase::Serving || !self.is_serving(process) {
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
}
