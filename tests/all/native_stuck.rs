//! Native plugins whose processes, launchers or hosts don't go on: nobody waits for them longer than promised.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use goatflow_plugin::error::ErrorCode;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::native_support::{Held, NativeHost, alone, assert_passes, children, kill, life, parent};
use super::support::{PATIENCE, timeout, until};

/// What nothing that is tested here takes by itself, on a busy machine.
const LONG: Duration = Duration::from_secs(20);

fn signal(pid: u32, signal: Signal) {
    // It may have ended.
    let _ = kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal);
}

fn launcher(host: &NativeHost) -> u32 {
    parent(parent(host.pid().unwrap()))
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
    until("nothing is left", || children().is_empty() && Held::now().groups == 0 && host.leftovers().is_empty());
}

#[test]
fn a_launcher_that_is_stopped_during_the_start_is_an_error_in_time() {
    assert_passes(&alone("native_stuck::stops_starts").output().unwrap());
}

/// Does something to the first child that this process gets.
fn to_the_first_child(act: impl Fn(u32)) {
    loop {
        if let Some(child) = children().first() {
            return act(*child);
        }
    }
}

#[test]
#[ignore = "counts its children: run by the test above"]
fn stops_starts() {
    let host = NativeHost::new();
    let program = life();
    host.set_policy("life", json!({"init_timeout": "2s"}));
    let package = host.package("life", "life", &program);
    let began = Instant::now();
    std::thread::scope(|scope| {
        let load = scope.spawn(|| host.manager.load(&package));
        to_the_first_child(|launcher| signal(launcher, Signal::STOP));
        let error = load.join().unwrap().unwrap_err();
        assert_eq!(error.code(), ErrorCode::EnvironmentJailLauncher, "{error}");
    });
    assert!(began.elapsed() < LONG, "{:?}", began.elapsed());
    until("nothing is left", || children().is_empty() && Held::now().groups == 0 && host.leftovers().is_empty());

    // A restart that is stuck in the same way: the plugin can be unloaded all the same.
    host.set_policy("life", json!({"init_timeout": "10m"}));
    host.manager.load(&package).unwrap();
    let first = launcher(&host);
    kill(host.pid().unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            loop {
                if let Some(next) = children().into_iter().find(|child| *child != first) {
                    return signal(next, Signal::STOP);
                }
            }
        });
    });
    let began = Instant::now();
    let error = host.call_with("echo", &json!(1), &timeout(300)).unwrap_err();
    assert_eq!(error.code(), ErrorCode::PluginDeadline, "{error}");
    host.manager.unload("life", Duration::from_secs(1)).unwrap();
    assert!(began.elapsed() < LONG, "{:?}", began.elapsed());
    until("nothing is left", || children().is_empty() && Held::now().groups == 0 && host.leftovers().is_empty());
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
        until("nothing is left", || children().is_empty() && Held::now().groups == 0 && host.leftovers().is_empty());
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
