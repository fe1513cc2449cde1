//! What a plugin is, whatever runs it: a name, a registration, and functions that take and give bytes.

pub mod artifact;
pub mod call;
pub mod manifest;
pub mod name;
pub mod recovery;
pub mod registration;
pub mod strand;
pub mod trace;

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::error::Result;
pub use artifact::Artifact;
pub use call::{CallContext, Cancellation, Chain, MAX_CALL_DEPTH, Origin};
pub use manifest::{Manifest, RuntimeKind};
pub use recovery::Recovery;
pub use registration::Registration;
pub use strand::Strand;
pub use trace::TraceContext;

/// Takes the bytes of a result while they still lie in the plugin's memory.
pub type ResultSink<'a> = dyn FnMut(&[u8]) -> Result<()> + 'a;

/// What a running plugin may hold and hand over; the plugin's policy decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuntimeLimits {
    /// Bytes of memory for each instance or process.
    pub memory_bytes: usize,
    /// Calls that are served at the same time.
    pub instances: u32,
    /// Longest arguments of a call and of a host call, in bytes.
    pub argument_bytes: usize,
    /// Longest result of a call and of a host call, in bytes.
    pub result_bytes: usize,
    /// Host calls within one call; 0 = no limit.
    pub host_calls: u32,
}

/// A running plugin. A caller can't tell which runtime answers.
pub trait Plugin: Send + Sync {
    /// What the plugin said about itself.
    fn registration(&self) -> &Registration;

    /// Calls `function`. `result` is called once with the answer, or not at all when the plugin answers nothing.
    ///
    /// Blocks until the plugin has answered, at most until the context's deadline.
    fn call(&self, context: &CallContext, function: &str, arguments: &[u8], result: &mut ResultSink<'_>) -> Result<()>;

    /// Puts other limits in force, for calls that start from now on.
    fn set_limits(&self, limits: &RuntimeLimits);

    /// Fails when the plugin can't serve calls now. A plugin that serves as many calls as it may is healthy. Blocks at most
    /// until the context's deadline.
    fn probe(&self, _context: &CallContext) -> Result<()> {
        Ok(())
    }

    /// Starts the plugin afresh; calls that are under way end where they are, and calls that wait are served afterwards.
    fn restart(&self) -> Result<()> {
        Ok(())
    }

    /// Frees what can be made again: the plugin is only kept for a way back. Calls that are under way end where they are.
    fn rest(&self) -> Result<()> {
        Ok(())
    }

    /// Lets go of a plugin that another version has replaced: it begins no call any more, and calls that are under way end
    /// where they are.
    fn let_go(&self) -> Result<()> {
        self.stop(Duration::ZERO)
    }

    /// True when a process answers calls, so that the thread of the caller only waits.
    fn is_process(&self) -> bool {
        false
    }

    /// State of the plugin's process, its protocol and its jail; `None` for a plugin without one.
    fn process(&self) -> Option<Value> {
        None
    }

    /// Frees what the plugin holds; calls that are still running end on their own.
    fn stop(&self, patience: Duration) -> Result<()>;

    /// What the runtime knows about the plugin at this moment.
    fn usage(&self) -> RuntimeUsage;
}

/// What a runtime reports about a plugin.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct RuntimeUsage {
    /// Instances that exist.
    pub instances: u32,
    /// Instances that were thrown away after a trap, a timeout or a broken limit.
    pub instances_discarded: u64,
    /// Calls that were handed to a thread of the library because the caller's stack was too small.
    pub calls_relayed: u64,
    /// Bytes of linear memory that the instances hold.
    pub memory_bytes: u64,
}
