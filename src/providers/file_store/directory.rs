//! A private directory, held open: whoever exchanges the path behind it changes nothing.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{self, AtFlags, Dir, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::clock;
use crate::error::{Error, ErrorCode, Result};

/// Largest file that is read: far above any document, so that its reader can say that it is too large.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// How long a change waits for another process's change.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// How often it looks whether that has ended.
const LOCK_POLL: Duration = Duration::from_millis(2);
/// The file that is locked; never removed, so that all processes lock the same one.
const LOCK: &str = "lock";
/// Prefix of files that are not in place yet.
const UNFINISHED: &str = ".new-";

/// A directory that belongs to this process's user alone.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    handle: OwnedFd,
}

/// The directory while no other process changes it.
#[derive(Debug)]
pub(super) struct Locked<'d> {
    directory: &'d Directory,
    /// Closing it lets go of the lock.
    _lock: OwnedFd,
}

/// A file that is written and synced, but not in place.
#[derive(Debug)]
pub(super) struct Prepared<'l> {
    directory: &'l Directory,
    name: String,
    in_place: bool,
}

impl Directory {
    pub(super) fn open(path: &Path) -> Result<Self> {
        match fs::mkdir(path, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(problem) => return Err(failed(path, "can't be made", problem)),
        }
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
        let handle =
            fs::open(path, flags, Mode::empty()).map_err(|problem| failed(path, "can't be opened", problem))?;
        let directory = Self { path: path.to_owned(), handle };
        directory.check_private()?;
        Ok(directory)
    }

    /// A new file shows who this process is; the directory must be that user's, and closed to everybody else.
    fn check_private(&self) -> Result<()> {
        let (name, file) = self.new_file()?;
        let ours = fs::fstat(&file).map_err(|problem| self.failed("can't be used", problem));
        let removed = fs::unlinkat(&self.handle, &name, AtFlags::empty());
        let ours = ours?;
        removed.map_err(|problem| self.failed("can't be used", problem))?;
        let stat = fs::fstat(&self.handle).map_err(|problem| self.failed("can't be looked at", problem))?;
        if stat.st_uid == ours.st_uid && stat.st_mode & 0o077 == 0 {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::EnvironmentStore,
            format!(
                "the policy directory `{}` is open to others (make it belong to the user of this process, with mode 0700)",
                self.path.display()
            ),
        ))
    }

    /// Content of a regular file; `None` when it is not there.
    pub(super) fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let Some(file) = self.open_file(name)? else { return Ok(None) };
        let mut text = Vec::new();
        let read = file.take(MAX_FILE_BYTES).read_to_end(&mut text);
        read.map_err(|problem| self.failed(&format!("has `{name}`, which can't be read"), problem))?;
        Ok(Some(text))
    }

    /// A regular file, open for reading.
    pub(super) fn open_file(&self, name: &str) -> Result<Option<File>> {
        // Without NONBLOCK, a pipe put there by mistake would stop the host.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let what = || format!("has `{name}`, which can't be read");
        let file = match fs::openat(&self.handle, name, flags, Mode::empty()) {
            Ok(handle) => File::from(handle),
            Err(Errno::NOENT) => return Ok(None),
            Err(problem) => return Err(self.failed(&what(), problem)),
        };
        let is_file = file.metadata().map_err(|problem| self.failed(&what(), problem))?.is_file();
        if is_file { Ok(Some(file)) } else { Err(self.failed(&what(), Errno::INVAL)) }
    }

    /// Names of what is in it.
    pub(super) fn names(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.handle).map_err(|problem| self.failed("can't be listed", problem))? {
            let entry = entry.map_err(|problem| self.failed("can't be listed", problem))?;
            // Names that are not UTF-8 are none of ours.
            if let Ok(name) = entry.file_name().to_str() {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// Changes whenever a file in it does, whether it was exchanged or edited in place.
    pub(super) fn fingerprint(&self) -> Result<u64> {
        let mut names = self.names()?;
        names.retain(|name| !name.starts_with('.') && name != LOCK && !name.ends_with(super::EVIDENCE));
        names.sort();
        let mut hasher = DefaultHasher::new();
        for name in names {
            // What is removed meanwhile changes the next fingerprint.
            if let Ok(stat) = fs::statat(&self.handle, &name, AtFlags::SYMLINK_NOFOLLOW) {
                (name, stat.st_ino, stat.st_size, stat.st_mtime, stat.st_mtime_nsec).hash(&mut hasher);
            }
        }
        Ok(hasher.finish())
    }

    /// Waits until no other process changes the directory.
    pub(super) fn lock(&self) -> Result<Locked<'_>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let lock = fs::openat(&self.handle, LOCK, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|problem| self.failed("can't be locked", problem))?;
        let until = clock::now().saturating_add(clock::saturating_nanos(LOCK_WAIT));
        loop {
            match fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Locked { directory: self, _lock: lock }),
                Err(Errno::WOULDBLOCK) if clock::now() < until => std::thread::park_timeout(LOCK_POLL),
                Err(Errno::INTR) => {}
                Err(problem) => return Err(self.failed("can't be locked", problem)),
            }
        }
    }

    fn new_file(&self) -> Result<(String, File)> {
        let mut random = [0; 8];
        getrandom::fill(&mut random)
            .map_err(|problem| self.failed("can't be written", std::io::Error::other(problem)))?;
        let name = format!("{UNFINISHED}{:016x}", u64::from_ne_bytes(random));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = fs::openat(&self.handle, &name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|problem| self.failed("can't be written", problem))?;
        Ok((name, File::from(file)))
    }

    fn sync(&self) -> Result<()> {
        fs::fsync(&self.handle).map_err(|problem| self.failed("can't be synced", problem))
    }

    pub(super) fn failed(&self, what: &str, problem: impl Into<std::io::Error>) -> Error {
        failed(&self.path, what, problem)
    }
}

