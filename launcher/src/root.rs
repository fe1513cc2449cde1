//! The jail's file system: an empty root, a scratch directory, a few devices, and what the policy shows read-only.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;

use crate::fault::{Fault, Outcome, Step};
use crate::job::Request;
use crate::sys;

/// Device files that programs can't do without, and that give nothing away.
const DEVICES: [&str; 4] = ["/dev/null", "/dev/full", "/dev/random", "/dev/urandom"];

/// Shared mappings of it are memory that counts to no process: only where a group counts it.
const ZERO: &str = "/dev/zero";

/// The devices of a plugin.
pub(crate) fn devices(request: &Request) -> impl Iterator<Item = &'static str> {
    DEVICES.into_iter().chain(request.is_memory_counted.then_some(ZERO))
}

/// Places that exist on every system, where the new root can be mounted until it is one.
const STAGES: [&str; 5] = ["/tmp", "/run", "/proc", "/dev", "/usr"];

const INERT: libc::c_ulong = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;

const ATTR_RDONLY: u64 = 1;
const ATTR_NOSUID: u64 = 2;
const ATTR_NODEV: u64 = 4;
const ATTR_NOEXEC: u64 = 8;

/// Files under `/proc` and `/dev` that programs find their own descriptors by.
const LINKS: [(&str, &str); 4] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
];

/// Copies of the trees to show, taken by a launcher that may: root reaches directories that the plugin's user does not.
#[derive(Default)]
pub(crate) struct Trees {
    binds: Vec<Option<OwnedFd>>,
}

