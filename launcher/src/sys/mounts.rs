//! Mounts.

use std::ffi::CStr;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;

use libc::{c_int, c_ulong, c_void};

use super::{Answer, check, done, owned, text};

/// Mounts a file system, or changes a mount.
pub(crate) fn mount(kind: Option<&CStr>, target: &str, flags: c_ulong, options: &str) -> Answer<()> {
    let (target, options) = (text(target)?, text(options)?);
    let kind = kind.map_or(ptr::null(), CStr::as_ptr);
    // SAFETY: the strings end with NUL and live until the call returns.
    done(unsafe { libc::mount(kind, target.as_ptr(), kind, flags, options.as_ptr().cast::<c_void>()) })
}

/// Makes `new_root` the root and puts the old one at `put_old`.
pub(crate) fn pivot_root(new_root: &CStr, put_old: &CStr) -> Answer<()> {
    // SAFETY: the strings end with NUL.
    check(unsafe { libc::syscall(libc::SYS_pivot_root, new_root.as_ptr(), put_old.as_ptr()) }).map(drop)
}

/// Detaches a mount and all below it.
pub(crate) fn detach(target: &CStr) -> Answer<()> {
    // SAFETY: the string ends with NUL.
    done(unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) })
}

const OPEN_TREE_CLONE: c_int = 1;
const MOVE_MOUNT_F_EMPTY_PATH: c_int = 4;

/// A detached copy of what is mounted at `path` and below.
pub(crate) fn copy_tree(path: &str) -> Answer<OwnedFd> {
    let path = text(path)?;
    let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC | libc::AT_RECURSIVE;
    // SAFETY: the string ends with NUL.
    owned(check(unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) })?)
}

/// Attaches a detached tree.
pub(crate) fn attach_tree(tree: BorrowedFd<'_>, target: &str) -> Answer<()> {
    let target = text(target)?;
    let (tree, flags) = (tree.as_raw_fd(), MOVE_MOUNT_F_EMPTY_PATH);
    // SAFETY: the strings end with NUL.
    let answer =
        unsafe { libc::syscall(libc::SYS_move_mount, tree, c"".as_ptr(), libc::AT_FDCWD, target.as_ptr(), flags) };
    check(answer).map(drop)
}

/// Adds attributes to every mount of a tree, attached or not.
pub(crate) fn restrict_tree(tree: BorrowedFd<'_>, attributes: u64) -> Answer<()> {
    let change: [u64; 4] = [attributes, 0, libc::MS_PRIVATE, 0];
    let flags = libc::AT_EMPTY_PATH | libc::AT_RECURSIVE;
    // SAFETY: the kernel reads as many bytes of `change` as are said to be there.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            flags,
            change.as_ptr(),
            size_of::<[u64; 4]>(),
        )
    };
    check(answer).map(drop)
}
