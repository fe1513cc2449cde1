//! A plugin's process that has introduced itself: what it is asked for, and its end.

use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;

use super::directory::Sockets;
use super::handshake::Protocol;
use super::host_calls::HostCalls;
use super::jail::{JailExit, JailReport, JailedChild};
use super::output::{ProcessLog, TAIL_PATIENCE};
use super::session::{Ending, Lost, Session};
use super::tail::telling;
use super::terms::Terms;
use crate::error::{Error, ErrorCode, Result};
use crate::executor;
use crate::plugin::CallContext;

/// How long a process may take to end on its own once its connection has ended.
pub(super) const END_PATIENCE: Duration = Duration::from_secs(2);

/// A plugin's process that is ready for calls, or was.
pub(super) struct Process {
    pub session: Box<dyn Session>,
    pub host_calls: Arc<HostCalls>,
    pub protocol: Protocol,
    pub terms: Terms,
    pub(super) child: JailedChild,
    pub(super) log: Arc<ProcessLog>,
    /// Calls that it has answered.
    pub(super) answered: AtomicU64,
    /// It is meant to end.
    pub(super) stopping: AtomicBool,
    /// How it ended.
    pub(super) ended: OnceLock<Ending>,
    /// Removed as soon as nothing of the process is left.
    pub(super) sockets: Mutex<Option<Sockets>>,
}

/// Called once, on a worker thread, when a process has ended.
pub(super) type OnEnd = Box<dyn FnOnce(Arc<Process>) + Send>;

impl Process {
    /// True when calls were answered since there were so many.
    pub(super) fn has_answered_since(&self, answered: u64) -> bool {
        self.answered.load(Ordering::Relaxed) > answered
    }

    /// What of the jail is in force.
    pub(super) fn report(&self) -> &JailReport {
        self.child.report()
    }

    /// Number of the process, while it runs.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.pid()
    }

    /// True when nothing of it is left.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.get().is_some()
    }

    /// How it ended, once nothing of it is left.
    pub(super) fn ending(&self) -> Option<Ending> {
        self.ended.get().cloned()
    }

    /// Ends the process: asks it to, for as long as `context` lets it, then makes it.
    pub(super) fn stop(&self, context: &CallContext) {
        self.stopping.store(true, Ordering::SeqCst);
        // A plugin that does not answer is ended all the same.
        let _ = self.session.shutdown(context);
        let patience = context.remaining().min(END_PATIENCE);
        if !patience.is_zero() {
            // Who does not end now is made to.
            let _ = self.child.wait(Some(patience));
        }
        self.end();
    }

    /// Ends the process, and waits until nothing of it is left.
    pub(super) fn end(&self) {
        self.kill();
        // Bounded: nothing can hold up a SIGKILL.
        let _ = self.child.wait(None);
        self.clean_up();
    }

    /// Directory of its sockets, while it is there.
    pub(super) fn sockets(&self) -> Option<PathBuf> {
        let sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        sockets.as_ref().map(|sockets| sockets.path.clone())
    }

    fn clean_up(&self) {
        let sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(sockets);
    }

    /// Ends the process at once; it is gone soon after.
    pub(super) fn kill(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.child.kill();
    }

    /// Adds to an error of the introduction what became of the process meanwhile.
    pub(super) fn explain(&self, error: Error) -> Error {
        match self.ended.get() {
            // What was waited for could not come any more.
            Some(ending) if error.code() == ErrorCode::PluginDeadline => ending.error(),
            _ => with_tail(error, &self.log),
        }
    }

    fn explain_end(&self, exit: JailExit, broken: Option<&str>) -> Ending {
        let mut ending = ending_of(exit, &self.log);
        if let Some(reason) = broken {
            ending.code = ErrorCode::PluginProtocol;
            ending.reason = format!("the plugin was ended because it broke its protocol: {reason}");
        }
        if self.stopping.load(Ordering::SeqCst) {
            ending.code = ErrorCode::PluginExited;
            ending.reason = "the plugin was stopped during the call".to_owned();
        }
        ending
    }
}

