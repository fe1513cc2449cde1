//! Exact rate limits: never more than N events in any window, wherever the window begins.
//!
//! A [`Window`] belongs to a plugin's name and one surface for as long as the manager lives: reloads, swaps, policy edits
//! and disabling never reset it. Time is handed in; nothing here looks at a clock.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::policy::BurstBudget;

const NS_PER_HOUR: u128 = 3_600_000_000_000;

/// Events that are remembered while there is no limit, so that a limit set later finds a history.
const UNLIMITED_HISTORY: usize = 1_024;

/// When to try again, in nanoseconds from now; [`Self::NEVER`] when waiting does not help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RetryAfterNs(pub u64);

impl RetryAfterNs {
    /// More is asked for at once than the limit ever gives.
    pub const NEVER: Self = Self(u64::MAX);
}

/// Times of past events of one plugin on one surface. Memory is bounded by the limit: one entry per event at most.
#[derive(Debug, Default)]
pub struct Window {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Events in the order of time; several at one time are one entry.
    events: VecDeque<Events>,
    /// Sum of the counts in `events`.
    total: u64,
    /// The latest time that was handed in: time never runs backwards here.
    latest_ns: u64,
    burst: Bucket,
}

#[derive(Debug, Clone, Copy)]
struct Events {
    at_ns: u64,
    count: u32,
}

/// Tokens of a burst budget, in token-nanoseconds: one token is an hour of nanoseconds, so that refilling is exact.
#[derive(Debug, Default)]
struct Bucket {
    filled: u128,
    refilled_at_ns: Option<u64>,
}

impl Window {
    /// Window without history.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes `count` events at `now_ns` if at most `limit` then lie in the `window_ns` that end now; otherwise takes
    /// nothing. A limit of 0 is none.
    pub fn try_take(&self, now_ns: u64, limit: u32, window_ns: u64, count: u32) -> Result<(), RetryAfterNs> {
        self.try_take_with_burst(now_ns, limit, window_ns, count, None)
    }

    /// As [`Self::try_take`]; what the window has no room for is taken from the burst budget, all or nothing.
    pub fn try_take_with_burst(
        &self,
        now_ns: u64,
        limit: u32,
        window_ns: u64,
        count: u32,
        budget: Option<BurstBudget>,
    ) -> Result<(), RetryAfterNs> {
        // A panic elsewhere can't leave the numbers half-changed: nothing between the changes can panic.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now_ns = state.advance(now_ns, window_ns);
        if limit == 0 {
            state.record(now_ns, count);
            state.forget_all_but(UNLIMITED_HISTORY);
            return Ok(());
        }
        let room = u64::from(limit).saturating_sub(state.total);
        let extra = u64::from(count).saturating_sub(room);
        state.burst.refill(now_ns, budget);
        if extra > 0 && !state.burst.take(extra) {
            let by_window = state.frees_after(now_ns, limit, window_ns, count);
            let by_budget = budget.and_then(|budget| state.burst.fills_after(extra, budget));
            let soonest = by_window.into_iter().chain(by_budget).min();
            return Err(soonest.map_or(RetryAfterNs::NEVER, RetryAfterNs));
        }
        let counted = u32::try_from(u64::from(count) - extra).unwrap_or(count);
        state.record(now_ns, counted);
        Ok(())
    }

    /// Events in the window that ends at `now_ns`, for showing.
    #[must_use]
    pub fn used(&self, now_ns: u64, window_ns: u64) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.advance(now_ns, window_ns);
        state.total
    }
}

impl State {
    /// Moves time forward and forgets what left the window: an event counts while its age is less than the window.
    fn advance(&mut self, now_ns: u64, window_ns: u64) -> u64 {
        self.latest_ns = self.latest_ns.max(now_ns);
        let now_ns = self.latest_ns;
        while let Some(oldest) = self.events.front().copied() {
            if now_ns - oldest.at_ns < window_ns {
                break;
            }
            self.events.pop_front();
            self.total -= u64::from(oldest.count);
        }
        now_ns
    }

    fn record(&mut self, now_ns: u64, count: u32) {
        if count == 0 {
            return;
        }
        match self.events.back_mut() {
            Some(last) if last.at_ns == now_ns && last.count.checked_add(count).is_some() => last.count += count,
            _ => self.events.push_back(Events { at_ns: now_ns, count }),
        }
        self.total += u64::from(count);
    }

