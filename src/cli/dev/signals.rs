//! Ends the program in order when it is told to.

#![expect(unsafe_code, reason = "the standard library can't hear signals")]

use std::io::{PipeReader, Read};
use std::os::fd::IntoRawFd;
use std::sync::atomic::{AtomicI32, Ordering};

/// Where the handler writes to.
static BELL: AtomicI32 = AtomicI32::new(-1);

/// Calls `told` with the number of each signal that wants the program to end.
pub(super) fn listen(told: impl Fn(i32) + Send + 'static) -> std::io::Result<()> {
    let (mut reader, writer): (PipeReader, _) = std::io::pipe()?;
    BELL.store(writer.into_raw_fd(), Ordering::SeqCst);
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        let handler: extern "C" fn(libc::c_int) = ring;
        // SAFETY: an all-zero sigaction is a valid one to fill.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_RESTART;
        // SAFETY: `action` is filled, and the handler calls only what signal handlers may.
        if unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) } != 0 {
            return Err(std::io::Error::last_os_error());
        }
    }
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        let mut signal = [0];
        while reader.read_exact(&mut signal).is_ok() {
            told(i32::from(signal[0]));
        }
    })?;
    Ok(())
}

extern "C" fn ring(signal: libc::c_int) {
    let number = u8::try_from(signal).unwrap_or(0);
    // SAFETY: the C library gives the address of this thread's `errno`, which the interrupted code must find unchanged.
    let (place, before) = unsafe { (libc::__errno_location(), *libc::__errno_location()) };
    // SAFETY: `write` may be called from handlers; the byte is readable.
    unsafe { libc::write(BELL.load(Ordering::SeqCst), (&raw const number).cast(), 1) };
    // SAFETY: as above.
    unsafe { *place = before };
}
