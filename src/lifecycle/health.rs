//! What probes of a plugin found. Belongs to the name, as the failures of its past do.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::clock;
use crate::error::Error;
use crate::plugin::Recovery;

/// Probes in a row that must fail before a plugin counts as unhealthy.
const FAILURES: u32 = 3;

/// What probes found.
#[derive(Debug, Default)]
pub struct Health {
    last: Mutex<Last>,
    is_probing: AtomicBool,
}

#[derive(Debug, Default)]
struct Last {
    probe: Option<Probe>,
    failures: u32,
    /// Failures since the plugin was last healthy were too many, and it was not started again since.
    is_unhealthy: bool,
}

#[derive(Debug)]
struct Probe {
    at: SystemTime,
    took: Duration,
    error: Option<Value>,
}

/// What follows from a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// The plugin answered.
    Healthy,
    /// It did not, but that may pass.
    Doubtful,
    /// It did not so often that it is to be started again: this many times.
    Unhealthy(u32),
}

/// The right to probe; given back when dropped.
pub struct ProbeTurn<'a>(&'a Health);

impl Drop for ProbeTurn<'_> {
    fn drop(&mut self) {
        self.0.is_probing.store(false, Ordering::Release);
    }
}

impl Health {
    /// The right to probe; `None` while somebody else does.
    #[must_use]
    pub fn begin(&self) -> Option<ProbeTurn<'_>> {
        (!self.is_probing.swap(true, Ordering::AcqRel)).then(|| ProbeTurn(self))
    }

    /// Takes note of a probe.
    pub fn note(&self, took: Duration, failure: Option<&Error>) -> Finding {
        let mut last = self.last();
        let error = failure.map(Error::to_json);
        let is_healthy = error.is_none();
        last.probe = Some(Probe { at: clock::wall(), took, error });
        if is_healthy {
            (last.failures, last.is_unhealthy) = (0, false);
            return Finding::Healthy;
        }
        last.failures += 1;
        if last.failures < FAILURES || last.is_unhealthy {
            return Finding::Doubtful;
        }
        last.is_unhealthy = true;
        Finding::Unhealthy(last.failures)
    }

    /// The plugin was started again, or another version of it serves: what was found before says nothing any more.
    pub fn forget(&self) {
        *self.last() = Last::default();
    }

    /// What administrators see.
    #[must_use]
    pub fn to_json(&self, recovery: &Recovery) -> Value {
        let last = self.last();
        let state = match &last.probe {
            _ if recovery.has_given_up() => "crash_loop",
            _ if last.is_unhealthy => "unhealthy",
            Some(_) => "healthy",
            None => "unknown",
        };
        let probe = last.probe.as_ref().map(|probe| {
            json!({
                "at": clock::rfc3339(probe.at),
                "healthy": probe.error.is_none(),
                "took_us": u64::try_from(probe.took.as_micros()).unwrap_or(u64::MAX),
                "error": probe.error,
            })
        });
        json!({
            "state": state,
            "consecutive_failures": last.failures,
            "last_probe": probe,
            "recovery": recovery.to_json(),
        })
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    #[test]
    fn three_failures_in_a_row_are_too_many_and_told_once() {
        let (health, recovery) = (Health::default(), Recovery::default());
        let trap = Error::new(ErrorCode::PluginTrap, "it trapped");
        let fails = || health.note(Duration::ZERO, Some(&trap));
        assert_eq!(health.to_json(&recovery)["state"], "unknown");
        assert_eq!([fails(), fails()], [Finding::Doubtful; 2]);
        assert_eq!(health.note(Duration::ZERO, None), Finding::Healthy);
        assert_eq!([fails(), fails()], [Finding::Doubtful; 2]);
        assert_eq!(health.to_json(&recovery)["state"], "healthy");
        assert_eq!(fails(), Finding::Unhealthy(3));
        assert_eq!(fails(), Finding::Doubtful, "it is being started again");
        assert_eq!(health.to_json(&recovery)["state"], "unhealthy");
        health.forget();
        assert_eq!(health.to_json(&recovery)["state"], "unknown");
    }

    #[test]
    fn one_probe_at_a_time() {
        let health = Health::default();
        let turn = health.begin();
        assert!(turn.is_some() && health.begin().is_none() && health.begin().is_none());
        drop(turn);
        assert!(health.begin().is_some());
    }
}
