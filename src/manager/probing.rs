//! Asks plugins whether they are healthy, and starts afresh those that are not.
//!
//! No thread belongs to this: a timer starts each round, and worker threads pass on what is left of it before they ask one
//! plugin, so that one that does not answer holds nobody up.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use serde_json::Value;

use super::{Manager, loading};
use crate::clock;
use crate::error::{Error, ErrorCode, Result};
use crate::executor;
use crate::host::{Event, LogLevel};
use crate::lifecycle::Slot;
use crate::lifecycle::health::Finding;
use crate::plugin::recovery::{Verdict, chance};

/// Starts the rounds, if the configuration wants any.
pub(super) fn start(manager: &Arc<Manager>) {
    if manager.settings.health.interval_ms > 0 {
        next_round(manager);
    }
}

fn next_round(manager: &Arc<Manager>) {
    let due = clock::now().saturating_add(manager.settings.health.interval_ms.saturating_mul(1_000_000));
    let weak = Arc::downgrade(manager);
    let begin = move || {
        let manager = Weak::clone(&weak);
        if executor::spawn(move || round(&manager)).is_err()
            && let Some(manager) = weak.upgrade()
        {
            // No worker to be had now; the next round may find one.
            next_round(&manager);
        }
    };
    if let Err(error) = executor::at(due, begin) {
        manager.note(&"".into(), LogLevel::Error, &format!("plugins are not asked whether they are healthy: {error}"));
    }
}

fn round(manager: &Weak<Manager>) {
    let Some(manager) = manager.upgrade().filter(|manager| !manager.is_shut_down()) else { return };
    next_round(&manager);
    let slots = manager.registry.all_loaded().into();
    manager.ask_all(slots);
}

impl Manager {
    /// Asks the first; a worker that is free, or becomes free, goes on with the others meanwhile.
    fn ask_all(self: &Arc<Self>, mut slots: VecDeque<Arc<Slot>>) {
        let Some(first) = slots.pop_front() else { return };
        if !slots.is_empty() {
            let manager = Arc::downgrade(self);
            let go_on = move || {
                if let Some(manager) = manager.upgrade().filter(|manager| !manager.is_shut_down()) {
                    manager.ask_all(slots);
                }
            };
            // Without a worker the others are asked in the next round.
            let _ = executor::spawn_next(go_on);
        }
        self.ask(&first);
    }

    /// Asks one plugin; `None` when it is not to be asked: it is out of service, or somebody asks it already.
    fn ask(self: &Arc<Self>, slot: &Arc<Slot>) -> Option<Finding> {
        let _turn = slot.health.begin()?;
        slot.sandbox.policy.snapshot().policy.check_not_blocked().ok()?;
        let call = slot.enter()?;
        let started = clock::now();
        let outcome = call.plugin.probe(&loading::context(self.settings.health.timeout_ms));
        let took = Duration::from_nanos(clock::now().saturating_sub(started));
        if slot.serving().is_none_or(|live| live.number != call.number) {
            // Another version serves by now, of which this says nothing.
            return None;
        }
        let failure = outcome.as_ref().err();
        if failure.is_some_and(is_dealt_with) {
            return None;
        }
        let finding = slot.health.note(took, failure);
        if let (Finding::Unhealthy(failures), Some(error)) = (finding, failure) {
            self.on_unhealthy(slot, call.number, failures, error);
        }
        Some(finding)
    }

    fn on_unhealthy(self: &Arc<Self>, slot: &Arc<Slot>, generation: u64, failures: u32, error: &Error) {
        let event =
            Event::new("plugin.unhealthy", &slot.name).with("failures", failures).with("error", error.to_json());
        self.emit(event);
        self.note(&slot.name, LogLevel::Error, &format!("it is unhealthy: {error}"));
        match slot.recovery.failed(clock::now(), chance()) {
            Verdict::RestartAfter(pause) => self.restart_later(slot, generation, pause),
            Verdict::GiveUp => {
                self.emit(Event::new("plugin.crash_loop", &slot.name).with("recovery", slot.recovery.to_json()));
                self.note(&slot.name, LogLevel::Error, "it failed too often and is not started again (reset it)");
            }
        }
    }

    fn restart_later(self: &Arc<Self>, slot: &Arc<Slot>, generation: u64, pause: Duration) {
        let (manager, slot) = (Arc::downgrade(self), Arc::downgrade(slot));
        let restart = move || {
            if let (Some(manager), Some(slot)) = (manager.upgrade(), slot.upgrade()) {
                manager.restart(&slot, generation);
            }
        };
        let due = clock::now().saturating_add(clock::saturating_nanos(pause));
        // Without a worker it is asked again in the next round, and found as it is now.
        let _ = executor::at(due, move || drop(executor::spawn(restart)));
    }

    fn restart(&self, slot: &Slot, generation: u64) {
        let Some(call) = slot.enter().filter(|call| call.number == generation) else { return };
        match call.plugin.restart() {
            Ok(()) => {
                slot.recovery.restarted();
                slot.health.forget();
                self.emit(Event::new("plugin.restarted", &slot.name).with("reason", "unhealthy"));
            }
            Err(error) => {
                slot.health.forget();
                self.note(&slot.name, LogLevel::Error, &format!("it could not be started again: {error}"));
            }
        }
    }

    /// What is known about a plugin's health; calls nothing.
    pub fn health(&self, plugin: &str) -> Result<Value> {
        let slot = self.registry.loaded(plugin)?;
        let mut report = slot.health.to_json(&slot.recovery);
        report["plugin"] = (&*slot.name).into();
        Ok(report)
    }

    /// Asks a plugin now whether it is healthy, unless it is out of service or is being asked already; then as
    /// [`Self::health`].
    pub fn probe(self: &Arc<Self>, plugin: &str) -> Result<Value> {
        self.check_running()?;
        let slot = self.registry.loaded(plugin)?;
        self.ask(&slot);
        self.health(plugin)
    }

    /// Forgets a plugin's failures, so that it is started again after the next one.
    pub fn reset_crash_loop(&self, plugin: &str) -> Result<Value> {
        self.check_running()?;
        let slot = self.registry.loaded(plugin)?;
        slot.recovery.reset();
        slot.health.forget();
        self.health(plugin)
    }
}

/// A process that ended is known to have: its end was counted then, and the next start is on its way.
fn is_dealt_with(failure: &Error) -> bool {
    matches!(failure.code(), ErrorCode::PluginRestarting | ErrorCode::PluginCrashLoop)
}
