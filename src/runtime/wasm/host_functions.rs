//! The module `gk` that guests import: `host_call`, `log`, and our additions `last_error` and `caller`. Decodes, asks the host API,
//! encodes; no policy here.

use serde_json::{Value, json};
use wasmtime::{Caller, Linker};

use super::instance::GuestState;
use super::memory::{GuestMemory, Packed};
use crate::error::{Error, ErrorCode, Result, bug};
use crate::host::{LogLevel, Reply};

/// Longest name of a host function, in bytes.
const MAX_FUNCTION_NAME: usize = 128;

/// Longest log message that is read from the guest, in bytes; the host keeps less.
const MAX_LOG_MESSAGE: usize = 64 * 1024;

/// `gk_malloc` may call the host, which allocates, and so on: at most so often.
const MAX_HOST_CALL_DEPTH: u32 = 4;

type Guest<'a> = Caller<'a, GuestState>;
type GuestResult<T> = std::result::Result<T, wasmtime::Error>;

pub(super) fn link(linker: &mut Linker<GuestState>) -> GuestResult<()> {
    linker.func_wrap("gk", "host_call", host_call)?;
    linker.func_wrap("gk", "log", log)?;
    linker.func_wrap("gk", "last_error", last_error)?;
    linker.func_wrap("gk", "caller", caller)?;
    Ok(())
}

/// Answers 0 on every failure, as plugins expect; the reason is kept for `last_error`. Traps only when the whole call is
/// over: deadline, cancellation, or a guest whose allocator failed to hold its side.
fn host_call(mut guest: Guest<'_>, name: u32, name_len: u32, arguments: u32, arguments_len: u32) -> GuestResult<i64> {
    let name = Packed { pointer: name, length: name_len };
    let arguments = Packed { pointer: arguments, length: arguments_len };
    guest.data_mut().last_error = None;
    let answer = serve(&mut guest, name, arguments);
    guest.data().context.check_alive().map_err(wasmtime::Error::new)?;
    match answer {
        Ok(reply) if reply.is_empty() => Ok(0),
        Ok(reply) => place(&mut guest, &reply),
        Err(error) => Ok(fail(&mut guest, &error)),
    }
}

fn serve(guest: &mut Guest<'_>, name: Packed, arguments: Packed) -> Result<Reply> {
    let memory = exported_memory(guest)?.memory;
    let (data, state) = memory.data_and_store_mut(&mut *guest);
    if !state.serving {
        return Err(Error::new(
            ErrorCode::LifecycleNotReady,
            "the host API is not available before the plugin has registered",
        ));
    }
    state.host_calls = state.host_calls.saturating_add(1);
    let readable = check_counts(state).and_then(|()| decode(data, state, name, arguments));
    let (name, arguments) = readable.map_err(|error| accounted(state, UNREADABLE, error))?;
    let reply = state.host.call(&state.context, name, arguments)?;
    if reply.len() > state.bounds.result_bytes {
        let too_large = Error::new(
            ErrorCode::PluginResultTooLarge,
            format!("the answer of {name} has {} bytes, the limit is {}", reply.len(), state.bounds.result_bytes),
        );
        return Err(accounted(state, name, too_large));
    }
    Ok(reply)
}

/// What stands for the name of a function that could not be read.
const UNREADABLE: &str = "?";

/// Failures that never reach the host API are made known to it: the log has every failed host call.
fn accounted(state: &GuestState, function: &str, error: Error) -> Error {
    state.host.failed(&state.context, function, &error);
    error
}

fn check_counts(state: &GuestState) -> Result<()> {
    if state.host_call_depth >= MAX_HOST_CALL_DEPTH {
        return Err(Error::new(ErrorCode::LifecycleReentrant, "gk_malloc calls the host in a circle"));
    }
    let limit = state.bounds.host_calls;
    if limit > 0 && state.host_calls > limit {
        return Err(Error::new(
            ErrorCode::PolicyQuotaExceeded,
            format!("more than {limit} host calls in one call (`max_host_calls_per_call` in the plugin's policy)"),
        ));
    }
    Ok(())
}

