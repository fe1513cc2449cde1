//! Points in time in documents: RFC 3339 in UTC, whole seconds, one spelling.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::{Date, Month, OffsetDateTime, Time};

/// 9999-12-31T23:59:59Z.
const LAST: u64 = 253_402_300_799;

/// Seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// The whole second of `wall`.
    #[must_use]
    pub fn of(wall: SystemTime) -> Self {
        Self(wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs().min(LAST))
    }

    /// Reads `YYYY-MM-DDTHH:MM:SSZ`; `None` for everything else, other spellings of the same time included.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let shaped = bytes.len() == 20
            && bytes.iter().zip(b"0000-00-00T00:00:00Z").all(|(byte, shape)| match shape {
                b'0' => byte.is_ascii_digit(),
                _ => byte == shape,
            });
        if !shaped {
            return None;
        }
        let number = |from: usize, to: usize| text[from..to].parse::<u16>().ok();
        let small = |from: usize, to: usize| text[from..to].parse::<u8>().ok();
        let month = Month::try_from(small(5, 7)?).ok()?;
        let date = Date::from_calendar_date(i32::from(number(0, 4)?), month, small(8, 10)?).ok()?;
        let time = Time::from_hms(small(11, 13)?, small(14, 16)?, small(17, 19)?).ok()?;
        u64::try_from(OffsetDateTime::new_utc(date, time).unix_timestamp()).ok().map(Self)
    }

    /// This many seconds later, at most the last second that can be written.
    #[must_use]
    pub fn later(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds).min(LAST))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = crate::clock::rfc3339(SystemTime::UNIX_EPOCH + Duration::from_secs(self.0));
        write!(f, "{}Z", text.get(..19).unwrap_or(&text))
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("expected a time like 2026-11-01T00:00:00Z"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_one_spelling() {
        for text in ["1970-01-01T00:00:00Z", "2026-11-01T23:59:59Z", "9999-12-31T00:00:00Z"] {
            assert_eq!(Moment::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "2026-11-01",
            "2026-11-01T00:00:00",
            "2026-11-01t00:00:00z",
            "2026-11-01T00:00:00.0Z",
            "2026-11-01T00:00:00+00:00",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-01T24:00:00Z",
            "2026-11-01T00:00:60Z",
            "1969-12-31T23:59:59Z",
            "2026-11-01T00:00:0\u{665}",
        ] {
            assert_eq!(Moment::parse(text), None, "{text}");
        }
    }
}
