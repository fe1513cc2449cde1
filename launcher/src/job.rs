//! What the host wants: descriptors and a list of `key=value` texts.

use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::fault::{Fault, Outcome, Step};
use crate::host::Host;
use crate::sys;

/// Largest job document; arguments and environment have limits of their own at the host.
const MAX_JOB_BYTES: u64 = 1 << 20;

/// One start of one plugin.
pub(crate) struct Job {
    pub(crate) host: Host,
    pub(crate) request: Request,
    /// What the plugin's process gets; given up by the others, so that its output ends with it.
    pub(crate) program: Option<Program>,
    /// Ends when the host ends.
    pub(crate) life: OwnedFd,
    /// The host's process; a second way to see it end, should a child of the host keep the pipe open.
    pub(crate) host_process: OwnedFd,
}

/// Descriptors for the plugin's process.
pub(crate) struct Program {
    /// File to execute.
    pub(crate) image: OwnedFd,
    pub(crate) output: OwnedFd,
    pub(crate) errors: OwnedFd,
}

/// The parts of a job that are not descriptors.
#[derive(Default)]
pub(crate) struct Request {
    pub(crate) arguments: Vec<CString>,
    pub(crate) environment: Vec<CString>,
    /// Directories and files to show read-only at their own paths.
    pub(crate) binds: Vec<String>,
    /// Directory for sockets; with namespaces, a file system of its own at this path.
    pub(crate) sockets: Option<String>,
    /// User of the host system to run as; only a host that is the machine's root gives one.
    pub(crate) user: Option<u32>,
    /// Name of the control groups to make, and where to look for a parent first.
    pub(crate) group: String,
    pub(crate) group_parent: Option<String>,
    pub(crate) memory_bytes: u64,
    pub(crate) tmp_bytes: u64,
    pub(crate) processes: u64,
    /// Per cent of one processor; 0 is no limit.
    pub(crate) cpu_percent: u64,
    pub(crate) open_files: u64,
    pub(crate) file_bytes: u64,
    /// A control group counts the plugin's memory; the launcher finds that out.
    pub(crate) is_memory_counted: bool,
    /// The program brings code of its own from the binds: their files may be mapped executable.
    pub(crate) is_dynamic: bool,
    /// The program may make writable memory executable.
    pub(crate) may_jit: bool,
    /// The program may connect to sockets even where no namespace keeps it from those of other programs.
    pub(crate) may_connect: bool,
}

impl Request {
    /// Where the scratch directory is: apart from places of the host that are shown, whose rights are others.
    pub(crate) fn scratch(&self) -> &'static str {
        let mut shown = self.binds.iter().chain(&self.sockets);
        if shown.any(|path| path.starts_with("/tmp/")) { "/scratch" } else { "/tmp" }
    }
}

impl Job {
    /// Receives the job on standard input, a socket.
    pub(crate) fn receive(host: Host) -> Result<Self, (Host, Fault)> {
        match Self::parts(&host) {
            Ok(([image, life, host_process, output, errors], request)) => {
                Ok(Self { host, request, program: Some(Program { image, output, errors }), life, host_process })
            }
            Err(fault) => Err((host, fault)),
        }
    }

    fn parts(host: &Host) -> Outcome<([OwnedFd; 5], Request)> {
        let mut passed = host.descriptors()?.into_iter();
        let mut next = || passed.next().ok_or_else(|| Fault::new("descriptors", libc::EBADF));
        let document = next()?;
        let descriptors = [next()?, next()?, next()?, next()?, next()?];
        Ok((descriptors, read(document)?))
    }

    /// True once the host is gone.
    pub(crate) fn host_is_gone(&self) -> bool {
        sys::wait_for(self.signs_of_death(), 0).is_ok_and(|gone| gone.contains(&true))
    }

    /// What becomes readable when the host ends.
    pub(crate) fn signs_of_death(&self) -> [Option<BorrowedFd<'_>>; 2] {
        [Some(self.life.as_fd()), Some(self.host_process.as_fd())]
    }
}

fn read(document: OwnedFd) -> Outcome<Request> {
    let mut text = String::new();
    File::from(document).take(MAX_JOB_BYTES).read_to_string(&mut text).step("job")?;
    let mut request = Request::default();
    for entry in text.split_terminator('\0') {
        let (key, value) = entry.split_once('=').ok_or_else(|| Fault::new("job", libc::EINVAL))?;
        set(&mut request, key, value)?;
    }
    Ok(request)
}

fn set(request: &mut Request, key: &str, value: &str) -> Outcome<()> {
    let number = || value.parse::<u64>().map_err(|_| Fault { step: "job", errno: libc::EINVAL, place: key.to_owned() });
    let text = || CString::new(value).map_err(|_| Fault::new("job", libc::EINVAL));
    match key {
        "argument" => request.arguments.push(text()?),
        "environment" => request.environment.push(text()?),
        "bind" => request.binds.push(value.to_owned()),
        "sockets" => request.sockets = Some(value.to_owned()),
        "user" => request.user = Some(u32::try_from(number()?).map_err(|_| Fault::new("job", libc::EINVAL))?),
        "group" => value.clone_into(&mut request.group),
        "group_parent" => request.group_parent = Some(value.to_owned()),
        "memory_bytes" => request.memory_bytes = number()?,
        "tmp_bytes" => request.tmp_bytes = number()?,
        "processes" => request.processes = number()?,
        "cpu_percent" => request.cpu_percent = number()?,
        "open_files" => request.open_files = number()?,
        "file_bytes" => request.file_bytes = number()?,
        "dynamic" => request.is_dynamic = number()? == 1,
        "jit" => request.may_jit = number()? == 1,
        "connect" => request.may_connect = number()? == 1,
        _ => return Err(Fault { step: "job", errno: libc::EINVAL, place: key.to_owned() }),
    }
    Ok(())
}
