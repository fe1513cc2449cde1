//! Permissions: `{"type", "access", "scope"}` with the further fields of outbound HTTP.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::fields::{Fields, list_at};
use super::report::Report;
use crate::policy::json::Node;
use crate::policy::scope::config::ConfigScope;
use crate::policy::scope::email::MailScope;
use crate::policy::scope::http::HttpEntry;
use crate::policy::scope::names::{self, NameSet};
use crate::policy::scope::tables::{self, NameRules, TableSet};
use crate::policy::scope::{ScopeResult, address};
use crate::policy::{Access, wording::quoted};

/// What a permission is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PermissionType {
    /// Database tables.
    Db,
    /// The plugin's own cache.
    Cache,
    /// Outbound HTTP.
    Http,
    /// E-mail.
    Email,
    /// Configuration keys.
    Config,
    /// Calls to other plugins.
    PluginCall,
    /// A function that the host registered; also `file`, `article`, `ticket` and `entity` of newer references.
    Custom(Arc<str>),
}

impl PermissionType {
    /// Type of that name; unknown names are kept for functions that hosts register.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        match name {
            "db" => Self::Db,
            "cache" => Self::Cache,
            "http" => Self::Http,
            "email" => Self::Email,
            "config" => Self::Config,
            "plugin_call" => Self::PluginCall,
            _ => Self::Custom(name.into()),
        }
    }

    /// Name in documents.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Db => "db",
            Self::Cache => "cache",
            Self::Http => "http",
            Self::Email => "email",
            Self::Config => "config",
            Self::PluginCall => "plugin_call",
            Self::Custom(name) => name,
        }
    }

    /// Whether an entry counts whatever its access says: sending is neither reading nor writing.
    #[must_use]
    pub fn ignores_access(&self) -> bool {
        matches!(self, Self::Http | Self::Email | Self::PluginCall)
    }
}

impl fmt::Display for PermissionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for PermissionType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl JsonSchema for PermissionType {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PermissionType".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "minLength": 1,
            "maxLength": 64,
            "pattern": "^[A-Za-z0-9_.:-]+$",
            "description": "db, cache, http, email, config, plugin_call, or the type of a function that the host registered.",
            "examples": ["db", "cache", "http", "email", "config", "plugin_call"]
        })
    }
}

/// What an entry grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Grant {
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Both.
    ReadWrite,
    /// Newer references' own access to entities; inert here.
    #[serde(rename = "hard_delete")]
    HardDelete,
}

impl Grant {
    /// Access of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "read" => Some(Self::Read),
            "write" => Some(Self::Write),
            "readwrite" => Some(Self::ReadWrite),
            "hard_delete" => Some(Self::HardDelete),
            _ => None,
        }
    }

    /// Whether it includes `access`.
    #[must_use]
    pub fn covers(self, access: Access) -> bool {
        matches!(
            (self, access),
            (Self::ReadWrite, _) | (Self::Read, Access::Read) | (Self::Write, Access::Write)
        )
    }
}

/// One entry of `permissions` or `denied`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Permission {
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: PermissionType,
    /// What it grants; `http`, `email` and `plugin_call` need none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access: Option<Grant>,
    /// On what. Without it, nothing is granted (but the own cache, which has no scope).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Vec<String>>,
    /// `http` only: schemes; absent means both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schemes: Option<Vec<String>>,
    /// `http` only: methods; absent means all that plugins may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub methods: Option<Vec<String>>,
    /// `http` only: paths, exact or with `*`; absent means all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
    /// `http` only: networks that may be reached although they are not public.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_private: Option<Vec<String>>,
}

const FIELDS: [&str; 7] = ["type", "access", "scope", "schemes", "methods", "paths", "allow_private"];
/// Longest name of a permission type.
const MAX_TYPE_BYTES: usize = 64;

impl Permission {
    /// Entry with a scope and nothing else.
    #[must_use]
    pub fn new(kind: PermissionType, access: Option<Grant>, scope: Option<Vec<String>>) -> Self {
        Self { kind, access, scope, schemes: None, methods: None, paths: None, allow_private: None }
    }

    /// Whether it includes `access`.
    #[must_use]
    pub fn grants(&self, access: Access) -> bool {
        self.kind.ignores_access() || self.access.is_some_and(|grant| grant.covers(access))
    }

