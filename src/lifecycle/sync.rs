//! What [`super::serving`] stands on. The model checker in `tests/model` has a module of the same shape in its place.

use std::sync::{Arc, Condvar, MutexGuard, PoisonError};
use std::time::Duration;

pub use std::sync::Mutex;
pub use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arc_swap::ArcSwapOption;

use crate::clock::{self, Nanos};

/// An atomic pointer.
pub struct Pointer<T>(ArcSwapOption<T>);

impl<T> Pointer<T> {
    /// Points at nothing.
    pub fn empty() -> Self {
        Self(ArcSwapOption::empty())
    }

    /// What it points at.
    pub fn load(&self) -> Option<Arc<T>> {
        self.0.load_full()
    }

    /// Lets it point at `next`; gives what it pointed at.
    pub fn swap(&self, next: Option<Arc<T>>) -> Option<Arc<T>> {
        self.0.swap(next)
    }
}

/// A bell that threads wait for.
#[derive(Default)]
pub struct Bell(Condvar);

impl Bell {
    /// Wakes all who wait.
    pub fn ring(&self) {
        self.0.notify_all();
    }

    /// Waits for the bell, at most until `until`. Gives the lock back, and false when the time is up.
    pub fn wait<'a, T>(&self, held: MutexGuard<'a, T>, until: Until) -> (MutexGuard<'a, T>, bool) {
        let left = until.0.saturating_sub(clock::now());
        if left == 0 {
            return (held, false);
        }
        let (held, _) = self.0.wait_timeout(held, Duration::from_nanos(left)).unwrap_or_else(PoisonError::into_inner);
        (held, true)
    }
}

/// A point in time.
#[derive(Debug, Clone, Copy)]
pub struct Until(Nanos);

impl Until {
    /// The time when `patience` ends.
    pub fn after(patience: Duration) -> Self {
        Self(clock::now().saturating_add(clock::saturating_nanos(patience)))
    }
}

/// Lets others run: somebody is in the middle of two steps.
pub fn pause() {
    std::thread::yield_now();
}
