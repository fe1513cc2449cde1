//! The process that becomes the plugin: its last steps before the plugin's bytes run.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

use crate::confine;
use crate::fault::{Fault, Outcome, Step};
use crate::filter;
use crate::host::State;
use crate::init::Setting;
use crate::job::{Job, Program, Request};
use crate::landlock;
use crate::sys;

/// Exit code of a process that could not become the plugin.
const NOT_STARTED: i32 = 127;

/// Limits this process, waits for the host's consent and executes the program. `_exec` closes when that succeeds.
pub(crate) fn run(job: &mut Job, setting: Setting, _exec: OwnedFd) -> ! {
    let fault = match become_plugin(job, setting) {
        Ok(never) => match never {},
        Err(fault) => fault,
    };
    job.host.failed(&fault);
    sys::leave(NOT_STARTED)
}

enum Never {}

fn become_plugin(job: &mut Job, setting: Setting) -> Outcome<Never> {
    let program = job.program.take().ok_or_else(|| Fault::new("descriptors", libc::EBADF))?;
    if setting == Setting::NoNamespaces {
        confine::drop_rights(&job.host, &job.request, setting)?;
    }
    // A group of its own: what the plugin sends to its group must not reach the launcher, which is in another one.
    sys::new_session().step("session")?;
    sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong, 0).step("parent_death_signal")?;
    if job.host_is_gone() {
        sys::leave(0);
    }
    job.host.layer("rlimits", confine::lower_limits(&job.request, setting), State::Reduced);
    set_standard_descriptors(&program)?;
    landlock::enforce(&job.host, &job.request, setting);
    let secret = sys::random().step("random")?;
    let rules = filter::program(&job.request, setting, secret, program.image.as_fd());
    job.host.layer("seccomp", sys::install_filter(&rules).step("seccomp"), State::Missing);
    job.host.ready();
    if !job.host.consent() {
        sys::leave(0);
    }
    sys::set_mask(None).step("signals")?;
    let (arguments, environment) = (&job.request.arguments, environment(&job.request, setting)?);
    Err(Fault::new("execveat", sys::execute(program.image.as_fd(), arguments, &environment, secret)))
}

/// Output goes to the host; input is at its end, which needs no device.
fn set_standard_descriptors(program: &Program) -> Outcome<()> {
    let (input, _) = sys::pipe().step("pipe")?;
    sys::become_standard(input.as_fd(), 0).step("descriptors")?;
    sys::become_standard(program.output.as_fd(), 1).step("descriptors")?;
    sys::become_standard(program.errors.as_fd(), 2).step("descriptors")
}

/// The environment that the host asked for, with the scratch directory that there is.
fn environment(request: &Request, setting: Setting) -> Outcome<Vec<CString>> {
    let scratch = match &request.sockets {
        Some(sockets) if setting == Setting::NoNamespaces => sockets,
        _ => request.scratch(),
    };
    let mut environment = request.environment.clone();
    for name in ["HOME", "TMPDIR"] {
        environment.push(CString::new(format!("{name}={scratch}")).map_err(|_| Fault::new("job", libc::EINVAL))?);
    }
    Ok(environment)
}
