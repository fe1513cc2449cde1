//! Why a call was refused, and the smallest change that would allow it: asked of the same gates that refused it.

use serde_json::{Value, json};

use std::sync::Arc;

use super::services::Services;
use super::sql::Table;
use super::{LivePolicy, gates};
use crate::error::{Error, ErrorCode};
use crate::host::request::Statement;
use crate::host::{Function, Request};
use crate::policy::{Access, Policy, lacks_grant, table_suggestion};

/// Facts about the end of a plugin's process: what it wrote last, which may be anything that it knew.
const OF_ANOTHER: [&str; 2] = ["log_tail", "last_failure"];

/// Most tables that one suggestion names.
const MAX_TABLES: usize = 64;

/// Gives a refusal its rule, its target and the smallest change that would allow it, or says why there is none.
pub(super) fn complete(
    error: Error,
    policy: &Policy,
    live: &Arc<LivePolicy>,
    services: &Services,
    function: Function,
    arguments: &[u8],
) -> Error {
    if !error.code().is_denial() {
        return error;
    }
    let needs = needs(&error, policy, live, services, function, arguments);
    let error = match needs.as_slice() {
        [] => error,
        [one] => error.with_better_detail("suggestion", one.clone()),
        [first, ..] => {
            let first = first.clone();
            error.with_better_detail("suggestion", first).with_detail("suggestions", needs)
        }
    };
    describe(error, function.name())
}

/// As [`complete`], for a refusal that no request can be asked about.
pub(super) fn describe(error: Error, function: &str) -> Error {
    let code = error.code();
    let target = ["table", "function", "limit"].iter().find_map(|key| error.detail().get(*key)).cloned();
    let error = error.with_detail("rule", rule(code)).with_detail("target", target.unwrap_or_else(|| function.into()));
    if error.detail().contains_key("suggestion") {
        return error;
    }
    let change = change(&error);
    match change {
        Ok(suggestion) => error.with_detail("suggestion", suggestion),
        Err(reason) => error.with_detail("no_suggestion", reason),
    }
}

/// A failure as the plugin gets it: what names resolve to inside the host's network is the host's to know, and so is what
/// another plugin wrote before it ended.
pub(super) fn for_guest(error: Error, plugin: &Arc<str>) -> Error {
    if OF_ANOTHER.into_iter().any(|key| error.detail().contains_key(key)) {
        return of_another(&error);
    }
    if error.code() != ErrorCode::PolicyHttpAddressDenied {
        return error;
    }
    let detail = |key: &str| error.detail().get(key).cloned().unwrap_or_default();
    Error::new(error.code(), "the host of the URL has an address that is not public")
        .with_detail("rule", detail("rule"))
        .with_detail("target", detail("target"))
        .with_detail("no_suggestion", "which address it is, and what would open it, is for the administrator to know")
        .with_plugin(plugin)
}

/// The end of a plugin that was called.
fn of_another(error: &Error) -> Error {
    let mut told = Error::new(error.code(), "the process of the plugin that was called has ended (its log says why)");
    if let Some(pause) = error.detail().get("retry_after_ms") {
        told = told.with_detail("retry_after_ms", pause.clone());
    }
    match error.plugin() {
        Some(callee) => told.with_plugin(&callee.into()),
        None => told,
    }
}

/// The entries that the policy lacks for this request; none when that is not what is wrong.
fn needs(
    error: &Error,
    policy: &Policy,
    live: &Arc<LivePolicy>,
    services: &Services,
    function: Function,
    arguments: &[u8],
) -> Vec<Value> {
    let is_from_callee = error.detail().get("rule").is_some_and(|rule| rule == "callable_by");
    if !lacks_grant(error.code()) || is_from_callee {
        return Vec::new();
    }
    match Request::parse(function, arguments) {
        Ok(Request::DbQuery(statement) | Request::DbExec(statement)) => missing_tables(policy, services, &statement),
        // The gate behind the permission names the target, which the missing permission does not.
        Ok(request) => match gates::admit(policy, live, services, request) {
            Err(inner) if lacks_grant(inner.code()) => inner.detail().get("suggestion").cloned().into_iter().collect(),
            _ => Vec::new(),
        },
        Err(_) => Vec::new(),
    }
}

