//! Time: the only place that reads the operating system's clocks.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// A monotonic point in time, in nanoseconds since the library first looked at the clock.
pub type Nanos = u64;

/// Where decisions about time windows get their time from.
pub trait Clock: Send + Sync {
    /// Monotonic time.
    fn monotonic(&self) -> Nanos;
    /// Calendar time.
    fn wall(&self) -> SystemTime;
}

/// The operating system's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn monotonic(&self) -> Nanos {
        now()
    }

    fn wall(&self) -> SystemTime {
        wall()
    }
}

/// A clock that moves only when it is told to; for tests of windows and expiry.
#[derive(Debug, Default)]
pub struct ManualClock {
    nanos: AtomicU64,
}

impl ManualClock {
    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.nanos.fetch_add(saturating_nanos(by), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn monotonic(&self) -> Nanos {
        self.nanos.load(Ordering::SeqCst)
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(self.monotonic())
    }
}

/// Monotonic time now.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub fn now() -> Nanos {
    static START: OnceLock<Instant> = OnceLock::new();
    saturating_nanos(START.get_or_init(Instant::now).elapsed())
}

/// Calendar time now.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub fn wall() -> SystemTime {
    SystemTime::now()
}

/// `wall` as RFC 3339 text in UTC with milliseconds.
#[must_use]
pub fn rfc3339(wall: SystemTime) -> String {
    let time = time::OffsetDateTime::from(wall);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.millisecond()
    )
}

/// Length of `duration` in nanoseconds; what does not fit is "for ever".
#[must_use]
pub fn saturating_nanos(duration: Duration) -> Nanos {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_is_utc_with_milliseconds() {
        let wall = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        assert_eq!(rfc3339(wall), "2023-11-14T22:13:20.123Z");
    }
}
