//! The attempts of the probe, made by a plugin in service: loaded by a manager, supervised, with everything that a third
//! party's plugin has, as root and as an ordinary user.

use std::collections::BTreeMap;
use std::path::Path;

use goatflow_plugin::error::{Error, ErrorCode, Result};
use goatflow_plugin::host::log::LogFilter;
use goatflow_plugin::manager::CallOptions;
use serde_json::{Value, json};

use super::jail_escape::{Bait, Delegated, assert_nothing_escapes};
use super::jail_support::{Prefix, Tools, as_ordinary_user, everybody, is_root, run, words};
use super::native_support::{Held, NativeHost, escape, kill};
use super::support::until;

/// What the host of the plugin is told, in its environment.
const PROGRAM: &str = "GOATFLOW_TEST_ESCAPE";
const PLANTED: &str = "GOATFLOW_TEST_PLANTED";
const MISSING: &str = "GOATFLOW_TEST_MISSING";

/// Layers that a host without control groups can't give.
const GROUPS: &str = "cpu,memory,pids";

/// Runs a host of its own behind `prefix`, whose plugin makes all attempts and must be told that exactly these layers are
/// missing; the word for each attempt, as in `jail_escape`.
fn attempts(tools: &Tools, bait: &Bait, prefix: &[String], missing: &str) -> BTreeMap<String, String> {
    let mut command = words("env");
    let planted = bait.arguments.join("\n").replace("echo open", "echo escaped");
    command.push(format!("{PROGRAM}={}", tools.text("escape")));
    command.push(format!("{PLANTED}={planted}"));
    command.push(format!("{MISSING}={missing}"));
    command.extend(memory_for_files());
    command.extend_from_slice(prefix);
    command.push(tools.text("host"));
    command.extend(words("--exact jail_plugin::host_of_the_attempts --ignored --nocapture --test-threads=1"));
    let output = run(&command);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let lines = text.lines().filter_map(|line| line.strip_prefix("attempt "));
    let mut results: BTreeMap<_, _> =
        lines.filter_map(|line| line.split_once(' ')).map(|(name, word)| (name.to_owned(), word.to_owned())).collect();
    if !is_root() {
        // See below.
        results.remove("mounts");
    }
    results
}

/// A plugin sees which file system its own files come from; where systems keep them, that is memory and names no disk.
fn memory_for_files() -> Prefix {
    if !is_root() {
        return Prefix::new();
    }
    let script = "mount -t tmpfs -o mode=1777 tmpfs /run && exec \"$@\"";
    [words("unshare -m sh -c"), vec![script.to_owned(), "sh".to_owned()]].concat()
}

/// The programs of the tests, with the plugin and a host for it.
fn tools() -> Tools {
    let tools = Tools::new();
    std::fs::write(tools.path("escape"), escape()).unwrap();
    let own = std::env::current_exe().unwrap();
    if std::fs::hard_link(&own, tools.path("host")).is_err() {
        std::fs::copy(&own, tools.path("host")).unwrap();
    }
    tools
}

fn restricted(tools: &Tools, who: &[String], what: &str) -> Prefix {
    [who, &[tools.text("restrict"), what.to_owned()]].concat()
}

#[test]
fn nothing_escapes_from_a_plugin_in_service() {
    let tools = tools();
    let bait = Bait::new(&tools);
    if is_root() {
        assert_nothing_escapes("root", &attempts(&tools, &bait, &Prefix::new(), ""));
    }
    let delegated = Delegated::new().filter(|_| is_root());
    let (prefix, missing) =
        delegated.as_ref().map_or_else(|| (as_ordinary_user(), GROUPS), |groups| (groups.prefix(), ""));
    assert_nothing_escapes("ordinary user", &attempts(&tools, &bait, &prefix, missing));
    let without =
        attempts(&tools, &bait, &restricted(&tools, &as_ordinary_user(), "landlock"), "cpu,landlock,memory,pids");
    assert_nothing_escapes("ordinary user without groups and Landlock", &without);
}

#[test]
fn a_plugin_in_service_without_namespaces_finds_only_what_is_documented() {
    let tools = tools();
    let bait = Bait::new(&tools);
    // As for programs without sockets; besides, it may connect, and its socket directory is the host's. The threads of
    // ordinary users count together with everything else that the user runs.
    let known = [
        "cgroups",
        "machine_name",
        "many_files",
        "many_threads",
        "mounts",
        "path_socket",
        "planted_stat",
        "queue_memory",
        "sockets_bytes",
        "sockets_files",
    ];
    for (who, prefix) in everybody() {
        let missing =
            if who == "root" { "namespaces,user_namespace" } else { "cpu,memory,namespaces,pids,user_namespace" };
        let results = attempts(&tools, &bait, &restricted(&tools, &prefix, "namespaces"), missing);
        let open: Vec<&str> =
            results.iter().filter(|(_, word)| *word == "open").map(|(name, _)| name.as_str()).collect();
        assert!(open.iter().all(|name| known.contains(name)), "{who}: {open:?}");
        assert!(open.contains(&"sockets_files"), "{who}: {open:?}");
        assert!(!results.values().any(|word| word == "broken"), "{who}: {results:?}");
    }
}

