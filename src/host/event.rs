//! Events: what hosts can subscribe to.

use std::sync::Arc;

use serde_json::{Map, Value};

/// Something that happened, for whoever subscribed.
#[derive(Debug, Clone)]
pub struct Event {
    /// Kind, for example `plugin.loaded` or `published`.
    pub kind: &'static str,
    /// Plugin it is about.
    pub plugin: Arc<str>,
    /// Further facts.
    pub body: Map<String, Value>,
}

impl Event {
    /// Every kind there is.
    pub const KINDS: [&'static str; 26] = [
        "plugin.loaded",
        "plugin.swapping",
        "plugin.swapped",
        "plugin.drained",
        "plugin.rolled_back",
        "plugin.failed",
        "plugin.watching",
        "plugin.unhealthy",
        "plugin.crashed",
        "plugin.restarted",
        "plugin.crash_loop",
        "plugin.unloaded",
        "plugin.enabled",
        "plugin.disabled",
        "policy.changed",
        "policy.observing",
        "package.installed",
        "package.pending",
        "package.approved",
        "package.rolled_back",
        "package.removed",
        "trust.changed",
        "call.denied",
        "call.observed",
        "log",
        "published",
    ];

    /// An event without further facts.
    #[must_use]
    pub fn new(kind: &'static str, plugin: &Arc<str>) -> Self {
        Self { kind, plugin: Arc::clone(plugin), body: Map::new() }
    }

    /// Adds a fact.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.body.insert(key.to_owned(), value.into());
        self
    }

    /// Adds facts of a report.
    #[must_use]
    pub fn with_all(mut self, report: &Value, names: &[&str]) -> Self {
        for name in names {
            self.body.insert((*name).to_owned(), report.get(name).cloned().unwrap_or_default());
        }
        self
    }

    /// The event as subscribers read it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut object = self.body.clone();
        object.insert("kind".into(), self.kind.into());
        object.insert("plugin".into(), (&*self.plugin).into());
        Value::Object(object)
    }
}

/// Takes events; never blocks and never fails, so that it can be used anywhere.
pub trait EventSink: Send + Sync {
    /// True when somebody wants events of this kind; spares the work of making one.
    fn wants(&self, kind: &'static str) -> bool;
    /// Hands the event to those who want it.
    fn emit(&self, event: Event);
}
