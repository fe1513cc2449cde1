//! One process at a time changes a directory of packages or a trust store.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use super::files;
use crate::clock;
use crate::error::{Error, ErrorCode, Result};

/// How long others may keep us waiting.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often we look again.
const POLL: Duration = Duration::from_millis(5);

/// A lock on a file; given back when dropped, and by the operating system when the process dies.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "the open file is the lock")] File);

impl Lock {
    /// Waits for the lock at `path` and takes it.
    pub fn take(path: &Path) -> Result<Self> {
        Self::take_within(path, PATIENCE)
    }

    fn take_within(path: &Path, patience: Duration) -> Result<Self> {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        let file = options.open(path).map_err(|error| files::io("lock", path, error))?;
        let until = clock::now().saturating_add(clock::saturating_nanos(patience));
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self(file)),
                Err(std::fs::TryLockError::WouldBlock) if clock::now() < until => std::thread::park_timeout(POLL),
                Err(std::fs::TryLockError::WouldBlock) => {
                    return Err(Error::new(
                        ErrorCode::PackageLocked,
                        format!("another process holds the lock `{}` (try again later)", files::shown(path)),
                    ));
                }
                Err(std::fs::TryLockError::Error(error)) => return Err(files::io("lock", path, error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_holder_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let first = Lock::take(&path).unwrap();
        assert_eq!(Lock::take_within(&path, Duration::ZERO).unwrap_err().code(), ErrorCode::PackageLocked);
        drop(first);
        Lock::take_within(&path, Duration::ZERO).unwrap();
    }
}
