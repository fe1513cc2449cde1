//! One version of a plugin in place of another, while calls go on: load beside, look whether it is healthy, exchange one
//! pointer, let the calls of the old one end. Nothing that calls need is locked before the exchange.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Manager;
use super::loading::{self, Purpose};
use super::stopping::{check_not_around, let_go, stop_standby};
use crate::clock;
use crate::error::{Error, ErrorCode, Result, bug};
use crate::host::{Event, LogLevel};
use crate::json;
use crate::lifecycle::{Live, Slot, Source, Standby, State, Trial, changes};
use crate::package::Opened;
use crate::package::request::Asked;
use crate::plugin::call::with_room;
use crate::policy::SwapRules;

/// Longest wait for calls of the old version where its policy sets no time for calls.
const LONGEST_DRAIN: Duration = Duration::from_secs(30);

/// How a version is put in place of another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReplaceOptions {
    /// How long calls of the old version are waited for, in milliseconds; absent = the time that its policy gives a call.
    pub drain_ms: Option<u64>,
    /// Whether the new version must show that it is healthy; absent = yes.
    pub probe: Option<bool>,
    /// How long the new version is held against the old one, in milliseconds; absent = what the plugin's policy says.
    pub probation_ms: Option<u64>,
}

impl ReplaceOptions {
    /// Reads options; an empty text is the default.
    pub fn parse(text: &[u8]) -> Result<Self> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        json::from_object(text).map_err(|error| {
            Error::new(
                ErrorCode::ArgumentJson,
                "the options are not {\"drain_ms\": …, \"probe\": …, \"probation_ms\": …}",
            )
            .with_source(error)
        })
    }

    fn patience(&self, slot: &Slot) -> Duration {
        let policy_ms = slot.sandbox.policy.snapshot().policy.limits().call_timeout_ms;
        match self.drain_ms {
            Some(drain_ms) => Duration::from_millis(drain_ms),
            None if policy_ms == 0 => LONGEST_DRAIN,
            None => Duration::from_millis(policy_ms),
        }
    }
}

/// An exchange that is under way.
struct Exchange<'a> {
    slot: &'a Arc<Slot>,
    kind: &'static str,
    options: &'a ReplaceOptions,
}

impl Manager {
    /// Puts what is at `path` in place of the loaded plugin of the same name. Until it is in service, nothing happens to the
    /// old version, whatever fails. Gives a report.
    pub fn replace(self: &Arc<Self>, path: &Path, options: &ReplaceOptions) -> Result<Value> {
        self.check_running()?;
        with_room(|| self.replace_as(path, &Purpose::Replace, options)).map_err(|error| self.tell_failure(None, error))
    }

    /// As [`Self::replace`], but only in place of `plugin`, whatever name is said there; a failure is told by who calls this.
    pub(super) fn renew_from(self: &Arc<Self>, path: &Path, plugin: &str, options: &ReplaceOptions) -> Result<()> {
        let slot = self.registry.loaded(plugin)?;
        let _swapping = slot.begin_swap()?;
        self.replace_as(path, &Purpose::Renew(Arc::clone(&slot)), options).map(drop)
    }

    fn replace_as(self: &Arc<Self>, path: &Path, purpose: &Purpose, options: &ReplaceOptions) -> Result<Value> {
        let replace = || {
            let opened = crate::package::open(&self.gate, self.packages.as_ref(), path).map_err(at("verify"))?;
            self.exchange(opened, Some(path), purpose, "replaced", options)
        };
        replace().map_err(|error| {
            let path = crate::plugin::name::shorten(&path.display().to_string(), 300);
            error.with_detail("path", path)
        })
    }

    /// Loads a plugin again from where it came from, an installed package in its current version, and puts it in place of what
    /// serves.
    pub fn reload(self: &Arc<Self>, plugin: &str, options: &ReplaceOptions) -> Result<Value> {
        self.check_running()?;
        let slot = self.registry.loaded(plugin)?;
        let _swapping = slot.begin_swap()?;
        let reload = || {
            let source = slot.serving().map(|live| live.origin.source.clone());
            let source = source.ok_or_else(|| bug!("a loaded plugin without a source"))?;
            let opened = match &source {
                Source::Path(path) => crate::package::open(&self.gate, self.packages.as_ref(), path),
                Source::Package { .. } => self.store()?.open(&self.gate, plugin),
            };
            let path = match &source {
                Source::Path(path) => Some(path.as_path()),
                Source::Package { .. } => None,
            };
            let opened = opened.map_err(at("verify"))?;
            self.exchange(opened, path, &Purpose::Renew(Arc::clone(&slot)), "reloaded", options)
        };
        with_room(reload).map_err(|error| self.tell_failure(Some(&slot.name), error))
    }

