//! Calls that block.

use std::ffi::c_char;

use super::args::Args;
use super::buffer::goatflow_plugin_buffer;
use super::error::goatflow_plugin_error;
use super::guard::guard;
use super::manager::{MANAGERS, goatflow_plugin_manager};
use super::types::{call_options, goatflow_plugin_call_options};
use crate::error::{Error, ErrorCode, Result};
use crate::plugin::ResultSink;

/// Call a function of a plugin and wait for its answer.
///
/// Runs on the calling thread (on a thread of the library if that one has less than 1 MiB of stack left, or is ending), and so do host
/// callbacks that the plugin causes.
///
/// Parameters:
/// - `manager`: the manager.
/// - `plugin`, `plugin_len`: name of the plugin.
/// - `function`, `function_len`: name of the function.
/// - `arguments`, `arguments_len`: bytes for the function, JSON by convention; may be empty.
/// - `options`: may be NULL.
/// - `out_result`: the answer, empty when the plugin answers nothing; release with `goatflow_plugin_buffer_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any; also from host callbacks, where the call is nested in the one that the callback serves: it inherits its
/// deadline and cancellation and counts for its depth. Calls of one plugin are served side by side as far as it has instances.
/// Errors: `…_STATUS_PLUGIN_…` when the plugin fails, is too slow or is cancelled, `…_STATUS_LIFECYCLE_…` when it is not
/// there, disabled, or would wait for itself, `…_STATUS_POLICY_BLOCKED`, `…_STATUS_ARGUMENT_…`.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_manager_call(
    manager: *const goatflow_plugin_manager,
    plugin: *const c_char,
    plugin_len: usize,
    function: *const c_char,
    function_len: usize,
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
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        let plugin = args.text(plugin, plugin_len, "plugin")?;
        let function = args.text(function, function_len, "function")?;
        let arguments = args.bytes(arguments, arguments_len, "arguments")?;
        let options = call_options(args, options)?;
        out.set(collect(|sink| manager.call(plugin, function, arguments, &options, sink))?);
        Ok(())
    })
}

/// Call a function of a plugin and have its answer written to memory of the caller.
///
/// As `goatflow_plugin_manager_call`, without an allocation. An answer that does not fit is not lost where `out_overflow`
/// is given.
///
/// Parameters:
/// - `manager`: the manager.
/// - `plugin`, `plugin_len`: name of the plugin.
/// - `function`, `function_len`: name of the function.
/// - `arguments`, `arguments_len`: bytes for the function; may be empty.
/// - `options`: may be NULL.
/// - `destination`, `destination_len`: where the answer goes; may be empty. Must not overlap the inputs.
/// - `out_len`: length of the answer; also set when it did not fit.
/// - `out_overflow`: takes an answer that is longer than `destination_len`; release with `goatflow_plugin_buffer_free`;
///   may be NULL.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: as `goatflow_plugin_manager_call`.
/// Errors: `…_STATUS_ARGUMENT_BUFFER_TOO_SMALL` when the answer fits nowhere (the call was made); otherwise as
/// `goatflow_plugin_manager_call`.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable and `destination` is writable for their lengths; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_manager_call_into(
    manager: *const goatflow_plugin_manager,
    plugin: *const c_char,
    plugin_len: usize,
    function: *const c_char,
    function_len: usize,
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
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        let plugin = args.text(plugin, plugin_len, "plugin")?;
        let function = args.text(function, function_len, "function")?;
        let arguments = args.bytes(arguments, arguments_len, "arguments")?;
        let options = call_options(args, options)?;
        place.fill(|sink| manager.call(plugin, function, arguments, &options, sink))
    })
}

/// Answer of a call in a buffer of its own.
pub(super) fn collect(call: impl FnOnce(&mut ResultSink<'_>) -> Result<()>) -> Result<goatflow_plugin_buffer> {
    let mut answer = Vec::new();
    call(&mut |bytes| {
        answer = bytes.to_vec();
        Ok(())
    })?;
    Ok(answer.into())
}

/// Memory of the caller that takes an answer.
pub(super) struct Destination<'call> {
    bytes: &'call mut [u8],
    len: super::args::Out<'call, usize>,
    overflow: Option<super::args::Out<'call, goatflow_plugin_buffer>>,
}

impl<'call> Destination<'call> {
    pub(super) fn new(
        args: Args<'call>,
        destination: *mut u8,
        destination_len: usize,
        out_len: *mut usize,
        out_overflow: *mut goatflow_plugin_buffer,
    ) -> Result<Self> {
        let overflow = args.optional_out(out_overflow);
        Ok(Self {
            len: args.out(out_len, "out_len")?,
            overflow,
            bytes: args.destination(destination, destination_len, "destination")?,
        })
    }

    pub(super) fn fill(self, call: impl FnOnce(&mut ResultSink<'_>) -> Result<()>) -> Result<()> {
        let Self { bytes, len, mut overflow } = self;
        let mut answered = 0;
        let mut fits = true;
        call(&mut |answer| {
            answered = answer.len();
            match bytes.get_mut(..answer.len()) {
                Some(place) => place.copy_from_slice(answer),
                None => match overflow.take() {
                    Some(overflow) => overflow.set(answer.to_vec().into()),
                    None => fits = false,
                },
            }
            Ok(())
        })?;
        len.set(answered);
        if fits {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::ArgumentBufferTooSmall,
            format!("the answer has {answered} bytes, `destination` has {} (give an `out_overflow`)", bytes.len()),
        ))
    }
}

/// The answer that an asynchronous call left behind.
pub(super) fn answer_buffer(answer: Option<Vec<u8>>) -> goatflow_plugin_buffer {
    answer.unwrap_or_default().into()
}
