//! From a request, a document and the host's rules to what is in force.

use super::Access;
use super::defaults::{self, DefaultRules};
use super::document::{Grant, Permission, PermissionType, PolicyDocument};
use super::limits::Limits;
use super::request::{Instances, ResourceRequest};
use super::scope::names::{self, NameSet};
use super::scope::tables::is_system;
use super::view::Withheld;

/// Permissions of the default grant, and the declared tables that are not in it, with the reason.
pub(super) fn default_permissions(request: &ResourceRequest, rules: &DefaultRules) -> (Vec<Permission>, Vec<Withheld>) {
    let is_declared_read =
        |permission: &&Permission| permission.kind == PermissionType::Db && permission.grants(Access::Read);
    let declared = request.permissions.iter().filter(is_declared_read).flat_map(Permission::targets);
    let (mut tables, mut withheld) = (Vec::new(), Vec::new());
    for table in declared {
        match reason_to_withhold(table, rules) {
            None => tables.push(table.to_owned()),
            Some(reason) => withheld.push(Withheld { table: table.to_owned(), reason }),
        }
    }
    let mut permissions = vec![Permission::new(PermissionType::Cache, Some(Grant::ReadWrite), None)];
    if !tables.is_empty() {
        permissions.insert(0, Permission::new(PermissionType::Db, Some(Grant::Read), Some(tables)));
    }
    (permissions, withheld)
}

/// Why a declared table needs an administrator's word.
fn reason_to_withhold(entry: &str, rules: &DefaultRules) -> Option<&'static str> {
    let (schema, table) = match entry.split_once('.') {
        Some((schema, table)) => (Some(schema), table),
        None => (None, entry),
    };
    let is_default_schema = schema.is_none() || schema == rules.tables.default_schema.as_deref();
    match () {
        () if entry.contains('*') => Some("a pattern needs an administrator's approval"),
        () if is_system(schema, table) => Some("a database's own catalogue needs an administrator's approval"),
        () if rules.sensitive_tables().contains(table) => Some("a sensitive table needs an administrator's approval"),
        () if !is_default_schema => Some("a table of another schema needs an administrator's approval"),
        () => None,
    }
}

/// What was asked for, at most what is granted, at least one.
pub(super) fn granted_instances(request: &ResourceRequest, granted: Option<u32>) -> u32 {
    let asked = match request.instances {
        None => 1,
        Some(Instances::Count(count)) => count,
        Some(Instances::Auto) => u32::MAX,
    };
    asked.min(granted.unwrap_or(defaults::INSTANCES)).max(1)
}

/// The document's numbers, and the host's where it has none.
pub(super) fn document_limits(document: &PolicyDocument, request: &ResourceRequest, default: &Limits) -> Limits {
    let memory = document.memory_mb.map(|megabytes| megabytes << 20);
    Limits {
        memory_bytes: memory.unwrap_or(default.memory_bytes),
        native_memory_bytes: memory.unwrap_or(default.native_memory_bytes),
        call_timeout_ms: document.call_timeout.map_or(default.call_timeout_ms, |time| time.ms),
        init_timeout_ms: document.init_timeout.map_or(default.init_timeout_ms, |time| time.ms),
        shutdown_timeout_ms: document.shutdown_timeout.map_or(default.shutdown_timeout_ms, |time| time.ms),
        instances: granted_instances(request, document.instances),
        concurrent_calls: document.max_concurrent_calls.unwrap_or(default.concurrent_calls),
        calls_per_second: document.max_calls_per_second.unwrap_or(default.calls_per_second),
        db_per_minute: document.max_db_queries_per_min.unwrap_or(default.db_per_minute),
        http_per_minute: document.max_http_req_per_min.unwrap_or(default.http_per_minute),
        emails_per_minute: document.max_emails_per_min.unwrap_or(default.emails_per_minute),
        log_lines_per_second: document.max_log_lines_per_second.unwrap_or(default.log_lines_per_second),
        calls_burst: document.bursts.calls.or(default.calls_burst),
        db_burst: document.bursts.db.or(default.db_burst),
        http_burst: document.bursts.http.or(default.http_burst),
        emails_burst: document.bursts.emails.or(default.emails_burst),
        cache_bytes: document.max_cache_bytes.unwrap_or(default.cache_bytes),
        cache_entries: document.max_cache_entries.unwrap_or(default.cache_entries),
        max_result_bytes: document.max_result_bytes.unwrap_or(default.max_result_bytes),
        max_argument_bytes: document.max_argument_bytes.unwrap_or(default.max_argument_bytes),
        host_calls_per_call: document.max_host_calls_per_call.unwrap_or(default.host_calls_per_call),
    }
}

/// A `callable_by` list; the reader refused what is not a name.
pub(super) fn callers(list: &[String]) -> NameSet {
    let mut set = NameSet::default();
    for caller in list {
        names::add_plugin(&mut set, caller).unwrap_or_default();
    }
    set
}