fn decode<'a>(data: &'a [u8], state: &GuestState, name: Packed, arguments: Packed) -> Result<(&'a str, &'a [u8])> {
    let name = read(data, name, MAX_FUNCTION_NAME, "the name of a host function")?;
    let name = std::str::from_utf8(name).map_err(|error| {
        Error::new(ErrorCode::PolicyFunctionUnknown, "the name of the host function is not UTF-8").with_source(error)
    })?;
    let arguments = read(data, arguments, state.bounds.argument_bytes, "the arguments of a host call")?;
    Ok((name, arguments))
}

/// Hands bytes to the guest, which owns them from then on.
fn place(guest: &mut Guest<'_>, bytes: &[u8]) -> GuestResult<i64> {
    let memory = exported_memory(guest).map_err(wasmtime::Error::new)?;
    guest.data_mut().host_call_depth += 1;
    let placed = memory.place(&mut *guest, bytes);
    guest.data_mut().host_call_depth -= 1;
    match placed {
        Ok(packed) => Ok(packed.to_guest()),
        Err(error) => match error.downcast::<Error>() {
            Ok(error) if error.code() == ErrorCode::PluginAllocation => {
                let error = accounted(guest.data(), UNREADABLE, error);
                Ok(fail(guest, &error))
            }
            Ok(error) => Err(wasmtime::Error::new(error)),
            Err(error) => Err(error),
        },
    }
}

fn fail(guest: &mut Guest<'_>, error: &Error) -> i64 {
    let mut document = error.to_json();
    if let Value::Object(fields) = &mut document {
        fields.remove("plugin");
    }
    guest.data_mut().last_error = Some(document.to_string());
    0
}

/// What can't be read is ignored, as plugins expect.
fn log(mut guest: Guest<'_>, level: i32, message: u32, message_len: u32) {
    let Ok(memory) = exported_memory(&mut guest) else { return };
    let (data, state) = memory.memory.data_and_store_mut(&mut guest);
    let Ok(range) = (Packed { pointer: message, length: message_len }).range(data.len()) else { return };
    let message = data.get(range).unwrap_or_default();
    let text = String::from_utf8_lossy(message.get(..MAX_LOG_MESSAGE).unwrap_or(message));
    let context = state.serving.then_some(&state.context);
    state.host.log(context, LogLevel::from_number(level), &text);
}

/// JSON `{"code", "message", "status", …}` of the last failed host call in memory that the guest owns; 0 when the last
/// host call did not fail.
fn last_error(mut guest: Guest<'_>) -> GuestResult<i64> {
    match guest.data_mut().last_error.take() {
        Some(text) => {
            let placed = place(&mut guest, text.as_bytes())?;
            guest.data_mut().last_error = Some(text);
            Ok(placed)
        }
        None => Ok(0),
    }
}

/// JSON `{"plugin", "chain"}` of the plugin that made the present call, and of all that are in the middle of one, outermost
/// first, in memory that the guest owns; 0 when the host itself calls. The host's word, whatever the arguments say.
fn caller(mut guest: Guest<'_>) -> GuestResult<i64> {
    let state = guest.data();
    let Some(plugin) = state.context.chain.innermost().filter(|_| state.serving) else { return Ok(0) };
    let text = json!({"plugin": &**plugin, "chain": state.context.chain.names()}).to_string();
    check_counts(state).map_err(wasmtime::Error::new)?;
    place(&mut guest, text.as_bytes())
}

fn exported_memory(guest: &mut Guest<'_>) -> Result<GuestMemory> {
    // Missing only while the start section of the module runs.
    guest.data().memory.clone().ok_or_else(|| {
        Error::new(ErrorCode::LifecycleNotReady, "the host API is not available in the module's start section")
    })
}

fn read<'a>(data: &'a [u8], range: Packed, limit: usize, what: &str) -> Result<&'a [u8]> {
    if range.length as usize > limit {
        return Err(Error::new(
            ErrorCode::PolicyArguments,
            format!("{what} has {} bytes, the limit is {limit}", range.length),
        ));
    }
    let range = range.range(data.len())?;
    data.get(range).ok_or_else(|| bug!("a checked range is outside the memory"))
}
