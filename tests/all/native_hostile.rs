//! Native plugins that misbehave from their first instruction on: each fails with its code, and nothing of it stays.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use goatflow_plugin::error::ErrorCode;
use serde_json::json;

use super::native_support::{Held, NativeHost, alone, assert_passes, hostile};
use super::support::until;

use ErrorCode::{
    EnvironmentJailProgram as Program, EnvironmentJailRequest as Request, PluginDeadline as Deadline,
    PluginHandshake as Handshake, PluginProtocol as Protocol,
};

/// What a program does, the code that its load fails with, and a part of what is said.
const CASES: &[(&str, ErrorCode, &str)] = &[
    ("silent", Deadline, "it was waited for its first line"),
    ("closes-output", Handshake, "closed its standard output, before it introduced itself"),
    ("exits", Handshake, "ended with exit code 7"),
    ("exits-well", Handshake, "ended with exit code 0"),
    ("aborts", Handshake, "ended by signal 6 (SIGABRT)"),
    ("talks-and-exits", Handshake, "exit code 3; it wrote last: out of coffee"),
    ("wrong-line", Handshake, "until that line is out): `hello`"),
    ("endless-line", Handshake, "has more than 4096 bytes: `xxxx"),
    ("binary-line", Handshake, "is not text: `"),
    ("floods", Deadline, "did not start within"),
    ("core-2", Handshake, "another version of go-plugin's handshake"),
    ("app-2", Handshake, "another version of the plugin interface"),
    ("tcp", Handshake, "a network other than `unix`"),
    ("protocol", Handshake, "a protocol other than"),
    ("certificate", Handshake, "no TLS was asked for"),
    ("outside", Handshake, "a socket outside of PLUGIN_UNIX_SOCKET_DIR"),
    ("dot-dot", Handshake, "a socket outside of PLUGIN_UNIX_SOCKET_DIR"),
    ("directory", Handshake, "a socket outside of PLUGIN_UNIX_SOCKET_DIR"),
    ("no-socket", Handshake, "can't connect to the socket"),
    ("hosts-socket", Handshake, "belongs to another process"),
    ("file", Handshake, "is something else"),
    // Links can't be made where Landlock is in force; the program ends then.
    ("link", Handshake, "the socket"),
    ("datagrams", Handshake, "can't connect to the socket"),
    ("half-a-line", Deadline, "did not start within"),
    ("a-byte-at-a-time", Deadline, "did not start within"),
    ("stops", Deadline, "did not start within"),
    ("stops-after-the-line", Deadline, "did not start within"),
    ("no-output", Handshake, "closed its standard output, before it introduced itself"),
    ("grpc-twice", Deadline, "did not start within"),
    ("deaf", Handshake, "can't connect to the socket"),
    ("full", Deadline, "did not start within"),
    ("exits-after-the-line", Handshake, "ended with exit code 5"),
    ("forks", Handshake, "made 0 processes"),
    ("executes", Handshake, "execution: "),
    ("new-hosts-socket", Handshake, "removed 0 linked -1"),
    ("many-files", Handshake, "files`"),
    ("stubborn", Deadline, "did not start within"),
    ("grpc-says-nothing", Deadline, "it was waited for its registration"),
    ("netrpc-says-nothing", Deadline, "it was waited for its first answer"),
    ("grpc-hangs-up", Protocol, "closed its connection"),
    ("netrpc-hangs-up", Protocol, "connection"),
    ("grpc-garbage", Protocol, ""),
    ("netrpc-garbage", Protocol, ""),
    ("grpc-half", Deadline, "did not start within"),
    ("netrpc-half", Deadline, "did not start within"),
    ("grpc-exits-in-conversation", ErrorCode::PluginExited, "exit code 6; it wrote last: so long"),
    ("netrpc-exits-in-conversation", ErrorCode::PluginExited, "exit code 6; it wrote last: so long"),
    ("grpc-killed-in-conversation", ErrorCode::PluginExited, "signal 9"),
    ("netrpc-killed-in-conversation", ErrorCode::PluginExited, "signal 9"),
];

