//! Users of the host system that plugins run as, one for each jail, where the host is root.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Once};

use rustix::fs::{AtFlags, Dir, FlockOperation, Mode, OFlags, flock, fstat, mkdir, openat, statat, unlinkat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, socket_with};

use super::messages;
use crate::error::{Error, ErrorCode, Result};

/// First user number. People can become the users that they were given for containers (`/etc/subuid`: 100,000 up to
/// 600,100,000), and directories of companies hand out numbers of their own (200,000 up to 2,000,200,000); systemd keeps what
/// begins at 2,147,352,576.
const FIRST: u32 = 2_100_000_000;
const COUNT: u32 = 60_000;

/// Where hosts say which numbers they use: a directory of root's, so that nobody else can use them up.
const CLAIMS: &str = "/run/goatflow-plugin-users";

/// A user number that no other jail of this machine has as long as this lives.
#[derive(Debug)]
pub(super) struct User {
    pub(super) number: u32,
    claim: Claim,
    /// Process that made the claim: a forked child must not give it back.
    owner: u32,
}

/// What keeps others from a number; the kernel ends it with the process, however that ends.
#[derive(Debug)]
enum Claim {
    /// A lock on a file of that name.
    File { _lock: OwnedFd },
    /// An address that only one socket can have, where there is no place for files.
    Address { _socket: OwnedFd },
}

impl User {
    /// A free number, if this process is the machine's root; else the plugin can only have the host's user.
    pub(super) fn reserve() -> Result<Option<Self>> {
        // Hosts that don't see each other's claims, as in containers, begin at different numbers.
        static NEXT: LazyLock<AtomicU32> = LazyLock::new(|| AtomicU32::new(getrandom::u32().unwrap_or_default()));
        if !rustix::process::geteuid().is_root() || !has_every_user() {
            return Ok(None);
        }
        static SWEPT: Once = Once::new();
        let claims = directory(Path::new(CLAIMS)).ok();
        if let Some(claims) = &claims {
            SWEPT.call_once(|| sweep(claims));
        }
        for _ in 0..COUNT {
            let number = FIRST + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
            let claim = match &claims {
                Some(claims) => lock(claims.as_fd(), number)?.map(|lock| Claim::File { _lock: lock }),
                None => take_address(number)?.map(|socket| Claim::Address { _socket: socket }),
            };
            if let Some(claim) = claim {
                return Ok(Some(Self { number, claim, owner: std::process::id() }));
            }
        }
        Err(Error::new(
            ErrorCode::EnvironmentResources,
            format!("all {COUNT} users for native plugins are taken (stop some plugins)"),
        ))
    }
}

impl Drop for User {
    fn drop(&mut self) {
        if matches!(self.claim, Claim::File { .. }) && self.owner == std::process::id() {
            // While it is locked. What stays is used again when its number comes up.
            let _ = directory(Path::new(CLAIMS))
                .and_then(|claims| unlinkat(claims, self.number.to_string(), AtFlags::empty()));
        }
    }
}

/// The directory of claims, made if need be; an error when somebody else could write to it.
fn directory(path: &Path) -> rustix::io::Result<OwnedFd> {
    match mkdir(path, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno),
    }
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    let directory = rustix::fs::open(path, flags, Mode::empty())?;
    let facts = fstat(&directory)?;
    let is_private = facts.st_mode & 0o077 == 0 && facts.st_uid == rustix::process::geteuid().as_raw();
    if is_private { Ok(directory) } else { Err(Errno::PERM) }
}

/// Removes the claims of hosts that were killed.
fn sweep(claims: &OwnedFd) {
    let Ok(entries) = Dir::read_from(claims) else { return };
    for entry in entries.filter_map(rustix::io::Result::ok) {
        let number = entry.file_name().to_str().ok().and_then(|name| name.parse().ok());
        if let Some(number) = number
            && let Ok(Some(_lock)) = lock(claims.as_fd(), number)
        {
            // Somebody else may be sweeping, too.
            let _ = unlinkat(claims, entry.file_name(), AtFlags::empty());
        }
    }
}

