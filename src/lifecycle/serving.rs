//! Who serves, and how many calls: the exchange of one for another without a lost call.
//!
//! A call is counted in and told whether it may begin by one atomic step on one word. Whoever closes what served before and
//! then finds no call in flight knows that none will come: that needs no order between this word and the pointer. The
//! last call out wakes who waits for it.
//!
//! `tests/model` checks this file, as it is, in every interleaving of some threads.

use std::ops::Deref;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::sync::{AtomicBool, AtomicUsize, Bell, Mutex, Ordering, Pointer, Until, pause};

/// No call may begin.
const CLOSED: usize = 1 << (usize::BITS - 1);
/// Somebody waits for the last call's end.
const AWAITED: usize = 1 << (usize::BITS - 2);
/// The remaining bits count calls.
const CALLS: usize = AWAITED - 1;

/// A place in which at most one serves at a time. Whoever changes it holds a lock; calls hold none.
pub struct Serving<T> {
    current: Pointer<Counted<T>>,
    admits: AtomicBool,
}

/// Something that serves, with the number of its calls.
pub struct Counted<T> {
    value: T,
    /// Calls in flight, and the two flags.
    state: AtomicUsize,
    /// Threads that wait for the last call's end.
    waiting: Mutex<usize>,
    ended: Bell,
}

/// A call that was counted in; counted out when dropped.
pub struct Call<T>(Arc<Counted<T>>);

/// Why a call was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Nobody serves.
    Empty,
    /// Somebody serves, but calls are kept out.
    Shut,
}

impl<T> Serving<T> {
    /// Nobody serves, and nobody is let in.
    #[must_use]
    pub fn new() -> Self {
        Self { current: Pointer::empty(), admits: AtomicBool::new(false) }
    }

    /// Who serves, if somebody does.
    #[must_use]
    pub fn current(&self) -> Option<Arc<Counted<T>>> {
        self.current.load()
    }

    /// Counts a call into whoever serves.
    pub fn enter(&self) -> Result<Call<T>, Refused> {
        loop {
            let Some(counted) = self.current.load() else { return Err(Refused::Empty) };
            if counted.count_in() {
                return Ok(Call(counted));
            }
            if !self.admits() {
                return Err(Refused::Shut);
            }
            // Somebody else serves by now, or this one is being opened.
            pause();
        }
    }

    /// True when calls are let in.
    #[must_use]
    pub fn admits(&self) -> bool {
        self.admits.load(Ordering::Acquire)
    }

    /// Lets calls in, or keeps them out. Calls that are under way go on.
    pub fn admit(&self, admits: bool) {
        self.admits.store(admits, Ordering::Release);
        match self.current() {
            Some(current) if admits => current.open(),
            Some(current) => current.close(),
            None => {}
        }
    }

    /// Lets `next` serve from now on; gives back who served before, into which no further call gets.
    pub fn swap(&self, next: Option<Arc<Counted<T>>>) -> Option<Arc<Counted<T>>> {
        if let Some(next) = next.as_ref().filter(|_| self.admits()) {
            next.open();
        }
        let previous = self.current.swap(next);
        if let Some(previous) = &previous {
            previous.close();
        }
        previous
    }
}

impl<T> Default for Serving<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Counted<T> {
    /// Serves nothing yet.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self { value, state: AtomicUsize::new(CLOSED), waiting: Mutex::new(0), ended: Bell::default() }
    }

    /// Calls it serves at this moment.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.state.load(Ordering::Acquire) & CALLS
    }

    /// Waits until no call is served any more; false when the patience ends first.
    pub fn drain(&self, patience: Duration) -> bool {
        let until = Until::after(patience);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        *waiting += 1;
        self.state.fetch_or(AWAITED, Ordering::AcqRel);
        // One look decides: later ones may see a call on its way out again because it was not let in.
        let (mut is_idle, mut has_time) = (self.in_flight() == 0, true);
        while !is_idle && has_time {
            (waiting, has_time) = self.ended.wait(waiting, until);
            is_idle = self.in_flight() == 0;
        }
        *waiting -= 1;
        if *waiting == 0 {
            self.state.fetch_and(!AWAITED, Ordering::AcqRel);
        }
        is_idle
    }

    /// False, and nothing is counted, when no call may begin.
    fn count_in(&self) -> bool {
        let is_open = self.state.fetch_add(1, Ordering::AcqRel) & CLOSED == 0;
        if !is_open {
            self.count_out();
        }
        is_open
    }

    fn count_out(&self) {
        let before = self.state.fetch_sub(1, Ordering::AcqRel);
        if before & AWAITED != 0 && before & CALLS == 1 {
            // Whoever waits holds this lock from its look at the count until it sleeps: it can't sleep through the bell.
            drop(self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
            self.ended.ring();
        }
    }

    fn open(&self) {
        self.state.fetch_and(!CLOSED, Ordering::AcqRel);
    }

    fn close(&self) {
        self.state.fetch_or(CLOSED, Ordering::AcqRel);
    }
}

impl<T> Deref for Counted<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Deref for Call<T> {
    type Target = Arc<Counted<T>>;

    fn deref(&self) -> &Arc<Counted<T>> {
        &self.0
    }
}

impl<T> Drop for Call<T> {
    fn drop(&mut self) {
        self.0.count_out();
    }
}
