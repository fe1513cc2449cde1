//! New versions on probation, and the way back from one.

use std::sync::{Arc, Weak};
use std::time::Duration;

use serde_json::{Value, json};

use super::Manager;
use super::stopping::{check_not_around, let_go};
use super::swapping::{ReplaceOptions, at, describe};
use crate::clock;
use crate::error::{Result, bug};
use crate::executor;
use crate::host::{Event, LogLevel};
use crate::lifecycle::{Figures, Live, Slot, Source, Standby, State, trial};

/// How often a version on probation is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Longest wait for calls of a version that failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was found out about a version on probation.
enum Verdict {
    /// It is not on probation any more.
    Over,
    /// Nothing speaks against it so far.
    Open,
    /// It may stay.
    Passed,
    /// It must go.
    Worse(&'static str, Box<Value>),
}

impl Manager {
    /// Looks at the version with this number again and again while it is on probation.
    pub(super) fn watch_trial(self: &Arc<Self>, slot: &Arc<Slot>, generation: u64) {
        let (manager, watched) = (Arc::downgrade(self), Arc::downgrade(slot));
        let due = clock::now().saturating_add(clock::saturating_nanos(LOOK));
        let later = move || {
            let (busy, unseen) = (Weak::clone(&manager), Weak::clone(&watched));
            let look = move || {
                if let (Some(manager), Some(slot)) = (manager.upgrade(), watched.upgrade()) {
                    manager.look_at_trial(&slot, generation);
                }
            };
            // Too many jobs wait: a flood of calls must not end the probation.
            if executor::spawn(look).is_err()
                && let (Some(manager), Some(slot)) = (busy.upgrade(), unseen.upgrade())
            {
                manager.watch_trial(&slot, generation);
            }
        };
        if let Err(error) = executor::at(due, later) {
            self.note(&slot.name, LogLevel::Error, &format!("the new version can't be watched: {error}"));
        }
    }

    fn look_at_trial(self: &Arc<Self>, slot: &Arc<Slot>, generation: u64) {
        if self.is_shut_down() {
            return;
        }
        let outcome = match judge(slot, generation) {
            Verdict::Over => Ok(()),
            Verdict::Open => {
                self.watch_trial(slot, generation);
                Ok(())
            }
            Verdict::Passed => {
                self.let_rest(slot, generation);
                Ok(())
            }
            Verdict::Worse(reason, figures) => self.give_up(slot, generation, reason, *figures),
        };
        if let Err(error) = outcome {
            // It stays, as there is nothing to go back to: nobody looks any more.
            self.let_rest(slot, generation);
            self.note(&slot.name, LogLevel::Error, &format!("the way back to the previous version failed: {error}"));
            self.emit(Event::new("plugin.failed", &slot.name).with("step", "swap").with("error", error.to_json()));
        }
    }

    /// Goes back from a version that turned out worse, and lets go of it.
    fn give_up(self: &Arc<Self>, slot: &Arc<Slot>, generation: u64, reason: &str, figures: Value) -> Result<()> {
        let Some((left, _)) = self.go_back(slot, Some(generation), reason, figures)? else { return Ok(()) };
        self.note(&slot.name, LogLevel::Warn, &format!("went back from version {}: {reason}", left.version()));
        self.let_drain(slot, &left, PATIENCE);
        let_go(&left);
        Ok(())
    }

    /// Puts the version before back into service because an operator says so; the one that is left stays as the way forward.
    pub(super) fn take_back(self: &Arc<Self>, slot: &Arc<Slot>, options: &ReplaceOptions) -> Result<Value> {
        let patience = options.drain_ms.map_or(PATIENCE, Duration::from_millis);
        check_not_around(&[slot], patience).map_err(at("swap"))?;
        let gone = || bug!("the previous version went away");
        if options.probe != Some(false) {
            self.check_standby(slot)?;
        }
        let (left, mut report) = self.go_back(slot, None, "operator", Value::Null)?.ok_or_else(gone)?;
        let drained = self.let_drain(slot, &left, patience);
        if let Some(number) = report["generation"].as_u64() {
            self.let_rest(slot, number);
        }
        report["kind"] = "rolled_back".into();
        report["enabled"] = slot.is_enabled().into();
        report["drained"] = drained.into();
        report["calls_running"] = left.in_flight().into();
        report["probation_ms"] = 0.into();
        Ok(report)
    }

