//! From a program's bytes to a process that is ready for calls: jail → handshake → connection → register → init.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use tokio::io::Interest;
use tokio::sync::oneshot;

use super::directory::{PluginDirectory, Sockets};
use super::grpc;
use super::handshake::{self, APP_VERSION, COOKIE, Handshake, Protocol};
use super::host_calls::HostCalls;
use super::jail::{Image, Jail, JailExit, JailLimits, JailReport, JailSpec, JailedChild};
use super::netrpc::NetRpcSession;
use super::output::{self, ProcessLog};
use super::session::{Ending, Lost, Session, wait};
use super::terms::Terms;
use crate::clock::Nanos;
use crate::error::{Error, ErrorCode, Result};
use crate::executor;
use crate::host::HostApi;
use crate::plugin::{CallContext, Cancellation, Origin, Registration, RuntimeLimits};

/// How long a process may take to end on its own once its connection has ended.
const END_PATIENCE: Duration = Duration::from_secs(2);
/// How long the last lines of a process that has ended are waited for. Nobody can hold its pipes open any more.
const TAIL_PATIENCE: Duration = Duration::from_millis(200);

/// What every process of a plugin is started from.
pub(super) struct Recipe {
    /// The program; `None` when an interpreter runs it.
    pub image: Option<Arc<Image>>,
    /// File name of the program in its package.
    pub binary: String,
    /// Where its files are.
    pub directory: Arc<PluginDirectory>,
    /// What the host grants it, at this moment.
    pub terms: Box<dyn Fn() -> Terms + Send + Sync>,
    /// The host as the plugin sees it.
    pub host: Arc<dyn HostApi>,
    /// Settings that the plugin is told.
    pub config: BTreeMap<String, String>,
}

/// A plugin's process that is ready for calls, or was.
pub(super) struct Process {
    pub session: Box<dyn Session>,
    pub host_calls: Arc<HostCalls>,
    pub protocol: Protocol,
    pub terms: Terms,
    child: JailedChild,
    log: Arc<ProcessLog>,
    /// It is meant to end.
    stopping: AtomicBool,
    /// How it ended.
    ended: OnceLock<Ending>,
    /// Removed as soon as nothing of the process is left.
    sockets: Mutex<Option<Sockets>>,
}

/// Called once, on a worker thread, when a process has ended.
pub(super) type OnEnd = Box<dyn FnOnce(Arc<Process>) + Send>;

impl Recipe {
    /// Starts a process and waits until it is ready. `admit` looks at what it registers before it may do anything.
    pub(super) fn start(
        &self,
        terms: Terms,
        limits: RuntimeLimits,
        admit: impl FnOnce(&Registration) -> Result<()>,
        on_end: OnEnd,
        context: &CallContext,
    ) -> Result<(Arc<Process>, Registration)> {
        let log = ProcessLog::new(Arc::clone(&self.host));
        let sockets = self.directory.new_sockets()?;
        let (listener, host_socket) = sockets.listen()?;
        let mut child = Jail::new()?.start(&self.spec(&terms, &sockets)?)?;
        let (Some(stdout), Some(stderr)) = (child.take_output(), child.take_errors()) else {
            return Err(crate::error::bug!("a jail without output"));
        };
        let first_line = output::pump((stdout, stderr), &log)?;
        // Asked now: the number of a process that has ended is not to be had.
        let is_peer = peer_check(&child);
        let greeted = greet(first_line, &sockets.path, &is_peer, context);
        let (handshake, stream) = greeted.map_err(|error| explain(error, &child, &log))?;
        let host_calls = HostCalls::new(Arc::clone(&self.host), limits, terms.call_timeout());
        let (lost, on_lost) = oneshot::channel();
        let on_lost_call = Box::new(move |reason| {
            // Nobody listens once the process has ended.
            let _ = lost.send(reason);
        });
        let output = log.output();
        let session: Result<Box<dyn Session>> = match handshake.protocol {
            Protocol::NetRpc => {
                let calls = Arc::clone(&host_calls);
                NetRpcSession::connect(stream, calls, output, on_lost_call, context)
                    .map(|session| Box::new(session) as _)
            }
            Protocol::Grpc => {
                let (address, host_calls) = (&*host_socket, Arc::clone(&host_calls));
                let setup =
                    grpc::Setup { stream, listener, address, is_peer, host_calls, output, on_lost: on_lost_call };
                grpc::connect(setup, context).map(|session| Box::new(session) as _)
            }
        };
        let session = session.map_err(|error| explain(error, &child, &log))?;
        let (stopping, ended, sockets) = (AtomicBool::new(false), OnceLock::new(), Mutex::new(Some(sockets)));
        let protocol = handshake.protocol;
        let process = Arc::new(Process { session, host_calls, protocol, terms, child, log, stopping, ended, sockets });
        watch(&process, on_lost, on_end)?;
        match self.introduce(&process, admit, context) {
            Ok(registration) => Ok((process, registration)),
            Err(error) => {
                let error = process.explain(error);
                process.end();
                Err(error)
            }
        }
    }

