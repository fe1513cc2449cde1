//! What a plugin was refused, so that an administrator can see what it would need.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::clock::rfc3339;
use crate::error::{Error, ErrorCode};
use crate::plugin::name::shorten;

/// Different denials that are remembered for a plugin; further ones are only counted.
const MAX_KINDS: usize = 256;

/// Longest target and message that are remembered, in bytes.
const MAX_TEXT: usize = 300;

/// Denials of one plugin.
#[derive(Debug, Default)]
pub struct Denials(Mutex<HashMap<Kind, Seen>>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Kind {
    function: String,
    code: ErrorCode,
    target: String,
}

#[derive(Debug)]
struct Seen {
    count: u64,
    first: SystemTime,
    last: SystemTime,
    message: String,
}

impl Denials {
    /// Remembers a denial.
    pub fn record(&self, function: &str, error: &Error, now: SystemTime) {
        let target = ["target", "table", "function"].iter().find_map(|key| error.detail().get(*key));
        let kind = Kind {
            function: shorten(function, MAX_TEXT),
            code: error.code(),
            target: target
                .map_or_else(String::new, |target| shorten(target.as_str().unwrap_or(&target.to_string()), MAX_TEXT)),
        };
        let mut denials = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seen) = denials.get_mut(&kind) {
            seen.count += 1;
            seen.last = now;
        } else if denials.len() < MAX_KINDS {
            let message = shorten(&error.to_string(), MAX_TEXT);
            denials.insert(kind, Seen { count: 1, first: now, last: now, message });
        }
    }

    /// The denials, most frequent first.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let denials = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<(&Kind, &Seen)> = denials.iter().collect();
        all.sort_by(|(a, seen_a), (b, seen_b)| {
            (seen_b.count, &a.function, &a.target).cmp(&(seen_a.count, &b.function, &b.target))
        });
        all.into_iter()
            .map(|(kind, seen)| {
                json!({
                    "function": kind.function,
                    "code": kind.code.slug(),
                    "target": kind.target,
                    "count": seen.count,
                    "first_seen": rfc3339(seen.first),
                    "last_seen": rfc3339(seen.last),
                    "message": seen.message,
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_denials_are_counted_and_different_ones_are_bounded() {
        let denials = Denials::default();
        for index in 0..2 * MAX_KINDS {
            let error =
                Error::new(ErrorCode::PolicySqlTableDenied, "no").with_detail("table", format!("t{}", index.min(300)));
            denials.record("db_query", &error, SystemTime::UNIX_EPOCH);
        }
        let all = denials.to_json();
        assert_eq!(all.as_array().map(Vec::len), Some(MAX_KINDS));
        let again = Error::new(ErrorCode::PolicySqlTableDenied, "no").with_detail("table", "t0");
        denials.record("db_query", &again, SystemTime::UNIX_EPOCH);
        assert_eq!(denials.to_json()[0]["count"], 2);
        assert_eq!(denials.to_json()[0]["target"], "t0");
    }
}
