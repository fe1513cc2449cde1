//! Attacks on the exchange of versions: lost calls, versions that must not come back, and what one name does to another.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use goatflow_plugin::error::{Error, ErrorCode};
use goatflow_plugin::host::HostCall;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::package_gate;
use crate::support::{Answer, Gate, Gates, Guest, Host, OpenOnDrop, PATIENCE, code_of, escaped, until};
use crate::versions::{Events, options, replace, replace_with, version, who, with_ping};

const AT_ONCE: &str = r#"{"drain_ms":0,"probation_ms":0}"#;

/// A version whose probe asks the host to translate `key`, and then does this.
fn asking(name: &str, number: &str, key: &str, then: &str) -> Guest {
    let arguments = json!({ "key": key }).to_string();
    let ask = format!("(call $host_call (i32.const 64) (i32.const 9) (i32.const 900) (i32.const {}))", arguments.len());
    let mut guest = with_ping(name, number, &then.replace("{ask}", &ask));
    guest.more.push_str(&format!("(data (i32.const 900) \"{}\")", escaped(arguments.as_bytes())));
    guest
}

/// Calls of a program end where they are, also when the version after the next one comes.
#[test]
fn a_native_call_outlives_two_exchanges() {
    let plugins = Path::new(env!("CARGO_BIN_EXE_goatflow-plugin")).ancestors().nth(2).unwrap().join("plugins");
    let directory: PathBuf = plugins.join("contract-go");
    let (host, gate) = (Host::new(), Gate::new());
    Gates::install(&host, [("stop", &gate)]);
    host.set_policy("contract-suite", json!({"memory_mb": 512, "init_timeout": "60s"}));
    host.manager.load(&directory).unwrap();
    let arguments = json!({"function": "translate", "arguments": {"key": "stop"}}).to_string();
    std::thread::scope(|scope| {
        let _open = OpenOnDrop(&[&gate]);
        let call = scope.spawn(|| host.call("contract-suite", "host", &arguments));
        gate.await_entered(1);
        for _ in 0..2 {
            host.manager.reload("contract-suite", &options(AT_ONCE)).unwrap();
        }
        gate.open();
        let answer: Value = serde_json::from_slice(&call.join().unwrap().unwrap().unwrap()).unwrap();
        assert_eq!(answer["ok"], true, "{answer}");
    });
}

