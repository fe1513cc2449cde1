//! Bounds of this thread's stack, from the C library.

#![expect(unsafe_code, reason = "the C library's only interface to a thread's stack")]

/// Lowest usable address of this thread's stack.
pub(super) fn lowest_stack_address() -> Option<usize> {
    // SAFETY: an all-zero pthread_attr_t is a valid place for pthread_getattr_np to write to.
    let mut attributes: libc::pthread_attr_t = unsafe { std::mem::zeroed() };
    // SAFETY: `attributes` is writable and the thread is this one, so it is alive.
    if unsafe { libc::pthread_getattr_np(libc::pthread_self(), &raw mut attributes) } != 0 {
        return None;
    }
    let mut lowest = std::ptr::null_mut();
    let mut size = 0;
    let mut guard = 0;
    // SAFETY: pthread_getattr_np filled `attributes`; the outputs are local variables.
    let found = unsafe {
        libc::pthread_attr_getguardsize(&raw const attributes, &raw mut guard) == 0
            && libc::pthread_attr_getstack(&raw const attributes, &raw mut lowest, &raw mut size) == 0
    };
    // SAFETY: `attributes` was filled above and is not used any more.
    unsafe { libc::pthread_attr_destroy(&raw mut attributes) };
    // glibc counts the guard page into the stack of threads it makes itself in some versions: leave it out always.
    found.then(|| lowest.addr() + guard)
}
