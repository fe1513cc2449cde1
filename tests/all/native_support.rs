//! Native plugins for tests: built here, loaded through a manager, and what they may leave behind.

use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use goatflow_plugin::error::Result;
use goatflow_plugin::manager::{CallOptions, Config, Manager};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::until;

/// Where programs are built, once for all tests of a run; handed on to tests that run in processes of their own.
const BUILT: &str = "GOATFLOW_TEST_NATIVE";

/// A manager for native plugins, with a directory of its own for their sockets.
pub struct NativeHost {
    pub manager: Arc<Manager>,
    pub directory: TempDir,
    files: AtomicUsize,
}

impl NativeHost {
    pub fn new() -> Self {
        let in_run = tempfile::Builder::new().prefix("gf").tempdir_in("/run");
        Self::in_directory(in_run.or_else(|_| tempfile::tempdir()).unwrap())
    }

    pub fn in_directory(directory: TempDir) -> Self {
        std::fs::create_dir(directory.path().join("n")).unwrap();
        let settings = json!({
            "database": {"sqlite": {"path": ":memory:"}},
            "native": {"directory": directory.path().join("n")},
            "health": {"interval_ms": 0},
        });
        let config = Config::parse(settings.to_string().as_bytes()).unwrap();
        Self { manager: Manager::new(config).unwrap(), directory, files: AtomicUsize::new(0) }
    }

    /// A directory with a plugin, its program being these bytes.
    pub fn package(&self, name: &str, binary: &str, program: &[u8]) -> PathBuf {
        let number = self.files.fetch_add(1, Ordering::SeqCst);
        let path = self.directory.path().join(format!("package-{number}"));
        std::fs::create_dir(&path).unwrap();
        let manifest = json!({"name": name, "version": "1.0.0", "runtime": "grpc", "binary": binary});
        std::fs::write(path.join("plugin.yaml"), manifest.to_string()).unwrap();
        std::fs::write(path.join(binary), program).unwrap();
        path
    }

    pub fn load(&self, name: &str, binary: &str, program: &[u8]) -> Result<Arc<str>> {
        let path = self.package(name, binary, program);
        self.manager.load(&path)
    }

    /// Stores an approved policy with these fields; plugins are not signed, and machines differ in what they isolate.
    pub fn set_policy(&self, plugin: &str, fields: Value) {
        let mut policy = json!({"version": 1, "status": "approved", "permissions": []});
        policy["isolation"] = json!({"minimum": 1});
        for (key, value) in fields.as_object().unwrap() {
            match (policy.get_mut(key).and_then(Value::as_object_mut), value.as_object()) {
                (Some(known), Some(more)) => known.extend(more.clone()),
                _ => policy[key] = value.clone(),
            }
        }
        self.manager.set_policy(plugin, policy.to_string().as_bytes(), None).unwrap();
    }

    /// Loads the plugin in the Go SDK.
    pub fn load_life(&self, policy: Value) {
        self.set_policy("life", policy);
        assert_eq!(&*self.load("life", "life", &life()).unwrap(), "life");
    }

    pub fn call(&self, function: &str, arguments: &Value) -> Result<Value> {
        self.call_with(function, arguments, &CallOptions::default())
    }

    pub fn call_with(&self, function: &str, arguments: &Value, options: &CallOptions) -> Result<Value> {
        let mut answer = Value::Null;
        self.manager.call("life", function, arguments.to_string().as_bytes(), options, &mut |bytes| {
            answer = serde_json::from_slice(bytes).unwrap();
            Ok(())
        })?;
        Ok(answer)
    }

    /// Number of the process that serves, as the host sees it.
    pub fn pid(&self) -> Option<u32> {
        self.process()["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok())
    }

    /// What is reported about the process.
    pub fn process(&self) -> Value {
        let plugins = self.manager.list();
        let life = plugins.as_array().unwrap().iter().find(|plugin| plugin["name"] == "life").cloned();
        life.map(|life| life["process"].clone()).unwrap_or_default()
    }

    /// What is left of plugins in the directory for their sockets.
    pub fn leftovers(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.directory.path().join("n")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }
}

/// Kills a process as anybody could.
pub fn kill(pid: u32) {
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid.cast_signed()).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
}

