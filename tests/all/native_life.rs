//! Lives of native plugins: how processes end, what replaces them, and what stays when plugin or host are gone.

use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use goatflow_plugin::error::ErrorCode;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::{Value, json};

use super::native_support::{
    Held, NativeHost, alone, assert_passes, await_sleep, children, kill, life, parent, resident_kilobytes,
};
use super::support::{PATIENCE, timeout, until};

fn process(pid: u32) -> OwnedFd {
    pidfd_open(Pid::from_raw(pid.cast_signed()).unwrap(), PidfdFlags::empty()).unwrap()
}

fn assert_ends(process: &OwnedFd) {
    let mut list = [PollFd::new(process, PollFlags::IN)];
    let patience = Timespec::try_from(PATIENCE).unwrap();
    assert_eq!(poll(&mut list, Some(&patience)), Ok(1), "a process outlives what it belongs to");
}

#[test]
fn a_killed_process_fails_its_calls_at_once_and_the_next_call_has_another() {
    let host = NativeHost::new();
    host.load_life(json!({}));
    let first = host.pid().unwrap();
    std::thread::scope(|scope| {
        let call = scope.spawn(|| {
            let error = host.call("sleep", &json!({"MS": 600_000})).unwrap_err();
            // At once: the caller of a call that failed is served by a process that lives.
            let next = host.call("echo", &json!([1])).unwrap();
            (error, next)
        });
        await_sleep(&host);
        kill(first);
        let (error, next) = call.join().unwrap();
        assert_eq!(error.code(), ErrorCode::PluginExited, "{error}");
        assert_eq!(error.detail()["signal"], 9);
        assert!(error.detail()["log_tail"].as_str().unwrap().contains("asleep"), "{error:?}");
        assert_eq!(next, json!([1]));
    });
    let second = host.pid().unwrap();
    assert_ne!(first, second);
    assert_eq!(host.process()["processes"], 2);
    assert_eq!(host.process()["state"], "serving");
}

#[test]
fn crashes_in_a_row_pause_then_stop_until_somebody_resets_them() {
    let host = NativeHost::new();
    host.load_life(json!({}));
    let mut codes = Vec::new();
    until("the crash loop", || {
        let Err(error) = host.call("exit", &json!({})) else { panic!("the plugin survives") };
        if codes.last() != Some(&error.code()) {
            codes.push(error.code());
        }
        error.code() == ErrorCode::PluginCrashLoop
    });
    assert!(codes.contains(&ErrorCode::PluginRestarting), "{codes:?}");
    assert_eq!(codes.first(), Some(&ErrorCode::PluginExited));
    let error = host.call("echo", &json!(1)).unwrap_err();
    assert_eq!(error.code(), ErrorCode::PluginCrashLoop);
    assert_eq!(error.detail()["last_failure"]["detail"]["exit_code"], 3, "{error:?}");
    host.manager.reset_crash_loop("life").unwrap();
    assert_eq!(host.call("echo", &json!(1)).unwrap(), json!(1));
}

#[test]
fn a_policy_without_time_limits_is_no_reason_not_to_start_again() {
    let host = NativeHost::new();
    host.load_life(json!({"init_timeout": "0s", "call_timeout": "0s", "shutdown_timeout": "0s"}));
    kill(host.pid().unwrap());
    until("a call that is served", || host.call("echo", &json!(2)).is_ok());
    host.set_policy("life", json!({"init_timeout": "0s", "call_timeout": "0s", "memory_mb": 300}));
    until("a process of its own for the new policy", || host.process()["processes"] == 3);
    assert_eq!(host.call("echo", &json!(3)).unwrap(), json!(3));
}

#[test]
fn other_terms_bring_another_process_without_a_failed_call() {
    let host = NativeHost::new();
    host.load_life(json!({"memory_mb": 256}));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut calls = 0_u32;
                    while !done.load(Ordering::SeqCst) {
                        host.call("sleep", &json!({"MS": 3})).unwrap();
                        calls += 1;
                    }
                    calls
                })
            })
            .collect();
        // Faster than processes start: the last one counts.
        for number in 0..6_u32 {
            host.set_policy(
                "life",
                json!({"memory_mb": 300 + number, "isolation": {"environment": {"N": number.to_string()}}}),
            );
        }
        let environment = || host.call("secrets", &json!({})).unwrap().to_string();
        until("a process under the last policy", || environment().contains("\"N=5\""));
        done.store(true, Ordering::SeqCst);
        assert!(callers.into_iter().all(|caller| caller.join().unwrap() > 0));
    });
    until("the others are gone", || children().len() == 1 || !is_alone());
    host.manager.unload("life", PATIENCE).unwrap();
    // Processes that were replaced clean up behind their own ends.
    until("nothing is left", || host.leftovers().is_empty());
}

/// Other tests of this process have children, too.
fn is_alone() -> bool {
    std::env::args().any(|argument| argument == "--test-threads=1")
}

