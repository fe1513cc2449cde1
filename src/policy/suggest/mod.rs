//! From what a plugin declares, was refused and was seen doing to the smallest policy that lets it work.
//!
//! A suggestion never takes away and never writes a wildcard. What it adds is what the plugin was refused or seen doing;
//! what it only declares, and what is sensitive, is told and left to the administrator.

mod entries;
mod merge;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use self::entries::{Entry, reason_to_leave_out};
use super::document::{self, Permission, PolicyDocument};
use super::effective::default_permissions;
use super::evidence::{Evidence, Learned};
use super::request::ResourceRequest;
use super::store::{PolicyStore, StoredPolicy};
use super::{DefaultRules, Policy, Status};
use crate::error::{Error, ErrorCode, Result};

/// What an administrator asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SuggestOptions {
    /// Also what is sensitive: tables with people's data, secrets of the configuration, private networks, SQL functions.
    pub sensitive: bool,
    /// Also what the plugin declares, but neither was refused nor seen doing.
    pub declared: bool,
}

impl SuggestOptions {
    /// Reads `{"sensitive": bool, "declared": bool}`; an empty text is neither.
    pub fn parse(text: &[u8]) -> Result<Self> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let wrong =
            || Error::new(ErrorCode::ArgumentJson, "the options are not `{\"sensitive\": bool, \"declared\": bool}`");
        let value: Value = serde_json::from_slice(text).map_err(|problem| wrong().with_source(problem))?;
        let members = value.as_object().ok_or_else(wrong)?;
        if members.keys().any(|name| name != "sensitive" && name != "declared") {
            return Err(wrong());
        }
        let read = |name: &str| match members.get(name) {
            None => Ok(false),
            Some(value) => value.as_bool().ok_or_else(wrong),
        };
        Ok(Self { sensitive: read("sensitive")?, declared: read("declared")? })
    }
}

/// The smallest policy for `plugin`: `{"plugin", "revision", "changes", "document", "lines", "left_out"}`.
pub fn suggest(
    plugin: &str,
    stored: Option<&StoredPolicy>,
    learned: &Learned,
    rules: &DefaultRules,
    options: SuggestOptions,
) -> Result<Value> {
    let base = Base::of(plugin, stored, learned, rules)?;
    let mut suggestion = Suggestion { document: base.document.clone(), lines: base.lines(), left_out: base.set_aside };
    for (entry, evidence) in wanted(learned) {
        if entry.permission().is_some_and(|permission| entries::is_covered(&base.policy, permission, rules)) {
            continue;
        }
        let is_only_declared = evidence.iter().all(|line| line["kind"] == "declared");
        match reason_to_leave_out(&entry, is_only_declared, rules, options) {
            Some(reason) => suggestion.leave_out(&entry, &evidence, &reason),
            None => suggestion.add(&entry, &evidence, rules),
        }
    }
    Ok(suggestion.into_json(plugin, stored))
}

/// As [`suggest`], from what a store has: the host need not run.
pub fn suggest_from(
    store: &dyn PolicyStore,
    plugin: &str,
    rules: &DefaultRules,
    options: SuggestOptions,
) -> Result<Value> {
    let learned = store.load_evidence(plugin)?.map(|text| Learned::parse(&text)).transpose()?.unwrap_or_default();
    suggest(plugin, store.load(plugin)?.as_ref(), &learned, rules, options)
}

/// The document and revision of a suggestion that an administrator accepts.
pub fn accepted(plugin: &str, suggestion: &[u8]) -> Result<(Vec<u8>, u64)> {
    let wrong = |what: &str| {
        Error::new(ErrorCode::ArgumentJson, format!("the suggestion {what} (hand over what was suggested)"))
    };
    let value: Value =
        crate::json::from_object(suggestion).map_err(|problem| wrong("is not JSON").with_source(problem))?;
    if value["plugin"] != plugin {
        return Err(wrong(&format!("is not for plugin `{plugin}`")));
    }
    let revision = value["revision"].as_u64().ok_or_else(|| wrong("has no revision"))?;
    if !value["document"].is_object() {
        return Err(wrong("has no document"));
    }
    Ok((value["document"].to_string().into_bytes(), revision))
}

/// What is in force now, as a document.
struct Base {
    document: PolicyDocument,
    policy: Policy,
    /// Stored, but not in force, and so not taken over.
    set_aside: Vec<Value>,
    source: &'static str,
}

