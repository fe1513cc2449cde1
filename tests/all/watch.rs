//! Plugins under development: what changes on disk is loaded by itself, through the same gate as everything else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::mpsc::channel;
use std::time::Duration;

use goatflow_plugin::clock;
use goatflow_plugin::error::ErrorCode;
use goatflow_plugin::lifecycle::watch::{Mode, Scope, Settings, Watcher};
use serde_json::{Value, json};

use crate::support::{Guest, Host, PATIENCE, code_of, until};

/// A plugin `p` whose version shows in the list of plugins.
fn version(version: &str) -> Vec<u8> {
    Guest::registered(&json!({"name": "p", "version": version})).wasm()
}

fn put(path: &Path, bytes: &[u8]) {
    let temporary = path.with_extension("new");
    fs::write(&temporary, bytes).unwrap();
    fs::rename(temporary, path).unwrap();
}

fn serving(host: &Host) -> Value {
    host.manager.list()[0]["version"].clone()
}

fn until_serving(host: &Host, version: &str) {
    until(&format!("version {version} serves"), || serving(host) == version);
}

fn watched(host: &Host, path: &Path) -> Value {
    host.manager.watch(path.to_str().unwrap(), b"").unwrap()
}

#[test]
fn what_changes_is_loaded_and_what_is_broken_is_told() {
    let host = Host::new();
    let path = host.fresh_path("p.wasm");
    put(&path, &version("1"));
    let (sender, events) = channel();
    let _subscription = host
        .manager
        .subscribe(
            br#"{"kinds":["plugin.watching","plugin.failed"]}"#,
            Box::new(move |event| drop(sender.send(serde_json::from_str::<Value>(event).unwrap()))),
        )
        .unwrap();
    let status = watched(&host, &path);
    assert_eq!((&status["plugin"], &status["mode"], &status["error"]), (&json!("p"), &json!("events"), &Value::Null));
    let watching = events.recv_timeout(PATIENCE).unwrap();
    assert_eq!((&watching["kind"], &watching["mode"]), (&json!("plugin.watching"), &json!("events")));
    assert_eq!(serving(&host), "1");
    put(&path, &version("2"));
    until_serving(&host, "2");

    let mut half = version("3");
    half.truncate(half.len() / 2);
    put(&path, &half);
    let failed = events.recv_timeout(PATIENCE).unwrap();
    assert_eq!(
        (&failed["kind"], &failed["cause"], &failed["plugin"]),
        (&json!("plugin.failed"), &json!("watch"), &json!("p"))
    );
    assert_eq!(failed["error"]["code"], "package.module_invalid");
    assert_eq!(host.manager.watches()[0]["error"]["code"], "package.module_invalid");
    assert_eq!(serving(&host), "2");
    assert_eq!(host.text("p", "echo", "on"), "on");

    // Compiles, and does not register: the old one serves on all the same.
    put(&path, &Guest::named("another").wasm());
    let failed = events.recv_timeout(PATIENCE).unwrap();
    assert_eq!((&failed["kind"], &failed["plugin"]), (&json!("plugin.failed"), &json!("p")));
    assert_eq!(serving(&host), "2");

    put(&path, &version("3"));
    until_serving(&host, "3");
    until("the error is gone", || host.manager.watches()[0]["error"].is_null());
    assert_eq!(host.manager.watches()[0]["changes"], 4);
}

#[test]
fn a_plugin_may_come_after_its_watch() {
    let host = Host::new();
    let path = host.fresh_path("later");
    assert_eq!(watched(&host, &path)["error"]["code"], "package.not_found");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("p.wasm"), version("1")).unwrap();
    fs::write(path.join("plugin.yaml"), "name: p\nversion: '1'\nruntime: wasm\nwasm: p.wasm\n").unwrap();
    until("it is loaded", || serving(&host) == "1");
    // The manifest and the module are changed one after the other: a state in between does not fit, and is not kept.
    fs::write(path.join("plugin.yaml"), "name: p\nversion: '2'\nruntime: wasm\nwasm: p.wasm\n").unwrap();
    fs::write(path.join("p.wasm"), version("2")).unwrap();
    until_serving(&host, "2");
}