#[test]
fn unloading_ends_calls_and_starts_that_are_under_way() {
    let host = NativeHost::new();
    host.load_life(json!({}));
    let family = [host.pid().unwrap(), parent(host.pid().unwrap())].map(process);
    std::thread::scope(|scope| {
        let call = scope.spawn(|| host.call("sleep", &json!({"MS": 600_000})));
        await_sleep(&host);
        let error = host.manager.unload("life", Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::LifecycleBusy);
        assert_eq!(call.join().unwrap().unwrap_err().code(), ErrorCode::PluginExited);
    });
    family.iter().for_each(assert_ends);
    assert_eq!(host.call("echo", &json!(1)).unwrap_err().code(), ErrorCode::LifecyclePluginNotFound);
    until("the directory is empty", || host.leftovers().is_empty());

    // A new process that never gets through its initialisation.
    host.load_life(json!({"init_timeout": "10m"}));
    host.set_policy("life", json!({"init_timeout": "10m", "isolation": {"environment": {"HANG_IN_INIT": "1"}}}));
    until("a start that hangs", || {
        host.directory
            .path()
            .join("n")
            .read_dir()
            .unwrap()
            .any(|plugin| plugin.unwrap().path().read_dir().unwrap().count() >= 2)
    });
    host.manager.unload("life", Duration::from_secs(5)).unwrap();
    until("the directory is empty", || host.leftovers().is_empty());
}

#[test]
fn a_process_that_dies_at_any_moment_of_its_start_is_one_error() {
    let host = NativeHost::new();
    for step in 0..40_u32 {
        let microseconds = (step * 500).to_string();
        host.set_policy("life", json!({"isolation": {"environment": {"DIE_AFTER_US": microseconds}}}));
        match host.load("life", "life", &life()) {
            // It lived long enough to be loaded.
            Ok(_) => host.manager.unload("life", PATIENCE).unwrap(),
            Err(error) => assert!(
                matches!(error.code(), ErrorCode::PluginHandshake | ErrorCode::PluginExited),
                "{step}: {:?} {error}",
                error.code()
            ),
        }
        until("the directory is empty", || host.leftovers().is_empty());
    }
}

#[test]
fn the_work_directory_that_a_plugin_is_told_can_be_written_to() {
    for directory in ["/run", "/tmp"] {
        let Ok(directory) = tempfile::Builder::new().prefix("gf").tempdir_in(directory) else { continue };
        let host = NativeHost::in_directory(directory);
        host.load_life(json!({}));
        assert_eq!(host.call("work", &json!({})).unwrap(), Value::Null);
    }
}

#[test]
fn secrets_of_the_host_are_not_for_plugins() {
    let mut command = alone("native_life::looks_for_secrets");
    assert_passes(&command.env("GOATFLOW_SECRET", "hunter2-planted").output().unwrap());
}

#[test]
#[ignore = "has a secret in its environment: run by the test above"]
fn looks_for_secrets() {
    let host = NativeHost::new();
    host.load_life(json!({}));
    let found = host.call("secrets", &json!({})).unwrap().to_string();
    assert!(found.contains("GOATKIT_PLUGIN=goatkit-v1"), "{found}");
    assert!(!found.contains("hunter2") && !found.contains("GOATFLOW_SECRET"), "{found}");
    assert!(!found.contains("native_life"), "the host's command line: {found}");
}

#[test]
fn starts_and_stops_leave_nothing_behind() {
    assert_passes(&alone("native_life::cycles").output().unwrap());
}

#[test]
#[ignore = "counts what its process holds: run by the test above, in a process of its own"]
fn cycles() {
    let host = NativeHost::new();
    host.set_policy("life", json!({}));
    let package = host.package("life", "life", &life());
    let cycle = |number: u32| {
        host.manager.load(&package).unwrap();
        assert_eq!(host.call("echo", &json!(number)).unwrap(), json!(number));
        match number % 3 {
            0 => kill(host.pid().unwrap()),
            1 => drop(host.call("exit", &json!({})).unwrap_err()),
            _ => {}
        }
        host.manager.unload("life", Duration::from_secs(5)).unwrap();
    };
    (0..20).for_each(|number| {
        cycle(number);
        host.manager.load(&package).unwrap();
        host.manager.reset_crash_loop("life").unwrap();
        host.manager.unload("life", Duration::from_secs(5)).unwrap();
    });
    until("everything ends", || Held::now().children == 0);
    let (before, kilobytes) = (Held::now(), resident_kilobytes());
    (0..200).for_each(|number| {
        cycle(number);
        // Crashes are forgotten after ten minutes.
        host.manager.load(&package).unwrap();
        host.manager.reset_crash_loop("life").unwrap();
        host.manager.unload("life", Duration::from_secs(5)).unwrap();
    });
    until("everything is given back", || {
        Held { threads: before.threads, ..Held::now() } == before && host.leftovers().is_empty()
    });
    assert!(Held::now().threads <= before.threads + 4, "{:?} {before:?}", Held::now());
    let grown = resident_kilobytes().saturating_sub(kilobytes);
    println!("{kilobytes} kB resident after the first cycles, {grown} kB more after the others");
    assert!(grown < 8 * 1024, "{kilobytes} kB, then {grown} kB more");
}

