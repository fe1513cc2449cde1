//! A plugin in its jail, from the host's side.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Signal, pidfd_send_signal};

use super::JailExit;
use super::messages::{self, Message};
use super::status::{Failure, JailReport, Layer};
use super::users::User;
use crate::clock::{self, Nanos};
use crate::error::{Error, ErrorCode, Result};
use crate::executor;
use crate::plugin::CallContext;
use crate::plugin::call::cancelled;
use crate::runtime::process::spawn::{LOOK, STEP_TIMEOUT, collect, took_too_long};

/// How long the end of the socket is waited for, in nanoseconds, once all processes that are known have ended: one that was
/// being started may take that long to follow its launcher.
const SILENCE: Nanos = 500_000_000;

/// How often a control group is tried to be removed whose processes are about to be gone.
const GROUP_ATTEMPTS: u32 = 40;

/// How far a start has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Progress {
    Begun,
    Ready,
    Started,
    Ended,
    /// No process is left, and everything is cleaned up.
    Over,
}

/// Where a plugin with namespaces of its own has its sockets.
#[derive(Debug)]
pub struct JailSockets {
    /// The directory, a file system of its own; the host reaches what the plugin makes there through this.
    pub directory: OwnedFd,
    /// The host's socket `host@goatflow` in it, which listens.
    pub listener: OwnedFd,
}

/// A plugin that runs in a jail. Dropping it ends the plugin with everything it started.
#[derive(Debug)]
pub struct JailedChild {
    socket: OwnedFd,
    /// The jail ends when this closes.
    life: Option<OwnedFd>,
    launcher: OwnedFd,
    init: Option<OwnedFd>,
    plugin: Option<OwnedFd>,
    directory: Option<OwnedFd>,
    listener: Option<OwnedFd>,
    user: Option<User>,
    output: Option<OwnedFd>,
    errors: Option<OwnedFd>,
    report: JailReport,
    state: Mutex<State>,
    /// Process that started it: a forked child of that has a copy of this, and no business with the plugin.
    owner: u32,
}

#[derive(Debug)]
struct State {
    progress: Progress,
    exit: Option<JailExit>,
    groups: Vec<PathBuf>,
    failure: Option<Failure>,
    /// Since when all processes that are known have been seen to have ended, without anything more to hear.
    silent_since: Option<Nanos>,
}

impl JailedChild {
    pub(super) fn new(
        socket: OwnedFd,
        life: OwnedFd,
        launcher: OwnedFd,
        user: Option<User>,
        (output, errors): (OwnedFd, OwnedFd),
    ) -> Self {
        Self {
            socket,
            life: Some(life),
            launcher,
            init: None,
            plugin: None,
            directory: None,
            listener: None,
            user,
            output: Some(output),
            errors: Some(errors),
            report: JailReport::default(),
            state: Mutex::new(State {
                progress: Progress::Begun,
                exit: None,
                groups: Vec::new(),
                failure: None,
                silent_since: None,
            }),
            owner: std::process::id(),
        }
    }

    /// What is in force.
    #[must_use]
    pub fn report(&self) -> &JailReport {
        &self.report
    }

    /// User of the host system that the plugin runs as, if it is not the host's; peers of its sockets have it.
    #[must_use]
    pub fn user(&self) -> Option<u32> {
        self.user.as_ref().map(|user| user.number)
    }

    /// What the plugin writes to its standard output. Who takes it must read it, and read no more than they want to keep.
    pub fn take_output(&mut self) -> Option<OwnedFd> {
        self.output.take()
    }

    /// What the plugin writes to its standard error; see [`Self::take_output`].
    pub fn take_errors(&mut self) -> Option<OwnedFd> {
        self.errors.take()
    }

    /// The directory of its sockets. `None` without namespaces, where it is the host's own directory.
    pub fn take_sockets(&mut self) -> Option<JailSockets> {
        match (self.directory.take(), self.listener.take()) {
            (Some(directory), Some(listener)) => Some(JailSockets { directory, listener }),
            _ => None,
        }
    }

    /// Descriptor that is readable when [`Self::wait`] has something to look at.
    #[must_use]
    pub fn messages(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Descriptor of the launcher: readable once it has ended. [`Self::wait`] has something to look at then, too, which
    /// [`Self::messages`] does not tell where a child of the host has a copy of the launcher's descriptors.
    #[must_use]
    pub fn launcher(&self) -> BorrowedFd<'_> {
        self.launcher.as_fd()
    }

