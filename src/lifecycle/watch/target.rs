//! What one watch has seen, and what it does next.
//!
//! ```text
//!           event, or time to look            differs              stayed as it is, hash differs
//!   Idle ───────────────────────▶ Look ───────────────▶ Settling ────────────────────────────▶ Taken
//!    ▲                             │ nothing happened     │ hash is known, or nothing whole      │ taken up
//!    └─────────────────────────────┴──────────────────────┘                    Look ◀────────────┘
//! ```

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::platform::{Armed, Happened, Notice, Source, Wanting};
use super::scope::{Interest, Plan, Scope};
use super::snapshot::{Content, Snapshot};
use super::{Changed, Mode, Settings, Status, Told, lock};
use crate::clock::{self, Nanos, saturating_nanos};
use crate::error::Result;

/// Between an event and the look at the files: most writes are whole by then.
const BREATH: Duration = Duration::from_millis(2);
/// A file that somebody wrote to and has not closed is waited for; a writer that never closes it only so long.
const WRITER_PATIENCE: Duration = Duration::from_secs(2);
/// Files that somebody touches all the time are looked at after this time, or this many quiet times, all the same.
const LONGEST_UNREST: Duration = Duration::from_secs(2);
const LONGEST_UNREST_IN_QUIETS: u32 = 20;
/// Open files that are remembered.
const MAX_WRITERS: usize = 1_000;
/// How often a plan is made again because directories came while it was put in force.
const MAX_ARMINGS: usize = 4;

pub(super) struct Target {
    pub(super) status: Arc<Mutex<Status>>,
    pub(super) changed: Arc<Changed>,
    pub(super) is_over: Arc<AtomicBool>,
    told: Told,
    path: PathBuf,
    scope: Scope,
    settings: Settings,
    plan: Plan,
    armed: Armed,
    seen: Snapshot,
    known: Content,
    /// What is known could not be taken up.
    has_failed: bool,
    phase: Phase,
    /// Since when the files have not stayed as they are.
    restless_since: Option<Nanos>,
    /// Files that are open after somebody wrote to them, by directory and name, and since when.
    writers: HashMap<(i32, OsString), Nanos>,
    look_cost: Nanos,
}

enum Phase {
    Idle { since: Nanos },
    Look { at: Nanos, settling: Option<Settling> },
    Settling(Settling),
    Taken,
}

#[derive(Clone)]
struct Settling {
    snapshot: Snapshot,
    due: Nanos,
}

impl Target {
    pub(super) fn new(path: PathBuf, scope: Scope, settings: Settings, changed: Changed, told: Told) -> Self {
        let seen = Snapshot::take(&Default::default());
        let mode = match settings.is_polling {
            true => Mode::Polling("asked for".into()),
            false => Mode::Events,
        };
        Self {
            status: Arc::new(Mutex::new(Status { mode, ..Status::default() })),
            changed: Arc::new(changed),
            is_over: Arc::default(),
            told,
            path,
            scope,
            settings,
            plan: Plan::default(),
            armed: Armed::default(),
            known: seen.content(),
            seen,
            has_failed: false,
            phase: Phase::Idle { since: clock::now() },
            restless_since: None,
            writers: HashMap::new(),
            look_cost: 0,
        }
    }

    /// Looks for the first time: what is there counts as known.
    pub(super) fn begin(&mut self, source: &Mutex<Source>) -> Result<()> {
        if let Err(problem) = self.arm(source) {
            self.release(source);
            return Err(problem);
        }
        self.seen = Snapshot::take(&self.plan.files);
        self.known = self.seen.content();
        // Again on the thread, which did not hear of this target's events so far.
        self.phase = Phase::Look { at: clock::now(), settling: None };
        self.tell();
        Ok(())
    }

    /// Lets go of what the system watches for it.
    pub(super) fn release(&mut self, source: &Mutex<Source>) {
        lock(source).release(std::mem::take(&mut self.armed));
    }

