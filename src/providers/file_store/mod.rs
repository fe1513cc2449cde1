//! Policies as files in a private directory: `<plugin>.policy.json` is the document as an administrator wrote it,
//! `<plugin>.enabled` is `1` or `0`, `<plugin>.evidence.json` what was learned, and `audit.jsonl` the record of changes.
//!
//! A change is made under the lock of the file `lock`, which all processes share: the new document is written beside its
//! place and synced, the change is entered into the record and synced, then the document is renamed into place and the
//! directory synced. A process that dies on the way leaves the old document or the new one; a record that is ahead of the
//! documents is put right by the next change, which enters what it finds.

mod directory;
mod record;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use self::directory::{Directory, Locked};
use self::record::Record;
use crate::clock::{self, rfc3339};
use crate::error::Result;
use crate::plugin::name::check_name;
use crate::policy::audit::{AuditRow, Standing};
use crate::policy::{Change, PolicyStore, StoredPolicy};

/// Suffix of documents.
const POLICY: &str = ".policy.json";
/// Suffix of enablement.
const ENABLED: &str = ".enabled";
/// Suffix of what was learned.
const EVIDENCE: &str = ".evidence.json";

/// A policy store in a directory.
#[derive(Debug)]
pub struct FileStore {
    directory: Directory,
    record: Mutex<Record>,
}

impl FileStore {
    /// The store in `path`, which is made when it is not there. Refused unless the directory belongs to this process's
    /// user and nobody else can enter it.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self { directory: Directory::open(path)?, record: Mutex::default() })
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn document(&self, plugin: &str) -> Result<Option<Vec<u8>>> {
        check_name(plugin)?;
        // An empty file is what an editor or a full disk leaves; it is a document that can't be read, not none.
        self.directory
            .read(&format!("{plugin}{POLICY}"))
            .map(|text| text.map(|text| if text.is_empty() { b" ".to_vec() } else { text }))
    }

    /// Enters a document that was changed from outside. Fails where nothing can be written.
    fn adopt(&self, plugin: &str) -> Result<Option<StoredPolicy>> {
        let locked = self.directory.lock()?;
        let mut record = self.record();
        record.catch_up(&self.directory)?;
        let text = self.document(plugin)?;
        let mut tail = record.tail().clone();
        let standing = Standing { plugin, text: text.as_deref(), recorded: record.recorded(plugin) };
        let found = standing.adopt(&mut tail, &rfc3339(clock::wall()));
        if let Some(row) = found {
            record.append(&locked, &[row])?;
        }
        let revision = Standing { plugin, text: text.as_deref(), recorded: record.recorded(plugin) }.revision();
        Ok(text.map(|text| StoredPolicy { text, revision }))
    }

    /// Puts a file and rows of the record in place: both, or neither.
    fn put(&self, locked: &Locked<'_>, record: &mut Record, name: &str, text: &[u8], rows: &[AuditRow]) -> Result<()> {
        if text.is_empty() {
            record.append(locked, rows)?;
            return locked.remove(name);
        }
        let prepared = locked.prepare(text)?;
        record.append(locked, rows)?;
        prepared.rename(name)
    }
}

impl PolicyStore for FileStore {
    fn load(&self, plugin: &str) -> Result<Option<StoredPolicy>> {
        let text = self.document(plugin)?;
        let mut record = self.record();
        record.catch_up(&self.directory)?;
        let standing = Standing { plugin, text: text.as_deref(), recorded: record.recorded(plugin) };
        let (is_recorded, revision) = (standing.is_recorded(), standing.revision());
        drop(record);
        // Not in the record: somebody is in the middle of a change, or a person used an editor.
        if !is_recorded && let Ok(stored) = self.adopt(plugin) {
            return Ok(stored);
        }
        Ok(text.map(|text| StoredPolicy { text, revision }))
    }

    fn save(&self, plugin: &str, text: &[u8], change: &Change<'_>) -> Result<u64> {
        check_name(plugin)?;
        let locked = self.directory.lock()?;
        let mut record = self.record();
        record.catch_up(&self.directory)?;
        let current = self.document(plugin)?;
        let standing = Standing { plugin, text: current.as_deref(), recorded: record.recorded(plugin) };
        let plan = standing.plan(&mut record.tail().clone(), text, change, &rfc3339(clock::wall()))?;
        self.put(&locked, &mut record, &format!("{plugin}{POLICY}"), text, &plan.rows)?;
        Ok(plan.revision)
    }

    fn list(&self) -> Result<Vec<String>> {
        let mut names: Vec<String> = self
            .directory
            .names()?
            .iter()
            .filter_map(|name| name.strip_suffix(POLICY))
            .filter(|name| check_name(name).is_ok())
            .map(str::to_owned)
            .collect();
        names.sort();
        Ok(names)
    }

    fn load_enabled(&self, plugin: &str) -> Result<Option<bool>> {
        check_name(plugin)?;
        let text = self.directory.read(&format!("{plugin}{ENABLED}"))?;
        // What an editor or a full disk left of it does not enable a plugin that was disabled.
        Ok(text.map(|text| matches!(text.trim_ascii(), b"1" | b"true")))
    }

    fn save_enabled(&self, plugin: &str, enabled: bool, actor: &str) -> Result<()> {
        check_name(plugin)?;
        let locked = self.directory.lock()?;
        let mut record = self.record();
        record.catch_up(&self.directory)?;
        let row = record.tail().clone().enablement(&rfc3339(clock::wall()), plugin, enabled, actor);
        let text = if enabled { b"1\n" } else { b"0\n" };
        self.put(&locked, &mut record, &format!("{plugin}{ENABLED}"), text, &[row])
    }

    fn history(&self, plugin: Option<&str>, limit: usize) -> Result<Vec<AuditRow>> {
        let rows = Record::read_all(&self.directory)?;
        let is_asked = |row: &AuditRow| plugin.is_none_or(|plugin| row.plugin == plugin);
        Ok(rows.into_iter().rev().filter(is_asked).take(limit).collect())
    }

    fn load_evidence(&self, plugin: &str) -> Result<Option<Vec<u8>>> {
        check_name(plugin)?;
        self.directory.read(&format!("{plugin}{EVIDENCE}"))
    }

    fn save_evidence(&self, plugin: &str, evidence: &[u8]) -> Result<()> {
        check_name(plugin)?;
        let locked = self.directory.lock()?;
        locked.prepare(evidence)?.rename(&format!("{plugin}{EVIDENCE}"))
    }

    fn marker(&self) -> Result<Option<u64>> {
        self.directory.fingerprint().map(Some)
    }
}