/// One entry for the tables that must be read and are not granted, one for those to be written.
fn missing_tables(policy: &Policy, services: &Services, statement: &Statement) -> Vec<Value> {
    let Ok(facts) = gates::facts(policy, services, &statement.sql) else { return Vec::new() };
    let reads = facts.reads.iter().filter(|table| !policy.may_read_table(table.schema.as_deref(), &table.name));
    let writes = facts.writes.iter().chain(&facts.locks);
    let writes = writes.filter(|table| !policy.may_write_table(table.schema.as_deref(), &table.name));
    let (reads, writes): (Vec<&Table>, Vec<&Table>) = (reads.collect(), writes.collect());
    [entry(Access::Read, &reads), entry(Access::Write, &writes)].into_iter().flatten().collect()
}

fn entry(access: Access, tables: &[&Table]) -> Option<Value> {
    let mut names: Vec<Value> = Vec::new();
    for table in tables.iter().take(MAX_TABLES) {
        // A name that would mean something else in a scope is for a person to write.
        let one = table_suggestion(access, table.schema.as_deref(), &table.name)?;
        let name = one.pointer("/scope/0")?.clone();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    (!names.is_empty()).then(|| json!({"type": "db", "access": access.name(), "scope": names}))
}

/// Name of the rule behind a code that names none itself.
fn rule(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::PolicyPermissionMissing => "permission",
        ErrorCode::PolicyBlocked => "status",
        ErrorCode::PolicyFunctionUnknown => "dispatch_table",
        ErrorCode::PolicyArguments => "arguments",
        ErrorCode::PolicySqlTableDenied => "sql.tables",
        ErrorCode::PolicySqlStatementDenied => "sql.statement",
        ErrorCode::PolicySqlNotUnderstood => "sql.grammar",
        ErrorCode::PolicySqlFunctionDenied => "sql.functions",
        ErrorCode::PolicySqlTooLarge => "sql.size",
        ErrorCode::PolicySqlArguments => "sql.arguments",
        ErrorCode::PolicyEmailInvalid => "email.grammar",
        ErrorCode::PolicyHttpInvalid => "http.grammar",
        ErrorCode::PolicyEmailTooLarge => "email.size",
        ErrorCode::PolicyHttpTooLarge => "http.size",
        ErrorCode::PolicyOutboundBusy => "outbound.places",
        ErrorCode::PolicyCallDepth => "call_depth",
        ErrorCode::PolicyRateLimited => "rate",
        ErrorCode::PolicyQuotaExceeded => "quota",
        _ => "policy",
    }
}

/// The change of a policy that would allow the call; otherwise why there is none.
fn change(error: &Error) -> Result<Value, &'static str> {
    let detail = |key: &str| error.detail().get(key);
    match error.code() {
        ErrorCode::PolicySqlFunctionDenied => {
            let name = detail("function").and_then(Value::as_str).unwrap_or_default();
            let is_word = |word: &str| {
                !word.is_empty()
                    && !word.starts_with(|first: char| first.is_ascii_digit())
                    && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            };
            if name.split('.').count() <= 2 && name.split('.').all(is_word) {
                return Ok(json!({ "sql_functions": [name] }));
            }
            Err("operators and types can't be added by a policy")
        }
        ErrorCode::PolicyRateLimited | ErrorCode::PolicyQuotaExceeded => match (detail("limit"), detail("value")) {
            (Some(Value::String(name)), Some(value)) => {
                let next = value.as_u64().unwrap_or(0).saturating_add(1);
                Ok(json!({ name.as_str(): next }))
            }
            _ => Err("the plugin can wait, keep less, or be given a higher limit"),
        },
        ErrorCode::PolicyBlocked => Err("an administrator decides whether the plugin may run"),
        ErrorCode::PolicyFunctionUnknown => Err("the host does not offer the function"),
        ErrorCode::PolicyOutboundBusy => Err("the plugin has to wait: the places are the host's to give"),
        ErrorCode::PolicyEmailTooLarge | ErrorCode::PolicyHttpTooLarge => {
            Err("the size is bounded for every plugin: it must send or ask for less")
        }
        ErrorCode::PolicyCallDepth => Err("the depth of plugin calls is fixed"),
        ErrorCode::PolicyArguments
        | ErrorCode::PolicySqlArguments
        | ErrorCode::PolicyEmailInvalid
        | ErrorCode::PolicyHttpInvalid => Err("no policy allows it: the plugin must send something else"),
        ErrorCode::PolicySqlStatementDenied | ErrorCode::PolicySqlNotUnderstood | ErrorCode::PolicySqlTooLarge => {
            Err("no policy allows it: the plugin must write another statement")
        }
        _ => {
            Err("what is refused can't be named in a scope, or the policy takes it away; an administrator must decide")
        }
    }
}
