//! Starts the launcher and talks with it until the plugin runs.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{PidfdFlags, Resource, getpid, getrlimit, pidfd_open};

use super::child::{JailedChild, Progress};
use super::messages::{self, no_descriptors};
use super::status::{JailReport, Layer};
use super::users::User;
use super::{JailSpec, image};
use crate::clock::Nanos;
use crate::error::{Error, ErrorCode, Result};
use crate::plugin::{CallContext, Cancellation, Origin};
use crate::runtime::process::spawn;

/// The launcher, a static program of some hundred kilobytes.
const LAUNCHER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/launcher"));

/// How often memory is tried to be sealed that the kernel says is in use; each time it waits a tenth of a second.
const SEAL_ATTEMPTS: u32 = 20;

/// A program that can't change any more: looked at, copied and sealed.
#[derive(Debug)]
pub struct Image {
    file: OwnedFd,
    interpreter: Option<String>,
    writes_code: bool,
    is_sealed: bool,
}

impl Image {
    /// Copies a program. The bytes are to be verified by the caller; these very bytes are executed, nothing that a path
    /// names then.
    pub fn seal(bytes: &[u8]) -> Result<Arc<Self>> {
        let facts = image::inspect(bytes)?;
        may_write(bytes.len())?;
        let (file, is_sealed) = executable(bytes)?;
        Ok(Arc::new(Self { file, interpreter: facts.interpreter, writes_code: facts.writes_code, is_sealed }))
    }

    /// Loader that a dynamic program asks for.
    #[must_use]
    pub fn interpreter(&self) -> Option<&str> {
        self.interpreter.as_deref()
    }

    /// True for a program that asks for memory which is writable and executable.
    pub(super) fn writes_code(&self) -> bool {
        self.writes_code
    }

    fn layer(&self) -> Layer {
        match &self.interpreter {
            _ if !self.is_sealed => {
                Layer::reduced("image", "a nameless file instead of sealed memory (the sysctl `vm.memfd_noexec` is 2)")
            }
            Some(loader) => {
                Layer::reduced("image", format!("dynamic: trusts `{loader}` and the libraries shown to it"))
            }
            None => Layer::ok("image", "static, sealed"),
        }
    }
}

/// Starts native plugins in jails.
#[derive(Debug, Clone)]
pub struct Jail {
    launcher: Arc<Image>,
}

impl Jail {
    /// Makes the launcher ready; the same one for every jail of the process.
    pub fn new() -> Result<Self> {
        static READY: OnceLock<Arc<Image>> = OnceLock::new();
        if let Some(launcher) = READY.get() {
            return Ok(Self { launcher: Arc::clone(launcher) });
        }
        let launcher = Image::seal(LAUNCHER)?;
        Ok(Self { launcher: Arc::clone(READY.get_or_init(|| launcher)) })
    }

    /// Starts a plugin, unless less is in force than it needs.
    pub fn start(&self, spec: &JailSpec) -> Result<JailedChild> {
        self.start_within(spec, &unlimited())
    }

    /// As [`Self::start`], for as long as `context` lets it.
    pub fn start_within(&self, spec: &JailSpec, context: &CallContext) -> Result<JailedChild> {
        let mut child = self.prepare(spec, context)?;
        let level = child.report().level();
        if level < spec.minimum_level {
            let why = child.report().shortcomings().join("; ");
            return Err(Error::new(
                ErrorCode::EnvironmentJailLevel,
                format!(
                    "this machine isolates native plugins at level {level}, and {} is needed: {why}",
                    spec.minimum_level
                ),
            )
            .with_detail("report", child.report().to_json()));
        }
        child.consent(context)?;
        Ok(child)
    }

    /// Builds the jail of a plugin without running anything in it, and tells what was in force.
    pub fn report(&self, spec: &JailSpec) -> Result<JailReport> {
        self.prepare(spec, &unlimited()).map(|child| child.report().clone())
    }

    /// The jail of the usual start, with this library's own launcher in the place of a plugin.
    pub fn report_default(&self) -> Result<JailReport> {
        self.report(&JailSpec::new(Arc::clone(&self.launcher)))
    }

