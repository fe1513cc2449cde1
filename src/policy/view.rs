//! A policy as administrators read it: what is in force, and where each line comes from.

use std::slice;

use serde_json::{Map, Value, json};

use super::document::{Permission, PolicyDocument};
use super::grants::Grants;
use super::scope::tables::NameRules;
use super::{Access, Isolation, Limits, Policy, Source, Status};

/// A declared table that the default grant leaves out.
#[derive(Debug)]
pub(super) struct Withheld {
    pub(super) table: String,
    pub(super) reason: &'static str,
}

/// What a policy was compiled from, kept for showing.
#[derive(Debug, Default)]
pub(super) struct View {
    permissions: Vec<Permission>,
    denied: Vec<Permission>,
    callable_by: Option<Vec<String>>,
    withheld: Vec<Withheld>,
    /// Names of the limits that the document sets.
    limits_set: Vec<&'static str>,
    note: Option<String>,
}

impl View {
    pub(super) fn of_default(permissions: Vec<Permission>, withheld: Vec<Withheld>) -> Self {
        Self { permissions, withheld, ..Self::default() }
    }

    pub(super) fn of_document(document: &PolicyDocument, denied: &[Permission]) -> Self {
        Self {
            permissions: document.permissions.clone(),
            denied: denied.to_vec(),
            callable_by: document.callable_by.clone(),
            withheld: Vec::new(),
            limits_set: limits_set(document),
            note: document.note.clone(),
        }
    }
}

/// The policy as JSON.
pub(super) fn render(policy: &Policy) -> Value {
    let view = &policy.view;
    let mut object = json!({
        "status": policy.status.name(),
        "source": source_name(policy.source),
        "permissions": view.permissions.iter().map(|permission| line(policy, permission)).collect::<Vec<_>>(),
        "denied": view.denied.iter().map(|permission| sourced(permission, "document")).collect::<Vec<_>>(),
        "withheld": view.withheld.iter().map(withheld_line).collect::<Vec<_>>(),
        "callable_by": callable_by(policy),
        "sql_functions": policy.sql_functions,
        "limits": limits(policy),
    });
    let optional = [
        ("blocked_reason", policy.blocked_reason.as_deref().map(Value::from)),
        ("isolation", (policy.isolation != Isolation::default()).then(|| json!(policy.isolation))),
        ("swap", policy.swap.map(|rules| json!(rules))),
        ("note", view.note.as_deref().map(Value::from)),
        ("observe", policy.observe().map(|times| json!(times))),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            object[name] = value;
        }
    }
    object
}

fn source_name(source: Source) -> &'static str {
    match source {
        Source::DefaultGrant => "default_grant",
        Source::Document => "document",
    }
}

/// One permission in force: the default grant takes its tables from the plugin's request.
fn line(policy: &Policy, permission: &Permission) -> Value {
    match (policy.source, permission.scope.is_some()) {
        (Source::Document, _) => granted(permission, "document"),
        (Source::DefaultGrant, true) => granted(permission, "request"),
        (Source::DefaultGrant, false) => granted(permission, "default_grant"),
    }
}

fn sourced(permission: &Permission, source: &str) -> Value {
    let mut value = json!(permission);
    value["source"] = source.into();
    value
}

/// An entry without scope or access is shown, and that it grants nothing.
fn granted(permission: &Permission, source: &str) -> Value {
    let grants = Grants::given(slice::from_ref(permission), &NameRules::default());
    let is_effective = [Access::Read, Access::Write].iter().any(|access| grants.has(&permission.kind, *access));
    let mut value = sourced(permission, source);
    value["effective"] = is_effective.into();
    value
}

fn withheld_line(withheld: &Withheld) -> Value {
    json!({"type": "db", "access": "read", "table": withheld.table, "reason": withheld.reason, "source": "request"})
}

fn callable_by(policy: &Policy) -> Value {
    match &policy.view.callable_by {
        Some(callers) => json!({"value": callers, "source": "document"}),
        None if policy.status == Status::Blocked => json!({"value": [], "source": "document"}),
        None => json!({"value": ["*"], "source": "default"}),
    }
}

/// Every limit with its source.
fn limits(policy: &Policy) -> Value {
    let Ok(Value::Object(values)) = serde_json::to_value(&policy.limits) else {
        return json!({});
    };
    let source = |name: &str| {
        if policy.view.limits_set.contains(&name) { "document" } else { "default" }
    };
    let lines = values.into_iter().map(|(name, value)| {
        let source = source(&name);
        (name, json!({"value": value, "source": source}))
    });
    Value::Object(lines.collect::<Map<_, _>>())
}

/// Names, as in [`Limits`], of the numbers that a document sets.
fn limits_set(document: &PolicyDocument) -> Vec<&'static str> {
    let is_set = [
        ("memory_bytes", document.memory_mb.is_some()),
        ("native_memory_bytes", document.memory_mb.is_some()),
        ("call_timeout_ms", document.call_timeout.is_some()),
        ("init_timeout_ms", document.init_timeout.is_some()),
        ("shutdown_timeout_ms", document.shutdown_timeout.is_some()),
        ("instances", document.instances.is_some()),
        ("concurrent_calls", document.max_concurrent_calls.is_some()),
        ("calls_per_second", document.max_calls_per_second.is_some()),
        ("db_per_minute", document.max_db_queries_per_min.is_some()),
        ("http_per_minute", document.max_http_req_per_min.is_some()),
        ("emails_per_minute", document.max_emails_per_min.is_some()),
        ("log_lines_per_second", document.max_log_lines_per_second.is_some()),
        ("calls_burst", document.bursts.calls.is_some()),
        ("db_burst", document.bursts.db.is_some()),
        ("http_burst", document.bursts.http.is_some()),
        ("emails_burst", document.bursts.emails.is_some()),
        ("cache_bytes", document.max_cache_bytes.is_some()),
        ("cache_entries", document.max_cache_entries.is_some()),
        ("max_result_bytes", document.max_result_bytes.is_some()),
        ("max_argument_bytes", document.max_argument_bytes.is_some()),
        ("host_calls_per_call", document.max_host_calls_per_call.is_some()),
    ];
    debug_assert_eq!(Some(is_set.len()), limit_count(), "a limit has no line here");
    is_set.into_iter().filter_map(|(name, is_set)| is_set.then_some(name)).collect()
}

fn limit_count() -> Option<usize> {
    serde_json::to_value(Limits::default()).ok()?.as_object().map(Map::len)
}
