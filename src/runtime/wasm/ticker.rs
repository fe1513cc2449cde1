//! The thread that advances an engine's epoch while guests run, and sleeps while none does.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::Thread;
use std::time::Duration;

use wasmtime::Engine;

use crate::error::{Error, ErrorCode, Result};
use crate::executor::with_thread_mask;

/// Time between ticks: how late a deadline or a cancellation may be noticed by a guest that runs.
const TICK: Duration = Duration::from_millis(5);

/// Ticks without a running guest after which the thread sleeps.
const IDLE_TICKS: u32 = 20;

/// Counters of running guests, spread so that threads do not share a cache line.
const SHARDS: usize = 16;

/// Keeps an engine's epoch moving.
pub(super) struct Ticker {
    shared: Arc<Shared>,
    thread: Thread,
}

#[derive(Default)]
struct Shared {
    running: [Shard; SHARDS],
    asleep: AtomicBool,
}

#[repr(align(128))]
#[derive(Default)]
struct Shard(AtomicUsize);

impl Ticker {
    /// Starts the thread; it lives as long as the process, like the engine.
    pub(super) fn start(engine: Engine) -> Result<Self> {
        let shared = Arc::<Shared>::default();
        let seen_by_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("goatflow-ticker".into()).stack_size(256 * 1024);
        let started = with_thread_mask(|| thread.spawn(move || tick_for_ever(&engine, &seen_by_thread)));
        let handle = started.map_err(|error| {
            Error::new(ErrorCode::EnvironmentResources, "can't start the ticker thread").with_source(error)
        })?;
        Ok(Self { shared, thread: handle.thread().clone() })
    }

    /// Keeps the epoch moving for as long as the returned value lives.
    pub(super) fn run(&self) -> Running<'_> {
        let shard = &self.shared.running[shard_of_thread()].0;
        // Pairs with the store to `asleep` in `tick_for_ever`: either the ticker sees this guest, or we see it asleep.
        shard.fetch_add(1, Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
        Running(shard)
    }
}

/// A guest is running.
pub(super) struct Running<'a>(&'a AtomicUsize);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn shard_of_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! { static SHARD: Cell<usize> = const { Cell::new(usize::MAX) }; }
    SHARD.with(|shard| {
        if shard.get() == usize::MAX {
            shard.set(NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS);
        }
        shard.get()
    })
}

fn tick_for_ever(engine: &Engine, shared: &Shared) {
    let any_running = || shared.running.iter().any(|shard| shard.0.load(Ordering::SeqCst) > 0);
    let mut idle_ticks = 0;
    loop {
        std::thread::park_timeout(TICK);
        engine.increment_epoch();
        idle_ticks = if any_running() { 0 } else { idle_ticks + 1 };
        if idle_ticks >= IDLE_TICKS {
            shared.asleep.store(true, Ordering::SeqCst);
            while !any_running() {
                std::thread::park();
            }
            shared.asleep.store(false, Ordering::SeqCst);
            idle_ticks = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleeping_ticker_wakes_for_a_guest() {
        let ticker = Ticker::start(Engine::default()).unwrap();
        while !ticker.shared.asleep.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        let _running = ticker.run();
        while ticker.shared.asleep.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
    }
}
