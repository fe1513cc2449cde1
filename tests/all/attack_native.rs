//! Attacks by native plugins that stand in service: what they do without being asked, and what others learn of them.

use std::path::Path;
use std::time::Duration;

use goatflow_plugin::error::ErrorCode;
use serde_json::{Value, json};

use crate::support::{Guest, Host, until};

/// A host with the attacker in service.
fn host() -> Host {
    let host = Host::new();
    load(&host, "attacker", json!([]));
    host
}

/// Loads the attacker under this name.
pub fn load(host: &Host, name: &str, permissions: Value) {
    let isolation = json!({"interpreter": "/usr/bin/python3", "read_only": ["/usr/lib", "/lib", "/lib64"]});
    let policy = json!({
        "isolation": isolation, "memory_mb": 256, "init_timeout": "60s", "call_timeout": "60s",
        "max_calls_per_second": 0, "permissions": permissions,
    });
    host.set_policy(name, policy);
    let directory = host.fresh_path(name);
    std::fs::create_dir(&directory).unwrap();
    let manifest = format!("name: {name}\nversion: 1.0.0\nruntime: grpc\nbinary: attacker.py\n");
    std::fs::write(directory.join("plugin.yaml"), manifest).unwrap();
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/native/attacker.py");
    std::fs::copy(program, directory.join("attacker.py")).unwrap();
    host.manager.load(&directory).unwrap();
}

pub fn process(host: &Host) -> Value {
    let plugins = host.manager.list();
    let attacker = plugins.as_array().unwrap().iter().find(|plugin| plugin["name"] == "attacker");
    attacker.unwrap()["process"].clone()
}

fn beats(host: &Host) -> usize {
    host.log_lines("attacker").iter().filter(|line| *line == "beat").count()
}

#[test]
fn a_disabled_plugin_does_not_go_on_in_the_background() {
    let host = host();
    host.call("attacker", "background", "{}").unwrap();
    until("host calls out of the blue", || beats(&host) > 0);
    let pid = process(&host)["pid"].as_u64().unwrap();
    host.manager.disable("attacker", Duration::from_secs(60)).unwrap();
    until("the process to end", || !Path::new(&format!("/proc/{pid}")).exists());
    assert_eq!(process(&host)["state"], "resting");
    host.manager.enable("attacker").unwrap();
    assert_eq!(host.text("attacker", "echo", "{}"), "{}");
    assert_eq!(process(&host)["state"], "serving");
}

#[test]
fn a_plugin_does_not_learn_what_another_one_wrote_before_it_died() {
    let host = host();
    host.load(&Guest::named("spy"));
    host.approve("spy", json!([{"type": "plugin_call", "scope": ["*"]}]));
    let die = json!({"plugin": "attacker", "function": "die", "args": {}});
    let error = host.ask_raw("spy", "plugin_call", die.to_string()).unwrap_err();
    assert_eq!(error["code"], ErrorCode::PluginExited.slug(), "{error}");
    assert!(!error.to_string().contains("hunter2"), "{error}");
    // The administrator does.
    until("the crash in the log", || host.log_lines("attacker").iter().any(|line| line.contains("key=hunter2")));
}

#[test]
fn a_disabled_plugin_is_not_started_again_after_a_crash() {
    let host = host();
    // The second crash in a row makes it pause.
    for _ in 0..2 {
        let error = host.call("attacker", "die", "{}").unwrap_err();
        assert_eq!(error.code(), ErrorCode::PluginExited, "{error}");
    }
    until("a pause", || process(&host)["state"] != "serving");
    host.manager.disable("attacker", Duration::from_secs(60)).unwrap();
    until("the plugin to rest", || process(&host)["state"] == "resting");
    let processes = process(&host)["processes"].clone();
    host.manager.enable("attacker").unwrap();
    assert_eq!(host.text("attacker", "echo", "{}"), "{}");
    assert_eq!(process(&host)["processes"].as_u64().unwrap(), processes.as_u64().unwrap() + 1);
}
