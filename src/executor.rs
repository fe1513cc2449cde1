//! The library's own worker threads: they serve asynchronous calls, and calls whose caller has too little stack left.
//!
//! Worker threads never exit, because they call into language runtimes (Go, Python) that keep state for every foreign
//! thread they have met. Their number follows the number of jobs that block at the same time, up to a bound.

use std::cell::Cell;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use crate::clock::{self, Nanos};
use crate::error::{Error, ErrorCode, Result};

#[cfg(native_plugins)]
mod io;
#[cfg(native_plugins)]
pub use io::{io, wait};

/// Stack of a worker thread: room for several nested guests.
const WORKER_STACK_BYTES: usize = 8 * 1024 * 1024;

/// Bound on worker threads of the process.
const MAX_WORKERS: usize = 512;

/// Jobs that wait when all workers are busy; one more is refused.
const MAX_WAITING: usize = 100_000;

type Job = Box<dyn FnOnce() + Send>;

/// Threads for one kind of work.
struct Executor {
    state: Mutex<State>,
    work: Condvar,
    most: usize,
}

struct State {
    idle: usize,
    workers: usize,
    waiting: VecDeque<Job>,
    /// Somebody will look soon whether jobs still wait.
    check_pending: bool,
}

/// How long a job of [`spawn_next`] waits for a worker before a new one is started.
const PATIENCE: Duration = Duration::from_millis(5);

static WORKERS: Executor = Executor::new(MAX_WORKERS);
/// Apart: calls take as long as plugins do, and may take all threads that they can get; what starts, ends and watches plugins
/// must still find one.
static CALLS: Executor = Executor::new(MAX_WORKERS);
/// Apart, and as many as there are calls: those who wait for plugins may take all workers, and what the plugins need for going
/// on must still find a thread. Who makes the calls bounds their number.
#[cfg(native_plugins)]
static HOST_CALLS: Executor = Executor::new(usize::MAX);

impl Executor {
    const fn new(most: usize) -> Self {
        let state = State { idle: 0, workers: 0, waiting: VecDeque::new(), check_pending: false };
        Self { state: Mutex::new(state), work: Condvar::new(), most }
    }
}

/// Runs `job` on a worker thread, soon.
pub fn spawn(job: impl FnOnce() + Send + 'static) -> Result<()> {
    spawn_on(&WORKERS, job).map(drop)
}

/// Runs an asynchronous call, or a part of one, on a thread for such calls, soon; or, where the answer is [`Turn::Waits`], once
/// another call has ended.
pub fn spawn_call(job: impl FnOnce() + Send + 'static) -> Result<Turn> {
    spawn_on(&CALLS, job)
}

/// Runs a host call of a native plugin on a thread for such calls, soon.
#[cfg(native_plugins)]
pub fn spawn_host_call(job: impl FnOnce() + Send + 'static) -> Result<()> {
    spawn_on(&HOST_CALLS, job).map(drop)
}

/// When a job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// A thread is there for it.
    Soon,
    /// All threads are busy, and there will be no more.
    Waits,
}

fn spawn_on(executor: &'static Executor, job: impl FnOnce() + Send + 'static) -> Result<Turn> {
    let mut state = executor.state.lock().unwrap_or_else(PoisonError::into_inner);
    if state.waiting.len() >= MAX_WAITING {
        return Err(Error::new(
            ErrorCode::LifecycleOverloaded,
            format!("{MAX_WAITING} jobs wait already (call again later, or limit how many calls are under way)"),
        ));
    }
    state.waiting.push_back(Box::new(job));
    if state.waiting.len() <= state.idle {
        executor.work.notify_one();
        return Ok(Turn::Soon);
    }
    if state.workers < executor.most {
        start_worker(executor, &mut state)?;
        return Ok(Turn::Soon);
    }
    Ok(Turn::Waits)
}

/// Runs `job` on a worker thread when this one, a worker itself, is about to become free: without a new thread, unless
/// this one takes longer than expected.
pub fn spawn_next(job: impl FnOnce() + Send + 'static) -> Result<()> {
    spawn_next_on(&WORKERS, job)
}

