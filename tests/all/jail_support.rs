//! Programs for the tests of the jail, built here, and the ways to run them: as root, as an ordinary user, and on machines
//! that offer less.

use std::io::Read;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use goatflow_plugin::runtime::process::jail::{Image, Jail, JailSpec, JailedChild};
use tempfile::TempDir;

/// User that tests run as besides root.
pub const ORDINARY: u32 = 54_321;

/// Programs in a directory that every user can reach.
pub struct Tools {
    directory: TempDir,
}

impl Tools {
    pub fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("goatflow-jail-").tempdir_in("/tmp").unwrap();
        open_to_all(directory.path());
        let tools = Self { directory };
        let program = Path::new(env!("CARGO_BIN_EXE_goatflow-plugin"));
        if std::fs::hard_link(program, tools.path("goatflow-plugin")).is_err() {
            std::fs::copy(program, tools.path("goatflow-plugin")).unwrap();
        }
        for name in ["probe", "restrict", "abuse"] {
            tools.build(name, &["-static"]);
        }
        tools
    }

    /// Compiles a program of `tests/jail`.
    pub fn build(&self, name: &str, options: &[&str]) {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/jail").join(name).with_extension("c");
        let mut command = Command::new("cc");
        command.args(["-O1", "-w", "-pthread"]).args(options).arg("-o").arg(self.path(name)).arg(source);
        let built = command.output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        open_to_all(&self.path(name));
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// A directory that belongs to this user.
    pub fn directory(&self, name: &str, user: u32) -> String {
        std::fs::create_dir_all(self.path(name)).unwrap();
        chown(self.path(name), Some(user), Some(user)).unwrap();
        self.text(name)
    }

    pub fn image(&self, name: &str) -> Arc<Image> {
        Image::seal(&std::fs::read(self.path(name)).unwrap()).unwrap()
    }

    /// The badly behaved plugin with arguments.
    pub fn abuse(&self, arguments: &[&str]) -> JailSpec {
        let mut spec = JailSpec::new(self.image("abuse"));
        spec.arguments = std::iter::once("abuse").chain(arguments.iter().copied()).map(str::to_owned).collect();
        spec
    }
}

fn open_to_all(path: &Path) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Words in front of a command that make it run as somebody else or somewhere else.
pub type Prefix = Vec<String>;

pub fn words(text: &str) -> Prefix {
    text.split_whitespace().map(str::to_owned).collect()
}

/// Runs what follows as an ordinary user; who is one already stays who they are.
pub fn as_ordinary_user() -> Prefix {
    if !is_root() {
        return Prefix::new();
    }
    words(&format!("setpriv --reuid {ORDINARY} --regid {ORDINARY} --clear-groups"))
}

/// Everybody that a test runs as: root too, where the tests are root's.
pub fn everybody() -> Vec<(&'static str, Prefix)> {
    let mut everybody = vec![("ordinary user", as_ordinary_user())];
    if is_root() {
        everybody.push(("root", Prefix::new()));
    }
    everybody
}

/// Runs a command to its end.
pub fn run(command: &[String]) -> Output {
    let mut process = Command::new(&command[0]);
    process.args(&command[1..]).stdin(Stdio::null()).env("GOATFLOW_PROBE_SECRET", "planted");
    process.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Everything that comes out of a plugin, and how it ended.
pub fn finish(child: &mut JailedChild) -> (String, goatflow_plugin::runtime::process::jail::JailExit) {
    let mut text = String::new();
    std::fs::File::from(child.take_output().unwrap()).read_to_string(&mut text).unwrap();
    let exit = child.wait(Some(super::support::PATIENCE)).unwrap();
    (text, exit.expect("the plugin does not end"))
}

pub fn start(spec: &JailSpec) -> JailedChild {
    Jail::new().unwrap().start(spec).unwrap()
}

/// True when the status says success; with its words otherwise.
pub fn assert_success(output: &Output) {
    assert!(
        output.status.success(),
        "{:?} (signal {:?}): {}",
        output.status.code(),
        output.status.signal(),
        String::from_utf8_lossy(&output.stderr)
    );
}
