//! Users of the host system that plugins run as, one for each jail, where the host is root.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, socket_with};

use super::messages;
use crate::error::{Error, ErrorCode, Result};

/// First user number; above those of people and services, below those that containers get by default on most systems.
const FIRST: u32 = 200_000;
const COUNT: u32 = 60_000;

/// A user number that no other jail of this machine has as long as this lives.
#[derive(Debug)]
pub(super) struct User {
    pub(super) number: u32,
    /// An address that only one socket can have; the kernel frees it with the process, however that ends.
    _claim: OwnedFd,
}

impl User {
    /// A free number, if this process is the machine's root; else the plugin can only have the host's user.
    pub(super) fn reserve() -> Result<Option<Self>> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if !rustix::process::geteuid().is_root() || !has_every_user() {
            return Ok(None);
        }
        for _ in 0..COUNT {
            let number = FIRST + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
            if let Some(claim) = claim(number)? {
                return Ok(Some(Self { number, _claim: claim }));
            }
        }
        Err(Error::new(
            ErrorCode::EnvironmentResources,
            format!("all {COUNT} users for native plugins are taken (stop some plugins)"),
        ))
    }
}

fn claim(number: u32) -> Result<Option<OwnedFd>> {
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
    use super::*;

    #[test]
    fn a_user_is_claimed_once_until_it_is_given_back() {
        let number = FIRST + COUNT + 7;
        let first = claim(number).unwrap().unwrap();
        assert!(claim(number).unwrap().is_none());
        drop(first);
        assert!(claim(number).unwrap().is_some());
    }
}