/// As [`spawn_next`], on a thread of [`spawn_call`].
pub fn spawn_next_call(job: impl FnOnce() + Send + 'static) -> Result<()> {
    spawn_next_on(&CALLS, job)
}

fn spawn_next_on(executor: &'static Executor, job: impl FnOnce() + Send + 'static) -> Result<()> {
    let mut state = executor.state.lock().unwrap_or_else(PoisonError::into_inner);
    if state.waiting.len() >= MAX_WAITING {
        return Err(Error::new(ErrorCode::LifecycleOverloaded, format!("{MAX_WAITING} jobs wait already")));
    }
    state.waiting.push_back(Box::new(job));
    executor.work.notify_one();
    if state.idle == 0 && !std::mem::replace(&mut state.check_pending, true) {
        drop(state);
        check_later(executor);
    }
    Ok(())
}

fn check_later(executor: &'static Executor) {
    let due = clock::now().saturating_add(clock::saturating_nanos(PATIENCE));
    if at(due, move || start_worker_if_needed(executor)).is_err() {
        start_worker_if_needed(executor);
    }
}

fn start_worker_if_needed(executor: &'static Executor) {
    let mut state = executor.state.lock().unwrap_or_else(PoisonError::into_inner);
    state.check_pending = false;
    if state.waiting.is_empty() || state.idle > 0 {
        return;
    }
    if state.workers < executor.most && start_worker(executor, &mut state).is_err() {
        return;
    }
    state.check_pending = true;
    drop(state);
    check_later(executor);
}

/// Runs `start`, which starts threads of the library, so that they take no signals of the host.
pub fn with_thread_mask<T>(start: impl FnOnce() -> T) -> T {
    platform::with_thread_mask(start)
}

/// Adds a worker. Without one at all, nothing would ever take the job that was just queued: it is taken back.
fn start_worker(executor: &'static Executor, state: &mut State) -> Result<()> {
    let thread = std::thread::Builder::new().name("goatflow-worker".into()).stack_size(WORKER_STACK_BYTES);
    match with_thread_mask(|| thread.spawn(|| work_for_ever(executor))) {
        Ok(_) => {
            state.workers += 1;
            Ok(())
        }
        Err(_) if state.workers > 0 => Ok(()),
        Err(error) => {
            // Without any worker nobody would ever take the job.
            state.waiting.pop_back();
            Err(Error::new(ErrorCode::EnvironmentResources, "can't start a worker thread").with_source(error))
        }
    }
}

fn work_for_ever(executor: &Executor) {
    let mut state = executor.state.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if let Some(job) = state.waiting.pop_front() {
            drop(state);
            // A job that panics has its own way to report it; the worker goes on.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
            state = executor.state.lock().unwrap_or_else(PoisonError::into_inner);
        } else {
            state.idle += 1;
            state = executor.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }
}

/// What is started once, by who needs it first. A failure is not kept: what was missing may be there the next time.
fn started<T>(once: &'static OnceLock<T>, start: impl FnOnce() -> std::io::Result<T>) -> std::io::Result<&'static T> {
    static TURN: Mutex<()> = Mutex::new(());
    if let Some(started) = once.get() {
        return Ok(started);
    }
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    match once.get() {
        Some(started) => Ok(started),
        None => start().map(|started| once.get_or_init(|| started)),
    }
}

/// Runs `job` at the monotonic time `when`, or soon after, on a thread that must not be held up: hand real work to
/// [`spawn`].
pub fn at(when: Nanos, job: impl FnOnce() + Send + 'static) -> Result<()> {
    static TIMER: OnceLock<Timer> = OnceLock::new();
    let timer = started(&TIMER, || {
        let thread = std::thread::Builder::new().name("goatflow-timer".into()).stack_size(256 * 1024);
        with_thread_mask(|| thread.spawn(run_due_jobs)).map(|handle| Timer { thread: handle.thread().clone() })
    })
    .map_err(|error| Error::new(ErrorCode::EnvironmentResources, "can't start the timer thread").with_source(error))?;
    due().push(Due { when, job: Box::new(job) });
    timer.thread.unpark();
    Ok(())
}

struct Timer {
    thread: Thread,
}

/// A job with its time; ordered so that the earliest is the greatest.
struct Due {
    when: Nanos,
    job: Job,
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.when.cmp(&self.when)
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.when == other.when
    }
}

