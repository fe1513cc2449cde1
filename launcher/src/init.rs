//! First process of the jail's namespaces.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};

use crate::cgroup::Groups;
use crate::confine;
use crate::fault::{Fault, Outcome, Step};
use crate::host::State;
use crate::job::Job;
use crate::launch::INNER_USER;
use crate::plugin;
use crate::root::{self, Root, Trees};
use crate::supervise;
use crate::sys;

/// What surrounds the plugin.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setting {
    /// Namespaces, with one of users.
    OwnUsers,
    /// Namespaces among the host's users.
    HostUsers,
    /// Nothing.
    NoNamespaces,
}

/// Steps whose failure the launcher can repeat to the host; others are reported as `init`.
const STEPS: [&str; 14] = [
    "parent_death_signal",
    "groups",
    "user",
    "capabilities",
    "hostname",
    "mount_private",
    "mount_root",
    "pivot_root",
    "mount_tmp",
    "bind",
    "sockets",
    "detach_root",
    "seal_root",
    "make_directory",
];

/// Builds the jail, starts the plugin in it and waits for it.
pub(crate) fn run(job: &mut Job, socket: &OwnedFd, trees: &Trees, setting: Setting) -> ! {
    wait_for_word(job, socket);
    let built = match build(job, trees, setting) {
        Ok(built) => built,
        Err(fault) => {
            let message = format!("{}\0{}\0{}", fault.step, fault.errno, fault.place);
            // The launcher sees the end of this process in any case.
            let _ = sys::send(socket.as_fd(), message.get(..500).unwrap_or(&message).as_bytes(), None);
            sys::leave(1);
        }
    };
    if setting == Setting::OwnUsers {
        job.host.in_force("user_namespace", "");
    }
    job.host.in_force("namespaces", "");
    for (layer, outcome) in built.layers {
        job.host.layer(layer, outcome, State::Reduced);
    }
    if let Some(sockets) = built.sockets {
        job.host.hand_over("sockets", sockets.directory.as_fd());
        job.host.hand_over("listener", sockets.listener.as_fd());
    }
    let started = start(job, setting);
    match started {
        Ok((pid, process, exec)) => {
            job.program = None;
            job.host.hand_over("plugin", process.as_fd());
            // The launcher watches the plugin's memory where nothing else does.
            let _ = sys::send(socket.as_fd(), b"built", Some(process.as_fd()));
            let ending = supervise::wait(job, pid, &process, Some(&exec), None, None);
            job.host.ended(ending);
            sys::leave(0);
        }
        Err(fault) => {
            let _ = sys::send(socket.as_fd(), b"built", None);
            job.host.failed(&fault);
            sys::leave(0);
        }
    }
}

/// What the launcher says once users are mapped and groups entered: whether a group counts the memory.
pub(crate) fn word(groups: &Groups) -> &'static [u8] {
    if groups.limit_memory() { b"counted" } else { b"go" }
}

/// Waits for the launcher's word; nothing comes when it could not do its part, or is gone.
pub(crate) fn wait_for_word(job: &mut Job, socket: &OwnedFd) {
    let mut word = [0_u8; 8];
    match sys::receive(socket.as_fd(), &mut word) {
        Ok((length, _)) if length > 0 => job.request.is_memory_counted = word.starts_with(b"counted"),
        _ => sys::leave(1),
    }
}

/// Everything that needs rights over the new namespaces.
fn build(job: &Job, trees: &Trees, setting: Setting) -> Outcome<Root> {
    let inner_user = match job.request.user {
        Some(user) if setting == Setting::HostUsers => user,
        _ => INNER_USER,
    };
    if setting == Setting::OwnUsers {
        confine::become_inner_user(job.request.user.is_some())?;
    }
    arm(job)?;
    // The group is this process's own by now, so that the namespace hides what lies above it.
    let groups = sys::unshare(libc::CLONE_NEWCGROUP).step("unshare");
    sys::set_hostname("plugin").step("hostname")?;
    if !job.request.is_memory_counted {
        shorten_queues();
    }
    let mut built = root::build(&job.request, trees, inner_user)?;
    built.layers.push(("cgroup_namespace", groups));
    Ok(built)
}

/// What waits in queues of sockets is the kernel's memory, and without a group counts to nobody.
fn shorten_queues() {
    for (queue, longest) in [("core/somaxconn", "8"), ("unix/max_dgram_qlen", "1")] {
        // Where /proc is read-only they stay as long as the kernel makes them.
        let _ = fs::write(format!("/proc/sys/net/{queue}"), longest);
    }
}

/// This process ends when the launcher does, which a change of the user undoes each time.
fn arm(job: &Job) -> Outcome<()> {
    sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong, 0).step("parent_death_signal")?;
    if job.host_is_gone() {
        sys::leave(0);
    }
    Ok(())
}

/// Drops every right, then starts the process that becomes the plugin.
fn start(job: &mut Job, setting: Setting) -> Outcome<(libc::pid_t, OwnedFd, OwnedFd)> {
    confine::drop_rights(&job.host, &job.request, setting)?;
    arm(job)?;
    let (exec, plugin_end) = sys::pipe().step("pipe")?;
    match sys::fork(0).step("clone")? {
        None => {
            drop(exec);
            plugin::run(job, setting, plugin_end);
        }
        Some((pid, process)) => {
            drop(plugin_end);
            Ok((pid, process, exec))
        }
    }
}

/// The fault that [`run`] wrote into a message.
pub(crate) fn fault_from(message: &[u8]) -> Fault {
    let text = String::from_utf8_lossy(message);
    let mut fields = text.split('\0');
    let step = fields.next().unwrap_or_default();
    let step = STEPS.into_iter().find(|known| *known == step).unwrap_or("init");
    let errno = fields.next().and_then(|errno| errno.parse().ok()).unwrap_or(libc::EIO);
    Fault { step, errno, place: fields.next().unwrap_or_default().to_owned() }
}
