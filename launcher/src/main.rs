//! Builds the jail of a native plugin and executes the plugin in it.
//!
//! A host has threads and locks, so that nothing but exec is safe between its fork and exec. Therefore it starts this
//! program, which has one thread and does the rest. Because there is one thread, a fork copies no lock that is held:
//! both sides may allocate and use the whole library.
//!
//! Up to three processes come of it:
//!
//! - the *launcher*: makes control groups and namespaces, then waits, and cleans up at the end;
//! - the *init*, first process of the jail's namespaces: builds the file system, drops all rights, waits for the plugin.
//!   When it ends, the kernel ends everything in the jail;
//! - the *plugin*: limits itself, waits for the host's consent to what is in force, and executes the plugin's bytes.
//!
//! Where namespaces can't be had, there is no init. What is in force is told to the host layer by layer, and the host
//! decides. All three end when the host does: they hold a pipe that only the host can write to, and the host's process.

mod cgroup;
mod confine;
mod fault;
mod filter;
mod host;
mod init;
mod job;
mod landlock;
mod launch;
mod plugin;
mod root;
mod supervise;
mod sys;
mod syscalls;

use std::io::stdin;
use std::os::fd::AsFd;

use host::Host;
use job::Job;

fn main() {
    // A host that is killed now can't tell this process anything any more, and a child that it forked may hold the socket.
    let _ = sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong, 0);
    // Whatever a host left open by mistake must not reach the plugin. Standard input is the socket to the host.
    if sys::close_from(3).is_err() {
        sys::leave(1);
    }
    let Ok(socket) = stdin().as_fd().try_clone_to_owned() else { sys::leave(1) };
    match Job::receive(Host::new(socket)) {
        Ok(job) => launch::run(job),
        Err((host, fault)) => {
            host.failed(&fault);
            sys::leave(1);
        }
    }
}