impl Base {
    fn of(plugin: &str, stored: Option<&StoredPolicy>, learned: &Learned, rules: &DefaultRules) -> Result<Self> {
        let mut document = match stored {
            None => PolicyDocument { version: Some(document::VERSION), ..PolicyDocument::default() },
            Some(stored) => document::parse(&stored.text).map_err(|problems| document::problems_to_error(&problems))?.0,
        };
        document.check_plugin_name(plugin)?;
        // Whoever accepts a suggestion has seen enough.
        document.observe = None;
        let (mut source, mut set_aside) = ("document", Vec::new());
        match document.status {
            Status::Blocked => {
                return Err(Error::new(
                    ErrorCode::PolicyBlocked,
                    "an administrator blocked the plugin: nothing is suggested",
                ));
            }
            Status::PendingReview => {
                let request = ResourceRequest { permissions: learned.declared.clone(), ..ResourceRequest::default() };
                let (granted, _) = default_permissions(&request, rules);
                let drafted = std::mem::replace(&mut document.permissions, granted);
                let reason = "it is stored, but not in force while the status is `pending_review`";
                set_aside.extend(drafted.iter().map(|entry| json!({"entry": entry, "reason": reason, "evidence": []})));
                document.status = Status::Approved;
                source = "default_grant";
            }
            Status::Approved | Status::Restricted => {}
        }
        let policy = Policy::from_document(&document, &ResourceRequest::default(), rules);
        Ok(Self { document, policy, set_aside, source })
    }

    fn lines(&self) -> Vec<Value> {
        let evidence = json!([{"kind": "in_force", "source": self.source}]);
        let line = |entry: &Permission| json!({"entry": entry, "new": false, "sensitive": false, "evidence": evidence});
        self.document.permissions.iter().map(line).collect()
    }
}

/// A suggestion that is being put together.
struct Suggestion {
    document: PolicyDocument,
    lines: Vec<Value>,
    left_out: Vec<Value>,
}

impl Suggestion {
    fn leave_out(&mut self, entry: &Entry, evidence: &[Value], reason: &str) {
        self.left_out.push(json!({"entry": entry.to_json(), "reason": reason, "evidence": evidence}));
    }

    /// Adds an entry, if that changes anything: what the policy takes away stays away.
    fn add(&mut self, entry: &Entry, evidence: &[Value], rules: &DefaultRules) {
        let mut document = self.document.clone();
        merge::add(&mut document, entry);
        if let Some(permission) = entry.permission() {
            let policy = Policy::from_document(&document, &ResourceRequest::default(), rules);
            if !entries::is_covered(&policy, permission, rules) {
                return self.leave_out(entry, evidence, "the policy's `denied` list takes it away");
            }
        }
        self.document = document;
        let is_sensitive = entries::sensitivity(entry, rules).is_some();
        self.lines
            .push(json!({"entry": entry.to_json(), "new": true, "sensitive": is_sensitive, "evidence": evidence}));
    }

    fn into_json(self, plugin: &str, stored: Option<&StoredPolicy>) -> Value {
        let has_news = self.lines.iter().any(|line| line["new"] == true);
        json!({
            "plugin": plugin,
            "revision": stored.map_or(0, |stored| stored.revision),
            "changes": has_news,
            "document": self.document,
            "lines": self.lines,
            "left_out": self.left_out,
        })
    }
}

/// Every entry that is wanted, one target each, with its evidence.
fn wanted(learned: &Learned) -> Vec<(Entry, Vec<Value>)> {
    let mut wanted: BTreeMap<String, (Entry, Vec<Value>)> = BTreeMap::new();
    let mut want = |entry: Entry, evidence: &Value| {
        let (_, known) = wanted.entry(entry.to_json().to_string()).or_insert_with(|| (entry, Vec::new()));
        known.push(evidence.clone());
    };
    for permission in &learned.declared {
        for entry in Entry::of_permission(permission) {
            want(entry, &json!({"kind": "declared"}));
        }
    }
    for (kind, all) in [("denied", &learned.denied), ("observed", &learned.observed)] {
        for evidence in all {
            for suggestion in &evidence.suggestions {
                for entry in Entry::of_suggestion(suggestion) {
                    want(entry, &seen(kind, evidence));
                }
            }
        }
    }
    wanted.into_values().collect()
}

fn seen(kind: &str, evidence: &Evidence) -> Value {
    json!({
        "kind": kind,
        "function": evidence.function,
        "count": evidence.count,
        "first_seen": evidence.first_seen,
        "last_seen": evidence.last_seen,
        "sample": evidence.message,
    })
}
