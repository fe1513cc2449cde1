//! Where the files and sockets of a native plugin are, on the host's side and at the same paths inside its jail.

use std::fs::{DirBuilder, Permissions};
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};

use super::removal::remove_tree;
use crate::error::{Error, ErrorCode, Result};

/// How directories of plugins are called: this, the host's process number and its start time, and something that nobody
/// can guess: who may write to the same place could else take the names beforehand.
const PREFIX: &str = "goatflow-plugin.";

/// Name of the host's socket. Clients made of gRPC's C library, as in Python and Ruby, say the path of a socket, percent-encoded,
/// where HTTP has the name of a host; `http` refuses a host that is percent-encoded, but passes user names that are.
const HOST_SOCKET: &str = "host@goatflow";

/// A private directory; removed with everything in it when dropped.
#[derive(Debug)]
pub(super) struct PluginDirectory {
    path: PathBuf,
    sockets: AtomicU32,
    /// Held as long as it is in use: processes that don't see each other's numbers, as in containers, sweep the same place.
    _lock: OwnedFd,
    /// Process that made it: a forked child must not remove it.
    owner: u32,
}

impl PluginDirectory {
    /// Makes a directory below `base`, or where the system keeps such things.
    pub(super) fn new(base: Option<&Path>) -> Result<Self> {
        let base = base.map_or_else(usual_base, Path::to_owned);
        sweep(&base);
        let owner = std::process::id();
        let started = start_time(owner).unwrap_or_default();
        let wrong = |error| failed("make a directory in", &base, error);
        let number = getrandom::u64().map_err(|error| wrong(std::io::Error::other(error.to_string())))?;
        let path = base.join(format!("{PREFIX}{owner}.{started}.{number:016x}"));
        // Passed through, not listed: without a mount namespace the plugin's user comes this way too.
        DirBuilder::new().mode(0o711).create(&path).map_err(wrong)?;
        match open(&path).and_then(|lock| flock(&lock, FlockOperation::NonBlockingLockShared).map(|()| lock)) {
            Ok(lock) => Ok(Self { path, sockets: AtomicU32::new(0), _lock: lock, owner }),
            Err(errno) => Err(wrong(errno.into())),
        }
    }

    /// Where the plugin's own files are, read-only for it.
    pub(super) fn files(&self) -> PathBuf {
        self.path.join("files")
    }

    /// Puts a file of the plugin's package among its files.
    pub(super) fn add_file(&self, name: &str, content: &[u8]) -> Result<()> {
        super::jail::may_write(content.len())?;
        let path = self.files().join(name);
        let is_plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        if !is_plain || name.is_empty() {
            return Err(failed("write", &path, ErrorKind::InvalidInput.into()));
        }
        if let Some(parent) = path.parent() {
            let made = DirBuilder::new().recursive(true).mode(0o755).create(parent);
            made.map_err(|error| failed("make", parent, error))?;
        }
        std::fs::write(&path, content).map_err(|error| failed("write", &path, error))?;
        // Whatever the host's umask is, the plugin's user must be able to read it.
        let readable = |path: &Path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode));
        readable(&path, 0o444).map_err(|error| failed("write", &path, error))?;
        for directory in path.ancestors().skip(1).take_while(|path| path.starts_with(self.files())) {
            readable(directory, 0o755).map_err(|error| failed("write", directory, error))?;
        }
        Ok(())
    }

    /// A directory for the sockets of one process of the plugin.
    pub(super) fn new_sockets(self: &Arc<Self>) -> Result<Sockets> {
        let path = self.path.join(format!("s{}", self.sockets.fetch_add(1, Ordering::Relaxed)));
        DirBuilder::new().mode(0o700).create(&path).map_err(|error| failed("make", &path, error))?;
        Ok(Sockets { path, plugin: Arc::clone(self) })
    }
}

impl Drop for PluginDirectory {
    fn drop(&mut self) {
        if self.owner == std::process::id() {
            // What stays is swept by the next process that starts plugins.
            let _ = remove_tree(&self.path);
        }
    }
}

/// The directory that one process puts its sockets into; removed when dropped.
#[derive(Debug)]
pub(super) struct Sockets {
    pub(super) path: PathBuf,
    /// Stays until no process is left that could put something into it while it is being removed.
    plugin: Arc<PluginDirectory>,
}

impl Sockets {
    /// Opened, for what is in it to be reached even where the plugin's user may not come.
    pub(super) fn open(&self) -> Result<OwnedFd> {
        open(&self.path).map_err(|errno| failed("open", &self.path, errno.into()))
    }

