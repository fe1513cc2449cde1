//! Users, capabilities, limits, Landlock and filters.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;

use libc::{c_int, c_long, c_void};

use super::{Answer, check, done, owned};

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

/// Gives up a place in front of other programs that the host may have: real-time scheduling, a negative nice value.
pub(crate) fn queue_up() -> Answer<()> {
    let none = libc::sched_param { sched_priority: 0 };
    // SAFETY: `none` is readable; 0 is this process.
    done(unsafe { libc::sched_setscheduler(0, libc::SCHED_OTHER, &raw const none) })?;
    // SAFETY: plain numbers.
    if unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) } < 0 {
        // SAFETY: as above.
        done(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 0) })?;
    }
    Ok(())
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

/// Puts a system call filter into force.
pub(crate) fn install_filter(program: &[libc::sock_filter]) -> Answer<()> {
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| libc::E2BIG)?,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel reads `len` instructions and keeps a copy.
    check(unsafe { libc::syscall(libc::SYS_seccomp, 1_u32, 0_u32, &raw const filter) }).map(drop)
}
