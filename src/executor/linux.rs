//! Stack and signal mask of this thread, from the C library.

#![expect(unsafe_code, reason = "the C library's only interface to a thread's stack and signals")]

/// Runs `start`, which starts threads, under the signal mask that threads of the library have: deaf to the host's signals,
/// open to faults, because guests' faults are. Threads inherit the mask of who starts them, so that it holds from their
/// first instruction.
pub(super) fn with_thread_mask<T>(start: impl FnOnce() -> T) -> T {
    // SAFETY: an all-zero sigset_t is a valid place for sigfillset and pthread_sigmask to write to.
    let (mut mask, mut before): (libc::sigset_t, libc::sigset_t) = unsafe { std::mem::zeroed() };
    // SAFETY: `mask` is writable.
    unsafe { libc::sigfillset(&raw mut mask) };
    for fault in [libc::SIGSEGV, libc::SIGILL, libc::SIGFPE, libc::SIGBUS, libc::SIGTRAP, libc::SIGABRT] {
        // SAFETY: `mask` was filled above.
        unsafe { libc::sigdelset(&raw mut mask, fault) };
    }
    // SAFETY: changes the mask of this thread only, and remembers what it was.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const mask, &raw mut before) };
    let restore = Restore(before);
    let started = start();
    drop(restore);
    started
}

/// Puts a thread's signal mask back, also after a panic.
struct Restore(libc::sigset_t);

impl Drop for Restore {
    fn drop(&mut self) {
        // SAFETY: the mask that this thread had before.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut()) };
    }
}

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
