//! Versions of plugins exchanged while they serve, and their health.

use std::ffi::c_char;
use std::path::Path;

use super::args::Args;
use super::buffer::goatflow_plugin_buffer;
use super::error::goatflow_plugin_error;
use super::guard::guard;
use super::manager::{MANAGERS, goatflow_plugin_manager};
use crate::error::Result;
use crate::manager::ReplaceOptions;

/// Put what is at a path in place of the loaded plugin of the same name, without losing a call.
///
/// The new version is verified, compiled, started and asked whether it is healthy beside the old one, which serves on
/// meanwhile, and for good when any of that fails. Then new calls go to the new version, and calls of the old one end there.
/// For a while it is held against the old one, and taken back by itself when it is much worse. Functions that were resolved
/// stay valid.
///
/// ```c
/// const goatflow_plugin_manager *manager = NULL;
/// const goatflow_plugin_error *error = NULL;
/// goatflow_plugin_buffer report = {NULL, 0, 0};
///
/// if (goatflow_plugin_manager_replace(manager, "stats-2.zip", 11, NULL, 0, &report, &error) == GOATFLOW_PLUGIN_STATUS_OK) {
///     printf("%.*s\n", (int)report.len, (const char *)report.data);
/// } else {
///     printf("the old version serves on: %s\n", goatflow_plugin_error_message(error));
/// }
/// goatflow_plugin_buffer_free(&report);
/// goatflow_plugin_error_free(error);
/// ```
///
/// Parameters:
/// - `manager`: the manager.
/// - `path`, `path_len`: UTF-8 path, as for `goatflow_plugin_manager_load`.
/// - `options_json`, `options_json_len`: JSON object `{"drain_ms": …, "probe": bool, "probation_ms": …}`, each optional: how
///   long to wait for calls of the old version (absent = the time that its policy gives a call, at most 30 s; 0 = not at all),
///   whether the new one must show that it is healthy (absent = yes), how long it is held against the old one (absent = what
///   the policy says; 0 = not at all); `(NULL, 0)` = none of them.
/// - `out_report_json`: JSON object `{"plugin", "kind": "replaced", "old_version", "new_version", "old_generation", "generation",
///   "enabled", "drained", "calls_running", "probation_ms", "changes", "asks_for_more", "collisions", "warnings"}`; release
///   with `goatflow_plugin_buffer_free`.
/// - `out_error`: may be NULL; set on failure only, `step` in its detail says how far it came; release with
///   `goatflow_plugin_error_free`.
///
/// Threads: any; not from a callback of the same plugin, unless `drain_ms` is 0.
/// Errors: `…_STATUS_LIFECYCLE_PLUGIN_NOT_FOUND` when no plugin of that name is loaded, `…_STATUS_LIFECYCLE_SWAPPING` when
/// another exchange of it is under way, `…_STATUS_LIFECYCLE_IN_CALLBACK`, `…_STATUS_PLUGIN_UNHEALTHY`; otherwise as
/// `goatflow_plugin_manager_load`. After an error the old version serves on.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_manager_replace(
    manager: *const goatflow_plugin_manager,
    path: *const c_char,
    path_len: usize,
    options_json: *const c_char,
    options_json_len: usize,
    out_report_json: *mut goatflow_plugin_buffer,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.out(out_report_json, "out_report_json")?;
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        let path = args.text(path, path_len, "path")?;
        let options = replace_options(args, options_json, options_json_len)?;
        out.set(manager.replace(Path::new(path), &options)?.into());
        Ok(())
    })
}

/// Load a plugin again from where it came from, an installed package in its current version, and put that in place of what
/// serves, as `goatflow_plugin_manager_replace`.
///
/// Parameters:
/// - `manager`: the manager.
/// - `plugin`, `plugin_len`: name of the plugin.
/// - `options_json`, `options_json_len`: as for `goatflow_plugin_manager_replace`.
/// - `out_report_json`: as for `goatflow_plugin_manager_replace`, with `"kind": "reloaded"`; release with
///   `goatflow_plugin_buffer_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: as `goatflow_plugin_manager_replace`.
/// Errors: as `goatflow_plugin_manager_replace`.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_manager_reload(
    manager: *const goatflow_plugin_manager,
    plugin: *const c_char,
    plugin_len: usize,
    options_json: *const c_char,
    options_json_len: usize,
    out_report_json: *mut goatflow_plugin_buffer,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.out(out_report_json, "out_report_json")?;
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        let plugin = args.text(plugin, plugin_len, "plugin")?;
        let options = replace_options(args, options_json, options_json_len)?;
        out.set(manager.reload(plugin, &options)?.into());
        Ok(())
    })
}

