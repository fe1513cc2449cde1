//! Exchanges of plugins that run on the library's threads.

use std::ffi::{c_char, c_void};
use std::path::PathBuf;
use std::sync::Arc;

use super::args::{Args, Out};
use super::error::goatflow_plugin_error;
use super::guard::guard;
use super::lifecycle::replace_options;
use super::manager::{MANAGERS, goatflow_plugin_manager};
use super::operation::{
    Completion, Waitable, both_null, goatflow_plugin_completion_fn, goatflow_plugin_operation, hand_out,
};
use super::user_data::{UserData, goatflow_plugin_finalizer_fn};
use crate::error::Result;
use crate::manager::{Change, Manager, Outcome, ReplaceOptions};

/// Start `goatflow_plugin_manager_replace` on a thread of the library, and return at once.
///
/// Cancelling the operation has no effect: an exchange ends by itself, within the times that are configured.
///
/// Parameters:
/// - `manager`: the manager.
/// - `path`, `path_len`: UTF-8 path; copied.
/// - `options_json`, `options_json_len`: as for `goatflow_plugin_manager_replace`; copied.
/// - `completion`: takes the report, exactly once; may be NULL when `out_operation` is given.
/// - `user_data`: handed to `completion`.
/// - `finalizer`: releases `user_data`; may be NULL. Runs exactly once, after `completion`, also when this function fails.
/// - `out_operation`: the exchange; release with `goatflow_plugin_operation_free`; may be NULL when `completion` is given.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any, also from callbacks of the same plugin.
/// Errors: `…_STATUS_LIFECYCLE_SHUT_DOWN`, `…_STATUS_LIFECYCLE_OVERLOADED`, `…_STATUS_ARGUMENT_…`; `completion` is not called
/// then. Everything else is the outcome's.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; `completion` and `finalizer` can be called from any thread with `user_data`
/// until the finalizer has run; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_manager_replace_async(
    manager: *const goatflow_plugin_manager,
    path: *const c_char,
    path_len: usize,
    options_json: *const c_char,
    options_json_len: usize,
    completion: goatflow_plugin_completion_fn,
    user_data: *mut c_void,
    finalizer: goatflow_plugin_finalizer_fn,
    out_operation: *mut *const goatflow_plugin_operation,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    let user_data = UserData::new(user_data, finalizer);
    guard(out_error, move || {
        let listener = Listener::new(args, completion, user_data, out_operation)?;
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        let change = Change::Replace(PathBuf::from(args.text(path, path_len, "path")?));
        listener.start(&manager, change, replace_options(args, options_json, options_json_len)?)
    })
}

/// Start `goatflow_plugin_manager_reload` on a thread of the library, and return at once.
///
/// Parameters:
/// - `manager`: the manager.
/// - `plugin`, `plugin_len`: name of the plugin; copied.
/// - `options_json`, `options_json_len`: as for `goatflow_plugin_manager_replace`; copied.
/// - `completion`, `user_data`, `finalizer`, `out_operation`: as for `goatflow_plugin_manager_replace_async`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: as `goatflow_plugin_manager_replace_async`.
/// Errors: as `goatflow_plugin_manager_replace_async`.
/// Since: ABI 1.
///
/// # Safety
/// As `goatflow_plugin_manager_replace_async`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_manager_reload_async(
    manager: *const goatflow_plugin_manager,
    plugin: *const c_char,
    plugin_len: usize,
    options_json: *const c_char,
    options_json_len: usize,
    completion: goatflow_plugin_completion_fn,
    user_data: *mut c_void,
    finalizer: goatflow_plugin_finalizer_fn,
    out_operation: *mut *const goatflow_plugin_operation,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    let user_data = UserData::new(user_data, finalizer);
    guard(out_error, move || {
        let listener = Listener::new(args, completion, user_data, out_operation)?;
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        let change = Change::Reload(args.text(plugin, plugin_len, "plugin")?.to_owned());
        listener.start(&manager, change, replace_options(args, options_json, options_json_len)?)
    })
}

/// Start `goatflow_plugin_manager_rollback` on a thread of the library, and return at once.
///
/// Parameters:
/// - `manager`: the manager.
/// - `plugin`, `plugin_len`: name of the plugin; copied.
/// - `options_json`, `options_json_len`: as for `goatflow_plugin_manager_replace`; copied.
/// - `completion`, `user_data`, `finalizer`, `out_operation`: as for `goatflow_plugin_manager_replace_async`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: as `goatflow_plugin_manager_replace_async`.
/// Errors: as `goatflow_plugin_manager_replace_async`.
/// Since: ABI 1.
///
/// # Safety
/// As `goatflow_plugin_manager_replace_async`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_manager_rollback_async(
    manager: *const goatflow_plugin_manager,
    plugin: *const c_char,
    plugin_len: usize,
    options_json: *const c_char,
    options_json_len: usize,
    completion: goatflow_plugin_completion_fn,
    user_data: *mut c_void,
    finalizer: goatflow_plugin_finalizer_fn,
    out_operation: *mut *const goatflow_plugin_operation,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    let user_data = UserData::new(user_data, finalizer);
    guard(out_error, move || {
        let listener = Listener::new(args, completion, user_data, out_operation)?;
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        let change = Change::Rollback(args.text(plugin, plugin_len, "plugin")?.to_owned());
        listener.start(&manager, change, replace_options(args, options_json, options_json_len)?)
    })
}

/// Who is told the outcome of an exchange.
struct Listener<'call> {
    completion: Option<Completion>,
    out: Option<Out<'call, *const goatflow_plugin_operation>>,
}

impl<'call> Listener<'call> {
    fn new(
        args: Args<'call>,
        completion: goatflow_plugin_completion_fn,
        user_data: UserData,
        out_operation: *mut *const goatflow_plugin_operation,
    ) -> Result<Self> {
        let out = args.optional_out(out_operation);
        if completion.is_none() && out.is_none() {
            return Err(both_null());
        }
        Ok(Self { completion: completion.map(|function| Completion { function, user_data }), out })
    }

    fn start(self, manager: &Arc<Manager>, change: Change, options: ReplaceOptions) -> Result<()> {
        let Self { completion, out } = self;
        let waitable = Arc::<Waitable>::default();
        let finished = Arc::clone(&waitable);
        let done = Box::new(move |outcome: Outcome| {
            if let Some(completion) = completion {
                completion.call(&outcome);
            }
            finished.finish(outcome);
        });
        manager.start_change(change, options, done)?;
        hand_out(out, waitable)
    }
}
