//! The policy document: the JSON that administrators write and that is stored. Read strictly, all mistakes at once.
//!
//! Names are the reference's (CONTRACT 4.5), so that rows it wrote load; the rest is ours. A document without a
//! `version` may be such a row: what can't be read in its scopes is left out with a warning. A document with
//! `"version": 1` is refused instead.

mod fields;
mod permission;
mod report;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use serde_json::Value;

pub use permission::{Grant, Permission, PermissionType};
pub use report::{Problem, Warning, problems_to_error, validate_report};

use self::fields::Fields;
use self::permission::{Sense, read_list};
use self::report::Report;
use super::Status;
use super::duration::GoDuration;
use super::json::Node;
use super::limits::BurstBudget;
use super::scope::names::{self, NameSet};
use crate::error::{Error, ErrorCode, Result};

/// Largest document, in bytes: thousands of permissions, and nothing that takes long to read.
pub const MAX_DOCUMENT_BYTES: usize = 256 * 1024;
/// The version that this library writes.
pub const VERSION: u64 = 1;

/// Largest rate: what a plugin can be given short of "no limit". The window keeps one time per event.
const MAX_RATE: u64 = 1_000_000;
/// Largest memory, in MiB.
const MAX_MEMORY_MB: u64 = 1 << 20;
/// Largest size of a cache or file store, in bytes.
const MAX_BYTES: u64 = 1 << 40;
/// Largest message, in bytes.
const MAX_MESSAGE_BYTES: u64 = 1 << 30;
/// Most instances and most calls in flight.
const MAX_PARALLEL: u64 = 1_024;

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
    pub sql_functions: Vec<String>,
    /// How well a native plugin must be jailed to start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
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

/// Demands on the jail of a native plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Isolation {
    /// Lowest level that is good enough, 0 (none) to 4 (everything in force).
    #[schemars(range(max = 4))]
    pub minimum: u32,
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

const FIELDS: [&str; 27] = [
    "version",
    "plugin_name",
    "status",
    "memory_mb",
    "call_timeout",
    "init_timeout",
    "shutdown_timeout",
    "permissions",
    "denied",
    "callable_by",
    "instances",
    "max_concurrent_calls",
    "max_calls_per_second",
    "max_db_queries_per_min",
    "max_http_req_per_min",
    "max_emails_per_min",
    "max_log_lines_per_second",
    "max_host_calls_per_call",
    "bursts",
    "max_cache_bytes",
    "max_cache_entries",
    "max_result_bytes",
    "max_argument_bytes",
    "max_file_storage_bytes",
    "sql_functions",
    "isolation",
    "note",
];

/// Reads a document; either it is understood in full, or every problem is named.
pub fn parse(text: &[u8]) -> std::result::Result<(PolicyDocument, Vec<Warning>), Vec<Problem>> {
    let mut report = Report::default();
    let document = read(text, &mut report);
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
    schemars::schema_for!(PolicyDocument).to_value()
}

fn read(text: &[u8], report: &mut Report) -> Option<PolicyDocument> {
    if text.len() > MAX_DOCUMENT_BYTES {
        report.problem("", format!("has more than {MAX_DOCUMENT_BYTES} bytes"));
        return None;
    }
    let node = Node::parse(text).map_err(|problem| report.problem("", format!("is not JSON: {problem}"))).ok()?;
    let fields = Fields::open(&node, "", &FIELDS, report)?;
    report.is_versioned = fields.get("version").is_some();
    let document = read_fields(&fields, report);
    warn_about_idle_parts(&fields, &document, report);
    Some(document)
}

fn read_fields(fields: &Fields<'_>, report: &mut Report) -> PolicyDocument {
    PolicyDocument {
        version: fields.whole("version", VERSION..=VERSION, report),
        plugin_name: read_plugin_name(fields, report),
        status: read_status(fields, report),
        memory_mb: fields.whole("memory_mb", 0..=MAX_MEMORY_MB, report),
        call_timeout: fields.duration("call_timeout", report),
        init_timeout: fields.duration("init_timeout", report),
        shutdown_timeout: fields.duration("shutdown_timeout", report),
        permissions: read_list(fields, "permissions", Sense::Granted, report),
        denied: read_list(fields, "denied", Sense::Denied, report),
        callable_by: read_callers(fields, report),
        instances: fields.whole32("instances", 1..=MAX_PARALLEL, report),
        max_concurrent_calls: fields.whole32("max_concurrent_calls", 0..=MAX_PARALLEL, report),
        max_calls_per_second: fields.whole32("max_calls_per_second", 0..=MAX_RATE, report),
        max_db_queries_per_min: fields.whole32("max_db_queries_per_min", 0..=MAX_RATE, report),
        max_http_req_per_min: fields.whole32("max_http_req_per_min", 0..=MAX_RATE, report),
        max_emails_per_min: fields.whole32("max_emails_per_min", 0..=MAX_RATE, report),
        max_log_lines_per_second: fields.whole32("max_log_lines_per_second", 0..=MAX_RATE, report),
        max_host_calls_per_call: fields.whole32("max_host_calls_per_call", 0..=MAX_RATE, report),
        bursts: read_bursts(fields, report),
        max_cache_bytes: fields.whole("max_cache_bytes", 0..=MAX_BYTES, report),
        max_cache_entries: fields.whole("max_cache_entries", 0..=MAX_BYTES, report),
        max_result_bytes: fields.whole("max_result_bytes", 0..=MAX_MESSAGE_BYTES, report),
        max_argument_bytes: fields.whole("max_argument_bytes", 0..=MAX_MESSAGE_BYTES, report),
        max_file_storage_bytes: fields.whole("max_file_storage_bytes", 0..=MAX_BYTES, report),
        sql_functions: read_sql_functions(fields, report),
        isolation: read_isolation(fields, report),
        note: fields.text("note", report).map(str::to_owned),
    }
}

