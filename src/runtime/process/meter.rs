//! How many frames that carry next to nothing a plugin may send: each of them is work for the thread that all plugins share,
//! and costs the sender almost nothing.
//!
//! What the host says to a plugin allows for answers; on top of those a plugin has a stock that fills up again. Honest
//! libraries stay far below: they acknowledge, update windows and measure round trips for what was sent.

use tokio::time::Instant;

/// Frames that are taken without a cause.
const STOCK: u64 = 100_000;

/// Frames by which the stock grows in a second.
const PER_SECOND: u64 = 10_000;

/// Frames that one with content, sent by the host, may cause.
const PER_FRAME: u64 = 16;

/// Frames with so many bytes carry something.
const CONTENT: usize = 64;

/// Frames that say to be larger are not read.
const LARGEST: usize = 64 * 1024;

/// The stock of one connection.
#[derive(Debug)]
pub(super) struct Meter {
    left: u64,
    filled: Instant,
}

impl Meter {
    /// A full stock.
    pub(super) fn new() -> Self {
        Self { left: STOCK, filled: Instant::now() }
    }

    /// The host has sent so many frames with content.
    pub(super) fn sent(&mut self, frames: u64) {
        self.left = self.left.saturating_add(frames.saturating_mul(PER_FRAME)).min(STOCK);
    }

    /// Takes frames out of the stock; false when it is empty.
    #[must_use]
    pub(super) fn received(&mut self, frames: u64) -> bool {
        if self.left < frames {
            self.fill();
        }
        let is_enough = self.left >= frames;
        self.left = self.left.saturating_sub(frames);
        is_enough
    }

    fn fill(&mut self) {
        let now = Instant::now();
        let passed = u64::try_from(now.duration_since(self.filled).as_millis()).unwrap_or(u64::MAX);
        self.left = self.left.saturating_add(passed.saturating_mul(PER_SECOND / 1_000)).min(STOCK);
        self.filled = now;
    }
}

/// What a frame counts for: much of what is no data is as much work as many frames.
pub(super) fn weight(is_data: bool, length: usize) -> u64 {
    match is_data {
        true => u64::from(length < CONTENT),
        false => 1 + (length.min(LARGEST) / CONTENT) as u64,
    }
}

/// What is wrong with a plugin that has used its stock up.
pub(super) fn excess() -> String {
    format!("more than {STOCK} frames came that carry nothing and that nothing was the cause of")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_the_host_sends_allows_for_answers() {
        let mut meter = Meter::new();
        for _ in 0..2 * STOCK {
            meter.sent(1);
            assert!(meter.received(PER_FRAME));
        }
        meter.sent(1);
        assert!(meter.received(STOCK));
    }

    #[test]
    fn a_stock_is_used_up_and_grows_again() {
        let mut meter = Meter::new();
        meter.filled += Duration::from_secs(60);
        assert!(meter.received(STOCK) && !meter.received(1));
        meter.filled = Instant::now() - Duration::from_secs(1);
        assert!(meter.received(PER_SECOND));
        meter.filled = Instant::now() - Duration::from_secs(100);
        assert!(!meter.received(STOCK + 1) && meter.left == 0);
    }

    #[test]
    fn data_is_free_and_the_rest_counts_by_its_length() {
        assert_eq!([weight(true, 63), weight(true, 64), weight(true, 1 << 16)], [1, 0, 0]);
        let heavy = [weight(false, 6_400), weight(false, LARGEST), weight(false, 1 << 24)];
        assert_eq!([weight(false, 0), weight(false, 63), weight(false, 64)], [1, 1, 2]);
        assert_eq!(heavy, [101, 1_025, 1_025]);
    }
}
