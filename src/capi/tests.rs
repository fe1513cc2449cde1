//! Every exported function stands behind the panic barrier: with a panic injected at its entry, functions with a status
//! return the panic status, the others their documented default.

use std::ptr::{null, null_mut};

use super::guard::with_panic;
use super::{
    buffer, call, cancellation, error, exchange, function, host, lifecycle, manager, operation, package, policy,
    policy_learning, queue, subscription, trust, version, watch,
};
use crate::error::ErrorCode;

const PANIC: i32 = ErrorCode::InternalPanic as i32;

/// Calls a function with a panic injected and says what it returned.
macro_rules! injected {
    ($module:ident :: $name:ident ( $($argument:expr),* )) => {{
        #[allow(unused_unsafe, reason = "some of the functions are safe")]
        // SAFETY: the body never runs: the barrier panics first; NULL is allowed everywhere.
        let value = with_panic(|| unsafe { $module::$name($($argument),*) });
        (stringify!($name), value)
    }};
}

fn text(pointer: *const std::ffi::c_char) -> &'static str {
    // SAFETY: the functions under test return static texts here.
    unsafe { std::ffi::CStr::from_ptr(pointer) }.to_str().unwrap_or("not UTF-8")
}

fn statuses() -> Vec<(&'static str, i32)> {
    vec![
        injected!(version::goatflow_plugin_abi_check(1, null_mut())),
        injected!(version::goatflow_plugin_status_table(null_mut(), null_mut())),
        injected!(version::goatflow_plugin_doctor(null_mut(), null_mut())),
        injected!(version::goatflow_plugin_config_schema(null_mut(), null_mut())),
        injected!(version::goatflow_plugin_isolation_report(null_mut(), null_mut())),
        injected!(lifecycle::goatflow_plugin_manager_replace(null(), null(), 0, null(), 0, null_mut(), null_mut())),
        injected!(lifecycle::goatflow_plugin_manager_reload(null(), null(), 0, null(), 0, null_mut(), null_mut())),
        injected!(lifecycle::goatflow_plugin_manager_rollback(null(), null(), 0, null(), 0, null_mut(), null_mut())),
        injected!(lifecycle::goatflow_plugin_manager_health(null(), null(), 0, null_mut(), null_mut())),
        injected!(lifecycle::goatflow_plugin_manager_probe(null(), null(), 0, null_mut(), null_mut())),
        injected!(lifecycle::goatflow_plugin_manager_reset_crash_loop(null(), null(), 0, null_mut(), null_mut())),
        injected!(exchange::goatflow_plugin_manager_replace_async(
            null(),
            null(),
            0,
            null(),
            0,
            None,
            null_mut(),
            None,
            null_mut(),
            null_mut()
        )),
        injected!(exchange::goatflow_plugin_manager_reload_async(
            null(),
            null(),
            0,
            null(),
            0,
            None,
            null_mut(),
            None,
            null_mut(),
            null_mut()
        )),
        injected!(exchange::goatflow_plugin_manager_rollback_async(
            null(),
            null(),
            0,
            null(),
            0,
            None,
            null_mut(),
            None,
            null_mut(),
            null_mut()
        )),
        injected!(watch::goatflow_plugin_manager_watch(null(), null(), 0, null(), 0, null_mut(), null_mut())),
        injected!(watch::goatflow_plugin_manager_unwatch(null(), null(), 0, null_mut())),
        injected!(watch::goatflow_plugin_manager_watches(null(), null_mut(), null_mut())),
        injected!(manager::goatflow_plugin_manager_new(null(), 0, null_mut(), null_mut())),
        injected!(manager::goatflow_plugin_manager_shutdown(null(), 0, null_mut(), null_mut())),
        injected!(manager::goatflow_plugin_manager_load(null(), null(), 0, null(), 0, null_mut(), null_mut())),
        injected!(manager::goatflow_plugin_manager_unload(null(), null(), 0, 0, null_mut())),
        injected!(manager::goatflow_plugin_manager_list(null(), null_mut(), null_mut())),
        injected!(manager::goatflow_plugin_manager_registration(null(), null(), 0, null_mut(), null_mut())),
        injected!(manager::goatflow_plugin_manager_enable(null(), null(), 0, null_mut())),
        injected!(manager::goatflow_plugin_manager_disable(null(), null(), 0, 0, null_mut())),
        injected!(manager::goatflow_plugin_manager_stats(null(), null(), 0, null_mut(), null_mut())),
        injected!(manager::goatflow_plugin_manager_logs(null(), null(), 0, null_mut(), null_mut())),
        injected!(manager::goatflow_plugin_manager_clear_logs(null(), null_mut())),
        injected!(call::goatflow_plugin_manager_call(
            null(),
            null(),
            0,
            null(),
            0,
            null(),
            0,
            null(),
            null_mut(),
            null_mut()
        )),
        injected!(call::goatflow_plugin_manager_call_into(
            null(),
            null(),
            0,
            null(),
            0,
            null(),
            0,
            null(),
            null_mut(),
            0,
            null_mut(),
            null_mut(),
            null_mut()
        )),
        injected!(operation::goatflow_plugin_manager_call_async(
            null(),
            null(),
            0,
            null(),
            0,
            null(),
            0,
            null(),
            None,
            null_mut(),
            None,
            null_mut(),
            null_mut()
        )),
        injected!(operation::goatflow_plugin_manager_call_enqueue(
            null(),
            null(),
            0,
            null(),
            0,
            null(),
            0,
            null(),
            null(),
            0,
            null_mut(),
            null_mut()
        )),
        injected!(operation::goatflow_plugin_operation_wait(null(), 0, null_mut(), null_mut())),
        injected!(operation::goatflow_plugin_operation_cancel(null(), null_mut())),
        injected!(queue::goatflow_plugin_queue_new(null_mut(), null_mut())),
        injected!(queue::goatflow_plugin_queue_fd(null(), null_mut(), null_mut())),
        injected!(queue::goatflow_plugin_queue_next(null(), null_mut(), 0, 0, null_mut(), null_mut())),
        injected!(cancellation::goatflow_plugin_cancellation_new(null_mut(), null_mut())),
        injected!(cancellation::goatflow_plugin_cancellation_cancel(null(), null_mut())),
        injected!(function::goatflow_plugin_function_resolve(null(), null(), 0, null(), 0, null_mut(), null_mut())),
        injected!(function::goatflow_plugin_function_call(null(), null(), 0, null(), null_mut(), null_mut())),
        injected!(function::goatflow_plugin_function_call_into(
            null(),
            null(),
            0,
            null(),
            null_mut(),
            0,
            null_mut(),
            null_mut(),
            null_mut()
        )),
        injected!(package::goatflow_plugin_package_inspect(null(), null(), 0, null_mut(), null_mut())),
        injected!(package::goatflow_plugin_package_install(null(), null(), 0, null(), 0, null_mut(), null_mut())),
        injected!(package::goatflow_plugin_package_list(null(), null_mut(), null_mut())),
        injected!(package::goatflow_plugin_package_load(null(), null(), 0, null_mut())),
        injected!(package::goatflow_plugin_package_rollback(null(), null(), 0, null_mut(), null_mut())),
        injected!(package::goatflow_plugin_package_approve(null(), null(), 0, null(), 0, null_mut(), null_mut())),
        injected!(package::goatflow_plugin_package_remove(null(), null(), 0, null(), 0, null_mut(), null_mut())),
        injected!(package::goatflow_plugin_asset_list(null(), null(), 0, null_mut(), null_mut())),
        injected!(package::goatflow_plugin_asset_read(null(), null(), 0, null(), 0, null_mut(), null_mut())),
        injected!(trust::goatflow_plugin_trust_list(null(), null_mut(), null_mut())),
        injected!(trust::goatflow_plugin_trust_add(null(), null(), 0, null_mut(), null_mut())),
        injected!(trust::goatflow_plugin_trust_revoke(null(), null(), 0, null_mut(), null_mut())),
        injected!(trust::goatflow_plugin_trust_schema(null_mut(), null_mut())),
        injected!(trust::goatflow_plugin_signature_check(null(), 0, null(), 0, null(), 0, null_mut(), null_mut())),
        injected!(policy::goatflow_plugin_policy_get(null(), null(), 0, null_mut(), null_mut())),
        injected!(policy::goatflow_plugin_policy_set(null(), null(), 0, null(), 0, 0, null_mut(), null_mut())),
        injected!(policy::goatflow_plugin_policy_validate(null(), 0, null_mut(), null_mut())),
        injected!(policy::goatflow_plugin_policy_schema(null_mut(), null_mut())),
        injected!(policy_learning::goatflow_plugin_policy_suggest(
            null(),
            null(),
            0,
            null(),
            0,
            null_mut(),
            null_mut()
        )),
        injected!(policy_learning::goatflow_plugin_policy_apply(null(), null(), 0, null(), 0, null_mut(), null_mut())),
        injected!(policy_learning::goatflow_plugin_policy_observe(null(), null(), 0, 0, null_mut(), null_mut())),
        injected!(policy_learning::goatflow_plugin_policy_check(null(), null(), 0, null(), 0, null_mut(), null_mut())),
        injected!(policy_learning::goatflow_plugin_policy_check_document(null(), 0, null(), 0, null_mut(), null_mut())),
        injected!(policy_learning::goatflow_plugin_policy_history(null(), null(), 0, 0, null_mut(), null_mut())),
        injected!(host::goatflow_plugin_manager_provide(null(), null(), 0, None, null_mut(), None, null_mut())),
        injected!(host::goatflow_plugin_manager_declare(null(), null(), 0, None, null_mut(), None, null_mut())),
        injected!(host::goatflow_plugin_reply_set_result(null(), null(), 0, null_mut())),
        injected!(host::goatflow_plugin_reply_set_error(null(), null(), 0, null_mut())),
        injected!(subscription::goatflow_plugin_subscription_new(
            null(),
            null(),
            0,
            None,
            null_mut(),
            None,
            null_mut(),
            null_mut()
        )),
    ]
}

