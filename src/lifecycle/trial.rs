//! Whether a new version is worse than the one before it.

use crate::policy::SwapRules;

use super::Figures;

/// Mean times below this many nanoseconds are never too slow: a cold cache is no reason to go back.
const FAST_ENOUGH: u64 = 10_000_000;

/// In which way it is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worse {
    /// More of its calls fail.
    ErrorRate,
    /// Its calls take longer.
    Latency,
}

impl Worse {
    /// Name in events.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ErrorRate => "error_rate",
            Self::Latency => "latency",
        }
    }
}

/// Compares a new version with the one before it; `None` while nothing speaks against it.
#[must_use]
pub fn compare(old: &Figures, new: &Figures, rules: &SwapRules) -> Option<Worse> {
    let enough = u64::from(rules.min_calls.max(1));
    if new.calls < enough {
        return None;
    }
    let tolerated = old.fault_hundredths() + u64::from(rules.max_error_percent) * 100;
    if new.fault_hundredths() > tolerated {
        return Some(Worse::ErrorRate);
    }
    let is_compared = rules.max_latency_factor > 0 && old.calls >= enough && new.mean_ns() > FAST_ENOUGH;
    let slowest = old.mean_ns().saturating_mul(u64::from(rules.max_latency_factor));
    (is_compared && new.mean_ns() > slowest).then_some(Worse::Latency)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(calls: u64, faults: u64, mean_ms: u64) -> Figures {
        Figures { calls, faults, total_ns: calls * mean_ms * 1_000_000 }
    }

    fn rules() -> SwapRules {
        SwapRules { probation_ms: 1, max_error_percent: 10, max_latency_factor: 3, min_calls: 20 }
    }

    #[test]
    fn a_version_is_worse_when_more_of_its_calls_fail() {
        let compare = |old, new| compare(&old, &new, &rules());
        assert_eq!(compare(figures(100, 0, 1), figures(20, 2, 1)), None, "as many as tolerated");
        assert_eq!(compare(figures(100, 0, 1), figures(20, 3, 1)), Some(Worse::ErrorRate));
        assert_eq!(compare(figures(100, 0, 1), figures(19, 19, 1)), None, "too few calls to tell");
        assert_eq!(compare(figures(100, 50, 1), figures(100, 60, 1)), None, "not worse than before");
        assert_eq!(compare(figures(100, 50, 1), figures(100, 61, 1)), Some(Worse::ErrorRate));
        assert_eq!(compare(figures(0, 0, 0), figures(20, 20, 1)), Some(Worse::ErrorRate), "nobody called the old one");
    }

    #[test]
    fn a_version_is_worse_when_its_calls_take_longer() {
        let compare = |old, new| compare(&old, &new, &rules());
        assert_eq!(compare(figures(100, 0, 10), figures(20, 0, 30)), None, "as long as tolerated");
        assert_eq!(compare(figures(100, 0, 10), figures(20, 0, 31)), Some(Worse::Latency));
        assert_eq!(compare(figures(19, 0, 10), figures(20, 0, 31)), None, "too few calls of the old one to tell");
        assert_eq!(compare(figures(100, 0, 1), figures(20, 0, 9)), None, "fast all the same");
        let unlimited = SwapRules { max_latency_factor: 0, ..rules() };
        assert_eq!(super::compare(&figures(100, 0, 10), &figures(20, 0, 900), &unlimited), None);
    }
}
