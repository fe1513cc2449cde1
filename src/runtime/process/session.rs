//! What the two protocols have in common.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use tokio::time::Instant;

use super::host_calls::InFlight;
use crate::error::{Error, ErrorCode, Result};
use crate::executor;
use crate::plugin::CallContext;

/// A conversation with one running process, in the protocol that it speaks. Every method blocks its thread, at most until
/// the deadline of its context; all can be used by many threads at the same time.
pub(super) trait Session: Send + Sync {
    /// Asks who the plugin is; answers the JSON document.
    fn register(&self, context: &CallContext) -> Result<Vec<u8>>;

    /// Makes the plugin ready for calls.
    fn init(&self, context: &CallContext, config: &BTreeMap<String, String>) -> Result<()>;

    /// Calls a function; answers JSON, or nothing.
    fn call(&self, call: &InFlight<'_>, function: &str, arguments: &[u8]) -> Result<Vec<u8>>;

    /// Asks whether the plugin can serve calls.
    fn probe(&self, context: &CallContext) -> Result<()>;

    /// Asks the plugin to end its work and itself.
    fn shutdown(&self, context: &CallContext) -> Result<()>;

    /// Ends the conversation: every call that waits, and every later one, fails with what is said here.
    fn close(&self, ending: Ending);
}

/// Called once when a session can't go on: the other side closed it, or broke the protocol. Must not block.
pub(super) type OnLost = Box<dyn FnOnce(Lost) + Send>;

/// Why a session can't go on.
#[derive(Debug, Clone)]
pub(super) enum Lost {
    /// The other side closed the connection.
    Closed,
    /// The other side broke the protocol; one clause that says how.
    Protocol(String),
}

/// Where a plugin writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Channel {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Takes what a plugin writes; answers until when to take no more, so that the plugin waits. Must not block.
pub(super) type Output = Arc<dyn Fn(Channel, &[u8]) -> Option<Instant> + Send + Sync>;

/// Bounds on what a plugin may send.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Longest arguments of a call and of a host call, in bytes.
    pub argument_bytes: usize,
    /// Longest result of a call and of a host call, in bytes.
    pub result_bytes: usize,
}

/// How a process ended, as calls to it learn.
#[derive(Debug, Clone)]
pub(super) struct Ending {
    /// Code of the errors.
    pub code: ErrorCode,
    /// One clause.
    pub reason: String,
    /// Further facts: `exit_code`, `signal`, `log_tail`.
    pub details: Arc<[(&'static str, serde_json::Value)]>,
}

impl Ending {
    /// An ending without further facts.
    #[cfg(test)]
    pub(super) fn new(code: ErrorCode, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), details: Arc::default() }
    }

    /// An error of the start as the end of a process.
    pub(super) fn of(error: &Error) -> Self {
        let details = [("start", error.to_json())];
        Self { code: error.code(), reason: error.to_string(), details: Arc::new(details) }
    }

    /// The error that a call gets.
    pub(super) fn error(&self) -> Error {
        let error = Error::new(self.code, self.reason.clone());
        self.details.iter().fold(error, |error, (key, value)| error.with_detail(key, value.clone()))
    }
}

/// Blocks this thread until `future` is ready, the call is cancelled or its deadline passes.
pub(super) fn wait<T>(context: &CallContext, future: impl Future<Output = T>) -> Result<T> {
    executor::wait(future, |poll| context.block_until(poll))
}
