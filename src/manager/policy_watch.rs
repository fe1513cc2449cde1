//! Changes that other processes make in the policy store act here too, within a second and without a restart.

use std::sync::{Arc, Weak};
use std::thread::Thread;
use std::time::Duration;

use super::Manager;
use super::stopping::put_to_rest;
use crate::error::{Error, ErrorCode, Result};
use crate::executor::with_thread_mask;
use crate::host::{Event, LogLevel};
use crate::lifecycle::Slot;

/// How often the store is asked whether somebody changed it.
const POLL: Duration = Duration::from_millis(250);

/// What was learned is kept every so many turns: a plugin that is refused all the time must not cause a write each time.
const POLLS_BETWEEN_EVIDENCE: u32 = 20;

/// The thread that asks. It ends soon after this is dropped, or the manager is.
pub(super) struct PolicyWatch(Thread);

impl Drop for PolicyWatch {
    fn drop(&mut self) {
        self.0.unpark();
    }
}

impl PolicyWatch {
    /// Starts to ask, if the store is one that others can change.
    pub(super) fn start(manager: &Arc<Manager>) -> Result<Option<Self>> {
        if matches!(manager.policies.store.marker(), Ok(None)) {
            return Ok(None);
        }
        let watched = Arc::downgrade(manager);
        let thread = std::thread::Builder::new().name("policy-watch".into());
        let started = with_thread_mask(|| thread.spawn(move || watch(&watched)));
        let handle = started.map_err(|problem| {
            Error::new(ErrorCode::EnvironmentResources, "can't start a thread for the policy store")
                .with_source(problem)
        })?;
        Ok(Some(Self(handle.thread().clone())))
    }
}

fn watch(manager: &Weak<Manager>) {
    let (mut seen, mut turn) = (None, 0_u32);
    loop {
        std::thread::park_timeout(POLL);
        let Some(manager) = manager.upgrade().filter(|manager| !manager.is_shut_down()) else { return };
        seen = manager.look_at_store(seen);
        turn = turn.wrapping_add(1);
        if turn.is_multiple_of(POLLS_BETWEEN_EVIDENCE) {
            manager.keep_all_evidence();
        }
    }
}

/// What was last seen of the store: nothing yet, its marker, or that it can't be read.
type Seen = Option<std::result::Result<u64, ()>>;

impl Manager {
    fn look_at_store(&self, seen: Seen) -> Seen {
        match self.policies.store.marker() {
            Ok(marker) => {
                let now = Some(Ok(marker.unwrap_or(0)));
                // A load that could not read the store has to be caught up with, although nothing changed.
                let is_settled = now == seen && !self.policies.take_unread();
                if is_settled || self.refresh() { now } else { seen.filter(|seen| seen.is_err()) }
            }
            Err(error) => {
                if !matches!(seen, Some(Err(()))) {
                    self.tell_store(&error);
                }
                Some(Err(()))
            }
        }
    }

    fn keep_all_evidence(&self) {
        for slot in self.registry.all_loaded() {
            if let Some(generation) = slot.serving() {
                self.keep_evidence(&slot, &generation);
            }
        }
    }

    /// Puts in force what others stored; false when something could not be read. What is in force stays then.
    fn refresh(&self) -> bool {
        // In turn, so that a plugin which is being loaded has either read what there is now, or is looked at.
        let loaded = {
            let _turn = self.turn();
            self.registry.all_loaded()
        };
        // Every plugin is looked at, whatever happens to the one before it.
        let failures = loaded.iter().filter(|slot| self.refresh_one(slot).is_err()).count();
        failures == 0
    }

    fn refresh_one(&self, slot: &Arc<Slot>) -> Result<()> {
        let _turn = self.turn();
        let Some(generation) = slot.serving() else { return Ok(()) };
        let stored = self.policies.load(&slot.name)?;
        let enabled = self.policies.store.load_enabled(&slot.name)?.unwrap_or(true);
        if slot.is_enabled() != enabled {
            slot.set_enabled(enabled);
            if !enabled {
                put_to_rest(slot, &generation);
            }
            self.emit(Event::new(if enabled { "plugin.enabled" } else { "plugin.disabled" }, &slot.name));
        }
        let was_unknown = self.policies.remember_enabled(&slot.name, enabled);
        let revision = stored.as_ref().map_or(0, |stored| stored.revision);
        if self.policies.remember(&slot.name, stored) || was_unknown {
            self.put_in_force(slot, &generation);
            self.emit(Event::new("policy.changed", &slot.name).with("revision", revision));
        }
        Ok(())
    }

    /// Tells every plugin's log that changes of its policy can't be seen for now.
    fn tell_store(&self, problem: &Error) {
        for slot in self.registry.all_loaded() {
            let text = format!("the policy store can't be read, the policy in force stays: {problem}");
            self.note(&slot.name, LogLevel::Error, &text);
        }
    }
}
