//! The policy document: the JSON that administrators write and that is stored. Read strictly, all mistakes at once.
//!
//! Names are GoatFlow's, so that rows it wrote load; the rest is ours. A document without a
//! `version` may be such a row: what can't be read in its scopes is left out with a warning. A document with
//! `"version": 1` is refused instead.

mod effect;
mod fields;
mod permission;
mod read;
mod report;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use serde_json::Value;

pub use permission::{Grant, Permission, PermissionType};
pub use report::{Problem, Warning, problems_to_error, validate_report};

use self::report::Report;
use super::Status;
use super::duration::GoDuration;
use super::limits::BurstBudget;
use super::observation::Observe;
use super::swap::SwapRules;
use crate::error::{Error, ErrorCode, Result};

/// Largest document, in bytes: thousands of permissions, and nothing that takes long to read.
pub const MAX_DOCUMENT_BYTES: usize = 256 * 1024;
/// The version that this library writes.
pub const VERSION: u64 = 1;

/// A policy as written. Absent fields mean the default; 0 means "no limit".
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, title = "goatflow-plugin policy")]
#[serde(default)]
pub struct PolicyDocument {
    /// Version of the format, 1; rows of the reference have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1))]
    pub version: Option<u64>,
    /// Plugin the policy is for; if given, it must be that plugin.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[A-Za-z0-9_.-]{1,64}$"))]
    pub plugin_name: Option<String>,
    /// Which part of the document acts; absent means `pending_review`.
    #[schemars(default)]
    pub status: Status,
    /// Memory in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1_048_576))]
    pub memory_mb: Option<u64>,
    /// Time for one call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_timeout: Option<GoDuration>,
    /// Time for start and initialisation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init_timeout: Option<GoDuration>,
    /// Time for shutdown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shutdown_timeout: Option<GoDuration>,
    /// What the plugin may do.
    pub permissions: Vec<Permission>,
    /// With the status `restricted`: what is taken away from `permissions`. Without access or scope: all of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub denied: Vec<Permission>,
    /// Plugins that may call this one; absent means all whose own policy lets them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(inner(regex(pattern = r"^(\*|[A-Za-z0-9_.-]{1,64})$")))]
    pub callable_by: Option<Vec<String>>,
    /// Instances that the plugin may have if it asks for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_024))]
    pub instances: Option<u32>,
    /// Calls of the plugin in flight at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1_024))]
    pub max_concurrent_calls: Option<u32>,
    /// Calls to other plugins per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1_000_000))]
    pub max_calls_per_second: Option<u32>,
    /// Database statements per minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1_000_000))]
    pub max_db_queries_per_min: Option<u32>,
    /// HTTP requests per minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1_000_000))]
    pub max_http_req_per_min: Option<u32>,
    /// E-mail recipients per minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1_000_000))]
    pub max_emails_per_min: Option<u32>,
    /// Log lines per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1_000_000))]
    pub max_log_lines_per_second: Option<u32>,
    /// Host calls within one call of the plugin.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1_000_000))]
    pub max_host_calls_per_call: Option<u32>,
    /// Budgets besides the exact windows.
    #[serde(skip_serializing_if = "Bursts::is_empty")]
    #[schemars(default)]
    pub bursts: Bursts,
    /// Bytes in the plugin's cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1_099_511_627_776_u64))]
    pub max_cache_bytes: Option<u64>,
    /// Entries in the plugin's cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1_099_511_627_776_u64))]
    pub max_cache_entries: Option<u64>,
    /// Bytes of an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1_073_741_824))]
    pub max_result_bytes: Option<u64>,
    /// Bytes of a host call's arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1_073_741_824))]
    pub max_argument_bytes: Option<u64>,
    /// Newer references' file quota; kept, without effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1_099_511_627_776_u64))]
    pub max_file_storage_bytes: Option<u64>,
    /// SQL functions that the plugin may call besides the harmless ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?$")))]
    pub sql_functions: Vec<String>,
    /// How well a native plugin must be jailed to start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
    /// For a limited time, calls that only lack a permission or scope pass and are recorded. Acts with every status but
    /// `blocked`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observe: Option<Observe>,
    /// How a new version of the plugin is held against the one before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap: Option<SwapRules>,
    /// Free text for administrators.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Burst budgets by surface.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Bursts {
    /// Calls to other plugins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<BurstBudget>,
    /// Database statements.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub db: Option<BurstBudget>,
    /// HTTP requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<BurstBudget>,
    /// E-mail recipients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emails: Option<BurstBudget>,
}

impl Bursts {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The jail of a native plugin: what it must hold, and what the plugin gets in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Isolation {
    /// Lowest level that is good enough, 0 (none) to 4 (everything in force); by default 2 for signed plugins, 3 for others.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 4))]
    pub minimum: Option<u32>,
    /// Program of the host that runs a plugin which is a script, as an absolute path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interpreter: Option<String>,
    /// Files and directories of the host that the plugin may read and execute, as absolute paths.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub read_only: Vec<String>,
    /// Environment variables of the plugin; nothing of the host's environment is passed on.
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub environment: std::collections::BTreeMap<String, String>,
    /// May make memory executable that it wrote to, as just-in-time compilers do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jit: Option<bool>,
    /// Threads of the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4096))]
    pub threads: Option<u32>,
    /// Per cent of one processor; 0 = no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100_000))]
    pub cpu_percent: Option<u32>,
    /// Megabytes of the scratch directory `/tmp`, which lies in memory and counts as such.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_536))]
    pub tmp_mb: Option<u32>,
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Reads a document; either it is understood in full, or every problem is named.
pub fn parse(text: &[u8]) -> std::result::Result<(PolicyDocument, Vec<Warning>), Vec<Problem>> {
    let mut report = Report::default();
    let document = read::document(text, &mut report);
    match document {
        Some(document) if report.problems.is_empty() => Ok((document, report.warnings)),
        _ => Err(report.problems),
    }
}

impl PolicyDocument {
    /// Refuses a document that says it is for another plugin.
    pub fn check_plugin_name(&self, plugin: &str) -> Result<()> {
        match self.plugin_name.as_deref() {
            Some(written) if written != plugin => Err(Error::new(
                ErrorCode::PolicyDocumentInvalid,
                format!("the policy document is for plugin `{written}`, not for `{plugin}`"),
            )
            .with_detail("rule", "plugin_name")),
            _ => Ok(()),
        }
    }

    /// The document as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// JSON Schema of the document.
#[must_use]
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(PolicyDocument).to_value();
    forbid_null(&mut schema);
    schema
}

/// Absent fields are left out, never `null`.
fn forbid_null(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::Array(types)) = members.get_mut("type") {
                types.retain(|name| name != "null");
            }
            if let Some(Value::Array(choices)) = members.get_mut("anyOf") {
                choices.retain(|choice| choice["type"] != "null");
            }
            members.values_mut().for_each(forbid_null);
        }
        Value::Array(items) => items.iter_mut().for_each(forbid_null),
        _ => {}
    }
}
