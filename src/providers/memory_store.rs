//! Policies and enablement in memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{Error, ErrorCode, Result};
use crate::policy::{PolicyStore, StoredPolicy};

/// A policy store that forgets everything with the manager.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    policies: BTreeMap<String, StoredPolicy>,
    /// Revisions grow over removals too, so that an old expectation never fits by chance.
    revisions: BTreeMap<String, u64>,
    enabled: BTreeMap<String, bool>,
}

impl MemoryStore {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PolicyStore for MemoryStore {
    fn load(&self, plugin: &str) -> Result<Option<StoredPolicy>> {
        Ok(self.lock().policies.get(plugin).cloned())
    }

    fn save(&self, plugin: &str, text: &[u8], expected_revision: Option<u64>) -> Result<u64> {
        let mut state = self.lock();
        let current = state.policies.get(plugin).map_or(0, |stored| stored.revision);
        if expected_revision.is_some_and(|expected| expected != current) {
            return Err(Error::new(
                ErrorCode::PolicyRevisionConflict,
                format!("the policy of `{plugin}` is at revision {current} now (read it again, then change it)"),
            )
            .with_detail("revision", current));
        }
        if text.is_empty() {
            state.policies.remove(plugin);
            return Ok(0);
        }
        let revision = state.revisions.get(plugin).map_or(1, |last| last + 1);
        state.revisions.insert(plugin.to_owned(), revision);
        state.policies.insert(plugin.to_owned(), StoredPolicy { text: text.to_vec(), revision });
        Ok(revision)
    }

    fn list(&self) -> Result<Vec<String>> {
        Ok(self.lock().policies.keys().cloned().collect())
    }

    fn load_enabled(&self, plugin: &str) -> Result<Option<bool>> {
        Ok(self.lock().enabled.get(plugin).copied())
    }

    fn save_enabled(&self, plugin: &str, enabled: bool) -> Result<()> {
        self.lock().enabled.insert(plugin.to_owned(), enabled);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_update_is_refused_even_over_a_removal() {
        let store = MemoryStore::default();
        assert_eq!(store.save("a", b"{}", Some(0)).unwrap(), 1);
        assert_eq!(store.save("a", b"{}", Some(0)).unwrap_err().code(), ErrorCode::PolicyRevisionConflict);
        assert_eq!(store.save("a", b"", Some(1)).unwrap(), 0);
        assert_eq!(store.load("a").unwrap(), None);
        assert_eq!(store.save("a", b"{}", Some(1)).unwrap_err().code(), ErrorCode::PolicyRevisionConflict);
        assert_eq!(store.save("a", b"{}", Some(0)).unwrap(), 2);
    }
}
