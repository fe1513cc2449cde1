//! What a manager tells about its plugins, as JSON.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::Manager;
use crate::clock;
use crate::error::Result;
use crate::lifecycle::Slot;
use crate::policy::Source;

impl Manager {
    /// Plugins in service, by name: version, state, where they come from, which policy is in force.
    #[must_use]
    pub fn list(&self) -> Value {
        self.registry.all_loaded().iter().filter_map(summary).collect()
    }

    /// What the plugin said about itself.
    pub fn registration(&self, plugin: &str) -> Result<Value> {
        let slot = self.registry.loaded(plugin)?;
        match slot.serving() {
            Some(generation) => Ok(generation.plugin.registration().document().clone()),
            None => self.registry.loaded(plugin).map(|_| Value::Null),
        }
    }

    /// What the plugin asks for, as far as it could be read.
    pub fn requested(&self, plugin: &str) -> Result<Value> {
        let slot = self.registry.loaded(plugin)?;
        let Some(generation) = slot.serving() else { return self.registry.loaded(plugin).map(|_| Value::Null) };
        let request = &generation.request;
        Ok(json!({
            "memory_mb": request.memory_mb,
            "permissions": request.permissions,
        }))
    }

    /// What plugins did: calls into them, their host calls, what they hold, what they were refused. Counters go on over
    /// reloads. With a name, one object; without, an array.
    pub fn stats(&self, plugin: Option<&str>) -> Result<Value> {
        match plugin {
            Some(name) => Ok(statistics(&self.registry.loaded(name)?)),
            None => Ok(self.registry.all_loaded().iter().map(statistics).collect()),
        }
    }

    /// Events that nobody got because subscribers were too slow.
    #[must_use]
    pub fn dropped_events(&self) -> u64 {
        self.hub.dropped()
    }
}

fn summary(slot: &Arc<Slot>) -> Option<Value> {
    let generation = slot.serving()?;
    let registration = generation.plugin.registration();
    let in_force = slot.sandbox.policy.snapshot();
    let (previous, probation) = way_back(slot);
    Some(json!({
        "name": &*slot.name,
        "version": registration.version(),
        "description": registration.document().get("description").cloned().unwrap_or(Value::Null),
        "runtime": generation.packaged.runtime,
        "enabled": slot.is_enabled(),
        "origin": generation.origin.shown,
        "signature": generation.packaged.signature,
        "policy": {
            "status": in_force.policy.status().name(),
            "source": match in_force.policy.source() {
                Source::DefaultGrant => "default_grant",
                Source::Document => "document",
            },
            "revision": in_force.revision,
        },
        "state": generation.state().name(),
        "generation": generation.number,
        "previous": previous,
        "probation": probation,
        "process": generation.plugin.process(),
        "warnings": generation.warnings,
    }))
}

/// The version before this one, and for how long this one is still held against it.
fn way_back(slot: &Slot) -> (Value, Value) {
    let standby = slot.standby();
    let Some(standby) = standby.as_ref() else { return (Value::Null, Value::Null) };
    let previous = &standby.generation;
    let trial = standby.trial.map(|trial| {
        let remaining_ms = trial.until.saturating_sub(clock::now()) / 1_000_000;
        json!({ "remaining_ms": remaining_ms })
    });
    let previous = json!({
        "version": previous.version(),
        "generation": previous.number,
        "state": previous.state().name(),
    });
    (previous, trial.unwrap_or_default())
}

fn statistics(slot: &Arc<Slot>) -> Value {
    let mut report = Map::new();
    report.insert("plugin_name".into(), (&*slot.name).into());
    for part in [slot.sandbox.usage.to_json(), slot.traffic().to_json()] {
        if let Value::Object(fields) = part {
            report.extend(fields);
        }
    }
    report.insert("denied".into(), slot.sandbox.denials.to_json());
    report.insert("observed".into(), slot.sandbox.observed.to_json());
    if let Some(generation) = slot.serving() {
        report.insert("in_flight".into(), generation.in_flight().into());
        report.insert("runtime".into(), json!(generation.plugin.usage()));
    }
    Value::Object(report)
}