#[test]
fn a_package_is_loaded_again_when_it_is_packed_again() {
    let host = Host::new();
    let (source, package) = (host.fresh_path("source"), host.fresh_path("p.zip"));
    fs::create_dir(&source).unwrap();
    let pack = |number: &str| {
        fs::write(source.join("p.wasm"), version(number)).unwrap();
        let manifest = format!("name: p\nversion: '{number}'\nruntime: wasm\nwasm: p.wasm\n");
        fs::write(source.join("plugin.yaml"), manifest).unwrap();
        put(&package, &goatflow_plugin::package::archive::pack(&source, &Default::default()).unwrap());
    };
    pack("1.0.0");
    watched(&host, &package);
    assert_eq!(serving(&host), "1.0.0");
    pack("1.1.0");
    until_serving(&host, "1.1.0");
}

#[test]
fn where_signatures_are_required_they_are_required_of_changes_too() {
    let host = Host::with(json!({"packages": {"signatures": "required"}}));
    let path = host.fresh_path("p.wasm");
    put(&path, &version("1"));
    assert_eq!(watched(&host, &path)["error"]["code"], "signature.unsigned");
    put(&path, &version("2"));
    until("the change was refused", || host.manager.watches()[0]["changes"] == 1);
    until("the refusal is kept", || host.manager.watches()[0]["error"]["code"] == "signature.unsigned");
    assert_eq!(host.manager.list(), json!([]));
}

