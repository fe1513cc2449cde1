//! Notices when what a plugin came from has changed, for development: one thread for all watches.
//!
//! - `scope`: which files of a path count, and which directories they are found in.
//! - `resolve`: the links and directories that a path goes through, so that the exchange of any of them is noticed.
//! - `snapshot`: how those files are at a moment, and a hash of their content.
//! - `target`: what one watch has seen and what it does next.
//! - `worker`: the thread; `linux` (inotify) wakes it up.
//!
//! Events only say *when to look*. Whether anything changed is decided by content: a change is handed over when the files
//! stayed as they are for the quiet time, nobody has one of them open after writing to it, and their hash differs from
//! what was handed over last. So every real change is handed over once, whatever an editor does to make it.

mod resolve;
mod scope;
mod snapshot;
mod target;
mod worker;

#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod platform;
#[cfg(not(target_os = "linux"))]
#[path = "unsupported.rs"]
mod platform;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use serde_json::{Value, json};

use crate::error::{Error, ErrorCode, Result};
pub use scope::Scope;
use target::Target;
use worker::Link;

/// Most files and directories of one watch.
pub const MAX_ENTRIES: usize = 10_000;

/// How long files must stay as they are before a change is handed over.
pub const QUIET: Duration = Duration::from_millis(50);

/// How often files are looked at where the system sends no events.
pub const POLL: Duration = Duration::from_millis(500);

/// Called on a worker thread when something changed, one call of a watch at a time; false when the change could not be
/// taken up: then it is handed over again as soon as somebody as much as touches the files.
pub type Changed = Box<dyn Fn() -> bool + Send + Sync>;

/// Called when it is settled how changes are noticed, and when that has to change.
pub type Told = Box<dyn Fn(&Status) + Send + Sync>;

/// How a watch works.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How long files must stay as they are before a change is handed over.
    pub quiet: Duration,
    /// How often files are looked at where the system sends no events.
    pub poll: Duration,
    /// Does not ask the system for events.
    pub is_polling: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { quiet: QUIET, poll: POLL, is_polling: false }
    }
}

/// How changes are noticed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Mode {
    /// The system tells.
    #[default]
    Events,
    /// By looking again and again, for this reason.
    Polling(String),
}

/// What is known of a watch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// How changes are noticed.
    pub mode: Mode,
    /// Files and directories that are looked at.
    pub entries: usize,
    /// Changes that were handed over.
    pub changes: u64,
    /// What keeps it from working as it should.
    pub problem: Option<String>,
}

impl Status {
    /// The status as hosts read it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let (mode, reason) = match &self.mode {
            Mode::Events => ("events", None),
            Mode::Polling(reason) => ("polling", Some(reason)),
        };
        json!({
            "mode": mode,
            "reason": reason,
            "entries": self.entries,
            "changes": self.changes,
            "problem": self.problem,
        })
    }
}

/// Watches files; its thread and its descriptors exist while there is something to watch.
#[derive(Default)]
pub struct Watcher {
    link: Mutex<Weak<Link>>,
}

/// A watch; dropping it ends it.
pub struct Watch {
    id: u64,
    link: Arc<Link>,
    status: Arc<Mutex<Status>>,
    is_over: Arc<AtomicBool>,
}

impl Watcher {
    /// Watches `path`, which need not exist yet. What it holds at this moment counts as known.
    pub fn watch(&self, path: &Path, scope: Scope, settings: Settings, changed: Changed, told: Told) -> Result<Watch> {
        let path = std::path::absolute(path).map_err(|error| {
            Error::new(ErrorCode::ArgumentInvalid, format!("can't watch `{}`", path.display())).with_source(error)
        })?;
        let mut target = Target::new(path, scope, settings, changed, told);
        let (status, is_over) = (Arc::clone(&target.status), Arc::clone(&target.is_over));
        let link = self.running_link()?;
        let id = link.next_id();
        link.with_source(|source| target.begin(source))?;
        link.add(id, target);
        Ok(Watch { id, link, status, is_over })
    }

    fn running_link(&self) -> Result<Arc<Link>> {
        let mut link = lock(&self.link);
        if let Some(running) = link.upgrade() {
            return Ok(running);
        }
        let started = Link::start()?;
        *link = Arc::downgrade(&started);
        Ok(started)
    }
}

impl Watch {
    /// How it goes.
    #[must_use]
    pub fn status(&self) -> Status {
        lock(&self.status).clone()
    }
}

/// No change is handed over any more; one that is being taken up is finished.
impl Drop for Watch {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        self.link.remove(self.id);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Watcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watcher").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("status", &self.status()).finish_non_exhaustive()
    }
}
