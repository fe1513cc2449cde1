//! System calls as safe functions: the only file of the launcher with `unsafe` in it.

#![expect(unsafe_code, reason = "system calls that no safe interface offers")]

use std::ffi::{CStr, CString};
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use libc::{c_int, c_long, c_ulong, c_void, pid_t};

/// Number of the error that a system call reported.
pub(crate) type Errno = i32;

/// Result of a system call.
pub(crate) type Answer<T> = Result<T, Errno>;

/// The error number of the call that just failed.
fn errno() -> Errno {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

fn check(answer: c_long) -> Answer<c_long> {
    if answer < 0 { Err(errno()) } else { Ok(answer) }
}

fn done(answer: c_int) -> Answer<()> {
    check(answer.into()).map(drop)
}

/// Text as the kernel reads it; a NUL inside is an error.
fn text(value: &str) -> Answer<CString> {
    CString::new(value).map_err(|_| libc::EINVAL)
}

/// Takes over a descriptor that a system call just made.
fn owned(raw: c_long) -> Answer<OwnedFd> {
    let raw = RawFd::try_from(raw).map_err(|_| libc::EBADF)?;
    // SAFETY: the caller hands in what a successful call just returned: open, and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Closes every descriptor from `first` on.
pub(crate) fn close_from(first: u32) -> Answer<()> {
    // SAFETY: plain numbers; the launcher owns no descriptor object yet.
    let answer = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0_u32) };
    if check(answer).is_ok() {
        return Ok(());
    }
    let (_, most) = limit(libc::RLIMIT_NOFILE)?;
    for descriptor in first..u32::try_from(most).unwrap_or(1 << 20).min(1 << 20) {
        // SAFETY: as above; closing what is not open does nothing.
        unsafe { libc::close(descriptor.cast_signed()) };
    }
    Ok(())
}

/// Gives every signal its default action, unblocks all, and blocks SIGTERM.
pub(crate) fn reset_signals() -> Answer<()> {
    for signal in 1..=64 {
        // SAFETY: SIG_DFL is a valid action; signals that can't be changed answer an error that means nothing here.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    set_mask(Some(libc::SIGTERM))
}

/// Blocks exactly the given signal, or none.
pub(crate) fn set_mask(blocked: Option<c_int>) -> Answer<()> {
    // SAFETY: an all-zero set is a valid place for sigemptyset to write to.
    let mut set: libc::sigset_t = unsafe { zeroed() };
    // SAFETY: `set` is writable.
    unsafe { libc::sigemptyset(&raw mut set) };
    if let Some(signal) = blocked {
        // SAFETY: `set` was initialised above.
        unsafe { libc::sigaddset(&raw mut set, signal) };
    }
    // SAFETY: `set` is initialised; the old mask is not asked for.
    done(unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const set, ptr::null_mut()) })
}

/// Descriptor that becomes readable when SIGTERM is pending.
pub(crate) fn termination() -> Answer<OwnedFd> {
    // SAFETY: an all-zero set is a valid place for sigemptyset to write to.
    let mut set: libc::sigset_t = unsafe { zeroed() };
    // SAFETY: `set` is writable, and initialised before SIGTERM is added.
    unsafe {
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGTERM);
    }
    // SAFETY: `set` is initialised.
    owned(check(unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC) }.into())?)
}

/// prctl with plain numbers.
pub(crate) fn prctl(option: c_int, value: c_ulong, more: c_ulong) -> Answer<()> {
    // SAFETY: the callers use options whose arguments are numbers.
    done(unsafe { libc::prctl(option, value, more, 0 as c_ulong, 0 as c_ulong) })
}

/// New session, so that a terminal's signals don't arrive.
pub(crate) fn new_session() -> Answer<()> {
    // SAFETY: takes no argument.
    done(unsafe { libc::setsid() })
}

/// Sets the mask for new files.
pub(crate) fn set_umask(mask: libc::mode_t) {
    // SAFETY: takes a number and can't fail.
    unsafe { libc::umask(mask) };
}

/// This process.
pub(crate) fn own_pid() -> pid_t {
    // SAFETY: takes no argument and can't fail.
    unsafe { libc::getpid() }
}

/// Effective user and group.
pub(crate) fn own_ids() -> (u32, u32) {
    // SAFETY: takes no argument and can't fail.
    unsafe { (libc::geteuid(), libc::getegid()) }
}

