//! Waiting for a child's end, or the host's.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use crate::job::Job;
use crate::sys::{self, Ending};

/// How often memory is looked at where no control group limits it.
const WATCH_MS: i32 = 100;

/// Memory of a process, for machines without control groups: it is ended after it took too much, not before.
pub(crate) struct Watch {
    statm: String,
    most_pages: u64,
}

impl Watch {
    /// `None` without a limit, or where `/proc` does not tell.
    pub(crate) fn new(process: BorrowedFd<'_>, most_bytes: u64) -> Option<Self> {
        let facts = fs::read_to_string(format!("/proc/self/fdinfo/{}", process.as_raw_fd())).ok()?;
        let pid = facts.lines().find_map(|line| line.strip_prefix("Pid:"))?.trim().parse::<u32>().ok()?;
        (most_bytes > 0).then(|| Self { statm: format!("/proc/{pid}/statm"), most_pages: most_bytes / 4096 })
    }

    fn is_exceeded(&self) -> bool {
        let facts = fs::read_to_string(&self.statm).unwrap_or_default();
        facts.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).is_some_and(|pages| pages > self.most_pages)
    }
}

/// Waits until the child has ended; ends it when the host ends. `exec` tells when the plugin's code begins to run.
pub(crate) fn wait(
    job: &Job,
    pid: libc::pid_t,
    process: &OwnedFd,
    exec: Option<&OwnedFd>,
    termination: Option<OwnedFd>,
    watch: Option<&Watch>,
) -> Ending {
    let [life, host] = job.signs_of_death();
    let termination = termination.as_ref().map(AsFd::as_fd);
    let mut exec = exec.map(AsFd::as_fd);
    let timeout = if watch.is_some() { WATCH_MS } else { -1 };
    loop {
        let Ok([is_dead, is_host_dead, is_terminated, has_ended, has_begun]) =
            sys::wait_for([life, host, termination, Some(process.as_fd()), exec], timeout)
        else {
            break;
        };
        if has_begun && exec.take().is_some() && !has_ended {
            job.host.started();
        }
        if has_ended || is_dead || is_host_dead || is_terminated || watch.is_some_and(Watch::is_exceeded) {
            break;
        }
    }
    // Ended already, in most cases.
    let _ = sys::signal(process.as_fd(), libc::SIGKILL);
    sys::reap(pid).unwrap_or(Ending::Signal(libc::SIGKILL))
}
