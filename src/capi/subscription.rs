//! Subscriptions to events.

use std::ffi::{c_char, c_void};

use super::args::Args;
use super::error::goatflow_plugin_error;
use super::guard::{guard, guard_release};
use super::handle::Table;
use super::manager::{MANAGERS, goatflow_plugin_manager};
use super::user_data::{UserData, goatflow_plugin_finalizer_fn};
use crate::error::{Error, ErrorCode};
use crate::manager::Subscription;

/// A subscription to events. Release with `goatflow_plugin_subscription_free`.
pub struct goatflow_plugin_subscription {
    _private: [u8; 0],
}

/// Takes an event: a JSON object with `kind`, `plugin` and further facts, valid during the callback only.
///
/// Runs on a thread of the library, for one event after the other. May call the library. Must not unwind.
pub type goatflow_plugin_event_fn =
    Option<unsafe extern "C" fn(user_data: *mut c_void, event_json: *const c_char, event_json_len: usize)>;

static SUBSCRIPTIONS: Table<Subscription> = Table::new(0xA5, "subscription");

/// Subscribe to events of the library and to what plugins publish.
///
/// Events arrive in the order in which they happened. When callbacks are too slow, at most 10,000 events wait; further ones
/// are dropped.
///
/// Parameters:
/// - `manager`: the manager.
/// - `filter_json`, `filter_json_len`: `{"kinds": [kind, …], "plugin": name}`, each optional; `(NULL, 0)` = all. `plugin.swapped`
///   tells what routes, widgets, jobs and so on a new version added, removed and changed. Kinds: "plugin.loaded",
///   "plugin.swapping", "plugin.swapped", "plugin.drained", "plugin.rolled_back", "plugin.failed", "plugin.unhealthy",
///   "plugin.crashed", "plugin.restarted", "plugin.crash_loop", "plugin.watching", "plugin.unloaded", "plugin.enabled", "plugin.disabled",
///   "policy.changed", "policy.observing", "package.installed", "package.pending", "package.approved", "package.rolled_back",
///   "package.removed", "trust.changed", "call.denied", "call.observed", "log", "published".
/// - `callback`: takes the events.
/// - `user_data`: handed to the callback.
/// - `finalizer`: releases `user_data`; may be NULL. Runs exactly once, after the last callback has returned, also when this
///   function fails.
/// - `out_subscription`: the subscription; release with `goatflow_plugin_subscription_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_ARGUMENT_JSON` and `…_STATUS_ARGUMENT_INVALID` when the filter is refused,
/// `…_STATUS_LIFECYCLE_SHUT_DOWN`, `…_STATUS_ARGUMENT_…`.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; `callback` and `finalizer` can be called from any thread with `user_data`
/// until the finalizer has run; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_subscription_new(
    manager: *const goatflow_plugin_manager,
    filter_json: *const c_char,
    filter_json_len: usize,
    callback: goatflow_plugin_event_fn,
    user_data: *mut c_void,
    finalizer: goatflow_plugin_finalizer_fn,
    out_subscription: *mut *const goatflow_plugin_subscription,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    let user_data = UserData::new(user_data, finalizer);
    guard(out_error, move || {
        let out = args.out(out_subscription, "out_subscription")?;
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        let filter = args.text(filter_json, filter_json_len, "filter_json")?.as_bytes();
        let callback = callback.ok_or_else(|| Error::new(ErrorCode::ArgumentNull, "`callback` is NULL"))?;
        let subscriber = Box::new(move |event: &str| {
            // SAFETY: the host gave this function for this pointer; the text lives until it returns.
            unsafe { callback(user_data.pointer(), event.as_ptr().cast(), event.len()) };
        });
        let subscription = manager.subscribe(filter, subscriber)?;
        out.set(std::ptr::without_provenance(SUBSCRIPTIONS.insert(subscription)?));
        Ok(())
    })
}

/// Release a subscription: no new events arrive. Does not wait for a callback that runs.
///
/// Parameters:
/// - `subscription`: the subscription; NULL and released ones are ignored.
///
/// Threads: any, also from its own callback.
/// Errors: none.
/// Since: ABI 1.
#[unsafe(no_mangle)]
pub extern "C" fn goatflow_plugin_subscription_free(subscription: *const goatflow_plugin_subscription) {
    guard_release(|| drop(SUBSCRIPTIONS.remove(subscription.addr())));
}