    fn introduce(
        &self,
        process: &Process,
        admit: impl FnOnce(&Registration) -> Result<()>,
        context: &CallContext,
    ) -> Result<Registration> {
        let document = process.session.register(context)?;
        let registration = Registration::parse(&document)?;
        admit(&registration)?;
        process.host_calls.open();
        process.session.init(context, &self.config)?;
        Ok(registration)
    }

    fn spec(&self, terms: &Terms, sockets: &Sockets) -> Result<JailSpec> {
        let (image, arguments) = match &self.image {
            Some(image) => (Arc::clone(image), vec![self.binary.clone()]),
            None => self.interpreted(terms)?,
        };
        let mut spec = JailSpec::new(image);
        spec.arguments = arguments;
        spec.sockets = Some(sockets.path.clone());
        spec.read_only.clone_from(&terms.read_only);
        let files = self.directory.files();
        if files.exists() {
            spec.read_only.push(files);
        }
        spec.environment = self.environment(terms, sockets);
        spec.minimum_level = terms.minimum_level;
        spec.may_jit = terms.may_jit;
        // The plugin must reach the host's socket; at the levels where other programs' sockets are in sight, each checks
        // its peers or does not.
        spec.may_connect = true;
        spec.group_parent.clone_from(&terms.group_parent);
        spec.limits = JailLimits {
            memory_bytes: terms.memory_bytes,
            threads: terms.threads,
            cpu_percent: terms.cpu_percent,
            tmp_bytes: terms.tmp_bytes,
            ..JailLimits::default()
        };
        Ok(spec)
    }

    /// An interpreter that the policy names, with the plugin's own file as its first argument.
    fn interpreted(&self, terms: &Terms) -> Result<(Arc<Image>, Vec<String>)> {
        let Some(interpreter) = &terms.interpreter else {
            return Err(Error::new(
                ErrorCode::EnvironmentJailProgram,
                format!(
                    "`{}` is a script, and no interpreter is granted (name one in the policy: `isolation.interpreter`, with \
                     its libraries in `isolation.read_only`)",
                    crate::plugin::name::shorten(&self.binary, 100)
                ),
            ));
        };
        let bytes = std::fs::read(interpreter).map_err(|error| {
            Error::new(
                ErrorCode::EnvironmentJailProgram,
                format!("can't read the interpreter `{}` that the policy names", interpreter.display()),
            )
            .with_source(error)
        })?;
        let script = self.directory.files().join(&self.binary);
        let text = |path: &Path| path.to_string_lossy().into_owned();
        Ok((Image::seal(&bytes)?, vec![text(interpreter), text(&script)]))
    }

