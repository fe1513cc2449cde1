//! Waiting for a child's end, or the host's.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use crate::job::Job;
use crate::sys::{self, Ending};

/// How often memory is looked at where no control group limits it.
const WATCH_MS: i32 = 100;

/// Memory of a process, for machines without control groups: it is ended after it took too much, not before.
pub(crate) struct Watch {
    threads: String,
    most_kilobytes: u64,
}

impl Watch {
    /// `None` without a limit, or where `/proc` does not tell.
    pub(crate) fn new(process: BorrowedFd<'_>, most_bytes: u64) -> Option<Self> {
        let facts = fs::read_to_string(format!("/proc/self/fdinfo/{}", process.as_raw_fd())).ok()?;
        let pid = facts.lines().find_map(|line| line.strip_prefix("Pid:"))?.trim().parse::<u32>().ok()?;
        (most_bytes > 0).then(|| Self { threads: format!("/proc/{pid}/task"), most_kilobytes: most_bytes / 1024 })
    }

    fn is_exceeded(&self) -> bool {
        let threads = fs::read_dir(&self.threads).into_iter().flatten().flatten();
        // The first thread may have ended before the others, and knows of no memory then.
        let mut facts = threads.filter_map(|thread| memory(&fs::read_to_string(thread.path().join("status")).ok()?));
        facts.next().is_some_and(|kilobytes| kilobytes > self.most_kilobytes)
    }
}

/// What a process has in memory and swapped out, and the tables for that, which can be larger than what they describe.
fn memory(status: &str) -> Option<u64> {
    let field = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name))?;
        value.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    };
    Some(field("VmRSS:")? + field("VmSwap:").unwrap_or(0) + field("VmPTE:").unwrap_or(0))
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
    while let Ok([is_dead, is_host_dead, is_terminated, has_ended, has_begun]) =
        sys::wait_for([life, host, termination, Some(process.as_fd()), exec], timeout)
    {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_what_is_resident_swapped_and_spent_on_tables() {
        let status = "Name:\tx\nVmRSS:\t     748 kB\nVmData:\t 9 kB\nVmPTE:\t 1050668 kB\nVmSwap:\t       4 kB\n";
        assert_eq!(memory(status), Some(1_051_420));
        assert_eq!(memory("Name:\tx\nState:\tZ (zombie)\n"), None);
    }
}
