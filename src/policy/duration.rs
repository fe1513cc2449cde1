//! Durations in Go's notation, as policies and manifests write them: `30s`, `1m30s`, `1.5h`.

use std::fmt;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

/// Longest duration in a policy or manifest; anything longer is a mistake, and the bound keeps sums from overflowing.
pub const MAX_DURATION_MS: u64 = 24 * 60 * 60 * 1000;

/// A duration in whole milliseconds; 0 means "no limit".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoDuration {
    /// Milliseconds; durations between two of them are rounded up, so that none becomes 0 by rounding.
    pub ms: u64,
}

/// Units and their length in nanoseconds, longest names first.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

impl GoDuration {
    /// Parses `text`; negative and overlong durations are refused.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "write a duration such as `30s`, `500ms` or `1m30s`".to_owned();
        if text == "0" {
            return Ok(Self { ms: 0 });
        }
        let mut rest = text;
        let mut total_ns: u128 = 0;
        while !rest.is_empty() {
            let (part_ns, after) = parse_part(rest).ok_or_else(wrong)?;
            total_ns = total_ns.saturating_add(part_ns);
            rest = after;
        }
        let ms = u64::try_from(total_ns.div_ceil(1_000_000)).unwrap_or(u64::MAX);
        match ms {
            _ if text.is_empty() => Err(wrong()),
            0..=MAX_DURATION_MS => Ok(Self { ms }),
            _ => Err("a duration is at most 24h".to_owned()),
        }
    }
}

/// One number with its unit: nanoseconds, and what follows.
fn parse_part(text: &str) -> Option<(u128, &str)> {
    let number_len = text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
    let (number, rest) = text.split_at(number_len);
    let unit_len = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_len);
    let (_, unit_ns) = UNITS.iter().find(|(name, _)| *name == unit)?;
    Some((scaled(number, *unit_ns)?, rest))
}

/// `number` (digits, at most one point, at least one digit) times `unit_ns`; digits below a nanosecond are cut.
fn scaled(number: &str, unit_ns: u64) -> Option<u128> {
    const MAX_DIGITS: usize = 18;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let has_digits = !(whole.is_empty() && fraction.is_empty());
    let is_plain = whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
    if !has_digits || !is_plain || whole.len() > MAX_DIGITS || fraction.len() > MAX_DIGITS {
        return None;
    }
    let parse = |digits: &str| {
        if digits.is_empty() { Ok(0) } else { digits.parse::<u128>() }
    };
    let fraction_unit = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let unit_ns = u128::from(unit_ns);
    Some(parse(whole).ok()? * unit_ns + parse(fraction).ok()? * unit_ns / fraction_unit)
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ms.is_multiple_of(1000) { write!(f, "{}s", self.ms / 1000) } else { write!(f, "{}ms", self.ms) }
    }
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for GoDuration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "GoDuration".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A duration in Go's notation, at most 24h; `0s` means no limit.",
            "pattern": "^(0|(([0-9]+(\\.[0-9]*)?|\\.[0-9]+)(ns|us|\u{b5}s|\u{3bc}s|ms|s|m|h))+)$",
            "examples": ["30s", "1m30s", "500ms"]
        })
    }
}
