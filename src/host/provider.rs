//! Who does the work behind the sandbox: a built-in provider or a callback of the host, one per service.

use std::borrow::Cow;
use std::sync::Arc;

use super::functions::Service;
use super::request::Request;
use crate::error::Result;
use crate::plugin::CallContext;

/// JSON bytes of an answer. Fixed answers need no allocation.
pub type Reply = Cow<'static, [u8]>;

/// A host call that passed every gate.
#[derive(Debug)]
pub struct HostCall<'a> {
    /// Plugin that calls: stamped by the host, never taken from what the plugin says.
    pub plugin: &'a Arc<str>,
    /// The call of the plugin in which it happens.
    pub context: &'a CallContext,
    /// Service it belongs to.
    pub service: Service,
    /// Name of the function.
    pub function: &'a str,
    /// Arguments.
    pub request: &'a Request<'a>,
}

/// Answers the calls of a service. May block until the context's deadline.
pub trait Provider: Send + Sync {
    /// Serves one call.
    fn serve(&self, call: &HostCall<'_>) -> Result<Reply>;
}

/// `{"ok":true}`
pub const OK: Reply = Cow::Borrowed(br#"{"ok":true}"#);

/// `{"status":"ok"}`
pub const STATUS_OK: Reply = Cow::Borrowed(br#"{"status":"ok"}"#);
