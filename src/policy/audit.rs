//! The record of policy changes: one row per change, each row bound to the one before it by a hash.
//!
//! The rows also give a policy its revision. What is stored is a plain document that anybody may have written (the
//! reference, an administrator with an editor), so the document itself carries no number: the newest row about a plugin
//! says which digest had which revision. A document with another digest was changed from outside; the next writer, or a
//! reader that may write, enters it as `found` under a revision of its own before anything else is decided. So a change
//! based on an older document is always noticed.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::store::Change;
use crate::error::{Error, ErrorCode, Result};
use crate::plugin::name::shorten;

/// Longest name of an actor, in bytes.
const MAX_ACTOR: usize = 120;

/// Revisions from here on belong to documents that nobody could enter into the record: derived from the content. Below
/// 2^53, so that every JSON reader keeps them exact.
const UNRECORDED: u64 = 1 << 52;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A document was set.
    Set,
    /// The document was removed.
    Removed,
    /// A suggestion was accepted.
    Applied,
    /// The observation of a plugin was begun or ended.
    Observed,
    /// A document of the configuration was stored, because there was none.
    Seeded,
    /// A document was found that this library did not write.
    Found,
    /// The plugin was enabled.
    Enabled,
    /// The plugin was disabled.
    Disabled,
}

impl Action {
    /// Name in rows.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Removed => "removed",
            Self::Applied => "applied",
            Self::Observed => "observed",
            Self::Seeded => "seeded",
            Self::Found => "found",
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
        }
    }

    /// Action of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::Set,
            Self::Removed,
            Self::Applied,
            Self::Observed,
            Self::Seeded,
            Self::Found,
            Self::Enabled,
            Self::Disabled,
        ]
        .into_iter()
        .find(|action| action.name() == name)
    }

    /// Whether it is about a document, not about enablement.
    #[must_use]
    pub fn is_about_policy(self) -> bool {
        !matches!(self, Self::Enabled | Self::Disabled)
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// Number in the record, from 1 up without gaps.
    pub seq: u64,
    /// When, in RFC 3339.
    pub time: String,
    /// Plugin that it is about.
    pub plugin: String,
    /// What was done.
    pub action: Action,
    /// Who did it.
    pub actor: String,
    /// Revision of the policy after it; 0 in rows about enablement.
    pub revision: u64,
    /// SHA-256 of the document after it, in hexadecimal; empty when there is none.
    pub digest: String,
    /// The document after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// SHA-256 over the hash of the row before and everything above; the document counts through its digest.
    pub hash: String,
}

impl AuditRow {
    /// What [`Self::hash`] must be after a row with the hash `previous`.
    #[must_use]
    pub fn expected_hash(&self, previous: &str) -> String {
        let fields = serde_json::json!([
            previous,
            self.seq,
            self.time,
            self.plugin,
            self.action.name(),
            self.actor,
            self.revision,
            self.digest,
        ]);
        hex(&Sha256::digest(fields.to_string().as_bytes()))
    }
}

/// The first row, oldest first, that does not follow from the one before it. The first of `rows` is taken as given when
/// it is not number 1: the rows before it were not asked for.
#[must_use]
pub fn first_broken(rows: &[AuditRow]) -> Option<u64> {
    let document_fits = |row: &AuditRow| row.document.as_ref().is_none_or(|text| digest(text.as_bytes()) == row.digest);
    if let Some(first) = rows.first()
        && ((first.seq == 1 && first.hash != first.expected_hash("")) || !document_fits(first))
    {
        return Some(first.seq);
    }
    let follows = |pair: &&[AuditRow]| {
        pair[1].seq != pair[0].seq + 1
            || pair[1].hash != pair[1].expected_hash(&pair[0].hash)
            || !document_fits(&pair[1])
    };
    rows.windows(2).find(follows).map(|pair| pair[1].seq)
}

/// The end of the record, which the next row follows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tail {
    /// Number of the newest row; 0 when there is none.
    pub seq: u64,
    /// Its hash.
    pub hash: String,
}

impl Tail {
    /// The tail that `row` makes.
    #[must_use]
    pub fn of(row: &AuditRow) -> Self {
        Self { seq: row.seq, hash: row.hash.clone() }
    }

    /// The row that follows, with a document or, when `text` is empty, none.
    fn row(&mut self, time: &str, plugin: &str, action: Action, actor: &str, revision: u64, text: &[u8]) -> AuditRow {
        let mut row = AuditRow {
            seq: self.seq + 1,
            time: time.to_owned(),
            plugin: plugin.to_owned(),
            action,
            actor: shorten(actor, MAX_ACTOR),
            revision,
            digest: digest(text),
            document: (!text.is_empty()).then(|| std::str::from_utf8(text).ok().map(str::to_owned)).flatten(),
            hash: String::new(),
        };
        row.hash = row.expected_hash(&self.hash);
        *self = Self::of(&row);
        row
    }

    /// The row for a change of enablement.
    #[must_use]
    pub fn enablement(mut self, time: &str, plugin: &str, enabled: bool, actor: &str) -> AuditRow {
        let action = if enabled { Action::Enabled } else { Action::Disabled };
        self.row(time, plugin, action, actor, 0, b"")
    }
}

/// What the newest row about a plugin's policy says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Revision after it.
    pub revision: u64,
    /// Digest of the document after it; empty when it was removed.
    pub digest: String,
}

/// What is stored for a plugin, and what the record says about it.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// Name of the plugin.
    pub plugin: &'a str,
    /// The stored document; `None` when there is none.
    pub text: Option<&'a [u8]>,
    /// Newest row about its policy.
    pub recorded: Option<&'a Recorded>,
}

