//! Would a policy allow this host call? Asked of the very gates that plugins pass, without a plugin or a database.
//!
//! What depends on more than the call is left out: rate limits, quotas, addresses that names resolve to, observation.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::services::Services;
use super::sql::SqlProfile;
use super::{LivePolicy, explain, gates, observe};
use crate::clock::{Nanos, SystemClock};
use crate::error::{Error, ErrorCode, Result};
use crate::host::log::LogRing;
use crate::host::{Event, EventSink, Function};
use crate::plugin::{CallContext, Cancellation, Origin};
use crate::policy::{DefaultRules, Policy, ResourceRequest, document, request};

/// A call to judge.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question<'q> {
    /// Name of the host function.
    function: String,
    /// Its arguments, as the plugin would send them.
    #[serde(borrow, default)]
    arguments: Option<&'q RawValue>,
    /// Dialect of the database, for a document that is judged without a manager.
    #[serde(default)]
    dialect: Option<String>,
    /// Schema that names without a schema live in.
    #[serde(default)]
    default_schema: Option<String>,
    /// What the plugin asks for, for a document that leaves it with the default grant.
    #[serde(default)]
    resources: Value,
}

impl<'q> Question<'q> {
    fn parse(text: &'q [u8]) -> Result<Self> {
        serde_json::from_slice(text).map_err(|problem| {
            let what = "the request is not `{\"function\": name, \"arguments\": {…}}`";
            Error::new(ErrorCode::ArgumentJson, what).with_source(problem)
        })
    }
}

/// Judges a call under the policy in force: `{"allow", "code", "reason", "rule", "target", "suggestion"}`. A call that is refused is
/// an answer; a request that is none is an error.
pub fn check(live: &Arc<LivePolicy>, services: &Services, request: &[u8]) -> Result<Value> {
    let question = Question::parse(request)?;
    if question.dialect.is_some() || question.default_schema.is_some() || !question.resources.is_null() {
        let what = "`dialect`, `default_schema` and `resources` are those of the manager (leave them out)";
        return Err(Error::new(ErrorCode::ArgumentInvalid, what));
    }
    Ok(verdict(&judge(&live.snapshot().policy, live, services, &question)))
}

/// Judges a call under a policy document; an empty one is the default grant. Without `dialect` it is SQLite's.
pub fn check_document(text: &[u8], request: &[u8]) -> Result<Value> {
    let question = Question::parse(request)?;
    let profile = profile(&question)?;
    let mut rules = DefaultRules::default();
    rules.tables.fold_case = profile.dialect == super::sql::Dialect::Sqlite;
    rules.tables.default_schema.clone_from(&profile.default_schema);
    let (asked, _) = request::parse(&question.resources);
    let policy = policy_of(text, &asked, &rules)?;
    let services = Services::new(HashMap::new(), profile, LogRing::new(1), Arc::new(Nobody), Arc::new(SystemClock));
    // Nothing is sent, so no policy is asked about redirects.
    let live = Arc::new(LivePolicy::new(0, Policy::blocked("nothing is called")));
    Ok(verdict(&judge(&policy, &live, &services, &question)))
}

fn policy_of(text: &[u8], asked: &ResourceRequest, rules: &DefaultRules) -> Result<Policy> {
    if text.is_empty() {
        return Ok(Policy::default_grant(asked, rules));
    }
    let (document, _) = document::parse(text).map_err(|problems| document::problems_to_error(&problems))?;
    Ok(Policy::from_document(&document, asked, rules))
}

fn profile(question: &Question<'_>) -> Result<SqlProfile> {
    use super::sql::Dialect;
    let dialect = question.dialect.as_deref().map_or(Ok(Dialect::Sqlite), str::parse)?;
    let usual = match dialect {
        Dialect::Sqlite => Some("main"),
        Dialect::Postgres => Some("public"),
        Dialect::MySql => None,
    };
    let default_schema = question.default_schema.clone().or_else(|| usual.map(str::to_owned));
    Ok(SqlProfile { dialect, default_schema, extra_functions: Vec::new() })
}

fn judge(policy: &Policy, live: &Arc<LivePolicy>, services: &Services, question: &Question<'_>) -> Result<()> {
    let arguments = question.arguments.map_or(&b""[..], |arguments| arguments.get().as_bytes());
    let name = &question.function;
    policy.check_not_blocked().map_err(|error| explain::describe(error, name))?;
    let Some(function) = Function::from_name(name) else {
        return services
            .custom_or_unknown(name)
            .and_then(|function| gates::admit_custom(policy, &function, arguments).map(drop))
            .map_err(|error| explain::describe(error, name));
    };
    let context = CallContext::from_host(Nanos::MAX, Cancellation::default(), Origin::default());
    observe::judge(policy, live, services, &context, function, arguments)
        .map(drop)
        .map_err(|error| explain::complete(error, policy, live, services, function, arguments))
}

fn verdict(judged: &Result<()>) -> Value {
    let error = match judged {
        Ok(()) => return json!({"allow": true, "code": "ok", "reason": "the policy allows it"}),
        Err(error) => error,
    };
    let mut verdict = json!({"allow": false, "code": error.code().slug(), "reason": error.to_string()});
    for name in ["rule", "target", "suggestion", "suggestions", "no_suggestion"] {
        if let Some(value) = error.detail().get(name) {
            verdict[name] = value.clone();
        }
    }
    verdict
}

/// Takes no events.
struct Nobody;

impl EventSink for Nobody {
    fn wants(&self, _: &'static str) -> bool {
        false
    }

    fn emit(&self, _: Event) {}
}
