//! What a plugin did, in numbers. Counters belong to the plugin's name: reloads and policy changes never reset them.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::host::Function;

/// Counters of one plugin's host calls.
#[derive(Debug, Default)]
pub struct Usage {
    calls: [AtomicU64; Function::ALL.len()],
    custom_calls: AtomicU64,
    errors: AtomicU64,
    denials: AtomicU64,
    dropped_log_lines: AtomicU64,
    last_call_ms: AtomicU64,
}

impl Usage {
    /// Counts a call that passed every gate; `None` is a function that the host declared.
    pub fn count(&self, function: Option<Function>, now_ms: u64) {
        let counter = function.and_then(|function| self.calls.get(function as usize)).unwrap_or(&self.custom_calls);
        counter.fetch_add(1, Ordering::Relaxed);
        self.last_call_ms.store(now_ms, Ordering::Relaxed);
    }

    /// Counts a host call that failed.
    pub fn count_error(&self, denied: bool) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        if denied {
            self.denials.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a log line beyond the rate.
    pub fn count_dropped_log_line(&self) {
        self.dropped_log_lines.fetch_add(1, Ordering::Relaxed);
    }

    /// The counters under GoatFlow's names, and ours.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let of =
            |function: Function| self.calls.get(function as usize).map_or(0, |counter| counter.load(Ordering::Relaxed));
        let cache_ops = of(Function::CacheGet) + of(Function::CacheSet) + of(Function::CacheDelete);
        json!({
            "db_queries": of(Function::DbQuery),
            "db_execs": of(Function::DbExec),
            "cache_ops": cache_ops,
            "http_requests": of(Function::HttpRequest),
            "emails": of(Function::SendEmail),
            "config_reads": of(Function::ConfigGet),
            "translations": of(Function::Translate),
            "calls": of(Function::PluginCall),
            "events": of(Function::PublishEvent),
            "log_calls": of(Function::Log),
            "custom_calls": self.custom_calls.load(Ordering::Relaxed),
            "errors": self.errors.load(Ordering::Relaxed),
            "denials": self.denials.load(Ordering::Relaxed),
            "dropped_log_lines": self.dropped_log_lines.load(Ordering::Relaxed),
            "last_call_at": self.last_call_ms.load(Ordering::Relaxed),
        })
    }
}
