//! Faults that the reference has when it reloads plugins, one test each.

use goatflow_plugin::error::ErrorCode;
use serde_json::json;

use crate::package_gate;
use crate::support::{Gate, Gates, Host, OpenOnDrop, PATIENCE, code_of, until};
use crate::versions::{Events, file, options, registered, replace, replace_with, version, who, with_ping};

/// The reference waits for a call of the old version while it holds the lock that the call needs to reach other plugins: all
/// plugins stand still for ever.
#[test]
fn a_call_that_is_waited_for_can_call_other_plugins() {
    let host = Host::new();
    let gate = Gate::new();
    Gates::install(&host, [("stop", &gate)]);
    host.load(&version("b", "9"));
    host.set_policy(
        "a",
        json!({"permissions": [
            {"type": "plugin_call", "scope": ["b"]}]}),
    );
    host.load(&version("a", "1"));
    std::thread::scope(|scope| {
        let _open = OpenOnDrop(&[&gate]);
        let arguments = json!({"key": "stop", "plugin": "b", "function": "vers"}).to_string();
        let (host, gate) = (&host, &gate);
        let call = scope.spawn(move || host.call("a", "then:plugin_call", arguments).unwrap().unwrap());
        gate.await_entered(1);
        let swap = scope.spawn(move || replace(host, &version("a", "2")).unwrap());
        until("the exchange", || host.manager.list()[0]["version"] == "2");
        gate.open();
        assert!(String::from_utf8(call.join().unwrap()).unwrap().contains('9'));
        assert_eq!(swap.join().unwrap()["drained"], true);
    });
}

/// The reference starts the new version under the lock that every call of every plugin needs.
#[test]
fn calls_go_on_while_a_version_starts() {
    let host = Host::new();
    let gate = Gate::new();
    Gates::install(&host, [("stop", &gate)]);
    for name in ["a", "b"] {
        host.load(&version(name, "1"));
    }
    // The probe of the new version calls the host, which keeps it waiting.
    let arguments = r#"{"key":"stop"}"#;
    let length = arguments.len();
    let body = format!("(drop (call $host_call (i32.const 64) (i32.const 9) (i32.const 900) (i32.const {length})))");
    let mut slow = with_ping("a", "2", &body);
    slow.more.push_str(&format!("(data (i32.const 900) \"{}\")", crate::support::escaped(arguments.as_bytes())));
    std::thread::scope(|scope| {
        let _open = OpenOnDrop(&[&gate]);
        let swap = scope.spawn(|| replace(&host, &slow).unwrap());
        gate.await_entered(1);
        assert_eq!((who(&host, "a"), who(&host, "b")), ("1".into(), "1".into()));
        gate.open();
        swap.join().unwrap();
    });
    assert_eq!(who(&host, "a"), "2");
}

/// The reference shuts the old version down before the new one serves, and asks nobody whether the new one is healthy.
#[test]
fn the_old_version_serves_until_the_new_one_is_healthy() {
    let host = Host::new();
    host.load(&version("a", "1"));
    let error = replace(&host, &with_ping("a", "2", "(unreachable)")).unwrap_err();
    assert_eq!((error.code(), who(&host, "a")), (ErrorCode::PluginUnhealthy, "1".into()));
}

/// The reference keeps translations, error codes and routes of the old version.
#[test]
fn texts_change_with_the_version() {
    let host = Host::new();
    let with_text = |number: &str, text: &str| {
        registered(&json!({"name": "a", "version": number, "i18n": {"translations": {"en": {"t": text}}}}))
    };
    host.load(&with_text("1", "one"));
    let text = || host.ask("a", "translate", &json!({"key": "a.t"})).unwrap()["value"].clone();
    assert_eq!(text(), "one");
    replace(&host, &with_text("2", "two")).unwrap();
    assert_eq!(text(), "two");
    host.manager.rollback("a", &options("")).unwrap();
    assert_eq!(text(), "one");
}

/// The reference reloads without looking at signatures.
#[test]
fn a_reload_passes_the_gate() {
    let (host, directory) = package_gate::host("required");
    let package = package_gate::write_package(directory.path(), "1.0.0");
    package_gate::sign(&package, 1);
    host.manager.load(&package).unwrap();
    std::fs::copy(package_gate::write_package(&std::env::temp_dir(), "2.0.0"), &package).unwrap();
    let error = host.manager.reload("stats", &options("")).unwrap_err();
    assert_eq!((error.code(), &error.detail()["step"]), (ErrorCode::SignatureBad, &json!("verify")));
    assert_eq!(host.manager.list()[0]["version"], "1.0.0");
}