impl<'d> Locked<'d> {
    /// Writes a file beside its place, and syncs it.
    pub(super) fn prepare(&self, text: &[u8]) -> Result<Prepared<'d>> {
        let (name, mut file) = self.directory.new_file()?;
        let prepared = Prepared { directory: self.directory, name, in_place: false };
        file.write_all(text)
            .and_then(|()| file.sync_all())
            .map_err(|problem| self.directory.failed("can't be written", problem))?;
        Ok(prepared)
    }

    /// Removes a file; one that is not there is no error.
    pub(super) fn remove(&self, name: &str) -> Result<()> {
        match fs::unlinkat(&self.directory.handle, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => self.directory.sync(),
            Err(problem) => Err(self.directory.failed("can't be written", problem)),
        }
    }

    /// A file that is only ever added to; made when it is not there.
    pub(super) fn open_for_adding(&self, name: &str) -> Result<File> {
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        fs::openat(&self.directory.handle, name, flags, Mode::RUSR | Mode::WUSR)
            .map(File::from)
            .map_err(|problem| self.directory.failed("can't be written", problem))
    }

    pub(super) fn failed(&self, what: &str, problem: impl Into<std::io::Error>) -> Error {
        self.directory.failed(what, problem)
    }
}

impl Prepared<'_> {
    /// Puts the file in place of what has that name.
    pub(super) fn rename(mut self, name: &str) -> Result<()> {
        let handle = &self.directory.handle;
        fs::renameat(handle, &self.name, handle, name)
            .map_err(|problem| self.directory.failed("can't be written", problem))?;
        self.in_place = true;
        self.directory.sync()
    }
}

impl Drop for Prepared<'_> {
    fn drop(&mut self) {
        if !self.in_place {
            // What is left of a change that failed; its error is what counts.
            let _ = fs::unlinkat(&self.directory.handle, &self.name, AtFlags::empty());
        }
    }
}

fn failed(path: &Path, what: &str, problem: impl Into<std::io::Error>) -> Error {
    let problem = problem.into();
    let code = match problem.kind() {
        std::io::ErrorKind::ReadOnlyFilesystem => ErrorCode::EnvironmentStoreReadOnly,
        _ => ErrorCode::EnvironmentStore,
    };
    Error::new(code, format!("the policy directory `{}` {what}", path.display())).with_source(problem)
}
