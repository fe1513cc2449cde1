//! The ways out of service: one plugin, all calls of one plugin, everything.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::Manager;
use crate::clock::{self, Nanos};
use crate::error::{Error, ErrorCode, Result};
use crate::executor::{self, with_thread_mask};
use crate::host::Event;
use crate::lifecycle::slot::shut_down;
use crate::lifecycle::{Live, Slot, State};
use crate::plugin::call::around;

/// Plugins that are stopped at the same time when everything is.
const STOPPED_AT_ONCE: usize = 32;

/// How long a disabled plugin may go on with calls that its policy sets no limit for.
const LONGEST_REST: Duration = Duration::from_secs(60);

impl Manager {
    /// Takes a plugin out of service: new calls are refused at once; calls under way get `patience` to end. When some do
    /// not, the plugin is gone all the same and the error says how many ran on: calls of a
    /// module end at their own deadlines, those of a native plugin end with its process.
    pub fn unload(&self, plugin: &str, patience: Duration) -> Result<()> {
        let slot = self.registry.loaded(plugin)?;
        check_not_around(&[&slot], patience)?;
        let turn = self.turn();
        let Some(generation) = slot.swap(None)? else {
            return self.registry.loaded(plugin).map(drop);
        };
        self.keep_evidence(&slot, &generation);
        self.translations.register(&slot.name, BTreeMap::new(), None);
        self.emit(Event::new("plugin.unloaded", &slot.name));
        let standby = slot.standby().take();
        drop(turn);
        let running = slot.drain(patience);
        let stopped = generation.plugin.stop(patience);
        generation.advance(State::Stopped)?;
        if let Some(standby) = standby {
            stop_standby(&standby.generation);
        }
        stopped?;
        if running == 0 { Ok(()) } else { Err(still_busy(&slot.name, running)) }
    }

    /// Keeps calls out; waits for those under way. When some do not end in time, the plugin is disabled all the same.
    pub fn disable(&self, plugin: &str, patience: Duration) -> Result<()> {
        check_not_around(&[&self.registry.loaded(plugin)?], patience)?;
        let slot = self.set_enabled(plugin, false)?;
        match slot.drain(patience) {
            0 => Ok(()),
            running => Err(still_busy(&slot.name, running)),
        }
    }

    /// Refuses everything from now on, waits for calls under way and stops all plugins, side by side; each gets `patience`,
    /// or what its policy's `shutdown_timeout` says if that is less. The report says of each plugin what became of it.
    pub fn shut_down(&self, patience: Duration) -> Result<Value> {
        self.check_running()?;
        check_not_around(&self.registry.slots().iter().collect::<Vec<_>>(), patience)?;
        let turn = self.turn();
        if self.shut_down.swap(true, Ordering::SeqCst) {
            return Err(shut_down());
        }
        let mut stopping = Vec::new();
        // In turn: whoever came in before is among them, and nobody comes in any more.
        for slot in self.registry.slots() {
            if let Some(generation) = slot.retire()? {
                stopping.push(Stopping::new(slot, generation, patience));
            }
        }
        drop(turn);
        self.watches.end();
        let plugins = stop_all(&stopping, &|stopping| self.stop_one(stopping));
        let drained = plugins.iter().all(|plugin| plugin["drained"] == true);
        Ok(json!({ "drained": drained, "plugins": plugins }))
    }

    fn stop_one(&self, stopping: &Stopping) -> Value {
        let Stopping { slot, generation, until } = stopping;
        let left = || Duration::from_nanos(until.saturating_sub(clock::now()));
        let drained = slot.drain(left()) == 0;
        let stopped = generation.plugin.stop(left()).and_then(|()| generation.advance(State::Stopped));
        if let Some(standby) = slot.standby().take() {
            stop_standby(&standby.generation);
        }
        self.keep_evidence(slot, generation);
        let calls_running = slot.drain(Duration::ZERO);
        let outcome = match &stopped {
            _ if calls_running > 0 => "still_busy",
            Err(_) => "killed",
            Ok(()) => "stopped",
        };
        json!({
            "plugin": &*slot.name,
            "outcome": outcome,
            "drained": drained,
            "calls_running": calls_running,
            "error": stopped.err().map(|error| error.to_json()),
        })
    }
}

/// A plugin that takes no calls any more.
struct Stopping {
    slot: Arc<Slot>,
    generation: Arc<Live>,
    /// When what it was given ends: the host's patience, or less if its policy says so.
    until: Nanos,
}

