//! Reads and writes the files of packages and trust stores. Every change goes through here, so that tests can make each
//! of them fail.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorCode, Result};
use crate::package::hex;
use crate::plugin::name::shorten;

/// Reads a regular file of at most `max_bytes`, once. Anything else (a pipe, a device) could block or never end.
pub fn read(path: &Path, max_bytes: usize) -> Result<Vec<u8>> {
    read_checked(path, max_bytes, 0, |_| Ok(()))
}

/// As [`read`], but `None` when there is no such file.
pub fn read_if_there(path: &Path, max_bytes: usize) -> Result<Option<Vec<u8>>> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        _ => read(path, max_bytes).map(Some),
    }
}

/// Reads a file that only its owner, who must be this user or root, can have written. Links are refused.
pub fn read_private(path: &Path, max_bytes: usize) -> Result<Vec<u8>> {
    read_checked(path, max_bytes, libc::O_NOFOLLOW, |metadata| {
        let problem = match () {
            () if metadata.mode() & 0o022 != 0 => "others may write it (chmod go-w)",
            () if metadata.uid() != 0 && metadata.uid() != own_uid() => "it belongs to another user",
            () => return Ok(()),
        };
        Err(Error::new(ErrorCode::EnvironmentIo, format!("`{}` is not read: {problem}", shown(path))))
    })
}

fn read_checked(
    path: &Path,
    max_bytes: usize,
    flags: i32,
    check: impl FnOnce(&std::fs::Metadata) -> Result<()>,
) -> Result<Vec<u8>> {
    let mut options = File::options();
    options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC | flags);
    let file = options.open(path).map_err(|error| io("read", path, error))?;
    let metadata = file.metadata().map_err(|error| io("read", path, error))?;
    if !metadata.is_file() {
        return Err(Error::new(ErrorCode::EnvironmentIo, format!("`{}` is not a regular file", shown(path))));
    }
    check(&metadata)?;
    let expected = usize::try_from(metadata.len()).unwrap_or(usize::MAX).min(max_bytes);
    let mut bytes = Vec::with_capacity(expected.saturating_add(1));
    let limit = u64::try_from(max_bytes).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut bytes).map_err(|error| io("read", path, error))?;
    if bytes.len() > max_bytes {
        return Err(Error::new(
            ErrorCode::PackageTooLarge,
            format!("`{}` is larger than {max_bytes} bytes", shown(path)),
        ));
    }
    Ok(bytes)
}

/// Writes a new file and makes it durable.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let mut options = File::options();
    options.write(true).create_new(true).mode(mode).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC);
    let write = || {
        step()?;
        let mut file = options.open(path)?;
        step()?;
        file.write_all(bytes)?;
        file.set_permissions(std::fs::Permissions::from_mode(mode))?;
        step()?;
        file.sync_all()
    };
    write().map_err(|error| io("write", path, error))
}

/// Puts a file with these bytes in the place of `path`: whoever reads sees the old one or the new one, also after a crash.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let directory = parent(path);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = directory.join(format!(".{name}.{}", random_name()?));
    let placed = write_new(&temporary, bytes, mode).and_then(|()| rename(&temporary, path));
    if placed.is_err() {
        // What is left behind has a name that nothing reads.
        let _ = remove_file(&temporary);
    }
    placed?;
    sync_directory(directory)
}

/// Renames over what is there and nothing else.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    let rename = || {
        step()?;
        std::fs::rename(from, to)
    };
    rename().map_err(|error| io("rename", to, error))
}

/// Renames; fails when there is something already.
pub fn rename_new(from: &Path, to: &Path) -> Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    let rename = || {
        step()?;
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // File systems without that flag: the directory is ours and locked, so that looking first is enough.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) if std::fs::symlink_metadata(to).is_err() => {
                std::fs::rename(from, to)
            }
            done => done.map_err(Into::into),
        }
    };
    rename().map_err(|error| io("rename", to, error))
}