    /// Puts the version before the one that serves back into service. For an installed package, the record of installed
    /// packages says the same afterwards.
    pub fn rollback(self: &Arc<Self>, plugin: &str, options: &ReplaceOptions) -> Result<Value> {
        self.check_running()?;
        let slot = self.registry.loaded(plugin)?;
        let _swapping = slot.begin_swap()?;
        let has_standby = slot.standby().is_some();
        let outcome =
            with_room(|| if has_standby { self.take_back(&slot, options) } else { self.reinstall(&slot, options) });
        outcome.map_err(|error| self.tell_failure(Some(&slot.name), error))
    }

    /// Loads the version before the current one of an installed package.
    fn reinstall(self: &Arc<Self>, slot: &Arc<Slot>, options: &ReplaceOptions) -> Result<Value> {
        let is_package = slot.serving().is_some_and(|live| matches!(live.origin.source, Source::Package { .. }));
        if !is_package {
            return Err(Error::new(
                ErrorCode::LifecycleNoPrevious,
                format!("plugin \"{}\" has no previous version to go back to (replace it by one)", slot.name),
            )
            .with_plugin(&slot.name));
        }
        let store = self.store()?;
        let change = store.roll_back(&slot.name).map_err(at("package"))?;
        let load = || {
            let opened = store.open(&self.gate, &slot.name).map_err(at("verify"))?;
            self.exchange(opened, None, &Purpose::Renew(Arc::clone(slot)), "rolled_back", options)
        };
        match load() {
            Ok(report) => {
                self.tell(change);
                Ok(report)
            }
            Err(error) => {
                // The record must say what runs.
                store.roll_back(&slot.name)?;
                Err(error)
            }
        }
    }

    /// Everything up to the exchange and after it, for a version that passed the gate.
    fn exchange(
        self: &Arc<Self>,
        opened: Opened,
        path: Option<&Path>,
        purpose: &Purpose,
        kind: &'static str,
        options: &ReplaceOptions,
    ) -> Result<Value> {
        let started = loading::start(self, opened, path, purpose).map_err(at("start"))?;
        let (candidate, live, accepted) = started.into_generation();
        let slot = &candidate.slot;
        let prepare = || {
            check_not_around(&[slot], options.patience(slot)).map_err(at("swap"))?;
            if options.probe != Some(false) {
                self.check_healthy(&live).map_err(at("probe"))?;
            }
            accepted.remember(self, live.plugin.registration()).map_err(at("swap"))
        };
        if let Err(error) = prepare() {
            live.advance(State::Failed)?;
            // It never served: stopping it only lets go of it.
            let _ = live.plugin.stop(Duration::ZERO);
            return Err(error.with_plugin(&slot.name));
        }
        live.advance(State::Ready)?;
        let outcome = self.bring_in(&Exchange { slot, kind, options }, &live).map_err(at("swap"));
        if live.state() == State::Ready {
            // The plugin was unloaded, or the manager shut down, at the last moment.
            stop_standby(&live);
        }
        outcome
    }

    pub(super) fn check_healthy(&self, live: &Live) -> Result<()> {
        live.plugin.probe(&loading::context(self.settings.health.timeout_ms)).map_err(|error| {
            Error::new(ErrorCode::PluginUnhealthy, "the new version does not answer the health probe")
                .with_detail("cause", error.to_json())
                .with_source(error)
        })
    }

