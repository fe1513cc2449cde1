//! Where a native plugin stands between its processes, and what calls are told then.

use std::sync::Weak;
use std::thread::Thread;
use std::time::Duration;

use super::running::Process;
use super::session::Ending;
use crate::clock::{self, Nanos};
use crate::error::{Error, ErrorCode};
use crate::plugin::{CallContext, Cancellation, Origin, RuntimeLimits};

/// What changes in the life of a plugin.
pub(super) struct State {
    /// Where the plugin stands.
    pub(super) phase: Phase,
    /// Limits in force.
    pub(super) limits: RuntimeLimits,
    /// Calls that wait for a process.
    pub(super) waiting: Vec<Thread>,
    /// How the last process ended.
    pub(super) last: Option<Ending>,
    /// Processes that serve no more, but may still have calls.
    pub(super) leaving: Vec<Weak<Process>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// A process serves.
    Serving,
    /// One is being started; calls wait for it.
    Starting,
    /// After a crash, until this time; calls fail.
    Pausing(Nanos),
    /// Crashed too often; calls fail.
    GivenUp,
    /// The next call starts one.
    Resting,
    /// The end.
    Stopped,
}

impl State {
    /// Enters a phase; who waits for a process looks again.
    pub(super) fn move_to(&mut self, phase: Phase) {
        self.phase = phase;
        for thread in self.waiting.drain(..) {
            thread.unpark();
        }
    }

    /// The error of a call that finds no process, with the reason why there is none.
    pub(super) fn failed(&self, error: Error) -> Error {
        match &self.last {
            Some(last) => error.with_detail("last_failure", last.error().to_json()),
            None => error,
        }
    }
}

impl Phase {
    /// Name in reports.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Starting => "starting",
            Self::Pausing(_) => "pausing",
            Self::GivenUp => "crash_loop",
            Self::Resting => "resting",
            Self::Stopped => "stopped",
        }
    }
}

/// Error of a call between a crash and the next start.
pub(super) fn restarting(until: Nanos) -> Error {
    let left_ms = until.saturating_sub(clock::now()) / 1_000_000;
    Error::new(
        ErrorCode::PluginRestarting,
        format!("the plugin's process ended and is started again in {left_ms} ms (call again then)"),
    )
    .with_detail("retry_after_ms", left_ms)
}

/// Error of a call after too many crashes.
pub(super) fn given_up() -> Error {
    Error::new(
        ErrorCode::PluginCrashLoop,
        "the plugin's process ended too often and is not started any more (look at its log, then reset the crash loop or replace \
         the plugin)",
    )
}

/// Error of a call after the end.
pub(super) fn stopped() -> Error {
    Error::new(ErrorCode::LifecycleStopped, "the plugin was stopped")
}

/// A context of the host with so much time.
pub(super) fn within(patience: Duration, cancellation: Cancellation) -> CallContext {
    let deadline = clock::now().saturating_add(clock::saturating_nanos(patience));
    CallContext::from_host(deadline, cancellation, Origin::default())
}

/// From 0 up to 1; the middle when the system has no random bytes.
pub(super) fn chance() -> f64 {
    let mut bytes = [0; 4];
    match getrandom::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 0.5,
    }
}