fn read_plugin_name(fields: &Fields<'_>, report: &mut Report) -> Option<String> {
    let name = fields.text("plugin_name", report)?;
    let is_name = name != "*" && names::add_plugin(&mut NameSet::default(), name).is_ok();
    if !is_name {
        report.problem(&fields.path("plugin_name"), "is not a plugin name (letters, digits, `-`, `_`, `.`)");
    }
    is_name.then(|| name.to_owned())
}

fn read_status(fields: &Fields<'_>, report: &mut Report) -> Status {
    let path = fields.path("status");
    if fields.get("status").is_none() {
        report.warning(&path, "is missing and means `pending_review`: only the default grant is in force");
    }
    let Some(name) = fields.text("status", report) else { return Status::PendingReview };
    Status::from_name(name).unwrap_or_else(|| {
        report.problem(&path, "must be `pending_review`, `approved`, `restricted` or `blocked`");
        Status::Blocked
    })
}

fn read_callers(fields: &Fields<'_>, report: &mut Report) -> Option<Vec<String>> {
    let callers = fields.strings("callable_by", report)?;
    for (index, caller) in callers.iter().enumerate() {
        if let Err(message) = names::add_plugin(&mut NameSet::default(), caller) {
            report.problem(&format!("{}/{index}", fields.path("callable_by")), message);
        }
    }
    Some(callers)
}

fn read_bursts(fields: &Fields<'_>, report: &mut Report) -> Bursts {
    let path = fields.path("bursts");
    let known = ["calls", "db", "http", "emails"];
    let Some(fields) = fields.get("bursts").and_then(|node| Fields::open(node, &path, &known, report)) else {
        return Bursts::default();
    };
    let mut read = |name| read_burst(&fields, name, report);
    Bursts { calls: read("calls"), db: read("db"), http: read("http"), emails: read("emails") }
}

fn read_burst(fields: &Fields<'_>, name: &str, report: &mut Report) -> Option<BurstBudget> {
    let fields = Fields::open(fields.get(name)?, &fields.path(name), &["size", "per_hour"], report)?;
    let mut read = |name| {
        if fields.get(name).is_none() {
            report.problem(&fields.path(name), "is missing");
        }
        fields.whole32(name, 1..=MAX_RATE, report)
    };
    let (size, per_hour) = (read("size"), read("per_hour"));
    Some(BurstBudget { size: size?, per_hour: per_hour? })
}

/// Names of functions are what an SQL gate compares: one word, or a schema and a word.
fn read_sql_functions(fields: &Fields<'_>, report: &mut Report) -> Vec<String> {
    let functions = fields.strings("sql_functions", report).unwrap_or_default();
    let is_word = |word: &str| {
        !word.is_empty()
            && !word.starts_with(|c: char| c.is_ascii_digit())
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    for (index, name) in functions.iter().enumerate() {
        if name.split('.').count() > 2 || !name.split('.').all(is_word) {
            let path = format!("{}/{index}", fields.path("sql_functions"));
            report.problem(&path, "is not the name of an SQL function (letters, digits, `_`; at most one dot)");
        }
    }
    functions
}

fn read_isolation(fields: &Fields<'_>, report: &mut Report) -> Option<Isolation> {
    let fields = Fields::open(fields.get("isolation")?, &fields.path("isolation"), &["minimum"], report)?;
    if fields.get("minimum").is_none() {
        report.problem(&fields.path("minimum"), "is missing");
    }
    fields.whole32("minimum", 0..=4, report).map(|minimum| Isolation { minimum })
}

fn warn_about_idle_parts(fields: &Fields<'_>, document: &PolicyDocument, report: &mut Report) {
    if !document.denied.is_empty() && document.status != Status::Restricted {
        report.warning(&fields.path("denied"), "acts only with the status `restricted`");
    }
    if document.max_file_storage_bytes.is_some() {
        report.warning(&fields.path("max_file_storage_bytes"), "is kept, but no function stores files");
    }
}
