//! The program is killed while it installs, upgrades, rolls back and removes: whatever moment it is, the directory loads as
//! the old or the new version. `GOATFLOW_CRASH_TRIALS` sets how often (`tests/package/crash.sh` runs many, and injects
//! errors into single system calls).

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use goatflow_plugin::package::archive::{self, Limits};
use goatflow_plugin::package::{Gate, Store};
use serde_json::json;

use crate::support::Dice;

const PROGRAM: &str = env!("CARGO_BIN_EXE_goatflow-plugin");
/// Trials when nobody asks for more.
const TRIALS: usize = 60;

fn package(directory: &Path, version: &str) -> PathBuf {
    let path = directory.join(format!("{version}.zip"));
    let files = [
        ("manifest.json", json!({"name": "stats", "version": version}).to_string()),
        ("stats.wasm", format!("code of {version}")),
        ("assets/one.txt", format!("one of {version}")),
        ("assets/deep/two.txt", "two".repeat(2_000)),
    ];
    std::fs::write(&path, archive::write(files, &Limits::default()).unwrap()).unwrap();
    path
}

fn loaded(store: &Store) -> Option<String> {
    let gate = Gate { max_code_bytes: 1_000, ..Gate::default() };
    match store.open(&gate, "stats") {
        Ok(opened) => Some(String::from_utf8(opened.artifact.code).unwrap()),
        Err(error) => {
            assert_eq!(error.code().slug(), "package.not_installed", "{error}");
            None
        }
    }
}

/// Runs the program and kills it after `delay`; true when it ended before.
fn run_and_kill(arguments: &[&str], delay: Duration) -> bool {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let start = Instant::now();
    while start.elapsed() < delay && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    // Fails when it has ended already.
    let _ = child.kill();
    child.wait().unwrap().success()
}

#[test]
fn a_killed_program_leaves_the_old_or_the_new_version() {
    let trials = std::env::var("GOATFLOW_CRASH_TRIALS").map_or(TRIALS, |text| text.parse().unwrap());
    let work = tempfile::tempdir().unwrap();
    let plugins = work.path().join("plugins");
    let place = plugins.to_str().unwrap().to_owned();
    let packages = ["1.0.0", "2.0.0"].map(|version| package(work.path(), version).to_str().unwrap().to_owned());
    let store = Store::new(&plugins);
    let install = |version: usize| ["package", "install", packages[version].as_str(), "--dir", place.as_str()];
    assert!(run_and_kill(&install(0), Duration::from_secs(60)), "an installation that nobody disturbs");
    let mut dice = Dice::new(20_261_122);
    let mut longest = 200_000;
    let (mut killed, mut finished) = (0, 0);
    for trial in 0..trials {
        let before = loaded(&store);
        let version = dice.roll(2);
        let other = Some(format!("code of {}.0.0", version + 1));
        let (arguments, possible): (Vec<&str>, Vec<Option<String>>) = match dice.roll(8) {
            0 => (vec!["package", "remove", "stats", "--dir", &place], vec![None]),
            1 | 2 => {
                let either = vec![Some("code of 1.0.0".into()), Some("code of 2.0.0".into())];
                (vec!["package", "rollback", "stats", "--dir", &place], either)
            }
            _ => (install(version).to_vec(), vec![other]),
        };
        let delay = Duration::from_micros(u64::try_from(dice.roll(longest)).unwrap());
        let start = Instant::now();
        if run_and_kill(&arguments, delay) {
            finished += 1;
            // Most moments are to be inside the work, not after it.
            longest = (longest + usize::try_from(start.elapsed().as_micros()).unwrap().min(200_000)) / 2 + 500;
        } else {
            killed += 1;
        }
        let after = loaded(&store);
        assert!(
            after == before || possible.contains(&after),
            "trial {trial}: {before:?} became {after:?} by {arguments:?}"
        );
    }
    assert!(killed > 0, "{finished} trials ended before they were killed");
    assert!(Command::new(PROGRAM).args(install(1)).stdout(Stdio::null()).status().unwrap().success());
    assert_eq!(loaded(&store).as_deref(), Some("code of 2.0.0"));
    let left: Vec<_> = std::fs::read_dir(&plugins)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with('.') && name != ".lock")
        .collect();
    assert_eq!(left, Vec::<String>::new(), "left behind");
    println!("{trials} trials: {killed} killed, {finished} finished before");
}

/// System calls that change something, or on which a change depends.
const CALLS: [&str; 15] = [
    "openat",
    "openat2",
    "write",
    "fsync",
    "rename",
    "renameat2",
    "mkdir",
    "mkdirat",
    "unlink",
    "unlinkat",
    "fchmod",
    "flock",
    "fstat",
    "statx",
    "getdents64",
];

/// Runs the program under strace, which injects a fault; true when it succeeded.
fn run_traced(arguments: &[&str], options: &[&str], output: &Path) -> bool {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o"]).arg(output).args(options).arg(PROGRAM).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
}

/// How often the program makes a system call.
fn calls_made(arguments: &[&str], call: &str, output: &Path) -> usize {
    assert!(run_traced(arguments, &["-e", &format!("trace={call}")], output), "{call}");
    let text = std::fs::read_to_string(output).unwrap();
    text.lines().filter(|line| line.contains(&format!("{call}("))).count()
}

#[test]
#[ignore = "needs strace and some minutes: tests/package/crash.sh runs it"]
fn every_system_call_may_fail_or_be_the_last_one() {
    let work = tempfile::tempdir().unwrap();
    let output = work.path().join("strace.out");
    let (one, two) = (package(work.path(), "1.0.0"), package(work.path(), "2.0.0"));
    let (mut trials, mut kept, mut changed) = (0, 0, 0);
    for (what, expected) in [("install", "code of 2.0.0"), ("rollback", "code of 1.0.0")] {
        let prepare = || {
            let plugins = tempfile::tempdir_in(work.path()).unwrap();
            let place = plugins.path().to_str().unwrap().to_owned();
            let run = |file: &Path| {
                let arguments = ["package", "install", file.to_str().unwrap(), "--dir", &place];
                assert!(Command::new(PROGRAM).args(arguments).stdout(Stdio::null()).status().unwrap().success());
            };
            run(&one);
            if what == "rollback" {
                run(&two);
            }
            (plugins, place)
        };
        let subject = if what == "install" { two.to_str().unwrap() } else { "stats" };
        for call in CALLS {
            let (_plugins, place) = prepare();
            let count = calls_made(&["package", what, subject, "--dir", &place], call, &output);
            for (at, fault) in
                (1..=count).flat_map(|at| ["error=ENOSPC", "error=EIO", "signal=KILL"].map(|fault| (at, fault)))
            {
                let (plugins, place) = prepare();
                let store = Store::new(plugins.path());
                let before = loaded(&store);
                let inject = format!("inject={call}:{fault}:when={at}");
                let is_done = run_traced(&["package", what, subject, "--dir", &place], &["-e", &inject], &output);
                let after = loaded(&store);
                let is_new = after.as_deref() == Some(expected);
                assert!(is_new || after == before, "{what}, {inject}: {before:?} became {after:?}");
                assert!(is_new || !is_done, "{what}, {inject}: reported as done, and it is not");
                trials += 1;
                if is_new { changed += 1 } else { kept += 1 }
            }
        }
    }
    assert!(trials >= 300 && kept > 0 && changed > 0);
    println!("{trials} faults injected: {kept} left the old version, {changed} the new one");
}
