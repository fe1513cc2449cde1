//! From JSON to a document, field by field.

use super::fields::Fields;
use super::permission::{Sense, read_list};
use super::report::Report;
use super::{Bursts, Isolation, MAX_DOCUMENT_BYTES, PolicyDocument, VERSION};
use crate::policy::Status;
use crate::policy::isolation;
use crate::policy::json::Node;
use crate::policy::limits::BurstBudget;
use crate::policy::observation::{MAX_OBSERVATION, Observe, Timestamp};
use crate::policy::scope::names::{self, NameSet};
use crate::policy::swap::SwapRules;
use crate::policy::wording::harmless;

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

/// Longest probation: a day.
const MAX_PROBATION_MS: u64 = 86_400_000;

const FIELDS: [&str; 29] = [
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
    "observe",
    "swap",
    "note",
];

/// Reads the fields; what is wrong is in the report.
pub(super) fn document(text: &[u8], report: &mut Report) -> Option<PolicyDocument> {
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
        observe: read_observe(fields, report),
        swap: read_swap(fields, report),
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
    let Some(name) = fields.text("status", report) else {
        return Status::PendingReview;
    };
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

const ISOLATION_FIELDS: [&str; 8] =
    ["minimum", "interpreter", "read_only", "environment", "jit", "threads", "cpu_percent", "tmp_mb"];

fn read_isolation(fields: &Fields<'_>, report: &mut Report) -> Option<Isolation> {
    let fields = Fields::open(fields.get("isolation")?, &fields.path("isolation"), &ISOLATION_FIELDS, report)?;
    let interpreter = fields.text("interpreter", report);
    let read_only = fields.strings("read_only", report).unwrap_or_default();
    if let Some(path) = interpreter.filter(|path| !path.starts_with('/') || path.contains('\0')) {
        report.problem(&fields.path("interpreter"), format!("`{}` is not an absolute path", harmless(path)));
    }
    for problem in read_only.iter().filter_map(|path| isolation::check_place(path).err()) {
        report.problem(&fields.path("read_only"), problem);
    }
    let environment = fields.texts("environment", report).unwrap_or_default();
    for (name, value) in &environment {
        let of_value = if value.contains('\0') { Err(format!("`{name}` has a zero byte")) } else { Ok(()) };
        if let Err(problem) = isolation::check_variable(name).and(of_value) {
            report.problem(&fields.path("environment"), problem);
        }
    }
    Some(Isolation {
        minimum: fields.whole32("minimum", 0..=4, report),
        interpreter: interpreter.map(str::to_owned),
        read_only,
        environment,
        jit: fields.flag("jit", report),
        threads: fields.whole32("threads", 1..=4096, report),
        cpu_percent: fields.whole32("cpu_percent", 0..=100_000, report),
        tmp_mb: fields.whole32("tmp_mb", 1..=65_536, report),
    })
}

/// Both ends are written, so that an observation ends whoever wrote the document, and however.
fn read_observe(fields: &Fields<'_>, report: &mut Report) -> Option<Observe> {
    let path = fields.path("observe");
    let fields = Fields::open(fields.get("observe")?, &path, &["from", "until"], report)?;
    let mut time = |name| {
        if fields.get(name).is_none() {
            report.problem(&fields.path(name), "is missing");
        }
        let text = fields.text(name, report)?;
        Timestamp::parse(text).map_err(|problem| report.problem(&fields.path(name), problem)).ok()
    };
    let (from, until) = (time("from")?, time("until")?);
    match until.0.duration_since(from.0) {
        Ok(length) if length <= MAX_OBSERVATION && !length.is_zero() => return Some(Observe { from, until }),
        Ok(length) if !length.is_zero() => report.problem(&path, "lasts longer than 31 days"),
        _ => report.problem(&path, "ends before it begins"),
    }
    None
}

fn read_swap(fields: &Fields<'_>, report: &mut Report) -> Option<SwapRules> {
    let known = ["probation_ms", "max_error_percent", "max_latency_factor", "min_calls"];
    let fields = Fields::open(fields.get("swap")?, &fields.path("swap"), &known, report)?;
    let default = SwapRules::default();
    let mut whole = |name, range, default| fields.whole32(name, range, report).unwrap_or(default);
    let max_error_percent = whole("max_error_percent", 0..=100, default.max_error_percent);
    let max_latency_factor = whole("max_latency_factor", 0..=MAX_RATE, default.max_latency_factor);
    let min_calls = whole("min_calls", 1..=MAX_RATE, default.min_calls);
    let probation_ms = fields.whole("probation_ms", 0..=MAX_PROBATION_MS, report).unwrap_or(default.probation_ms);
    Some(SwapRules { probation_ms, max_error_percent, max_latency_factor, min_calls })
}

fn warn_about_idle_parts(fields: &Fields<'_>, document: &PolicyDocument, report: &mut Report) {
    if !document.denied.is_empty() && document.status != Status::Restricted {
        report.warning(&fields.path("denied"), "acts only with the status `restricted`");
    }
    if document.max_file_storage_bytes.is_some() {
        report.warning(&fields.path("max_file_storage_bytes"), "is kept, but no function stores files");
    }
}