/// Random bits of the kernel.
pub(crate) fn random() -> Answer<u64> {
    let mut bytes = [0_u8; 8];
    // SAFETY: writes at most the eight bytes that are there.
    let count = unsafe { libc::getrandom(bytes.as_mut_ptr().cast::<c_void>(), bytes.len(), 0) };
    if count == 8 { Ok(u64::from_ne_bytes(bytes)) } else { Err(errno()) }
}

/// Sends a signal to a process.
pub(crate) fn signal(process: BorrowedFd<'_>, number: c_int) -> Answer<()> {
    let none = ptr::null::<c_void>();
    // SAFETY: no signal information is passed; the descriptor is open.
    check(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, process.as_raw_fd(), number, none, 0) }).map(drop)
}

/// Continues in two processes. The launcher has one thread, so the copy finds every lock free and may allocate.
/// `None` in the child; in the parent its number and descriptor.
pub(crate) fn fork(namespaces: c_int) -> Answer<Option<(pid_t, OwnedFd)>> {
    let mut descriptor: c_int = -1;
    let flags = c_long::from(namespaces | libc::CLONE_PIDFD | libc::SIGCHLD);
    let none = ptr::null_mut::<c_void>();
    // SAFETY: no shared memory and no new stack, like fork; the kernel writes the descriptor's number into `descriptor`.
    // The fourth and fifth arguments, whose order depends on the machine, are unused.
    let pid = check(unsafe { libc::syscall(libc::SYS_clone, flags, none, &raw mut descriptor, none, none) })?;
    if pid == 0 {
        return Ok(None);
    }
    let pid = pid_t::try_from(pid).map_err(|_| libc::EINVAL)?;
    Ok(Some((pid, owned(descriptor.into())?)))
}

/// How a child ended: its exit code, or the signal that ended it.
#[derive(Clone, Copy)]
pub(crate) enum Ending {
    Code(c_int),
    Signal(c_int),
}

