//! Completion queues: outcomes of asynchronous calls, with a descriptor that event loops can wait for.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::args::Args;
use super::buffer::goatflow_plugin_buffer;
use super::call::answer_buffer;
use super::error::{goatflow_plugin_error, into_handle};
use super::guard::{guard, guard_release};
use super::handle::Table;
use crate::error::{Error, ErrorCode, Result};
use crate::manager::Outcome;

/// A completion queue. Release with `goatflow_plugin_queue_free`.
pub struct goatflow_plugin_queue {
    _private: [u8; 0],
}

/// The outcome of one asynchronous call.
#[repr(C)]
#[derive(Debug)]
pub struct goatflow_plugin_completion {
    /// As given to `goatflow_plugin_manager_call_enqueue`.
    pub tag: u64,
    /// Status of the call.
    pub status: i32,
    /// 0; for later versions.
    pub reserved: u32,
    /// The answer; release with `goatflow_plugin_buffer_free`.
    pub result: goatflow_plugin_buffer,
    /// The error, NULL on success; release with `goatflow_plugin_error_free`.
    pub error: *const goatflow_plugin_error,
}

pub(super) static QUEUES: Table<Queue> = Table::new(0xA7, "queue");

/// Outcomes that wait, and an eventfd that is readable while there are any.
pub(super) struct Queue {
    signal: File,
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

#[derive(Default)]
struct Waiting {
    outcomes: VecDeque<(u64, Outcome)>,
    closed: bool,
}

impl Queue {
    fn new() -> Result<Self> {
        // SAFETY: no pointers; the result is checked.
        let descriptor = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if descriptor < 0 {
            return Err(Error::new(ErrorCode::EnvironmentResources, "can't make an eventfd")
                .with_source(std::io::Error::last_os_error()));
        }
        // SAFETY: a new descriptor that nobody else owns.
        let signal = unsafe { OwnedFd::from_raw_fd(descriptor) }.into();
        Ok(Self { signal, waiting: Mutex::default(), arrived: Condvar::new() })
    }

    pub(super) fn push(&self, tag: u64, outcome: Outcome) {
        let mut waiting = self.lock();
        if waiting.closed {
            return;
        }
        if waiting.outcomes.is_empty() {
            // The counter is 0: writing 1 can't fail for lack of room.
            let _ = (&self.signal).write(&1_u64.to_ne_bytes());
        }
        waiting.outcomes.push_back((tag, outcome));
        drop(waiting);
        self.arrived.notify_one();
    }

    /// Takes outcomes, waiting for a first one; an error when the queue is released meanwhile.
    fn next(&self, most: usize, patience: Option<Duration>) -> Result<Vec<(u64, Outcome)>> {
        let go_on = |waiting: &mut Waiting| waiting.outcomes.is_empty() && !waiting.closed;
        let mut waiting = match patience {
            Some(patience) => self
                .arrived
                .wait_timeout_while(self.lock(), patience, go_on)
                .map(|(waiting, _)| waiting)
                .unwrap_or_else(|poisoned| poisoned.into_inner().0),
            None => self.arrived.wait_while(self.lock(), go_on).unwrap_or_else(PoisonError::into_inner),
        };
        if waiting.closed {
            return Err(Error::new(ErrorCode::ArgumentHandle, "`queue` was released"));
        }
        let count = most.min(waiting.outcomes.len());
        let taken: Vec<_> = waiting.outcomes.drain(..count).collect();
        if count > 0 {
            if waiting.outcomes.is_empty() {
                // Readable until now; reading sets the counter back to 0.
                let _ = (&self.signal).read(&mut [0; 8]);
            } else {
                self.arrived.notify_one();
            }
        }
        Ok(taken)
    }

    /// Wakes whoever waits; outcomes that nobody took are dropped.
    fn close(&self) {
        let mut waiting = self.lock();
        waiting.closed = true;
        let dropped = std::mem::take(&mut waiting.outcomes);
        drop(waiting);
        self.arrived.notify_all();
        drop(dropped);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Make a completion queue.
///
/// Parameters:
/// - `out_queue`: the queue; release with `goatflow_plugin_queue_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_ENVIRONMENT_RESOURCES` when the process has no descriptor left, `…_STATUS_ARGUMENT_NULL`.
/// Since: ABI 1.
///
/// # Safety
/// The out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_queue_new(
    out_queue: *mut *const goatflow_plugin_queue,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.out(out_queue, "out_queue")?;
        out.set(std::ptr::without_provenance(QUEUES.insert(Arc::new(Queue::new()?))?));
        Ok(())
    })
}

