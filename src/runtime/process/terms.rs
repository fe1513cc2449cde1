//! What the host grants a native plugin, apart from what every runtime has.

use std::path::PathBuf;
use std::time::Duration;

/// Time for a shutdown where the policy sets none: a process that never ends is never replaced.
const LONGEST_SHUTDOWN: Duration = Duration::from_secs(60);

/// Terms that a process is started under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Lowest level of the jail that is good enough.
    pub minimum_level: u32,
    /// Memory of the process; 0 = no limit.
    pub memory_bytes: u64,
    /// Threads of the process.
    pub threads: u32,
    /// Per cent of one processor; 0 = no limit.
    pub cpu_percent: u32,
    /// Size of the process's scratch directory.
    pub tmp_bytes: u64,
    /// Program that runs a plugin which is a script.
    pub interpreter: Option<PathBuf>,
    /// Files and directories of the host that are shown read-only.
    pub read_only: Vec<PathBuf>,
    /// Variables besides the fixed ones.
    pub environment: Vec<(String, String)>,
    /// May make memory executable that it wrote to.
    pub may_jit: bool,
    /// Parent of the process's control groups; without one, the host's own group.
    pub group_parent: Option<PathBuf>,
    /// Time for a call, and for a host call that belongs to none; 0 = no limit.
    pub call_timeout_ms: u64,
    /// Time for start, registration and initialisation; 0 = no limit.
    pub init_timeout_ms: u64,
    /// Time for the shutdown; 0 = no limit.
    pub shutdown_timeout_ms: u64,
}

impl Terms {
    pub(super) fn call_timeout(&self) -> Duration {
        time(self.call_timeout_ms)
    }

    pub(super) fn init_timeout(&self) -> Duration {
        time(self.init_timeout_ms)
    }

    pub(super) fn shutdown_timeout(&self) -> Duration {
        time(self.shutdown_timeout_ms).min(LONGEST_SHUTDOWN)
    }
}

/// Policies say 0 for a time without end.
fn time(ms: u64) -> Duration {
    if ms == 0 { Duration::MAX } else { Duration::from_millis(ms) }
}
