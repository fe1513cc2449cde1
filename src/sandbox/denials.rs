//! What a plugin was refused, and what it was let do while it was observed, so that an administrator can see what it
//! would need.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde_json::Value;

use crate::clock::{parse_rfc3339, rfc3339};
use crate::error::{Error, ErrorCode};
use crate::plugin::name::shorten;
use crate::policy::Evidence;

/// Different calls that are remembered for a plugin; further ones are only counted.
const MAX_KINDS: usize = 256;

/// Longest target and message that are remembered, in bytes.
const MAX_TEXT: usize = 300;

/// Most entries of a policy that one call is remembered to need.
const MAX_SUGGESTIONS: usize = 32;

/// Equal calls of one plugin, counted.
#[derive(Debug, Default)]
pub struct Denials {
    seen: Mutex<HashMap<Kind, Seen>>,
    /// Something was recorded since it was last asked.
    is_news: AtomicBool,
}

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
    suggestions: Vec<Value>,
}

impl Denials {
    fn lock(&self) -> MutexGuard<'_, HashMap<Kind, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a denial.
    pub fn record(&self, function: &str, error: &Error, now: SystemTime) {
        let target = ["target", "table", "function"].iter().find_map(|key| error.detail().get(*key));
        let kind = Kind {
            function: shorten(function, MAX_TEXT),
            code: error.code(),
            target: target
                .map_or_else(String::new, |target| shorten(target.as_str().unwrap_or(&target.to_string()), MAX_TEXT)),
        };
        self.is_news.store(true, Ordering::Relaxed);
        let suggestions = suggestions(error);
        let mut denials = self.lock();
        if let Some(seen) = denials.get_mut(&kind) {
            seen.count += 1;
            seen.last = now;
            let new: Vec<Value> = suggestions.into_iter().filter(|entry| !seen.suggestions.contains(entry)).collect();
            seen.suggestions.extend(new);
            seen.suggestions.truncate(MAX_SUGGESTIONS);
        } else if denials.len() < MAX_KINDS {
            let message = shorten(&error.to_string(), MAX_TEXT);
            denials.insert(kind, Seen { count: 1, first: now, last: now, message, suggestions });
        }
    }

    /// Takes over what an earlier run remembered.
    pub fn restore(&self, evidence: Vec<Evidence>) {
        let mut denials = self.lock();
        for kept in evidence {
            let (Some(code), Some(first), Some(last)) =
                (ErrorCode::from_slug(&kept.code), parse_rfc3339(&kept.first_seen), parse_rfc3339(&kept.last_seen))
            else {
                continue;
            };
            if denials.len() >= MAX_KINDS {
                return;
            }
            let kind =
                Kind { function: shorten(&kept.function, MAX_TEXT), code, target: shorten(&kept.target, MAX_TEXT) };
            let mut suggestions = kept.suggestions;
            suggestions.truncate(MAX_SUGGESTIONS);
            let message = shorten(&kept.message, MAX_TEXT);
            denials.insert(kind, Seen { count: kept.count, first, last, message, suggestions });
        }
    }

    /// Whether something was recorded since this was last asked.
    pub fn take_news(&self) -> bool {
        self.is_news.swap(false, Ordering::Relaxed)
    }

    /// The calls, most frequent first.
    #[must_use]
    pub fn evidence(&self) -> Vec<Evidence> {
        let denials = self.lock();
        let mut all: Vec<(&Kind, &Seen)> = denials.iter().collect();
        all.sort_by(|(a, seen_a), (b, seen_b)| {
            (seen_b.count, &a.function, &a.target).cmp(&(seen_a.count, &b.function, &b.target))
        });
        all.into_iter()
            .map(|(kind, seen)| Evidence {
                function: kind.function.clone(),
                code: kind.code.slug().to_owned(),
                target: kind.target.clone(),
                count: seen.count,
                first_seen: rfc3339(seen.first),
                last_seen: rfc3339(seen.last),
                message: seen.message.clone(),
                suggestions: seen.suggestions.clone(),
            })
            .collect()
    }

    /// The calls as statistics show them.
    #[must_use]
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self.evidence()).unwrap_or_default()
    }
}

fn suggestions(error: &Error) -> Vec<Value> {
    match (error.detail().get("suggestions"), error.detail().get("suggestion")) {
        (Some(Value::Array(all)), _) => all.iter().take(MAX_SUGGESTIONS).cloned().collect(),
        (_, Some(one)) => vec![one.clone()],
        _ => Vec::new(),
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
        let restored = Denials::default();
        restored.restore(denials.evidence());
        assert_eq!(restored.to_json(), denials.to_json());
    }
}
