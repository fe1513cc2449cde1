//! Policies and enablement in memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::{self, rfc3339};
use crate::error::Result;
use crate::policy::audit::{AuditRow, Recorded, Standing, Tail};
use crate::policy::{Change, PolicyStore, StoredPolicy};

/// Audit rows that are kept; the numbers of later ones go on.
const MAX_ROWS: usize = 1_000;

/// A policy store that forgets everything with the manager.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    policies: BTreeMap<String, StoredPolicy>,
    /// Revisions grow over removals too, so that an old expectation never fits by chance.
    recorded: BTreeMap<String, Recorded>,
    enabled: BTreeMap<String, bool>,
    evidence: BTreeMap<String, Vec<u8>>,
    rows: VecDeque<AuditRow>,
    tail: Tail,
}

impl MemoryStore {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn enter(&mut self, row: AuditRow) {
        if row.action.is_about_policy() {
            let recorded = Recorded { revision: row.revision, digest: row.digest.clone() };
            self.recorded.insert(row.plugin.clone(), recorded);
        }
        self.tail = Tail::of(&row);
        if self.rows.len() == MAX_ROWS {
            self.rows.pop_front();
        }
        self.rows.push_back(row);
    }
}

impl PolicyStore for MemoryStore {
    fn load(&self, plugin: &str) -> Result<Option<StoredPolicy>> {
        Ok(self.lock().policies.get(plugin).cloned())
    }

    fn save(&self, plugin: &str, text: &[u8], change: &Change<'_>) -> Result<u64> {
        let mut state = self.lock();
        let standing = Standing {
            plugin,
            text: state.policies.get(plugin).map(|stored| stored.text.as_slice()),
            recorded: state.recorded.get(plugin),
        };
        let plan = standing.plan(&mut state.tail.clone(), text, change, &rfc3339(clock::wall()))?;
        plan.rows.into_iter().for_each(|row| state.enter(row));
        if text.is_empty() {
            state.policies.remove(plugin);
        } else {
            let stored = StoredPolicy { text: text.to_vec(), revision: plan.revision };
            state.policies.insert(plugin.to_owned(), stored);
        }
        Ok(plan.revision)
    }

    fn list(&self) -> Result<Vec<String>> {
        Ok(self.lock().policies.keys().cloned().collect())
    }

    fn load_enabled(&self, plugin: &str) -> Result<Option<bool>> {
        Ok(self.lock().enabled.get(plugin).copied())
    }

    fn save_enabled(&self, plugin: &str, enabled: bool, actor: &str) -> Result<()> {
        let mut state = self.lock();
        let row = state.tail.clone().enablement(&rfc3339(clock::wall()), plugin, enabled, actor);
        state.enter(row);
        state.enabled.insert(plugin.to_owned(), enabled);
        Ok(())
    }

    fn history(&self, plugin: Option<&str>, limit: usize) -> Result<Vec<AuditRow>> {
        let state = self.lock();
        let is_asked = |row: &&AuditRow| plugin.is_none_or(|plugin| row.plugin == plugin);
        Ok(state.rows.iter().rev().filter(is_asked).take(limit).cloned().collect())
    }

    fn load_evidence(&self, plugin: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.lock().evidence.get(plugin).cloned())
    }

    fn save_evidence(&self, plugin: &str, evidence: &[u8]) -> Result<()> {
        self.lock().evidence.insert(plugin.to_owned(), evidence.to_vec());
        Ok(())
    }

    fn marker(&self) -> Result<Option<u64>> {
        Ok(None)
    }
}
