//! Removes directories that a plugin could write to.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, Mode, OFlags, chmodat, openat, renameat, rmdir, unlinkat};
use rustix::io::{Errno, Result};

/// Removes `path` with everything in it. Where Landlock is missing a plugin can make directories, and nest them as deep as
/// it likes: what goes down with a call or a descriptor for each level would end the host.
///
/// No process may be left that could change the tree.
pub(super) fn remove_tree(path: &Path) -> Result<()> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    let root = rustix::fs::open(path, flags, Mode::empty())?;
    let mut lifted = 0;
    // What is taken away while a directory is being read can make the reader miss something.
    while each(&root, |name| match unlinkat(&root, name, AtFlags::empty()) {
        Err(Errno::ISDIR | Errno::PERM) => {
            empty(root.as_fd(), name, &mut lifted)?;
            unlinkat(&root, name, AtFlags::REMOVEDIR)
        }
        outcome => outcome,
    })? {}
    rmdir(path)
}

/// Removes what is in the directory `name`, but lifts up directories, which come next.
fn empty(root: BorrowedFd<'_>, name: &std::ffi::CStr, lifted: &mut u64) -> Result<()> {
    // The plugin may have taken the rights away; a link can't be here, it would have been removed.
    chmodat(root, name, Mode::RWXU, AtFlags::empty())?;
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    let directory: OwnedFd = openat(root, name, flags, Mode::empty())?;
    while each(&directory, |child| match unlinkat(&directory, child, AtFlags::empty()) {
        Err(Errno::ISDIR | Errno::PERM) => {
            chmodat(&directory, child, Mode::RWXU, AtFlags::empty())?;
            lift(directory.as_fd(), child, root, lifted)
        }
        outcome => outcome,
    })? {}
    Ok(())
}

/// Moves a directory up to `root`, under a name that is free there.
fn lift(from: BorrowedFd<'_>, name: &std::ffi::CStr, root: BorrowedFd<'_>, lifted: &mut u64) -> Result<()> {
    loop {
        *lifted += 1;
        match renameat(from, name, root, format!(".lifted.{lifted}")) {
            // The plugin had the same idea.
            Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
            outcome => return outcome,
        }
    }
}

/// Calls `act` with the name of each entry; false when there was none.
fn each(directory: &OwnedFd, mut act: impl FnMut(&std::ffi::CStr) -> Result<()>) -> Result<bool> {
    let mut is_any = false;
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            is_any = true;
            act(name)?;
        }
    }
    Ok(is_any)
}

#[cfg(test)]
mod tests {
    use rustix::fs::mkdirat;

    use super::*;

    #[test]
    fn the_deepest_tree_is_removed_with_little_stack_and_few_descriptors() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("s0");
        std::fs::create_dir(&path).unwrap();
        std::fs::create_dir(path.join(".lifted.1")).unwrap();
        std::fs::write(path.join(".lifted.1/file"), "x").unwrap();
        std::fs::write(path.join(".lifted.2"), "x").unwrap();
        let outside = base.path().join("outside");
        std::fs::write(&outside, "stays").unwrap();
        std::os::unix::fs::symlink(base.path(), path.join("link")).unwrap();
        let mut at = rustix::fs::open(&path, OFlags::DIRECTORY, Mode::empty()).unwrap();
        for _ in 0..5_000 {
            mkdirat(&at, "d", Mode::RWXU).unwrap();
            at = openat(&at, "d", OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        let removed = path.clone();
        let thread = std::thread::Builder::new().stack_size(128 * 1024);
        let outcome = thread.spawn(move || remove_tree(&removed)).unwrap().join().unwrap();
        assert_eq!(outcome, Ok(()));
        assert!(!path.exists());
        assert_eq!(std::fs::read_to_string(outside).unwrap(), "stays");
    }
}
