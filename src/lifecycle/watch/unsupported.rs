//! Systems whose events are not used: files are looked at again and again.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::scope::Interest;
use crate::clock::Nanos;

/// What the system watches for one target: nothing.
#[derive(Default)]
pub(super) struct Armed {
    pub(super) interests: HashMap<i32, Interest>,
}

/// Why there are no events.
pub(super) struct Wanting(pub(super) String);

/// Something happened.
pub(super) struct Notice {
    pub(super) watch: i32,
    pub(super) name: Option<OsString>,
    pub(super) happened: Happened,
}

/// What happened, as far as it matters.
#[derive(Clone, Copy, PartialEq, Eq)]
#[expect(dead_code, reason = "no event ever comes")]
pub(super) enum Happened {
    Overflow,
    Ignored,
    Modified,
    Closed,
    Gone,
    Other,
}

/// Where events would come from.
pub(super) struct Source;

impl Source {
    pub(super) fn open() -> Self {
        Self
    }

    pub(super) fn arm(&mut self, _: &BTreeMap<PathBuf, Interest>, _: &mut Armed) -> Result<(), Wanting> {
        Err(Wanting("events of this system are not used".to_owned()))
    }

    pub(super) fn release(&mut self, _: Armed) {}

    pub(super) fn read(&mut self) -> Vec<Notice> {
        Vec::new()
    }

    pub(super) fn descriptor(&self) -> Option<Arc<()>> {
        None
    }
}

/// Wakes the thread up.
#[derive(Default)]
pub(super) struct Bell {
    rung: Mutex<bool>,
    heard: Condvar,
}

impl Bell {
    #[expect(clippy::unnecessary_wraps, reason = "it can fail where it is a descriptor")]
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self::default())
    }

    pub(super) fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.heard.notify_one();
    }

    /// Waits for the bell, or until `timeout` is over.
    pub(super) fn wait(&self, _: Option<&()>, timeout: Option<Nanos>) {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rung = match timeout {
            _ if *rung => rung,
            None => self.heard.wait(rung).unwrap_or_else(PoisonError::into_inner),
            Some(nanos) => {
                let waited = self.heard.wait_timeout(rung, Duration::from_nanos(nanos));
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        *rung = false;
    }
}
