//! Permissions: `{"type", "access", "scope"}` with the further fields of outbound HTTP.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::effect::{check_effect, check_http_fields, check_scope};
use super::fields::{Fields, list_at};
use super::report::Report;
use crate::policy::Access;
use crate::policy::json::Node;
use crate::policy::wording::quoted;

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
        matches!((self, access), (Self::ReadWrite, _) | (Self::Read, Access::Read) | (Self::Write, Access::Write))
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
    #[schemars(inner(regex(pattern = "^https?$")))]
    pub schemes: Option<Vec<String>>,
    /// `http` only: methods; absent means all that plugins may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(inner(regex(pattern = "^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)$")))]
    pub methods: Option<Vec<String>>,
    /// `http` only: paths, exact or with `*`; absent means all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(inner(regex(pattern = r"^/[^?#\\]*$")))]
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
    let node = match sense {
        Sense::Granted => fields.get_go_list(name),
        Sense::Denied => fields.get(name),
    };
    let items = node.and_then(|node| list_at(node, &path, report)).unwrap_or_default();
    let read = |(index, item)| read_one(item, &format!("{path}/{index}"), sense, report);
    items.iter().enumerate().filter_map(read).collect()
}

fn read_one(node: &Node, path: &str, sense: Sense, report: &mut Report) -> Option<Permission> {
    let fields = Fields::open(node, path, &FIELDS, report)?;
    let kind = read_kind(&fields, report)?;
    let permission = Permission {
        access: read_access(&fields, report),
        scope: fields.get_go_list("scope").and_then(|node| fields.strings_in(node, "scope", report)),
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
        let message =
            format!("`{name}` is not a built-in type; it counts for functions of that type that the host registers");
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
