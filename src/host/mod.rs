//! What a plugin may ask of its host: the functions, their arguments, and the interfaces of those who answer.

pub mod arguments;
pub mod event;
pub mod functions;
pub mod log;
pub mod outbound;
pub mod provider;
pub mod request;

use crate::error::{Error, Result};
use crate::plugin::{CallContext, ResultSink};
pub use event::{Event, EventSink};
pub use functions::{Function, Service};
pub use log::{LogLevel, LogRecord};
pub use outbound::{HttpRequest, HttpTarget, Mail};
pub use provider::{HostCall, Provider, Reply};
pub use request::{Request, SqlValue};

/// The host as one plugin sees it. A runtime can't tell whether a sandbox stands in between.
pub trait HostApi: Send + Sync {
    /// Serves one host call. `arguments` and the answer are JSON (docs/contract.md 2.2).
    fn call(&self, context: &CallContext, function: &str, arguments: &[u8]) -> Result<Reply>;

    /// Takes note of a host call that failed before it could be made.
    fn failed(&self, context: &CallContext, function: &str, error: &Error);

    /// Takes a line for the plugin's log.
    fn log(&self, context: Option<&CallContext>, level: LogLevel, message: &str);
}

/// Calls plugins by name; what `plugin_call` needs.
pub trait PluginCaller: Send + Sync {
    /// Calls `function` of `plugin` in `context`, whose chain names the callers.
    fn call_plugin(
        &self,
        context: &CallContext,
        plugin: &str,
        function: &str,
        arguments: &[u8],
        result: &mut ResultSink<'_>,
    ) -> Result<()>;
}
