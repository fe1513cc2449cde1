//! Functions that were looked up once.

use std::ffi::c_char;
use std::sync::Arc;

use super::args::Args;
use super::buffer::goatflow_plugin_buffer;
use super::call::{Destination, collect};
use super::error::goatflow_plugin_error;
use super::guard::{guard, guard_release};
use super::handle::Table;
use super::manager::{MANAGERS, goatflow_plugin_manager};
use super::types::{call_options, goatflow_plugin_call_options};
use crate::manager::Function;

/// A function of a plugin, found once. Release with `goatflow_plugin_function_free`.
pub struct goatflow_plugin_function {
    _private: [u8; 0],
}

static FUNCTIONS: Table<Function> = Table::new(0xA3, "function");

/// Find a function of a plugin, so that calls need not look it up.
///
/// The handle stays valid when the plugin is unloaded and loaded again. Whether the plugin knows the function shows when it
/// is called.
///
/// Parameters:
/// - `manager`: the manager.
/// - `plugin`, `plugin_len`: name of the plugin.
/// - `function`, `function_len`: name of the function.
/// - `out_function`: the function; release with `goatflow_plugin_function_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_LIFECYCLE_PLUGIN_NOT_FOUND`, `…_STATUS_LIFECYCLE_SHUT_DOWN`, `…_STATUS_ARGUMENT_…`.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_function_resolve(
    manager: *const goatflow_plugin_manager,
    plugin: *const c_char,
    plugin_len: usize,
    function: *const c_char,
    function_len: usize,
    out_function: *mut *const goatflow_plugin_function,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.out(out_function, "out_function")?;
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        let plugin = args.text(plugin, plugin_len, "plugin")?;
        let function = manager.function(plugin, args.text(function, function_len, "function")?)?;
        out.set(std::ptr::without_provenance(FUNCTIONS.insert(Arc::new(function))?));
        Ok(())
    })
}

/// Call a function and wait for its answer. See `goatflow_plugin_manager_call`.
///
/// Parameters:
/// - `function`: the function.
/// - `arguments`, `arguments_len`: bytes for the function, JSON by convention; may be empty.
/// - `options`: may be NULL.
/// - `out_result`: the answer, empty when the plugin answers nothing; release with `goatflow_plugin_buffer_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: as `goatflow_plugin_manager_call`.
/// Errors: as `goatflow_plugin_manager_call`.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_function_call(
    function: *const goatflow_plugin_function,
    arguments: *const u8,
    arguments_len: usize,
    options: *const goatflow_plugin_call_options,
    out_result: *mut goatflow_plugin_buffer,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.out(out_result, "out_result")?;
        let function = args.handle(&FUNCTIONS, function, "function")?;
        let arguments = args.bytes(arguments, arguments_len, "arguments")?;
        let options = call_options(args, options)?;
        out.set(collect(|sink| function.call(arguments, &options, sink))?);
        Ok(())
    })
}

/// Call a function and have its answer written to memory of the caller. See `goatflow_plugin_manager_call_into`.
///
/// Parameters:
/// - `function`: the function.
/// - `arguments`, `arguments_len`: bytes for the function; may be empty.
/// - `options`: may be NULL.
/// - `destination`, `destination_len`: where the answer goes; may be empty. Must not overlap the inputs.
/// - `out_len`: length of the answer; also set when it did not fit.
/// - `out_overflow`: takes an answer that is longer than `destination_len`; release with `goatflow_plugin_buffer_free`;
///   may be NULL.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: as `goatflow_plugin_manager_call`.
/// Errors: as `goatflow_plugin_manager_call_into`.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable and `destination` is writable for their lengths; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_function_call_into(
    function: *const goatflow_plugin_function,
    arguments: *const u8,
    arguments_len: usize,
    options: *const goatflow_plugin_call_options,
    destination: *mut u8,
    destination_len: usize,
    out_len: *mut usize,
    out_overflow: *mut goatflow_plugin_buffer,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let place = Destination::new(args, destination, destination_len, out_len, out_overflow)?;
        let function = args.handle(&FUNCTIONS, function, "function")?;
        let arguments = args.bytes(arguments, arguments_len, "arguments")?;
        let options = call_options(args, options)?;
        place.fill(|sink| function.call(arguments, &options, sink))
    })
}

/// Release a function.
///
/// Parameters:
/// - `function`: the function; NULL and released ones are ignored.
///
/// Threads: any, also while it is being called.
/// Errors: none.
/// Since: ABI 1.
#[unsafe(no_mangle)]
pub extern "C" fn goatflow_plugin_function_free(function: *const goatflow_plugin_function) {
    guard_release(|| drop(FUNCTIONS.remove(function.addr())));
}
