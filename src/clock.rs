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

/// The time that an RFC 3339 text in UTC says; `None` when it is not one.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<SystemTime> {
    let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
    let (clock, fraction) = clock.split_once('.').map_or((clock, None), |(clock, fraction)| (clock, Some(fraction)));
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    let nanos = match fraction {
        None => 0,
        Some(digits) if (1..=9).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{digits:0<9}").parse().ok()?
        }
        Some(_) => return None,
    };
    let small = |number: u32| u8::try_from(number).ok();
    let month = time::Month::try_from(small(month)?).ok()?;
    let date = time::Date::from_calendar_date(i32::try_from(year).ok()?, month, small(day)?).ok()?;
    let clock = time::Time::from_hms_nano(small(hour)?, small(minute)?, small(second)?, nanos).ok()?;
    let time = time::PrimitiveDateTime::new(date, clock).assume_utc();
    (time >= time::OffsetDateTime::UNIX_EPOCH).then(|| SystemTime::from(time))
}

/// Three numbers with these counts of digits.
fn numbers(text: &str, separator: char, digits: [usize; 3]) -> Option<[u32; 3]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; 3];
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next()?;
        if part.len() != digits || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
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
        assert_eq!(parse_rfc3339("2023-11-14T22:13:20.123Z"), Some(wall));
    }

    #[test]
    fn times_have_one_spelling() {
        assert_eq!(parse_rfc3339("1970-01-01T00:00:01Z"), Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1)));
        for text in [
            "",
            "Z",
            "1970-01-01T00:00:01",
            "1970-01-01T00:00:01+00:00",
            "1970-01-01 00:00:01Z",
            "1970-13-01T00:00:01Z",
            "1970-02-30T00:00:01Z",
            "1970-01-01T24:00:00Z",
            "1970-01-01T00:00:60Z",
            "1970-1-1T00:00:01Z",
            "+970-01-01T00:00:01Z",
            "1970-01-01T00:00:01.Z",
            "1970-01-01T00:00:01.1234567890Z",
            "1969-12-31T23:59:59Z",
            "1970-01-01-01T00:00:01Z",
        ] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }
}
