//! Asynchronous calls. Each plugin has a lane as wide as its instances, so that many slow calls of one plugin never
//! take the worker threads from the others.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::slot::Slot;
use crate::error::{Error, ErrorCode, Result};
use crate::executor::{self, Turn};
use crate::plugin::CallContext;

/// Calls that wait in one plugin's lane; one more is refused.
const MAX_WAITING: usize = 10_000;

/// Answer of a call; `None` when the plugin answered nothing.
pub type Outcome = Result<Option<Vec<u8>>>;

/// Takes the outcome, once, on a worker thread.
pub type Done = Box<dyn FnOnce(Outcome) + Send>;

/// A call that was started.
pub struct Operation {
    context: CallContext,
    pending: Mutex<Option<Pending>>,
}

/// A call that has not begun yet.
struct Pending {
    slot: Arc<Slot>,
    function: String,
    arguments: Vec<u8>,
    done: Done,
}

/// Started calls of one plugin.
#[derive(Default)]
pub struct Lane {
    state: Mutex<LaneState>,
}

#[derive(Default)]
struct LaneState {
    running: usize,
    waiting: VecDeque<Arc<Operation>>,
}

impl Operation {
    /// Stops the call: one that waits ends at once, one that runs soon.
    pub fn cancel(&self) {
        self.context.cancellation.cancel();
        self.finish_unbegun();
    }

    /// Ends a call that has not begun, when it was cancelled or its time is up.
    fn finish_unbegun(&self) {
        let Err(reason) = self.context.check_alive() else { return };
        let Some(pending) = self.take() else { return };
        pending.slot.lane.forget(self);
        let reason = reason.with_plugin(&pending.slot.name);
        let finish: Job = Box::new(move || (pending.done)(Err(reason)));
        let finish = Arc::new(Mutex::new(Some(finish)));
        // Not on this thread, if it can be helped: the host may hold locks that its completion wants, too.
        let elsewhere = Arc::clone(&finish);
        if executor::spawn(move || run_once(&elsewhere)).is_err() {
            run_once(&finish);
        }
    }

    fn take(&self) -> Option<Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Makes the call; gives what is left to do: telling the host.
    fn run(&self) -> Option<Job> {
        let pending = self.take()?;
        let mut answer = None;
        let call = AssertUnwindSafe(|| {
            pending.slot.call(&self.context, &pending.function, &pending.arguments, &mut |bytes| {
                answer = Some(bytes.to_vec());
                Ok(())
            })
        });
        // Whatever happens, the host is told, and the calls behind this one are made.
        let panicked = || Err(Error::new(ErrorCode::InternalPanic, "a started call panicked (please report this)"));
        let outcome = catch_unwind(call).unwrap_or_else(|_| panicked());
        Some(Box::new(move || (pending.done)(outcome.map(|()| answer))))
    }
}

type Job = Box<dyn FnOnce() + Send>;

fn run_once(job: &Mutex<Option<Job>>) {
    let job = job.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(job) = job {
        job();
    }
}

/// Puts a call into its plugin's lane.
pub fn start(
    slot: Arc<Slot>,
    width: u32,
    context: CallContext,
    function: &str,
    arguments: &[u8],
    done: Done,
) -> Result<Arc<Operation>> {
    let lane = Arc::clone(&slot.lane);
    let deadline = context.deadline;
    let pending = Pending { slot, function: function.to_owned(), arguments: arguments.to_vec(), done };
    let operation = Arc::new(Operation { context, pending: Mutex::new(Some(pending)) });
    if lane.enter(&operation, width)? == Entered::Waiting {
        let waiting: Weak<Operation> = Arc::downgrade(&operation);
        // Without a timer the call still ends when its turn comes.
        let _ = executor::at(deadline, move || {
            if let Some(operation) = waiting.upgrade() {
                operation.finish_unbegun();
            }
        });
    }
    Ok(operation)
}

#[derive(PartialEq, Eq)]
enum Entered {
    Running,
    Waiting,
}

impl Lane {
    fn enter(self: &Arc<Self>, operation: &Arc<Operation>, width: u32) -> Result<Entered> {
        let mut state = self.lock();
        if state.running < width as usize {
            let (lane, first) = (Arc::clone(self), Arc::clone(operation));
            let turn = executor::spawn_call(move || lane.work_off(first))?;
            state.running += 1;
            return Ok(if turn == Turn::Soon { Entered::Running } else { Entered::Waiting });
        }
        if state.waiting.len() >= MAX_WAITING {
            return Err(Error::new(
                ErrorCode::LifecycleOverloaded,
                format!("{MAX_WAITING} calls wait for this plugin already (call again later)"),
            ));
        }
        state.waiting.push_back(Arc::clone(operation));
        Ok(Entered::Waiting)
    }

    /// Makes a call, passes the lane on, and only then tells the host: its completion may itself wait for the lane.
    fn work_off(self: Arc<Self>, operation: Arc<Operation>) {
        let mut current = Some(operation);
        while let Some(operation) = current.take() {
            let finish = operation.run();
            drop(operation);
            if let Some(next) = self.next() {
                let (lane, elsewhere) = (Arc::clone(&self), Arc::clone(&next));
                if executor::spawn_next_call(move || lane.work_off(elsewhere)).is_err() {
                    current = Some(next);
                }
            }
            if let Some(finish) = finish {
                // A panic of the host's completion must not end the lane.
                let _ = catch_unwind(AssertUnwindSafe(finish));
            }
        }
    }

    /// Lets go of a call that ended before its turn.
    fn forget(&self, operation: &Operation) {
        self.lock().waiting.retain(|waiting| !std::ptr::eq(&raw const **waiting, operation));
    }

    fn next(&self) -> Option<Arc<Operation>> {
        let mut state = self.lock();
        let next = state.waiting.pop_front();
        if next.is_none() {
            state.running -= 1;
        }
        next
    }

    fn lock(&self) -> MutexGuard<'_, LaneState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operation").finish_non_exhaustive()
    }
}
