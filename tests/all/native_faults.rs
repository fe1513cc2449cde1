//! What is no fault of a plugin, or is one no longer: hosts with limits of their own, policies that were put right, better
//! versions, calls that were given up, busy threads.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use goatflow_plugin::error::ErrorCode;
use goatflow_plugin::manager::ReplaceOptions;
use serde_json::json;

use super::native_support::{NativeHost, alone, assert_passes, kill, life};
use super::support::{timeout, until};

fn into_crash_loop(host: &NativeHost) {
    until("the crash loop", || {
        host.call("exit", &json!({})).is_err_and(|error| error.code() == ErrorCode::PluginCrashLoop)
    });
}

#[test]
fn other_terms_end_the_crash_loop_of_those_before() {
    let host = NativeHost::new();
    host.load_life(json!({}));
    host.set_policy("life", json!({"isolation": {"read_only": ["/nonexistent/place"]}}));
    until("the crash loop", || {
        host.call("echo", &json!(1)).is_err_and(|error| error.code() == ErrorCode::PluginCrashLoop)
    });
    host.set_policy("life", json!({}));
    assert_eq!(host.call("echo", &json!(2)).unwrap(), json!(2));
    assert_eq!(host.manager.health("life").unwrap()["recovery"]["crash_loop"], false);
}

#[test]
fn another_version_ends_the_crash_loop_of_the_one_before() {
    let host = NativeHost::new();
    host.load_life(json!({}));
    into_crash_loop(&host);
    let package = host.package("life", "life", &life());
    host.manager.replace(&package, &ReplaceOptions::default()).unwrap();
    assert_eq!(host.call("echo", &json!(1)).unwrap(), json!(1));
    kill(host.pid().unwrap());
    until("another process", || host.call("echo", &json!(2)).is_ok());
}

#[test]
fn a_limit_on_the_hosts_files_is_an_error_of_the_start() {
    assert_passes(&alone("native_faults::small_files").output().unwrap());
}

#[test]
#[ignore = "limits the files of its process: run by the test above"]
fn small_files() {
    let host = NativeHost::new();
    host.set_policy("life", json!({}));
    let package = host.package("life", "life", &life());
    let limit = rustix::process::Rlimit { current: Some(1 << 20), maximum: None };
    rustix::process::setrlimit(rustix::process::Resource::Fsize, limit).unwrap();
    let error = host.manager.load(&package).unwrap_err();
    assert_eq!(error.code(), ErrorCode::EnvironmentResources, "{error}");
    assert!(error.to_string().contains("LimitFSIZE="), "{error}");
}

/// Pauses of a plugin let answers come after their calls were given up: many of them, for calls that nobody remembers.
#[test]
fn late_answers_end_no_session() {
    const CALLERS: usize = 100;
    const PAUSES: usize = 25;
    let host = NativeHost::new();
    host.load_life(json!({}));
    let pid = host.pid().unwrap();
    let process = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    // Served, or given up.
                    let _ = host.call_with("echo", &json!(1), &timeout(60));
                }
            });
        }
        for _ in 0..PAUSES {
            rustix::process::kill_process(process, rustix::process::Signal::STOP).unwrap();
            std::thread::sleep(Duration::from_millis(90));
            rustix::process::kill_process(process, rustix::process::Signal::CONT).unwrap();
            std::thread::sleep(Duration::from_millis(60));
        }
        done.store(true, Ordering::SeqCst);
    });
    assert_eq!(host.call("echo", &json!(2)).unwrap(), json!(2));
    assert_eq!(host.pid(), Some(pid), "{}", host.process());
}
