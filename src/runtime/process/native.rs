//! A native plugin in service, and what it is made of.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::Value;

use super::directory::PluginDirectory;
use super::jail::Image;
use super::start::Recipe;
use super::supervise::Supervisor;
use super::terms::Terms;
use crate::error::{Error, ErrorCode, Result};
use crate::host::HostApi;
use crate::plugin::{CallContext, Plugin, Recovery, Registration, ResultSink, RuntimeLimits, RuntimeUsage};
use crate::runtime::check_arguments;

/// A native program with what its package brought besides.
pub struct NativeProgram {
    /// Bytes of the program: the very bytes that run.
    pub code: Vec<u8>,
    /// Its file name.
    pub binary: String,
    /// Further files, which the plugin can read: names with `/`, and contents.
    pub files: Vec<(String, Vec<u8>)>,
}

/// What a native plugin runs with.
pub struct NativeSeat {
    /// The host as the plugin sees it.
    pub host: Arc<dyn HostApi>,
    /// Limits at the start.
    pub limits: RuntimeLimits,
    /// What the policy grants the first process.
    pub first_terms: Terms,
    /// What the policy grants at the moment it is asked; asked for every further process.
    pub terms: Box<dyn Fn() -> Terms + Send + Sync>,
    /// Settings that the plugin is told.
    pub config: BTreeMap<String, String>,
    /// Where directories of plugins are made; the system's own place when absent.
    pub directory: Option<PathBuf>,
    /// Crashes under this name.
    pub recovery: Arc<Recovery>,
    /// Is told what happens to the process, on worker threads.
    pub observer: Box<dyn Fn(ProcessEvent) + Send + Sync>,
}

/// What happened to a plugin's process.
#[derive(Debug, Clone)]
pub enum ProcessEvent {
    /// It ended by itself.
    Crashed(Arc<Error>),
    /// A new one serves.
    Restarted,
    /// It is not started any more.
    GaveUp,
}

/// A native plugin in service.
pub struct NativePlugin(Arc<Supervisor>);

impl NativePlugin {
    /// Starts a first process; `admit` looks at what it registers before it may do anything.
    pub fn start(
        program: NativeProgram,
        seat: NativeSeat,
        admit: impl FnOnce(&Registration) -> Result<()>,
        context: &CallContext,
    ) -> Result<Self> {
        let directory = Arc::new(PluginDirectory::new(seat.directory.as_deref())?);
        for (name, content) in &program.files {
            directory.add_file(name, content)?;
        }
        let image = if program.code.starts_with(b"#!") || !is_binary(&program.code) {
            directory.add_file(&program.binary, &program.code)?;
            None
        } else {
            Some(Image::seal(&program.code)?)
        };
        let mut config = seat.config;
        config.insert("plugin_dir".into(), directory.files().to_string_lossy().into_owned());
        let NativeSeat { host, limits, first_terms, terms, recovery, observer, .. } = seat;
        let (binary, places) = (program.binary, Arc::default());
        let recipe = Recipe { image, binary, directory, terms, host, config, places };
        Supervisor::start(recipe, (recovery, observer), (first_terms, limits), admit, context).map(Self)
    }
}

impl Plugin for NativePlugin {
    fn registration(&self) -> &Registration {
        self.0.registration()
    }

    fn call(&self, context: &CallContext, function: &str, arguments: &[u8], result: &mut ResultSink<'_>) -> Result<()> {
        check_arguments(function, arguments, &self.0.limits())?;
        loop {
            let process = self.0.process(context)?;
            let Some(call) = process.host_calls.enter(context)? else {
                // It is being replaced, or its end is being noted.
                context.check_alive()?;
                std::thread::park_timeout(Duration::from_millis(1));
                continue;
            };
            let answer = process.session.call(&call, function, arguments)?;
            process.answered.fetch_add(1, Ordering::Relaxed);
            drop(call);
            return if answer.is_empty() { Ok(()) } else { result(&answer) };
        }
    }

    fn set_limits(&self, limits: &RuntimeLimits) {
        self.0.set_limits(limits);
    }

    fn probe(&self, context: &CallContext) -> Result<()> {
        let process = self.0.process(context)?;
        let before = process.answered.load(Ordering::Relaxed);
        match process.session.probe(context) {
            // Its threads are all at work, and their answers come.
            Err(error) if error.code() == ErrorCode::PluginDeadline && process.has_answered_since(before) => Ok(()),
            outcome => outcome,
        }
    }

    fn restart(&self) -> Result<()> {
        self.0.restart()
    }

    fn rest(&self) -> Result<()> {
        self.0.rest()
    }

    fn let_go(&self) -> Result<()> {
        self.0.let_go();
        Ok(())
    }

    fn is_process(&self) -> bool {
        true
    }

    fn process(&self) -> Option<Value> {
        Some(self.0.status())
    }

    fn stop(&self, patience: Duration) -> Result<()> {
        self.0.stop(patience);
        Ok(())
    }

    fn usage(&self) -> RuntimeUsage {
        let pid = self.0.pid();
        RuntimeUsage {
            instances: u32::from(pid.is_some()),
            instances_discarded: self.0.processes().saturating_sub(1),
            calls_relayed: 0,
            memory_bytes: pid.and_then(resident_bytes).unwrap_or(0),
        }
    }
}

fn is_binary(code: &[u8]) -> bool {
    code.is_empty() || code.starts_with(b"\x7fELF") || code.contains(&0)
}

/// Memory of a process that is in use, in bytes.
fn resident_bytes(pid: u32) -> Option<u64> {
    let facts = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = facts.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * u64::try_from(rustix::param::page_size()).ok()?)
}

impl std::fmt::Debug for NativePlugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NativePlugin").field("name", &self.0.registration().name()).finish_non_exhaustive()
    }
}
