//! Extraction relative to open directories, one path component at a time: no path is ever walked by the kernel, and no link
//! is followed. What was written is on the disk when it is reported: files first, then directories from the bottom up.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{self, AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use super::Extracted;
use crate::error::{Error, ErrorCode, Result};
use crate::package::archive::{Archive, Entry, EntryKind};
use crate::plugin::name::shorten;

const FILE_MODE: Mode = Mode::from_bits_truncate(0o644);
const DIRECTORY_MODE: Mode = Mode::from_bits_truncate(0o755);
/// Nobody else gets in while something is being written.
const PRIVATE_DIRECTORY: Mode = Mode::from_bits_truncate(0o700);
const PRIVATE_FILE: Mode = Mode::from_bits_truncate(0o600);

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const NEW_FILE: OFlags =
    OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Writes all entries below `staging`; removes them again when one fails.
pub(in super::super) fn extract(archive: &Archive, staging: &Path) -> Result<Vec<Extracted>> {
    let shown = shorten(&staging.display().to_string(), 300);
    let root = fs::open(staging, DIRECTORY, Mode::empty()).map_err(|error| io("open", &shown, error))?;
    check_empty(&root, &shown)?;
    let mut entries: Vec<&Entry> = archive.entries().iter().collect();
    // A directory, then all that is in it, then the next.
    entries.sort_by(|a, b| a.name().split('/').cmp(b.name().split('/')));
    let mut writer = Writer { root: root.as_fd(), open: Vec::new(), made: Vec::new(), names: Vec::new() };
    let extracted = writer.write_all(archive, &entries);
    if extracted.is_err() {
        writer.remove_all();
    }
    extracted
}

fn check_empty(directory: &OwnedFd, shown: &str) -> Result<()> {
    let entries = fs::Dir::read_from(directory).map_err(|error| io("read", shown, error))?;
    for entry in entries {
        let entry = entry.map_err(|error| io("read", shown, error))?;
        if ![b".".as_slice(), b".."].contains(&entry.file_name().to_bytes()) {
            return Err(Error::new(
                ErrorCode::ArgumentInvalid,
                format!("the directory `{shown}` to extract into is not empty"),
            ));
        }
    }
    Ok(())
}

/// Directories that are being written, outermost first.
struct Writer<'a> {
    root: BorrowedFd<'a>,
    open: Vec<OwnedFd>,
    /// Names of the open directories.
    names: Vec<String>,
    /// What was made, in order: name, and whether it is a directory.
    made: Vec<(String, bool)>,
}

impl Writer<'_> {
    fn write_all(&mut self, archive: &Archive, entries: &[&Entry]) -> Result<Vec<Extracted>> {
        let mut extracted = Vec::new();
        for entry in entries {
            let parts: Vec<&str> = entry.name().split('/').collect();
            match entry.kind() {
                EntryKind::Directory => self.enter(&parts)?,
                EntryKind::File => {
                    let (file, parents) = parts.split_last().unwrap_or((&"", &[]));
                    self.enter(parents)?;
                    let content = archive.content(entry)?;
                    self.write_file(entry.name(), file, &content)?;
                    let sha256 = Sha256::digest(&content).into();
                    extracted.push(Extracted { name: entry.name().to_owned(), size: entry.size(), sha256 });
                }
            }
        }
        self.leave(0)?;
        fs::fsync(self.root).map_err(|error| io("sync", ".", error))?;
        Ok(extracted)
    }

    fn current(&self) -> BorrowedFd<'_> {
        self.open.last().map_or(self.root, AsFd::as_fd)
    }

    /// Finishes the open directories that `parts` does not lie in, and makes those that are missing.
    fn enter(&mut self, parts: &[&str]) -> Result<()> {
        let common = self.names.iter().zip(parts).take_while(|(open, part)| open == *part).count();
        self.leave(common)?;
        for part in parts.iter().skip(common) {
            let mut path = self.names.join("/");
            if !path.is_empty() {
                path.push('/');
            }
            path.push_str(part);
            fs::mkdirat(self.current(), *part, PRIVATE_DIRECTORY).map_err(|error| io("make", &path, error))?;
            self.made.push((path.clone(), true));
            let directory =
                open_below(self.current(), part, DIRECTORY, Mode::empty()).map_err(|error| io("open", &path, error))?;
            self.open.push(directory);
            self.names.push((*part).to_owned());
        }
        Ok(())
    }

    /// Finishes open directories, innermost first, until `keep` are left.
    fn leave(&mut self, keep: usize) -> Result<()> {
        while self.open.len() > keep {
            let path = self.names.join("/");
            let Some(directory) = self.open.pop() else { break };
            self.names.pop();
            fs::fchmod(&directory, DIRECTORY_MODE).map_err(|error| io("change the mode of", &path, error))?;
            fs::fsync(&directory).map_err(|error| io("sync", &path, error))?;
        }
        Ok(())
    }

    fn write_file(&mut self, path: &str, name: &str, content: &[u8]) -> Result<()> {
        let file = open_below(self.current(), name, NEW_FILE, PRIVATE_FILE).map_err(|error| io("make", path, error))?;
        self.made.push((path.to_owned(), false));
        let mut file = File::from(file);
        file.write_all(content).map_err(|error| io("write", path, error))?;
        fs::fchmod(&file, FILE_MODE).map_err(|error| io("change the mode of", path, error))?;
        file.sync_all().map_err(|error| io("sync", path, error))
    }

    /// Removes what was made, last first. What can't be removed stays: the directory is the caller's, who removes it too.
    fn remove_all(&mut self) {
        self.open.clear();
        for (path, is_directory) in self.made.drain(..).rev() {
            let (parents, name) = path.rsplit_once('/').unwrap_or(("", &path));
            let flags = if is_directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
            if let Ok(directory) = walk(self.root, parents) {
                fs::unlinkat(directory, name, flags).unwrap_or_default();
            }
        }
    }
}

/// Opens the directory `path` below `root`, one component after the other.
fn walk(root: BorrowedFd<'_>, path: &str) -> rustix::io::Result<OwnedFd> {
    let mut directory = root.try_clone_to_owned().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    for part in path.split('/').filter(|part| !part.is_empty()) {
        directory = open_below(directory.as_fd(), part, DIRECTORY, Mode::empty())?;
    }
    Ok(directory)
}

/// Opens `name`, a single component, in `directory` and nowhere else. Kernels before 5.6, and old container filters, have no
/// `openat2`; for a single component, the flags of `openat` leave nothing to follow either.
fn open_below(directory: BorrowedFd<'_>, name: &str, flags: OFlags, mode: Mode) -> rustix::io::Result<OwnedFd> {
    let inside =
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    match fs::openat2(directory, name, flags, mode, inside) {
        Err(Errno::NOSYS | Errno::PERM) => fs::openat(directory, name, flags, mode),
        opened => opened,
    }
}

fn io(action: &str, path: &str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorCode::EnvironmentIo, format!("can't {action} `{}`", shorten(path, 300)))
        .with_source(error)
        .with_detail("entry", shorten(path, 260))
}
