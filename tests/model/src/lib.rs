//! Checks `src/lifecycle/serving.rs` in every interleaving of its threads, with loom: see `tests/serving.rs`.
//!
//! Run with `cargo test` in this directory.

#![allow(dead_code, missing_docs, clippy::all, reason = "each copy is the library's own file")]

/// The library's `sync`, on loom.
pub mod sync {
    use std::sync::{Arc, PoisonError};
    use std::time::Duration;

    use loom::sync::{Condvar, MutexGuard};

    pub use loom::sync::Mutex;
    pub use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    /// A lock in place of the library's atomic pointer: as an atomic pointer, its loads and swaps have one order.
    pub struct Pointer<T>(Mutex<Option<Arc<T>>>);

    impl<T> Pointer<T> {
        pub fn empty() -> Self {
            Self(Mutex::new(None))
        }

        pub fn load(&self) -> Option<Arc<T>> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
        }

        pub fn swap(&self, next: Option<Arc<T>>) -> Option<Arc<T>> {
            std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), next)
        }
    }

    pub struct Bell(Condvar);

    impl Default for Bell {
        fn default() -> Self {
            Self(Condvar::new())
        }
    }

    impl Bell {
        pub fn ring(&self) {
            self.0.notify_all();
        }

        /// Time never passes here: a bell that is missed is waited for in vain, which loom reports.
        pub fn wait<'a, T>(&self, held: MutexGuard<'a, T>, _: Until) -> (MutexGuard<'a, T>, bool) {
            (self.0.wait(held).unwrap_or_else(PoisonError::into_inner), true)
        }
    }

    #[derive(Clone, Copy)]
    pub struct Until;

    impl Until {
        pub fn after(_: Duration) -> Self {
            Self
        }
    }

    pub fn pause() {
        loom::thread::yield_now();
    }
}

macro_rules! copies {
    ($($name:ident)*) => {
        $(pub mod $name {
            include!(concat!(env!("OUT_DIR"), "/", stringify!($name), ".rs"));
        })*
    };
}

copies!(as_shipped look_before_counting never_closed bell_without_lock one_look);
