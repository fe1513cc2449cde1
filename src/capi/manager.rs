//! Managers: made, filled with plugins, asked about them, shut down.

use std::ffi::c_char;
use std::path::Path;
use std::time::Duration;

use super::args::Args;
use super::buffer::goatflow_plugin_buffer;
use super::error::goatflow_plugin_error;
use super::guard::{guard, guard_release};
use super::handle::Table;
use crate::error::{Error, ErrorCode, Result};
use crate::host::LogLevel;
use crate::host::log::LogFilter;
use crate::json;
use crate::manager::{Config, Manager};

/// Runs plugins. Release with `goatflow_plugin_manager_free`.
pub struct goatflow_plugin_manager {
    _private: [u8; 0],
}

pub(super) static MANAGERS: Table<Manager> = Table::new(0xA2, "manager");

/// Make a manager.
///
/// Parameters:
/// - `config_json`, `config_json_len`: configuration document (see `goatflow_plugin_config_schema`); `(NULL, 0)` = defaults.
/// - `out_manager`: the manager; release with `goatflow_plugin_manager_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_ARGUMENT_CONFIG` when the document is refused, `…_STATUS_HOST_DATABASE` when the database can't be
/// opened, `…_STATUS_ARGUMENT_NULL`.
/// Since: ABI 1.
///
/// # Safety
/// `config_json` is readable for `config_json_len` bytes; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_manager_new(
    config_json: *const c_char,
    config_json_len: usize,
    out_manager: *mut *const goatflow_plugin_manager,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.out(out_manager, "out_manager")?;
        let config = Config::parse(args.text(config_json, config_json_len, "config_json")?.as_bytes())?;
        out.set(std::ptr::without_provenance(MANAGERS.insert(Manager::new(config)?)?));
        Ok(())
    })
}

/// Refuse everything from now on, wait for calls that run, and stop all plugins.
///
/// Blocks at most `timeout_ms`. Calls that do not end in that time go on until their own deadlines. Release the manager
/// afterwards.
///
/// Parameters:
/// - `manager`: the manager.
/// - `timeout_ms`: longest wait in milliseconds.
/// - `out_report_json`: JSON object `{"drained", "plugins": [{"plugin", "outcome": "stopped|killed|still_busy", "drained",
///   "calls_running", "error"}]}`; release with `goatflow_plugin_buffer_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any; not from a callback, unless `timeout_ms` is 0.
/// Errors: `…_STATUS_LIFECYCLE_SHUT_DOWN` when it was shut down before, `…_STATUS_LIFECYCLE_IN_CALLBACK` when it would wait
/// for the call that this callback serves, `…_STATUS_ARGUMENT_HANDLE`,
/// `…_STATUS_ARGUMENT_NULL`.
/// Since: ABI 1.
///
/// # Safety
/// The out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_manager_shutdown(
    manager: *const goatflow_plugin_manager,
    timeout_ms: u64,
    out_report_json: *mut goatflow_plugin_buffer,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.out(out_report_json, "out_report_json")?;
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        out.set(manager.shut_down(Duration::from_millis(timeout_ms))?.into());
        Ok(())
    })
}

/// Release a manager: it refuses everything from now on. Waits for nothing.
///
/// Its memory goes, and the finalizers of its callbacks run, when the last call has ended and the last function of it was
/// released.
///
/// Parameters:
/// - `manager`: the manager; NULL and released ones are ignored.
///
/// Threads: any, also from callbacks.
/// Errors: none.
/// Since: ABI 1.
#[unsafe(no_mangle)]
pub extern "C" fn goatflow_plugin_manager_free(manager: *const goatflow_plugin_manager) {
    guard_release(|| {
        if let Some(manager) = MANAGERS.remove(manager.addr()) {
            // It may have been shut down before.
            let _ = manager.shut_down(Duration::ZERO);
        }
    });
}

