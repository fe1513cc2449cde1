//! Platforms where a thread's stack can't be measured: every call is handed to a worker thread.

/// Unknown.
pub(super) fn lowest_stack_address() -> Option<usize> {
    None
}

/// Nothing to do.
pub(super) fn settle_signals() {}
