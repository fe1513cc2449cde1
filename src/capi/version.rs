//! Versions, codes and what this machine offers.

use std::ffi::{CStr, c_char};

use super::args::Args;
use super::buffer::goatflow_plugin_buffer;
use super::error::goatflow_plugin_error;
use super::guard::{guard, guard_value};
use crate::doctor;
use crate::error::{Error, ErrorCode};
use crate::manager::Config;
use crate::runtime::process::jail::Jail;

/// Version of the ABI: the soname carries it.
pub const ABI_VERSION: u32 = 1;

/// Version of the library, NUL-terminated.
const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => c"unknown",
};

/// Get the version of the ABI that the library implements.
///
/// Parameters: none.
///
/// Threads: any.
/// Errors: none; 0 when the library can't answer.
/// Since: ABI 1.
#[unsafe(no_mangle)]
pub extern "C" fn goatflow_plugin_abi_version() -> u32 {
    guard_value(0, || ABI_VERSION)
}

/// Get the version of the library, for example "0.1.0".
///
/// Parameters: none.
///
/// Threads: any. The text is static.
/// Errors: none; "" when the library can't answer.
/// Since: ABI 1.
#[unsafe(no_mangle)]
pub extern "C" fn goatflow_plugin_version() -> *const c_char {
    guard_value(c"", || VERSION).as_ptr()
}

/// Check that the library implements the ABI that a program was compiled against.
///
/// Call it once with `GOATFLOW_PLUGIN_ABI_VERSION` before anything else.
///
/// Parameters:
/// - `header_abi_version`: the macro of the header that the program was compiled with.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_ARGUMENT_ABI` when the versions do not fit.
/// Since: ABI 1.
///
/// # Safety
/// `out_error` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_abi_check(
    header_abi_version: u32,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    guard(out_error, || {
        if header_abi_version == ABI_VERSION {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::ArgumentAbi,
            format!(
                "the program was compiled for ABI {header_abi_version}, the library has ABI {ABI_VERSION} (compile against the library's header)"
            ),
        ))
    })
}

/// Get the stable code that belongs to a status number.
///
/// Parameters:
/// - `status`: status as any function returns it.
///
/// Threads: any. The text is static.
/// Errors: none; "ok" for 0, "unknown" for numbers that no error has.
/// Since: ABI 1.
#[unsafe(no_mangle)]
pub extern "C" fn goatflow_plugin_status_slug(status: i32) -> *const c_char {
    let slug = |status| match status {
        0 => c"ok",
        other => ErrorCode::from_number(other).map_or(c"unknown", ErrorCode::slug_c),
    };
    guard_value(c"unknown", || slug(status)).as_ptr()
}

/// Get all status numbers with their codes, for bindings.
///
/// Parameters:
/// - `out_json`: JSON array of `{"status", "code", "constant", "retryable"}`; release with `goatflow_plugin_buffer_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_ARGUMENT_NULL`.
/// Since: ABI 1.
///
/// # Safety
/// The out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_status_table(
    out_json: *mut goatflow_plugin_buffer,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        args.out(out_json, "out_json")?.set(doctor::status_table().into());
        Ok(())
    })
}

/// Get what this machine and this process offer: versions, CPU count, signal handlers in force, stack sizes.
///
/// Parameters:
/// - `out_json`: JSON object; release with `goatflow_plugin_buffer_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_ARGUMENT_NULL`.
/// Since: ABI 1.
///
/// # Safety
/// The out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_doctor(
    out_json: *mut goatflow_plugin_buffer,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        args.out(out_json, "out_json")?.set(doctor::report().into());
        Ok(())
    })
}

/// Get how well this machine can isolate native plugins, layer by layer, and what to do about what is missing.
///
/// Nothing is remembered: each call builds a real jail, runs the library's launcher in it and takes it down again, which costs
/// some milliseconds and processes that end before it returns.
///
/// Parameters:
/// - `out_json`: JSON object `{"level", "layers": [{"name", "state", …}]}`; release with `goatflow_plugin_buffer_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_ENVIRONMENT_UNSUPPORTED` where native plugins can't run at all, `…_STATUS_ENVIRONMENT_…` when no jail can
/// be built, `…_STATUS_ARGUMENT_NULL`.
/// Since: ABI 1.
///
/// # Safety
/// The out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_isolation_report(
    out_json: *mut goatflow_plugin_buffer,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.out(out_json, "out_json")?;
        out.set(Jail::new()?.report_default()?.to_json().into());
        Ok(())
    })
}

/// Get the JSON Schema of the configuration document of a manager.
///
/// Parameters:
/// - `out_json`: JSON Schema; release with `goatflow_plugin_buffer_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_ARGUMENT_NULL`.
/// Since: ABI 1.
///
/// # Safety
/// The out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_config_schema(
    out_json: *mut goatflow_plugin_buffer,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        args.out(out_json, "out_json")?.set(Config::schema().into());
        Ok(())
    })
}