    /// When it wants to be asked again.
    pub(super) fn due(&self) -> Option<Nanos> {
        match &self.phase {
            Phase::Idle { since } => {
                self.is_polling().then(|| since.saturating_add(saturating_nanos(self.settings.poll)))
            }
            Phase::Look { at, .. } => Some(*at),
            Phase::Settling(settling) => Some(settling.due),
            Phase::Taken => None,
        }
    }

    /// Something happened to the files, maybe.
    pub(super) fn notice(&mut self, notice: &Notice, now: Nanos) {
        let Notice { watch, name, happened } = notice;
        if *happened == Happened::Overflow {
            self.writers.clear();
        } else if !self.armed.concerns(*watch, name.as_deref()) {
            return;
        }
        if *happened == Happened::Ignored {
            self.armed.forget(*watch);
        }
        if let Some(name) = name {
            self.note_writer(*watch, name, *happened, now);
        }
        self.look_soon(now);
    }

    /// Does what is due; true when a change is to be handed over.
    pub(super) fn step(&mut self, now: Nanos, source: &Mutex<Source>) -> bool {
        if self.due().is_none_or(|due| due > now) {
            return false;
        }
        match std::mem::replace(&mut self.phase, Phase::Idle { since: now }) {
            Phase::Idle { .. } => self.look(None, source),
            Phase::Look { settling, .. } => self.look(settling, source),
            Phase::Settling(settling) => self.settle(&settling, source),
            Phase::Taken => {
                self.phase = Phase::Taken;
                false
            }
        }
    }

    /// The change that was handed over was taken up, or could not be.
    pub(super) fn taken(&mut self, is_ok: bool) {
        self.has_failed = !is_ok;
        self.phase = Phase::Look { at: clock::now(), settling: None };
    }

    fn is_polling(&self) -> bool {
        lock(&self.status).mode != Mode::Events
    }

    fn look_soon(&mut self, now: Nanos) {
        // Looks at large trees are further apart, so that a stream of events does not keep the thread busy.
        let at = now.saturating_add(saturating_nanos(BREATH).max(self.look_cost.saturating_mul(4)));
        self.phase = match std::mem::replace(&mut self.phase, Phase::Taken) {
            Phase::Idle { .. } => Phase::Look { at, settling: None },
            Phase::Settling(settling) => Phase::Look { at, settling: Some(settling) },
            // What is taken up is looked at afterwards anyway.
            phase @ (Phase::Look { .. } | Phase::Taken) => phase,
        };
    }

    fn look(&mut self, settling: Option<Settling>, source: &Mutex<Source>) -> bool {
        let Some(snapshot) = self.refresh(source) else { return false };
        let now = clock::now();
        self.phase = match settling {
            Some(settling) if settling.snapshot.is_like(&snapshot) => Phase::Settling(settling),
            Some(_) if self.is_overdue(now) => return self.conclude(snapshot, true),
            _ if self.seen.still_holds(&snapshot) => {
                self.restless_since = None;
                Phase::Idle { since: now }
            }
            _ => self.settling(snapshot, now),
        };
        false
    }

    fn settle(&mut self, settling: &Settling, source: &Mutex<Source>) -> bool {
        let Some(snapshot) = self.refresh(source) else { return false };
        let now = clock::now();
        let is_overdue = self.is_overdue(now);
        let is_restless = !settling.snapshot.is_like(&snapshot)
            || self.is_being_written(now)
            || snapshot.has_just_emptied(WRITER_PATIENCE);
        if is_restless && !is_overdue {
            self.phase = self.settling(snapshot, now);
            return false;
        }
        self.conclude(snapshot, is_overdue)
    }