    /// Descriptor of the plugin's process: readable once it has ended.
    #[must_use]
    pub fn process(&self) -> Option<BorrowedFd<'_>> {
        self.plugin.as_ref().map(AsFd::as_fd)
    }

    /// Number of the plugin's process as the host sees it, as long as it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        use std::os::fd::AsRawFd;
        let descriptor = self.plugin.as_ref()?.as_raw_fd();
        let facts = std::fs::read_to_string(format!("/proc/thread-self/fdinfo/{descriptor}")).ok()?;
        facts.lines().find_map(|line| line.strip_prefix("Pid:"))?.trim().parse().ok()
    }

    /// Asks the plugin to end, by SIGTERM. A plugin that has ended already is no error.
    pub fn terminate(&self) {
        if let Some(plugin) = self.plugin.as_ref().filter(|_| self.is_ours()) {
            // Fails only for a process that has ended.
            let _ = pidfd_send_signal(plugin, Signal::TERM);
        }
    }

    /// Ends the plugin and everything it started, at once.
    pub fn kill(&self) {
        if !self.is_ours() {
            return;
        }
        // The init takes everything in its namespaces along; without one, there is the plugin's process only.
        for process in self.init.iter().chain(&self.plugin) {
            // Fails only for a process that has ended.
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
        // Somebody may have stopped the launcher, and it has to tell about the end.
        let _ = pidfd_send_signal(&self.launcher, Signal::CONT);
    }

    /// Lets the launcher go on, which has to tell about the end, where somebody has stopped it.
    pub fn wake(&self) {
        if self.is_ours() {
            let _ = pidfd_send_signal(&self.launcher, Signal::CONT);
        }
    }

    /// Waits until nothing of the plugin is left, at most for `timeout`; `None` when that comes first.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<Option<JailExit>> {
        if !self.is_ours() {
            return Err(Error::new(
                ErrorCode::EnvironmentForked,
                "the process was forked after the plugin was started (its parent looks after the plugin)",
            ));
        }
        let deadline = timeout.map(|timeout| clock::now().saturating_add(clock::saturating_nanos(timeout)));
        loop {
            let state = self.state();
            if state.progress == Progress::Over {
                return Ok(Some(state.exit.unwrap_or(KILLED)));
            }
            drop(state);
            if !self.listen(deadline)? {
                return Ok(None);
            }
            let mut state = self.state();
            if state.progress != Progress::Over
                && let Some(message) = self.receive(&mut state)?
            {
                self.take(&mut state, message);
            }
        }
    }

    pub(super) fn note(&mut self, layer: Layer) {
        self.report.set(layer);
    }

    pub(super) fn send(&self, message: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<()> {
        messages::send(self.socket.as_fd(), message, descriptors)
    }

    /// Lets the program run.
    pub(super) fn consent(&mut self, context: &CallContext) -> Result<()> {
        self.send(b"go", &[])?;
        self.advance(Progress::Started, context)
    }

    /// Listens until the start has come that far, as long as `context` lets it.
    pub(super) fn advance(&mut self, until: Progress, context: &CallContext) -> Result<()> {
        let deadline = clock::now().saturating_add(clock::saturating_nanos(STEP_TIMEOUT)).min(context.deadline);
        loop {
            if let Some(failure) = self.state().failure.take() {
                return Err(step_error(&failure));
            }
            let progress = self.state().progress;
            if progress >= until && (progress != Progress::Over || self.state().exit.is_some()) {
                return Ok(());
            }
            if progress == Progress::Over {
                return Err(Error::new(
                    ErrorCode::EnvironmentJailLauncher,
                    "the launcher of native plugins ended before it was done (is something killing the host's processes?)",
                ));
            }
            if context.cancellation.is_cancelled() {
                return Err(cancelled());
            }
            let look = clock::now().saturating_add(clock::saturating_nanos(LOOK)).min(deadline);
            if !self.listen(Some(look))? {
                if look < deadline {
                    continue;
                }
                return Err(took_too_long());
            }
            let message = self.receive(&mut self.state())?;
            if let Some(message) = message {
                self.take_start(message);
            }
        }
    }

    /// Waits until there is something to hear, or somebody who could say something has ended; false when the deadline comes
    /// first.
    fn listen(&self, deadline: Option<Nanos>) -> Result<bool> {
        if let Some(process) = self.processes().find(|process| !has_ended(process)) {
            return messages::wait_for(&[self.socket.as_fd(), process.as_fd()], deadline);
        }
        let over = self.state().silent_since.map_or(0, |since| since.saturating_add(SILENCE));
        let until = deadline.map_or(over, |deadline| deadline.min(over));
        Ok(messages::wait_for(&[self.socket.as_fd()], Some(until))? || deadline.is_none_or(|deadline| over <= deadline))
    }

    /// What is there to hear. A child of the host that was forked during the start has a copy of the launcher's end of the
    /// socket, which does not close then: nobody is left to say anything, too, some time after all processes have ended.
    fn receive(&self, state: &mut State) -> Result<Option<Message>> {
        // Asked first: what they said before their end is there now.
        let have_ended = self.processes().all(has_ended);
        if let Some(message) = messages::receive(self.socket.as_fd())? {
            return Ok(Some(message));
        }
        if !have_ended {
            return Ok(None);
        }
        let now = clock::now();
        let since = *state.silent_since.get_or_insert(now);
        Ok((now.saturating_sub(since) >= SILENCE).then_some(Message::End))
    }

    fn processes(&self) -> impl Iterator<Item = &OwnedFd> {
        [&self.launcher].into_iter().chain(&self.init).chain(&self.plugin)
    }

    /// A message during the start, when nobody else looks at this yet.
    fn take_start(&mut self, message: Message) {
        match message {
            Message::Descriptor(name, process) if name == "init" => self.init = Some(process),
            Message::Descriptor(name, directory) if name == "sockets" => self.directory = Some(directory),
            Message::Descriptor(name, listener) if name == "listener" => self.listener = Some(listener),
            Message::Descriptor(_, process) => self.plugin = Some(process),
            Message::Layer(layer) => self.report.set(layer),
            other => self.take(&mut self.state(), other),
        }
    }

    fn take(&self, state: &mut State, message: Message) {
        match message {
            Message::Group(path) => state.groups.push(path.into()),
            Message::Failed(failure) => state.failure = Some(failure),
            Message::Ready => state.progress = Progress::Ready,
            Message::Started => state.progress = state.progress.max(Progress::Started),
            Message::Ended(exit) => {
                state.progress = Progress::Ended;
                // The launcher sees the end of the init, which tells first how the plugin ended.
                state.exit.get_or_insert(exit);
            }
            Message::Over(true) => state.exit.get_or_insert(KILLED).out_of_memory = true,
            Message::Over(false) | Message::Descriptor(..) | Message::Layer(_) => {}
            Message::End => {
                collect(&self.launcher);
                remove_groups(std::mem::take(&mut state.groups));
                state.progress = Progress::Over;
            }
        }
    }

    /// A forked child must neither end its parent's plugin nor take messages that are for the parent.
    fn is_ours(&self) -> bool {
        self.owner == std::process::id()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// End of a plugin that nobody lived to tell about.
const KILLED: JailExit = JailExit { code: None, signal: Some(9), out_of_memory: false };

impl Drop for JailedChild {
    fn drop(&mut self) {
        if !self.is_ours() {
            return;
        }
        self.kill();
        self.life = None;
        // Bounded: nothing in the jail can hold up a SIGKILL. What fails here leaves a process without a name, nothing more.
        let _ = self.wait(None);
    }
}

/// Removes what the launcher leaves behind when it is killed. Processes are in their groups a moment longer than they hold
/// their sockets.
fn remove_groups(mut groups: Vec<PathBuf>) {
    let is_busy = |group: &PathBuf| {
        std::fs::remove_dir(group).is_err_and(|error| error.kind() == std::io::ErrorKind::ResourceBusy)
    };
    groups.retain(is_busy);
    if groups.is_empty() {
        return;
    }
    // Without a thread to be had, empty groups stay.
    let _ = executor::spawn(move || {
        for _ in 0..GROUP_ATTEMPTS {
            std::thread::park_timeout(LOOK);
            groups.retain(is_busy);
        }
    });
}

fn has_ended(process: &OwnedFd) -> bool {
    messages::wait_for(&[process.as_fd()], Some(0)).unwrap_or(false)
}

fn step_error(failure: &Failure) -> Error {
    Error::new(
        ErrorCode::EnvironmentJailStep,
        format!("can't start the native plugin: {} ({})", failure.reason(), failure.remedy()),
    )
    .with_detail("step", failure.step.as_str())
    .with_detail("errno", failure.errno)
}
