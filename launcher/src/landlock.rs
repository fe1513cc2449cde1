//! Landlock: what of the file system may be touched, whatever else goes wrong.

use std::os::fd::{AsFd, OwnedFd};

use crate::fault::{Fault, Outcome, Step};
use crate::host::{Host, State};
use crate::init::Setting;
use crate::job::Request;
use crate::root::devices;
use crate::sys;

const EXECUTE: u64 = 1;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const REMOVE_DIR: u64 = 1 << 4;
const REMOVE_FILE: u64 = 1 << 5;
const MAKE_DIR: u64 = 1 << 7;
const MAKE_REG: u64 = 1 << 8;
const MAKE_SOCK: u64 = 1 << 9;
const MAKE_FIFO: u64 = 1 << 10;
const REFER: u64 = 1 << 13;
const TRUNCATE: u64 = 1 << 14;

/// Rights that mean something for a file that is not a directory.
const OF_FILES: u64 = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | 1 << 15;

const SCRATCH: u64 = WRITE_FILE
    | READ_FILE
    | READ_DIR
    | REMOVE_DIR
    | REMOVE_FILE
    | MAKE_DIR
    | MAKE_REG
    | MAKE_SOCK
    | MAKE_FIFO
    | REFER
    | TRUNCATE;

/// Files as well as sockets: go-plugin finds a free name by making a file. No directories, devices or links.
const SOCKETS: u64 = READ_DIR | REMOVE_FILE | MAKE_SOCK | MAKE_REG | WRITE_FILE | READ_FILE;

/// First version that governs TCP; below it, a plugin without namespaces is not well enough contained.
const NETWORK_VERSION: i64 = 4;
/// First version that governs signals and abstract sockets.
const SCOPE_VERSION: i64 = 6;

/// Puts every right the kernel knows of under control, and reports the layer.
pub(crate) fn enforce(host: &Host, request: &Request, setting: Setting) {
    let version = match sys::landlock_version().step("landlock") {
        Ok(version) => version,
        Err(fault) => return host.weak("landlock", State::Missing, &fault),
    };
    match restrict(request, setting, version) {
        Err(fault) => host.weak("landlock", State::Missing, &fault),
        Ok(()) if version >= SCOPE_VERSION => host.in_force("landlock", &format!("version {version}")),
        Ok(()) => {
            let is_enough = setting != Setting::NoNamespaces || version >= NETWORK_VERSION;
            let state = if is_enough { State::Reduced } else { State::Missing };
            host.weak("landlock", state, &Fault { step: "landlock_version", errno: 0, place: version.to_string() });
        }
    }
}

/// File system rights of a version: each brought one or none.
fn handled(version: i64) -> u64 {
    let count = match version {
        ..=1 => 13,
        2 => 14,
        3 | 4 => 15,
        _ => 16,
    };
    (1 << count) - 1
}

fn restrict(request: &Request, setting: Setting, version: i64) -> Outcome<()> {
    let attributes = [handled(version), 0b11, 0b11];
    let known = match version {
        ..NETWORK_VERSION => 1,
        NETWORK_VERSION..SCOPE_VERSION => 2,
        _ => 3,
    };
    let rules = sys::landlock_create(attributes.get(..known).unwrap_or(&attributes)).step("landlock")?;
    let allow = |path: &str, rights: u64| allow(&rules, path, rights & handled(version));
    for bind in &request.binds {
        allow(bind, READ_FILE | READ_DIR | if request.is_dynamic { EXECUTE } else { 0 })?;
    }
    if let Some(sockets) = &request.sockets {
        allow(sockets, SOCKETS)?;
    }
    for device in devices(request) {
        // Devices are a convenience: one that is not there is not allowed.
        let _ = allow(device, READ_FILE | WRITE_FILE);
    }
    if setting == Setting::NoNamespaces {
        // The plugin keeps this process's number through exec.
        let _ = allow(&format!("/proc/{}", sys::own_pid()), READ_FILE | READ_DIR);
    } else {
        allow(request.scratch(), SCRATCH)?;
        // As for devices.
        let _ = allow("/proc", READ_FILE | READ_DIR);
    }
    sys::landlock_enforce(rules.as_fd()).step("landlock")
}

fn allow(rules: &OwnedFd, path: &str, rights: u64) -> Outcome<()> {
    let place = sys::open_place(path).step_at("landlock_rule", path)?;
    match sys::landlock_allow(rules.as_fd(), rights, place.as_fd()) {
        // Rights of directories are refused for files.
        Err(libc::EINVAL) => sys::landlock_allow(rules.as_fd(), rights & OF_FILES, place.as_fd()),
        outcome => outcome,
    }
    .step_at("landlock_rule", path)
}
