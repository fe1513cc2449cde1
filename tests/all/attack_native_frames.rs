//! A plugin that breaks its protocol while it stands in service, in every way that its frames allow: each has its code, says
//! what was wrong, and takes nothing from the host or from others.

use std::time::Duration;

use goatflow_plugin::error::ErrorCode;
use serde_json::{Value, json};

use super::attack_native::{load, process};
use super::native_support::{Held, alone, assert_passes};
use crate::support::{Gate, Gates, Guest, Host, OpenOnDrop, timeout, until};

use ErrorCode::{
    PluginDeadline as Deadline, PluginExited as Exited, PluginProtocol as Protocol, PluginResultTooLarge as TooLarge,
};

const FLOOD: &str = "frames came that carry nothing";
const RULES: &str = "HTTP/2 breaks the rules";

/// What the plugin does instead of answering, the code of the call, and a part of what is said.
const BREACHES: &[(&str, ErrorCode, &str)] = &[
    ("nothing", Deadline, ""),
    ("no-window", Deadline, ""),
    ("half-a-frame", Deadline, ""),
    ("half-a-message", Deadline, ""),
    ("stops", Deadline, ""),
    ("no-status", Protocol, "ends without a status"),
    ("no-message", Protocol, "has no message"),
    ("cut", Protocol, "is cut off"),
    ("compressed", Protocol, "is compressed"),
    ("too-long", TooLarge, "4294967295 bytes"),
    ("more-than-said", Protocol, "two messages came"),
    ("html", Protocol, "another content type"),
    ("not-found", Protocol, "HTTP status 404"),
    ("reset", Protocol, "ended the call without an answer"),
    ("push", Protocol, RULES),
    // It ends when the host hangs up.
    ("farewell", Exited, "exit code 0"),
    ("angry-farewell", Protocol, "ended the conversation"),
    ("window", Protocol, RULES),
    ("giant-frame", Protocol, RULES),
    ("nobodys-stream", Protocol, RULES),
    ("garbage", Protocol, RULES),
    ("hpack-bomb", Protocol, RULES),
    ("pings", Protocol, FLOOD),
    ("settings", Protocol, FLOOD),
    ("windows", Protocol, ""),
    ("priorities", Protocol, FLOOD),
    ("unknown", Protocol, FLOOD),
    ("empty-data", Protocol, RULES),
    ("hints", Protocol, ""),
    ("continuations", Protocol, RULES),
    ("hangs-up", Protocol, "closed its connection and went on"),
    ("exits", Exited, "exit code 4"),
];

fn megabytes(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

/// Processor time that this process has used.
fn cpu_ms() -> i64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<i64> =
        stat.rsplit(") ").next().unwrap().split(' ').filter_map(|field| field.parse().ok()).collect();
    // Behind the name and the state: ten fields, then user and system time in hundredths of a second.
    (fields[10] + fields[11]) * 10
}

#[test]
fn every_breach_has_its_error_and_costs_nothing() {
    assert_passes(&alone("attack_native_frames::breaches").output().unwrap());
}

#[test]
#[ignore = "counts what its process holds: run by the test above, in a process of its own"]
fn breaches() {
    let host = Host::with(json!({"health": {"interval_ms": 0}}));
    load(&host, "bystander", json!([]));
    let mut wrong = Vec::new();
    let mut before = None;
    for (breach, code, text) in BREACHES {
        load(&host, "attacker", json!([]));
        let held = Held::now();
        let patience = if *code == Deadline { 700 } else { 60_000 };
        let (began, cpu) = (std::time::Instant::now(), cpu_ms());
        let error = host.call_with("attacker", breach, "{}", &timeout(patience)).unwrap_err();
        if error.code() != *code || !error.to_string().contains(text) {
            wrong.push(format!("{breach}: {:?} {error} {:?}", error.code(), error.detail().get("log_tail")));
        }
        let (took, cpu) = (began.elapsed().as_millis(), cpu_ms() - cpu);
        println!("{breach}: {took} ms, {cpu} ms of the host's processor time, {} MB", megabytes("VmRSS"));
        // Another plugin never knew.
        assert_eq!(host.text("bystander", "echo", "{}"), "{}", "{breach}");
        host.manager.unload("attacker", Duration::ZERO).unwrap();
        before.get_or_insert((held, megabytes("VmRSS")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let (held, resident) = before.unwrap();
    load(&host, "attacker", json!([]));
    until("everything is given back", || {
        let now = Held::now();
        Held { threads: held.threads, ..now } == held
    });
    // Workers stay, as many as were needed at once; one after the other needs no more.
    let threads = Held::now().threads;
    for breach in ["no-status", "garbage", "pings", "exits", "compressed", "window"] {
        host.call_with("attacker", breach, "{}", &timeout(60_000)).unwrap_err();
        host.manager.unload("attacker", Duration::ZERO).unwrap();
        load(&host, "attacker", json!([]));
        until("everything is given back", || {
            let now = Held::now();
            Held { threads: held.threads, ..now } == held
        });
    }
    assert!(Held::now().threads <= threads, "{:?} {threads} threads before", Held::now());
    let (now, peak) = (megabytes("VmRSS"), megabytes("VmHWM"));
    println!("resident: {resident} MB at first, {now} MB at last, {peak} MB at most");
    assert!(now < resident + 32 && peak < resident + 64, "{resident} {now} {peak}");
}

#[test]
fn what_a_plugin_writes_without_end_is_slowed_down() {
    for what in ["chatter", "binary-chatter"] {
        let host = Host::new();
        load(&host, "attacker", json!([]));
        host.call("attacker", what, "{}").unwrap();
        for _ in 0..20 {
            assert_eq!(host.text("attacker", "echo", "{}"), "{}");
        }
        host.manager.unload("attacker", Duration::ZERO).unwrap();
        let lines = host.log_lines("attacker").concat();
        assert!(!lines.contains(['\0', '\u{1b}']), "{lines:?}");
    }
}

/// What the host holds while calls come and go that a plugin never reads.
#[test]
#[ignore = "measures its process: run by the test below, in a process of its own"]
fn deafness() {
    let host = Host::with(json!({"health": {"interval_ms": 0}}));
    load(&host, "attacker", json!([]));
    host.call("attacker", "deaf", "{}").unwrap();
    let before = megabytes("VmRSS");
    let arguments = vec![b'1'; 16 * 1024];
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..2_000 {
                    let error = host.call_with("attacker", "f", &arguments, &timeout(1)).unwrap_err();
                    assert!([Deadline, Protocol].contains(&error.code()), "{error}");
                }
            });
        }
    });
    let after = megabytes("VmRSS");
    println!("resident: {before} MB, {after} MB after 16,000 calls");
    // 250 MB were sent; what stays is what the connection may keep.
    assert!(after < before + 48, "{before} {after}");
}

