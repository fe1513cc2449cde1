//! The one asynchronous runtime: sockets of native plugins live on it, nothing else.
//!
//! Its threads only move bytes; what may block, or calls into the host, runs on worker threads.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use tokio::runtime::{Builder, Handle, Runtime};

use super::{started, with_thread_mask};
use crate::error::{Error, ErrorCode, Result};

/// Threads that move bytes: one keeps up with more calls than two processors can make, and spares wake-ups between threads.
const THREADS: usize = 1;

struct Io {
    runtime: Runtime,
    /// Process that the threads belong to: a forked child has the memory, but not the threads.
    process: u32,
}

/// The runtime; started at first use, and never stopped.
pub fn io() -> Result<&'static Handle> {
    static IO: OnceLock<Io> = OnceLock::new();
    let io = started(&IO, start).map_err(|error| {
        Error::new(
            ErrorCode::EnvironmentResources,
            "can't start the thread for native plugins (raise the limits on threads and descriptors)",
        )
        .with_source(error)
    })?;
    if io.process != std::process::id() {
        return Err(Error::new(
            ErrorCode::EnvironmentForked,
            "the process was forked after the library was used (call native plugins in the parent)",
        ));
    }
    Ok(io.runtime.handle())
}

fn start() -> std::io::Result<Io> {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(THREADS).max_blocking_threads(1).thread_name("goatflow-io").enable_all();
    with_thread_mask(|| {
        // The runtime panics when it gets none.
        let thread = std::thread::Builder::new().name("goatflow-io".into()).spawn(|| {})?;
        let _ = thread.join();
        Ok(Io { runtime: builder.build()?, process: std::process::id() })
    })
}

/// Polls `future` on this thread until it is ready. `block_until` blocks the thread between polls: it calls what it is
/// given until that gives a value, and after each time that this thread was unparked.
pub fn wait<T>(
    future: impl Future<Output = T>,
    block_until: impl FnOnce(&mut dyn FnMut() -> Option<T>) -> Result<T>,
) -> Result<T> {
    let _entered = io()?.enter();
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    block_until(&mut || match future.as_mut().poll(&mut context) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    })
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}
