//! The launcher's own part: everything outside the jail.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};

use crate::cgroup::Groups;
use crate::fault::{Fault, Outcome, Step};
use crate::host::State;
use crate::init::{self, Setting};
use crate::job::Job;
use crate::plugin;
use crate::root::Trees;
use crate::supervise::{self, Watch};
use crate::sys::{self, Ending};

/// Every namespace but the one of control groups, which is entered once the process is in its group.
const NAMESPACES: i32 =
    libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;

/// User and group inside a user namespace.
pub(crate) const INNER_USER: u32 = 1000;

/// The process that the launcher waits for.
struct Child {
    pid: libc::pid_t,
    process: OwnedFd,
    /// Ends when the plugin's code runs; only where the child is the plugin itself.
    exec: Option<OwnedFd>,
    /// The plugin's process, if it is not the child itself.
    plugin: Option<OwnedFd>,
}

/// Starts the plugin, waits for its end and cleans up.
pub(crate) fn run(mut job: Job) -> ! {
    let mut groups = Groups::default();
    let code = match prepare(&job).and_then(|()| start(&mut job, &mut groups)) {
        Ok(child) => {
            job.program = None;
            wait(&job, &child, &groups);
            0
        }
        Err(fault) => {
            job.host.failed(&fault);
            1
        }
    };
    let out_of_memory = groups.ran_out_of_memory();
    groups.remove();
    job.host.over(out_of_memory);
    sys::leave(code)
}

fn prepare(job: &Job) -> Outcome<()> {
    sys::reset_signals().step("signals")?;
    sys::set_umask(0o077);
    sys::queue_up().step("scheduling")?;
    // The host's directory is nobody else's business.
    std::env::set_current_dir("/").step("directory")?;
    // A session of its own, so that a terminal's interrupt for the host does not end the plugin. Fails for a leader only.
    let _ = sys::new_session();
    // SIGTERM is blocked and read from a descriptor: the launcher cleans up before it ends.
    sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM as libc::c_ulong, 0).step("parent_death_signal")?;
    if job.host_is_gone() {
        sys::leave(0);
    }
    Ok(())
}

/// Starts the strongest jail that can be had here, and reports why a stronger one can't.
fn start(job: &mut Job, groups: &mut Groups) -> Outcome<Child> {
    groups.create(job);
    let trees = Trees::copy(&job.request);
    match start_in_namespaces(job, groups, &trees, Setting::OwnUsers) {
        Ok(child) => return Ok(child),
        Err(fault) => {
            job.host.weak("user_namespace", State::Missing, &fault);
            if job.request.user.is_none() {
                job.host.weak("namespaces", State::Missing, &fault);
            }
        }
    }
    if job.request.user.is_some() {
        // Root of the machine needs no user namespace for the others; the plugin gets a user of its own all the same.
        match start_in_namespaces(job, groups, &trees, Setting::HostUsers) {
            Ok(child) => return Ok(child),
            Err(fault) => job.host.weak("namespaces", State::Missing, &fault),
        }
    }
    start_without_namespaces(job, groups)
}

fn start_in_namespaces(job: &mut Job, groups: &mut Groups, trees: &Trees, setting: Setting) -> Outcome<Child> {
    let (ours, theirs) = sys::socket_pair().step("socket")?;
    let users = if matches!(setting, Setting::OwnUsers) { libc::CLONE_NEWUSER } else { 0 };
    let Some((pid, process)) = sys::fork(NAMESPACES | users).step("clone")? else {
        drop(ours);
        init::run(job, &theirs, trees, setting);
    };
    drop(theirs);
    match lead_in(job, groups, setting, pid, &ours) {
        Ok(plugin) => {
            job.host.hand_over("init", process.as_fd());
            Ok(Child { pid, process, exec: None, plugin })
        }
        Err(fault) => {
            // It may have ended by itself.
            let _ = sys::signal(process.as_fd(), libc::SIGKILL);
            sys::reap(pid).step("wait")?;
            Err(fault)
        }
    }
}

/// Gives the new process its users and groups, and waits until it has built its file system.
fn lead_in(
    job: &Job,
    groups: &mut Groups,
    setting: Setting,
    pid: libc::pid_t,
    socket: &OwnedFd,
) -> Outcome<Option<OwnedFd>> {
    if matches!(setting, Setting::OwnUsers) {
        write_maps(job, pid)?;
    }
    offer_to_the_killer(pid);
    groups.add(job, pid);
    sys::send(socket.as_fd(), init::word(groups), None).step("init")?;
    let mut buffer = [0_u8; 512];
    let (length, mut passed) = sys::receive(socket.as_fd(), &mut buffer).step("init")?;
    match buffer.get(..length) {
        Some(b"built") => Ok(passed.pop()),
        Some(message) if !message.is_empty() => Err(init::fault_from(message)),
        _ => Err(Fault::new("init", libc::ECHILD)),
    }
}

fn write_maps(job: &Job, pid: libc::pid_t) -> Outcome<()> {
    let write = |file: &str, text: String| {
        let path = format!("/proc/{pid}/{file}");
        fs::write(&path, text).step_at("uid_map", &path)
    };
    let (user, group) = match job.request.user {
        Some(user) => (user, user),
        None => {
            // Without privilege groups can be mapped only by who gave up changing them.
            write("setgroups", "deny".to_owned())?;
            sys::own_ids()
        }
    };
    write("gid_map", format!("{INNER_USER} {group} 1"))?;
    write("uid_map", format!("{INNER_USER} {user} 1"))
}

/// When the machine runs out of memory, plugins go first.
fn offer_to_the_killer(pid: libc::pid_t) {
    // Where /proc is masked, the kernel weighs plugins like everybody.
    let _ = fs::write(format!("/proc/{pid}/oom_score_adj"), "1000");
}

fn start_without_namespaces(job: &mut Job, groups: &mut Groups) -> Outcome<Child> {
    let (exec, plugin_end) = sys::pipe().step("pipe")?;
    let (ours, theirs) = sys::socket_pair().step("socket")?;
    let Some((pid, process)) = sys::fork(0).step("clone")? else {
        drop((exec, ours));
        init::wait_for_word(job, &theirs);
        drop(theirs);
        plugin::run(job, Setting::NoNamespaces, plugin_end);
    };
    drop((plugin_end, theirs));
    offer_to_the_killer(pid);
    groups.add(job, pid);
    job.host.hand_over("plugin", process.as_fd());
    sys::send(ours.as_fd(), init::word(groups), None).step("plugin")?;
    Ok(Child { pid, process, exec: Some(exec), plugin: None })
}

fn wait(job: &Job, child: &Child, groups: &Groups) {
    let is_plugin = child.exec.is_some();
    let watched = child.plugin.as_ref().unwrap_or(&child.process);
    let watch = (!groups.limit_memory()).then(|| Watch::new(watched.as_fd(), job.request.memory_bytes)).flatten();
    let ending =
        supervise::wait(job, child.pid, &child.process, child.exec.as_ref(), sys::termination().ok(), watch.as_ref());
    match ending {
        // The init tells itself how the plugin ended, and ends with 0.
        Ending::Code(_) if !is_plugin => {}
        ending => job.host.ended(ending),
    }
}