/// Load a plugin: a package (`.zip`), a `.wasm` file, or a directory with `plugin.yaml` or `manifest.json`.
///
/// Reads, checks, compiles and starts it, and lets it register. Blocks for as long as that takes, within the configured
/// time. A plugin that fails at any step is not loaded.
///
/// Parameters:
/// - `manager`: the manager.
/// - `path`, `path_len`: UTF-8 path.
/// - `options_json`, `options_json_len`: for later versions; `(NULL, 0)` or `{}`.
/// - `out_name`: name that the plugin is called by; release with `goatflow_plugin_buffer_free`; may be NULL.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any; loads of different plugins run side by side.
/// Errors: `…_STATUS_PACKAGE_…` and `…_STATUS_SIGNATURE_…` when it is refused, `…_STATUS_PLUGIN_…` when its code fails,
/// `…_STATUS_LIFECYCLE_ALREADY_LOADED`, `…_STATUS_LIFECYCLE_SHUT_DOWN`, `…_STATUS_ENVIRONMENT_IO`,
/// `…_STATUS_ARGUMENT_…`.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_manager_load(
    manager: *const goatflow_plugin_manager,
    path: *const c_char,
    path_len: usize,
    options_json: *const c_char,
    options_json_len: usize,
    out_name: *mut goatflow_plugin_buffer,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.optional_out(out_name);
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        let path = args.text(path, path_len, "path")?;
        check_load_options(args.text(options_json, options_json_len, "options_json")?)?;
        let name = manager.load(Path::new(path))?;
        if let Some(out) = out {
            out.set(name.as_bytes().to_vec().into());
        }
        Ok(())
    })
}

/// Take a plugin out of service: new calls are refused at once, calls that run get time to end.
///
/// Blocks at most `timeout_ms`. Its limits and counters stay, should a plugin of that name be loaded again.
///
/// Parameters:
/// - `manager`: the manager.
/// - `plugin`, `plugin_len`: name of the plugin.
/// - `timeout_ms`: longest wait in milliseconds.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any; not from a callback of the same plugin, unless `timeout_ms` is 0.
/// Errors: `…_STATUS_LIFECYCLE_IN_CALLBACK` when it would wait for the call that this callback serves (nothing was changed),
/// `…_STATUS_LIFECYCLE_BUSY` when calls did not end in time: the plugin is out of service all the same;
/// `…_STATUS_LIFECYCLE_PLUGIN_NOT_FOUND`, `…_STATUS_ARGUMENT_…`.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; `out_error` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_manager_unload(
    manager: *const goatflow_plugin_manager,
    plugin: *const c_char,
    plugin_len: usize,
    timeout_ms: u64,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        manager.unload(args.text(plugin, plugin_len, "plugin")?, Duration::from_millis(timeout_ms))
    })
}

/// List the plugins in service.
///
/// Parameters:
/// - `manager`: the manager.
/// - `out_json`: JSON array of `{"name", "version", "description", "runtime", "enabled", "origin", "policy", "warnings", "state",
///   "generation", "previous", "probation", …}`, by name; release with `goatflow_plugin_buffer_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_ARGUMENT_NULL`, `…_STATUS_ARGUMENT_HANDLE`.
/// Since: ABI 1.
///
/// # Safety
/// The out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_manager_list(
    manager: *const goatflow_plugin_manager,
    out_json: *mut goatflow_plugin_buffer,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.out(out_json, "out_json")?;
        out.set(args.handle(&MANAGERS, manager, "manager")?.list().into());
        Ok(())
    })
}

/// Get what a plugin said about itself: routes, widgets, menu items, jobs, templates, translations, error codes.
///
/// Parameters:
/// - `manager`: the manager.
/// - `plugin`, `plugin_len`: name of the plugin.
/// - `out_json`: JSON object; text of the plugin's author; release with `goatflow_plugin_buffer_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_LIFECYCLE_PLUGIN_NOT_FOUND`, `…_STATUS_ARGUMENT_…`.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_manager_registration(
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
        out.set(manager.registration(args.text(plugin, plugin_len, "plugin")?)?.into());
        Ok(())
    })
}

/// Let calls into a plugin again.
///
/// Parameters:
/// - `manager`: the manager.
/// - `plugin`, `plugin_len`: name of the plugin.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_LIFECYCLE_PLUGIN_NOT_FOUND`, `…_STATUS_LIFECYCLE_SHUT_DOWN`, `…_STATUS_ARGUMENT_…`.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; `out_error` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_manager_enable(
    manager: *const goatflow_plugin_manager,
    plugin: *const c_char,
    plugin_len: usize,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        manager.enable(args.text(plugin, plugin_len, "plugin")?)
    })
}

