//! Facts of statements seen before: a repeated statement costs a hash and a look-up.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use super::analyse;
use super::facts::{Facts, SqlProfile};
use crate::error::Result;

/// Longer statements are analysed every time: they are rare, and caching them would let one plugin fill the cache.
const MAX_CACHED_BYTES: usize = 8 * 1024;
/// Independent parts, so that threads seldom meet.
const SHARDS: usize = 16;
/// Statements per shard and generation; two generations are kept.
const SHARD_ENTRIES: usize = 128;
/// Statement bytes per shard and generation: 16 shards of two generations hold 8 MiB at most.
const SHARD_BYTES: usize = 256 * 1024;

/// Bounded cache of [`Facts`], keyed by profile and text. The keys are hashed with a secret seed, so plugins can't aim
/// at one shard.
#[derive(Debug)]
pub struct FactsCache {
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
}

/// Two generations: what is used again moves to the young one; when that is full, the old one goes.
#[derive(Debug, Default)]
struct Shard {
    young: Generation,
    old: Generation,
}

#[derive(Debug, Default)]
struct Generation {
    /// By hash of profile and text; the entry tells whether it is really the same.
    entries: HashMap<u64, Arc<Entry>>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    profile: SqlProfile,
    text: Box<str>,
    facts: Arc<Facts>,
}

impl Default for FactsCache {
    fn default() -> Self {
        Self::new()
    }
}

impl FactsCache {
    /// Empty cache.
    #[must_use]
    pub fn new() -> Self {
        Self { hasher: RandomState::new(), shards: std::array::from_fn(|_| Mutex::default()) }
    }

    /// Facts of `sql`, remembered or newly found. Refusals are not remembered.
    ///
    /// # Errors
    /// As [`analyse`].
    pub fn get_or_analyse(&self, profile: &SqlProfile, sql: &str) -> Result<Arc<Facts>> {
        if sql.len() > MAX_CACHED_BYTES {
            return analyse(profile, sql).map(Arc::new);
        }
        let hash = self.hasher.hash_one((profile, sql));
        if let Some(facts) = self.with_shard(hash, |shard| shard.get(hash, profile, sql)) {
            return Ok(facts);
        }
        let facts = Arc::new(analyse(profile, sql)?);
        let entry = Arc::new(Entry { profile: profile.clone(), text: sql.into(), facts: Arc::clone(&facts) });
        self.with_shard(hash, |shard| shard.insert(hash, entry));
        Ok(facts)
    }

    fn with_shard<T: Default>(&self, hash: u64, work: impl FnOnce(&mut Shard) -> T) -> T {
        let index = usize::try_from(hash % SHARDS as u64).unwrap_or(0);
        match self.shards.get(index) {
            Some(shard) => work(&mut shard.lock().unwrap_or_else(PoisonError::into_inner)),
            None => T::default(),
        }
    }
}

impl Shard {
    fn get(&mut self, hash: u64, profile: &SqlProfile, sql: &str) -> Option<Arc<Facts>> {
        let is_same = |entry: &&Arc<Entry>| *entry.text == *sql && entry.profile == *profile;
        if let Some(entry) = self.young.entries.get(&hash).filter(is_same) {
            return Some(Arc::clone(&entry.facts));
        }
        let entry = Arc::clone(self.old.entries.get(&hash).filter(is_same)?);
        let facts = Arc::clone(&entry.facts);
        self.insert(hash, entry);
        Some(facts)
    }

    fn insert(&mut self, hash: u64, entry: Arc<Entry>) {
        let bytes = entry.text.len() * 2;
        if self.young.entries.len() >= SHARD_ENTRIES || self.young.bytes + bytes > SHARD_BYTES {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.bytes += bytes;
        self.young.entries.insert(hash, entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::sql::Dialect;

    fn profile(dialect: Dialect) -> SqlProfile {
        SqlProfile { dialect, default_schema: None, extra_functions: vec![] }
    }

    #[test]
    fn second_look_gives_the_same_facts() {
        let cache = FactsCache::new();
        let profile = profile(Dialect::Sqlite);
        let first = cache.get_or_analyse(&profile, "SELECT a FROM t").unwrap();
        let second = cache.get_or_analyse(&profile, "SELECT a FROM t").unwrap();
        assert!(Arc::ptr_eq(&first, &second));
    }

    #[test]
    fn profiles_are_kept_apart() {
        let cache = FactsCache::new();
        let sqlite = cache.get_or_analyse(&profile(Dialect::Sqlite), "SELECT a FROM T").unwrap();
        let mysql = cache.get_or_analyse(&profile(Dialect::MySql), "SELECT a FROM T").unwrap();
        assert_eq!(sqlite.reads.first().map(|table| table.name.as_str()), Some("t"));
        assert_eq!(mysql.reads.first().map(|table| table.name.as_str()), Some("T"));
    }

    #[test]
    fn cache_stays_bounded() {
        let cache = FactsCache::new();
        let profile = profile(Dialect::Sqlite);
        for number in 0..10_000 {
            cache.get_or_analyse(&profile, &format!("SELECT {number}")).unwrap();
        }
        let entries: usize = cache
            .shards
            .iter()
            .map(|shard| shard.lock().unwrap())
            .map(|shard| shard.young.entries.len() + shard.old.entries.len())
            .sum();
        assert!(entries <= SHARDS * SHARD_ENTRIES * 2, "{entries}");
    }

    #[test]
    fn long_statements_are_not_kept() {
        let cache = FactsCache::new();
        let profile = profile(Dialect::Sqlite);
        let text = format!("SELECT '{}'", "x".repeat(MAX_CACHED_BYTES));
        let first = cache.get_or_analyse(&profile, &text).unwrap();
        assert!(!Arc::ptr_eq(&first, &cache.get_or_analyse(&profile, &text).unwrap()));
    }
}
