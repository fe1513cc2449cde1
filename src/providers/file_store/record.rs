//! The record of changes as a file: one JSON object per line, only ever added to.

use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom, Write};

use super::directory::{Directory, Locked};
use crate::error::{Error, ErrorCode, Result};
use crate::policy::audit::{AuditRow, Recorded, Tail};

/// The file.
const NAME: &str = "audit.jsonl";

/// What is known of the record, up to a place in the file.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// Bytes that were read; always the end of a line.
    read: u64,
    /// The file that was read, by its number: another one is read anew.
    inode: u64,
    tail: Tail,
    recorded: HashMap<String, Recorded>,
}

impl Record {
    pub(super) fn tail(&self) -> &Tail {
        &self.tail
    }

    /// What the newest row about a plugin's policy says.
    pub(super) fn recorded(&self, plugin: &str) -> Option<&Recorded> {
        self.recorded.get(plugin)
    }

    /// Reads what others have added. A writer whose disk was full takes back what it added: then all is read again.
    pub(super) fn catch_up(&mut self, directory: &Directory) -> Result<()> {
        if self.read > 0 && self.read_on(directory).is_ok() {
            return Ok(());
        }
        *self = Self::default();
        self.read_on(directory)
    }

    fn read_on(&mut self, directory: &Directory) -> Result<()> {
        use std::os::unix::fs::MetadataExt as _;
        let unreadable = |problem| directory.failed("has a record that can't be read", problem);
        let Some(mut file) = directory.open_file(NAME)? else {
            *self = Self::default();
            return Ok(());
        };
        let metadata = file.metadata().map_err(unreadable)?;
        if metadata.ino() != self.inode || metadata.len() < self.read {
            *self = Self { inode: metadata.ino(), ..Self::default() };
        }
        if metadata.len() == self.read {
            return Ok(());
        }
        let mut added = Vec::new();
        file.seek(SeekFrom::Start(self.read)).map_err(unreadable)?;
        file.read_to_end(&mut added).map_err(unreadable)?;
        for line in whole_lines(&added) {
            self.note(&parse(line)?);
            self.read += line.len() as u64 + 1;
        }
        Ok(())
    }

    fn note(&mut self, row: &AuditRow) {
        self.tail = Tail::of(row);
        if row.action.is_about_policy() {
            let recorded = Recorded { revision: row.revision, digest: row.digest.clone() };
            self.recorded.insert(row.plugin.clone(), recorded);
        }
    }

    /// Adds rows and syncs them; all, or none. What a process that died left of a line is cut off first.
    pub(super) fn append(&mut self, locked: &Locked<'_>, rows: &[AuditRow]) -> Result<()> {
        use std::os::unix::fs::MetadataExt as _;
        if rows.is_empty() {
            return Ok(());
        }
        let unwritable = |problem| locked.failed("has a record that can't be written", problem);
        let mut file = locked.open_for_adding(NAME)?;
        file.set_len(self.read).map_err(unwritable)?;
        let mut text = String::new();
        for row in rows {
            text += &serde_json::to_string(row).map_err(|problem| unwritable(problem.into()))?;
            text.push('\n');
        }
        if let Err(problem) = file.write_all(text.as_bytes()).and_then(|()| file.sync_all()) {
            // What was written of it must not look like a row; the first error is what counts.
            let _ = file.set_len(self.read);
            return Err(unwritable(problem));
        }
        self.inode = file.metadata().map_err(unwritable)?.ino();
        self.read += text.len() as u64;
        rows.iter().for_each(|row| self.note(row));
        Ok(())
    }

    /// All rows, oldest first.
    pub(super) fn read_all(directory: &Directory) -> Result<Vec<AuditRow>> {
        let Some(mut file) = directory.open_file(NAME)? else { return Ok(Vec::new()) };
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(|problem| directory.failed("has a record that can't be read", problem))?;
        whole_lines(&text).map(parse).collect()
    }
}

/// Lines that are ended; what follows the last end is still being written.
fn whole_lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let end = text.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
    text[..end].split(|byte| *byte == b'\n').filter(move |_| end > 0)
}

fn parse(line: &[u8]) -> Result<AuditRow> {
    serde_json::from_slice(line).map_err(|problem| {
        Error::new(
            ErrorCode::EnvironmentStore,
            "the record of policy changes has a line that is no row (move `audit.jsonl` away to begin a new record)",
        )
        .with_source(problem)
    })
}
