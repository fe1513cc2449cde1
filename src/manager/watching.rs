//! Plugins under development: what is changed on disk is loaded by itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::Manager;
use super::swapping::ReplaceOptions;
use crate::clock;
use crate::error::{Error, ErrorCode, Result};
use crate::executor;
use crate::host::{Event, LogLevel};
use crate::json;
use crate::lifecycle::watch::{POLL, QUIET, Scope, Settings, Status};
use crate::lifecycle::{Slot, Source, Watch, Watcher};
use crate::package::files::shown;

/// Bounds of what a host may set, in milliseconds.
const QUIET_MS: std::ops::RangeInclusive<u64> = 10..=60_000;
const POLL_MS: std::ops::RangeInclusive<u64> = 10..=3_600_000;

/// How long a change waits for an exchange of the same plugin before it is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// How a host wants a plugin to be watched.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WatchOptions {
    mode: WatchMode,
    quiet_ms: u64,
    poll_ms: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WatchMode {
    /// Events of the system, where it sends any.
    #[default]
    Auto,
    /// Looking again and again.
    Polling,
}

impl Default for WatchOptions {
    fn default() -> Self {
        let milliseconds = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self { mode: WatchMode::Auto, quiet_ms: milliseconds(QUIET), poll_ms: milliseconds(POLL) }
    }
}

/// Everything that a manager watches, by path.
#[derive(Default)]
pub(super) struct Watches {
    watcher: Watcher,
    by_path: Mutex<BTreeMap<PathBuf, Watched>>,
}

struct Watched {
    watch: Watch,
    origin: Arc<Origin>,
}

/// Where a plugin comes from, and what became of it.
struct Origin {
    path: PathBuf,
    state: Mutex<State>,
    /// Held while what is there is loaded.
    loading: Mutex<()>,
    /// Counts how often that was begun.
    begun: AtomicU64,
}

#[derive(Default)]
struct State {
    plugin: Option<Arc<str>>,
    error: Option<Value>,
}

impl Watches {
    /// Ends all of them.
    pub(super) fn end(&self) {
        let ended = std::mem::take(&mut *lock(&self.by_path));
        drop(ended);
    }
}

impl Watched {
    fn to_json(&self) -> Value {
        let mut report = self.watch.status().to_json();
        let state = lock(&self.origin.state);
        report["path"] = shown(&self.origin.path).into();
        report["plugin"] = state.plugin.as_deref().into();
        report["error"] = state.error.clone().into();
        report
    }
}

impl Manager {
    /// Watches what a loaded plugin came from, or a path: what changes there is loaded by itself, through the same gate as
    /// everything else. A path that is not loaded yet is loaded now, or as soon as it can be. `options` is JSON
    /// `{"mode": "auto" | "polling", "quiet_ms": …, "poll_ms": …}` or empty. For development.
    pub fn watch(self: &Arc<Self>, target: &str, options: &[u8]) -> Result<Value> {
        self.check_running()?;
        let settings = settings(options)?;
        let (path, plugin) = self.watched_path(target)?;
        let origin = Arc::new(Origin {
            path: path.clone(),
            state: Mutex::new(State { plugin: plugin.clone(), error: None }),
            loading: Mutex::new(()),
            begun: AtomicU64::new(0),
        });
        if lock(&self.watches.by_path).contains_key(&path) {
            return Err(conflict(format!("`{}` is watched already (unwatch it first)", shown(&path))));
        }
        let changed = self.follower(&origin);
        let told = self.teller(&origin);
        let watch = self.watches.watcher.watch(&path, Scope::Plugin, settings, changed, told)?;
        // Not before it is watched: a change in between would be missed.
        if plugin.is_none() {
            self.follow(&origin);
        }
        let watched = Watched { watch, origin };
        let report = watched.to_json();
        lock(&self.watches.by_path).insert(path, watched);
        // A manager that was shut down meanwhile watches nothing.
        if self.is_shut_down() {
            self.watches.end();
        }
        Ok(report)
    }