/// The reference takes a disabled plugin for one that is not there, and can't reload it.
#[test]
fn a_disabled_plugin_is_replaced_and_stays_disabled() {
    let host = Host::new();
    host.load(&version("a", "1"));
    host.manager.disable("a", PATIENCE).unwrap();
    let report = replace(&host, &version("a", "2")).unwrap();
    assert_eq!((&report["enabled"], &host.manager.list()[0]["enabled"]), (&json!(false), &json!(false)));
    assert_eq!(code_of(host.call("a", "vers", "")), ErrorCode::LifecycleDisabled);
    host.manager.enable("a").unwrap();
    assert_eq!(who(&host, "a"), "2");
}

/// The reference looks a plugin up by the name of its file.
#[test]
fn the_name_that_a_plugin_registers_counts_and_not_that_of_its_file() {
    let host = Host::new();
    let path = file(&host, &version("something-else", "1"));
    host.manager.load(&path).unwrap();
    std::fs::copy(file(&host, &version("something-else", "2")), &path).unwrap();
    host.manager.reload("something-else", &options("")).unwrap();
    assert_eq!(who(&host, "something-else"), "2");
}

/// The reference does not read a changed manifest when it reloads.
#[test]
fn a_changed_manifest_is_read() {
    let host = Host::new();
    let directory = host.fresh_path("package");
    std::fs::create_dir(&directory).unwrap();
    let write = |number: &str, tables: &[&str]| {
        let resources = json!({"permissions": [{"type": "db", "access": "read", "scope": tables}]});
        let manifest = json!({"name": "a", "version": number, "runtime": "wasm", "resources": resources});
        std::fs::write(directory.join("manifest.json"), manifest.to_string()).unwrap();
        std::fs::copy(file(&host, &version("a", number)), directory.join("plugin.wasm")).unwrap();
    };
    write("1", &["queue"]);
    host.manager.load(&directory).unwrap();
    write("2", &["ticket"]);
    let report = host.manager.reload("a", &options("")).unwrap();
    assert_eq!(report["asks_for_more"], json!(["db read on ticket"]));
    assert_eq!(host.manager.requested("a").unwrap()["permissions"][0]["scope"], json!(["ticket"]));
}

/// The reference keeps a plugin registered that failed to shut down, dead.
#[test]
fn an_unloaded_plugin_is_gone_and_its_name_is_free() {
    let host = Host::new();
    host.load(&version("a", "1"));
    replace(&host, &version("a", "2")).unwrap();
    host.manager.unload("a", PATIENCE).unwrap();
    assert_eq!(code_of(host.manager.rollback("a", &options(""))), ErrorCode::LifecyclePluginNotFound);
    host.load(&version("a", "3"));
    assert_eq!(who(&host, "a"), "3");
    assert_eq!(code_of(host.manager.rollback("a", &options(""))), ErrorCode::LifecycleNoPrevious);
}

/// The reference lets the calls of a disabled plugin run on, and its disabling returns at once.
#[test]
fn disabling_waits_for_calls_under_way() {
    let host = Host::new();
    let gate = Gate::new();
    Gates::install(&host, [("stop", &gate)]);
    host.load(&version("a", "1"));
    std::thread::scope(|scope| {
        let _open = OpenOnDrop(&[&gate]);
        let call = scope.spawn(|| host.text("a", "vers", r#"{"key":"stop"}"#));
        gate.await_entered(1);
        let disabling = scope.spawn(|| host.manager.disable("a", PATIENCE));
        until("the refusal", || host.manager.list()[0]["enabled"] == false);
        assert_eq!(code_of(host.call("a", "vers", "")), ErrorCode::LifecycleDisabled);
        assert!(!disabling.is_finished(), "a call is under way");
        gate.open();
        disabling.join().unwrap().unwrap();
        assert_eq!(call.join().unwrap(), "1");
    });
}

/// In the reference, a host that exchanges a plugin inside that plugin's own call waits for itself.
#[test]
fn an_exchange_inside_the_plugins_own_call_is_refused_or_waits_for_nothing() {
    let host = Host::new();
    host.load(&version("a", "1"));
    let manager = std::sync::Arc::downgrade(&host.manager);
    let path = file(&host, &version("a", "2"));
    let events = Events::of(&host, &["plugin.failed"]);
    let answer = crate::support::Answer(move |_: &goatflow_plugin::host::HostCall<'_>| {
        let manager = manager.upgrade().unwrap();
        let refused = manager.replace(&path, &options("")).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::LifecycleInCallback);
        let report = manager.replace(&path, &options(r#"{"drain_ms":0}"#)).unwrap();
        assert_eq!(report["drained"], false);
        Ok(br#"{"value":""}"#.to_vec().into())
    });
    host.manager.provide("translate", Some(Box::new(answer))).unwrap();
    assert_eq!(host.text("a", "vers", r#"{"key":"x"}"#), "1");
    assert_eq!((who(&host, "a"), &events.next()["error"]["code"]), ("2".into(), &json!("lifecycle.in_callback")));
    let _ = replace_with(&host, &version("a", "3"), &options(""));
}
