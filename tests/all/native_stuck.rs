//! Native plugins whose processes, launchers or hosts don't go on: nobody waits for them longer than promised.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use goatflow_plugin::error::ErrorCode;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::native_support::{Held, NativeHost, alone, assert_passes, children, kill, life, parent};
use super::support::{PATIENCE, timeout, until};

/// What nothing that is tested here takes by itself, on a busy machine.
const LONG: Duration = Duration::from_secs(20);

/// Names a small file system.
const SMALL: &str = "GOATFLOW_TEST_SMALL";

fn signal(pid: u32, signal: Signal) {
    // It may have ended.
    let _ = kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal);
}

fn launcher(host: &NativeHost) -> u32 {
    parent(parent(host.pid().unwrap()))
}

/// For tests that run in a process of their own.
pub fn nothing_is_left(host: &NativeHost) {
    until("nothing is left", || children().is_empty() && Held::now().groups == 0 && host.leftovers().is_empty());
}

#[test]
fn a_stopped_launcher_holds_nobody_up() {
    assert_passes(&alone("native_stuck::stops_launchers").output().unwrap());
}

#[test]
#[ignore = "counts its children: run by the test above"]
fn stops_launchers() {
    let host = NativeHost::new();
    host.load_life(json!({}));
    signal(launcher(&host), Signal::STOP);
    assert_eq!(host.call("echo", &json!(1)).unwrap(), json!(1), "nobody needs it while nothing ends");
    let first = host.pid().unwrap();
    kill(first);
    let began = Instant::now();
    let error = host.call_with("sleep", &json!({"MS": 600_000}), &timeout(60_000)).unwrap_err();
    assert_eq!(error.code(), ErrorCode::PluginExited, "{error}");
    until("another process", || host.call("echo", &json!(2)).is_ok());
    signal(launcher(&host), Signal::STOP);
    host.manager.unload("life", Duration::from_secs(1)).unwrap();
    assert!(began.elapsed() < LONG, "{:?}", began.elapsed());
    nothing_is_left(&host);
}

#[test]
fn a_launcher_that_is_stopped_during_the_start_is_an_error_in_time() {
    assert_passes(&alone("native_stuck::stops_starts").output().unwrap());
}

/// True before a child has become the launcher: it runs on the memory of this process, and has the name of its thread.
fn is_spawning(child: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{child}/comm")).is_ok_and(|name| name.starts_with("goatflow-spawn"))
}

/// Stops the first launcher that this process gets besides the one it has, while `act` makes it start one.
fn stopping_the_next<T>(known: Option<u32>, act: impl FnOnce() -> T) -> T {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                if let Some(next) = children().into_iter().find(|child| Some(*child) != known) {
                    if is_spawning(next) {
                        continue;
                    }
                    return signal(next, Signal::STOP);
                }
            }
        });
        let outcome = act();
        is_over.store(true, Ordering::SeqCst);
        outcome
    })
}

#[test]
#[ignore = "counts its children: run by the test above"]
fn stops_starts() {
    let host = NativeHost::new();
    host.set_policy("life", json!({"init_timeout": "2s"}));
    let package = host.package("life", "life", &life());
    let began = Instant::now();
    let error = loop {
        match stopping_the_next(None, || host.manager.load(&package)) {
            Err(error) => break error,
            // It was stopped too late.
            Ok(_) => host.manager.unload("life", PATIENCE).unwrap(),
        }
    };
    assert_eq!(error.code(), ErrorCode::EnvironmentJailLauncher, "{error}");
    assert!(began.elapsed() < LONG, "{:?}", began.elapsed());
    nothing_is_left(&host);

    // A restart that is stuck in the same way: the plugin can be unloaded all the same.
    host.set_policy("life", json!({"init_timeout": "10m"}));
    host.manager.load(&package).unwrap();
    until("a restart that is stopped", || {
        until("a process", || host.call("echo", &json!(1)).is_ok());
        host.manager.reset_crash_loop("life").unwrap();
        stopping_the_next(Some(launcher(&host)), || {
            kill(host.pid().unwrap());
            loop {
                match host.call_with("echo", &json!(1), &timeout(1_000)) {
                    Ok(_) => break false,
                    Err(error) if error.code() == ErrorCode::PluginDeadline => break true,
                    Err(_) => {}
                }
            }
        })
    });
    let began = Instant::now();
    host.manager.unload("life", Duration::from_secs(1)).unwrap();
    assert!(began.elapsed() < LONG, "{:?}", began.elapsed());
    nothing_is_left(&host);
}

#[test]
fn a_process_that_is_stopped_before_it_is_the_launcher_is_an_error_in_time() {
    assert_passes(&alone("native_stuck::stops_spawning").output().unwrap());
}

#[test]
#[ignore = "counts its children: run by the test above"]
fn stops_spawning() {
    let host = NativeHost::new();
    host.set_policy("life", json!({"init_timeout": "2s"}));
    let package = host.package("life", "life", &life());
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                children()
                    .into_iter()
                    .filter(|child| is_spawning(*child))
                    .for_each(|child| signal(child, Signal::STOP));
            }
        });
        let began = Instant::now();
        // Most are stopped too late.
        until("a start that is stopped so early", || {
            let error = match host.manager.load(&package) {
                Ok(_) => {
                    host.manager.unload("life", PATIENCE).unwrap();
                    return false;
                }
                Err(error) => error,
            };
            assert_eq!(error.code(), ErrorCode::EnvironmentJailLauncher, "{error}");
            children().into_iter().any(is_spawning)
        });
        assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
        is_over.store(true, Ordering::SeqCst);
    });
    // As soon as it goes on, so does everything else.
    children().into_iter().for_each(|child| signal(child, Signal::CONT));
    nothing_is_left(&host);
    host.set_policy("life", json!({}));
    host.manager.load(&package).unwrap();
    assert_eq!(host.call("echo", &json!(1)).unwrap(), json!(1));
    host.manager.unload("life", PATIENCE).unwrap();
    nothing_is_left(&host);
}

