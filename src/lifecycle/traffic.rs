//! Calls into a plugin, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::clock::Nanos;
use crate::error::ErrorCode;

/// Powers of two of microseconds, up to about half an hour.
const BUCKETS: usize = 32;

/// Counters of the calls into one plugin.
#[derive(Debug, Default)]
pub struct Traffic {
    calls: AtomicU64,
    failures: AtomicU64,
    /// Failures that the plugin is to blame for.
    faults: AtomicU64,
    total_ns: AtomicU64,
    latency: [AtomicU64; BUCKETS],
}

/// What two versions are compared by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Calls that ended.
    pub calls: u64,
    /// Those that failed by the plugin's own fault.
    pub faults: u64,
    /// Time of all calls.
    pub total_ns: u64,
}

impl Traffic {
    /// Counts a call that took this long; `is_callers` says that its caller is to blame for its failure.
    pub fn count(&self, took: Nanos, failure: Option<ErrorCode>, is_callers: bool) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.total_ns.fetch_add(took, Ordering::Relaxed);
        if let Some(code) = failure {
            self.failures.fetch_add(1, Ordering::Relaxed);
            if is_fault(code) && !is_callers {
                self.faults.fetch_add(1, Ordering::Relaxed);
            }
        }
        let bucket = (64 - (took / 1_000).leading_zeros()) as usize;
        if let Some(counter) = self.latency.get(bucket.min(BUCKETS - 1)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Adds the counters of another one.
    pub fn absorb(&self, other: &Self) {
        let pairs = [
            (&self.calls, &other.calls),
            (&self.failures, &other.failures),
            (&self.faults, &other.faults),
            (&self.total_ns, &other.total_ns),
        ];
        for (mine, others) in pairs.into_iter().chain(self.latency.iter().zip(&other.latency)) {
            mine.fetch_add(others.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// What versions are compared by.
    #[must_use]
    pub fn figures(&self) -> Figures {
        Figures {
            calls: self.calls.load(Ordering::Relaxed),
            faults: self.faults.load(Ordering::Relaxed),
            total_ns: self.total_ns.load(Ordering::Relaxed),
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

impl Figures {
    /// Mean time of a call, in nanoseconds; 0 without calls.
    #[must_use]
    pub fn mean_ns(&self) -> u64 {
        self.total_ns.checked_div(self.calls).unwrap_or(0)
    }

    /// Calls of a hundred that fail by the plugin's own fault, in hundredths; 0 without calls.
    #[must_use]
    pub fn fault_hundredths(&self) -> u64 {
        self.faults.saturating_mul(10_000).checked_div(self.calls).unwrap_or(0)
    }

    /// As events show them.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "hundredths of a hundred")]
    pub fn to_json(&self) -> Value {
        json!({
            "calls": self.calls,
            "failed": self.faults,
            "error_percent": self.fault_hundredths() as f64 / 100.0,
            "mean_us": self.mean_ns() / 1_000,
        })
    }
}

/// True for failures that the plugin is to blame for: not the caller, who asked for nonsense or changed its mind, and
/// not a policy or the host.
fn is_fault(code: ErrorCode) -> bool {
    (500..600).contains(&code.number()) && code != ErrorCode::PluginCancelled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_fall_into_buckets_by_their_time() {
        let traffic = Traffic::default();
        traffic.count(999, None, false);
        traffic.count(1_000, Some(ErrorCode::PluginTrap), false);
        traffic.count(3_999, None, false);
        traffic.count(u64::MAX, None, false);
        let json = traffic.to_json();
        assert_eq!(json["served"], 4);
        assert_eq!(json["failed"], 1);
        assert_eq!(json["latency_us"], json!({"1": 1, "2": 1, "4": 1, "2147483648": 1}));
        let sum = Traffic::default();
        sum.absorb(&traffic);
        sum.absorb(&traffic);
        assert_eq!(sum.to_json()["latency_us"], json!({"1": 2, "2": 2, "4": 2, "2147483648": 2}));
    }

    #[test]
    fn only_the_plugins_own_faults_count_against_it() {
        let traffic = Traffic::default();
        let faults = [ErrorCode::PluginTrap, ErrorCode::PluginDeadline, ErrorCode::PluginExited];
        let others = [
            ErrorCode::PluginCancelled,
            ErrorCode::ArgumentTooLarge,
            ErrorCode::PolicyBlocked,
            ErrorCode::LifecycleOverloaded,
            ErrorCode::LifecycleReentrant,
            ErrorCode::HostFailed,
        ];
        for code in faults.into_iter().chain(others) {
            traffic.count(1_000, Some(code), false);
        }
        assert_eq!(traffic.figures(), Figures { calls: 9, faults: 3, total_ns: 9_000 });
        assert_eq!(traffic.figures().to_json()["error_percent"], 33.33);
    }
}
