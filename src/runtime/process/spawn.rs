//! Starts processes: the launcher, and nothing else.
//!
//! All of them are started by one thread that lives as long as the process: the kernel ends a child whose parent asked for
//! that when the parent's *thread* ends, not its process. The standard library starts them with `posix_spawn`, which runs
//! none of the host's code between fork and exec, as long as nobody asks for more than arguments and descriptors.

use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::error::{Error, ErrorCode, Result};
use crate::executor;

/// A program to start, with the socket that becomes its standard input.
struct Order {
    program: String,
    input: OwnedFd,
    answer: Sender<std::io::Result<OwnedFd>>,
}

struct Spawner {
    orders: std::sync::Mutex<Sender<Order>>,
    /// Process that the thread belongs to: a forked child has the memory, but not the thread.
    process: u32,
}

/// Starts `program` with `input` as its standard input, and answers its descriptor.
///
/// The program must wait for a message on `input` before it ends: until then its number can't be given to another process,
/// whoever collects the host's children.
pub(super) fn spawn(program: String, input: OwnedFd) -> Result<OwnedFd> {
    static SPAWNER: OnceLock<std::result::Result<Spawner, String>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| start_thread().map_err(|error| error.to_string()));
    let spawner = spawner.as_ref().map_err(|reason| {
        Error::new(
            ErrorCode::EnvironmentResources,
            format!("can't start the thread that starts native plugins: {reason} (raise the limit on threads)"),
        )
    })?;
    if spawner.process != std::process::id() {
        return Err(Error::new(
            ErrorCode::EnvironmentForked,
            "the process was forked after the library was used (start native plugins in the parent)",
        ));
    }
    let (answer, started) = channel();
    let orders = spawner.orders.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    let gone = || Error::new(ErrorCode::EnvironmentJailLauncher, "the thread that starts native plugins is gone");
    if orders.send(Order { program, input, answer }).is_err() {
        return Err(gone());
    }
    started.recv().map_err(|error| gone().with_source(error))?.map_err(|error| {
        Error::new(
            ErrorCode::EnvironmentJailLauncher,
            "can't start the launcher of native plugins (it needs `/proc`, and processes that it may start)",
        )
        .with_source(error)
    })
}

fn start_thread() -> std::io::Result<Spawner> {
    let (orders, incoming) = channel();
    let thread = std::thread::Builder::new().name("goatflow-spawner".into()).stack_size(256 * 1024);
    executor::with_thread_mask(|| thread.spawn(move || serve(&incoming)))?;
    Ok(Spawner { orders: std::sync::Mutex::new(orders), process: std::process::id() })
}

fn serve(incoming: &Receiver<Order>) {
    while let Ok(order) = incoming.recv() {
        // Who gave the order may have given up.
        let _ = order.answer.send(start(&order.program, order.input));
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
