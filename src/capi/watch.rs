//! Plugins under development, loaded again by themselves.

use std::ffi::c_char;

use super::args::Args;
use super::buffer::goatflow_plugin_buffer;
use super::error::goatflow_plugin_error;
use super::guard::guard;
use super::manager::{MANAGERS, goatflow_plugin_manager};

/// Watch what a plugin came from: whatever changes there is loaded by itself, through the same gate as everything else, and
/// put in place of what serves. For development.
///
/// Parameters:
/// - `manager`: the manager.
/// - `target`, `target_len`: name of a loaded plugin, or a UTF-8 path; what is not loaded yet is loaded now, or as soon as it
///   can be.
/// - `options_json`, `options_json_len`: JSON object `{"mode": "auto"|"polling", "quiet_ms": …, "poll_ms": …}`, each optional;
///   `(NULL, 0)` = none of them.
/// - `out_json`: JSON object: path, plugin, how it is watched, the error of the last attempt; release with
///   `goatflow_plugin_buffer_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_LIFECYCLE_WATCH_CONFLICT` when it is watched already, `…_STATUS_LIFECYCLE_WATCH_TOO_LARGE`,
/// `…_STATUS_LIFECYCLE_SHUT_DOWN`, `…_STATUS_ENVIRONMENT_…`, `…_STATUS_ARGUMENT_…`. A plugin that can't be loaded yet is no
/// error here: see `error` of the result.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_manager_watch(
    manager: *const goatflow_plugin_manager,
    target: *const c_char,
    target_len: usize,
    options_json: *const c_char,
    options_json_len: usize,
    out_json: *mut goatflow_plugin_buffer,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.out(out_json, "out_json")?;
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        let target = args.text(target, target_len, "target")?;
        let options = args.text(options_json, options_json_len, "options_json")?;
        out.set(manager.watch(target, options.as_bytes())?.into());
        Ok(())
    })
}

/// Watch a plugin or path no more. The plugin stays loaded.
///
/// Parameters:
/// - `manager`: the manager.
/// - `target`, `target_len`: name of the plugin, or the path.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_LIFECYCLE_WATCH_CONFLICT` when it is not watched, `…_STATUS_ARGUMENT_…`.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; `out_error` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_manager_unwatch(
    manager: *const goatflow_plugin_manager,
    target: *const c_char,
    target_len: usize,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        manager.unwatch(args.text(target, target_len, "target")?)
    })
}

/// List everything that is watched: how, what is loaded from it, and why not if it could not be.
///
/// Parameters:
/// - `manager`: the manager.
/// - `out_json`: JSON array of objects as `goatflow_plugin_manager_watch` gives; release with `goatflow_plugin_buffer_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_ARGUMENT_NULL`, `…_STATUS_ARGUMENT_HANDLE`.
/// Since: ABI 1.
///
/// # Safety
/// The out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_manager_watches(
    manager: *const goatflow_plugin_manager,
    out_json: *mut goatflow_plugin_buffer,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.out(out_json, "out_json")?;
        out.set(args.handle(&MANAGERS, manager, "manager")?.watches().into());
        Ok(())
    })
}
