//! The decisions: may this request pass under this policy? Pure, but for the cache of statement facts.

use std::sync::Arc;

use serde_json::Value;

use super::live::LivePolicy;
use super::outbound;
use super::services::{CustomFunction, Services};
use super::sql::{self, Call, Facts, SqlProfile, Table, TableGrants};
use crate::error::{Error, ErrorCode, Result};
use crate::host::request::{CacheQuota, Statement, TableFacts};
use crate::host::{Function, Request};
use crate::plugin::{CallContext, MAX_CALL_DEPTH};
use crate::policy::{Access, PermissionType, Policy};

/// Longest cache key, in bytes.
const MAX_CACHE_KEY: usize = 512;

/// Longest channel and type of an event, in bytes.
const MAX_EVENT_NAME: usize = 200;

/// Longest a cache entry lives, in seconds: ten years. More is a mistake in units.
const MAX_TTL_S: i64 = 10 * 365 * 86_400;

/// The permission that a function needs; `None` for what every plugin may do (unless it is blocked).
pub(super) fn requirement(function: Function) -> Option<(PermissionType, Access)> {
    match function {
        Function::DbQuery => Some((PermissionType::Db, Access::Read)),
        Function::DbExec => Some((PermissionType::Db, Access::Write)),
        Function::CacheGet => Some((PermissionType::Cache, Access::Read)),
        Function::CacheSet | Function::CacheDelete => Some((PermissionType::Cache, Access::Write)),
        // Entries of these three types need no particular access, as in GoatFlow: their scope is what counts.
        Function::HttpRequest => Some((PermissionType::Http, Access::Write)),
        Function::SendEmail => Some((PermissionType::Email, Access::Write)),
        Function::PluginCall => Some((PermissionType::PluginCall, Access::Write)),
        Function::ConfigGet => Some((PermissionType::Config, Access::Read)),
        Function::Translate | Function::PublishEvent | Function::Log => None,
    }
}

/// Plugin calls nest only so deep, across all runtimes.
pub(super) fn check_depth(function: Function, context: &CallContext) -> Result<()> {
    if function != Function::PluginCall || context.depth() < MAX_CALL_DEPTH {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::PolicyCallDepth,
        format!("plugin call depth exceeded (max {MAX_CALL_DEPTH}): {}", context.chain),
    ))
}

/// Lets a request pass under `policy`, changed into the form that was checked. `live` is where the rules are read that
/// count later, when the request takes time.
pub(super) fn admit<'a>(
    policy: &Policy,
    live: &Arc<LivePolicy>,
    services: &Services,
    mut request: Request<'a>,
) -> Result<Request<'a>> {
    match &mut request {
        Request::DbQuery(statement) => {
            return Ok(Request::DbQuery(admit_statement(policy, services, statement, Call::Query)?));
        }
        Request::DbExec(statement) => {
            return Ok(Request::DbExec(admit_statement(policy, services, statement, Call::Exec)?));
        }
        Request::CacheGet { key } | Request::CacheDelete { key } => check_cache_key(key)?,
        Request::CacheSet { key, ttl_s, quota, .. } => {
            check_cache_key(key)?;
            check_ttl(*ttl_s)?;
            let limits = policy.limits();
            *quota = CacheQuota { bytes: limits.cache_bytes, entries: limits.cache_entries };
        }
        Request::Http(request) => outbound::admit_http(policy, live, request)?,
        Request::Email(mail) => outbound::admit_mail(policy, mail)?,
        Request::ConfigGet { key } => policy.check_config_key(key)?,
        Request::PluginCall { plugin, .. } => policy.check_callee(plugin)?,
        Request::PublishEvent { channel, event_type, .. } => check_event(channel, event_type)?,
        Request::Translate { .. } | Request::Log { .. } | Request::Custom { .. } => {}
    }
    Ok(request)
}

/// Lets a call of a function that the host declared pass.
pub(super) fn admit_custom(policy: &Policy, function: &CustomFunction, arguments: &[u8]) -> Result<Request<'static>> {
    let arguments: Value = if arguments.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(arguments)
            .map_err(|error| Error::new(ErrorCode::PolicyArguments, "the arguments are not JSON").with_source(error))?
    };
    let target = match &function.target {
        Some(pointer) => Some(arguments.pointer(pointer).and_then(Value::as_str).ok_or_else(|| {
            Error::new(
                ErrorCode::PolicyArguments,
                format!("the arguments of `{}` have no text at `{pointer}`", function.name),
            )
        })?),
        None => None,
    };
    policy.check_custom(&function.permission, function.access, target)?;
    Ok(Request::Custom { arguments })
}

struct Grants<'a>(&'a Policy);

impl TableGrants for Grants<'_> {
    fn may_read(&self, table: &Table) -> bool {
        self.0.may_read_table(table.schema.as_deref(), &table.name)
    }

    fn may_write(&self, table: &Table) -> bool {
        self.0.may_write_table(table.schema.as_deref(), &table.name)
    }
}

impl TableFacts for Facts {
    fn reads(&self, table: &str) -> bool {
        self.reads.iter().any(|known| known.name.eq_ignore_ascii_case(table))
    }

    fn writes(&self, table: &str) -> bool {
        self.writes.iter().chain(&self.locks).any(|known| known.name.eq_ignore_ascii_case(table))
    }
}

/// What a statement touches, read with the functions that the policy adds.
pub(super) fn facts(policy: &Policy, services: &Services, sql: &str) -> Result<Arc<Facts>> {
    if policy.extra_sql_functions().is_empty() {
        return services.facts.get_or_analyse(&services.profile, sql);
    }
    let extra_functions = policy.extra_sql_functions().to_vec();
    let profile = SqlProfile { extra_functions, ..services.profile.clone() };
    services.facts.get_or_analyse(&profile, sql)
}

fn admit_statement(policy: &Policy, services: &Services, statement: &Statement, call: Call) -> Result<Statement> {
    if !statement.database.is_empty() {
        return Err(Error::new(
            ErrorCode::HostNotFound,
            format!("database \"{}\" not found", crate::plugin::name::shorten(&statement.database, 80)),
        ));
    }
    let facts = facts(policy, services, &statement.sql)?;
    sql::check(&facts, &Grants(policy), call)?;
    Ok(Statement {
        database: String::new(),
        sql: Arc::clone(&facts.canonical),
        values: facts.arguments.apply(&statement.values)?,
        facts: Some(facts),
    })
}

fn check_cache_key(key: &str) -> Result<()> {
    if key.len() <= MAX_CACHE_KEY {
        return Ok(());
    }
    Err(Error::new(ErrorCode::PolicyArguments, format!("the cache key has more than {MAX_CACHE_KEY} bytes")))
}

fn check_ttl(ttl_s: i64) -> Result<()> {
    if (0..=MAX_TTL_S).contains(&ttl_s) {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::PolicyArguments,
        format!("`ttl` is {ttl_s}, allowed are 0 (no expiry) to {MAX_TTL_S} seconds"),
    ))
}

fn check_event(channel: &str, event_type: &str) -> Result<()> {
    let harmless = |text: &str| text.len() <= MAX_EVENT_NAME && !text.chars().any(crate::plugin::name::is_unprintable);
    if harmless(channel) && harmless(event_type) {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::PolicyArguments,
        format!("channel and event type have at most {MAX_EVENT_NAME} bytes and no control characters"),
    ))
}