/// Put the version before the one that serves back into service, without losing a call. For an installed package, the record
/// of installed packages says the same afterwards.
///
/// Parameters:
/// - `manager`: the manager.
/// - `plugin`, `plugin_len`: name of the plugin.
/// - `options_json`, `options_json_len`: as for `goatflow_plugin_manager_replace`.
/// - `out_report_json`: as for `goatflow_plugin_manager_replace`, with `"kind": "rolled_back"`; release with
///   `goatflow_plugin_buffer_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: as `goatflow_plugin_manager_replace`.
/// Errors: `…_STATUS_LIFECYCLE_NO_PREVIOUS` when there is no version to go back to; otherwise as
/// `goatflow_plugin_manager_replace`.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_manager_rollback(
    manager: *const goatflow_plugin_manager,
    plugin: *const c_char,
    plugin_len: usize,
    options_json: *const c_char,
    options_json_len: usize,
    out_report_json: *mut goatflow_plugin_buffer,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.out(out_report_json, "out_report_json")?;
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        let plugin = args.text(plugin, plugin_len, "plugin")?;
        let options = replace_options(args, options_json, options_json_len)?;
        out.set(manager.rollback(plugin, &options)?.into());
        Ok(())
    })
}

/// Get what is known about the health of a plugin; calls nothing.
///
/// Parameters:
/// - `manager`: the manager.
/// - `plugin`, `plugin_len`: name of the plugin.
/// - `out_json`: JSON object `{"plugin", "state": "unknown|healthy|unhealthy|crash_loop", "consecutive_failures", "last_probe",
///   "recovery"}`; release with `goatflow_plugin_buffer_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_LIFECYCLE_PLUGIN_NOT_FOUND`, `…_STATUS_ARGUMENT_…`.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_manager_health(
    manager: *const goatflow_plugin_manager,
    plugin: *const c_char,
    plugin_len: usize,
    out_json: *mut goatflow_plugin_buffer,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.out(out_json, "out_json")?;
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        out.set(manager.health(args.text(plugin, plugin_len, "plugin")?)?.into());
        Ok(())
    })
}

/// Ask a plugin now whether it is healthy. Blocks at most for the configured time (`health.timeout_ms`).
///
/// A plugin that is out of service, or is being asked already, is not asked.
///
/// Parameters:
/// - `manager`: the manager.
/// - `plugin`, `plugin_len`: name of the plugin.
/// - `out_json`: as for `goatflow_plugin_manager_health`; release with `goatflow_plugin_buffer_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_LIFECYCLE_PLUGIN_NOT_FOUND`, `…_STATUS_LIFECYCLE_SHUT_DOWN`, `…_STATUS_ARGUMENT_…`. A plugin that is not
/// healthy is no error here: see the report.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_manager_probe(
    manager: *const goatflow_plugin_manager,
    plugin: *const c_char,
    plugin_len: usize,
    out_json: *mut goatflow_plugin_buffer,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.out(out_json, "out_json")?;
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        out.set(manager.probe(args.text(plugin, plugin_len, "plugin")?)?.into());
        Ok(())
    })
}

/// Forget the failures of a plugin, so that one that failed too often is started again.
///
/// Parameters:
/// - `manager`: the manager.
/// - `plugin`, `plugin_len`: name of the plugin.
/// - `out_json`: as for `goatflow_plugin_manager_health`; release with `goatflow_plugin_buffer_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_LIFECYCLE_PLUGIN_NOT_FOUND`, `…_STATUS_LIFECYCLE_SHUT_DOWN`, `…_STATUS_ARGUMENT_…`.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_manager_reset_crash_loop(
    manager: *const goatflow_plugin_manager,
    plugin: *const c_char,
    plugin_len: usize,
    out_json: *mut goatflow_plugin_buffer,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.out(out_json, "out_json")?;
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        out.set(manager.reset_crash_loop(args.text(plugin, plugin_len, "plugin")?)?.into());
        Ok(())
    })
}

/// The options of an exchange.
pub(super) fn replace_options(args: Args<'_>, text: *const c_char, len: usize) -> Result<ReplaceOptions> {
    ReplaceOptions::parse(args.text(text, len, "options_json")?.as_bytes())
}