/// The lock for a number; `None` when somebody has it.
fn lock(claims: BorrowedFd<'_>, number: u32) -> Result<Option<OwnedFd>> {
    let failed = |errno| messages::no_descriptors("claim on a user", errno);
    let name = number.to_string();
    let flags = OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDWR;
    let file = openat(claims, &name, flags, Mode::RUSR | Mode::WUSR).map_err(failed)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => return Ok(None),
        outcome => outcome.map_err(failed)?,
    }
    // Whoever had it may have removed the file between both steps: then the next one makes another.
    let is_named = statat(claims, &name, AtFlags::SYMLINK_NOFOLLOW)
        .and_then(|named| fstat(&file).map(|opened| opened.st_ino == named.st_ino))
        .unwrap_or_default();
    Ok(is_named.then_some(file))
}

fn take_address(number: u32) -> Result<Option<OwnedFd>> {
    let failed = |errno| messages::no_descriptors("claim on a user", errno);
    let name = format!("goatflow-plugin/user/{number}");
    let address = SocketAddrUnix::new_abstract_name(name.as_bytes()).map_err(failed)?;
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None).map_err(failed)?;
    match bind(&socket, &address) {
        Ok(()) => Ok(Some(socket)),
        Err(Errno::ADDRINUSE) => Ok(None),
        Err(errno) => Err(failed(errno)),
    }
}

/// Root of a container sees a part of the machine's users only, and can't hand out others.
fn has_every_user() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_user_is_claimed_once_until_it_is_given_back() {
        let number = FIRST + COUNT + 7;
        let first = take_address(number).unwrap().unwrap();
        assert!(take_address(number).unwrap().is_none());
        drop(first);
        assert!(take_address(number).unwrap().is_some());

        let base = tempfile::tempdir().unwrap();
        let claims = directory(&base.path().join("users")).unwrap();
        let first = lock(claims.as_fd(), number).unwrap().unwrap();
        assert!(lock(claims.as_fd(), number).unwrap().is_none());
        // The file that is locked is not the one of that name any more.
        unlinkat(&claims, number.to_string(), AtFlags::empty()).unwrap();
        let second = lock(claims.as_fd(), number).unwrap();
        assert!(second.is_some());
        sweep(&claims);
        assert!(lock(claims.as_fd(), number).unwrap().is_none());
        drop((first, second));
        sweep(&claims);
        assert_eq!(std::fs::read_dir(base.path().join("users")).unwrap().count(), 0);
        assert!(lock(claims.as_fd(), number).unwrap().is_some());
    }

    #[test]
    fn numbers_are_nobody_elses() {
        // The largest number that sssd gives users of a directory by default, and the first of systemd's foreign users.
        assert!(FIRST > 2_000_200_000 && FIRST + COUNT < 0x7FFE_0000);
    }

    #[test]
    fn claims_are_not_believed_where_others_can_write() {
        let base = tempfile::tempdir().unwrap();
        let place = base.path().join("users");
        std::fs::create_dir(&place).unwrap();
        std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o770)).unwrap();
        assert_eq!(directory(&place).unwrap_err(), Errno::PERM);
        std::os::unix::fs::symlink(&place, base.path().join("link")).unwrap();
        assert!(directory(&base.path().join("link")).is_err());
    }

    #[test]
    fn a_claim_of_root_is_a_file_that_goes_with_it() {
        let Some(user) = User::reserve().unwrap() else { return };
        let number = user.number;
        assert!((FIRST..FIRST + COUNT).contains(&number));
        // Nobody who holds all addresses is in the way.
        assert!(take_address(number).unwrap().is_some());
        let file = Path::new(CLAIMS).join(number.to_string());
        assert!(file.exists());
        drop(user);
        assert!(!file.exists());
    }
}
