//! What a plugin may use, in numbers.

use schemars::JsonSchema;
use serde::Serialize;

use super::defaults;

/// Numbers of one policy. In every field 0 means "no limit", except `instances`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Memory of a WASM plugin, all its instances counted one by one.
    pub memory_bytes: u64,
    /// Memory of a native plugin's processes.
    pub native_memory_bytes: u64,
    /// One call, including its wait for an instance.
    pub call_timeout_ms: u64,
    /// Start, registration and initialisation.
    pub init_timeout_ms: u64,
    /// Shutdown.
    pub shutdown_timeout_ms: u64,
    /// Instances of a WASM plugin that may exist at a time; at least 1.
    pub instances: u32,
    /// Calls that may be in flight at a time.
    pub concurrent_calls: u32,
    /// Outgoing calls to other plugins.
    pub calls_per_second: u32,
    /// Database statements, queries and writes together.
    pub db_per_minute: u32,
    /// Outbound HTTP requests, redirects included.
    pub http_per_minute: u32,
    /// Recipients of e-mails.
    pub emails_per_minute: u32,
    /// Log lines.
    pub log_lines_per_second: u32,
    /// Extra outgoing plugin calls.
    pub calls_burst: Option<BurstBudget>,
    /// Extra database statements.
    pub db_burst: Option<BurstBudget>,
    /// Extra HTTP requests.
    pub http_burst: Option<BurstBudget>,
    /// Extra e-mail recipients.
    pub emails_burst: Option<BurstBudget>,
    /// Bytes of keys and values in the plugin's cache.
    pub cache_bytes: u64,
    /// Entries in the plugin's cache.
    pub cache_entries: u64,
    /// Answer of a call, and of a host call.
    pub max_result_bytes: u64,
    /// Arguments of a host call.
    pub max_argument_bytes: u64,
    /// Host calls within one call of the plugin.
    pub host_calls_per_call: u32,
}

/// Tokens besides the exact window, for plugins that have a good reason to send much at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct BurstBudget {
    /// Most tokens that can be saved up.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub size: u32,
    /// Tokens that come back in an hour, evenly.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub per_hour: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: defaults::WASM_MEMORY_BYTES,
            native_memory_bytes: defaults::NATIVE_MEMORY_BYTES,
            call_timeout_ms: defaults::CALL_TIMEOUT_MS,
            init_timeout_ms: defaults::INIT_TIMEOUT_MS,
            shutdown_timeout_ms: defaults::SHUTDOWN_TIMEOUT_MS,
            instances: defaults::INSTANCES,
            concurrent_calls: defaults::CONCURRENT_CALLS,
            calls_per_second: defaults::CALLS_PER_SECOND,
            db_per_minute: defaults::DB_PER_MINUTE,
            http_per_minute: defaults::HTTP_PER_MINUTE,
            emails_per_minute: defaults::EMAILS_PER_MINUTE,
            log_lines_per_second: defaults::LOG_LINES_PER_SECOND,
            calls_burst: None,
            db_burst: None,
            http_burst: None,
            emails_burst: None,
            cache_bytes: defaults::CACHE_BYTES,
            cache_entries: defaults::CACHE_ENTRIES,
            max_result_bytes: defaults::MAX_RESULT_BYTES,
            max_argument_bytes: defaults::MAX_ARGUMENT_BYTES,
            host_calls_per_call: defaults::HOST_CALLS_PER_CALL,
        }
    }
}