/// Waits for a child to end and removes it from the process table. Uses its number, which nobody else can release.
pub(crate) fn reap(pid: pid_t) -> Answer<Ending> {
    let mut status = 0;
    loop {
        // SAFETY: `status` is writable.
        match check(unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) }.into()) {
            Ok(_) if libc::WIFSIGNALED(status) => return Ok(Ending::Signal(libc::WTERMSIG(status))),
            Ok(_) => return Ok(Ending::Code(libc::WEXITSTATUS(status))),
            Err(libc::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Ends this process without running anything else.
pub(crate) fn leave(code: c_int) -> ! {
    // SAFETY: takes a number and does not come back.
    unsafe { libc::_exit(code) }
}

/// Waits until one of the descriptors is readable or closed at its other end; says which are.
pub(crate) fn wait_for<const N: usize>(watched: [Option<BorrowedFd<'_>>; N], timeout_ms: c_int) -> Answer<[bool; N]> {
    let mut list = watched.map(|one| libc::pollfd {
        // A negative number is skipped by the kernel.
        fd: one.map_or(-1, |one| one.as_raw_fd()),
        events: libc::POLLIN,
        revents: 0,
    });
    let count = libc::nfds_t::try_from(N).map_err(|_| libc::EINVAL)?;
    // SAFETY: `list` has `count` entries.
    match check(unsafe { libc::poll(list.as_mut_ptr(), count, timeout_ms) }.into()) {
        Ok(_) => Ok(list.map(|one| one.revents != 0)),
        Err(libc::EINTR) => Ok([false; N]),
        Err(errno) => Err(errno),
    }
}

/// Two connected sockets that keep the bounds of messages.
pub(crate) fn socket_pair() -> Answer<(OwnedFd, OwnedFd)> {
    let mut pair: [c_int; 2] = [-1; 2];
    // SAFETY: `pair` takes two numbers.
    done(unsafe { libc::socketpair(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0, pair.as_mut_ptr()) })?;
    Ok((owned(pair[0].into())?, owned(pair[1].into())?))
}

/// A pipe: the end to read from and the end to write to.
pub(crate) fn pipe() -> Answer<(OwnedFd, OwnedFd)> {
    let mut ends: [c_int; 2] = [-1; 2];
    // SAFETY: `ends` takes two numbers.
    done(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    Ok((owned(ends[0].into())?, owned(ends[1].into())?))
}

/// Most descriptors in one message.
const MAX_PASSED: usize = 8;

/// Room for the descriptors of one message, aligned as the kernel wants it.
#[repr(C, align(8))]
struct Passed([u8; 64]);

/// Sends one message, with a descriptor if there is one.
pub(crate) fn send(socket: BorrowedFd<'_>, message: &[u8], passed: Option<BorrowedFd<'_>>) -> Answer<()> {
    let mut room = Passed([0; 64]);
    let mut part = libc::iovec { iov_base: message.as_ptr().cast_mut().cast::<c_void>(), iov_len: message.len() };
    // SAFETY: all-zero is a valid msghdr.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    if let Some(passed) = passed {
        header.msg_control = (&raw mut room).cast::<c_void>();
        // SAFETY: computes a number.
        header.msg_controllen = unsafe { libc::CMSG_SPACE(4) } as _;
        // SAFETY: the control area has room for one header and one number, as computed above.
        unsafe {
            let first = libc::CMSG_FIRSTHDR(&raw const header);
            (*first).cmsg_level = libc::SOL_SOCKET;
            (*first).cmsg_type = libc::SCM_RIGHTS;
            (*first).cmsg_len = libc::CMSG_LEN(4) as _;
            ptr::write_unaligned(libc::CMSG_DATA(first).cast::<c_int>(), passed.as_raw_fd());
        }
    }
    // SAFETY: the header points to `part` and `room`, which live until the call returns.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, libc::MSG_NOSIGNAL) };
    if sent < 0 { Err(errno()) } else { Ok(()) }
}

/// Receives one message: its length (0 at the end) and the descriptors that came with it.
pub(crate) fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Answer<(usize, Vec<OwnedFd>)> {
    let mut room = Passed([0; 64]);
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast::<c_void>(), iov_len: buffer.len() };
    // SAFETY: all-zero is a valid msghdr.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = (&raw mut room).cast::<c_void>();
    header.msg_controllen = size_of::<Passed>() as _;
    let count = loop {
        // SAFETY: the header points to `part` and `room`, which live until the call returns.
        let count = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_CMSG_CLOEXEC) };
        match check(count as c_long) {
            Ok(count) => break usize::try_from(count).map_err(|_| libc::EIO)?,
            Err(libc::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    };
    let mut passed = Vec::new();
    // SAFETY: the kernel filled the control area; only its own headers are walked.
    unsafe {
        let first = libc::CMSG_FIRSTHDR(&raw const header);
        if !first.is_null() && (*first).cmsg_type == libc::SCM_RIGHTS {
            let bytes = ((*first).cmsg_len as usize).saturating_sub(libc::CMSG_LEN(0) as usize);
            for index in 0..(bytes / 4).min(MAX_PASSED) {
                let place = libc::CMSG_DATA(first).cast::<c_int>().add(index);
                passed.push(OwnedFd::from_raw_fd(ptr::read_unaligned(place)));
            }
        }
    }
    Ok((count, passed))
}

/// Makes `descriptor` also the standard descriptor of that number, which survives exec.
pub(crate) fn become_standard(descriptor: BorrowedFd<'_>, number: c_int) -> Answer<()> {
    // SAFETY: plain numbers; standard descriptors are nobody's object.
    done(unsafe { libc::dup2(descriptor.as_raw_fd(), number) })
}

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

/// Leaves a namespace of this kind for a new one.
pub(crate) fn unshare(flags: c_int) -> Answer<()> {
    // SAFETY: plain numbers.
    done(unsafe { libc::unshare(flags) })
}

/// Names this machine, inside its namespace.
pub(crate) fn set_hostname(name: &str) -> Answer<()> {
    // SAFETY: the kernel reads as many bytes as are said to be there.
    done(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) })?;
    // SAFETY: as above.
    done(unsafe { libc::setdomainname(name.as_ptr().cast(), name.len()) })
}

/// Forgets all supplementary groups.
pub(crate) fn clear_groups() -> Answer<()> {
    // SAFETY: no group is read.
    done(unsafe { libc::setgroups(0, ptr::null()) })
}

/// Becomes this user and group, with no way back but a capability.
pub(crate) fn become_user(id: u32) -> Answer<()> {
    // The system calls themselves: those of the C library would look for other threads to change.
    // SAFETY: plain numbers.
    check(unsafe { libc::syscall(libc::SYS_setresgid, id, id, id) })?;
    // SAFETY: plain numbers.
    check(unsafe { libc::syscall(libc::SYS_setresuid, id, id, id) }).map(drop)
}

#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: c_int,
}

const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

/// Permitted capabilities.
pub(crate) fn permitted_capabilities() -> Answer<u64> {
    let mut header = CapabilityHeader { version: CAPABILITY_VERSION_3, pid: 0 };
    let mut sets = [0_u32; 6];
    // SAFETY: version 3 reads the header and writes two sets of three words.
    check(unsafe { libc::syscall(libc::SYS_capget, &raw mut header, sets.as_mut_ptr()) })?;
    Ok(u64::from(sets[1]) | u64::from(sets[4]) << 32)
}

