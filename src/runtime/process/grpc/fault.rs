//! What can go wrong in one remote call, and the error that its caller gets.

use std::fmt;

use http::HeaderMap;
use serde_json::Value;

use crate::error::{Error, ErrorCode};
use crate::plugin::{CallContext, name};
use crate::proto::plugin::Failure;

/// Longest message of a plugin that goes into an error, in bytes.
const MAX_MESSAGE: usize = 2_000;

/// Longest code of a plugin that goes into an error, in bytes.
const MAX_CODE: usize = 128;

/// Longest further facts of a plugin that go into an error, in bytes.
const MAX_DETAIL: usize = 16 * 1024;

/// Why a remote call has no answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// The other side answered that it failed.
    Status(Status),
    /// The other side ended this one call.
    Reset(h2::Reason),
    /// A message is longer than allowed; it was not read.
    TooLong {
        /// What the sender said, in bytes.
        length: usize,
        /// What is allowed.
        limit: usize,
    },
    /// What came is not gRPC; one clause.
    Malformed(String),
    /// The connection broke the rules of HTTP/2; one clause.
    Broken(String),
    /// The connection is at its end.
    Gone,
}

impl Fault {
    /// The error of a call to `method`; nothing when that depends on how the session ends.
    pub(super) fn error(&self, method: &str, context: &CallContext) -> Option<Error> {
        match self {
            Self::Status(status) => Some(status.error(method, context)),
            Self::TooLong { length, limit } => {
                let message = format!("the plugin answered a message of {length} bytes, the limit is {limit}");
                Some(Error::new(ErrorCode::PluginResultTooLarge, message))
            }
            // Servers that watch the deadline too may reset the call when it has passed, before the host has noticed.
            Self::Reset(_) => context.check_alive().err().or_else(|| Some(self.breach())),
            Self::Malformed(_) => Some(self.breach()),
            Self::Broken(_) | Self::Gone => None,
        }
    }

    fn breach(&self) -> Error {
        Error::new(ErrorCode::PluginProtocol, self.to_string())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "the plugin answered {}", status.name()),
            Self::Reset(reason) => {
                write!(f, "the plugin ended the call without an answer (HTTP/2 {})", reason_name(*reason))
            }
            Self::TooLong { length, limit } => {
                write!(f, "the plugin sent a message of {length} bytes, the limit is {limit}")
            }
            Self::Malformed(reason) => write!(f, "the plugin's gRPC is malformed: {reason}"),
            Self::Broken(reason) => f.write_str(reason),
            Self::Gone => f.write_str("the plugin closed its connection"),
        }
    }
}

fn reason_name(reason: h2::Reason) -> String {
    format!("{reason:?}")
}

impl From<h2::Error> for Fault {
    fn from(error: h2::Error) -> Self {
        let reason = error.reason();
        if error.is_reset() && error.is_remote() {
            return Self::Reset(reason.unwrap_or(h2::Reason::INTERNAL_ERROR));
        }
        if error.is_io() || reason == Some(h2::Reason::NO_ERROR) {
            return Self::Gone;
        }
        let Some(reason) = reason.as_ref().map(h2::Reason::description) else {
            return Self::Broken(format!("the connection can't be used any more: {error}"));
        };
        match error.is_remote() {
            true => Self::Broken(format!("the plugin ended the conversation: {reason}")),
            false => Self::Broken(format!("the plugin's HTTP/2 breaks the rules: {reason}")),
        }
    }
}

/// How a remote call ended, in gRPC's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Status {
    /// Number.
    pub code: u32,
    /// What the other side says about it; as it came, but bounded.
    pub message: String,
}

impl Status {
    /// It went well.
    pub(super) const OK: u32 = 0;
    /// There is no such method.
    pub(super) const UNIMPLEMENTED: u32 = 12;
    /// The other side failed in itself.
    pub(super) const INTERNAL: u32 = 13;
    const CANCELLED: u32 = 1;
    const DEADLINE_EXCEEDED: u32 = 4;