impl Eq for Due {}

fn due() -> MutexGuard<'static, BinaryHeap<Due>> {
    static DUE: Mutex<BinaryHeap<Due>> = Mutex::new(BinaryHeap::new());
    DUE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run_due_jobs() {
    loop {
        let now = clock::now();
        let mut waiting = due();
        match waiting.peek().map(|next| next.when) {
            Some(when) if when <= now => {
                let job = waiting.pop().map(|next| next.job);
                drop(waiting);
                if let Some(job) = job {
                    // As for workers: the job reports its own panic.
                    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
                }
            }
            Some(when) => {
                drop(waiting);
                std::thread::park_timeout(Duration::from_nanos(when - now));
            }
            None => {
                drop(waiting);
                std::thread::park();
            }
        }
    }
}

/// Bytes of stack that this thread has left; 0 when that can't be found out.
#[must_use]
pub fn remaining_stack() -> usize {
    thread_local! { static LOWEST: Cell<usize> = const { Cell::new(0) }; }
    let lowest = LOWEST.with(|lowest| {
        if lowest.get() == 0 {
            lowest.set(platform::lowest_stack_address().unwrap_or(usize::MAX));
        }
        lowest.get()
    });
    stack_marker().saturating_sub(lowest)
}

/// Address of something that lies on the stack right now.
#[inline(never)]
fn stack_marker() -> usize {
    let marker = 0_u8;
    std::hint::black_box(std::ptr::from_ref(&marker)).addr()
}

#[cfg(target_os = "linux")]
#[path = "executor/linux.rs"]
mod platform;
#[cfg(not(target_os = "linux"))]
#[path = "executor/unsupported.rs"]
mod platform;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn jobs_that_block_do_not_hold_up_others() {
        let (release, blocked) = mpsc::channel::<()>();
        let (done, finished) = mpsc::channel();
        spawn(move || assert!(blocked.recv().is_err())).unwrap();
        spawn(move || done.send(7).unwrap()).unwrap();
        assert_eq!(finished.recv(), Ok(7));
        drop(release);
    }

    #[test]
    fn calls_that_take_all_their_threads_do_not_hold_up_what_looks_after_plugins() {
        let (release, blocked) = mpsc::channel::<()>();
        let blocked = std::sync::Arc::new(Mutex::new(blocked));
        let mut turns = Vec::new();
        for _ in 0..=MAX_WORKERS {
            let blocked = std::sync::Arc::clone(&blocked);
            turns.push(spawn_call(move || blocked.lock().unwrap().recv().unwrap_or_default()).unwrap());
        }
        assert_eq!((turns.first(), turns.last()), (Some(&Turn::Soon), Some(&Turn::Waits)));
        let (done, finished) = mpsc::channel();
        spawn(move || done.send(7).unwrap()).unwrap();
        assert_eq!(finished.recv(), Ok(7));
        drop(release);
    }

    #[test]
    fn timed_jobs_run_in_the_order_of_their_times() {
        let (done, finished) = mpsc::channel();
        let now = clock::now();
        for delay in [30_u64, 10, 20] {
            let done = done.clone();
            at(now + delay * 1_000_000, move || done.send(delay).unwrap()).unwrap();
        }
        assert_eq!([finished.recv(), finished.recv(), finished.recv()], [Ok(10), Ok(20), Ok(30)]);
    }

    #[test]
    fn a_panicking_job_does_not_take_its_worker_along() {
        spawn(|| panic!("on purpose")).unwrap();
        let (done, finished) = mpsc::channel();
        spawn(move || done.send(()).unwrap()).unwrap();
        assert_eq!(finished.recv(), Ok(()));
    }

    #[test]
    fn remaining_stack_follows_the_size_of_the_thread() {
        for size in [256 * 1024, 4 * 1024 * 1024] {
            let left = std::thread::Builder::new().stack_size(size).spawn(remaining_stack).unwrap().join().unwrap();
            assert!(left > size / 2 && left <= size + 64 * 1024, "{left} of {size}");
        }
    }
}