/// Makes exactly these capabilities permitted and effective, none inheritable.
pub(crate) fn set_capabilities(set: u64) -> Answer<()> {
    let mut header = CapabilityHeader { version: CAPABILITY_VERSION_3, pid: 0 };
    let low = u32::try_from(set & 0xFFFF_FFFF).map_err(|_| libc::EINVAL)?;
    let high = u32::try_from(set >> 32).map_err(|_| libc::EINVAL)?;
    let sets = [low, low, 0, high, high, 0];
    // SAFETY: version 3 reads the header and two sets of three words.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw mut header, sets.as_ptr()) }).map(drop)
}

/// Present limit and the highest it may be raised to.
pub(crate) fn limit(resource: libc::__rlimit_resource_t) -> Answer<(u64, u64)> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is writable.
    done(unsafe { libc::getrlimit(resource, &raw mut limit) })?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

/// Lowers a limit for good; one that is lower already stays.
pub(crate) fn lower_limit(resource: libc::__rlimit_resource_t, most: u64) -> Answer<()> {
    let (_, before) = limit(resource)?;
    let most = most.min(before);
    let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
    // SAFETY: `limit` is readable.
    done(unsafe { libc::setrlimit(resource, &raw const limit) })
}

/// Version of Landlock that the kernel offers.
pub(crate) fn landlock_version() -> Answer<c_long> {
    let none = ptr::null::<c_void>();
    // SAFETY: asks for the version only.
    check(unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, 0_usize, 1_u32) })
}

/// A set of Landlock rules; `attributes` are as many words as the version knows.
pub(crate) fn landlock_create(attributes: &[u64]) -> Answer<OwnedFd> {
    let (start, size) = (attributes.as_ptr(), size_of_val(attributes));
    // SAFETY: the kernel reads `size` bytes from `start`.
    owned(check(unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, start, size, 0_u32) })?)
}

/// Allows rights below a file or directory.
pub(crate) fn landlock_allow(rules: BorrowedFd<'_>, rights: u64, place: BorrowedFd<'_>) -> Answer<()> {
    #[repr(C, packed)]
    struct PathBeneath {
        rights: u64,
        place: c_int,
    }
    let rule = PathBeneath { rights, place: place.as_raw_fd() };
    // SAFETY: 1 is the kind of rule that `rule` is laid out for.
    let answer =
        unsafe { libc::syscall(libc::SYS_landlock_add_rule, rules.as_raw_fd(), 1_u32, &raw const rule, 0_u32) };
    check(answer).map(drop)
}

/// Puts the rules into force for this process and all that come from it.
pub(crate) fn landlock_enforce(rules: BorrowedFd<'_>) -> Answer<()> {
    // SAFETY: plain numbers.
    check(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, rules.as_raw_fd(), 0_u32) }).map(drop)
}

/// Opens a place in the file system without any right to it.
pub(crate) fn open_place(path: &str) -> Answer<OwnedFd> {
    let path = text(path)?;
    // SAFETY: the string ends with NUL.
    owned(check(unsafe { libc::open(path.as_ptr(), libc::O_PATH | libc::O_CLOEXEC) }.into())?)
}

/// Puts a system call filter into force.
pub(crate) fn install_filter(program: &[libc::sock_filter]) -> Answer<()> {
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| libc::E2BIG)?,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel reads `len` instructions and keeps a copy.
    check(unsafe { libc::syscall(libc::SYS_seccomp, 1_u32, 0_u32, &raw const filter) }).map(drop)
}

/// Executes an open file; comes back with an error only. The arguments carry the `secret` bits of [`crate::filter`].
pub(crate) fn execute(image: BorrowedFd<'_>, arguments: &[CString], environment: &[CString], secret: u64) -> Errno {
    let list = |strings: &[CString]| -> Vec<*const libc::c_char> {
        strings.iter().map(|one| one.as_ptr()).chain([ptr::null()]).collect()
    };
    let (arguments, environment) = (list(arguments), list(environment));
    let (descriptor, flags) = crate::filter::exec_arguments(image.as_raw_fd(), secret);
    // SAFETY: both lists end with NULL, their strings with NUL, and all of them outlive the call.
    unsafe {
        libc::syscall(libc::SYS_execveat, descriptor, c"".as_ptr(), arguments.as_ptr(), environment.as_ptr(), flags)
    };
    errno()
}
