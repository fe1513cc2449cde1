//! How files are at a moment.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use crate::clock;

/// Hash of everything that counts.
pub(super) type Content = [u8; 32];

/// Files beyond this many bytes, all together, count by size and times, not by content.
const MAX_HASHED_BYTES: u64 = 512 * 1024 * 1024;

/// Two changes of a file that are closer than this may leave it with the same times.
const CLOCK_GRAIN: Duration = Duration::from_millis(20);

/// What the file system says about a file. The change time can't be set by anybody, so that a file with the same facts has
/// the same content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Facts {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// Files that count, as they were at a moment.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    files: BTreeMap<PathBuf, Option<Facts>>,
    taken: SystemTime,
}

impl Snapshot {
    /// Looks at the files.
    pub(super) fn take(files: &BTreeSet<PathBuf>) -> Self {
        let taken = clock::wall();
        Self { files: files.iter().map(|path| (path.clone(), facts(path))).collect(), taken }
    }

    /// True when nothing seems to have happened between the two.
    pub(super) fn is_like(&self, later: &Self) -> bool {
        self.files == later.files
    }

    /// True when nothing can have happened after this one was taken, as `later` tells.
    pub(super) fn still_holds(&self, later: &Self) -> bool {
        self.is_like(later) && !self.is_fresh()
    }

    /// True when a file is empty and was not so `patience` ago: most likely somebody has made it to write to it.
    pub(super) fn has_just_emptied(&self, patience: Duration) -> bool {
        self.changed_within(patience).any(|facts| facts.size == 0)
    }

    /// True when a file was changed so shortly before that a further change need not show.
    fn is_fresh(&self) -> bool {
        self.changed_within(CLOCK_GRAIN).next().is_some()
    }

    fn changed_within(&self, time: Duration) -> impl Iterator<Item = &Facts> {
        let since = self.taken.checked_sub(time).and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        let since = since.map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX));
        let nanos = |(seconds, nanos): (i64, i64)| seconds.saturating_mul(1_000_000_000).saturating_add(nanos);
        self.files.values().flatten().filter(move |facts| nanos(facts.changed) >= since)
    }

    /// Hash of names and contents. Reads the files, so that it is worth to be asked late.
    pub(super) fn content(&self) -> Content {
        let (mut hash, mut left) = (Sha256::new(), MAX_HASHED_BYTES);
        for (path, facts) in &self.files {
            let name = path.as_os_str().as_bytes();
            hash.update(u64::try_from(name.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(name);
            match facts {
                None => hash.update([0]),
                Some(facts) if facts.size > left => {
                    hash.update([1]);
                    hash.update(format!("{facts:?}"));
                }
                Some(facts) => match content(path, facts.size) {
                    Ok(content) => {
                        left -= facts.size;
                        hash.update([2]);
                        hash.update(content);
                    }
                    Err(_) => hash.update([3]),
                },
            }
        }
        hash.finalize().into()
    }
}

fn facts(path: &Path) -> Option<Facts> {
    let metadata = std::fs::metadata(path).ok()?;
    Some(Facts {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.size(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

/// Hash of the first bytes; those of a file that has grown meanwhile are read when that is seen.
fn content(path: &Path, bytes: u64) -> std::io::Result<Content> {
    let mut options = std::fs::File::options();
    // What is no regular file could block, or never end.
    options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC);
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    let mut file = file.take(bytes);
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 64 * 1024]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.finalize().into()),
            read => hash.update(buffer.get(..read).unwrap_or_default()),
        }
    }
}
