//! From a program's bytes to a process that is ready for calls: jail → handshake → connection → register → init.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::sync::oneshot;

use super::directory::{PluginDirectory, Sockets};
use super::greeting::{greet, peer_check};
use super::grpc;
use super::handshake::{APP_VERSION, COOKIE, Protocol};
use super::host_calls::{HostCalls, Places};
use super::jail::{Image, Jail, JailLimits, JailSpec, JailedChild, LayerState};
use super::netrpc::NetRpcSession;
use super::output::{self, ProcessLog, TAIL_PATIENCE};
use super::running::{OnEnd, Process, ending_of, watch, with_tail};
use super::session::{Lost, Session, wait};
use super::terms::Terms;
use crate::clock::Nanos;
use crate::error::{Error, ErrorCode, Result};
use crate::host::HostApi;
use crate::plugin::{CallContext, Cancellation, Origin, Registration, RuntimeLimits};

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
    /// What its host calls may hold.
    pub places: Arc<Places>,
}

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
        let mut child = Jail::new()?.start_within(&self.spec(&terms, &sockets)?, context)?;
        let (directory, listener) = match child.take_sockets() {
            Some(inside) => (inside.directory, inside.listener.into()),
            None => (sockets.open()?, listener),
        };
        let (Some(stdout), Some(stderr)) = (child.take_output(), child.take_errors()) else {
            return Err(crate::error::bug!("a jail without output"));
        };
        let first_line = output::pump((stdout, stderr), &log)?;
        // Asked now: the number of a process that has ended is not to be had.
        let is_peer = peer_check(&child);
        let greeted = greet(first_line, (&sockets.path, directory.as_fd()), &is_peer, context);
        drop(directory);
        let (handshake, stream) =
            greeted.map_err(|error| explain(waited_for(error, "its first line on standard output"), &child, &log))?;
        let (host, places) = (Arc::clone(&self.host), Arc::clone(&self.places));
        let host_calls = HostCalls::new(host, places, limits, terms.call_timeout());
        let (lost, mut on_lost) = oneshot::channel();
        let on_lost_call = Box::new(move |reason| {
            // Nobody listens once the process has ended.
            let _ = lost.send(reason);
        });
        let output = log.output();
        let session: Result<Box<dyn Session>> = match handshake.protocol {
            Protocol::NetRpc => {
                let calls = Arc::clone(&host_calls);
                NetRpcSession::connect(stream, calls, output, on_lost_call, context)
                    .map(|session| Box::new(session) as Box<dyn Session>)
            }
            Protocol::Grpc => {
                let (address, host_calls) = (&*host_socket, Arc::clone(&host_calls));
                let setup =
                    grpc::Setup { stream, listener, address, is_peer, host_calls, output, on_lost: on_lost_call };
                grpc::connect(setup, context).map(|session| Box::new(session) as Box<dyn Session>)
            }
        };
        let session = session.map_err(|error| match on_lost.try_recv() {
            // That it is dead by now may come from how the host took it: the breach is what counts.
            Ok(Lost::Protocol(_)) => with_tail(error, &log),
            _ => explain(waited_for(error, "its first answer on the connection"), &child, &log),
        })?;
        let (stopping, ended, sockets) = (AtomicBool::new(false), OnceLock::new(), Mutex::new(Some(sockets)));
        let answered = AtomicU64::new(0);
        let protocol = handshake.protocol;
        let process =
            Arc::new(Process { session, host_calls, protocol, terms, child, log, answered, stopping, ended, sockets });
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
        let document = process.session.register(context).map_err(|error| waited_for(error, "its registration"))?;
        let registration = Registration::parse(&document)?;
        admit(&registration)?;
        process.host_calls.open();
        let mut config = self.config.clone();
        config.insert("work_dir".into(), self.work_dir(process));
        process.session.init(context, &config).map_err(|error| match error.code() {
            ErrorCode::PluginFailed => error.prefixed("the plugin could not be initialised"),
            _ => waited_for(error, "its initialisation"),
        })?;
        Ok(registration)
    }

    /// Where the process may write, which is elsewhere when `/tmp` shows it something of the host.
    fn work_dir(&self, process: &Process) -> String {
        let files = self.directory.files();
        let has_namespaces = process.report().layer("namespaces").is_some_and(|layer| layer.state == LayerState::Ok);
        let mut shown = process.terms.read_only.iter().chain([&files]);
        let place = match process.sockets() {
            Some(sockets) if !has_namespaces => return sockets.to_string_lossy().into_owned(),
            _ if shown.any(|path| path.starts_with("/tmp")) => "/scratch",
            _ => "/tmp",
        };
        place.to_owned()
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
                    "`{}` is no ELF program, so that it is taken for a script, and no interpreter is granted (name one in an approved policy: `isolation.interpreter`, \
                     with its libraries in `isolation.read_only`)",
                    crate::plugin::name::shorten(&self.binary, 100)
                ),
            ));
        };
        let bytes = read_file(interpreter).map_err(|error| {
            Error::new(
                ErrorCode::EnvironmentJailProgram,
                format!("can't read the interpreter `{}` that the policy names", interpreter.display()),
            )
            .with_source(error)
        })?;
        let script = self.directory.files().join(&self.binary);
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let image = Image::seal(&bytes).map_err(|error| error.prefixed("the interpreter that the policy names"))?;
        Ok((image, vec![text(interpreter), text(&script)]))
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

/// Adds to the end of the time for the start what had not come by then.
fn waited_for(error: Error, what: &str) -> Error {
    if error.code() == ErrorCode::PluginDeadline { error.with_detail("waited_for", what) } else { error }
}

/// Reads a regular file; anything else could hold up the start for ever.
fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    if std::fs::metadata(path)?.is_file() {
        return std::fs::read(path);
    }
    Err(std::io::Error::other("not a regular file"))
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
