//! What a reader found: problems refuse a document, warnings say what in it has no effect.

use serde::Serialize;
use serde_json::{Value, json};

use crate::error::{Error, ErrorCode};
use crate::policy::wording::harmless;

/// Most problems, and most warnings, that are reported about one document.
const MAX_REPORTED: usize = 200;

/// Why a document is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// JSON pointer to the place; empty for the whole document.
    pub path: String,
    /// What is wrong there, and what to write instead.
    pub message: String,
}

/// What in an accepted document has no effect, or more effect than it seems.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// JSON pointer to the place.
    pub path: String,
    /// What to know about it, and what to write instead.
    pub message: String,
}

/// Collects both while a document is read.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Warning>,
    /// The document says `"version": 1`. Without it, it may be a row that the reference wrote, whose scopes nobody
    /// checked: entries that can't be read are then left out with a warning instead of blocking the plugin.
    pub(super) is_versioned: bool,
}

impl Report {
    /// Whether further problems would not be kept.
    pub(super) fn is_full(&self) -> bool {
        self.problems.len() >= MAX_REPORTED
    }

    pub(super) fn problem(&mut self, path: &str, message: impl Into<String>) {
        if !self.is_full() {
            self.problems.push(Problem { path: path.to_owned(), message: message.into() });
        }
    }

    pub(super) fn warning(&mut self, path: &str, message: impl Into<String>) {
        if self.warnings.len() < MAX_REPORTED {
            self.warnings.push(Warning { path: path.to_owned(), message: message.into() });
        }
    }

    /// An element of a scope that can't be read.
    pub(super) fn unreadable(&mut self, path: &str, element: &str, message: &str) {
        let message = format!("`{}`: {message}", harmless(element));
        if self.is_versioned {
            self.problem(path, message);
        } else {
            self.warning(path, format!("{message}; it grants nothing"));
        }
    }
}

/// The problems as one error, all of them in its detail.
#[must_use]
pub fn problems_to_error(problems: &[Problem]) -> Error {
    let first = problems.first().map_or_else(String::new, |problem| {
        let place = if problem.path.is_empty() { String::new() } else { format!(" at {}", problem.path) };
        format!("{place}: {}", problem.message)
    });
    let more = match problems.len() {
        0 | 1 => String::new(),
        count => format!(" (and {} more)", count - 1),
    };
    Error::new(ErrorCode::PolicyDocumentInvalid, format!("the policy document is refused{first}{more}"))
        .with_detail("rule", "document")
        .with_detail("problems", json!(problems))
}

/// A document's verdict for people and programs: `{"valid", "problems": [{path, message}], "warnings": […]}`.
#[must_use]
pub fn validate_report(text: &[u8]) -> Value {
    match super::parse(text) {
        Ok((_, warnings)) => json!({"valid": true, "problems": [], "warnings": warnings}),
        Err(problems) => json!({"valid": false, "problems": problems, "warnings": []}),
    }
}