/// Waits for the end of a process, on the I/O runtime, and tells everybody.
pub(super) fn watch(process: &Arc<Process>, mut on_lost: oneshot::Receiver<Lost>, on_end: OnEnd) -> Result<()> {
    let io = executor::io()?;
    let _entered = io.enter();
    // Only asked whether there is something to read, which is the same for every kind of descriptor.
    let socket = process.child.messages().try_clone_to_owned().map(UnixStream::from);
    let messages = socket.and_then(|socket| {
        socket.set_nonblocking(true)?;
        tokio::net::UnixStream::from_std(socket)
    });
    let messages = messages.map_err(unwatched)?;
    let launcher = process.child.launcher().try_clone_to_owned();
    let launcher = launcher.and_then(pipe::Receiver::from_owned_fd_unchecked);
    let launcher = launcher.map_err(unwatched)?;
    let process = Arc::clone(process);
    io.spawn(async move {
        let ended = ended(&process.child, &messages, &launcher);
        tokio::pin!(ended);
        let (exit, broken) = tokio::select! {
            exit = &mut ended => match on_lost.try_recv() {
                // It may have died of how the host took the breach.
                Ok(Lost::Protocol(reason)) => (exit, Some(reason)),
                _ => (exit, None),
            },
            Ok(lost) = &mut on_lost => {
                let broken = match lost {
                    Lost::Protocol(reason) => Some(reason),
                    // A process that closes its connection is on its way out, or as good as dead.
                    Lost::Closed => {
                        process.child.wake();
                        match tokio::time::timeout(END_PATIENCE, &mut ended).await {
                            Ok(exit) => { finish(&process, exit, None, on_end).await; return; }
                            Err(_) => Some("it closed its connection and went on".to_owned()),
                        }
                    }
                };
                process.child.kill();
                (ended.await, broken)
            }
        };
        finish(&process, exit, broken.as_deref(), on_end).await;
    });
    Ok(())
}

fn unwatched(error: std::io::Error) -> Error {
    Error::new(ErrorCode::EnvironmentResources, "can't watch a native plugin").with_source(error)
}

async fn finish(process: &Arc<Process>, exit: JailExit, broken: Option<&str>, on_end: OnEnd) {
    process.log.ended(TAIL_PATIENCE).await;
    let ending = process.ended.get_or_init(|| process.explain_end(exit, broken)).clone();
    // In this order: who learns of the end from a call that failed finds the book closed with the next one.
    process.host_calls.close();
    process.session.close(ending);
    let process = Arc::clone(process);
    // Without a thread to be had the next call finds a process that has ended.
    let _ = executor::spawn(move || {
        // What is left on disk can be a lot: not for the thread that moves bytes.
        process.clean_up();
        on_end(process);
    });
}

/// Waits until nothing of the process is left.
async fn ended(child: &JailedChild, messages: &tokio::net::UnixStream, launcher: &pipe::Receiver) -> JailExit {
    loop {
        let heard = tokio::select! {
            readable = messages.readable() => readable.is_ok(),
            _ = launcher.readable() => false,
        };
        if !heard {
            // Others of the jail may take a moment longer than the launcher to end.
            if let Ok(Some(exit)) = child.wait(Some(Duration::ZERO)) {
                return exit;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        }
        let looked = messages.try_io(Interest::READABLE, || match child.wait(Some(Duration::ZERO)) {
            Ok(Some(exit)) => Ok(exit),
            Ok(None) => Err(ErrorKind::WouldBlock.into()),
            Err(error) => Err(std::io::Error::other(error)),
        });
        match looked {
            Ok(exit) => return exit,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => {
                child.kill();
                // What fails may go on failing; other plugins have this thread, too.
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

/// Adds what the plugin wrote last.
pub(super) fn with_tail(error: Error, log: &ProcessLog) -> Error {
    let tail = log.tail();
    if tail.is_empty() { error } else { error.with_detail("log_tail", tail) }
}

/// How the end of a process is told.
pub(super) fn ending_of(exit: JailExit, log: &ProcessLog) -> Ending {
    let tail = log.tail();
    let (code, reason) = match exit {
        JailExit { out_of_memory: true, .. } => (
            ErrorCode::PluginMemoryLimit,
            "the plugin's process used more memory than its policy allows (`memory_mb`)".to_owned(),
        ),
        JailExit { signal: Some(signal), .. } => {
            (ErrorCode::PluginExited, format!("the plugin's process was ended by signal {}", named(signal)))
        }
        JailExit { code, .. } => {
            (ErrorCode::PluginExited, format!("the plugin's process ended with exit code {}", code.unwrap_or_default()))
        }
    };
    let mut details = vec![("exit_code", exit.code.into()), ("signal", exit.signal.into())];
    let reason = match telling(&tail).map(|line| crate::plugin::name::shorten(line, 200)) {
        // Runtimes of languages see the limit before the kernel has to enforce it.
        Some(last) if last.contains("out of memory") || last.contains("cannot allocate memory") => {
            format!("{reason}; it wrote last: {last} (the policy's `memory_mb` bounds its memory)")
        }
        Some(last) => format!("{reason}; it wrote last: {last}"),
        None => reason,
    };
    details.push(("log_tail", tail.into()));
    Ending { code, reason, details: details.into() }
}

/// A signal with its name and, where there is more to say, what it means here.
fn named(signal: i32) -> String {
    let name = match signal {
        4 => "SIGILL",
        5 => "SIGTRAP; programs that compile while they run, such as Node, need `isolation.jit` in the policy",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        15 => "SIGTERM",
        25 => "SIGXFSZ; a file became too large",
        31 => "SIGSYS; it made a system call that no plugin may make",
        _ => return signal.to_string(),
    };
    format!("{signal} ({name})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names() {
        assert_eq!((named(11), named(64)), ("11 (SIGSEGV)".to_owned(), "64".to_owned()));
    }
}
