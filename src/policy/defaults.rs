//! The locked-down defaults, each with the reason for its value.

use super::limits::Limits;
use super::scope::ScopeResult;
use super::scope::tables::{NameRules, SensitiveTables};

/// Enough for plugins in Rust, Zig, C and TinyGo; a plugin that needs more asks, and an administrator grants it.
pub const WASM_MEMORY_BYTES: u64 = 16 << 20;
/// The reference's default; a Go process alone takes tens of megabytes.
pub const NATIVE_MEMORY_BYTES: u64 = 256 << 20;
/// The reference's default: people wait for calls, and no web request is given longer.
pub const CALL_TIMEOUT_MS: u64 = 30_000;
/// The reference's default; compiling is done before and not counted.
pub const INIT_TIMEOUT_MS: u64 = 10_000;
/// The reference's default: a host that stops waits this long at most.
pub const SHUTDOWN_TIMEOUT_MS: u64 = 5_000;
/// Existing plugins keep state in their one instance and expect calls one after the other.
pub const INSTANCES: u32 = 1;
/// Every caller that waits holds one of the host's threads: enough for a busy server, and an end for a stuck plugin.
pub const CONCURRENT_CALLS: u32 = 512;
/// The reference's number, which it never enforced.
pub const CALLS_PER_SECOND: u32 = 100;
/// The reference's default.
pub const DB_PER_MINUTE: u32 = 600;
/// The reference's default.
pub const HTTP_PER_MINUTE: u32 = 60;
/// The reference's fixed number: enough for notifications, too few for spam to pay.
pub const EMAILS_PER_MINUTE: u32 = 10;
/// A chatty plugin stays readable, a looping one can't fill the disk.
pub const LOG_LINES_PER_SECOND: u32 = 100;
/// A few thousand rendered fragments; all plugins of a host together stay small.
pub const CACHE_BYTES: u64 = 8 << 20;
/// Bounds the book-keeping for caches of tiny values.
pub const CACHE_ENTRIES: u64 = 10_000;
/// A page of results with attachments; larger ones belong in files.
pub const MAX_RESULT_BYTES: u64 = 4 << 20;
/// The statement with its parameters, or a mail with its body.
pub const MAX_ARGUMENT_BYTES: u64 = 1 << 20;
/// Far above what a page needs; ends loops that only call the host.
pub const HOST_CALLS_PER_CALL: u32 = 10_000;

/// Tables that no default grant includes, whatever a manifest declares: people, sessions, keys, settings.
pub const SENSITIVE_TABLES: &[&str] = &[
    "users",
    "user_preferences",
    "customer_user",
    "customer_preferences",
    "sessions",
    "api_tokens",
    "sysconfig_*",
    "goatflow_plugin_*",
    "*password*",
    "*secret*",
    "*token*",
    "*credential*",
    "*session*",
    "*private_key*",
];

/// Rules of the host that policies are compiled under.
#[derive(Debug, Clone)]
pub struct DefaultRules {
    sensitive_tables: SensitiveTables,
    /// How table names are read.
    pub tables: NameRules,
    /// Limits where a policy says nothing.
    pub limits: Limits,
}

impl DefaultRules {
    /// The built-in rules, with further `sensitive_tables` of the host: names, or patterns with `*`.
    pub fn with_sensitive_tables(more: &[String]) -> ScopeResult<Self> {
        let patterns: Vec<&str> = SENSITIVE_TABLES.iter().copied().chain(more.iter().map(String::as_str)).collect();
        Ok(Self {
            sensitive_tables: SensitiveTables::parse(&patterns)?,
            tables: NameRules::default(),
            limits: Limits::default(),
        })
    }

    /// Tables that are never granted or suggested without saying so.
    #[must_use]
    pub fn sensitive_tables(&self) -> &SensitiveTables {
        &self.sensitive_tables
    }
}

impl Default for DefaultRules {
    fn default() -> Self {
        let sensitive_tables = SensitiveTables::parse(SENSITIVE_TABLES).unwrap_or_else(|problem| {
            debug_assert!(false, "a built-in pattern is wrong: {problem}");
            SensitiveTables::everything()
        });
        Self { sensitive_tables, tables: NameRules::default(), limits: Limits::default() }
    }
}
