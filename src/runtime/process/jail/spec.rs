//! What a native plugin gets: its program, its arguments, its environment, its places and its limits.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Image;
use crate::error::{Error, ErrorCode, Result};
use crate::policy::defaults::NATIVE_MEMORY_BYTES;
use crate::policy::isolation;

/// Bytes of all arguments and variables together.
const MAX_TEXT_BYTES: usize = 128 * 1024;
/// Directories that may be shown.
const MAX_BINDS: usize = 64;

/// How much of the machine a plugin may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JailLimits {
    /// Memory of the whole jail, its scratch directory included; 0 is no limit.
    pub memory_bytes: u64,
    /// Threads.
    pub threads: u32,
    /// Per cent of one processor; 0 is no limit.
    pub cpu_percent: u32,
    /// Scratch directory, which lies in memory.
    pub tmp_bytes: u64,
    /// Open descriptors.
    pub open_files: u32,
    /// Largest file that can be written.
    pub file_bytes: u64,
}

impl Default for JailLimits {
    fn default() -> Self {
        Self {
            memory_bytes: NATIVE_MEMORY_BYTES,
            // gRPC servers run a few dozen; a bomb of threads stops here.
            threads: 64,
            cpu_percent: 0,
            tmp_bytes: 16 * 1024 * 1024,
            open_files: 256,
            file_bytes: 64 * 1024 * 1024,
        }
    }
}

/// One start of a native plugin.
#[derive(Debug, Clone)]
pub struct JailSpec {
    /// Program to execute.
    pub image: Arc<Image>,
    /// Arguments, the program's name first.
    pub arguments: Vec<String>,
    /// Variables besides the fixed ones; nothing of the host's environment is passed on.
    pub environment: Vec<(String, String)>,
    /// Directory of the plugin's sockets. Inside it is a small file system of its own at this path, which the host reaches
    /// through [`super::JailedChild::take_sockets`]; without namespaces it is this directory, given to the plugin's user.
    pub sockets: Option<PathBuf>,
    /// Files and directories to show read-only at their own paths; with a dynamic program, to execute from.
    pub read_only: Vec<PathBuf>,
    /// How much it may use.
    pub limits: JailLimits,
    /// Lowest level to start at; see [`super::JailReport::level`].
    pub minimum_level: u32,
    /// Parent of the plugin's control groups; without one, the host's own group.
    pub group_parent: Option<PathBuf>,
    /// May make memory executable that it wrote to, as just-in-time compilers do.
    pub may_jit: bool,
    /// May connect to sockets where no namespace hides those of other programs (level 2 and below).
    pub may_connect: bool,
}

impl JailSpec {
    /// The usual start: nothing to see, default limits, at least level 3.
    #[must_use]
    pub fn new(image: Arc<Image>) -> Self {
        Self {
            image,
            arguments: vec!["plugin".to_owned()],
            environment: Vec::new(),
            sockets: None,
            read_only: Vec::new(),
            limits: JailLimits::default(),
            minimum_level: 3,
            group_parent: None,
            may_jit: false,
            may_connect: false,
        }
    }

    /// Where systems keep their loaders and libraries, as far as this one does.
    #[must_use]
    pub fn system_libraries() -> Vec<PathBuf> {
        let places = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache"];
        places.into_iter().map(PathBuf::from).filter(|place| place.exists()).collect()
    }

    /// Refuses what the jail could not keep its promises with.
    pub(super) fn check(&self) -> Result<()> {
        self.check_texts()?;
        if self.read_only.len() > MAX_BINDS {
            return Err(refused(format!("more than {MAX_BINDS} read-only paths are asked for")));
        }
        for path in self.read_only.iter().chain(&self.sockets) {
            let text = path.to_str().ok_or_else(|| refused(format!("the path `{}` is not UTF-8", path.display())))?;
            isolation::check_place(text).map_err(refused)?;
            if !path.exists() {
                return Err(refused(format!(
                    "the path `{}` does not exist (create it, or leave it out)",
                    path.display()
                )));
            }
        }
        if self.limits.threads == 0 || self.limits.open_files < 16 {
            return Err(refused("a plugin needs at least 1 thread and 16 open files".into()));
        }
        if self.minimum_level > 4 {
            return Err(refused(format!("there is no level {} (0 to 4)", self.minimum_level)));
        }
        if self.image.writes_code() && !self.may_jit {
            return Err(Error::new(
                ErrorCode::EnvironmentJailProgram,
                "the program asks for memory that is writable and executable (link it with `-z noexecstack` and without \
                 writable code, or grant it `jit`)",
            ));
        }
        match self.image.interpreter() {
            Some(loader) if !self.shows(Path::new(loader)) => Err(refused(format!(
                "the program is dynamic and needs `{loader}` (link it statically, or show its libraries: `isolation.read_only` in the policy)"
            ))),
            _ => Ok(()),
        }
    }

    fn check_texts(&self) -> Result<()> {
        let variables = self.environment.iter().map(|(name, value)| name.len() + value.len() + 2);
        let bytes: usize = variables.chain(self.arguments.iter().map(|argument| argument.len() + 1)).sum();
        if bytes > MAX_TEXT_BYTES {
            return Err(refused(format!("arguments and environment have {bytes} bytes, more than {MAX_TEXT_BYTES}")));
        }
        let values = self.environment.iter().map(|(_, value)| value);
        if self.arguments.is_empty() || self.arguments.iter().chain(values).any(|text| text.contains('\0')) {
            return Err(refused("an argument or variable has a zero byte, or there is no argument".into()));
        }
        self.environment.iter().try_for_each(|(name, _)| isolation::check_variable(name).map_err(refused))
    }

    /// True when the path lies in what is shown.
    fn shows(&self, path: &Path) -> bool {
        self.read_only.iter().any(|shown| path.starts_with(shown))
    }
}

fn refused(reason: String) -> Error {
    Error::new(ErrorCode::EnvironmentJailRequest, reason)
}
