//! Log lines of plugins: levels, bounds, and the ring that keeps the newest lines.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use serde_json::{Map, Value, json};

use crate::clock;
use crate::plugin::name::is_unprintable;

/// Longest message that is kept, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 8 * 1024;

/// Importance of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// For developers.
    Debug,
    /// Ordinary.
    Info,
    /// Unusual.
    Warn,
    /// Something failed.
    Error,
}

impl LogLevel {
    /// Level of `gk.log`'s number; every unknown number is `Info` (docs/contract.md 1.2).
    #[must_use]
    pub fn from_number(number: i32) -> Self {
        match number {
            0 => Self::Debug,
            2 => Self::Warn,
            3 => Self::Error,
            _ => Self::Info,
        }
    }

    /// Level with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Debug, Self::Info, Self::Warn, Self::Error].into_iter().find(|level| level.name() == name)
    }

    /// Name in documents.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// One line of a plugin's log.
#[derive(Debug, Clone)]
pub struct LogRecord {
    /// When the host received it.
    pub time: SystemTime,
    /// Who wrote it: stamped by the host.
    pub plugin: Arc<str>,
    /// Importance.
    pub level: LogLevel,
    /// Text, bounded and without control characters.
    pub message: String,
    /// Further facts.
    pub fields: Map<String, Value>,
}

impl LogRecord {
    /// A record with the time of now; the message is made harmless.
    #[must_use]
    pub fn new(plugin: &Arc<str>, level: LogLevel, message: &str, fields: Map<String, Value>) -> Self {
        Self { time: clock::wall(), plugin: Arc::clone(plugin), level, message: harmless(message), fields }
    }

    /// The record as hosts read it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut value = json!({
            "timestamp": clock::rfc3339(self.time),
            "plugin": &*self.plugin,
            "level": self.level.name(),
            "message": self.message,
        });
        if !self.fields.is_empty() {
            value["fields"] = Value::Object(self.fields.clone());
        }
        value
    }
}

/// Cuts a message to its bound and escapes what could forge lines or hide text from a reader.
fn harmless(message: &str) -> String {
    let mut out = String::with_capacity(message.len().min(MAX_MESSAGE_BYTES));
    for character in message.chars() {
        if out.len() >= MAX_MESSAGE_BYTES {
            out.push_str("… (cut)");
            break;
        }
        if is_unprintable(character) {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

/// Keeps the newest lines of all plugins.
#[derive(Debug)]
pub struct LogRing {
    capacity: usize,
    records: Mutex<VecDeque<Arc<LogRecord>>>,
}

/// What `LogRing::newest` gives back.
#[derive(Debug, Default, Clone)]
pub struct LogFilter {
    /// Only this plugin's lines.
    pub plugin: Option<String>,
    /// Only lines at least as important.
    pub level: Option<LogLevel>,
    /// At most so many.
    pub limit: Option<usize>,
}

impl LogRing {
    /// A ring for `capacity` lines.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { capacity, records: Mutex::new(VecDeque::new()) }
    }

    /// Adds a line; the oldest one goes when the ring is full.
    pub fn push(&self, record: Arc<LogRecord>) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        if records.len() >= self.capacity {
            records.pop_front();
        }
        records.push_back(record);
    }

    /// Lines that match, newest first.
    #[must_use]
    pub fn newest(&self, filter: &LogFilter) -> Vec<Arc<LogRecord>> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records
            .iter()
            .rev()
            .filter(|record| filter.plugin.as_deref().is_none_or(|plugin| *plugin == *record.plugin))
            .filter(|record| filter.level.is_none_or(|level| record.level >= level))
            .take(filter.limit.unwrap_or(usize::MAX))
            .cloned()
            .collect()
    }

    /// Forgets all lines.
    pub fn clear(&self) {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(plugin: &str, level: LogLevel, message: &str) -> Arc<LogRecord> {
        Arc::new(LogRecord::new(&plugin.into(), level, message, Map::new()))
    }

    #[test]
    fn unknown_level_numbers_are_info() {
        assert_eq!(LogLevel::from_number(-1), LogLevel::Info);
        assert_eq!(LogLevel::from_number(4), LogLevel::Info);
        assert_eq!(LogLevel::from_number(3), LogLevel::Error);
    }

    #[test]
    fn messages_can_not_forge_lines_and_are_bounded() {
        assert_eq!(record("p", LogLevel::Info, "a\nb\u{202e}c").message, "a\\nb\\u{202e}c");
        let long = "ä".repeat(MAX_MESSAGE_BYTES);
        assert_eq!(record("p", LogLevel::Info, &long).message, "ä".repeat(MAX_MESSAGE_BYTES / 2) + "… (cut)");
    }

    #[test]
    fn the_ring_keeps_the_newest_and_filters() {
        let ring = LogRing::new(3);
        for (plugin, level) in
            [("a", LogLevel::Error), ("a", LogLevel::Debug), ("b", LogLevel::Warn), ("a", LogLevel::Info)]
        {
            ring.push(record(plugin, level, plugin));
        }
        let of_a = ring.newest(&LogFilter { plugin: Some("a".into()), ..LogFilter::default() });
        assert_eq!(of_a.iter().map(|r| r.level).collect::<Vec<_>>(), [LogLevel::Info, LogLevel::Debug]);
        assert_eq!(ring.newest(&LogFilter { level: Some(LogLevel::Warn), ..LogFilter::default() }).len(), 1);
        ring.clear();
        assert!(ring.newest(&LogFilter::default()).is_empty());
    }
}
