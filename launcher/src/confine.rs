//! Giving up rights: users, capabilities, limits.

use crate::fault::{Outcome, Step};
use crate::host::{Host, State};
use crate::init::Setting;
use crate::job::Request;
use crate::launch::INNER_USER;
use crate::sys;

/// No root, no way to keep or raise capabilities, all of it locked.
const SECURE_BITS: libc::c_ulong = 0b1111_1111;

/// Becomes the one user that exists in the new user namespace, without losing the rights over the namespaces yet.
pub(crate) fn become_inner_user(may_clear_groups: bool) -> Outcome<()> {
    sys::prctl(libc::PR_SET_KEEPCAPS, 1, 0).step("capabilities")?;
    if may_clear_groups {
        // A host without privilege had to give this up in order to map its group.
        sys::clear_groups().step("groups")?;
    }
    sys::become_user(INNER_USER).step("user")?;
    let all = sys::permitted_capabilities().step("capabilities")?;
    sys::set_capabilities(all).step("capabilities")
}

/// Drops capabilities for good, becomes `user` if there is one, and closes every way to new rights.
pub(crate) fn drop_rights(host: &Host, user: Option<u32>) -> Outcome<()> {
    host.layer("capabilities", drop_bounding_set(), State::Reduced);
    if let Some(user) = user {
        let identity = sys::clear_groups().and_then(|()| sys::become_user(user)).step("user");
        host.layer("identity", identity, State::Missing);
    } else {
        host.in_force("identity", "");
    }
    sys::set_capabilities(0).step("capabilities")?;
    // Other processes of the same user may not look into this one.
    sys::prctl(libc::PR_SET_DUMPABLE, 0, 0).step("dumpable")?;
    sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0).step("no_new_privs")?;
    host.in_force("no_new_privs", "");
    Ok(())
}

/// Needs a capability that a process without namespaces and privilege does not have; it has none to lose either.
fn drop_bounding_set() -> Outcome<()> {
    // Fails where there is nothing ambient, on kernels that don't know it.
    let _ = sys::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong, 0);
    for capability in 0..64 {
        match sys::prctl(libc::PR_CAPBSET_DROP, capability, 0) {
            // The first number that the kernel does not know.
            Err(libc::EINVAL) => break,
            outcome => outcome.step("capability_bounds")?,
        }
    }
    sys::prctl(libc::PR_SET_SECUREBITS, SECURE_BITS, 0).step("securebits")
}

/// Lowers the limits of this process.
pub(crate) fn lower_limits(request: &Request, setting: Setting) -> Outcome<()> {
    let limits = [
        (libc::RLIMIT_CORE, 0),
        (libc::RLIMIT_MEMLOCK, 0),
        (libc::RLIMIT_MSGQUEUE, 0),
        (libc::RLIMIT_RTPRIO, 0),
        (libc::RLIMIT_NICE, 0),
        (libc::RLIMIT_SIGPENDING, 1024),
        (libc::RLIMIT_NOFILE, request.open_files),
        (libc::RLIMIT_FSIZE, request.file_bytes),
        // Not the address space: Go and others reserve far more than they use.
        (libc::RLIMIT_DATA, if request.memory_bytes == 0 { u64::MAX } else { request.memory_bytes }),
    ];
    for (resource, most) in limits {
        sys::lower_limit(resource, most).step("rlimits")?;
    }
    // Counted per user: without a user of its own the plugin would be stopped by what the host's user runs elsewhere.
    let has_own_count = setting == Setting::OwnUsers || request.user.is_some();
    if has_own_count {
        return sys::lower_limit(libc::RLIMIT_NPROC, request.processes).step("rlimits");
    }
    Err(libc::EPERM).step("process_limit")
}
