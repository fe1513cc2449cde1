//! When a plugin that failed is started again: at once, later, or not any more. Belongs to the plugin's name, so that
//! neither a reload nor a new version forgets failures; only where nothing is started any more, another version is a new start.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::clock::{self, Nanos};

/// Pause before the second start in a row; the first one comes at once.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Failures within [`WINDOW`] after which nothing is started any more.
const BREAKER: usize = 8;
/// How far back failures count.
const WINDOW: Duration = Duration::from_secs(600);

/// What to do after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Start again after this pause.
    RestartAfter(Duration),
    /// Don't start again before somebody resets this.
    GiveUp,
}

/// Failures of one plugin.
#[derive(Debug, Default)]
pub struct Recovery(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: VecDeque<Nanos>,
    failures_in_all: u64,
    restarts: u64,
    given_up: bool,
}

impl Recovery {
    /// Takes note of a failure at monotonic time `now`. `chance`, from 0 up to 1, spreads plugins that fail together.
    pub fn failed(&self, now: Nanos, chance: f64) -> Verdict {
        let mut state = self.state();
        state.forget_before(now);
        state.failures.push_back(now);
        state.failures_in_all += 1;
        if state.failures.len() >= BREAKER {
            state.given_up = true;
        }
        if state.given_up { Verdict::GiveUp } else { Verdict::RestartAfter(pause(state.failures.len(), chance)) }
    }

    /// Takes note of a start after a failure.
    pub fn restarted(&self) {
        self.state().restarts += 1;
    }

    /// True when nothing is started any more.
    #[must_use]
    pub fn has_given_up(&self) -> bool {
        self.state().given_up
    }

    /// Forgets the failures; starts are allowed again.
    pub fn reset(&self) {
        let mut state = self.state();
        state.failures.clear();
        state.given_up = false;
    }

    /// What administrators see.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut state = self.state();
        state.forget_before(clock::now());
        json!({
            "failures": state.failures_in_all,
            "recent_failures": state.failures.len(),
            "restarts": state.restarts,
            "crash_loop": state.given_up,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget_before(&mut self, now: Nanos) {
        let oldest = now.saturating_sub(clock::saturating_nanos(WINDOW));
        while self.failures.front().is_some_and(|failure| *failure < oldest) {
            self.failures.pop_front();
        }
    }
}

/// Doubles with each failure; between half of that and the whole.
fn pause(failures: usize, chance: f64) -> Duration {
    let doublings = u32::try_from(failures).unwrap_or(u32::MAX).saturating_sub(2);
    if failures <= 1 {
        return Duration::ZERO;
    }
    let whole = FIRST_PAUSE.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX)).min(LONGEST_PAUSE);
    whole.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
}

/// A number from 0 up to 1 that differs between plugins that fail together; the middle when the system has no random bytes.
#[must_use]
pub fn chance() -> f64 {
    let mut bytes = [0; 4];
    match getrandom::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_ne_bytes(bytes)) / (f64::from(u32::MAX) + 1.0),
        Err(_) => 0.5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    #[test]
    fn pauses_double_up_to_a_bound_and_then_nothing_is_started() {
        let recovery = Recovery::default();
        let pauses = [0, 250, 500, 1000, 2000, 4000, 8000];
        for (number, pause) in (1..).zip(pauses) {
            assert_eq!(recovery.failed(number * SECOND, 1.0), Verdict::RestartAfter(Duration::from_millis(pause)));
        }
        assert!(!recovery.has_given_up());
        assert_eq!(recovery.failed(8 * SECOND, 1.0), Verdict::GiveUp);
        assert!(recovery.has_given_up());
        assert_eq!(recovery.failed(10_000 * SECOND, 1.0), Verdict::GiveUp, "time alone does not reset it");
        recovery.reset();
        assert_eq!(recovery.failed(10_001 * SECOND, 1.0), Verdict::RestartAfter(Duration::ZERO));
    }

    #[test]
    fn failures_long_ago_do_not_count() {
        let recovery = Recovery::default();
        for number in 0..100 {
            let verdict = recovery.failed(number * 700 * SECOND, 0.0);
            assert_eq!(verdict, Verdict::RestartAfter(Duration::ZERO));
        }
    }

    #[test]
    fn chance_takes_up_to_half_of_the_pause() {
        assert_eq!(pause(2, 0.0), Duration::from_millis(125));
        assert_eq!(pause(2, 0.5), Duration::from_micros(187_500));
        assert_eq!(pause(500, 1.0), LONGEST_PAUSE);
    }
}
