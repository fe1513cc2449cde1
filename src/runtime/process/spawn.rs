//! Starts processes: the launcher, and nothing else.
//!
//! All of them are started by one thread that lives as long as the process: the kernel ends a child whose parent asked for
//! that when the parent's *thread* ends, not its process. The standard library starts them with `posix_spawn`, which runs
//! none of the host's code between fork and exec, as long as nobody asks for more than arguments and descriptors.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SendError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};

use crate::clock;
use crate::error::{Error, ErrorCode, Result};
use crate::executor;
use crate::plugin::CallContext;
use crate::plugin::call::cancelled;

/// How long a step of the start of a process may take. On a busy machine it takes tenths of a second.
pub(super) const STEP_TIMEOUT: Duration = Duration::from_secs(30);

/// How often a start that takes long is asked whether it is still wanted.
pub(super) const LOOK: Duration = Duration::from_millis(50);

/// A program to start, with the socket that becomes its standard input.
struct Order {
    program: String,
    input: OwnedFd,
    answer: Sender<std::io::Result<OwnedFd>>,
}

#[derive(Clone)]
struct Spawner {
    orders: Sender<Order>,
    /// Process that the thread belongs to: a forked child has the memory, but not the thread.
    process: u32,
}

/// Starts `program` with `input` as its standard input, and answers its descriptor.
///
/// The program must wait for a message on `input` before it ends: until then its number can't be given to another process,
/// whoever collects the host's children.
pub(super) fn spawn(program: String, input: OwnedFd, context: &CallContext) -> Result<OwnedFd> {
    let spawner = spawner()?;
    if spawner.process != std::process::id() {
        return Err(Error::new(
            ErrorCode::EnvironmentForked,
            "the process was forked after the library was used (start native plugins in the parent)",
        ));
    }
    let (answer, started) = channel();
    if spawner.orders.send(Order { program, input, answer }).is_err() {
        return Err(gone());
    }
    answer_of(&started, context)?.map_err(|error| {
        Error::new(
            ErrorCode::EnvironmentJailLauncher,
            "can't start the launcher of native plugins (it needs `/proc`, and processes that it may start)",
        )
        .with_source(error)
    })
}

/// The thread, started by who needs it first; a failure to do so is not kept.
fn spawner() -> Result<Spawner> {
    static SPAWNER: Mutex<Option<Spawner>> = Mutex::new(None);
    let mut spawner = SPAWNER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(spawner) = &*spawner {
        return Ok(spawner.clone());
    }
    let started = start_thread().map_err(|error| {
        Error::new(
            ErrorCode::EnvironmentResources,
            "can't start the thread that starts native plugins (raise the limit on threads)",
        )
        .with_source(error)
    })?;
    Ok(spawner.insert(started).clone())
}

/// Waits for the answer as long as `context` lets it: a process that somebody stops before it becomes the launcher holds up the
/// thread that starts it.
fn answer_of(started: &Receiver<std::io::Result<OwnedFd>>, context: &CallContext) -> Result<std::io::Result<OwnedFd>> {
    let deadline = clock::now().saturating_add(clock::saturating_nanos(STEP_TIMEOUT)).min(context.deadline);
    loop {
        match started.recv_timeout(LOOK) {
            Ok(answer) => return Ok(answer),
            Err(RecvTimeoutError::Disconnected) => return Err(gone()),
            Err(RecvTimeoutError::Timeout) if context.cancellation.is_cancelled() => return Err(cancelled()),
            Err(RecvTimeoutError::Timeout) if clock::now() >= deadline => return Err(took_too_long()),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

fn gone() -> Error {
    Error::new(ErrorCode::EnvironmentJailLauncher, "the thread that starts native plugins is gone")
}

/// Error of a start that does not get on.
pub(super) fn took_too_long() -> Error {
    Error::new(
        ErrorCode::EnvironmentJailLauncher,
        "the launcher of native plugins took too long (the machine is overloaded, or a process was stopped)",
    )
}

/// Collects a process that has ended or is about to. The host may have done so already, in which case nothing is left to do.
pub(super) fn collect(process: &OwnedFd) {
    while matches!(waitid(WaitId::PidFd(process.as_fd()), WaitIdOptions::EXITED), Err(Errno::INTR)) {}
}

fn start_thread() -> std::io::Result<Spawner> {
    let (orders, incoming) = channel();
    let thread = std::thread::Builder::new().name("goatflow-spawner".into()).stack_size(256 * 1024);
    executor::with_thread_mask(|| thread.spawn(move || serve(&incoming)))?;
    Ok(Spawner { orders, process: std::process::id() })
}

fn serve(incoming: &Receiver<Order>) {
    while let Ok(order) = incoming.recv() {
        // Who gave the order may have given up; the launcher finds nobody to talk with then, and ends.
        if let Err(SendError(Ok(launcher))) = order.answer.send(start(&order.program, order.input)) {
            collect(&launcher);
        }
    }
}

fn start(program: &str, input: OwnedFd) -> std::io::Result<OwnedFd> {
    let mut command = Command::new(program);
    command.arg0("goatflow-launcher").env_clear();
    command.stdin(Stdio::from(input)).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let opened = match pid {
        Some(pid) => pidfd_open(pid, PidfdFlags::empty()).map_err(std::io::Error::from),
        None => Err(std::io::Error::other("a process without a number")),
    };
    if opened.is_err() {
        // Nobody else could collect it. It may have ended, and been collected by the host.
        let _ = child.kill().and_then(|()| child.wait());
    }
    opened
}