#[test]
fn calls_that_a_plugin_never_reads_do_not_pile_up() {
    assert_passes(&alone("attack_native_frames::deafness").output().unwrap());
}

/// Makes as many connections to the plugin's host as a stranger may, and more.
#[test]
fn strangers_do_not_keep_a_plugin_from_its_host() {
    let directory = tempfile::tempdir().unwrap();
    let host = Host::with(json!({"native": {"directory": directory.path()}}));
    load(&host, "attacker", json!([]));
    // In the plugin's own file system, where only root of the machine comes.
    let places = walk(directory.path()).into_iter().filter(|path| path.ends_with("s0"));
    let place = places.last().unwrap().join("host@goatflow");
    let socket = format!("/proc/{}/root{}", process(&host)["pid"], place.display());
    for _ in 0..200 {
        let mut stranger = std::os::unix::net::UnixStream::connect(&socket).unwrap();
        // The host hangs up.
        let _ = std::io::Read::read(&mut stranger, &mut [0]);
    }
    let log = json!({"function": "log", "arguments": {"level": "info", "message": "here"}, "count": 1});
    assert_eq!(ask(&host, "attacker", log), ["ok"]);
}

fn walk(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| [vec![path.clone()], walk(&path)].concat()).collect()
}

fn ask(host: &Host, plugin: &str, wanted: Value) -> Vec<String> {
    serde_json::from_str(&host.text(plugin, "ask", wanted.to_string())).unwrap()
}

#[test]
fn plugins_that_take_all_places_leave_others_theirs() {
    let host = Host::new();
    let gate = Gate::new();
    Gates::install(&host, [("shut", &gate)]);
    let _open = OpenOnDrop(&[&gate]);
    let translate = |key: &str, count: u32, wait: bool| json!({"function": "translate", "arguments": {"key": key}, "count": count, "wait": wait});
    for number in 0..12 {
        let name = format!("greedy-{number}");
        load(&host, &name, json!([]));
        host.call(&name, "ask", translate("shut", 64, false).to_string()).unwrap();
    }
    // What they can hold they hold: all their own places, and of the common ones as much as there is.
    gate.await_entered(12 * 8 + 320);
    load(&host, "modest", json!([]));
    assert_eq!(ask(&host, "modest", translate("open", 8, true)), ["ok"; 8]);
    // Who wants more than its share is told to make fewer.
    host.call("modest", "ask", translate("shut", 8, false).to_string()).unwrap();
    gate.await_entered(12 * 8 + 320 + 8);
    assert_eq!(ask(&host, "modest", translate("open", 1, true)), ["lifecycle.overloaded"]);
}

#[test]
fn calls_that_a_plugin_makes_at_the_same_time_are_no_circle() {
    let host = Host::new();
    let gate = Gate::new();
    Gates::install(&host, [("shut", &gate)]);
    let _open = OpenOnDrop(&[&gate]);
    host.load(&Guest::named("single"));
    load(&host, "attacker", json!([{"type": "plugin_call", "scope": ["single"]}]));
    let arguments = json!({"plugin": "single", "function": "translate", "args": {"key": "shut"}});
    let wanted = json!({"function": "plugin_call", "arguments": arguments, "count": 2});
    let outcome = std::thread::scope(|scope| {
        let asking = scope.spawn(|| ask(&host, "attacker", wanted));
        // One of the two holds the only instance; the other one waits for it.
        gate.await_entered(1);
        host.await_in_flight("single", 2);
        gate.open();
        asking.join().unwrap()
    });
    assert_eq!(outcome, ["ok", "ok"]);
}
