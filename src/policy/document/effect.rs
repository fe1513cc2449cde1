//! What an entry amounts to: whether its scope can be read, what it covers, and whether it grants anything.

use super::permission::{Grant, Permission, PermissionType, Sense};
use super::report::Report;
use crate::policy::scope::config::ConfigScope;
use crate::policy::scope::domain::{self, Labels};
use crate::policy::scope::email::MailScope;
use crate::policy::scope::http::HttpEntry;
use crate::policy::scope::names::{self, NameSet};
use crate::policy::scope::tables::{self, NameRules, TableSet};
use crate::policy::scope::{ScopeResult, address};

/// Warns about entries that grant nothing.
pub(super) fn check_effect(permission: &Permission, path: &str, sense: Sense, report: &mut Report) {
    if sense == Sense::Denied {
        return;
    }
    let kind = &permission.kind;
    if !kind.ignores_access() && permission.access.is_none() {
        report.warning(
            path,
            "has no access and grants nothing; write `\"access\": \"read\"`, `\"write\"` or `\"readwrite\"`",
        );
    }
    if permission.access == Some(Grant::HardDelete) {
        report.warning(path, "`hard_delete` is kept, but no function asks for it");
    }
    let has_scope = permission.targets().next().is_some();
    if *kind == PermissionType::Cache && has_scope {
        report.warning(&format!("{path}/scope"), "has no effect: a plugin has its own cache only, and all of it");
    } else if *kind != PermissionType::Cache && !has_scope {
        report.warning(path, format!("has no scope and grants nothing; write {}", example_scope(kind)));
    }
}

/// What a scope of that type looks like.
fn example_scope(kind: &PermissionType) -> &'static str {
    match kind {
        PermissionType::Db => {
            "the tables, for example `\"scope\": [\"ticket\", \"gk_stats_*\"]`, or `[\"*\"]` for every table"
        }
        PermissionType::Http => "the hosts, for example `\"scope\": [\"api.example.com\", \"*.example.org:8443\"]`",
        PermissionType::Email => "the recipients, for example `\"scope\": [\"@example.com\", \"ann@example.org\"]`",
        PermissionType::Config => "the keys, for example `\"scope\": [\"report.*\"]`",
        PermissionType::PluginCall => "the plugins, for example `\"scope\": [\"stats\"]`",
        PermissionType::Cache | PermissionType::Custom(_) => "the targets, or `\"scope\": [\"*\"]` for all of them",
    }
}

/// Every element of the scope must be readable. What takes away must always be: leaving it out would give.
pub(super) fn check_scope(permission: &Permission, path: &str, sense: Sense, report: &mut Report) {
    for (index, element) in permission.targets().enumerate() {
        let place = format!("{path}/scope/{index}");
        match check_element(&permission.kind, element) {
            Ok(Some(warning)) if sense == Sense::Granted => report.warning(&place, warning),
            Ok(_) => {}
            Err(message) if sense == Sense::Granted => report.unreadable(&place, element, &message),
            Err(message) => report.problem(&place, message),
        }
    }
}

/// Reads one element as its surface will; the warning is about what it covers.
fn check_element(kind: &PermissionType, element: &str) -> ScopeResult<Option<String>> {
    match kind {
        PermissionType::Db => return check_table(element),
        PermissionType::Cache => {}
        PermissionType::Http => HttpEntry::default().add_host(element)?,
        PermissionType::Email => return check_mail(element),
        PermissionType::Config => ConfigScope::default().add(element)?,
        PermissionType::PluginCall => names::add_plugin(&mut NameSet::default(), element)?,
        PermissionType::Custom(_) => names::add_target(&mut NameSet::default(), element)?,
    }
    Ok(None)
}

fn check_mail(element: &str) -> ScopeResult<Option<String>> {
    MailScope::default().add(element)?;
    let parent = element.strip_prefix("@*.").and_then(|parent| domain::canonical(parent, Labels::Strict).ok());
    let is_public = parent.is_some_and(|parent| domain::is_public_suffix(&parent));
    Ok(is_public.then(|| "covers a public suffix: anybody can have a domain below it".to_owned()))
}

fn check_table(element: &str) -> ScopeResult<Option<String>> {
    let mut set = TableSet::default();
    set.add(element, &NameRules::default())?;
    let (schema, table) = element.split_once('.').map_or((None, element), |(schema, table)| (Some(schema), table));
    let is_pattern = table.contains('*');
    if is_pattern && schema.is_some_and(|schema| tables::is_system(Some(schema), "")) {
        return Ok(Some("patterns never cover a database's own catalogue; name its tables".to_owned()));
    }
    let covers_people = is_pattern && (set.contains(schema, "users") || set.contains(schema, "customer_user"));
    Ok(covers_people.then(|| "covers tables with people's passwords, such as `users`".to_owned()))
}

/// Fields that only outbound HTTP has.
pub(super) fn check_http_fields(permission: &Permission, path: &str, report: &mut Report) {
    let fields: [(&str, &Option<Vec<String>>, Check); 4] = [
        ("schemes", &permission.schemes, |value| HttpEntry::default().add_scheme(value)),
        ("methods", &permission.methods, |value| HttpEntry::default().add_method(value)),
        ("paths", &permission.paths, |value| HttpEntry::default().add_path(value)),
        ("allow_private", &permission.allow_private, |value| address::parse_network(value).map(drop)),
    ];
    for (name, values, check) in fields {
        let Some(values) = values else { continue };
        let place = format!("{path}/{name}");
        if permission.kind != PermissionType::Http {
            report.problem(&place, "is a field of `http` permissions only");
        }
        if values.is_empty() && name != "allow_private" {
            report.warning(&place, "is empty and grants nothing; leave it out to mean all");
        }
        for (index, value) in values.iter().enumerate() {
            if let Err(message) = check(value) {
                report.problem(&format!("{place}/{index}"), message);
            }
        }
    }
}

/// Reads one value of such a field.
type Check = fn(&str) -> ScopeResult<()>;
