//! Who handles the signals that memory faults of guests cause.

#![expect(unsafe_code, reason = "asks the C library for signal handlers")]

use serde_json::{Map, Value};

const WATCHED: [(&str, libc::c_int); 3] =
    [("SIGSEGV", libc::SIGSEGV), ("SIGILL", libc::SIGILL), ("SIGFPE", libc::SIGFPE)];

/// State of each signal: nobody handles it, a handler that runs on an alternate stack, or one that does not.
pub(super) fn handlers() -> Value {
    WATCHED.iter().map(|(name, signal)| ((*name).to_owned(), state(*signal).into())).collect::<Map<_, Value>>().into()
}

fn state(signal: libc::c_int) -> &'static str {
    // SAFETY: an all-zero sigaction is a valid place to write to.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: asks only; `action` is writable.
    if unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) } != 0 {
        return "unknown";
    }
    match action.sa_sigaction {
        libc::SIG_DFL => "default",
        libc::SIG_IGN => "ignored",
        _ if action.sa_flags & libc::SA_ONSTACK != 0 => "handled",
        _ => "handled without an alternate stack (a handler that does not chain ends the process at a guest's fault)",
    }
}
