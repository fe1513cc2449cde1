//! The ways out of service of a native plugin's process: rest, farewell, stop.

use std::sync::Arc;
use std::time::Duration;

use super::phases::{Phase, State, within};
use super::running::Process;
use super::supervise::Supervisor;
use crate::error::Result;
use crate::executor;
use crate::plugin::Cancellation;

impl Supervisor {
    /// Ends the process once its calls have ended; the next call starts one.
    pub(super) fn rest(&self) -> Result<()> {
        let mut state = self.state();
        if matches!(state.phase, Phase::GivenUp | Phase::Resting | Phase::Stopped) {
            return Ok(());
        }
        let process = self.take_out(&mut state, Phase::Resting);
        drop(state);
        retire_elsewhere(process)
    }

    /// Begins no call any more; the process ends with the last one that is under way.
    pub(super) fn let_go(&self) {
        let process = self.take_out(&mut self.state(), Phase::Stopped);
        // Ended at once when there is no thread to wait on.
        let _ = retire_elsewhere(process);
    }

    /// Enters a phase without a process; gives the one that served. A start that is under way ends: whoever still waits for
    /// it begins another one, where that is possible.
    fn take_out(&self, state: &mut State, phase: Phase) -> Option<Arc<Process>> {
        state.end_start();
        state.move_to(phase);
        let process = self.serving.swap(None);
        state.leaving.extend(process.iter().map(Arc::downgrade));
        process
    }

    /// Ends the plugin and everything that it runs in.
    pub(super) fn stop(&self, patience: Duration) {
        let mut state = self.state();
        // With the one that served, whose reference keeps it among them.
        let _serving = self.take_out(&mut state, Phase::Stopped);
        let leaving: Vec<_> = state.leaving.drain(..).filter_map(|process| process.upgrade()).collect();
        drop(state);
        let context = within(patience, Cancellation::default());
        for process in leaving.into_iter().rev() {
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
}

/// Ends a process that serves no more, once its calls have ended.
pub(super) fn retire(old: Option<Arc<Process>>) {
    if let Some(old) = old {
        old.host_calls.retire(old.terms.call_timeout());
        old.stop(&within(old.terms.shutdown_timeout(), Cancellation::default()));
    }
}

/// As [`retire`], without making this thread wait; without a thread to be had the process ends at once.
pub(super) fn retire_elsewhere(old: Option<Arc<Process>>) -> Result<()> {
    let Some(old) = old else { return Ok(()) };
    let retired = Arc::clone(&old);
    executor::spawn(move || retire(Some(retired))).inspect_err(|_| old.kill())
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if let Some(process) = self.serving.swap(None) {
            process.kill();
        }
    }
}
