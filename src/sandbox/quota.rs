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