/// Get a descriptor that is readable while outcomes wait, for poll, epoll and event loops.
///
/// Parameters:
/// - `queue`: the queue, which owns the descriptor: do not read or close it; duplicate it to keep it longer.
/// - `out_fd`: the descriptor.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_ARGUMENT_NULL`, `…_STATUS_ARGUMENT_HANDLE`.
/// Since: ABI 1.
///
/// # Safety
/// The out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_queue_fd(
    queue: *const goatflow_plugin_queue,
    out_fd: *mut i32,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.out(out_fd, "out_fd")?;
        out.set(args.handle(&QUEUES, queue, "queue")?.signal.as_raw_fd());
        Ok(())
    })
}

/// Take outcomes from a queue, waiting for a first one.
///
/// ```c
/// const goatflow_plugin_queue *queue = NULL;
/// goatflow_plugin_completion done[16];
/// size_t count = 0;
///
/// goatflow_plugin_queue_new(&queue, NULL);
/// goatflow_plugin_manager_call_enqueue(NULL, "stats", 5, "overview", 8, NULL, 0, NULL, queue, 7, NULL, NULL);
/// goatflow_plugin_queue_next(queue, done, 16, 1000, &count, NULL);
/// for (size_t i = 0; i < count; i++) {
///     printf("%llu: %d\n", (unsigned long long)done[i].tag, (int)done[i].status);
///     goatflow_plugin_buffer_free(&done[i].result);
///     goatflow_plugin_error_free(done[i].error);
/// }
/// goatflow_plugin_queue_free(queue);
/// ```
///
/// Parameters:
/// - `queue`: the queue.
/// - `out_completions`: array that takes the outcomes; their results and errors belong to the caller.
/// - `capacity`: number of elements of `out_completions`.
/// - `timeout_ms`: longest wait in milliseconds; 0 = only look; `UINT64_MAX` = for ever.
/// - `out_count`: number of outcomes taken; 0 when none came in time.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any; several may wait.
/// Errors: `…_STATUS_ARGUMENT_NULL`, `…_STATUS_ARGUMENT_HANDLE`. A call that failed is no error here: see its `status`.
/// Since: ABI 1.
///
/// # Safety
/// `out_completions` is writable for `capacity` elements; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_queue_next(
    queue: *const goatflow_plugin_queue,
    out_completions: *mut goatflow_plugin_completion,
    capacity: usize,
    timeout_ms: u64,
    out_count: *mut usize,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let count = args.out(out_count, "out_count")?;
        let queue = args.handle(&QUEUES, queue, "queue")?;
        let places = args.out_array(out_completions, capacity, "out_completions")?;
        let patience = Some(timeout_ms).filter(|ms| *ms != u64::MAX).map(Duration::from_millis);
        let taken = if capacity == 0 { Vec::new() } else { queue.next(capacity, patience)? };
        count.set(taken.len());
        fill(places, taken);
        Ok(())
    })
}

fn fill(places: &mut [MaybeUninit<goatflow_plugin_completion>], outcomes: Vec<(u64, Outcome)>) {
    for (place, (tag, outcome)) in places.iter_mut().zip(outcomes) {
        let (status, result, error) = match outcome {
            Ok(answer) => (0, answer_buffer(answer), std::ptr::null()),
            Err(error) => (error.code().number(), answer_buffer(None), into_handle(error)),
        };
        place.write(goatflow_plugin_completion { tag, status, reserved: 0, result, error });
    }
}

/// Release a queue. Calls go on; their outcomes are dropped. Threads that wait for outcomes get
/// `…_STATUS_ARGUMENT_HANDLE`.
///
/// Parameters:
/// - `queue`: the queue; NULL and released ones are ignored.
///
/// Threads: any; not while another thread waits for its descriptor.
/// Errors: none.
/// Since: ABI 1.
#[unsafe(no_mangle)]
pub extern "C" fn goatflow_plugin_queue_free(queue: *const goatflow_plugin_queue) {
    guard_release(|| {
        if let Some(queue) = QUEUES.remove(queue.addr()) {
            queue.close();
        }
    });
}

const _: () = assert!(size_of::<goatflow_plugin_completion>() == 48);
