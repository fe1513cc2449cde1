//! Where a native plugin stands between its processes, and what calls are told then.

use std::sync::Weak;
use std::thread::Thread;
use std::time::Duration;

use super::running::Process;
use super::session::Ending;
use super::terms::Terms;
use crate::clock::{self, Nanos};
use crate::error::{Error, ErrorCode};
use crate::plugin::{CallContext, Cancellation, Origin, RuntimeLimits};

/// What changes in the life of a plugin.
pub(super) struct State {
    /// Where the plugin stands.
    pub(super) phase: Phase,
    /// Limits in force.
    pub(super) limits: RuntimeLimits,
    /// The last start, which may be under way.
    pub(super) starting: Option<Start>,
    /// Calls that wait for a process.
    pub(super) waiting: Vec<Thread>,
    /// How the last process ended.
    pub(super) last: Option<Ending>,
    /// Processes that serve no more, but may still have calls.
    pub(super) leaving: Vec<Weak<Process>>,
}

/// The start of a process.
#[derive(Debug, Clone)]
pub(super) struct Start {
    /// Terms that the process gets.
    pub(super) terms: Terms,
    /// Ends the start when nobody wants it any more.
    pub(super) switch: Cancellation,
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

    /// Ends the start that is under way, if one is.
    pub(super) fn end_start(&mut self) {
        if let Some(start) = self.starting.take() {
            start.switch.cancel();
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
    /// Why there is no process.
    pub(super) fn error(self) -> Error {
        match self {
            Self::Pausing(until) => restarting(until),
            Self::GivenUp => given_up(),
            Self::Serving | Self::Starting => restarting(clock::now()),
            Self::Resting | Self::Stopped => stopped(),
        }
    }

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
fn restarting(until: Nanos) -> Error {
    let left_ms = until.saturating_sub(clock::now()) / 1_000_000;
    Error::new(
        ErrorCode::PluginRestarting,
        format!("the plugin's process ended and is started again in {left_ms} ms (call again then)"),
    )
    .with_detail("retry_after_ms", left_ms)
}

/// Error of a call after too many crashes.
fn given_up() -> Error {
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