/// What has been built.
pub(crate) struct Root {
    /// Layers that are no reason to stop.
    pub(crate) layers: Vec<(&'static str, Outcome<()>)>,
    pub(crate) sockets: Option<Sockets>,
}

/// The plugin's socket directory, for the host, which sees nothing of the jail's mounts otherwise.
pub(crate) struct Sockets {
    pub(crate) directory: OwnedFd,
    /// The host's own socket in it.
    pub(crate) listener: OwnedFd,
}

/// The socket directory's options: enough for sockets and the files by which go-plugin looks for free names.
const SOCKETS_LIMITS: &str = "size=64k,nr_inodes=256";

impl Trees {
    /// What can't be copied here, the init copies with the rights it has in its own namespaces.
    pub(crate) fn copy(request: &Request) -> Self {
        Self { binds: request.binds.iter().map(|path| sys::copy_tree(path).ok()).collect() }
    }
}

/// Builds it in these steps:
///
/// 1. nothing that is mounted from now on reaches the host, and the other way round;
/// 2. an empty file system in memory becomes the root, with the old root below it;
/// 3. what the plugin may see is attached;
/// 4. the old root is detached, and the new one made read-only.
pub(crate) fn build(request: &Request, trees: &Trees, user: u32) -> Outcome<Root> {
    sys::mount(None, "/", libc::MS_REC | libc::MS_PRIVATE, "").step("mount_private")?;
    enter_new_root()?;
    let tmp = format!("size={},nr_inodes=4096,mode=700,uid={user},gid={user}", request.tmp_bytes.max(4096));
    make_directory(request.scratch())?;
    sys::mount(Some(c"tmpfs"), request.scratch(), INERT, &tmp).step("mount_tmp")?;
    for (index, path) in request.binds.iter().enumerate() {
        let copy = trees.binds.get(index).and_then(Option::as_ref);
        attach(path, copy, ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV).map_err(|fault| named(fault, "bind"))?;
    }
    let sockets = request.sockets.as_ref().map(|path| make_sockets(path, user)).transpose()?;
    let layers = vec![("proc", mount_proc()), ("devices", attach_devices(request))];
    sys::detach(c"/old").step("detach_root")?;
    fs::remove_dir("/old").step("detach_root")?;
    sys::mount(None, "/", libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY | INERT, "").step("seal_root")?;
    Ok(Root { layers, sockets })
}

/// A small file system of its own for sockets: what a plugin puts there takes no place of the host's.
fn make_sockets(path: &str, user: u32) -> Outcome<Sockets> {
    make_directory(path)?;
    let options = format!("{SOCKETS_LIMITS},mode=700,uid={user},gid={user}");
    sys::mount(Some(c"tmpfs"), path, INERT, &options).step_at("sockets", path)?;
    let directory = sys::open_place(path).step_at("sockets", path)?;
    let place = format!("{path}/host@goatflow");
    let listener = UnixListener::bind(&place).step_at("sockets", &place)?;
    // Nobody but the plugin's user gets into the directory.
    open_to_all(&place, 0o666)?;
    Ok(Sockets { directory, listener: listener.into() })
}

fn named(fault: Fault, step: &'static str) -> Fault {
    Fault { step, ..fault }
}

fn enter_new_root() -> Outcome<()> {
    let stage = STAGES.into_iter().find(|stage| Path::new(stage).is_dir());
    let stage = stage.ok_or_else(|| Fault::new("mount_root", libc::ENOENT))?;
    sys::mount(Some(c"tmpfs"), stage, INERT, "size=1m,nr_inodes=1024,mode=755").step_at("mount_root", stage)?;
    std::env::set_current_dir(stage).step_at("mount_root", stage)?;
    // The umask is the launcher's: no bits for others.
    make_directory("old")?;
    sys::pivot_root(c".", c"old").step("pivot_root")?;
    std::env::set_current_dir("/").step("pivot_root")
}

/// A directory that everybody may pass through, and those above it.
fn make_directory(path: &str) -> Outcome<()> {
    let mut made = String::new();
    for part in path.split('/') {
        made.push_str(part);
        if !made.is_empty() && !Path::new(&made).exists() {
            fs::create_dir(&made).step_at("make_directory", &made)?;
            open_to_all(&made, 0o755)?;
        }
        made.push('/');
    }
    Ok(())
}

fn open_to_all(path: &str, mode: u32) -> Outcome<()> {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
    fs::set_permissions(path, mode).step_at("make_directory", path)
}

/// Shows the tree of the old root at the same path in the new one.
fn attach(path: &str, copy: Option<&OwnedFd>, attributes: u64) -> Outcome<()> {
    let own;
    let tree = match copy {
        Some(copy) => copy,
        None => {
            own = sys::copy_tree(&format!("/old{path}")).step_at("bind", path)?;
            &own
        }
    };
    sys::restrict_tree(tree.as_fd(), attributes).step_at("bind", path)?;
    if is_directory(tree).step_at("bind", path)? {
        make_directory(path)?;
    } else {
        make_file(path)?;
    }
    sys::attach_tree(tree.as_fd(), path).step_at("bind", path)
}

fn is_directory(tree: &OwnedFd) -> std::io::Result<bool> {
    fs::File::from(tree.try_clone()?).metadata().map(|facts| facts.is_dir())
}

fn make_file(path: &str) -> Outcome<()> {
    if let Some((directory, _)) = path.rsplit_once('/') {
        make_directory(directory)?;
    }
    if !Path::new(path).exists() {
        fs::write(path, "").step_at("make_directory", path)?;
    }
    Ok(())
}

/// Only processes, and of them only the jail's: nothing about the machine.
fn mount_proc() -> Outcome<()> {
    make_directory("/proc")?;
    let flags = INERT | libc::MS_RDONLY;
    sys::mount(Some(c"proc"), "/proc", flags, "hidepid=invisible,subset=pid").step("mount_proc")
}

fn attach_devices(request: &Request) -> Outcome<()> {
    make_directory("/dev")?;
    for (link, target) in LINKS {
        std::os::unix::fs::symlink(target, link).step_at("device", link)?;
    }
    for device in devices(request) {
        attach(device, None, ATTR_NOSUID | ATTR_NOEXEC).map_err(|fault| named(fault, "device"))?;
    }
    Ok(())
}
