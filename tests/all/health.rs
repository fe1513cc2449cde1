//! Plugins that don't answer are found and started afresh; one that hangs holds nobody up.

use serde_json::{Value, json};

use crate::support::{Gate, Gates, Host, OpenOnDrop, until};
use crate::versions::{Events, version, with_ping};

fn state(host: &Host, plugin: &str) -> Value {
    host.manager.health(plugin).unwrap()["state"].clone()
}

#[test]
fn a_plugin_that_answers_is_healthy_whatever_it_answers() {
    let host = Host::with(json!({"health": {"interval_ms": 0}}));
    host.load(&version("a", "1"));
    assert_eq!(state(&host, "a"), "unknown");
    let report = host.manager.probe("a").unwrap();
    assert_eq!((&report["state"], &report["plugin"]), (&json!("healthy"), &json!("a")));
    assert_eq!((&report["last_probe"]["healthy"], &report["last_probe"]["error"]), (&json!(true), &Value::Null));
    assert_eq!(host.stats("a")["served"], 0, "a probe is no call");
}

/// The reference counts a plugin as healthy that answers with an error, even when its process is dead.
#[test]
fn a_plugin_that_fails_three_times_is_started_afresh_until_that_helps_no_more() {
    let host = Host::with(json!({"health": {"interval_ms": 0}}));
    host.load(&with_ping("a", "1", "(unreachable)"));
    let events = Events::of(&host, &["plugin.unhealthy", "plugin.restarted", "plugin.crash_loop"]);
    let fail = || {
        for failures in 1..=2 {
            assert_eq!(host.manager.probe("a").unwrap()["consecutive_failures"], failures);
        }
        host.manager.probe("a").unwrap();
        let unhealthy = events.next();
        assert_eq!((&unhealthy["kind"], &unhealthy["failures"]), (&json!("plugin.unhealthy"), &json!(3)));
        assert_eq!(unhealthy["error"]["code"], "plugin.trap");
    };
    fail();
    assert_eq!(host.text("a", "tick", ""), "1", "it is asked to serve all the same");
    assert_eq!(events.next(), json!({"kind": "plugin.restarted", "plugin": "a", "reason": "unhealthy"}));
    until("the restart", || state(&host, "a") == "unknown");
    assert_eq!(host.manager.health("a").unwrap()["recovery"]["restarts"], 1);
    fail();
    assert_eq!(events.next()["kind"], "plugin.restarted");
    // The failures of the past belong to the name: neither a new version nor a reload forgets them.
    assert_eq!(host.manager.health("a").unwrap()["recovery"]["failures"], 2);
    let again = with_ping("a", "2", "(unreachable)");
    crate::versions::replace_with(&host, &again, &crate::versions::options(r#"{"probe":false}"#)).unwrap();
    assert_eq!(host.manager.health("a").unwrap()["recovery"]["failures"], 2);
}

#[test]
fn a_plugin_that_failed_too_often_is_left_alone_until_somebody_resets_it() {
    let host = Host::with(json!({"health": {"interval_ms": 0}}));
    host.load(&with_ping("a", "1", "(unreachable)"));
    let events = Events::of(&host, &["plugin.crash_loop"]);
    let recovery = || host.manager.health("a").unwrap()["recovery"].clone();
    // Failures in a row make the pauses longer; a reset of the count in between is what an operator can do.
    let mut rounds = 0;
    while recovery()["crash_loop"] == false {
        host.manager.probe("a").unwrap();
        if state(&host, "a") == "unhealthy" {
            rounds += 1;
            // Putting the same version back in place spares the pause.
            let again = with_ping("a", "1", "(unreachable)");
            crate::versions::replace_with(&host, &again, &crate::versions::options(r#"{"probe":false}"#)).unwrap();
        }
        assert!(rounds < 20, "{}", recovery());
    }
    assert_eq!(events.next()["recovery"]["crash_loop"], true);
    assert_eq!(state(&host, "a"), "crash_loop");
    assert_eq!(host.manager.reset_crash_loop("a").unwrap()["state"], "unknown");
    assert_eq!(recovery()["crash_loop"], false);
}

/// In the reference one plugin that hangs stops all probes for ever.
#[test]
fn a_plugin_that_hangs_holds_no_other_up() {
    let host = Host::with(json!({"health": {"interval_ms": 5, "timeout_ms": 600_000}}));
    let gate = Gate::new();
    Gates::install(&host, [("stop", &gate)]);
    let arguments = r#"{"key":"stop"}"#;
    let length = arguments.len();
    let body = format!("(drop (call $host_call (i32.const 64) (i32.const 9) (i32.const 900) (i32.const {length})))");
    let mut stuck = with_ping("a", "1", &body);
    stuck.more.push_str(&format!("(data (i32.const 900) \"{}\")", crate::support::escaped(arguments.as_bytes())));
    let _open = OpenOnDrop(&[&gate]);
    host.load(&stuck);
    host.load(&version("b", "1"));
    gate.await_entered(1);
    let probed = || host.manager.health("b").unwrap()["last_probe"]["at"].clone();
    until("a probe", || probed() != Value::Null);
    let first = probed();
    until("another one", || probed() != first);
    assert_eq!((state(&host, "a"), gate.entered()), (json!("unknown"), 1), "it is asked once at a time");
}

#[test]
fn a_plugin_whose_instances_all_serve_calls_is_healthy() {
    let host = Host::with(json!({"health": {"interval_ms": 0}}));
    let gate = Gate::new();
    Gates::install(&host, [("stop", &gate)]);
    host.load(&version("a", "1"));
    std::thread::scope(|scope| {
        let _open = OpenOnDrop(&[&gate]);
        let call = scope.spawn(|| host.text("a", "vers", r#"{"key":"stop"}"#));
        gate.await_entered(1);
        assert_eq!(host.manager.probe("a").unwrap()["state"], "healthy");
        gate.open();
        assert_eq!(call.join().unwrap(), "1");
    });
}