    /// Starts a launcher, and waits until everything but the program runs.
    fn prepare(&self, spec: &JailSpec, context: &CallContext) -> Result<JailedChild> {
        spec.check()?;
        let user = User::reserve()?;
        let job = sealed(c"goatflow-job", job(spec, user.as_ref()).as_bytes(), MemfdFlags::empty())
            .map_err(|errno| no_descriptors("sealed memory", errno))?;
        let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(|errno| no_descriptors("pipe", errno));
        let ((life, life_held), (output, output_end), (errors, errors_end)) = (pipe()?, pipe()?, pipe()?);
        let host = pidfd_open(getpid(), PidfdFlags::empty()).map_err(|errno| no_descriptors("pidfd", errno))?;
        let (ours, theirs) = messages::pair()?;
        let program = format!("/proc/self/fd/{}", self.launcher.file.as_raw_fd());
        let launcher = spawn::spawn(program, theirs, context)?;
        let mut child = JailedChild::new(ours, life_held, launcher, user, (output, errors));
        child.send(b"job", &[&job, &spec.image.file, &life, &host, &output_end, &errors_end].map(|one| one.as_fd()))?;
        drop((life, output_end, errors_end));
        child.note(spec.image.layer());
        child.note(Layer::ok("life", "pipe and process of the host"));
        child.advance(Progress::Ready, context)?;
        note_consequences(&mut child, spec);
        if let (false, Some(user), Some(sockets)) = (has_namespaces(&child), child.user(), &spec.sockets) {
            give_away(sockets, user)?;
        }
        Ok(child)
    }
}

fn unlimited() -> CallContext {
    CallContext::from_host(Nanos::MAX, Cancellation::default(), Origin::default())
}

fn has_namespaces(child: &JailedChild) -> bool {
    child.report().layer("namespaces").is_some_and(|layer| layer.state == super::LayerState::Ok)
}

/// Layers that follow from others.
fn note_consequences(child: &mut JailedChild, spec: &JailSpec) {
    let has_sockets = spec.sockets.is_some();
    if has_namespaces(child) {
        if has_sockets {
            child.note(Layer::ok("sockets", "a small file system of their own"));
        }
        return;
    }
    child.note(Layer::reduced("tmp", "no scratch directory; what the plugin writes goes to its socket directory"));
    let reason = match (spec.may_connect, has_sockets) {
        (true, true) => {
            "the plugin may connect to every socket that its user may, and its socket directory is the host's, without a limit"
        }
        (true, false) => "the plugin may connect to every socket that its user may",
        (false, true) => "the socket directory is the host's, without a limit",
        (false, false) => return,
    };
    child.note(Layer::reduced("sockets", reason));
}

/// The job as the launcher reads it.
fn job(spec: &JailSpec, user: Option<&User>) -> String {
    static STARTED: AtomicU32 = AtomicU32::new(0);
    let mut text = String::new();
    let mut add = |key: &str, value: &dyn std::fmt::Display| {
        // Writing to a string does not fail.
        let _ = write!(text, "{key}={value}\0");
    };
    for argument in &spec.arguments {
        add("argument", argument);
    }
    add("environment", &"PATH=/nonexistent");
    add("environment", &"LANG=C.UTF-8");
    for (name, value) in &spec.environment {
        add("environment", &format_args!("{name}={value}"));
    }
    for path in &spec.read_only {
        add("bind", &path.display());
    }
    if let Some(sockets) = &spec.sockets {
        add("sockets", &sockets.display());
    }
    if let Some(user) = user {
        add("user", &user.number);
    }
    // Hosts in different containers may have the same number.
    let chance = getrandom::u32().unwrap_or_default();
    let number = STARTED.fetch_add(1, Ordering::Relaxed);
    add("group", &format_args!("goatflow-{}-{number}-{chance:08x}", std::process::id()));
    if let Some(parent) = &spec.group_parent {
        add("group_parent", &parent.display());
    }
    let limits = &spec.limits;
    add("memory_bytes", &limits.memory_bytes);
    add("tmp_bytes", &limits.tmp_bytes);
    add("processes", &limits.threads);
    add("cpu_percent", &limits.cpu_percent);
    add("open_files", &limits.open_files);
    add("file_bytes", &limits.file_bytes);
    add("dynamic", &u8::from(spec.image.interpreter.is_some()));
    add("jit", &u8::from(spec.may_jit));
    add("connect", &u8::from(spec.may_connect));
    text
}