/// Waits until a call under way has written that it sleeps.
pub fn await_sleep(host: &NativeHost) {
    let filter = goatflow_plugin::host::log::LogFilter { plugin: Some("life".to_owned()), ..Default::default() };
    until("a call that sleeps", || host.manager.logs(&filter).to_string().contains("asleep"));
}

/// Number of the process that started this one.
pub fn parent(pid: u32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim().parse().unwrap()
}

/// Numbers of this process's children.
pub fn children() -> Vec<u32> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let lists = tasks.map(|task| std::fs::read_to_string(task.path().join("children")).unwrap_or_default());
    lists.flat_map(|list| list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<u32>>()).collect()
}

fn built() -> PathBuf {
    match std::env::var_os(BUILT) {
        Some(path) => path.into(),
        None => Path::new(env!("CARGO_TARGET_TMPDIR")).join("native"),
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn build(name: &str, command: impl FnOnce(&Path) -> Command) -> Vec<u8> {
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    std::fs::create_dir_all(built()).unwrap();
    // Other test processes may be at it, too: only whole files get the name.
    let (path, part) = (built().join(name), built().join(format!("{name}.{}", std::process::id())));
    let built = command(&part).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    std::fs::rename(&part, &path).unwrap();
    std::fs::read(&path).unwrap()
}

/// The program that misbehaves.
pub fn hostile(options: &[&str]) -> Vec<u8> {
    build(&format!("hostile{}", options.concat()), |path| {
        let mut command = Command::new("cc");
        command.args(["-O1", "-w"]).args(options).arg("-o").arg(path).arg(root().join("tests/native/hostile.c"));
        command
    })
}

/// The plugin in the Go SDK.
pub fn life() -> Vec<u8> {
    static LIFE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    let built = || {
        build("life", |path| {
            let mut command = Command::new("go");
            command.current_dir(root().join("tests/native/life")).env("CGO_ENABLED", "0");
            command.args(["build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o"]).arg(path).arg(".");
            command
        })
    };
    LIFE.get_or_init(built).clone()
}

/// The plugin in the Go SDK that tries to get out.
pub fn escape() -> Vec<u8> {
    build("escape", |path| {
        let mut command = Command::new("go");
        command.current_dir(root().join("tests/native/escape"));
        // Go's cache knows the files of the directory, not the one that they include: its content is a part of the options.
        let mut hash = std::hash::DefaultHasher::new();
        std::fs::read(root().join("tests/jail/probe.c")).unwrap().hash(&mut hash);
        let options = format!("-O1 -w -DPROBE_IN_PLUGIN={}U", hash.finish());
        command.env("CGO_ENABLED", "1").env("CGO_CFLAGS", options);
        command.args(["build", "-trimpath", "-buildvcs=false", "-tags=netgo,osusergo"]);
        command.args(["-ldflags=-s -w -linkmode external -extldflags -static", "-o"]).arg(path).arg(".");
        command
    })
}

/// Runs one of the tests that are ignored otherwise, in a process of its own.
pub fn alone(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--ignored", "--nocapture", "--test-threads=1"]);
    command
}

pub fn assert_passes(output: &Output) {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("1 passed"), "no such test: {}", text(&output.stdout));
}

/// Memory of this process that is in use.
pub fn resident_kilobytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim_end_matches("kB").trim().parse().unwrap()
}

/// What this process holds: descriptors, threads, children, mounts and control groups.
#[derive(Debug, PartialEq, Eq)]
pub struct Held {
    pub descriptors: usize,
    pub threads: usize,
    pub children: usize,
    pub mounts: usize,
    pub groups: usize,
}

impl Held {
    pub fn now() -> Self {
        let count = |path: &str| std::fs::read_dir(path).unwrap().count();
        let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
        let children = tasks.map(|task| {
            let list = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            list.split_whitespace().count()
        });
        Self {
            children: children.sum(),
            descriptors: count("/proc/self/fd"),
            threads: count("/proc/self/task"),
            mounts: std::fs::read_to_string("/proc/self/mounts").unwrap().lines().count(),
            groups: groups("/sys/fs/cgroup".as_ref(), &format!("goatflow-{}-", std::process::id())),
        }
    }
}

fn groups(directory: &Path, prefix: &str) -> usize {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let counts = directories.map(|entry| {
        usize::from(entry.file_name().to_string_lossy().starts_with(prefix)) + groups(&entry.path(), prefix)
    });
    counts.sum()
}
