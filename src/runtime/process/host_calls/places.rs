//! What host calls may hold of the host: threads, and bytes. Every plugin has its own account, whatever number of processes
//! it goes through, and none can take what another one needs.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::error::{Error, ErrorCode};

/// Host calls of one plugin that are served at the same time; each holds a thread while it waits.
pub(super) const MAX_CONCURRENT: u32 = 64;

/// Those of them that are its own: nobody else takes these places, and nobody can.
const OWN: u32 = 8;

/// Places besides, for all plugins.
const COMMON: u32 = 320;

/// Bytes that the arguments of a plugin's host calls may have together, and those of answers that it has not read. What is
/// larger passes alone.
pub(in super::super) const MAX_BYTES: usize = 32 * 1024 * 1024;

/// Common places that are taken.
static TAKEN: AtomicU32 = AtomicU32::new(0);

/// What the host calls of one plugin hold.
#[derive(Debug)]
pub(in super::super) struct Places {
    /// Common places that are taken, by all plugins.
    taken: &'static AtomicU32,
    running: Mutex<u32>,
    arguments: Bytes,
    answers: Bytes,
    /// Told when an answer was read.
    read: Notify,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy)]
pub(super) enum Full {
    /// This plugin has all it may have.
    Plugin,
    /// All plugins together have so many that this one's share is used up.
    All,
    /// The arguments of this plugin's calls are too many bytes.
    Arguments,
    /// The answers that this plugin has not read are too many bytes.
    Answers,
}

/// A place among the host calls that are served; free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    bytes: usize,
}

/// An answer that is on its way to a plugin, by its bytes; given back when dropped.
#[derive(Debug)]
pub(in super::super) struct Held {
    places: Arc<Places>,
    bytes: usize,
}

impl Default for Places {
    fn default() -> Self {
        Self::among(&TAKEN)
    }
}

impl Places {
    /// `taken` counts the common places that are taken.
    pub(super) fn among(taken: &'static AtomicU32) -> Self {
        let (arguments, answers) = (Bytes::default(), Bytes::default());
        Self { taken, running: Mutex::new(0), arguments, answers, read: Notify::new() }
    }

    /// A place for a call with so many bytes of arguments.
    pub(super) fn take(self: &Arc<Self>, bytes: usize) -> Result<Place, Full> {
        let mut running = self.running();
        if *running >= MAX_CONCURRENT {
            return Err(Full::Plugin);
        }
        if !self.arguments.add(bytes) {
            return Err(Full::Arguments);
        }
        if *running >= OWN && !self.take_common(*running - OWN) {
            self.arguments.remove(bytes);
            return Err(Full::All);
        }
        *running += 1;
        Ok(Place { places: Arc::clone(self), bytes })
    }

    /// Room for an answer, until the plugin has read it.
    pub(super) fn hold(self: &Arc<Self>, bytes: usize) -> Result<Held, Full> {
        if !self.answers.add(bytes) {
            return Err(Full::Answers);
        }
        Ok(Held { places: Arc::clone(self), bytes })
    }

    /// Waits until half of what answers may hold is free, so that few calls are made for nothing.
    pub(super) async fn answers_read(&self) {
        loop {
            let read = self.read.notified();
            if self.answers.get() <= MAX_BYTES / 2 {
                return;
            }
            read.await;
        }
    }

    /// Nobody gets more than is left for all others, so that the common places go round.
    fn take_common(&self, mine: u32) -> bool {
        let take = |taken: u32| (mine < COMMON.saturating_sub(taken)).then_some(taken + 1);
        self.taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok()
    }

    fn running(&self) -> MutexGuard<'_, u32> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.arguments.remove(self.bytes);
        let mut running = self.places.running();
        *running -= 1;
        if *running >= OWN {
            self.places.taken.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.places.answers.remove(self.bytes);
        self.places.read.notify_waiters();
    }
}

/// A number of bytes with a bound.
#[derive(Debug, Default)]
struct Bytes(AtomicUsize);

impl Bytes {
    /// Adds to it, unless that is too much. Whatever comes alone passes.
    fn add(&self, bytes: usize) -> bool {
        let add = |held: usize| {
            let sum = held.saturating_add(bytes);
            (held == 0 || sum <= MAX_BYTES).then_some(sum)
        };
        self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, add).is_ok()
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    fn remove(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::SeqCst);
    }
}

impl Full {
    /// The error of a call that is refused for it.
    pub(super) fn error(self) -> Error {
        let message = match self {
            Self::Plugin => format!(
                "{MAX_CONCURRENT} host calls of this plugin are under way already (make fewer at the same time)"
            ),
            Self::All => "native plugins make so many host calls that this one's share is used up (make fewer at the \
                          same time, or try again)"
                .to_owned(),
            Self::Arguments => format!(
                "the arguments of the host calls under way have {MAX_BYTES} bytes (make fewer large ones at the same time)"
            ),
            Self::Answers => {
                format!("{MAX_BYTES} bytes of answers were not read (read them before asking for more)")
            }
        };
        Error::new(ErrorCode::LifecycleOverloaded, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_all(places: &Arc<Places>) -> Vec<Place> {
        std::iter::from_fn(|| places.take(0).ok()).collect()
    }

    #[test]
    fn a_plugin_finds_its_share_whatever_the_others_take() {
        static TAKEN: AtomicU32 = AtomicU32::new(0);
        let plugin = || Arc::new(Places::among(&TAKEN));
        let alone = plugin();
        assert_eq!(take_all(&alone).len(), 64);
        for (greedy, share) in [(1, 64), (4, 56), (6, 20), (16, 8), (1_000, 8)] {
            let held: Vec<_> = (0..greedy).map(|_| take_all(&plugin())).collect();
            assert!(held.iter().all(|places| places.len() >= 8), "{greedy}");
            assert_eq!(take_all(&alone).len(), share, "beside {greedy}");
        }
        assert_eq!(TAKEN.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_place_counts_until_its_call_has_ended() {
        static TAKEN: AtomicU32 = AtomicU32::new(0);
        let places = Arc::new(Places::among(&TAKEN));
        let mut held = take_all(&places);
        assert!(matches!(places.take(0), Err(Full::Plugin)));
        for left in (0..64_u32).rev() {
            held.pop();
            assert_eq!(TAKEN.load(Ordering::SeqCst), left.saturating_sub(OWN));
        }
        let large = places.take(MAX_BYTES).unwrap();
        assert!(matches!(places.take(1), Err(Full::Arguments)));
        drop(large);
        assert_eq!(take_all(&places).len(), 64);
    }

    #[test]
    fn what_is_not_read_is_bounded_and_what_is_large_passes_alone() {
        let places = Arc::new(Places::default());
        let large = places.hold(2 * MAX_BYTES).unwrap();
        assert!(matches!(places.hold(1), Err(Full::Answers)));
        drop(large);
        let held: Vec<_> = (0..8).map(|_| places.hold(MAX_BYTES / 8).unwrap()).collect();
        assert!(matches!(places.hold(1), Err(Full::Answers)));
        // Another plugin's are counted apart, and so are arguments.
        assert!(Arc::new(Places::default()).hold(MAX_BYTES).is_ok());
        assert!(places.arguments.add(MAX_BYTES) && !places.arguments.add(1));
        drop(held);
        assert!(places.hold(MAX_BYTES).is_ok());
    }
}