    /// Asks the version before whether it is healthy still: it may have been at rest for long. What must not run is not asked.
    fn check_standby(&self, slot: &Slot) -> Result<()> {
        let Some(previous) = slot.standby().as_ref().map(|standby| Arc::clone(&standby.generation)) else {
            return Ok(());
        };
        self.gate.judge_again(&previous.origin.verified).map_err(at("verify"))?;
        self.check_healthy(&previous).map_err(at("probe")).inspect_err(|_| {
            if previous.state() == State::Resting {
                // What it was given for the answer is taken back.
                let _ = previous.plugin.rest();
            }
        })
    }

    /// Exchanges the version that serves for the one before. With a number, only while that version serves, and it is not kept.
    fn go_back(
        &self,
        slot: &Arc<Slot>,
        only_from: Option<u64>,
        reason: &str,
        figures: Value,
    ) -> Result<Option<(Arc<Live>, Value)>> {
        let turn = self.turn();
        self.check_running()?;
        let Some(current) = slot.serving().filter(|live| only_from.is_none_or(|number| live.number == number)) else {
            return Ok(None);
        };
        let is_meant = |standby: &&Standby| only_from.is_none() || standby.trial.is_some();
        let Some(previous) = slot.standby().as_ref().filter(is_meant).map(|standby| Arc::clone(&standby.generation))
        else {
            return Ok(None);
        };
        self.gate.judge_again(&previous.origin.verified).map_err(at("verify"))?;
        let recorded = self.record_return(slot, &previous);
        if only_from.is_none() {
            recorded?;
        } else if let Err(error) = recorded {
            // Calls that fail are worse than a record that is behind.
            self.note(&slot.name, LogLevel::Error, &format!("the record of packages is behind: {error}"));
        }
        let mut report = describe(slot, &current, &previous);
        report["collisions"] = self.collisions(slot, &previous).into();
        let left = self.switch(slot, &previous)?.ok_or_else(|| bug!("nothing was exchanged"))?;
        let kept = only_from.is_none().then(|| Standby { generation: Arc::clone(&left), trial: None });
        *slot.standby() = kept;
        slot.health.forget();
        drop(turn);
        let event = Event::new("plugin.rolled_back", &slot.name)
            .with("reason", reason)
            .with("figures", figures)
            .with_all(&report, &["old_version", "new_version", "generation", "changes"])
            .with("old_registration", left.plugin.registration().document().clone())
            .with("registration", previous.plugin.registration().document().clone());
        self.emit(event);
        Ok(Some((left, report)))
    }

    /// The record of installed packages must say what runs.
    fn record_return(&self, slot: &Slot, previous: &Live) -> Result<()> {
        let Source::Package { key } = &previous.origin.source else { return Ok(()) };
        if let Some(change) = self.store()?.make_current(&slot.name, key).map_err(at("package"))? {
            self.tell(change);
        }
        Ok(())
    }
}

fn judge(slot: &Slot, generation: u64) -> Verdict {
    let Some(live) = slot.serving().filter(|live| live.number == generation) else { return Verdict::Over };
    let Some(trial) = slot.standby().as_ref().and_then(|standby| standby.trial) else { return Verdict::Over };
    let now = live.figures();
    match trial::compare(&trial.before, &now, &trial.rules) {
        Some(worse) => Verdict::Worse(worse.name(), Box::new(figures(&trial.before, &now))),
        None if clock::now() >= trial.until => Verdict::Passed,
        None => Verdict::Open,
    }
}

fn figures(old: &Figures, new: &Figures) -> Value {
    json!({ "old": old.to_json(), "new": new.to_json() })
}
