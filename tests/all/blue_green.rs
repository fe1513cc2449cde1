//! Versions are exchanged while calls go on: none is lost, and none meets a version that never was healthy.

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use goatflow_plugin::error::ErrorCode;
use goatflow_plugin::host::{HostCall, Request};
use goatflow_plugin::manager::CallOptions;
use serde_json::{Value, json};

use crate::package_gate;
use crate::support::{Answer, Dice, Gate, Gates, Guest, Host, OpenOnDrop, PATIENCE, code_of, until};
use crate::versions::{Events, file, options, registered, replace, replace_with, version, who, with_ping};

#[test]
fn a_new_version_takes_over_with_all_it_registers() {
    let host = Host::new();
    let events = Events::of(&host, &["plugin.swapping", "plugin.swapped", "plugin.drained", "plugin.loaded"]);
    let i18n = |text: &str| json!({"translations": {"en": {"title": text}}});
    let route = |path: &str| json!([{"method": "GET", "path": path}]);
    host.load(&registered(&json!({"name": "b", "version": "9", "routes": route("/new")})));
    host.load(&registered(&json!({"name": "a", "version": "1", "routes": route("/old"), "i18n": i18n("Old")})));
    let collisions = json!([{"section": "routes", "item": "GET /new", "plugin": "b"}]);
    let handle = host.manager.function("a", "vers").unwrap();
    let call = || {
        let mut answer = Vec::new();
        handle
            .call(b"", &CallOptions::default(), &mut |bytes| {
                answer = bytes.to_vec();
                Ok(())
            })
            .map(|()| String::from_utf8(answer).unwrap())
    };
    assert_eq!(call().unwrap(), "1");
    let new = registered(&json!({"name": "a", "version": "2", "routes": route("/new"), "i18n": i18n("New")}));
    let report = replace(&host, &new).unwrap();
    assert_eq!(call().unwrap(), "2", "a handle stays valid");
    let told = [&report["kind"], &report["old_version"], &report["new_version"], &report["generation"]];
    assert_eq!(told, [&json!("replaced"), &json!("1"), &json!("2"), &json!(2)]);
    assert_eq!([&report["drained"], &report["enabled"]], [&json!(true), &json!(true)]);
    let changes = json!({
        "routes": {"added": ["GET /new"], "removed": ["GET /old"], "changed": []},
        "i18n": {"added": [], "removed": [], "changed": ["en title"]},
    });
    assert_eq!((&report["changes"], &report["collisions"]), (&changes, &collisions));
    let text = host.ask("b", "translate", &json!({"key": "a.title"})).unwrap();
    assert_eq!(text["value"], "New");
    assert_eq!([&events.next()["version"], &events.next()["version"]], ["9", "1"]);
    assert_eq!(
        events.next(),
        json!({"kind": "plugin.swapping", "plugin": "a", "old_version": "1", "new_version": "2"})
    );
    let swapped = events.next();
    assert_eq!((&swapped["kind"], &swapped["changes"]), (&json!("plugin.swapped"), &changes));
    assert_eq!([&swapped["old_registration"]["version"], &swapped["registration"]["version"]], ["1", "2"]);
    assert_eq!((&events.next()["kind"], host.stats("a")["served"].as_u64()), (&json!("plugin.drained"), Some(2)));
}

#[test]
fn what_is_not_loaded_is_not_replaced_and_what_is_loaded_is_not_loaded_again() {
    let host = Host::new();
    assert_eq!(code_of(replace(&host, &version("a", "1"))), ErrorCode::LifecyclePluginNotFound);
    host.load(&version("a", "1"));
    assert_eq!(code_of(host.load_wat(&version("a", "2").wat())), ErrorCode::LifecycleAlreadyLoaded);
    assert_eq!(who(&host, "a"), "1");
    assert_eq!(code_of(host.manager.rollback("a", &options(""))), ErrorCode::LifecycleNoPrevious);
}