/// Calls that wait for an instance are not lost, however many versions are stopped under them.
#[test]
fn calls_that_wait_meet_a_live_version_after_any_number_of_exchanges() {
    const CALLS: usize = 8;
    let (host, gate) = (Host::new(), Gate::new());
    Gates::install(&host, [("stop", &gate)]);
    host.load(&version("a", "0"));
    std::thread::scope(|scope| {
        let _open = OpenOnDrop(&[&gate]);
        let calls: Vec<_> = (0..CALLS).map(|_| scope.spawn(|| host.call("a", "vers", r#"{"key":"stop"}"#))).collect();
        host.await_in_flight("a", CALLS as u64);
        for round in 1..CALLS {
            // One holds the only instance of the version that serves, and the others wait for it.
            gate.await_entered(round);
            for number in [2 * round, 2 * round + 1] {
                replace_with(&host, &version("a", &number.to_string()), &options(AT_ONCE)).unwrap();
            }
        }
        gate.await_entered(CALLS);
        gate.open();
        for call in calls {
            call.join().unwrap().unwrap();
        }
    });
}

/// Who disables, unloads or shuts down waits for calls of every version, not only of the one that serves.
#[test]
fn calls_of_the_version_before_are_waited_for() {
    for way in ["disable", "unload", "shut_down"] {
        let (host, gate) = (Host::new(), Gate::new());
        Gates::install(&host, [("stop", &gate)]);
        host.load(&version("a", "1"));
        std::thread::scope(|scope| {
            let _open = OpenOnDrop(&[&gate]);
            let call = scope.spawn(|| host.text("a", "vers", r#"{"key":"stop"}"#));
            gate.await_entered(1);
            replace_with(&host, &version("a", "2"), &options(r#"{"drain_ms":0}"#)).unwrap();
            let patience = Duration::from_millis(20);
            match way {
                "disable" => assert_eq!(code_of(host.manager.disable("a", patience)), ErrorCode::LifecycleBusy),
                "unload" => assert_eq!(code_of(host.manager.unload("a", patience)), ErrorCode::LifecycleBusy),
                _ => {
                    let report = host.manager.shut_down(patience).unwrap();
                    let one = &report["plugins"][0];
                    assert_eq!((&report["drained"], &one["outcome"]), (&json!(false), &json!("still_busy")));
                    assert_eq!(one["calls_running"], 1);
                }
            }
            gate.open();
            assert_eq!(call.join().unwrap(), "1", "{way}");
        });
    }
}

/// A host with a trust store of its own.
fn trusting(directory: &Path) -> Host {
    let host = Host::with(json!({"packages": {"trust_file": directory.join("trust.json")}}));
    let key = json!({"label": "k", "public_key": package_gate::secret(1).public().to_string(), "names": ["*"]});
    host.manager.trust_key(key.to_string().as_bytes()).unwrap();
    host
}

/// What was revoked does not come back inside of something else, also not by the way back.
#[test]
fn a_package_whose_module_was_revoked_is_nothing_to_go_back_to() {
    let directory = tempfile::tempdir().unwrap();
    let host = trusting(directory.path());
    let package = |number| package_gate::write_package(directory.path(), number);
    host.manager.load(&package("1.0.0")).unwrap();
    host.manager.replace(&package("2.0.0"), &options("")).unwrap();
    let module = Sha256::digest(package_gate::module("stats", "1.0.0"));
    let sha256: String = module.iter().map(|byte| format!("{byte:02x}")).collect();
    host.manager.revoke_trust(json!({"sha256": sha256, "reason": "backdoor"}).to_string().as_bytes()).unwrap();
    assert_eq!(package_gate::refused(host.manager.replace(&package("1.0.0"), &options(""))), "signature.revoked");
    assert_eq!(package_gate::refused(host.manager.rollback("stats", &options(""))), "signature.revoked");
    assert_eq!(host.manager.list()[0]["version"], "2.0.0");
}

/// When there is no way back from a version on probation, the probation is over all the same.
#[test]
fn a_probation_without_a_way_back_ends() {
    let directory = tempfile::tempdir().unwrap();
    let host = trusting(directory.path());
    host.set_policy("stats", json!({"swap": {"min_calls": 2, "probation_ms": 86_400_000}}));
    let package = |number| package_gate::write_package(directory.path(), number);
    let first = package("1.0.0");
    host.manager.load(&first).unwrap();
    host.manager.replace(&package("2.0.0"), &options("")).unwrap();
    let sha256: String =
        Sha256::digest(std::fs::read(&first).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect();
    host.manager.revoke_trust(json!({"sha256": sha256, "reason": "backdoor"}).to_string().as_bytes()).unwrap();
    let events = Events::of(&host, &["plugin.failed"]);
    for _ in 0..2 {
        assert_eq!(code_of(host.call("stats", "trap", "")), ErrorCode::PluginTrap);
    }
    assert_eq!(events.next()["error"]["code"], "signature.revoked");
    until("the end of the probation", || host.manager.list()[0]["probation"].is_null());
    assert_eq!(host.manager.list()[0]["previous"]["state"], "resting");
}

/// The library's own question takes no call's place.
#[test]
fn a_probe_is_not_counted_against_the_limit_on_calls() {
    let (host, gate) = (Host::with(json!({"health": {"interval_ms": 0}})), Gate::new());
    Gates::install(&host, [("stop", &gate)]);
    host.set_policy("a", json!({"instances": 2, "max_concurrent_calls": 1}));
    let guest = asking("a", "1", "stop", "(drop {ask})");
    let resources = json!({"name": "a", "version": "1", "resources": {"instances": "auto"}});
    host.load(&Guest { registration: resources.to_string(), ..guest });
    std::thread::scope(|scope| {
        let _open = OpenOnDrop(&[&gate]);
        let probe = scope.spawn(|| host.manager.probe("a").unwrap());
        gate.await_entered(1);
        assert_eq!(host.call("a", "echo", "x").unwrap().unwrap(), b"x");
        gate.open();
        assert_eq!(probe.join().unwrap()["state"], "healthy");
    });
}

/// What a probe of the version before finds says nothing about the one that serves.
#[test]
fn a_late_probe_is_not_held_against_the_next_version() {
    let (host, gate) = (Host::with(json!({"health": {"interval_ms": 0}})), Gate::new());
    Gates::install(&host, [("stop", &gate)]);
    host.load(&asking("a", "1", "stop", "(drop {ask}) (unreachable)"));
    std::thread::scope(|scope| {
        let _open = OpenOnDrop(&[&gate]);
        let probe = scope.spawn(|| host.manager.probe("a").unwrap());
        gate.await_entered(1);
        replace_with(&host, &version("a", "2"), &options(AT_ONCE)).unwrap();
        gate.open();
        let health = probe.join().unwrap();
        assert_eq!((&health["state"], &health["consecutive_failures"]), (&json!("unknown"), &json!(0)));
    });
}

/// Going back by hand asks the version that is to serve, as every exchange does; what serves is left alone when it fails.
#[test]
fn a_version_that_does_not_answer_any_more_is_nothing_to_go_back_to() {
    let host = Host::with(json!({"health": {"interval_ms": 0}}));
    let fails = Arc::new(AtomicBool::new(false));
    let is_gone = Arc::clone(&fails);
    let answer = Answer(move |_: &HostCall<'_>| match is_gone.load(Ordering::SeqCst) {
        true => Err(Error::new(ErrorCode::HostFailed, "gone")),
        false => Ok(br#"{"value":""}"#.to_vec().into()),
    });
    host.manager.provide("translate", Some(Box::new(answer))).unwrap();
    host.load(&asking("a", "1", "x", "(if (i64.eqz {ask}) (then (unreachable)))"));
    replace_with(&host, &version("a", "2"), &options(AT_ONCE)).unwrap();
    fails.store(true, Ordering::SeqCst);
    let error = host.manager.rollback("a", &options("")).unwrap_err();
    assert_eq!((error.code(), &error.detail()["step"]), (ErrorCode::PluginUnhealthy, &json!("probe")));
    let listed = host.manager.list();
    assert_eq!((&listed[0]["version"], &listed[0]["previous"]["state"]), (&json!("2"), &json!("resting")));
    host.manager.rollback("a", &options(r#"{"probe":false}"#)).unwrap();
    assert_eq!(who(&host, "a"), "1");
}

/// A caller without time left must not be able to bring an older version of another plugin back.
#[test]
fn callers_that_run_out_of_time_are_not_held_against_a_new_version() {
    let host = Host::new();
    host.set_policy("a", json!({"swap": {"min_calls": 4, "probation_ms": 86_400_000, "max_latency_factor": 0}}));
    let calls = json!([{"type": "plugin_call", "scope": ["a"]}]);
    host.set_policy("b", json!({"permissions": calls, "call_timeout": "30ms", "max_calls_per_second": 0}));
    host.load(&version("a", "1"));
    host.load(&version("b", "1"));
    replace(&host, &version("a", "2")).unwrap();
    let events = Events::of(&host, &["plugin.rolled_back"]);
    let late = json!({"plugin": "a", "function": "spin"}).to_string();
    for _ in 0..4 {
        assert_eq!(code_of(host.call("b", "plugin_call", &late)), ErrorCode::PluginDeadline);
    }
    until("the calls to be counted", || host.stats("a")["served"] == 4);
    while host.manager.list()[0]["version"] == "2" {
        let _ = host.call("a", "trap", "");
    }
    let new = &events.next()["figures"]["new"];
    assert_eq!(new["calls"].as_u64().unwrap() - new["failed"].as_u64().unwrap(), 4, "{new}");
}

/// Everything that is loaded when the manager is shut down is stopped and told, whoever came in last.
#[test]
fn what_is_loaded_during_a_shutdown_is_stopped_too() {
    let plugins: Vec<Vec<u8>> = (0..8).map(|number| version(&format!("p{number}"), "1").wasm()).collect();
    for _ in 0..60 {
        let host = Host::new();
        let loaded = Mutex::new(Vec::new());
        let report = std::thread::scope(|scope| {
            for code in &plugins {
                let (host, loaded) = (&host, &loaded);
                scope.spawn(move || {
                    if let Ok(name) = host.load_bytes(code) {
                        loaded.lock().unwrap().push(name.to_string());
                    }
                });
            }
            until("a first plugin", || host.manager.list() != json!([]));
            host.manager.shut_down(PATIENCE).unwrap()
        });
        let mut loaded = loaded.into_inner().unwrap();
        loaded.sort();
        let told: Vec<&str> =
            report["plugins"].as_array().unwrap().iter().map(|one| one["plugin"].as_str().unwrap()).collect();
        assert_eq!((told, host.manager.list()), (loaded.iter().map(String::as_str).collect(), json!([])));
    }
}