    /// Elements of the scope.
    pub fn targets(&self) -> impl Iterator<Item = &str> {
        self.scope.iter().flatten().map(String::as_str)
    }
}

/// Whether entries are read that give or that take away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sense {
    Granted,
    Denied,
}

/// Reads a list of permissions.
pub(super) fn read_list(fields: &Fields<'_>, name: &str, sense: Sense, report: &mut Report) -> Vec<Permission> {
    let path = fields.path(name);
    let items = fields.get_list(name).and_then(|node| list_at(node, &path, report)).unwrap_or_default();
    let read = |(index, item)| read_one(item, &format!("{path}/{index}"), sense, report);
    items.iter().enumerate().filter_map(read).collect()
}

fn read_one(node: &Node, path: &str, sense: Sense, report: &mut Report) -> Option<Permission> {
    let fields = Fields::open(node, path, &FIELDS, report)?;
    let kind = read_kind(&fields, report)?;
    let permission = Permission {
        access: read_access(&fields, report),
        scope: fields.strings("scope", report),
        schemes: fields.strings("schemes", report),
        methods: fields.strings("methods", report),
        paths: fields.strings("paths", report),
        allow_private: fields.strings("allow_private", report),
        kind,
    };
    check_effect(&permission, path, sense, report);
    check_scope(&permission, path, sense, report);
    check_http_fields(&permission, path, report);
    Some(permission)
}

fn read_kind(fields: &Fields<'_>, report: &mut Report) -> Option<PermissionType> {
    let path = fields.path("type");
    if fields.get("type").is_none() {
        report.problem(&path, "is missing");
    }
    let name = fields.text("type", report)?;
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
    if !(1..=MAX_TYPE_BYTES).contains(&name.len()) || !name.bytes().all(is_legal) {
        report.problem(&path, "is not the name of a permission type");
        return None;
    }
    let kind = PermissionType::from_name(name);
    if let PermissionType::Custom(name) = &kind {
        let message = format!("`{name}` is not a built-in type; it counts for functions of that type that the host registers");
        report.warning(&path, message);
    }
    Some(kind)
}

/// An empty access is what the reference writes for "none given".
fn read_access(fields: &Fields<'_>, report: &mut Report) -> Option<Grant> {
    let name = fields.text("access", report).filter(|name| !name.is_empty())?;
    let grant = Grant::from_name(name);
    if grant.is_none() {
        let message = format!("{} is not an access; write `read`, `write` or `readwrite`", quoted(name));
        report.problem(&fields.path("access"), message);
    }
    grant
}

/// Warns about entries that grant nothing.
fn check_effect(permission: &Permission, path: &str, sense: Sense, report: &mut Report) {
    if sense == Sense::Denied {
        return;
    }
    let kind = &permission.kind;
    if !kind.ignores_access() && permission.access.is_none() {
        report.warning(path, "has no access and grants nothing; write `\"access\": \"read\"`, `\"write\"` or `\"readwrite\"`");
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
        PermissionType::Db => "the tables, for example `\"scope\": [\"ticket\", \"gk_stats_*\"]`, or `[\"*\"]` for every table",
        PermissionType::Http => "the hosts, for example `\"scope\": [\"api.example.com\", \"*.example.org:8443\"]`",
        PermissionType::Email => "the recipients, for example `\"scope\": [\"@example.com\", \"ann@example.org\"]`",
        PermissionType::Config => "the keys, for example `\"scope\": [\"report.*\"]`",
        PermissionType::PluginCall => "the plugins, for example `\"scope\": [\"stats\"]`",
        PermissionType::Cache | PermissionType::Custom(_) => "the targets, or `\"scope\": [\"*\"]` for all of them",
    }
}

/// Every element of the scope must be readable. What takes away must always be: leaving it out would give.
fn check_scope(permission: &Permission, path: &str, sense: Sense, report: &mut Report) {
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
        PermissionType::Email => MailScope::default().add(element)?,
        PermissionType::Config => ConfigScope::default().add(element)?,
        PermissionType::PluginCall => names::add_plugin(&mut NameSet::default(), element)?,
        PermissionType::Custom(_) => names::add_target(&mut NameSet::default(), element)?,
    }
    Ok(None)
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
fn check_http_fields(permission: &Permission, path: &str, report: &mut Report) {
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
