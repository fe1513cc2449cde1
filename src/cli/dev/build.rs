//! Runs the build command: one at a time, as a process group that ends as a whole.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Sender;

use goatflow_plugin::error::{Error, ErrorCode, Result};
use rustix::process::{Pid, Signal, kill_process_group};

use super::Message;

/// A build that runs. Its end arrives as a message.
pub(super) struct Build {
    group: Option<Pid>,
}

impl Build {
    /// Starts `command` in `directory`. With `is_quiet`, what it prints goes to standard error.
    pub(super) fn start(command: &[String], directory: &Path, is_quiet: bool, ended: Sender<Message>) -> Result<Self> {
        let mut child = spawn(command, directory, is_quiet).map_err(|error| {
            let program = command.first().map_or("", String::as_str);
            Error::new(ErrorCode::EnvironmentIo, format!("can't start the build command `{program}`"))
                .with_source(error)
        })?;
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        std::thread::spawn(move || {
            let status = child.wait().ok();
            let outcome = status.map_or_else(|| "it could not be waited for".to_owned(), |status| status.to_string());
            // The loop may have ended before the build.
            let _ = ended.send(Message::Built { is_ok: status.is_some_and(|status| status.success()), outcome });
        });
        Ok(Self { group })
    }

    /// Asks everything that belongs to it to end.
    pub(super) fn stop(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends everything that belongs to it.
    pub(super) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // What has ended already can't be told anything.
            let _ = kill_process_group(group, signal);
        }
    }
}

fn spawn(command: &[String], directory: &Path, is_quiet: bool) -> std::io::Result<Child> {
    use std::os::unix::process::CommandExt;
    let (program, arguments) = command.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
    let mut build = Command::new(program);
    build.args(arguments).current_dir(directory).stdin(Stdio::null()).process_group(0);
    if is_quiet {
        build.stdout(Stdio::from(std::io::stderr()));
    }
    build.spawn()
}

/// The command that builds what is in `directory`, where it says so itself: a Makefile or a build script, as `new` writes
/// them.
pub(super) fn default_command(directory: &Path) -> Vec<String> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    match () {
        () if directory.join("Makefile").is_file() => words(&["make", "-s"]),
        () if directory.join("build.sh").is_file() => words(&["sh", "build.sh"]),
        () => Vec::new(),
    }
}

/// A default command as it has to be after sources changed during a build: what was built may be younger than the change
/// and not contain it.
pub(super) fn from_scratch(command: &[String]) -> Vec<String> {
    let mut command = command.to_vec();
    if command.first().is_some_and(|program| program == "make") {
        command.push("-B".to_owned());
    }
    command
}
