//! How refusals are worded: untrusted text made harmless, the rule, the target and the way out in one place.

use serde_json::Value;

use crate::error::{Error, ErrorCode};

/// Longest piece of foreign text that a message repeats, in characters.
const MAX_QUOTED_CHARS: usize = 120;

/// Foreign text between back quotes: controls and look-alike characters escaped, long text cut.
#[must_use]
pub fn quoted(text: &str) -> String {
    format!("`{}`", harmless(text))
}

/// Foreign text without controls, direction marks or non-ASCII look-alikes, cut to a bounded length.
#[must_use]
pub fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(MAX_QUOTED_CHARS) + 8);
    for (index, c) in text.chars().enumerate() {
        if index == MAX_QUOTED_CHARS {
            out.push_str("...");
            break;
        }
        match c {
            '`' => out.push('\''),
            ' '..='~' => out.push(c),
            _ => out.extend(c.escape_default()),
        }
    }
    out
}

/// The rule of refusals that a policy's `denied` list is the reason for: no grant lifts them.
pub(crate) const DENIED: &str = "denied";

/// A target that a plugin named may be suggested only if, in a scope, it means itself and can be read by a person.
pub(crate) fn suggestible(target: &str) -> Option<&str> {
    (!target.contains('*') && harmless(target) == target).then_some(target)
}

/// A refusal: what rule said no, to what, and the smallest change that would allow it.
#[derive(Debug)]
pub(crate) struct Denial<'a> {
    /// Stable code.
    pub(crate) code: ErrorCode,
    /// Name of the rule that refused, for programs.
    pub(crate) rule: &'static str,
    /// What was refused, as the plugin wrote it.
    pub(crate) target: &'a str,
    /// One lower-case clause that says what is wrong; the way out is appended.
    pub(crate) context: String,
    /// The smallest change that would allow it, if a change may.
    pub(crate) suggestion: Option<Value>,
}

impl From<Denial<'_>> for Error {
    fn from(denial: Denial<'_>) -> Self {
        let way_out = denial.suggestion.as_ref().map_or_else(String::new, way_out);
        let error = Self::new(denial.code, denial.context + &way_out)
            .with_detail("rule", denial.rule)
            .with_detail("target", harmless(denial.target));
        match denial.suggestion {
            Some(suggestion) => error.with_detail("suggestion", suggestion),
            None => error,
        }
    }
}

/// The suggestion as the end of a sentence.
fn way_out(suggestion: &Value) -> String {
    format!(" (to allow it, add to the plugin's policy: {suggestion})")
}
