//! Platforms where a thread's stack can't be measured: every call is handed to a worker thread.

/// Unknown.
pub(super) fn lowest_stack_address() -> Option<usize> {
    None
}

/// Signals are left alone.
pub(super) fn with_thread_mask<T>(start: impl FnOnce() -> T) -> T {
    start()
}
