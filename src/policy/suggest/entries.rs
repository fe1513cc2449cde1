//! One thing that a policy could grant, and what speaks against granting it unasked.

use serde_json::{Value, json};

use super::SuggestOptions;
use crate::policy::document::{self, Permission, PermissionType};
use crate::policy::scope::config::is_secret;
use crate::policy::scope::http::{HostEntry, METHODS};
use crate::policy::scope::tables::is_system;
use crate::policy::{Access, DefaultRules, Policy};

/// Most requests that one `http` entry is taken apart into; a larger one counts as not granted.
const MAX_REQUESTS: usize = 1_000;

/// One thing that a policy could grant.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Entry {
    /// A permission with one target at most.
    Permission(Permission),
    /// A function that SQL statements may call.
    SqlFunction(String),
    /// A change of another kind, which is told and never made.
    Other(Value),
}

impl Entry {
    /// A permission, target by target.
    pub(super) fn of_permission(permission: &Permission) -> Vec<Self> {
        if permission.kind == PermissionType::Cache {
            return vec![Self::Permission(Permission { scope: None, ..permission.clone() })];
        }
        let one =
            |target: &str| Self::Permission(Permission { scope: Some(vec![target.to_owned()]), ..permission.clone() });
        permission.targets().map(one).collect()
    }

    /// What a refusal suggested. Permissions are read as strictly as an administrator's; what can't be is told only.
    pub(super) fn of_suggestion(suggestion: &Value) -> Vec<Self> {
        if let Some(functions) = suggestion["sql_functions"].as_array() {
            let name = |name: &Value| name.as_str().map(|name| Self::SqlFunction(name.to_owned()));
            return functions.iter().filter_map(name).collect();
        }
        let text = json!({"version": 1, "status": "approved", "permissions": [suggestion]}).to_string();
        match document::parse(text.as_bytes()) {
            Ok((document, _)) if suggestion["scope"][0] != "..." => {
                document.permissions.iter().flat_map(Self::of_permission).collect()
            }
            _ => vec![Self::Other(suggestion.clone())],
        }
    }

    pub(super) fn permission(&self) -> Option<&Permission> {
        match self {
            Self::Permission(permission) => Some(permission),
            _ => None,
        }
    }

    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Permission(permission) => json!(permission),
            Self::SqlFunction(name) => json!({ "sql_functions": [name] }),
            Self::Other(value) => value.clone(),
        }
    }
}

/// Why an entry is told, but not suggested.
pub(super) fn reason_to_leave_out(
    entry: &Entry,
    is_only_declared: bool,
    rules: &DefaultRules,
    options: SuggestOptions,
) -> Option<String> {
    if let Entry::Other(value) = entry {
        return Some(if value.get("callable_by").is_some() {
            "the called plugin's policy must let this plugin call it".to_owned()
        } else if value.get("scope").is_some() {
            "the refusal did not tell the target".to_owned()
        } else {
            "a limit is for an administrator to weigh".to_owned()
        });
    }
    let has_pattern = |permission: &Permission| {
        let mut paths = permission.paths.iter().flatten();
        permission.targets().any(|target| target.contains('*')) || paths.any(|path| path.contains('*'))
    };
    if entry.permission().is_some_and(has_pattern) {
        return Some("a pattern is never suggested; write it yourself if it is meant".to_owned());
    }
    if is_only_declared && !options.declared {
        return Some("the plugin declares it, but did not need it so far".to_owned());
    }
    let sensitivity = sensitivity(entry, rules)?;
    (!options.sensitive).then(|| format!("sensitive: {sensitivity}; ask for sensitive entries to include it"))
}