/// Keep calls out of a plugin, and wait for those that run.
///
/// Blocks at most `timeout_ms`. The plugin stays loaded.
///
/// Parameters:
/// - `manager`: the manager.
/// - `plugin`, `plugin_len`: name of the plugin.
/// - `timeout_ms`: longest wait in milliseconds.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any; not from a callback of the same plugin, unless `timeout_ms` is 0.
/// Errors: `…_STATUS_LIFECYCLE_IN_CALLBACK` when it would wait for the call that this callback serves (nothing was changed),
/// `…_STATUS_LIFECYCLE_BUSY` when calls did not end in time: the plugin is disabled all the same;
/// `…_STATUS_LIFECYCLE_PLUGIN_NOT_FOUND`, `…_STATUS_LIFECYCLE_SHUT_DOWN`, `…_STATUS_ARGUMENT_…`.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; `out_error` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_manager_disable(
    manager: *const goatflow_plugin_manager,
    plugin: *const c_char,
    plugin_len: usize,
    timeout_ms: u64,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        manager.disable(args.text(plugin, plugin_len, "plugin")?, Duration::from_millis(timeout_ms))
    })
}

/// Get what plugins did: calls, host calls, errors, denials with their targets, memory.
///
/// Parameters:
/// - `manager`: the manager.
/// - `plugin`, `plugin_len`: name of the plugin; `(NULL, 0)` = all.
/// - `out_json`: JSON object, or an array of such objects for all; release with `goatflow_plugin_buffer_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_LIFECYCLE_PLUGIN_NOT_FOUND`, `…_STATUS_ARGUMENT_…`.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_manager_stats(
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
        let plugin = args.text(plugin, plugin_len, "plugin")?;
        out.set(manager.stats(Some(plugin).filter(|plugin| !plugin.is_empty()))?.into());
        Ok(())
    })
}

/// Get the newest log lines of plugins.
///
/// Parameters:
/// - `manager`: the manager.
/// - `filter_json`, `filter_json_len`: `{"plugin": name, "level": "debug|info|warn|error", "limit": count}`, each optional;
///   `level` is the least important one wanted; `(NULL, 0)` = all.
/// - `out_json`: JSON array of `{"timestamp", "plugin", "level", "message", "fields"}`, newest first; release with
///   `goatflow_plugin_buffer_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_ARGUMENT_JSON` when the filter is refused, `…_STATUS_ARGUMENT_…`.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_manager_logs(
    manager: *const goatflow_plugin_manager,
    filter_json: *const c_char,
    filter_json_len: usize,
    out_json: *mut goatflow_plugin_buffer,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.out(out_json, "out_json")?;
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        let filter = parse_log_filter(args.text(filter_json, filter_json_len, "filter_json")?)?;
        out.set(manager.logs(&filter).into());
        Ok(())
    })
}

/// Forget the log lines that are kept.
///
/// Parameters:
/// - `manager`: the manager.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_ARGUMENT_NULL`, `…_STATUS_ARGUMENT_HANDLE`.
/// Since: ABI 1.
///
/// # Safety
/// `out_error` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_manager_clear_logs(
    manager: *const goatflow_plugin_manager,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        args.handle(&MANAGERS, manager, "manager")?.clear_logs();
        Ok(())
    })
}

fn check_load_options(text: &str) -> Result<()> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Options {}
    if text.is_empty() {
        return Ok(());
    }
    json::from_object::<Options>(text.as_bytes())
        .map(drop)
        .map_err(|error| Error::new(ErrorCode::ArgumentJson, "`options_json` is refused").with_source(error))
}

fn parse_log_filter(text: &str) -> Result<LogFilter> {
    #[derive(Default, serde::Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Filter {
        plugin: Option<String>,
        level: Option<String>,
        limit: Option<usize>,
    }
    let refused = || Error::new(ErrorCode::ArgumentJson, "the log filter is refused");
    let filter: Filter = match text {
        "" => Filter::default(),
        text => json::from_object(text.as_bytes()).map_err(|error| refused().with_source(error))?,
    };
    let level = match filter.level.as_deref() {
        None => None,
        Some(name) => Some(LogLevel::from_name(name).ok_or_else(|| {
            Error::new(ErrorCode::ArgumentEnum, "the log filter's `level` is one of debug, info, warn, error")
        })?),
    };
    Ok(LogFilter { plugin: filter.plugin, level, limit: filter.limit })
}