/// Makes the plugin's user the owner of its socket directory; the path must not lead elsewhere.
fn give_away(directory: &Path, user: u32) -> Result<()> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    let (owner, group) = (rustix::fs::Uid::from_raw(user), rustix::fs::Gid::from_raw(user));
    rustix::fs::open(directory, flags, Mode::empty())
        .and_then(|opened| rustix::fs::fchown(&opened, Some(owner), Some(group)))
        .map_err(|errno| {
            Error::new(
                ErrorCode::EnvironmentJailRequest,
                format!("can't give the socket directory `{}` to the plugin's user", directory.display()),
            )
            .with_source(std::io::Error::from(errno))
        })
}

/// Fails where a file of so many bytes, in memory too, would end the host by a signal.
pub(in super::super) fn may_write(bytes: usize) -> Result<()> {
    match getrlimit(Resource::Fsize).current {
        Some(limit) if bytes as u64 > limit => Err(Error::new(
            ErrorCode::EnvironmentResources,
            format!(
                "the host may write files of {limit} bytes at most, and {bytes} are needed for a native plugin (raise \
                 RLIMIT_FSIZE: `LimitFSIZE=` of systemd, `ulimit -f`)"
            ),
        )),
        _ => Ok(()),
    }
}

/// A file that can be executed, and whether it is sealed memory.
fn executable(bytes: &[u8]) -> Result<(OwnedFd, bool)> {
    match sealed(c"plugin", bytes, MemfdFlags::EXEC) {
        Ok(file) => return Ok((file, true)),
        // Kernels before 6.3 don't know the flag, and need none.
        Err(Errno::INVAL) => {
            let file = sealed(c"plugin", bytes, MemfdFlags::empty());
            return file.map(|file| (file, true)).map_err(|errno| no_descriptors("sealed memory", errno));
        }
        Err(Errno::ACCESS) => {}
        Err(errno) => return Err(no_descriptors("sealed memory", errno)),
    }
    let places = ["/run", "/var/tmp", "/tmp", "/dev/shm"];
    let file = places.into_iter().find_map(|place| nameless(place, bytes).ok());
    file.map(|file| (file, false)).ok_or_else(|| {
        Error::new(
            ErrorCode::EnvironmentUnsupported,
            "no memory may be executed from (set the sysctl `vm.memfd_noexec` to 0 or 1)",
        )
    })
}

/// Memory with the bytes in it that nobody can write to any more, opened for reading.
fn sealed(name: &std::ffi::CStr, bytes: &[u8], flags: MemfdFlags) -> rustix::io::Result<OwnedFd> {
    let flags = flags | MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = File::from(rustix::fs::memfd_create(name, flags)?);
    fill(&file, bytes)?;
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    // The kernel waits a moment for whoever else holds one of the pages, such as its own page scanner, then gives up.
    let mut sealed = rustix::fs::fcntl_add_seals(&file, seals);
    for _ in 0..SEAL_ATTEMPTS {
        if sealed != Err(Errno::BUSY) {
            break;
        }
        sealed = rustix::fs::fcntl_add_seals(&file, seals);
    }
    sealed?;
    read_only(&file)
}

/// A file without a name on a file system that may be executed from.
fn nameless(place: &str, bytes: &[u8]) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o555);
    let file = File::from(rustix::fs::open(place, flags, mode)?);
    let mount = rustix::fs::fstatvfs(&file)?;
    if mount.f_flag.contains(rustix::fs::StatVfsMountFlags::NOEXEC) {
        return Err(Errno::ACCESS);
    }
    fill(&file, bytes)?;
    read_only(&file)
}

fn fill(mut file: &File, bytes: &[u8]) -> rustix::io::Result<()> {
    file.write_all(bytes).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

/// The same file again without the right to write: what is open for writing is not executed.
fn read_only(file: &File) -> rustix::io::Result<OwnedFd> {
    let path = format!("/proc/thread-self/fd/{}", file.as_raw_fd());
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}
