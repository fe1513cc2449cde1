//! `goatflow-plugin dev`, driven through a pipe, with a real compiler.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{PATIENCE, until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_goatflow-plugin");

/// The program at work on a plugin.
struct Dev {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<Value>,
}

impl Dev {
    fn start(directory: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(PROGRAM);
        command.arg("dev").arg("--json").arg(directory).args(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (sender, lines) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                sender.send(serde_json::from_str(&line).unwrap()).unwrap();
            }
        });
        Self { input: child.stdin.take(), child, lines }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.input.as_ref().unwrap(), "{line}").unwrap();
    }

    /// The next line of this kind; further builds and log lines in between don't matter.
    fn next(&self, kind: &str) -> Value {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no line of kind {kind}"));
            if line["kind"] == kind {
                return line;
            }
            assert_ne!(line["kind"], "error", "{line}");
        }
    }

    fn end(mut self) -> ExitStatus {
        drop(self.input.take());
        self.child.wait().unwrap()
    }
}

fn new_plugin() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let made = Command::new(PROGRAM).args(["new", "hello", "--lang", "c", "--dir"]).arg(directory.path()).output();
    assert!(made.unwrap().status.success());
    let plugin = directory.path().join("hello");
    (directory, plugin)
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn what_is_edited_is_built_loaded_and_called() {
    let (_directory, plugin) = new_plugin();
    let mut dev = Dev::start(&plugin, &[]);
    assert_eq!(dev.next("building")["command"], json!(["make", "-s"]));
    assert_eq!(dev.next("loaded")["plugin"], "hello");
    dev.say(r#"watch hello {"name":"Ada"}"#);
    assert_eq!(dev.next("called")["answer"], r#"{"message":"Hello, Ada!"}"#);

    // Built, loaded, and called again without being asked.
    edit(&plugin.join("plugin.c"), "Hello, ", "Servus, ");
    assert_eq!(dev.next("called")["answer"], r#"{"message":"Servus, Ada!"}"#);

    // A build that fails leaves what there is.
    edit(&plugin.join("plugin.c"), "Servus, ", "Servus\", ");
    let failed = loop {
        let built = dev.next("built");
        if built["ok"] == false {
            break built;
        }
    };
    assert_eq!(failed["outcome"], "exit status: 2");
    dev.say("call hello {}");
    assert!(dev.next("called")["answer"].as_str().unwrap().contains("Servus"));
    edit(&plugin.join("plugin.c"), "Servus\", ", "Salut, ");
    assert_eq!(dev.next("called")["answer"], r#"{"message":"Salut, Ada!"}"#);

    dev.say("call nothing");
    assert!(!dev.next("called")["function"].is_null());
    dev.say("policy");
    assert_eq!(dev.next("policy")["plugin"], "hello");
    dev.say("calls");
    assert!(dev.next("calls")["calls"].as_array().unwrap().len() >= 5);
    dev.say("quit");
    assert_eq!(dev.end().code(), Some(0));
}

#[test]
fn the_end_of_a_build_command_is_the_end_of_everything_it_started() {
    let (directory, plugin) = new_plugin();
    let numbers = directory.path().join("numbers");
    let script = format!("sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; wait", numbers.display());
    let dev = Dev::start(&plugin, &["--", "sh", "-c", &script]);
    until("the build runs", || numbers.exists());
    let sleeper = fs::read_to_string(&numbers).unwrap().trim().parse().ok().and_then(Pid::from_raw).unwrap();
    assert!(test_kill_process(sleeper).is_ok());
    let program = i32::try_from(dev.child.id()).ok().and_then(Pid::from_raw).unwrap();
    kill_process(program, Signal::INT).unwrap();
    assert_eq!(dev.end().code(), Some(130));
    // An orphan that has ended is collected by somebody else, soon.
    until("what the build started is gone", || {
        let state = fs::read_to_string(format!("/proc/{}/stat", sleeper.as_raw_nonzero())).unwrap_or_default();
        state.is_empty() || state.contains(") Z ")
    });
}

#[test]
fn the_end_of_the_input_is_the_end() {
    let (_directory, plugin) = new_plugin();
    let dev = Dev::start(&plugin, &[]);
    dev.next("loaded");
    assert_eq!(dev.end().code(), Some(0));
    let missing = Command::new(PROGRAM).args(["dev", "/nowhere"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("package.not_found"));
}

#[test]
fn the_policy_is_in_force_before_a_native_plugin_starts_and_a_better_one_is_tried() {
    let directory = tempfile::tempdir().unwrap();
    let plugin = directory.path().join("scripted");
    fs::create_dir(&plugin).unwrap();
    let manifest = "name: scripted\nversion: 1.0.0\nruntime: grpc\nbinary: main.py\n";
    fs::write(plugin.join("plugin.yaml"), manifest).unwrap();
    fs::write(plugin.join("main.py"), "raise SystemExit('this is it')\n").unwrap();
    let policy = directory.path().join("policy.json");
    let grant = |interpreter: &str| {
        let isolation = json!({"interpreter": interpreter, "read_only": ["/usr/lib", "/lib", "/lib64"], "minimum": 1});
        json!({"version": 1, "plugin_name": "scripted", "status": "approved", "isolation": isolation}).to_string()
    };
    fs::write(&policy, grant("/nonexistent/python")).unwrap();
    let dev = Dev::start(&plugin, &["--no-build", "--policy", &policy.to_string_lossy()]);
    let told = |part: &str| {
        let error = dev.next("error");
        let message = error["error"]["message"].as_str().unwrap();
        assert!(message.contains(part), "{message}");
    };
    told("can't read the interpreter `/nonexistent/python`");
    fs::write(&policy, grant("/usr/bin/python3")).unwrap();
    told("it wrote last: this is it");
    dev.end();
}