#[test]
fn programs_that_misbehave_fail_with_their_codes_and_leave_nothing() {
    assert_passes(&alone("native_hostile::table").output().unwrap());
}

#[test]
#[ignore = "counts what its process holds: run by the test above, in a process of its own"]
fn table() {
    let host = NativeHost::new();
    let program = hostile(&["-static"]);
    let attempt = |name: &str, what: &str| {
        // Ten thousand files take long on a machine that has other things to do.
        let time = if what == "many-files" { "60s" } else { "4s" };
        host.set_policy(name, json!({"init_timeout": time}));
        let began = Instant::now();
        let error = host.load(name, what, &program).unwrap_err();
        (error, began.elapsed())
    };
    // Threads and descriptors that stay for good.
    attempt("first", "exits");
    let before = Held::now();
    let wrong = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some((what, code, text)) = CASES.get(next.fetch_add(1, Ordering::SeqCst)) {
            let (error, took) = attempt(what, what);
            // Whether the host had connected by then differs.
            let is_exit = *what == "exits-after-the-line" && error.code() == ErrorCode::PluginExited;
            if (error.code() != *code && !is_exit) || !error.to_string().contains(text) {
                let tail = error.detail().get("log_tail").cloned();
                wrong.lock().unwrap().push(format!("{what}: {:?} {error} {tail:?}", error.code()));
            }
            // The policy's time and a second, and what a busy machine takes on top.
            assert!(took.as_secs() < 15 || *what == "many-files", "{what} took {took:?}");
        }
    };
    std::thread::scope(|scope| (0..6).for_each(|_| drop(scope.spawn(work))));
    assert_eq!(host.leftovers(), Vec::<String>::new());
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let flat = || {
        let now = Held::now();
        // Workers are kept.
        Held { threads: before.threads, ..now } == before
    };
    until("everything is given back", flat);
    assert!(Held::now().threads <= before.threads + 8, "{:?} {before:?}", Held::now());
}

#[test]
fn a_program_that_takes_too_much_memory_is_told_so() {
    let host = NativeHost::new();
    host.set_policy("bad", json!({"memory_mb": 64, "init_timeout": "30s"}));
    let error = host.load("bad", "hungry", &hostile(&["-static"])).unwrap_err();
    // The limit on data refuses first, unless the group's limit is reached before it.
    let is_refused = error.code() == ErrorCode::PluginHandshake && error.to_string().contains("no memory");
    assert!(is_refused || error.code() == ErrorCode::PluginMemoryLimit, "{error}");
}

#[test]
fn what_is_no_program_does_not_run() {
    let host = NativeHost::new();
    host.set_policy("bad", json!({}));
    let program = hostile(&["-static"]);
    let mut foreign = program.clone();
    // Machine 8 is MIPS.
    foreign[18] = 8;
    let dynamic = hostile(&["-pie"]);
    for (what, bytes, code, text) in [
        ("script", &b"#!/bin/sh\nexit 0\n"[..], Program, "is taken for a script, and no interpreter is granted"),
        ("nothing", &b""[..], Program, "is an empty file"),
        ("foreign", &foreign, Program, ""),
        ("cut", &program[..100], Program, ""),
        ("dynamic", &dynamic, Request, "the program is dynamic and needs `/"),
    ] {
        let error = host.load("bad", what, bytes).unwrap_err();
        assert_eq!((what, error.code()), (what, code), "{error}");
        assert!(error.to_string().contains(text), "{what}: {error}");
    }
    assert!(host.load("bad", "empty", b"").is_err());
    let path = host.package("bad", "gone", b"x");
    std::fs::remove_file(path.join("gone")).unwrap();
    assert!(host.manager.load(&path).is_err());
    assert_eq!(host.leftovers(), Vec::<String>::new());
}