    /// Watches a plugin or path no more. The plugin stays loaded.
    pub fn unwatch(&self, target: &str) -> Result<()> {
        let mut by_path = lock(&self.watches.by_path);
        let is_meant = |path: &Path, watched: &Watched| {
            path == Path::new(target)
                || std::path::absolute(target).is_ok_and(|absolute| path == absolute)
                || lock(&watched.origin.state).plugin.as_deref() == Some(target)
        };
        let found = by_path.iter().find(|(path, watched)| is_meant(path, watched)).map(|(path, _)| path.clone());
        let ended = found.and_then(|path| by_path.remove(&path));
        drop(by_path);
        match ended {
            Some(_) => Ok(()),
            None => {
                let target = crate::plugin::name::shorten(target, 200);
                Err(conflict(format!("`{target}` is not watched")))
            }
        }
    }

    /// Everything that is watched: how, what is loaded from it, and why not if it could not be.
    #[must_use]
    pub fn watches(&self) -> Value {
        lock(&self.watches.by_path).values().map(Watched::to_json).collect()
    }

    /// The path that is meant, and the plugin that was loaded from it.
    fn watched_path(&self, target: &str) -> Result<(PathBuf, Option<Arc<str>>)> {
        let absolute = |path: &Path| {
            std::path::absolute(path).map_err(|error| {
                Error::new(ErrorCode::ArgumentInvalid, format!("can't watch `{}`", shown(path))).with_source(error)
            })
        };
        let loaded = self.registry.all_loaded();
        let source = |slot: &Arc<Slot>| slot.serving().map(|live| live.origin.source.clone());
        if let Some(slot) = loaded.iter().find(|slot| *slot.name == *target) {
            let Some(Source::Path(path)) = source(slot) else {
                return Err(conflict(format!(
                    "`{target}` is an installed package, which changes when one is installed"
                )));
            };
            return Ok((absolute(&path)?, Some(Arc::clone(&slot.name))));
        }
        let path = absolute(Path::new(target))?;
        let is_from = |slot: &&Arc<Slot>| match source(slot) {
            Some(Source::Path(known)) => std::path::absolute(known).is_ok_and(|known| known == path),
            _ => false,
        };
        let known = loaded.iter().find(is_from).map(|slot| Arc::clone(&slot.name));
        Ok((path, known))
    }

    fn follower(self: &Arc<Self>, origin: &Arc<Origin>) -> Box<dyn Fn() -> bool + Send + Sync> {
        let (manager, origin): (Weak<Self>, _) = (Arc::downgrade(self), Arc::clone(origin));
        Box::new(move || manager.upgrade().is_none_or(|manager| manager.follow(&origin)))
    }

    fn teller(self: &Arc<Self>, origin: &Arc<Origin>) -> Box<dyn Fn(&Status) + Send + Sync> {
        let (manager, origin) = (Arc::downgrade(self), Arc::clone(origin));
        Box::new(move |status| {
            let Some(manager) = manager.upgrade() else { return };
            let plugin = lock(&origin.state).plugin.clone().unwrap_or_else(|| "".into());
            let mut event = Event::new("plugin.watching", &plugin).with("path", shown(&origin.path));
            if let Value::Object(fields) = status.to_json() {
                event.body.extend(fields);
            }
            manager.emit(event);
        })
    }

    /// Loads what is there now. Whatever goes wrong, what serves goes on serving.
    fn follow(self: &Arc<Self>, origin: &Arc<Origin>) -> bool {
        let _one_at_a_time = lock(&origin.loading);
        let begun = origin.begun.fetch_add(1, Ordering::Relaxed) + 1;
        let before = lock(&origin.state).plugin.clone();
        let outcome = self.take_up(&origin.path, before.as_ref());
        let mut state = lock(&origin.state);
        match outcome {
            Ok(plugin) => {
                *state = State { plugin: Some(plugin), error: None };
                true
            }
            Err(error) => {
                let known = state.error.replace(error.to_json());
                drop(state);
                let is_in_the_way = error.code() == ErrorCode::LifecycleSwapping;
                if is_in_the_way {
                    self.follow_later(origin, begun);
                }
                // That it is tried again is told once.
                if !is_in_the_way || known.is_none_or(|known| known["code"] != error.code().slug()) {
                    self.tell_failed(origin, before, &error);
                }
                false
            }
        }
    }