fn texts() -> Vec<(&'static str, &'static str, &'static str)> {
    let with = |(name, pointer), expected| (name, text(pointer), expected);
    vec![
        with(injected!(version::goatflow_plugin_version()), ""),
        with(injected!(version::goatflow_plugin_status_slug(0)), "unknown"),
        with(injected!(error::goatflow_plugin_error_code(null())), ""),
        with(injected!(error::goatflow_plugin_error_message(null())), ""),
        with(injected!(error::goatflow_plugin_error_plugin(null())), ""),
        with(injected!(error::goatflow_plugin_error_detail(null())), ""),
    ]
}

fn numbers() -> Vec<(&'static str, i64)> {
    let as_number = |(name, value): (&'static str, i32)| (name, i64::from(value));
    let abi = injected!(version::goatflow_plugin_abi_version());
    vec![
        (abi.0, i64::from(abi.1)),
        as_number(injected!(error::goatflow_plugin_error_status(null()))),
        as_number(injected!(error::goatflow_plugin_error_retryable(null()))),
    ]
}

fn releases() -> Vec<(&'static str, ())> {
    vec![
        injected!(buffer::goatflow_plugin_buffer_free(null_mut())),
        injected!(error::goatflow_plugin_error_free(null())),
        injected!(manager::goatflow_plugin_manager_free(null())),
        injected!(operation::goatflow_plugin_operation_free(null())),
        injected!(queue::goatflow_plugin_queue_free(null())),
        injected!(cancellation::goatflow_plugin_cancellation_free(null())),
        injected!(function::goatflow_plugin_function_free(null())),
        injected!(subscription::goatflow_plugin_subscription_free(null())),
    ]
}

#[test]
fn no_panic_crosses_the_boundary() {
    let (statuses, texts, numbers, releases) = (statuses(), texts(), numbers(), releases());
    for (name, status) in &statuses {
        assert_eq!(*status, PANIC, "{name}");
    }
    for (name, value, expected) in &texts {
        assert_eq!(value, expected, "{name}");
    }
    for (name, value) in &numbers {
        assert_eq!(*value, 0, "{name}");
    }
    let mut tested: Vec<&str> = statuses.iter().map(|row| row.0).collect();
    tested.extend(texts.iter().map(|row| row.0));
    tested.extend(numbers.iter().map(|row| row.0));
    tested.extend(releases.iter().map(|row| row.0));
    tested.sort_unstable();
    let exported: Vec<&str> = include_str!("../../tests/abi/symbols.txt").lines().collect();
    assert_eq!(tested, exported);
}

#[test]
fn a_finalizer_runs_once_when_the_registration_panics() {
    unsafe extern "C" fn count(user_data: *mut std::ffi::c_void) {
        // SAFETY: the test hands over a pointer to a counter that outlives the call.
        unsafe { *user_data.cast::<u32>() += 1 };
    }
    let mut finalized = 0_u32;
    let user_data = (&raw mut finalized).cast();
    // SAFETY: NULL and the counter above.
    let status = with_panic(|| unsafe {
        host::goatflow_plugin_manager_provide(null(), null(), 0, None, user_data, Some(count), null_mut())
    });
    assert_eq!((status, finalized), (PANIC, 1));
}
