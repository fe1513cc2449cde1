//! Structs that cross the boundary.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use super::args::{Args, Sized32};
use super::cancellation::{CANCELLATIONS, goatflow_plugin_cancellation};
use crate::error::{Error, ErrorCode, Result};
use crate::manager::CallOptions;
use crate::plugin::{Cancellation, Origin, TraceContext};

/// Longest request id and language, in bytes.
const MAX_LABEL: usize = 128;

/// Flag of a call: where the plugin is a process, so that the calling thread would only wait for it, fail at once with
/// `…_STATUS_LIFECYCLE_PENDING`; nothing was called, and the call can be started asynchronously instead. For hosts whose
/// threads are dear. Without effect on asynchronous calls, and in callbacks, where calls are nested.
pub const GOATFLOW_PLUGIN_CALL_NO_WAITING: u32 = 1;

/// How a call is to be made. Set `struct_size` to `sizeof(goatflow_plugin_call_options)` and everything else to zero, then
/// the fields you need.
#[repr(C)]
#[derive(Debug)]
pub struct goatflow_plugin_call_options {
    /// Size of this struct.
    pub struct_size: u32,
    /// `GOATFLOW_PLUGIN_CALL_…`, or 0.
    pub flags: u32,
    /// Longest time for the call in milliseconds; 0 = the plugin's policy decides. Never longer than the policy's.
    pub timeout_ms: u64,
    /// Stops the call; NULL = nothing does. May be released while the call runs.
    pub cancellation: *const goatflow_plugin_cancellation,
    /// Handed to the host's callbacks of this call and of calls nested in it; never touched.
    pub host_context: *mut c_void,
    /// UTF-8 text that ties log lines and callbacks to a request; at most 128 bytes; NULL = none.
    pub request_id: *const c_char,
    /// Length of `request_id` in bytes.
    pub request_id_len: usize,
    /// Language for `translate`, for example "de"; NULL = the manager's default.
    pub language: *const c_char,
    /// Length of `language` in bytes.
    pub language_len: usize,
    /// W3C `traceparent` of the caller, which native plugins are handed; NULL = none. Check what strangers sent: a text that
    /// is not one fails the call.
    pub traceparent: *const c_char,
    /// Length of `traceparent` in bytes.
    pub traceparent_len: usize,
    /// W3C `tracestate` that belongs to `traceparent`; NULL = none.
    pub tracestate: *const c_char,
    /// Length of `tracestate` in bytes.
    pub tracestate_len: usize,
}

// SAFETY: repr(C) plain data, all zero is valid (NULL pointers and 0), begins with a u32.
unsafe impl Sized32 for goatflow_plugin_call_options {
    const MIN: usize = 8;
}

/// One call that a plugin makes of the host, after it passed the sandbox. Everything in it is valid during the callback
/// only.
#[repr(C)]
#[derive(Debug)]
pub struct goatflow_plugin_host_call {
    /// Size of this struct; later versions may append fields.
    pub struct_size: u32,
    /// Plugin calls that this one is nested in: 0 = the host called the plugin itself.
    pub depth: u32,
    /// Name of the plugin that calls, stamped by the library.
    pub plugin: *const c_char,
    /// Length of `plugin` in bytes.
    pub plugin_len: usize,
    /// Service, for example "db", or "custom".
    pub service: *const c_char,
    /// Length of `service` in bytes.
    pub service_len: usize,
    /// Function, for example "db_query".
    pub function: *const c_char,
    /// Length of `function` in bytes.
    pub function_len: usize,
    /// Arguments as JSON: exactly what the sandbox checked.
    pub arguments: *const u8,
    /// Length of `arguments` in bytes.
    pub arguments_len: usize,
    /// JSON array of plugin names, outermost caller first, this plugin last.
    pub chain: *const c_char,
    /// Length of `chain` in bytes.
    pub chain_len: usize,
    /// Request id from the call's options.
    pub request_id: *const c_char,
    /// Length of `request_id` in bytes.
    pub request_id_len: usize,
    /// Language from the call's options.
    pub language: *const c_char,
    /// Length of `language` in bytes.
    pub language_len: usize,
    /// Pointer from the call's options.
    pub host_context: *mut c_void,
    /// Milliseconds until the deadline of the call.
    pub remaining_ms: i64,
}

/// Start of bytes that cross to C; NULL when there are none, never the dangling pointer of an empty slice.
pub(super) fn start(bytes: &[u8]) -> *const u8 {
    if bytes.is_empty() { std::ptr::null() } else { bytes.as_ptr() }
}

/// The options of a call; NULL is the default.
pub(super) fn call_options(args: Args<'_>, options: *const goatflow_plugin_call_options) -> Result<CallOptions> {
    let options = args.sized(options, "options")?;
    if options.flags & !GOATFLOW_PLUGIN_CALL_NO_WAITING != 0 {
        return Err(Error::new(ErrorCode::ArgumentUnsupportedOption, "`options->flags` has unknown bits"));
    }
    let cancellation = args.optional_handle(&CANCELLATIONS, options.cancellation, "options->cancellation")?;
    let request_id = args.text(options.request_id, options.request_id_len, "options->request_id")?;
    let language = args.text(options.language, options.language_len, "options->language")?;
    if request_id.len() > MAX_LABEL || language.len() > MAX_LABEL {
        return Err(Error::new(
            ErrorCode::ArgumentTooLarge,
            format!("`options->request_id` and `options->language` have at most {MAX_LABEL} bytes"),
        ));
    }
    let trace = TraceContext::parse(
        args.text(options.traceparent, options.traceparent_len, "options->traceparent")?,
        args.text(options.tracestate, options.tracestate_len, "options->tracestate")?,
    )?;
    let label = |text: &str| (!text.is_empty()).then(|| text.into());
    Ok(CallOptions {
        timeout_ms: options.timeout_ms,
        no_waiting: options.flags & GOATFLOW_PLUGIN_CALL_NO_WAITING != 0,
        cancellation: cancellation.map_or_else(Cancellation::default, |cancellation| (*cancellation).clone()),
        origin: Origin {
            host_context: options.host_context.expose_provenance(),
            request_id: label(request_id),
            language: label(language),
            trace: trace.map(Arc::new),
        },
    })
}

const _: () = {
    assert!(size_of::<goatflow_plugin_call_options>() == 96);
    assert!(size_of::<goatflow_plugin_host_call>() == 136);
};
