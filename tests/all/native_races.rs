//! What comes at the same time in the life of a native plugin: starts and stops, crashes and policies, probes and pauses.

use std::time::Duration;

use goatflow_plugin::error::ErrorCode;
use goatflow_plugin::manager::ReplaceOptions;
use serde_json::{Value, json};

use super::native_stuck::nothing_is_left;
use super::native_support::{NativeHost, alone, assert_passes, await_sleep, children, kill, life, parent};
use super::support::{PATIENCE, timeout, until};

/// A policy under which processes never get through their initialisation.
fn hanging() -> Value {
    json!({"init_timeout": "10m", "isolation": {"environment": {"HANG_IN_INIT": "1"}}})
}

#[test]
fn a_version_at_rest_has_no_process_whatever_it_did_before() {
    assert_passes(&alone("native_races::rests_during_a_start").output().unwrap());
}

#[test]
#[ignore = "counts its children: run by the test above"]
fn rests_during_a_start() {
    let host = NativeHost::new();
    host.load_life(json!({}));
    let first = host.pid().unwrap();
    let reload = ReplaceOptions::parse(br#"{"drain_ms":60000,"probation_ms":0}"#).unwrap();
    std::thread::scope(|scope| {
        let call = scope.spawn(|| host.call("sleep", &json!({"MS": 600_000})));
        await_sleep(&host);
        let reloaded = scope.spawn(|| host.manager.reload("life", &reload).unwrap());
        until("the next version", || host.pid().is_some_and(|pid| pid != first));
        // The next process of the old version will hang; so does a new one of the next version, which is served by its first.
        host.set_policy("life", hanging());
        kill(first);
        assert_eq!(call.join().unwrap().unwrap_err().code(), ErrorCode::PluginExited);
        assert_eq!(reloaded.join().unwrap()["drained"], true);
    });
    assert_eq!(host.manager.list()[0]["previous"]["state"], "resting");
    let second = host.pid().unwrap();
    host.set_policy("life", json!({}));
    until("the start under the policy before to be given up", || children() == [parent(parent(second))]);
    assert_eq!(host.call("echo", &json!(1)).unwrap(), json!(1));
    assert_eq!(host.pid(), Some(second));
    host.manager.unload("life", PATIENCE).unwrap();
    nothing_is_left(&host);
}

#[test]
fn disabling_ends_a_start_that_hangs() {
    assert_passes(&alone("native_races::disables_during_a_start").output().unwrap());
}

#[test]
#[ignore = "counts its children: run by the test above"]
fn disables_during_a_start() {
    let host = NativeHost::new();
    host.load_life(json!({"init_timeout": "10m"}));
    host.set_policy("life", hanging());
    kill(host.pid().unwrap());
    // Those that come first may still meet the process that was killed.
    until("a call that waits for the start", || {
        host.call_with("echo", &json!(1), &timeout(200)).unwrap_err().code() == ErrorCode::PluginDeadline
    });
    host.manager.disable("life", Duration::from_secs(1)).unwrap();
    until("no process", || children().is_empty());
    assert_eq!(host.process()["state"], "resting");
    host.set_policy("life", json!({}));
    host.manager.enable("life").unwrap();
    assert_eq!(host.call("echo", &json!(2)).unwrap(), json!(2));
    host.manager.unload("life", PATIENCE).unwrap();
    nothing_is_left(&host);
}

#[test]
fn failures_of_a_name_outlive_its_versions() {
    let host = NativeHost::new();
    host.load_life(json!({}));
    until("the crash loop", || host.call("exit", &json!({})).unwrap_err().code() == ErrorCode::PluginCrashLoop);
    host.manager.unload("life", PATIENCE).unwrap();
    let again = host.package("life", "life", &life());
    host.manager.load(&again).unwrap();
    assert_eq!(host.call("echo", &json!(1)).unwrap(), json!(1), "who loads it wants it to run");
    assert_eq!(host.call("exit", &json!({})).unwrap_err().code(), ErrorCode::PluginExited);
    until("no pause and no start", || host.process()["state"] == "crash_loop");
    assert_eq!(host.call("echo", &json!(1)).unwrap_err().code(), ErrorCode::PluginCrashLoop);
    assert_eq!(host.manager.health("life").unwrap()["state"], "crash_loop");
}

#[test]
fn an_end_that_is_known_is_no_finding_of_probes() {
    let host = NativeHost::new();
    host.load_life(json!({}));
    // Far enough for pauses that probes fit into.
    let mut pauses = 0;
    until("a pause", || {
        let error = host.call("exit", &json!({})).unwrap_err();
        pauses += u32::from(error.code() == ErrorCode::PluginExited);
        pauses >= 5 && host.process()["state"] == "pausing"
    });
    let failures = || host.manager.health("life").unwrap()["recovery"]["failures"].as_u64().unwrap();
    let before = failures();
    for _ in 0..10 {
        host.manager.probe("life").unwrap();
    }
    assert_eq!(failures(), before, "counted twice");
    assert_ne!(host.manager.health("life").unwrap()["state"], "unhealthy");
}

#[test]
fn a_process_that_is_stopped_is_replaced_and_is_no_call_to_wait_for() {
    let host = NativeHost::new();
    // The old process would be given this long to end by itself.
    host.load_life(json!({"shutdown_timeout": "10m", "call_timeout": "1s"}));
    let first = host.pid().unwrap();
    let pid = rustix::process::Pid::from_raw(first.cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    for _ in 0..3 {
        host.manager.probe("life").unwrap();
    }
    until("another process", || host.pid().is_some_and(|pid| pid != first));
    assert_eq!(host.call("echo", &json!(1)).unwrap(), json!(1));
    until("a restart that is over", || host.manager.stats(Some("life")).unwrap()["in_flight"] == 0);
    host.manager.unload("life", Duration::from_secs(1)).unwrap();
    until("nothing is left", || host.leftovers().is_empty());
}