/// Every step that can fail leaves the old version as it was, down to its memory.
#[test]
fn a_version_that_fails_changes_nothing() {
    let host = Host::with(json!({"health": {"timeout_ms": 300}}));
    host.set_policy("a", json!({"init_timeout": "300ms"}));
    host.load(&version("a", "1"));
    let mut ticks = 0;
    let mut still_serves = || {
        ticks += 1;
        assert_eq!((host.text("a", "tick", ""), who(&host, "a")), (ticks.to_string(), "1".into()));
    };
    still_serves();
    let events = Events::of(&host, &["plugin.failed", "plugin.swapping", "plugin.swapped"]);
    let mut mute = version("a", "2");
    mute.register = Some("(unreachable)".into());
    let mut stuck = version("a", "2");
    stuck.register = Some("(loop $forever (br $forever)) (i64.const 0)".into());
    let failing = [
        (Guest { imports: "(import \"gk\" \"zzz\" (func))".into(), ..version("a", "2") }, "start", "package.contract"),
        (mute, "start", "plugin.trap"),
        (stuck, "start", "plugin.deadline"),
        (with_ping("a", "2", "(unreachable)"), "probe", "plugin.unhealthy"),
        (with_ping("a", "2", "(call $proc_exit (i32.const 0))"), "probe", "plugin.unhealthy"),
        (with_ping("a", "2", "(loop $forever (br $forever))"), "probe", "plugin.unhealthy"),
    ];
    for (guest, step, code) in failing {
        let error = replace(&host, &guest).unwrap_err();
        assert_eq!((error.code().slug(), &error.detail()["step"]), (code, &json!(step)), "{error}");
        let event = events.next();
        assert_eq!((&event["kind"], &event["step"]), (&json!("plugin.failed"), &json!(step)), "{event}");
        assert_eq!(event["error"]["code"], code);
        still_serves();
    }
    let nowhere = host.manager.replace(&host.fresh_path("nowhere.wasm"), &options("")).unwrap_err();
    assert_eq!((nowhere.code(), &nowhere.detail()["step"]), (ErrorCode::PackageNotFound, &json!("verify")));
    let garbage = host.fresh_path("garbage.wasm");
    std::fs::write(&garbage, "garbage").unwrap();
    assert_eq!(host.manager.replace(&garbage, &options("")).unwrap_err().detail()["step"], "compile");
    still_serves();
    let listed = host.manager.list();
    assert_eq!((&listed[0]["generation"], &listed[0]["previous"]), (&json!(1), &Value::Null));
    // Without the probe, an operator gets what it asks for.
    let unasked = with_ping("a", "2", "(unreachable)");
    replace_with(&host, &unasked, &options(r#"{"probe":false}"#)).unwrap();
    assert_eq!(who(&host, "a"), "2");
}

const SWAPS: u64 = 500;
const THREADS: usize = 8;

/// Calls that last up to some milliseconds, call the host and other plugins, while versions come and go.
#[test]
fn no_call_is_lost_over_five_hundred_exchanges() {
    let host = Host::with(json!({"health": {"interval_ms": 1}}));
    let dice = std::sync::Mutex::new(Dice::new(7));
    let answer = Answer(move |call: &HostCall<'_>| {
        let Request::Translate { key, .. } = call.request else { panic!("only translate comes here") };
        let ms = dice.lock().unwrap().roll(6);
        std::thread::sleep(Duration::from_millis(ms as u64));
        Ok(json!({ "value": key }).to_string().into_bytes().into())
    });
    host.manager.provide("translate", Some(Box::new(answer))).unwrap();
    let fields = json!({"instances": 16, "swap": {"max_latency_factor": 0}});
    let name = |name: &str, version: u64| {
        registered(&json!({"name": name, "version": version.to_string(), "resources": {"instances": "auto"}}))
    };
    for plugin in ["a", "b"] {
        let mut fields = fields.clone();
        fields["permissions"] = json!([{"type": "plugin_call", "scope": ["*"]}]);
        fields["max_calls_per_second"] = json!(0);
        host.set_policy(plugin, fields);
        host.load(&name(plugin, 1));
    }
    let (at_least, at_most, served) = (AtomicU64::new(1), AtomicU64::new(1), AtomicU64::new(0));
    let stop = AtomicBool::new(false);
    let slow = r#"{"key":"x"}"#;
    let across = json!({"plugin": "a", "function": "vers", "args": {"key": "x"}}).to_string();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (host, stop, at_least, at_most, served, across) = (&host, &stop, &at_least, &at_most, &served, &across);
            scope.spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    let oldest = at_least.load(Ordering::SeqCst);
                    let answer = match thread % 3 {
                        0 => host.call("a", "vers", "").unwrap(),
                        1 => host.call("a", "vers", slow).unwrap(),
                        _ => host.call("b", "plugin_call", across).unwrap(),
                    };
                    let newest = at_most.load(Ordering::SeqCst);
                    let text = String::from_utf8(answer.unwrap()).unwrap();
                    let number: u64 = text.trim_matches('"').parse().unwrap_or_else(|_| panic!("{text}"));
                    assert!((oldest..=newest).contains(&number), "{oldest} <= {number} <= {newest}");
                    served.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let swapping = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for swap in 2..=SWAPS {
                at_most.store(swap, Ordering::SeqCst);
                let how = if swap.is_multiple_of(5) { "" } else { r#"{"drain_ms":0}"# };
                replace_with(&host, &name("a", swap), &options(how)).unwrap();
                at_least.store(swap, Ordering::SeqCst);
            }
        }));
        stop.store(true, Ordering::SeqCst);
        swapping.unwrap();
    });
    assert!(served.load(Ordering::SeqCst) > SWAPS);
    let stats = host.stats("a");
    assert_eq!((&stats["failed"], &stats["in_flight"]), (&json!(0), &json!(0)));
    until("all calls to be counted", || host.stats("a")["served"] == served.load(Ordering::SeqCst));
}