    /// Looks whether the content is another one; true when that is to be handed over. Of files that are overdue only the
    /// content has to stay as it is, for as long as it takes to read it.
    fn conclude(&mut self, snapshot: Snapshot, is_overdue: bool) -> bool {
        self.restless_since = None;
        self.phase = Phase::Idle { since: clock::now() };
        if !self.plan.is_whole {
            self.seen = snapshot;
            return false;
        }
        let content = snapshot.content();
        let after = Snapshot::take(&self.plan.files);
        let is_settled = snapshot.is_like(&after) || is_overdue && after.content() == content;
        if !is_settled {
            self.phase = self.settling(after, clock::now());
            return false;
        }
        let is_touched = !self.seen.is_like(&snapshot);
        self.seen = snapshot;
        if content == self.known && !(self.has_failed && is_touched) {
            return false;
        }
        self.known = content;
        self.phase = Phase::Taken;
        lock(&self.status).changes += 1;
        true
    }

    fn settling(&mut self, snapshot: Snapshot, now: Nanos) -> Phase {
        self.restless_since.get_or_insert(now);
        Phase::Settling(Settling { snapshot, due: now.saturating_add(saturating_nanos(self.settings.quiet)) })
    }

    fn is_overdue(&self, now: Nanos) -> bool {
        let longest = LONGEST_UNREST.max(self.settings.quiet.saturating_mul(LONGEST_UNREST_IN_QUIETS));
        self.restless_since.is_some_and(|since| now.saturating_sub(since) >= saturating_nanos(longest))
    }

    /// Looks which files count by now and how they are.
    fn refresh(&mut self, source: &Mutex<Source>) -> Option<Snapshot> {
        let started = clock::now();
        let problem = self.arm(source).err().map(|error| error.to_string());
        let is_news = {
            let mut status = lock(&self.status);
            let is_news = status.problem != problem;
            status.problem.clone_from(&problem);
            is_news
        };
        if is_news {
            self.tell();
        }
        let snapshot = problem.is_none().then(|| Snapshot::take(&self.plan.files));
        self.look_cost = clock::now().saturating_sub(started);
        snapshot
    }

    /// Makes the plan and lets the system watch what it names, again where directories came in between.
    fn arm(&mut self, source: &Mutex<Source>) -> Result<()> {
        for _ in 0..MAX_ARMINGS {
            let plan = Plan::of(&self.path, &self.scope)?;
            let is_settled = plan == self.plan;
            self.plan = plan;
            lock(&self.status).entries = self.plan.entries();
            if self.is_polling() {
                return Ok(());
            }
            let armed = lock(source).arm(&self.plan.places, &mut self.armed);
            if let Err(Wanting(reason)) = armed {
                self.release(source);
                lock(&self.status).mode = Mode::Polling(reason);
                self.tell();
                return Ok(());
            }
            if is_settled {
                return Ok(());
            }
        }
        Ok(())
    }

    fn note_writer(&mut self, watch: i32, name: &OsStr, happened: Happened, now: Nanos) {
        let key = (watch, name.to_owned());
        match happened {
            Happened::Modified if self.writers.len() < MAX_WRITERS => drop(self.writers.insert(key, now)),
            Happened::Closed | Happened::Gone => drop(self.writers.remove(&key)),
            _ => {}
        }
    }

    fn is_being_written(&mut self, now: Nanos) -> bool {
        let patience = saturating_nanos(WRITER_PATIENCE);
        let files = &self.plan.files;
        self.writers.retain(|(_, name), since| {
            let counts = files.iter().any(|file| file.file_name() == Some(name));
            counts && now.saturating_sub(*since) < patience
        });
        !self.writers.is_empty()
    }

    fn tell(&self) {
        let status = lock(&self.status).clone();
        (self.told)(&status);
    }
}

/// Directories and links that the system watches for one target.
impl Armed {
    fn concerns(&self, watch: i32, name: Option<&OsStr>) -> bool {
        match (self.interests.get(&watch), name) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(Interest::Itself), Some(_)) => false,
            (Some(Interest::Names(names)), Some(name)) => names.contains(name),
            (Some(Interest::Everything), Some(_)) => true,
        }
    }

    fn forget(&mut self, watch: i32) {
        self.interests.remove(&watch);
    }
}
