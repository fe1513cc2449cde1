//! Switches that stop calls.

use std::sync::Arc;

use super::args::Args;
use super::error::goatflow_plugin_error;
use super::guard::{guard, guard_release};
use super::handle::Table;
use crate::plugin::Cancellation;

/// A switch that stops the calls that were made with it. Release with `goatflow_plugin_cancellation_free`.
pub struct goatflow_plugin_cancellation {
    _private: [u8; 0],
}

pub(super) static CANCELLATIONS: Table<Cancellation> = Table::new(0xA1, "cancellation");

/// Make a switch that stops calls.
///
/// Parameters:
/// - `out_cancellation`: the switch; release with `goatflow_plugin_cancellation_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_ARGUMENT_NULL`.
/// Since: ABI 1.
///
/// # Safety
/// The out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_cancellation_new(
    out_cancellation: *mut *const goatflow_plugin_cancellation,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.out(out_cancellation, "out_cancellation")?;
        out.set(std::ptr::without_provenance(CANCELLATIONS.insert(Arc::new(Cancellation::new()))?));
        Ok(())
    })
}

/// Stop every call that was made with a switch, now and later. Returns at once.
///
/// Calls that run end within some milliseconds with `…_STATUS_PLUGIN_CANCELLED`; a host callback that they are in is not
/// interrupted. Cancelling twice does no harm.
///
/// Parameters:
/// - `cancellation`: the switch.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any, also from callbacks.
/// Errors: `…_STATUS_ARGUMENT_NULL`, `…_STATUS_ARGUMENT_HANDLE`.
/// Since: ABI 1.
///
/// # Safety
/// `out_error` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_cancellation_cancel(
    cancellation: *const goatflow_plugin_cancellation,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        args.handle(&CANCELLATIONS, cancellation, "cancellation")?.cancel();
        Ok(())
    })
}

/// Release a switch. Calls that were made with it go on.
///
/// Parameters:
/// - `cancellation`: the switch; NULL and released ones are ignored.
///
/// Threads: any.
/// Errors: none.
/// Since: ABI 1.
#[unsafe(no_mangle)]
pub extern "C" fn goatflow_plugin_cancellation_free(cancellation: *const goatflow_plugin_cancellation) {
    guard_release(|| drop(CANCELLATIONS.remove(cancellation.addr())));
}