#[test]
fn a_watch_is_begun_and_ended_once() {
    let host = Host::new();
    let path = host.fresh_path("p.wasm");
    put(&path, &version("1"));
    host.manager.load(&path).unwrap();
    let status = host.manager.watch("p", b"").unwrap();
    assert_eq!(status["path"], path.to_str().unwrap());
    assert_eq!(code_of(host.manager.watch(path.to_str().unwrap(), b"")), ErrorCode::LifecycleWatchConflict);
    put(&path, &version("2"));
    until_serving(&host, "2");
    host.manager.unwatch("p").unwrap();
    assert_eq!(host.manager.watches(), json!([]));
    assert_eq!(code_of(host.manager.unwatch("p")), ErrorCode::LifecycleWatchConflict);
    for wrong in [r#"{"mode":"magic"}"#, r#"{"quite_ms":50}"#, "[]"] {
        assert_eq!(code_of(host.manager.watch("p", wrong.as_bytes())), ErrorCode::ArgumentJson, "{wrong}");
    }
    assert_eq!(code_of(host.manager.watch("p", br#"{"quiet_ms":1}"#)), ErrorCode::ArgumentInvalid);
    // By polling, and across a manager that ends.
    let status = host.manager.watch("p", br#"{"mode":"polling","poll_ms":20}"#).unwrap();
    assert_eq!(status["mode"], "polling");
    put(&path, &version("3"));
    until_serving(&host, "3");
    host.manager.shut_down(PATIENCE).unwrap();
    assert_eq!(host.manager.watches(), json!([]));
}

/// Runs an ignored test of this file in a process of its own, behind a shell script.
fn alone(test: &str, script: &str) -> Output {
    let program = std::env::current_exe().unwrap();
    Command::new("unshare")
        .args(["--user", "--map-root-user", "sh", "-c", &format!("{script}\nexec \"$0\" \"$@\"")])
        .arg(program)
        .args(["--exact", "--ignored", "--nocapture", test])
        .output()
        .unwrap()
}

fn assert_passed(output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn without_watches_to_be_had_files_are_polled() {
    assert_passed(&alone("watch::polls_where_nothing_can_be_watched", "echo 0 > /proc/sys/user/max_inotify_watches"));
    assert_passed(&alone("watch::polls_where_nothing_can_be_watched", "echo 0 > /proc/sys/user/max_inotify_instances"));
}

#[test]
#[ignore = "run by another test, where the kernel's limits are used up"]
fn polls_where_nothing_can_be_watched() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("p.wasm");
    fs::write(&path, "1").unwrap();
    let ((sender, changes), (tell, told)) = (channel(), channel());
    let watch = Watcher::default()
        .watch(
            &path,
            Scope::Plugin,
            Settings { poll: Duration::from_millis(20), ..Settings::default() },
            Box::new(move || sender.send(()).is_ok()),
            Box::new(move |status| tell.send(status.mode.clone()).unwrap()),
        )
        .unwrap();
    let Mode::Polling(reason) = watch.status().mode else { panic!("{:?}", watch.status()) };
    assert!(reason.contains("fs.inotify.max_user_"), "{reason}");
    assert_eq!(told.recv_timeout(PATIENCE), Ok(Mode::Polling(reason)));
    put(&path, b"2");
    changes.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn a_thousand_changes_leave_nothing_behind() {
    assert_passed(&alone("watch::changes_a_thousand_times", ":"));
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

fn resident_kib() -> i64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
#[ignore = "run by another test, in a process of its own"]
fn changes_a_thousand_times() {
    let directory = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = (0..8).map(|number| directory.path().join(format!("{number}.wasm"))).collect();
    let before = (threads(), descriptors());
    let watcher = Watcher::default();
    let (sender, changes) = channel();
    let watch = |path: &PathBuf| {
        let sender = sender.clone();
        fs::write(path, "0").unwrap();
        let settings = Settings { quiet: Duration::from_millis(10), ..Settings::default() };
        let changed = Box::new(move || sender.send(()).is_ok());
        watcher.watch(path, Scope::Plugin, settings, changed, Box::new(|_| ())).unwrap()
    };
    let watches: Vec<_> = paths.iter().map(watch).collect();
    let round = |number: usize| {
        for path in &paths {
            put(path, number.to_string().as_bytes());
        }
        for _ in &paths {
            changes.recv_timeout(PATIENCE).unwrap();
        }
    };
    (1..20).for_each(round);
    let (open, resident) = (descriptors(), resident_kib());
    (20..125).for_each(round);
    assert_eq!(descriptors(), open);
    assert!(resident_kib() - resident < 2_048, "{resident} KiB before, {} KiB after", resident_kib());
    let changes: u64 = watches.iter().map(|watch| watch.status().changes).sum();
    assert!(changes >= 992, "{changes}");
    drop(watches);
    until("thread and descriptors are gone", || descriptors() == before.1);
    // Worker threads of the library stay; the thread of the watches does not.
    let named = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm")).unwrap_or_default();
    until("the thread is gone", || {
        fs::read_dir("/proc/self/task").unwrap().flatten().map(named).all(|name| name.trim() != "goatflow-watch")
    });
    assert!(threads() <= before.0 + 20, "{} threads", threads());
}

/// `cargo test --release --test all -- --ignored --nocapture figures_of_watching`
#[test]
#[ignore = "prints figures"]
fn figures_of_watching() {
    let host = Host::new();
    let path = host.fresh_path("p.wasm");
    put(&path, &version("0"));
    watched(&host, &path);
    for (how, is_renamed) in [("rename", true), ("write", false)] {
        let mut taken: Vec<u64> = (1..=50)
            .map(|number| {
                let number = format!("{how}-{number}");
                let code = version(&number);
                let started = clock::now();
                if is_renamed {
                    put(&path, &code)
                } else {
                    fs::write(&path, &code).unwrap()
                }
                while serving(&host) != number.as_str() {
                    std::thread::yield_now();
                }
                assert_eq!(host.text("p", "echo", "on"), "on");
                (clock::now() - started) / 1_000
            })
            .collect();
        taken.sort_unstable();
        println!("{how} to new version answering: median {} us, max {} us (50 times)", taken[25], taken[49]);
    }
}
