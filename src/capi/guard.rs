//! What stands around every exported function: no panic crosses to C, and nothing works in a forked child.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::goatflow_plugin_error;
use crate::error::{Error, ErrorCode, Result};

static FORKED: AtomicBool = AtomicBool::new(false);

/// From now on notices when this process is a forked child: threads and locks of the parent are not there.
pub(super) fn watch_forks() {
    extern "C" fn in_child() {
        FORKED.store(true, Ordering::Relaxed);
    }
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: `in_child` only stores to an atomic, which is allowed in a forked child; the library is never unloaded
        // (it is linked with `-z nodelete`), so the function stays where it is.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

pub(super) fn is_forked() -> bool {
    FORKED.load(Ordering::Relaxed)
}

/// Runs the body of a function that returns a status. A failure becomes its number and, where the caller wants one, an
/// error object.
pub(super) fn guard(out_error: *mut *const goatflow_plugin_error, body: impl FnOnce() -> Result<()>) -> i32 {
    if is_forked() {
        // Nothing here may wait for a lock that a thread of the parent held.
        super::error::hand_out_forked(out_error);
        return ErrorCode::EnvironmentForked.number();
    }
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        injected_panic();
        body()
    }))
    .unwrap_or_else(|payload| Err(panicked(&*payload)));
    match outcome {
        Ok(()) => {
            super::error::clear(out_error);
            0
        }
        Err(error) => {
            let status = error.code().number();
            super::error::hand_out(out_error, error);
            status
        }
    }
}

/// Runs the body of a function that releases something; does nothing in a forked child, where it belongs to the parent.
pub(super) fn guard_release(body: impl FnOnce()) {
    if !is_forked() {
        guard_value((), body);
    }
}

/// Runs the body of a function that can't fail and waits for no lock; `default` is what it returns after a panic.
pub(super) fn guard_value<T>(default: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(|| {
        injected_panic();
        body()
    }))
    .unwrap_or(default)
}

fn panicked(payload: &(dyn Any + Send)) -> Error {
    let text = payload
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".into());
    Error::new(ErrorCode::InternalPanic, format!("the library panicked: {text} (please report this)"))
}

#[cfg(not(test))]
fn injected_panic() {}

#[cfg(test)]
pub(super) use injection::{injected_panic, with_panic};

#[cfg(test)]
mod injection {
    use std::cell::Cell;

    thread_local! { static ARMED: Cell<bool> = const { Cell::new(false) }; }

    /// Lets the next entry into the C API on this thread panic.
    pub(in crate::capi) fn with_panic<T>(call: impl FnOnce() -> T) -> T {
        ARMED.set(true);
        let value = call();
        assert!(!ARMED.replace(false), "the function has no panic barrier");
        value
    }

    pub(in crate::capi) fn injected_panic() {
        assert!(!ARMED.replace(false), "injected");
    }
}