/// What makes an entry sensitive.
pub(super) fn sensitivity(entry: &Entry, rules: &DefaultRules) -> Option<&'static str> {
    let permission = match entry {
        Entry::SqlFunction(_) => return Some("an SQL function outside the list of harmless ones"),
        Entry::Other(_) => return None,
        Entry::Permission(permission) => permission,
    };
    let target = permission.targets().next().unwrap_or_default();
    match &permission.kind {
        PermissionType::Db => {
            let (schema, table) = split(target);
            if is_system(schema, table) {
                Some("a database's own catalogue")
            } else if rules.sensitive_tables().contains(table) {
                Some("a table with people, secrets or settings")
            } else {
                None
            }
        }
        PermissionType::Config if is_secret(target) => Some("a configuration key that looks like a secret"),
        PermissionType::Http if permission.allow_private.is_some() => Some("an address that is not public"),
        PermissionType::Http if is_inside(target) => Some("an address, or a name that is not public"),
        _ => None,
    }
}

/// Whether the policy grants what the entry names.
pub(super) fn is_covered(policy: &Policy, entry: &Permission, rules: &DefaultRules) -> bool {
    let target = entry.targets().next();
    let wanted = [Access::Read, Access::Write].into_iter().filter(|access| entry.grants(*access));
    let accesses: Vec<Access> = wanted.collect();
    let is_each = |check: &dyn Fn(Access) -> bool| !accesses.is_empty() && accesses.iter().all(|access| check(*access));
    let Some(target) = target else {
        return is_each(&|access| policy.check_permission(&entry.kind, access).is_ok());
    };
    match &entry.kind {
        PermissionType::Db => {
            let (schema, table) = folded(target, rules);
            is_each(&|access| match access {
                Access::Read => policy.may_read_table(schema.as_deref(), &table),
                Access::Write => policy.may_write_table(schema.as_deref(), &table),
            })
        }
        PermissionType::Http => is_url_covered(policy, entry, target),
        PermissionType::Email => policy.check_recipient(target).is_ok(),
        PermissionType::Config => policy.check_config_key(target).is_ok(),
        PermissionType::PluginCall => policy.check_callee(target).is_ok(),
        kind => is_each(&|access| policy.check_custom(kind, access, Some(target)).is_ok()),
    }
}

/// Whether every request that the entry names is granted. A path pattern is held against the policy's as it is written:
/// only what covers all of it has something to put in the place of its stars.
fn is_url_covered(policy: &Policy, entry: &Permission, target: &str) -> bool {
    let schemes = listed(entry.schemes.as_ref(), &["http", "https"]);
    let methods = listed(entry.methods.as_ref(), &METHODS);
    let paths = listed(entry.paths.as_ref(), &["/*"]);
    if schemes.len() * methods.len() * paths.len() > MAX_REQUESTS {
        return false;
    }
    schemes.iter().all(|scheme| {
        paths.iter().all(|path| {
            let url = format!("{scheme}://{target}{path}");
            methods.iter().all(|method| is_request_covered(policy, entry, method, &url))
        })
    })
}

fn listed<'a>(list: Option<&'a Vec<String>>, all: &[&'a str]) -> Vec<&'a str> {
    list.map_or_else(|| all.to_vec(), |list| list.iter().map(String::as_str).collect())
}

fn is_request_covered(policy: &Policy, entry: &Permission, method: &str, url: &str) -> bool {
    let Ok(url) = policy.check_url(method, url) else { return false };
    // Public or not shows at the connection: an entry that opens a network counts as covered only when it is open.
    entry.allow_private.iter().flatten().all(|network| {
        let address = network.split('/').next().and_then(|address| address.parse().ok());
        address.is_some_and(|address| url.check_address(address).is_ok())
    })
}

/// Whether an element of an `http` scope is an address or a name of a local network.
fn is_inside(target: &str) -> bool {
    HostEntry::parse(target).map_or(true, |entry| entry.is_inside())
}

fn split(target: &str) -> (Option<&str>, &str) {
    target.split_once('.').map_or((None, target), |(schema, table)| (Some(schema), table))
}

/// A table as the SQL gate would name it.
fn folded(target: &str, rules: &DefaultRules) -> (Option<String>, String) {
    let fold = |name: &str| {
        if rules.tables.fold_case { name.to_ascii_lowercase() } else { name.to_owned() }
    };
    let (schema, table) = split(target);
    let schema = schema.map(fold).filter(|schema| rules.tables.default_schema.as_deref() != Some(schema));
    (schema, fold(table))
}