    /// The host's own socket in it. To be made before the plugin runs, so that the plugin can't put something in its place.
    pub(super) fn listen(&self) -> Result<(UnixListener, PathBuf)> {
        let path = self.path.join(HOST_SOCKET);
        let listener = UnixListener::bind(&path).map_err(|error| failed("listen at", &path, error))?;
        // Nobody but the plugin's user gets into the directory.
        std::fs::set_permissions(&path, Permissions::from_mode(0o666))
            .map_err(|error| failed("listen at", &path, error))?;
        Ok((listener, path))
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        if self.plugin.owner == std::process::id() {
            let _ = remove_tree(&self.path);
        }
    }
}

/// Memory that goes with the machine where the host may write there; addresses of sockets must be short, too.
fn usual_base() -> PathBuf {
    let run = Path::new("/run");
    let may_write = rustix::fs::access(run, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok();
    if may_write { run.to_owned() } else { std::env::temp_dir() }
}

/// Removes what processes left behind that were killed.
fn sweep(base: &Path) {
    let own = rustix::process::geteuid().as_raw();
    let Ok(entries) = std::fs::read_dir(base) else { return };
    for entry in entries.filter_map(std::result::Result::ok) {
        let name = entry.file_name();
        let Some(is_alive) = name.to_str().and_then(maker_is_alive) else { continue };
        let is_ours = entry.metadata().is_ok_and(|facts| facts.is_dir() && facts.uid() == own);
        if is_ours && !is_alive && !is_held(&entry.path()) {
            // Somebody else may be sweeping, too.
            let _ = remove_tree(&entry.path());
        }
    }
}

/// Whether somebody uses the directory, or it can't be found out.
fn is_held(path: &Path) -> bool {
    open(path).and_then(|directory| flock(&directory, FlockOperation::NonBlockingLockExclusive)).is_err()
}

fn open(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    rustix::fs::open(path, flags, Mode::empty())
}

/// Whether the process that made a directory of this name still runs; `None` for other names.
fn maker_is_alive(name: &str) -> Option<bool> {
    let mut parts = name.strip_prefix(PREFIX)?.split('.');
    let (process, started) = (parts.next()?.parse().ok()?, parts.next()?.parse::<u64>().ok()?);
    Some(start_time(process).is_none_or(|now| started == 0 || now == started) && process_exists(process))
}

fn process_exists(process: u32) -> bool {
    Path::new(&format!("/proc/{process}")).exists() || !Path::new("/proc/self").exists()
}

/// When a process was started, in the kernel's ticks; tells processes apart that had the same number.
fn start_time(process: u32) -> Option<u64> {
    let facts = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, in parentheses, may hold anything; the start is the twentieth field behind it.
    facts.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

fn failed(what: &str, path: &Path, error: std::io::Error) -> Error {
    Error::new(
        ErrorCode::EnvironmentIo,
        format!(
            "can't {what} `{}` for a native plugin (`native.directory` of the configuration names another place)",
            path.display()
        ),
    )
    .with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_go_with_their_owner_and_leftovers_are_swept() {
        let base = tempfile::tempdir().unwrap();
        let dead = base.path().join(format!("{PREFIX}4194305.1.0"));
        let reused = base.path().join(format!("{PREFIX}{}.1.0", std::process::id()));
        let strange = base.path().join(format!("{PREFIX}x"));
        // Of a process in another container, where numbers mean other processes.
        let foreign = base.path().join(format!("{PREFIX}4194306.1.0"));
        std::fs::create_dir(&foreign).unwrap();
        let lock = open(&foreign).unwrap();
        flock(&lock, FlockOperation::LockShared).unwrap();
        for path in [&dead, &reused, &strange] {
            std::fs::create_dir(path).unwrap();
        }
        let directory = Arc::new(PluginDirectory::new(Some(base.path())).unwrap());
        let second = PluginDirectory::new(Some(base.path())).unwrap();
        assert!(!dead.exists() && !reused.exists() && strange.exists() && directory.path.exists());
        assert!(foreign.exists());
        drop(lock);
        sweep(base.path());
        assert!(!foreign.exists());
        directory.add_file("a/b/c.txt", b"x").unwrap();
        assert_eq!(std::fs::read(directory.files().join("a/b/c.txt")).unwrap(), b"x");
        for name in ["../x", "/x", "", "a/../../x"] {
            assert_eq!(directory.add_file(name, b"").unwrap_err().code(), ErrorCode::EnvironmentIo, "{name}");
        }
        let sockets = directory.new_sockets().unwrap();
        let (_listener, path) = sockets.listen().unwrap();
        assert!(std::os::unix::net::UnixStream::connect(path).is_ok());
        let path = directory.path.clone();
        drop((directory, second));
        assert!(path.exists(), "a process may still use it");
        drop(sockets);
        assert_eq!(std::fs::read_dir(base.path()).unwrap().count(), 1);
    }
}