    /// Loads what is there once the exchange that is in the way may have ended, unless that was begun again meanwhile.
    fn follow_later(self: &Arc<Self>, origin: &Arc<Origin>, begun: u64) {
        let (manager, origin) = (Arc::downgrade(self), Arc::clone(origin));
        let follow = move || {
            let Some(manager) = manager.upgrade().filter(|manager| !manager.is_shut_down()) else { return };
            let is_watched = lock(&manager.watches.by_path)
                .get(&origin.path)
                .is_some_and(|watched| Arc::ptr_eq(&watched.origin, &origin));
            if is_watched && origin.begun.load(Ordering::Relaxed) == begun {
                manager.follow(&origin);
            }
        };
        let due = clock::now().saturating_add(clock::saturating_nanos(RETRY));
        // Without a thread the next touch of the files tries again.
        let _ = executor::at(due, move || drop(executor::spawn(follow)));
    }

    /// Loads what is at `path`, in place of the plugin that was loaded from there before. Whoever works on a plugin wants to
    /// see the new version, however it does: it is on no probation, and calls of the old one end behind it.
    fn take_up(self: &Arc<Self>, path: &Path, before: Option<&Arc<str>>) -> Result<Arc<str>> {
        match before.filter(|plugin| self.registry.loaded(plugin).is_ok()) {
            Some(plugin) => {
                let options = ReplaceOptions { drain_ms: Some(0), probe: None, probation_ms: Some(0) };
                // No other plugin's place is taken: who may write this file need not be who may write that one's.
                self.renew_from(path, plugin, &options).map(|()| Arc::clone(plugin))
            }
            None => self.load(path),
        }
    }

    fn tell_failed(&self, origin: &Origin, plugin: Option<Arc<str>>, error: &Error) {
        let plugin = plugin.unwrap_or_else(|| "".into());
        let failed = Event::new("plugin.failed", &plugin)
            .with("cause", "watch")
            .with("path", shown(&origin.path))
            .with("step", error.detail().get("step").cloned().unwrap_or_default())
            .with("error", error.to_json());
        self.emit(failed);
        self.note(&plugin, LogLevel::Error, &format!("what changed on disk can't be loaded: {error}"));
    }
}

fn settings(options: &[u8]) -> Result<Settings> {
    let options: WatchOptions = match options {
        [] => WatchOptions::default(),
        text => json::from_object(text).map_err(|error| {
            Error::new(
                ErrorCode::ArgumentJson,
                "the options are not {\"mode\": \"auto\" or \"polling\", \"quiet_ms\": …, \"poll_ms\": …}",
            )
            .with_source(error)
        })?,
    };
    for (name, value, range) in [("quiet_ms", options.quiet_ms, QUIET_MS), ("poll_ms", options.poll_ms, POLL_MS)] {
        if !range.contains(&value) {
            let (least, most) = range.into_inner();
            return Err(Error::new(ErrorCode::ArgumentInvalid, format!("`{name}` is between {least} and {most}")));
        }
    }
    Ok(Settings {
        quiet: Duration::from_millis(options.quiet_ms),
        poll: Duration::from_millis(options.poll_ms),
        is_polling: matches!(options.mode, WatchMode::Polling),
    })
}

fn conflict(problem: String) -> Error {
    Error::new(ErrorCode::LifecycleWatchConflict, problem)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Watches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watches").finish_non_exhaustive()
    }
}