    fn environment(&self, terms: &Terms, sockets: &Sockets) -> Vec<(String, String)> {
        let fixed = [
            (COOKIE.0, COOKIE.1.to_owned()),
            ("PLUGIN_PROTOCOL_VERSIONS", APP_VERSION.to_owned()),
            ("PLUGIN_MIN_PORT", "10000".to_owned()),
            ("PLUGIN_MAX_PORT", "25000".to_owned()),
            ("PLUGIN_UNIX_SOCKET_DIR", sockets.path.to_string_lossy().into_owned()),
            ("GOATFLOW_PLUGIN_DIR", self.directory.files().to_string_lossy().into_owned()),
        ];
        let is_fixed = |name: &str| fixed.iter().any(|(fixed, _)| *fixed == name);
        let granted: Vec<_> = terms.environment.iter().filter(|(name, _)| !is_fixed(name)).cloned().collect();
        fixed.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).chain(granted).collect()
    }
}

/// Waits for the first line, and connects to the socket that it names.
fn greet(
    first_line: oneshot::Receiver<Result<Vec<u8>>>,
    sockets: &Path,
    is_peer: &grpc::IsPeer,
    context: &CallContext,
) -> Result<(Handshake, UnixStream)> {
    let line = wait(context, first_line)?;
    let line =
        line.unwrap_or_else(|_| Err(Error::new(ErrorCode::PluginHandshake, "the plugin's output was closed")))?;
    let handshake = handshake::parse(&line, sockets)?;
    let stream = connect_to(&handshake.socket, context)?;
    if !is_peer(stream.as_fd()) {
        return Err(Error::new(
            ErrorCode::PluginHandshake,
            "the socket that the plugin named belongs to another process (a plugin listens itself)",
        ));
    }
    Ok((handshake, stream))
}

/// Connects without ever blocking: a socket whose owner does not listen properly could hold up a blocking one for ever.
fn connect_to(path: &Path, context: &CallContext) -> Result<UnixStream> {
    let failed = |errno: Errno| {
        Error::new(ErrorCode::PluginHandshake, "can't connect to the socket that the plugin named")
            .with_source(std::io::Error::from(errno))
    };
    // Held on to before it is looked at: the plugin could put a link to a socket of the host in its place.
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let place = rustix::fs::open(path, flags, Mode::empty()).map_err(failed)?;
    if FileType::from_raw_mode(rustix::fs::fstat(&place).map_err(failed)?.st_mode) != FileType::Socket {
        return Err(Error::new(ErrorCode::PluginHandshake, "what the plugin named as its socket is something else"));
    }
    let address = SocketAddrUnix::new(format!("/proc/self/fd/{}", place.as_raw_fd())).map_err(failed)?;
    loop {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(failed)?;
        match connect(&socket, &address) {
            Ok(()) => return Ok(UnixStream::from(socket)),
            // The queue of connections is full.
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => return Err(failed(errno)),
        }
        context.check_alive()?;
        std::thread::park_timeout(context.remaining().min(Duration::from_millis(5)));
    }
}

/// Whether the other end of a connection is this plugin's process.
fn peer_check(child: &JailedChild) -> grpc::IsPeer {
    let (user, process) = (child.user(), child.pid());
    Arc::new(move |stream: BorrowedFd<'_>| {
        let own = rustix::process::geteuid().as_raw();
        rustix::net::sockopt::socket_peercred(stream).is_ok_and(|peer| {
            let is_same_process = u32::try_from(peer.pid.as_raw_pid()).ok() == process;
            process.is_some() && is_same_process && peer.uid.as_raw() == user.unwrap_or(own)
        })
    })
}

