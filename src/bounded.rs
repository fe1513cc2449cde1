//! A map with a bound on its weight: what was not used for the longest time goes first.

use std::hash::Hash;

use lru::LruCache;

/// A least-recently-used map whose values have weights. Not thread-safe by itself.
#[derive(Debug)]
pub struct WeightedLru<K: Hash + Eq, V> {
    entries: LruCache<K, (V, u64)>,
    weight: u64,
}

impl<K: Hash + Eq, V> Default for WeightedLru<K, V> {
    fn default() -> Self {
        Self { entries: LruCache::unbounded(), weight: 0 }
    }
}

impl<K: Hash + Eq, V> WeightedLru<K, V> {
    /// The value, which counts as used now.
    pub fn get<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&V>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.entries.get(key).map(|(value, _)| value)
    }

    /// Puts a value in, over one that is there.
    pub fn insert(&mut self, key: K, value: V, weight: u64) {
        if let Some((_, (_, old))) = self.entries.push(key, (value, weight)) {
            self.weight -= old;
        }
        self.weight += weight;
    }

    /// Takes a value out.
    pub fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
    {
        let (value, weight) = self.entries.pop(key)?;
        self.weight -= weight;
        Some(value)
    }

    /// Drops what was not used for the longest time; false when there is nothing.
    pub fn evict_one(&mut self) -> bool {
        match self.entries.pop_lru() {
            Some((_, (_, weight))) => {
                self.weight -= weight;
                true
            }
            None => false,
        }
    }

    /// Drops every value that `is_dead`.
    pub fn sweep(&mut self, is_dead: impl Fn(&V) -> bool)
    where
        K: Clone,
    {
        let dead: Vec<K> =
            self.entries.iter().filter(|(_, (value, _))| is_dead(value)).map(|(key, _)| key.clone()).collect();
        for key in dead {
            self.remove(&key);
        }
    }

    /// Sum of the weights.
    #[must_use]
    pub fn weight(&self) -> u64 {
        self.weight
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weight_follows_every_change() {
        let mut map = WeightedLru::default();
        map.insert("a", 1, 10);
        map.insert("b", 2, 20);
        map.insert("a", 3, 5);
        assert_eq!((map.weight(), map.len()), (25, 2));
        assert_eq!(map.get("b"), Some(&2));
        assert!(map.evict_one());
        assert_eq!(map.get("a"), None);
        assert_eq!(map.weight(), 20);
        assert_eq!(map.remove("b"), Some(2));
        assert_eq!((map.weight(), map.is_empty(), map.evict_one()), (0, true, false));
    }
}
