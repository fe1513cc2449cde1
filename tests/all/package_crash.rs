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