impl Stopping {
    fn new(slot: Arc<Slot>, generation: Arc<Live>, patience: Duration) -> Self {
        let patience = match slot.sandbox.policy.snapshot().policy.limits().shutdown_timeout_ms {
            0 => patience,
            limit_ms => patience.min(Duration::from_millis(limit_ms)),
        };
        let until = clock::now().saturating_add(clock::saturating_nanos(patience));
        Self { slot, generation, until }
    }
}

/// Stops plugins side by side, so that a slow one takes no time from the others; gives their reports in order.
fn stop_all(stopping: &[Stopping], stop: &(impl Fn(&Stopping) -> Value + Sync)) -> Vec<Value> {
    let next = AtomicUsize::new(0);
    let reports = Mutex::new(BTreeMap::new());
    let work = || {
        while let Some((index, plugin)) = {
            let index = next.fetch_add(1, Ordering::Relaxed);
            stopping.get(index).map(|plugin| (index, plugin))
        } {
            let report = stop(plugin);
            reports.lock().unwrap_or_else(PoisonError::into_inner).insert(index, report);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..stopping.len().min(STOPPED_AT_ONCE) {
            let thread = std::thread::Builder::new().name("goatflow-stop".into());
            // Where there are no more threads to be had, those that there are do it.
            if with_thread_mask(|| thread.spawn_scoped(scope, work)).is_err() {
                break;
            }
        }
        work();
    });
    reports.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
}

/// Ends the process of a plugin that was disabled, once its calls have ended: unlike a module, a program goes on without
/// being called. It is started again by the first call after the plugin was enabled.
pub(super) fn put_to_rest(slot: &Arc<Slot>, generation: &Arc<Live>) {
    if generation.plugin.process().is_none() {
        return;
    }
    let limits = slot.sandbox.policy.snapshot().policy.limits().clone();
    let patience = match limits.call_timeout_ms {
        0 => LONGEST_REST,
        timeout_ms => Duration::from_millis(timeout_ms),
    };
    let (slot, generation) = (Arc::clone(slot), Arc::clone(generation));
    // Without a thread the process stays until the plugin is stopped.
    let _ = executor::spawn(move || {
        generation.drain(patience);
        if slot.is_enabled() {
            return;
        }
        // Ended, or on its way.
        let _ = generation.plugin.rest();
    });
}

/// A generation that serves no call any more, or never did. What goes wrong concerns nobody any more.
pub(super) fn stop_standby(generation: &Live) {
    let _ = generation.plugin.stop(Duration::ZERO);
    let _ = generation.advance(State::Stopped);
}

/// A generation that no call will reach any more, while the plugin goes on: its last calls end where they are.
pub(super) fn let_go(generation: &Live) {
    let _ = generation.plugin.let_go();
    let _ = generation.advance(State::Stopped);
}

/// Everything in service is taken out of it when the last owner lets go; nothing is waited for.
impl Drop for Manager {
    fn drop(&mut self) {
        for slot in self.registry.slots() {
            if let Ok(Some(generation)) = slot.swap(None) {
                // Stopping a plugin without patience only lets go of it.
                let _ = generation.plugin.stop(Duration::ZERO);
            }
            if let Some(standby) = slot.standby().take() {
                stop_standby(&standby.generation);
            }
        }
    }
}

/// A callback that waits for the end of the very call it serves would wait for ever.
pub(super) fn check_not_around(slots: &[&Arc<Slot>], patience: Duration) -> Result<()> {
    let Some(around) = around().filter(|_| !patience.is_zero()) else { return Ok(()) };
    match slots.iter().find(|slot| around.chain.contains(&slot.name)) {
        None => Ok(()),
        Some(slot) => Err(Error::new(
            ErrorCode::LifecycleInCallback,
            format!(
                "plugin \"{}\" is in the middle of this very call (use a timeout of 0, or another thread)",
                slot.name
            ),
        )
        .with_plugin(&slot.name)),
    }
}

fn still_busy(plugin: &Arc<str>, calls: usize) -> Error {
    Error::new(
        ErrorCode::LifecycleBusy,
        format!(
            "plugin \"{plugin}\" takes no new calls, but {calls} did not end in time (those of a module end at their own deadlines, those of a native plugin with its process)"
        ),
    )
    .with_plugin(plugin)
    .with_detail("calls_running", calls)
}
