//! What was learned about a plugin: what it was refused, and what it was let do while it was observed.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::document::Permission;
use crate::error::{Error, ErrorCode, Result};

/// Largest document with what was learned, in bytes.
pub const MAX_EVIDENCE_BYTES: usize = 1 << 20;

/// Equal calls that were refused, or let through while the plugin was observed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Host function.
    pub function: String,
    /// Slug of the refusal.
    pub code: String,
    /// What it was about.
    pub target: String,
    /// How often.
    pub count: u64,
    /// First time, in RFC 3339.
    pub first_seen: String,
    /// Last time, in RFC 3339.
    pub last_seen: String,
    /// The refusal in words, the first time.
    pub message: String,
    /// The smallest entries of a policy that would have allowed it.
    #[serde(default)]
    pub suggestions: Vec<Value>,
}

/// All that is known about what a plugin needs.
#[derive(Debug, Clone, Default)]
pub struct Learned {
    /// What it declares.
    pub declared: Vec<Permission>,
    /// What it was refused.
    pub denied: Vec<Evidence>,
    /// What it was let do while it was observed.
    pub observed: Vec<Evidence>,
}

#[derive(Deserialize)]
struct Kept {
    #[serde(default)]
    declared: Value,
    #[serde(default)]
    denied: Vec<Evidence>,
    #[serde(default)]
    observed: Vec<Evidence>,
}

impl Learned {
    /// Reads what [`Self::to_json`] wrote.
    pub fn parse(text: &[u8]) -> Result<Self> {
        let wrong =
            |problem: String| Error::new(ErrorCode::ArgumentJson, format!("the evidence is not understood: {problem}"));
        if text.len() > MAX_EVIDENCE_BYTES {
            return Err(wrong(format!("it has more than {MAX_EVIDENCE_BYTES} bytes")));
        }
        let kept: Kept = serde_json::from_slice(text).map_err(|problem| wrong(problem.to_string()))?;
        let (request, _) = super::request::parse(&json!({ "permissions": kept.declared }));
        Ok(Self { declared: request.permissions, denied: kept.denied, observed: kept.observed })
    }

    /// As it is kept in a store: `{"declared", "denied", "observed"}`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({"version": 1, "declared": self.declared, "denied": self.denied, "observed": self.observed})
    }
}