#[test]
fn calls_under_way_end_where_they_began() {
    let host = Host::new();
    let gate = Gate::new();
    Gates::install(&host, [("stop", &gate)]);
    host.load(&version("a", "1"));
    std::thread::scope(|scope| {
        let _open = OpenOnDrop(&[&gate]);
        let old = scope.spawn(|| host.text("a", "vers", r#"{"key":"stop"}"#));
        gate.await_entered(1);
        // It waits for the old version's only instance.
        let waiting = scope.spawn(|| host.text("a", "vers", ""));
        host.await_in_flight("a", 2);
        let report = replace_with(&host, &version("a", "2"), &options(r#"{"drain_ms":20}"#)).unwrap();
        assert_eq!((&report["drained"], &report["calls_running"]), (&json!(false), &json!(2)));
        assert_eq!(who(&host, "a"), "2", "new calls wait for nobody");
        // A second exchange stops the first version; who only waited for it is served by the one that serves now.
        replace_with(&host, &version("a", "3"), &options(r#"{"drain_ms":0}"#)).unwrap();
        assert_eq!(waiting.join().unwrap(), "3");
        gate.open();
        assert_eq!(old.join().unwrap(), "1");
    });
    assert_eq!(host.stats("a")["failed"], 0);
}

#[test]
fn two_exchanges_of_one_name_take_turns() {
    let host = Host::new();
    let gate = Gate::new();
    Gates::install(&host, [("stop", &gate)]);
    host.load(&version("a", "1"));
    std::thread::scope(|scope| {
        let _open = OpenOnDrop(&[&gate]);
        let call = scope.spawn(|| host.text("a", "vers", r#"{"key":"stop"}"#));
        gate.await_entered(1);
        let first = scope.spawn(|| replace(&host, &version("a", "2")).unwrap());
        until("the exchange", || host.manager.list()[0]["version"] == "2");
        for refused in [
            replace(&host, &version("a", "3")),
            host.manager.reload("a", &options("")),
            host.manager.rollback("a", &options("")),
        ] {
            assert_eq!(code_of(refused), ErrorCode::LifecycleSwapping);
        }
        gate.open();
        assert_eq!((first.join().unwrap()["drained"].clone(), call.join().unwrap()), (json!(true), "1".into()));
    });
    replace(&host, &version("a", "3")).unwrap();
    assert_eq!(who(&host, "a"), "3");
}

#[test]
fn a_version_that_fails_after_the_exchange_goes_back_by_itself() {
    let host = Host::new();
    host.set_policy("a", json!({"swap": {"min_calls": 5, "probation_ms": 86_400_000}}));
    host.load(&version("a", "1"));
    for _ in 0..10 {
        assert_eq!(who(&host, "a"), "1");
    }
    let events = Events::of(&host, &["plugin.rolled_back"]);
    let report = replace(&host, &version("a", "2")).unwrap();
    assert_eq!(report["probation_ms"], 86_400_000);
    let listed = host.manager.list();
    assert_eq!(listed[0]["previous"], json!({"version": "1", "generation": 1, "state": "draining"}));
    assert!(listed[0]["probation"]["remaining_ms"].as_u64().unwrap() > 0);
    // What callers or policies are to blame for counts for nothing.
    for _ in 0..10 {
        assert_eq!(
            host.ask("a", "db_query", &json!({"query": "SELECT 1 FROM users"})),
            Err("policy.permission_missing".into())
        );
        assert_eq!(code_of(host.call("a", "", "")), ErrorCode::ArgumentInvalid);
    }
    assert_eq!(host.manager.list()[0]["version"], "2");
    while host.manager.list()[0]["version"] == "2" {
        let _ = host.call("a", "trap", "");
    }
    let event = events.next();
    assert_eq!(
        (&event["reason"], &event["old_version"], &event["new_version"]),
        (&json!("error_rate"), &json!("2"), &json!("1"))
    );
    assert_eq!(
        event["figures"]["old"],
        json!({"calls": 10, "failed": 0, "error_percent": 0.0, "mean_us": event["figures"]["old"]["mean_us"]})
    );
    assert!(event["figures"]["new"]["failed"].as_u64().unwrap() >= 1);
    assert_eq!(who(&host, "a"), "1");
    assert_eq!(host.manager.list()[0]["previous"], Value::Null, "what failed is nothing to go back to");
}

#[test]
fn a_version_that_behaves_stays() {
    let host = Host::new();
    host.load(&version("a", "1"));
    assert_eq!(host.text("a", "tick", ""), "1");
    replace_with(&host, &version("a", "2"), &options(r#"{"probation_ms":1}"#)).unwrap();
    until("the end of the probation", || host.manager.list()[0]["previous"]["state"] == "resting");
    assert_eq!((who(&host, "a"), &host.manager.list()[0]["probation"]), ("2".into(), &Value::Null));
    // The way back is there all the same, and forth again; instances were given up.
    let report = host.manager.rollback("a", &options("")).unwrap();
    assert_eq!((&report["kind"], &report["new_version"]), (&json!("rolled_back"), &json!("1")));
    assert_eq!((who(&host, "a"), host.text("a", "tick", "")), ("1".into(), "1".into()));
    host.manager.rollback("a", &options("")).unwrap();
    assert_eq!(who(&host, "a"), "2");
}

#[test]
fn an_installed_package_and_what_runs_agree() {
    let (host, directory) = package_gate::host("required");
    let install = |number: &str| {
        let path = package_gate::write_package(directory.path(), number);
        package_gate::sign(&path, 1);
        package_gate::install(&host, &path).unwrap();
    };
    let both = || (host.manager.list()[0]["version"].clone(), host.manager.packages().unwrap()[0]["current"].clone());
    let agree = |version: &str| {
        let (runs, current) = both();
        assert_eq!(runs, version);
        assert!(current.as_str().unwrap().starts_with(version), "{current} is current, {version} runs");
    };
    install("1.0.0");
    host.manager.load_package("stats").unwrap();
    install("2.0.0");
    assert_eq!(both().0, "1.0.0", "installing replaces nothing");
    host.manager.reload("stats", &options("")).unwrap();
    agree("2.0.0");
    host.manager.rollback("stats", &options("")).unwrap();
    agree("1.0.0");
    host.manager.rollback("stats", &options("")).unwrap();
    agree("2.0.0");
    // Also when nothing is kept in memory: after a restart of the host.
    package_gate::unload(&host, "stats");
    host.manager.load_package("stats").unwrap();
    host.manager.rollback("stats", &options("")).unwrap();
    agree("1.0.0");
}

#[test]
fn the_files_of_a_reloaded_plugin_are_read_again() {
    let host = Host::new();
    let path = file(&host, &version("a", "1"));
    host.manager.load(&path).unwrap();
    std::fs::copy(file(&host, &version("a", "2")), &path).unwrap();
    assert_eq!(host.manager.reload("a", &options("")).unwrap()["kind"], "reloaded");
    assert_eq!(who(&host, "a"), "2");
    std::fs::copy(file(&host, &version("b", "3")), &path).unwrap();
    let error = host.manager.reload("a", &options("")).unwrap_err();
    assert_eq!((error.code(), &error.detail()["step"]), (ErrorCode::PackageNameMismatch, &json!("start")));
    assert_eq!(who(&host, "a"), "2");
}

#[test]
fn a_version_that_asks_for_more_gets_no_more() {
    let host = Host::new();
    let asking = |version: &str, tables: Value| {
        registered(&json!({
            "name": "a",
            "version": version,
            "resources": {"permissions": [{"type": "db", "access": "readwrite", "scope": tables}]},
        }))
    };
    host.approve("a", json!([{"type": "db", "access": "read", "scope": ["queue"]}]));
    host.load(&asking("1", json!(["queue"])));
    let report = replace(&host, &asking("2", json!(["queue", "users"]))).unwrap();
    assert!(!report["asks_for_more"].as_array().unwrap().is_empty(), "{report}");
    let users = host.ask("a", "db_query", &json!({"query": "SELECT login FROM users"}));
    assert_eq!(users, Err("policy.sql.table_denied".into()));
}

/// Number behind `name` in what the kernel tells about this process.
fn kilobytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn count(directory: &str) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}

#[test]
#[ignore = "runs as a child process of the next test"]
fn child_that_reloads() {
    let host = Host::new();
    let path = file(&host, &version("a", "1"));
    host.manager.load(&path).unwrap();
    let reload = |times: u32| {
        for _ in 0..times {
            host.manager.reload("a", &options(r#"{"probation_ms":0}"#)).unwrap();
            assert_eq!(who(&host, "a"), "1");
        }
    };
    reload(200);
    let (threads, files, before) = (count("/proc/self/task"), count("/proc/self/fd"), kilobytes());
    reload(1000);
    assert_eq!((count("/proc/self/task"), count("/proc/self/fd")), (threads, files));
    let growth = kilobytes().saturating_sub(before);
    println!("grown by {growth} kB");
    assert!(growth < 4096, "1000 reloads left {growth} kB behind");
}

#[test]
fn a_thousand_reloads_leave_nothing_behind() {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "blue_green::child_that_reloads", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && said.contains("grown by"), "{said}{}", String::from_utf8_lossy(&child.stderr));
}

#[test]
fn a_shutdown_says_what_became_of_each_plugin() {
    let host = Host::new();
    let gate = Gate::new();
    Gates::install(&host, [("stop", &gate)]);
    host.set_policy("stuck", json!({"shutdown_timeout": "20ms"}));
    host.load(&version("stuck", "1"));
    host.load(&version("quiet", "1"));
    std::thread::scope(|scope| {
        let _open = OpenOnDrop(&[&gate]);
        let call = scope.spawn(|| host.text("stuck", "vers", r#"{"key":"stop"}"#));
        gate.await_entered(1);
        // The plugin's own timeout ends the wait, not the host's patience.
        let report = host.manager.shut_down(PATIENCE).unwrap();
        assert_eq!(report["drained"], false);
        let outcomes: Vec<_> = report["plugins"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (&one["plugin"], &one["outcome"], &one["calls_running"]))
            .collect();
        assert_eq!(
            outcomes,
            [(&json!("quiet"), &json!("stopped"), &json!(0)), (&json!("stuck"), &json!("still_busy"), &json!(1))]
        );
        gate.open();
        assert_eq!(call.join().unwrap(), "1");
    });
}

/// What is revoked while it waits does not come back.
#[test]
fn what_is_not_trusted_any_more_is_nothing_to_go_back_to() {
    let directory = tempfile::tempdir().unwrap();
    let trust = directory.path().join("trust.json");
    let host = Host::with(json!({"packages": {"trust_file": trust, "signatures": "required"}}));
    let key = json!({"label": "k", "public_key": package_gate::secret(1).public().to_string(), "names": ["*"]});
    host.manager.trust_key(key.to_string().as_bytes()).unwrap();
    let package = |number: &str| {
        let path = package_gate::write_package(directory.path(), number);
        package_gate::sign(&path, 1);
        path
    };
    host.manager.load(&package("1.0.0")).unwrap();
    host.manager.replace(&package("2.0.0"), &options("")).unwrap();
    host.manager.revoke_trust(br#"{"key":"k","reason":"stolen"}"#).unwrap();
    let error = host.manager.rollback("stats", &options("")).unwrap_err();
    assert_eq!((error.code(), &error.detail()["step"]), (ErrorCode::SignatureRevoked, &json!("verify")));
    let listed = host.manager.list();
    assert_eq!((&listed[0]["version"], &listed[0]["previous"]["version"]), (&json!("2.0.0"), &json!("1.0.0")));
}

/// A version whose calls take much longer than before goes back as well.
#[test]
fn a_version_that_is_much_slower_goes_back_by_itself() {
    let host = Host::new();
    let answer = Answer(|_: &HostCall<'_>| {
        std::thread::sleep(Duration::from_millis(40));
        Ok(br#"{"value":""}"#.to_vec().into())
    });
    host.manager.provide("translate", Some(Box::new(answer))).unwrap();
    host.set_policy("a", json!({"swap": {"min_calls": 3, "probation_ms": 86_400_000}}));
    host.load(&version("a", "1"));
    for _ in 0..3 {
        assert_eq!(who(&host, "a"), "1");
    }
    let events = Events::of(&host, &["plugin.rolled_back", "plugin.drained"]);
    replace(&host, &version("a", "2")).unwrap();
    assert_eq!(events.next()["version"], "1");
    while host.manager.list()[0]["version"] == "2" {
        host.text("a", "vers", r#"{"key":"x"}"#);
    }
    let event = events.next();
    assert_eq!((&event["reason"], &event["figures"]["new"]["failed"]), (&json!("latency"), &json!(0)));
    let drained = events.next();
    assert_eq!((&drained["version"], &drained["drained"]), (&json!("2"), &json!(true)));
}

/// Instances that served calls when they were given up are not used again.
#[test]
fn a_version_that_comes_back_has_fresh_instances() {
    let host = Host::new();
    let gate = Gate::new();
    Gates::install(&host, [("stop", &gate)]);
    host.load(&version("a", "1"));
    assert_eq!(host.text("a", "tick", ""), "1");
    std::thread::scope(|scope| {
        let _open = OpenOnDrop(&[&gate]);
        let call = scope.spawn(|| host.text("a", "vers", r#"{"key":"stop"}"#));
        gate.await_entered(1);
        replace_with(&host, &version("a", "2"), &options(r#"{"drain_ms":0,"probation_ms":0}"#)).unwrap();
        gate.open();
        assert_eq!(call.join().unwrap(), "1");
    });
    host.manager.rollback("a", &options("")).unwrap();
    assert_eq!((who(&host, "a"), host.text("a", "tick", "")), ("1".into(), "1".into()));
}
