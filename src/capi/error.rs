//! Error objects.

use std::ffi::{CStr, CString, c_char};
use std::sync::Arc;

use super::guard::{guard_release, guard_value};
use super::handle::Table;
use crate::error::{Error, ErrorCode};

/// What went wrong: status, stable code, message, plugin, JSON detail. Release with `goatflow_plugin_error_free`.
pub struct goatflow_plugin_error {
    _private: [u8; 0],
}

static ERRORS: Table<CError> = Table::new(0xA0, "error");

/// An error as C reads it.
struct CError {
    code: ErrorCode,
    message: CString,
    plugin: CString,
    detail: CString,
}

impl From<Error> for CError {
    fn from(error: Error) -> Self {
        let detail = serde_json::Value::Object(error.detail().clone()).to_string();
        Self {
            code: error.code(),
            message: text(&error.to_string()),
            plugin: text(error.plugin().unwrap_or_default()),
            detail: text(&detail),
        }
    }
}

/// C strings end at their first NUL: it must not hide the rest.
fn text(text: &str) -> CString {
    CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default()
}

/// Makes an error object; NULL when even that fails.
pub(super) fn into_handle(error: Error) -> *const goatflow_plugin_error {
    let handle = ERRORS.insert(Arc::new(error.into())).unwrap_or_default();
    std::ptr::without_provenance(handle)
}

/// Writes an error object to where the caller wants one.
pub(super) fn hand_out(out_error: *mut *const goatflow_plugin_error, error: Error) {
    // SAFETY: every exported function documents `out_error` as NULL or writable.
    if let Some(place) = unsafe { out_error.as_mut() } {
        *place = into_handle(error);
    }
}

/// The error of every function in a forked child: fixed, so that the child needs no lock and no memory.
const FORKED: usize = 0xA0FF_FFFF_FFFF_FFFF;
const FORKED_MESSAGE: &CStr =
    c"the process was forked after the library was used; only the parent can go on using it (use exec or posix_spawn)";

/// Writes the error of a forked child to where the caller wants one.
pub(super) fn hand_out_forked(out_error: *mut *const goatflow_plugin_error) {
    // SAFETY: as in `hand_out`.
    if let Some(place) = unsafe { out_error.as_mut() } {
        *place = std::ptr::without_provenance(FORKED);
    }
}

/// Says that there is no error.
pub(super) fn clear(out_error: *mut *const goatflow_plugin_error) {
    // SAFETY: as in `hand_out`.
    if let Some(place) = unsafe { out_error.as_mut() } {
        *place = std::ptr::null();
    }
}

fn read<T>(error: *const goatflow_plugin_error, default: T, get: impl FnOnce(&CError) -> T) -> T {
    guard_value(None, || ERRORS.resolve(error.addr(), "error").ok().map(|error| get(&error))).unwrap_or(default)
}

fn read_text(error: *const goatflow_plugin_error, get: impl FnOnce(&CError) -> &CStr) -> *const c_char {
    // The text lives in the object, which the table keeps until the handle is freed.
    read(error, c"".as_ptr(), |error| get(error).as_ptr())
}

/// Get the status number of an error.
///
/// Parameters:
/// - `error`: error object; NULL or a released one gives 0.
///
/// Threads: any.
/// Errors: none.
/// Since: ABI 1.
#[unsafe(no_mangle)]
pub extern "C" fn goatflow_plugin_error_status(error: *const goatflow_plugin_error) -> i32 {
    if error.addr() == FORKED {
        return ErrorCode::EnvironmentForked.number();
    }
    read(error, 0, |error| error.code.number())
}

/// Get the stable code of an error, for example `policy.sql.table_denied`.
///
/// Parameters:
/// - `error`: error object; NULL or a released one gives "".
///
/// Threads: any. The text is static.
/// Errors: none.
/// Since: ABI 1.
#[unsafe(no_mangle)]
pub extern "C" fn goatflow_plugin_error_code(error: *const goatflow_plugin_error) -> *const c_char {
    if error.addr() == FORKED {
        return ErrorCode::EnvironmentForked.slug_c().as_ptr();
    }
    read_text(error, |error| error.code.slug_c())
}

/// Get the message of an error: what happened, and where there is one the next step to take.
///
/// Parameters:
/// - `error`: error object; NULL or a released one gives "".
///
/// Threads: any. The text, UTF-8, lives until the error is released.
/// Errors: none.
/// Since: ABI 1.
#[unsafe(no_mangle)]
pub extern "C" fn goatflow_plugin_error_message(error: *const goatflow_plugin_error) -> *const c_char {
    if error.addr() == FORKED {
        return FORKED_MESSAGE.as_ptr();
    }
    read_text(error, |error| &error.message)
}

/// Get the name of the plugin that an error is about.
///
/// Parameters:
/// - `error`: error object; NULL, a released one, or one that is not about a plugin gives "".
///
/// Threads: any. The text lives until the error is released.
/// Errors: none.
/// Since: ABI 1.
#[unsafe(no_mangle)]
pub extern "C" fn goatflow_plugin_error_plugin(error: *const goatflow_plugin_error) -> *const c_char {
    read_text(error, |error| &error.plugin)
}

/// Get further facts about an error as a JSON object.
///
/// Parameters:
/// - `error`: error object; NULL or a released one gives "".
///
/// Threads: any. The text lives until the error is released.
/// Errors: none.
/// Since: ABI 1.
#[unsafe(no_mangle)]
pub extern "C" fn goatflow_plugin_error_detail(error: *const goatflow_plugin_error) -> *const c_char {
    if error.addr() == FORKED {
        return c"{}".as_ptr();
    }
    read_text(error, |error| &error.detail)
}

/// Tell whether the same request may succeed later without any change.
///
/// Parameters:
/// - `error`: error object; NULL or a released one gives 0.
///
/// Threads: any.
/// Errors: none. 1 = yes, 0 = no.
/// Since: ABI 1.
#[unsafe(no_mangle)]
pub extern "C" fn goatflow_plugin_error_retryable(error: *const goatflow_plugin_error) -> i32 {
    read(error, 0, |error| error.code.is_retryable().into())
}

/// Release an error object.
///
/// Parameters:
/// - `error`: error object; NULL and released ones are ignored.
///
/// Threads: any.
/// Errors: none.
/// Since: ABI 1.
#[unsafe(no_mangle)]
pub extern "C" fn goatflow_plugin_error_free(error: *const goatflow_plugin_error) {
    guard_release(|| drop(ERRORS.remove(error.addr())));
}