fn call(host: &NativeHost, function: &str, arguments: &Value) -> Result<Value> {
    let mut answer = Value::Null;
    host.manager.call("escape", function, arguments.to_string().as_bytes(), &CallOptions::default(), &mut |bytes| {
        answer = serde_json::from_slice(bytes).unwrap();
        Ok(())
    })?;
    Ok(answer)
}

/// What is reported about the plugin's process.
fn process(host: &NativeHost) -> Value {
    host.manager.list().as_array().unwrap()[0]["process"].clone()
}

/// The word for an attempt that ended the process: only the filter, or a limit on memory, is a reason for that.
fn word_of(error: &Error) -> &'static str {
    let signal = &error.detail()["signal"];
    match error.code() {
        ErrorCode::PluginMemoryLimit => "ended",
        ErrorCode::PluginExited if *signal == 31 => "ended",
        // Without a group the launcher looks after memory.
        ErrorCode::PluginExited if *signal == 9 => "ended",
        _ => panic!("{error} {:?}", error.detail()),
    }
}

#[test]
#[ignore = "has a secret in its environment, and another user: run by the test above"]
fn host_of_the_attempts() {
    let variable = |name: &str| std::env::var(name).unwrap();
    let program = std::fs::read(variable(PROGRAM)).unwrap();
    let missing = variable(MISSING);
    let has_namespaces = !missing.contains("namespaces");
    let planted: Vec<String> = variable(PLANTED)
        .lines()
        .map(|line| if line.starts_with("host=") { format!("host={}", std::process::id()) } else { line.to_owned() })
        .collect();
    let host = NativeHost::new();
    let policy = json!({"memory_mb": 256, "init_timeout": "60s", "call_timeout": "60s", "isolation": {"minimum": 2}});
    host.set_policy("escape", policy);
    host.load("escape", "escape", &program).unwrap();
    assert_isolation(&process(&host), &missing);
    let names = call(&host, "names", &json!({})).unwrap();
    let before = Held::now();
    for (number, name) in names.as_array().unwrap().iter().enumerate() {
        let name = name.as_str().unwrap();
        let arguments = json!({"Number": number, "Planted": planted});
        let word = match call(&host, "attempt", &arguments) {
            Ok(word) => word.as_str().unwrap().to_owned(),
            Err(error) => word_of(&error).to_owned(),
        };
        println!("attempt {name} {word}");
        if name == "many_threads" {
            // Sleeping threads would be in the way of the rest.
            process(&host)["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).into_iter().for_each(kill);
        }
        host.manager.reset_crash_loop("escape").unwrap();
        until("a process that serves", || call(&host, "names", &json!({})).is_ok());
    }
    // A shell would have said so in the plugin's name.
    assert!(!host.manager.logs(&LogFilter::default()).to_string().contains("escaped"));
    // The descriptors that the plugin gave away are nobody's.
    until("what was given is closed", || Held::now().descriptors <= before.descriptors);
    if has_namespaces {
        assert_nothing_on_disk(&host);
    }
    host.manager.unload("escape", super::support::PATIENCE).unwrap();
    until("everything is cleaned up", || host.leftovers().is_empty());
}

/// The report of a plugin in service: exactly what this host can't give is missing.
fn assert_isolation(process: &Value, expected: &str) {
    let isolation = &process["isolation"];
    let layers = isolation["layers"].as_array().unwrap();
    let of = |state: &str| {
        let layers = layers.iter().filter(|layer| layer["state"] == state);
        let mut names: Vec<&str> = layers.map(|layer| layer["name"].as_str().unwrap()).collect();
        names.sort_unstable();
        names
    };
    assert_eq!(of("missing").join(","), expected, "{isolation:#}");
    let level = match expected {
        "" => 4,
        text if text.contains("namespaces") => 2,
        _ => 3,
    };
    assert_eq!(isolation["level"], level, "{isolation:#}");
    let weak = if level == 2 { "reduced" } else { "ok" };
    assert!(of(weak).contains(&"sockets"), "{isolation:#}");
}

/// What the plugin wrote is nowhere in the host's directories.
fn assert_nothing_on_disk(host: &NativeHost) {
    for plugin in host.leftovers() {
        let place = host.directory.path().join("n").join(plugin);
        // Besides its own files, which it can't write to.
        let sockets = std::fs::read_dir(&place).unwrap().flatten().filter(|entry| entry.file_name() != "files");
        for directory in sockets {
            let names = std::fs::read_dir(directory.path()).unwrap().flatten().map(|entry| entry.file_name());
            assert!(names.into_iter().all(|name| Path::new(&name) == Path::new("host@goatflow")), "{directory:?}");
        }
    }
}