/// Starts a host of its own and waits for the numbers of its plugin's processes.
fn other_host(test: &str, wrapper: &[&str]) -> (std::process::Child, Vec<OwnedFd>, Vec<u32>) {
    let inner = alone(test);
    let mut command = match wrapper {
        [] => Command::new(inner.get_program()),
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(inner.get_program());
            command
        }
    };
    let mut host = command.args(inner.get_args()).stdout(Stdio::piped()).stdin(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(host.stdout.take().unwrap()).lines().map_while(Result::ok);
    let pids = lines.into_iter().find_map(|line| line.split_once("pids ").map(|(_, pids)| pids.to_owned()));
    let pids: Vec<u32> = pids.expect("the host says nothing").split(' ').map(|pid| pid.parse().unwrap()).collect();
    (host, pids.iter().copied().map(process).collect(), pids)
}

fn say_pids(host: &NativeHost) {
    let plugin = host.pid().unwrap();
    let (init, launcher) = (parent(plugin), parent(parent(plugin)));
    println!("pids {plugin} {init} {launcher}");
}

#[test]
#[ignore = "a host that the tests below end"]
fn waits_to_be_ended() {
    let host = NativeHost::new();
    host.load_life(json!({}));
    say_pids(&host);
    std::io::stdin().lines().for_each(drop);
}

#[test]
fn nothing_outlives_a_host_that_is_killed() {
    let (mut host, processes, _) = other_host("native_life::waits_to_be_ended", &[]);
    host.kill().unwrap();
    host.wait().unwrap();
    processes.iter().for_each(assert_ends);
}

#[test]
fn a_killed_launcher_is_a_crash_like_others() {
    let host = NativeHost::new();
    host.load_life(json!({}));
    let plugin = host.pid().unwrap();
    let launcher = parent(parent(plugin));
    let ends = process(plugin);
    kill(launcher);
    assert_ends(&ends);
    until("another process", || host.call("echo", &json!(1)).is_ok());
    assert_ne!(host.pid(), Some(plugin));
}

#[test]
fn hosts_with_their_own_ways_of_collecting_children_start_and_stop_plugins() {
    for ways in ["", "trap '' CHLD; "] {
        let script = format!("{ways}exec \"$@\"");
        let mut command = Command::new("sh");
        let inner = alone("native_life::starts_and_stops");
        command.args(["-c", &script, "sh"]).arg(inner.get_program()).args(inner.get_args());
        assert_passes(&command.output().unwrap());
    }
    assert_passes(&alone("native_life::waits_for_everything").output().unwrap());
}

#[test]
#[ignore = "run by the test above"]
fn starts_and_stops() {
    let host = NativeHost::new();
    for _ in 0..3 {
        host.load_life(json!({}));
        let error = host.call("exit", &json!({})).unwrap_err();
        assert_eq!(error.detail()["exit_code"], 3, "{error:?}");
        host.manager.unload("life", PATIENCE).unwrap();
    }
    assert_eq!(children(), Vec::<u32>::new(), "zombies");
}

#[test]
#[ignore = "collects every child of its process: run by the test above"]
fn waits_for_everything() {
    life();
    std::thread::spawn(|| {
        loop {
            // Fails while there is no child.
            let _ = rustix::process::wait(rustix::process::WaitOptions::empty());
            std::thread::yield_now();
        }
    });
    starts_and_stops();
}

#[test]
fn many_threads_start_plugins_at_once() {
    let host = NativeHost::new();
    let program = super::native_support::hostile(&["-static"]);
    std::thread::scope(|scope| {
        let loads: Vec<_> = (0..32)
            .map(|number| {
                let (host, program) = (&host, &program);
                scope.spawn(move || {
                    let name = format!("bad{number}");
                    host.set_policy(&name, json!({"init_timeout": "60s"}));
                    host.load(&name, "talks-and-exits", program).unwrap_err()
                })
            })
            .collect();
        for load in loads {
            let error = load.join().unwrap();
            assert!(error.to_string().contains("out of coffee"), "{error}");
        }
    });
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[test]
fn calls_to_a_process_that_dies_end_by_their_deadlines() {
    let host = NativeHost::new();
    host.load_life(json!({}));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    if let Err(error) = host.call_with("sleep", &json!({"MS": 2}), &timeout(20_000)) {
                        let code = error.code();
                        let is_expected = matches!(
                            code,
                            ErrorCode::PluginExited | ErrorCode::PluginRestarting | ErrorCode::PluginCrashLoop
                        );
                        assert!(is_expected, "{error}");
                    }
                }
            });
        }
        for _ in 0..20 {
            host.manager.reset_crash_loop("life").unwrap();
            until("a process", || host.pid().is_some() && host.call("echo", &Value::Null).is_ok());
            // It may have died of the last kill only now.
            if let Some(pid) = host.pid() {
                kill(pid);
            }
        }
        done.store(true, Ordering::SeqCst);
    });
    host.manager.reset_crash_loop("life").unwrap();
    until("a process", || host.call("echo", &Value::Null).is_ok());
}