#[test]
fn a_launcher_that_is_killed_at_any_step_is_one_error() {
    assert_passes(&alone("native_stuck::kills_starts").output().unwrap());
}

#[test]
#[ignore = "counts its children: run by the test above"]
fn kills_starts() {
    let host = NativeHost::new();
    host.set_policy("life", json!({}));
    let package = host.package("life", "life", &life());
    let mut failures = 0;
    for step in 0..60_u64 {
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    if let Some(launcher) = children().first() {
                        let until = Instant::now() + Duration::from_micros(step * 400);
                        while Instant::now() < until && !is_over.load(Ordering::SeqCst) {
                            std::hint::spin_loop();
                        }
                        return signal(*launcher, Signal::KILL);
                    }
                }
            });
            match host.manager.load(&package) {
                Ok(_) => {
                    is_over.store(true, Ordering::SeqCst);
                    host.manager.unload("life", PATIENCE).unwrap();
                }
                Err(error) => {
                    failures += 1;
                    is_over.store(true, Ordering::SeqCst);
                    let expected = [
                        ErrorCode::EnvironmentJailLauncher,
                        ErrorCode::PluginHandshake,
                        ErrorCode::PluginExited,
                        ErrorCode::PluginProtocol,
                    ];
                    assert!(expected.contains(&error.code()), "{step}: {:?} {error}", error.code());
                }
            }
        });
        nothing_is_left(&host);
    }
    assert!(failures >= 10, "killed too late: {failures}");
}

#[test]
fn a_plugin_that_is_stopped_ends_like_others() {
    let host = NativeHost::new();
    host.load_life(json!({"call_timeout": "1s", "shutdown_timeout": "1s"}));
    let first = host.pid().unwrap();
    signal(first, Signal::STOP);
    let error = host.call("echo", &json!(1)).unwrap_err();
    assert_eq!(error.code(), ErrorCode::PluginDeadline, "{error}");
    let began = Instant::now();
    host.manager.unload("life", Duration::from_secs(1)).unwrap();
    assert!(began.elapsed() < LONG, "{:?}", began.elapsed());
    until("nothing is left", || host.leftovers().is_empty());
}

#[test]
fn a_full_disk_under_the_sockets_is_one_error() {
    if rustix::process::geteuid().is_root() {
        let script = "mount -t tmpfs -o size=64k,nr_inodes=40 none \"$GOATFLOW_TEST_SMALL\" && exec \"$@\"";
        let place = tempfile::tempdir().unwrap();
        let inner = alone("native_stuck::fills_the_disk");
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", script, "sh"]).arg(inner.get_program()).args(inner.get_args());
        assert_passes(&command.env(SMALL, place.path()).output().unwrap());
    }
}

#[test]
#[ignore = "needs a small file system: run by the test above"]
fn fills_the_disk() {
    let elsewhere = tempfile::tempdir_in("/run").unwrap();
    let host = NativeHost::in_directory(tempfile::tempdir_in(std::env::var_os(SMALL).unwrap()).unwrap());
    let packages = NativeHost::in_directory(elsewhere);
    host.set_policy("life", json!({}));
    let package = packages.package("life", "life", &life());
    host.manager.load(&package).unwrap();
    // The end of a process makes room, which is to be taken before the next one does.
    let mut taken = 0;
    until("a start that fails", || {
        while std::fs::File::create(host.directory.path().join(taken.to_string())).is_ok() {
            taken += 1;
        }
        host.manager.reset_crash_loop("life").unwrap();
        match host.call("echo", &json!(1)) {
            Ok(_) => host.pid().is_some_and(|pid| {
                kill(pid);
                false
            }),
            Err(error) => error.detail().get("last_failure").is_some_and(|last| last["code"] == "environment.io"),
        }
    });
    host.manager.unload("life", PATIENCE).unwrap();
    while std::fs::File::create(host.directory.path().join(taken.to_string())).is_ok() {
        taken += 1;
    }
    let error = host.manager.load(&package).unwrap_err();
    // Whoever finds no room first: the host or the plugin.
    let is_plugins = error.code() == ErrorCode::PluginHandshake && error.to_string().contains("no space left");
    assert!(is_plugins || error.code() == ErrorCode::EnvironmentIo, "{error}");
    nothing_is_left(&host);
    for number in 0..taken {
        std::fs::remove_file(host.directory.path().join(number.to_string())).unwrap();
    }
    host.manager.load(&package).unwrap();
    assert_eq!(host.call("echo", &json!(1)).unwrap(), json!(1));
    host.manager.unload("life", PATIENCE).unwrap();
    nothing_is_left(&host);
}

#[test]
fn a_full_scratch_directory_is_the_plugins_own_affair() {
    let host = NativeHost::new();
    host.load_life(json!({"isolation": {"tmp_mb": 1}}));
    if host.process()["isolation"]["level"].as_u64().unwrap() >= 3 {
        let filled = host.call("fill", &json!({})).unwrap();
        assert_eq!(filled["error"], "no space left on device");
        assert!((900_000..=1_048_576).contains(&filled["bytes"].as_u64().unwrap()), "{filled}");
    }
    assert_eq!(host.call("echo", &json!(1)).unwrap(), json!(1));
    assert_eq!(host.process()["processes"], 1);
}