    fn forget_all_but(&mut self, newest: usize) {
        while self.events.len() > newest {
            self.total -= self.events.pop_front().map_or(0, |oldest| u64::from(oldest.count));
        }
    }

    /// When the oldest events leave the window and make room for `count`; never when the limit is lower than that.
    fn frees_after(&self, now_ns: u64, limit: u32, window_ns: u64, count: u32) -> Option<u64> {
        let needed = (self.total + u64::from(count)).saturating_sub(u64::from(limit));
        let mut freed = 0;
        self.events.iter().find_map(|events| {
            freed += u64::from(events.count);
            let leaves_at_ns = events.at_ns.saturating_add(window_ns);
            (freed >= needed).then(|| leaves_at_ns.saturating_sub(now_ns))
        })
    }
}

impl Bucket {
    /// Adds what came back since the last look, at most the budget's size. A budget that is new starts full; one that
    /// was taken away leaves nothing behind.
    fn refill(&mut self, now_ns: u64, budget: Option<BurstBudget>) {
        let Some(budget) = budget else {
            self.filled = 0;
            return;
        };
        let full = u128::from(budget.size) * NS_PER_HOUR;
        let came_back = match self.refilled_at_ns {
            None => full,
            Some(then_ns) => u128::from(now_ns.saturating_sub(then_ns)) * u128::from(budget.per_hour),
        };
        self.filled = (self.filled + came_back).min(full);
        self.refilled_at_ns = Some(now_ns);
    }

    fn take(&mut self, tokens: u64) -> bool {
        let needed = u128::from(tokens) * NS_PER_HOUR;
        let has_enough = self.filled >= needed;
        if has_enough {
            self.filled -= needed;
        }
        has_enough
    }