    /// The exchange itself, and what follows.
    fn bring_in(self: &Arc<Self>, exchange: &Exchange<'_>, live: &Arc<Live>) -> Result<Value> {
        let Exchange { slot, kind, options } = *exchange;
        let turn = self.turn();
        self.check_running()?;
        let old =
            slot.serving().map_or_else(|| self.registry.loaded(&slot.name).and_then(|_| Err(bug!("lost"))), Ok)?;
        let collisions = self.collisions(slot, live);
        let mut report = describe(slot, &old, live);
        report["kind"] = kind.into();
        report["collisions"] = collisions.into();
        self.emit(Event::new("plugin.swapping", &slot.name).with_all(&report, &["kind", "old_version", "new_version"]));
        self.switch(slot, live)?;
        slot.health.forget();
        // Another version in the place of one that crashed too often is what was asked for.
        if slot.recovery.has_given_up() {
            slot.recovery.reset();
        }
        let trial = trial(slot, &old, options);
        let older = slot.standby().replace(Standby { generation: Arc::clone(&old), trial });
        drop(turn);
        self.tell_swap(slot, &old, live, &report);
        if trial.is_some() {
            self.watch_trial(slot, live.number);
        }
        if let Some(older) = older {
            let_go(&older.generation);
        }
        let drained = self.let_drain(slot, &old, options.patience(slot));
        if trial.is_none() {
            self.let_rest(slot, live.number);
        }
        report["enabled"] = slot.is_enabled().into();
        report["drained"] = drained.into();
        report["calls_running"] = old.in_flight().into();
        report["probation_ms"] = trial.map_or(0, |trial| trial.rules.probation_ms).into();
        Ok(report)
    }

    fn tell_swap(&self, slot: &Slot, old: &Live, live: &Live, report: &Value) {
        let told = ["kind", "old_version", "new_version", "generation", "changes", "collisions", "asks_for_more"];
        let swapped = Event::new("plugin.swapped", &slot.name)
            .with_all(report, &told)
            .with("old_registration", old.plugin.registration().document().clone())
            .with("registration", live.plugin.registration().document().clone());
        self.emit(swapped);
    }

    /// Waits for the calls of a version that serves no more.
    pub(super) fn let_drain(&self, slot: &Slot, old: &Live, patience: Duration) -> bool {
        let drained = old.drain(patience);
        let event = Event::new("plugin.drained", &slot.name)
            .with("version", old.version())
            .with("generation", old.number)
            .with("drained", drained)
            .with("calls_running", old.in_flight());
        self.emit(event);
        drained
    }

    /// The version before the one with this number is only kept for a way back: its code stays, its instances go. Does nothing
    /// when another one serves by now, whose probation is its own.
    pub(super) fn let_rest(&self, slot: &Slot, generation: u64) {
        let _turn = self.turn();
        if slot.serving().is_none_or(|live| live.number != generation) {
            return;
        }
        let mut standby = slot.standby();
        let Some(standby) = standby.as_mut() else { return };
        standby.trial = None;
        let previous = &standby.generation;
        let rested = previous.plugin.rest();
        let rested = if previous.state() == State::Draining {
            rested.and_then(|()| previous.advance(State::Resting))
        } else {
            rested
        };
        if let Err(error) = rested {
            self.note(&slot.name, LogLevel::Warn, &format!("the previous version keeps what it holds: {error}"));
        }
    }

    /// Tells that a version did not come into service; gives the error back.
    fn tell_failure(&self, plugin: Option<&Arc<str>>, error: Error) -> Error {
        let plugin = plugin.cloned().or_else(|| error.plugin().map(Arc::from)).unwrap_or_else(|| "".into());
        let detail = |name: &str| error.detail().get(name).cloned().unwrap_or_default();
        let event = Event::new("plugin.failed", &plugin)
            .with("step", detail("step"))
            .with("path", detail("path"))
            .with("error", error.to_json());
        self.emit(event);
        error
    }
}

/// Names the step that failed, unless one is named already.
pub(super) fn at(step: &'static str) -> impl Fn(Error) -> Error {
    move |error| error.with_detail("step", step)
}

/// What is different between two versions.
pub(super) fn describe(slot: &Slot, old: &Live, new: &Live) -> Value {
    let (before, after) = (old.plugin.registration(), new.plugin.registration());
    let asks_for_more = Asked::from_request(&new.request).beyond(&Asked::from_request(&old.request));
    json!({
        "plugin": &*slot.name,
        "old_version": before.version(),
        "new_version": after.version(),
        "old_generation": old.number,
        "generation": new.number,
        "changes": changes::between(before.document(), after.document()),
        "asks_for_more": asks_for_more,
        "warnings": new.warnings,
    })
}

/// How the new version is held against the old one; `None` when it is not.
fn trial(slot: &Slot, old: &Live, options: &ReplaceOptions) -> Option<Trial> {
    let rules = slot.sandbox.policy.snapshot().policy.swap_rules();
    let rules = SwapRules { probation_ms: options.probation_ms.unwrap_or(rules.probation_ms), ..rules };
    let until = clock::now().saturating_add(rules.probation_ms.saturating_mul(1_000_000));
    (rules.probation_ms > 0).then(|| Trial { until, before: old.figures(), rules })
}