impl Process {
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
    fn explain(&self, error: Error) -> Error {
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
fn watch(process: &Arc<Process>, mut on_lost: oneshot::Receiver<Lost>, on_end: OnEnd) -> Result<()> {
    let io = executor::io()?;
    let _entered = io.enter();
    // Only asked whether there is something to read, which is the same for every kind of socket.
    let socket = process.child.messages().try_clone_to_owned().map(UnixStream::from);
    let messages = socket.and_then(|socket| {
        socket.set_nonblocking(true)?;
        tokio::net::UnixStream::from_std(socket)
    });
    let messages = messages.map_err(|error| {
        Error::new(ErrorCode::EnvironmentResources, "can't watch a native plugin").with_source(error)
    })?;
    let process = Arc::clone(process);
    io.spawn(async move {
        let ended = ended(&process.child, &messages);
        tokio::pin!(ended);
        let (exit, broken) = tokio::select! {
            exit = &mut ended => (exit, None),
            Ok(lost) = &mut on_lost => {
                let broken = match lost {
                    Lost::Protocol(reason) => Some(reason),
                    // A process that closes its connection is on its way out, or as good as dead.
                    Lost::Closed => match tokio::time::timeout(END_PATIENCE, &mut ended).await {
                        Ok(exit) => { finish(&process, exit, None, on_end).await; return; }
                        Err(_) => Some("it closed its connection and went on".to_owned()),
                    },
                };
                process.child.kill();
                (ended.await, broken)
            }
        };
        finish(&process, exit, broken.as_deref(), on_end).await;
    });
    Ok(())
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
async fn ended(child: &JailedChild, messages: &tokio::net::UnixStream) -> JailExit {
    loop {
        if messages.readable().await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
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

/// Adds to an error of the start that the process has ended, and what it wrote last.
fn explain(error: Error, child: &JailedChild, log: &ProcessLog) -> Error {
    let may_be_dying = matches!(
        error.code(),
        ErrorCode::PluginHandshake | ErrorCode::PluginProtocol | ErrorCode::PluginExited | ErrorCode::PluginFailed
    );
    let patience = if may_be_dying { TAIL_PATIENCE } else { Duration::ZERO };
    let exit = child.wait(Some(patience)).ok().flatten();
    if exit.is_some() {
        // It may have said why, and that may not have been read yet.
        let _ = wait(
            &CallContext::from_host(Nanos::MAX, Cancellation::default(), Origin::default()),
            log.ended(TAIL_PATIENCE),
        );
    }
    let error = match exit.map(|exit| ending_of(exit, log)) {
        Some(ending) if error.code() == ErrorCode::PluginHandshake => {
            let is_hungry = ending.code == ErrorCode::PluginMemoryLimit;
            let code = if is_hungry { ending.code } else { ErrorCode::PluginHandshake };
            Error::new(code, format!("{}: {}", error.context(), ending.reason))
        }
        // Whatever was waited for can't come any more.
        Some(ending) if matches!(error.code(), ErrorCode::PluginProtocol | ErrorCode::PluginDeadline) => {
            return ending.error();
        }
        _ => error,
    };
    with_tail(error, log)
}

fn with_tail(error: Error, log: &ProcessLog) -> Error {
    let tail = log.tail();
    if tail.is_empty() { error } else { error.with_detail("log_tail", tail) }
}

/// How the end of a process is told.
fn ending_of(exit: JailExit, log: &ProcessLog) -> Ending {
    let tail = log.tail();
    let (code, reason) = match exit {
        JailExit { out_of_memory: true, .. } => (
            ErrorCode::PluginMemoryLimit,
            "the plugin's process used more memory than its policy allows (`memory_mb`)".to_owned(),
        ),
        JailExit { signal: Some(signal), .. } => {
            (ErrorCode::PluginExited, format!("the plugin's process was ended by signal {signal}"))
        }
        JailExit { code, .. } => {
            (ErrorCode::PluginExited, format!("the plugin's process ended with exit code {}", code.unwrap_or_default()))
        }
    };
    let mut details = vec![("exit_code", exit.code.into()), ("signal", exit.signal.into())];
    let last = tail.lines().last().map(|line| crate::plugin::name::shorten(line, 200));
    let reason = match last {
        Some(last) => format!("{reason}; it wrote last: {last}"),
        None => reason,
    };
    details.push(("log_tail", tail.into()));
    Ending { code, reason, details: details.into() }
}