    /// When the budget holds `tokens`; never when it is smaller than that.
    fn fills_after(&self, tokens: u64, budget: BurstBudget) -> Option<u64> {
        if tokens > u64::from(budget.size) || budget.per_hour == 0 {
            return None;
        }
        let missing = (u128::from(tokens) * NS_PER_HOUR).saturating_sub(self.filled);
        u64::try_from(missing.div_ceil(u128::from(budget.per_hour))).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const MINUTE: u64 = 60 * SECOND;

    #[test]
    fn nth_event_passes_and_the_next_waits_for_the_first_to_leave() {
        let window = Window::new();
        for index in 0..10 {
            assert_eq!(window.try_take(index * SECOND, 10, MINUTE, 1), Ok(()));
        }
        assert_eq!(window.try_take(10 * SECOND, 10, MINUTE, 1), Err(RetryAfterNs(50 * SECOND)));
        assert_eq!(window.try_take(MINUTE - 1, 10, MINUTE, 1), Err(RetryAfterNs(1)));
        assert_eq!(window.try_take(MINUTE, 10, MINUTE, 1), Ok(()));
        assert_eq!(window.try_take(MINUTE, 10, MINUTE, 1), Err(RetryAfterNs(SECOND)));
    }

    #[test]
    fn several_are_taken_all_or_not_at_all() {
        let window = Window::new();
        assert_eq!(window.try_take(0, 10, MINUTE, 7), Ok(()));
        assert_eq!(window.try_take(1, 10, MINUTE, 4), Err(RetryAfterNs(MINUTE - 1)));
        assert_eq!(window.used(1, MINUTE), 7);
        assert_eq!(window.try_take(1, 10, MINUTE, 3), Ok(()));
        assert_eq!(window.try_take(2, 10, MINUTE, 11), Err(RetryAfterNs::NEVER));
        assert_eq!(window.try_take(2, 10, MINUTE, 0), Ok(()));
    }

    #[test]
    fn changed_limits_keep_the_history() {
        let window = Window::new();
        assert_eq!(window.try_take(0, 10, MINUTE, 10), Ok(()));
        for turn in 1..50 {
            let limit = if turn % 2 == 0 { 10 } else { 11 };
            let expected = if turn == 1 { Ok(()) } else { Err(()) };
            assert_eq!(window.try_take(turn, limit, MINUTE, 1).map_err(drop), expected, "turn {turn}");
        }
        assert!(window.try_take(100, 3, MINUTE, 1).is_err());
    }

    #[test]
    fn a_limit_after_none_finds_a_history() {
        let window = Window::new();
        for at in 0..100_000 {
            assert_eq!(window.try_take(at, 0, MINUTE, 1), Ok(()));
        }
        assert!(window.try_take(100_000, 600, MINUTE, 1).is_err());
        assert!(window.state.lock().unwrap().events.len() <= 1_024);
    }

    #[test]
    fn time_never_runs_backwards() {
        let window = Window::new();
        assert_eq!(window.try_take(MINUTE, 1, MINUTE, 1), Ok(()));
        assert!(window.try_take(0, 1, MINUTE, 1).is_err());
        assert!(window.try_take(2 * MINUTE - 1, 1, MINUTE, 1).is_err());
        assert_eq!(window.try_take(u64::MAX, 1, MINUTE, 1), Ok(()));
        assert!(window.try_take(u64::MAX, 1, u64::MAX, 1).is_err());
    }

    #[test]
    fn burst_budget_is_extra_separate_and_comes_back_evenly() {
        let window = Window::new();
        let budget = Some(BurstBudget { size: 50, per_hour: 50 });
        let take = |at: u64, count: u32| window.try_take_with_burst(at, 10, MINUTE, count, budget);
        assert!(take(0, 61).is_err());
        assert_eq!(take(0, 60), Ok(()));
        assert_eq!(take(0, 1), Err(RetryAfterNs(MINUTE)));
        assert_eq!(take(MINUTE, 10), Ok(()));
        assert!(take(MINUTE, 1).is_err(), "a fiftieth of an hour is more than a minute");
        assert_eq!(take(72 * SECOND, 1), Ok(()));
        assert!(take(72 * SECOND, 1).is_err());
        assert_eq!(take(100 * 60 * MINUTE, 60), Ok(()), "it fills up to its size and no further");
        assert!(take(100 * 60 * MINUTE, 1).is_err());
    }

    #[test]
    fn taking_a_budget_away_and_back_gives_nothing() {
        let window = Window::new();
        let budget = Some(BurstBudget { size: 5, per_hour: 5 });
        assert_eq!(window.try_take_with_burst(0, 1, MINUTE, 6, budget), Ok(()));
        assert!(window.try_take_with_burst(1, 1, MINUTE, 1, None).is_err());
        assert!(window.try_take_with_burst(2, 1, MINUTE, 1, budget).is_err());
        assert_eq!(window.try_take_with_burst(3, 1, MINUTE, 6, budget), Err(RetryAfterNs::NEVER));
    }

    /// Against a model that counts every event anew: never one too many, never one refused for nothing, and what is
    /// refused passes exactly when it was told to come back.
    #[test]
    fn agrees_with_counting_every_event() {
        let mut seed = 42_u64;
        let mut dice = |bound: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % bound
        };
        for _ in 0..300 {
            let (window, limit, width) = (Window::new(), u32::try_from(1 + dice(8)).unwrap(), 1 + dice(50));
            let (mut now, mut taken) = (0_u64, Vec::<u64>::new());
            for _ in 0..200 {
                now += dice(20);
                let count = u32::try_from(1 + dice(3)).unwrap();
                let in_window = |at: u64| taken.iter().filter(|time| at - **time < width).count();
                let fits = |at: u64| in_window(at) + count as usize <= limit as usize;
                match window.try_take(now, limit, width, count) {
                    Ok(()) => assert!(fits(now)),
                    Err(RetryAfterNs::NEVER) => assert!(count > limit),
                    Err(RetryAfterNs(wait)) => assert!(!fits(now) && fits(now + wait) && !fits(now + wait - 1)),
                }
                if fits(now) {
                    taken.extend(std::iter::repeat_n(now, count as usize));
                }
            }
        }
    }

    #[test]
    fn threads_together_never_take_more() {
        let window = Window::new();
        let taken: usize = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..16)
                .map(|_| scope.spawn(|| (0..1_000).filter(|at| window.try_take(*at, 100, MINUTE, 1).is_ok()).count()))
                .collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).sum()
        });
        assert_eq!(taken, 100);
    }
}
