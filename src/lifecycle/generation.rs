//! One loaded version of a plugin, and the states of its life.
//!
//! ```text
//! Loading ─▶ Ready ─▶ Serving ⇄ Draining ─▶ Stopped
//!    │         │         ▲          │          ▲
//!    ▼         ▼         │          ▼          │
//!  Failed    Stopped     └─────  Resting ──────┘
//! ```

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use serde_json::Value;

use super::serving::Counted;
use super::traffic::Traffic;
use crate::error::{Result, bug};
use crate::package::Assets;
use crate::package::trust::Verified;
use crate::plugin::Plugin;
use crate::policy::ResourceRequest;

/// A generation with the number of its calls.
pub type Live = Counted<Generation>;

/// One loaded plugin.
pub struct Generation {
    /// The plugin.
    pub plugin: Box<dyn Plugin>,
    /// What it asks for.
    pub request: ResourceRequest,
    /// Warnings about its manifest and registration.
    pub warnings: Vec<String>,
    /// Where it was loaded from.
    pub origin: Origin,
    /// What its package brought besides the code.
    pub packaged: Packaged,
    /// Number of the generation: counts up under each name.
    pub number: u64,
    /// Calls into it.
    pub(super) traffic: Traffic,
    /// Where its figures go when it goes.
    past: Arc<Traffic>,
    state: AtomicU8,
}

/// Where a plugin was loaded from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// For messages and lists.
    pub shown: String,
    /// What `reload` loads again.
    pub source: Source,
    /// Verdict over its signatures.
    pub verified: Verified,
}

/// What is loaded again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// What is at this path.
    Path(PathBuf),
    /// The current version of an installed package; the key is that of the version that was loaded.
    Package {
        /// Key of the version.
        key: String,
    },
}

/// What a package brought besides the code.
#[derive(Debug, Default)]
pub struct Packaged {
    /// How the plugin runs, as its manifest calls it.
    pub runtime: &'static str,
    /// Verdict over its signatures, as reports show it.
    pub signature: Value,
    /// Files that hosts may read.
    pub assets: Option<Assets>,
    /// Texts of its package, without those that it registers.
    pub texts: std::collections::BTreeMap<String, std::collections::BTreeMap<String, String>>,
}

/// Where a generation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// It runs, but has not shown yet that it is healthy.
    Loading,
    /// It may serve.
    Ready,
    /// New calls come here.
    Serving,
    /// No new calls come here; some may be under way.
    Draining,
    /// Kept without instances, for a way back.
    Resting,
    /// Over.
    Stopped,
    /// It never became healthy; over.
    Failed,
}

impl State {
    const ALL: [Self; 7] =
        [Self::Loading, Self::Ready, Self::Serving, Self::Draining, Self::Resting, Self::Stopped, Self::Failed];

    /// Name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Ready => "ready",
            Self::Serving => "serving",
            Self::Draining => "draining",
            Self::Resting => "resting",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }

    /// Whether the one may follow upon the other.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Loading => matches!(next, Self::Ready | Self::Failed),
            Self::Ready => matches!(next, Self::Serving | Self::Stopped),
            Self::Serving => next == Self::Draining,
            Self::Draining => matches!(next, Self::Resting | Self::Serving | Self::Stopped),
            Self::Resting => matches!(next, Self::Serving | Self::Stopped),
            Self::Stopped | Self::Failed => false,
        }
    }
}

impl Generation {
    /// A plugin that runs, and serves nothing yet.
    #[must_use]
    pub fn new(
        plugin: Box<dyn Plugin>,
        request: ResourceRequest,
        warnings: Vec<String>,
        origin: Origin,
        packaged: Packaged,
    ) -> Self {
        Self {
            plugin,
            request,
            warnings,
            origin,
            packaged,
            number: 0,
            traffic: Traffic::default(),
            past: Arc::default(),
            state: AtomicU8::new(State::Loading as u8),
        }
    }

    /// Gives it a number, and a place where its figures outlive it.
    #[must_use]
    pub(super) fn numbered(mut self, number: u64, past: &Arc<Traffic>) -> Self {
        self.number = number;
        self.past = Arc::clone(past);
        self
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> State {
        let state = self.state.load(Ordering::Acquire);
        State::ALL.into_iter().find(|known| *known as u8 == state).unwrap_or(State::Failed)
    }

    /// Goes on to the next state; a step that the life of a generation does not have is a fault of the library.
    pub fn advance(&self, next: State) -> Result<()> {
        let step = |state: u8| {
            let now = State::ALL.into_iter().find(|known| *known as u8 == state)?;
            now.may_become(next).then_some(next as u8)
        };
        self.state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, step)
            .map(drop)
            .map_err(|_now| bug!("a generation that is {} can't be {}", self.state().name(), next.name()))
    }

    /// Version, empty when the plugin does not tell.
    #[must_use]
    pub fn version(&self) -> &str {
        self.plugin.registration().version()
    }

    /// Figures of its calls up to now.
    #[must_use]
    pub fn figures(&self) -> super::Figures {
        self.traffic.figures()
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        self.past.absorb(&self.traffic);
    }
}

impl std::fmt::Debug for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Generation").field("origin", &self.origin.shown).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_never_comes_back() {
        for next in State::ALL {
            assert!(!State::Stopped.may_become(next) && !State::Failed.may_become(next));
            assert!(!State::Loading.may_become(State::Serving), "what never showed that it is healthy never serves");
            assert_eq!(
                next.may_become(State::Serving),
                matches!(next, State::Ready | State::Draining | State::Resting)
            );
        }
    }
}
