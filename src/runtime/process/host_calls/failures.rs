//! Host calls that fail. No quota counts them, each is work for the host and a line in its log, and a plugin that makes
//! nothing else could keep processors busy with it: beyond a stock, it waits for each.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::{self, Nanos};

/// Failures that are answered at once.
const STOCK: u64 = 1_000;

/// Time in which one more of them comes.
const ONE_MORE: Duration = Duration::from_millis(10);

/// Time that a plugin waits for a failure beyond them.
pub(super) const PAUSE: Duration = Duration::from_millis(50);

/// The stock of one process.
#[derive(Debug)]
pub(super) struct Failures(Mutex<Stock>);

#[derive(Debug)]
struct Stock {
    left: u64,
    filled: Nanos,
}

impl Failures {
    /// A full stock.
    pub(super) fn new() -> Self {
        Self(Mutex::new(Stock { left: STOCK, filled: clock::now() }))
    }

    /// Takes one; says how long to wait for it.
    pub(super) fn take(&self) -> Option<Duration> {
        self.take_at(clock::now())
    }

    fn take_at(&self, now: Nanos) -> Option<Duration> {
        let mut stock = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let step = clock::saturating_nanos(ONE_MORE);
        let more = now.saturating_sub(stock.filled) / step;
        stock.left = stock.left.saturating_add(more).min(STOCK);
        stock.filled = stock.filled.saturating_add(more.saturating_mul(step));
        let is_there = stock.left > 0;
        stock.left = stock.left.saturating_sub(1);
        (!is_there).then_some(PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_beyond_the_stock_are_waited_for() {
        let failures = Failures::new();
        let begin = clock::now() + 1_000_000_000;
        assert!((0..STOCK).all(|_| failures.take_at(begin).is_none()));
        assert_eq!(failures.take_at(begin), Some(PAUSE));
        assert_eq!(failures.take_at(begin + 9_000_000), Some(PAUSE));
        assert!((0..5).all(|_| failures.take_at(begin + 50_000_000).is_none()));
        assert_eq!(failures.take_at(begin + 59_000_000), Some(PAUSE));
        assert_eq!(failures.take_at(begin + 60_000_000), None);
        assert!((0..STOCK).all(|_| failures.take_at(begin + 3_600_000_000_000).is_none()));
        assert_eq!(failures.take_at(begin + 3_600_000_000_000), Some(PAUSE));
    }
}