/// Rows to enter, and the revision after them.
#[derive(Debug)]
pub struct Plan {
    /// Rows, oldest first.
    pub rows: Vec<AuditRow>,
    /// Revision after them; 0 when nothing is stored.
    pub revision: u64,
}

impl Standing<'_> {
    /// Whether the record knows what is stored.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        digest(self.text.unwrap_or_default()) == self.recorded.map_or("", |recorded| recorded.digest.as_str())
    }

    /// Revision of what is stored; derived from the content when it is not in the record.
    #[must_use]
    pub fn revision(&self) -> u64 {
        match (self.text, self.recorded) {
            (None, _) => 0,
            (Some(_), Some(recorded)) if self.is_recorded() => recorded.revision,
            (Some(text), _) => unrecorded_revision(text),
        }
    }

    /// Enters what is stored, if the record does not know it.
    #[must_use]
    pub fn adopt(&self, tail: &mut Tail, time: &str) -> Option<AuditRow> {
        if self.is_recorded() {
            return None;
        }
        let text = self.text.unwrap_or_default();
        let last = self.recorded.map_or(0, |recorded| recorded.revision);
        let revision = if text.is_empty() { last } else { last + 1 };
        Some(tail.row(time, self.plugin, Action::Found, "unknown", revision, text))
    }

    /// What a change takes; refused when it is based on another revision. An empty `text` removes.
    pub fn plan(&self, tail: &mut Tail, text: &[u8], change: &Change<'_>, time: &str) -> Result<Plan> {
        let found = self.adopt(tail, time);
        let last = match (&found, self.recorded) {
            (Some(row), _) => row.revision,
            (None, Some(recorded)) => recorded.revision,
            (None, None) => 0,
        };
        if change.expected_revision.is_some_and(|expected| expected != self.revision()) {
            return Err(conflict(self.plugin, self.revision()));
        }
        let is_removal = text.is_empty();
        let action = if is_removal { Action::Removed } else { change.action };
        let mut rows: Vec<AuditRow> = found.into_iter().collect();
        if is_removal && self.text.is_none() {
            return Ok(Plan { rows, revision: 0 });
        }
        let revision = if is_removal { last } else { last + 1 };
        rows.push(tail.row(time, self.plugin, action, change.actor, revision, text));
        Ok(Plan { rows, revision: if is_removal { 0 } else { revision } })
    }
}

/// Somebody else changed the policy.
#[must_use]
pub fn conflict(plugin: &str, current: u64) -> Error {
    Error::new(
        ErrorCode::PolicyRevisionConflict,
        format!("the policy of `{plugin}` is at revision {current} now (read it again, then change it)"),
    )
    .with_detail("revision", current)
}

/// SHA-256 of a document in hexadecimal; empty for none.
#[must_use]
pub fn digest(text: &[u8]) -> String {
    if text.is_empty() { String::new() } else { hex(&Sha256::digest(text)) }
}

fn unrecorded_revision(text: &[u8]) -> u64 {
    let digest = Sha256::digest(text);
    let bits = digest.iter().take(8).fold(0_u64, |bits, byte| (bits << 8) | u64::from(*byte));
    UNRECORDED | (bits >> 12)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = "2026-01-01T00:00:00.000Z";

    fn standing<'a>(text: Option<&'a [u8]>, recorded: Option<&'a Recorded>) -> Standing<'a> {
        Standing { plugin: "a", text, recorded }
    }

    #[test]
    fn a_document_from_outside_gets_a_revision_of_its_own() {
        let recorded = Recorded { revision: 4, digest: digest(b"{}") };
        let foreign = standing(Some(b"{ }"), Some(&recorded));
        let mut tail = Tail { seq: 9, hash: "h".into() };
        let based_on_ours = Change::by_host(Some(4));
        assert_eq!(foreign.plan(&mut tail.clone(), b"x", &based_on_ours, TIME).unwrap_err().code().number(), 471);
        let based_on_it = Change::by_host(Some(foreign.revision()));
        let plan = foreign.plan(&mut tail, b"x", &based_on_it, TIME).unwrap();
        let rows: Vec<_> = plan.rows.iter().map(|row| (row.seq, row.action, row.revision)).collect();
        assert_eq!(rows, [(10, Action::Found, 5), (11, Action::Set, 6)]);
        assert_eq!(plan.revision, 6);
    }

    #[test]
    fn the_chain_shows_changed_missing_and_exchanged_rows() {
        let (mut tail, mut rows, mut recorded) = (Tail::default(), Vec::new(), None::<Recorded>);
        for text in [&b"one"[..], b"two", b"three"] {
            let current = rows.last().and_then(|row: &AuditRow| row.document.clone());
            let standing = standing(current.as_deref().map(str::as_bytes), recorded.as_ref());
            rows.extend(standing.plan(&mut tail, text, &Change::by_host(None), TIME).unwrap().rows);
            recorded = rows.last().map(|row| Recorded { revision: row.revision, digest: row.digest.clone() });
        }
        assert_eq!(first_broken(&rows), None);
        assert_eq!(first_broken(&rows[1..]), None);
        let broken = |change: fn(&mut Vec<AuditRow>)| {
            let mut rows = rows.clone();
            change(&mut rows);
            first_broken(&rows)
        };
        assert_eq!(broken(|rows| rows[1].actor = "me".into()), Some(2));
        assert_eq!(broken(|rows| rows[1].document = Some("four".into())), Some(2));
        assert_eq!(broken(|rows| drop(rows.remove(1))), Some(3));
        assert_eq!(broken(|rows| rows.swap(0, 1)), Some(1));
        assert_eq!(broken(|rows| rows[0].revision = 7), Some(1));
    }
}
