//! Calls into a plugin, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::clock::Nanos;

/// Powers of two of microseconds, up to about half an hour.
const BUCKETS: usize = 32;

/// Counters of the calls into one plugin.
#[derive(Debug, Default)]
pub struct Traffic {
    calls: AtomicU64,
    failures: AtomicU64,
    total_ns: AtomicU64,
    latency: [AtomicU64; BUCKETS],
}

impl Traffic {
    /// Counts a call that took this long.
    pub fn count(&self, took: Nanos, failed: bool) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.total_ns.fetch_add(took, Ordering::Relaxed);
        if failed {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        let bucket = (64 - (took / 1_000).leading_zeros()) as usize;
        if let Some(counter) = self.latency.get(bucket.min(BUCKETS - 1)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The counters. `latency_us` maps upper bounds in microseconds to the number of calls below them and above the
    /// bound before.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let latency: serde_json::Map<String, Value> = self
            .latency
            .iter()
            .enumerate()
            .map(|(index, counter)| (1_u64 << index, counter.load(Ordering::Relaxed)))
            .filter(|(_, count)| *count > 0)
            .map(|(bound, count)| (bound.to_string(), count.into()))
            .collect();
        json!({
            "served": self.calls.load(Ordering::Relaxed),
            "failed": self.failures.load(Ordering::Relaxed),
            "total_us": self.total_ns.load(Ordering::Relaxed) / 1_000,
            "latency_us": latency,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_fall_into_buckets_by_their_time() {
        let traffic = Traffic::default();
        traffic.count(999, false);
        traffic.count(1_000, true);
        traffic.count(3_999, false);
        traffic.count(u64::MAX, false);
        let json = traffic.to_json();
        assert_eq!(json["served"], 4);
        assert_eq!(json["failed"], 1);
        assert_eq!(json["latency_us"], json!({"1": 1, "2": 1, "4": 1, "2147483648": 1}));
    }
}