    /// Names by number, from 0.
    const NAMES: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];

    /// The status in headers or trailers, if there is one.
    pub(super) fn of(headers: &HeaderMap) -> Result<Option<Self>, Fault> {
        let Some(code) = headers.get("grpc-status") else { return Ok(None) };
        let code = code.to_str().ok().filter(|text| text.len() <= 3).and_then(|text| text.parse().ok());
        let code = code.ok_or_else(|| Fault::Malformed("the status is no number".to_owned()))?;
        let message = headers.get("grpc-message").map(|message| percent_decoded(message.as_bytes()));
        Ok(Some(Self { code, message: message.unwrap_or_default() }))
    }

    /// The status as a success or a fault.
    pub(super) fn into_result(self) -> Result<(), Fault> {
        if self.code == Self::OK { Ok(()) } else { Err(Fault::Status(self)) }
    }

    fn name(&self) -> &'static str {
        let name = usize::try_from(self.code).ok().and_then(|code| Self::NAMES.get(code));
        name.copied().unwrap_or("UNKNOWN")
    }

    /// The error of a call to `method` that ended so.
    pub(super) fn error(&self, method: &str, context: &CallContext) -> Error {
        let message = printable(&self.message, MAX_MESSAGE);
        let error = match (self.code, context.check_alive()) {
            // Many libraries watch the deadline too, and some call its passing a cancellation.
            (Self::CANCELLED, Err(error)) => error,
            (Self::DEADLINE_EXCEEDED, _) => crate::plugin::call::deadline_exceeded(),
            (Self::UNIMPLEMENTED, _) => Error::new(
                ErrorCode::PackageContract,
                format!("the plugin does not implement `{method}` (serve `goatflow.plugin.v1.Plugin`)"),
            ),
            _ if message.is_empty() => {
                Error::new(ErrorCode::PluginFailed, format!("the plugin failed: {}", self.name()))
            }
            _ => Error::new(ErrorCode::PluginFailed, message),
        };
        error.with_detail("grpc_status", self.name())
    }
}

/// The error of a call that the plugin says it could not serve.
pub(super) fn failed(failure: &Failure) -> Error {
    let mut message = printable(&failure.message, MAX_MESSAGE);
    if message.is_empty() {
        "the plugin failed without saying why".clone_into(&mut message);
    }
    let mut error = Error::new(ErrorCode::PluginFailed, message);
    if !failure.code.is_empty() {
        error = error.with_detail("plugin_code", name::shorten(&failure.code, MAX_CODE));
    }
    if failure.retryable {
        error = error.with_detail("plugin_retryable", true);
    }
    let detail = Some(&failure.detail).filter(|detail| detail.len() <= MAX_DETAIL);
    let detail = detail.and_then(|detail| serde_json::from_slice::<Value>(detail).ok());
    match detail.filter(Value::is_object) {
        Some(detail) => error.with_detail("plugin_detail", detail),
        None => error,
    }
}

/// At most `max` bytes of a text of the plugin, with what could forge lines escaped.
pub(super) fn printable(text: &str, max: usize) -> String {
    let mut out = String::new();
    for character in text.chars() {
        let start = out.len();
        match name::is_unprintable(character) {
            true => out.extend(character.escape_default()),
            false => out.push(character),
        }
        if out.len() > max {
            out.truncate(start);
            out.push('…');
            break;
        }
    }
    out
}

/// gRPC sends messages of a status with `%` and two digits for what headers can't carry.
fn percent_decoded(bytes: &[u8]) -> String {
    let mut out = Vec::new();
    let mut rest = bytes;
    while let Some((&first, tail)) = rest.split_first() {
        if out.len() > MAX_MESSAGE {
            break;
        }
        let digits = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.filter(|_| first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(byte.unwrap_or(first));
        rest = if byte.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    String::from_utf8_lossy(&out).into_owned()
}
