//! Turns what wasmtime reports into the library's errors.

use std::fmt;

use serde_json::Value;
use wasmtime::{Trap, WasmBacktrace};

use super::instance::GuestState;
use crate::error::{Error, ErrorCode};
use crate::plugin::name::shorten;

/// The guest called `proc_exit`.
#[derive(Debug)]
pub(super) struct GuestExit(pub(super) i32);

impl fmt::Display for GuestExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the plugin ended itself with exit code {}", self.0)
    }
}

impl std::error::Error for GuestExit {}

/// The library's error for a failed entry into the guest; `entry` names what was called.
pub(super) fn classify(error: wasmtime::Error, state: &GuestState, entry: &str) -> Error {
    let backtrace = function_names(&error);
    let classified = match error.downcast::<Error>() {
        Ok(own) => return own,
        Err(error) => classify_foreign(&error, state, entry),
    };
    if backtrace.is_empty() { classified } else { classified.with_detail("backtrace", backtrace) }
}

fn classify_foreign(error: &wasmtime::Error, state: &GuestState, entry: &str) -> Error {
    if let Some(exit) = error.downcast_ref::<GuestExit>() {
        return Error::new(ErrorCode::PluginExited, format!("{exit} in `{entry}`"));
    }
    let trap = error.downcast_ref::<Trap>();
    if trap == Some(&Trap::StackOverflow) {
        return Error::new(ErrorCode::PluginStackExhausted, format!("the plugin used up its stack in `{entry}`"));
    }
    let reason = trap.map_or_else(|| shorten(&error.root_cause().to_string(), 300), ToString::to_string);
    if let Some(refusal) = state.limiter.refusal() {
        return Error::new(
            ErrorCode::PluginMemoryLimit,
            format!("the plugin failed in `{entry}` after {refusal} (ask for more in `resources.memory_mb`): {reason}"),
        );
    }
    Error::new(ErrorCode::PluginTrap, format!("the plugin trapped in `{entry}`: {reason}"))
}

/// Names of the guest's functions on its stack, innermost first: text of the plugin's author.
fn function_names(error: &wasmtime::Error) -> Vec<Value> {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return Vec::new() };
    let name = |frame: &wasmtime::FrameInfo| {
        frame.func_name().map_or_else(|| format!("function {}", frame.func_index()), |name| shorten(name, 100))
    };
    backtrace.frames().iter().map(|frame| name(frame).into()).collect()
}
