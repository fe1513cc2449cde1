//! The cache in memory: a namespace of its own for each plugin, with quotas. What was not used for the longest time
//! makes room; one plugin never pushes out what belongs to another.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use base64::Engine;

use crate::bounded::WeightedLru;
use crate::clock::{Clock, Nanos};
use crate::error::{Error, ErrorCode, Result, bug};
use crate::host::provider::OK;
use crate::host::request::CacheQuota;
use crate::host::{HostCall, Provider, Reply, Request};

/// What an entry costs beyond its key and value, in bytes.
const ENTRY_OVERHEAD: u64 = 64;

/// The answer to a miss.
const MISS: Reply = Reply::Borrowed(br#"{"found":false,"value":null}"#);

/// A cache in memory.
pub struct MemoryCache {
    max_bytes: u64,
    used: AtomicU64,
    namespaces: ArcSwap<HashMap<Arc<str>, Arc<Namespace>>>,
    adding: Mutex<()>,
    clock: Arc<dyn Clock>,
}

type Namespace = Mutex<WeightedLru<String, Entry>>;

struct Entry {
    value: Vec<u8>,
    expires: Nanos,
}

impl MemoryCache {
    /// A cache that keeps at most `max_bytes` for all plugins together.
    #[must_use]
    pub fn new(max_bytes: u64, clock: Arc<dyn Clock>) -> Self {
        Self { max_bytes, used: AtomicU64::new(0), namespaces: ArcSwap::default(), adding: Mutex::new(()), clock }
    }

    fn namespace(&self, plugin: &Arc<str>) -> Arc<Namespace> {
        if let Some(namespace) = self.namespaces.load().get(plugin) {
            return Arc::clone(namespace);
        }
        let _one_at_a_time = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let mut namespaces = HashMap::clone(&self.namespaces.load());
        let namespace = Arc::clone(namespaces.entry(Arc::clone(plugin)).or_default());
        self.namespaces.store(Arc::new(namespaces));
        namespace
    }

    fn get(&self, plugin: &Arc<str>, key: &str) -> Reply {
        let namespace = self.namespace(plugin);
        let mut entries = namespace.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.monotonic();
        match entries.get(key) {
            Some(entry) if entry.expires > now => found(&entry.value),
            Some(_) => {
                self.change(&mut entries, |entries| drop(entries.remove(key)));
                MISS
            }
            None => MISS,
        }
    }

    fn set(&self, plugin: &Arc<str>, key: &str, value: &[u8], ttl_s: i64, quota: CacheQuota) -> Result<()> {
        let weight = key.len() as u64 + value.len() as u64 + ENTRY_OVERHEAD;
        let bytes = if quota.bytes == 0 { self.max_bytes } else { quota.bytes.min(self.max_bytes) };
        if weight > bytes {
            return Err(full(format!(
                "an entry of {weight} bytes is larger than the plugin's whole cache of {bytes} bytes"
            )));
        }
        let expires = match u64::try_from(ttl_s) {
            Ok(ttl_s) if ttl_s > 0 => self.clock.monotonic().saturating_add(ttl_s.saturating_mul(1_000_000_000)),
            _ => Nanos::MAX,
        };
        if self.used.load(Ordering::Relaxed) + weight > self.max_bytes {
            self.sweep();
        }
        let namespace = self.namespace(plugin);
        let mut entries = namespace.lock().unwrap_or_else(PoisonError::into_inner);
        self.change(&mut entries, |entries| {
            entries.remove(key);
            let too_many = |len: usize| quota.entries > 0 && len as u64 >= quota.entries;
            while (entries.weight() + weight > bytes || too_many(entries.len())) && entries.evict_one() {}
        });
        while self.used.load(Ordering::Relaxed) + weight > self.max_bytes {
            let mut evicted = false;
            self.change(&mut entries, |entries| evicted = entries.evict_one());
            if !evicted {
                return Err(full(format!("the host's cache of {} bytes is full", self.max_bytes)));
            }
        }
        self.change(&mut entries, |entries| {
            entries.insert(key.to_owned(), Entry { value: value.to_vec(), expires }, weight)
        });
        Ok(())
    }

    /// Drops what has expired, of all plugins.
    fn sweep(&self) {
        let now = self.clock.monotonic();
        for namespace in self.namespaces.load().values() {
            let mut entries = namespace.lock().unwrap_or_else(PoisonError::into_inner);
            self.change(&mut entries, |entries| entries.sweep(|entry| entry.expires <= now));
        }
    }

    /// Keeps the sum over all plugins in step with a change to one namespace.
    fn change(&self, entries: &mut WeightedLru<String, Entry>, change: impl FnOnce(&mut WeightedLru<String, Entry>)) {
        let before = entries.weight();
        change(entries);
        let after = entries.weight();
        if after >= before {
            self.used.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.used.fetch_sub(before - after, Ordering::Relaxed);
        }
    }
}

fn found(value: &[u8]) -> Reply {
    let value = base64::engine::general_purpose::STANDARD.encode(value);
    format!(r#"{{"found":true,"value":"{value}"}}"#).into_bytes().into()
}

fn full(context: String) -> Error {
    Error::new(ErrorCode::PolicyQuotaExceeded, context)
}

impl Provider for MemoryCache {
    fn serve(&self, call: &HostCall<'_>) -> Result<Reply> {
        match call.request {
            Request::CacheGet { key } => Ok(self.get(call.plugin, key)),
            Request::CacheSet { key, value, ttl_s, quota } => {
                self.set(call.plugin, key, value, *ttl_s, *quota).map(|()| OK)
            }
            Request::CacheDelete { key } => {
                let namespace = self.namespace(call.plugin);
                let mut entries = namespace.lock().unwrap_or_else(PoisonError::into_inner);
                self.change(&mut entries, |entries| drop(entries.remove(key)));
                Ok(OK)
            }
            other => Err(bug!("the cache was asked for {other:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use std::time::Duration;

    fn text(reply: &Reply) -> &str {
        std::str::from_utf8(reply).unwrap()
    }

    #[test]
    fn entries_expire_and_namespaces_are_apart() {
        let clock = Arc::new(ManualClock::default());
        let cache = MemoryCache::new(10_000, Arc::clone(&clock) as _);
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        cache.set(&a, "k", b"test", 5, CacheQuota::default()).unwrap();
        assert_eq!(text(&cache.get(&a, "k")), r#"{"found":true,"value":"dGVzdA=="}"#);
        assert_eq!(text(&cache.get(&b, "k")), r#"{"found":false,"value":null}"#);
        clock.advance(Duration::from_secs(5));
        assert_eq!(text(&cache.get(&a, "k")), r#"{"found":false,"value":null}"#);
        assert_eq!(cache.used.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_plugin_pushes_out_its_own_entries_only() {
        let cache = MemoryCache::new(1_000, Arc::new(ManualClock::default()));
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let quota = CacheQuota { bytes: 300, entries: 2 };
        cache.set(&b, "kept", &[0; 100], 0, CacheQuota::default()).unwrap();
        for index in 0..10 {
            cache.set(&a, &format!("k{index}"), &[0; 10], 0, quota).unwrap();
        }
        assert_eq!(text(&cache.get(&a, "k7")), r#"{"found":false,"value":null}"#);
        assert!(text(&cache.get(&a, "k9")).contains("true") && text(&cache.get(&b, "kept")).contains("true"));
        let error = cache.set(&a, "k", &[0; 300], 0, quota).unwrap_err();
        assert_eq!(error.code(), ErrorCode::PolicyQuotaExceeded);
    }

    #[test]
    fn the_host_wide_bound_holds() {
        let cache = MemoryCache::new(500, Arc::new(ManualClock::default()));
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        cache.set(&a, "k", &[0; 400], 0, CacheQuota::default()).unwrap();
        let error = cache.set(&b, "k", &[0; 100], 0, CacheQuota::default()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::PolicyQuotaExceeded);
    }
}