/// Makes a directory that only its owner may enter.
pub fn create_directory(path: &Path, mode: u32) -> Result<()> {
    let create = || {
        step()?;
        std::fs::DirBuilder::new().mode(mode).create(path)
    };
    create().map_err(|error| io("make", path, error))
}

/// Makes a directory unless it is there.
pub fn ensure_directory(path: &Path, mode: u32) -> Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(io("use", path, std::io::Error::from(ErrorKind::NotADirectory))),
        Err(_) => match create_directory(path, mode) {
            // Somebody else was faster.
            Err(_) if path.is_dir() => Ok(()),
            made => made.and_then(|()| sync_directory(parent(path))),
        },
    }
}

/// Makes the names in a directory durable.
pub fn sync_directory(path: &Path) -> Result<()> {
    let sync = || {
        step()?;
        File::open(path)?.sync_all()
    };
    sync().map_err(|error| io("write", path, error))
}

/// Removes a file; one that is not there is no error.
pub fn remove_file(path: &Path) -> Result<()> {
    remove(path, std::fs::remove_file)
}

/// Removes a directory with all that is in it; links in it are removed, not followed.
pub fn remove_tree(path: &Path) -> Result<()> {
    remove(path, std::fs::remove_dir_all)
}

fn remove(path: &Path, how: fn(PathBuf) -> std::io::Result<()>) -> Result<()> {
    match step().and_then(|()| how(path.to_owned())) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io("remove", path, error)),
        _ => Ok(()),
    }
}

/// Sixteen random digits, for names that nobody can guess.
pub fn random_name() -> Result<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(ErrorCode::EnvironmentResources, "the operating system gives no random bytes").with_source(error)
    })?;
    Ok(hex::encode(&bytes))
}

/// The directory that `path` is in.
pub fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

/// User this process acts as.
#[must_use]
pub fn own_uid() -> u32 {
    #[expect(unsafe_code, reason = "a call without arguments or conditions, which std does not offer")]
    // SAFETY: `geteuid` has no preconditions and always succeeds.
    unsafe {
        libc::geteuid()
    }
}

/// Error of the operating system about `path`.
pub fn io(what: &str, path: &Path, error: std::io::Error) -> Error {
    let code = match error.kind() {
        ErrorKind::NotFound if what == "read" => ErrorCode::PackageNotFound,
        _ => ErrorCode::EnvironmentIo,
    };
    Error::new(code, format!("can't {what} `{}`", shown(path))).with_source(error)
}

/// A path for a message; paths come from outside and may be long.
#[must_use]
pub fn shown(path: &Path) -> String {
    shorten(&path.display().to_string(), 300)
}

#[cfg(not(test))]
#[expect(clippy::unnecessary_wraps, reason = "tests make it fail")]
fn step() -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
use fault::step;

/// Faults that tests inject: at one step of this thread, once or from then on for ever, as if the process had died.
#[cfg(test)]
pub(super) mod fault {
    use std::cell::Cell;

    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(in crate::package) enum Fault {
        Once(usize),
        Dead(usize),
    }

    thread_local! {
        static FAULT: Cell<Option<Fault>> = const { Cell::new(None) };
        static STEPS: Cell<usize> = const { Cell::new(0) };
    }

    /// Runs `work` with a fault; gives its result and how many steps it took.
    pub(in crate::package) fn with<T>(fault: Option<Fault>, work: impl FnOnce() -> T) -> (T, usize) {
        FAULT.set(fault);
        STEPS.set(0);
        let result = work();
        FAULT.set(None);
        (result, STEPS.get())
    }

    pub(super) fn step() -> std::io::Result<()> {
        let now = STEPS.replace(STEPS.get() + 1);
        match FAULT.get() {
            Some(Fault::Once(at)) if now == at => Err(std::io::Error::from(std::io::ErrorKind::StorageFull)),
            Some(Fault::Dead(at)) if now >= at => Err(std::io::Error::other("the process is dead")),
            _ => Ok(()),
        }
    }
}
