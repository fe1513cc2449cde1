//! Policies are exchanged while calls run: every host call sees exactly one revision, and none is lost.

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use goatflow_plugin::policy::{DefaultRules, Policy, ResourceRequest};
use goatflow_plugin::sandbox::{InForce, LivePolicy};
use serde_json::{Value, json};

use crate::support::{Guest, Host, until};

const THREADS: usize = 16;
/// Name of the threads that call.
const CALLER: &str = "caller";
const SWAPS: u64 = 10_000;

fn policy(tables: &[&str]) -> Vec<u8> {
    json!({
        "version": 1,
        "status": "approved",
        "instances": 16,
        "max_db_queries_per_min": 0,
        "permissions": [{"type": "db", "access": "read", "scope": tables}],
    })
    .to_string()
    .into_bytes()
}

fn documents() -> [Vec<u8>; 3] {
    [policy(&["ticket"]), policy(&["queue"]), policy(&["audit"])]
}

#[test]
fn every_host_call_sees_exactly_one_policy_and_none_is_lost() {
    let host = loaded();
    let (allowed, denied) = call_while_swapping(&host, 0);
    let stats = host.stats("a");
    let count = |field: &str| stats[field].as_u64().unwrap();
    assert_eq!(count("db_queries"), allowed);
    assert_eq!(count("denials"), denied);
    assert_eq!(count("served"), count("db_queries") + count("denials"));
    assert_eq!((count("failed"), count("in_flight")), (0, 0));
    // What was set last is in force at once.
    let effective = host.manager.policy("a").unwrap();
    assert_eq!(effective["revision"], SWAPS + 1);
    let last = &documents()[usize::try_from((SWAPS - 1) % 3).unwrap()];
    assert_eq!(effective["stored"], serde_json::from_slice::<Value>(last).unwrap());
}

fn loaded() -> Host {
    let host = Host::new();
    host.manager.set_policy("a", &documents()[0], None).unwrap();
    host.load(&Guest::registered(&json!({"name": "a", "resources": {"instances": "auto"}})));
    host
}

/// Calls from all threads while the policy is exchanged; gives how many were allowed, and how many refused. `before`
/// exchanges were made already.
fn call_while_swapping(host: &Host, before: u64) -> (u64, u64) {
    let documents = documents();
    let query = |sql: &str| json!({ "query": sql }).to_string();
    let (ticket, queue) = (query("SELECT id FROM ticket WHERE id = 1"), query("SELECT id FROM queue WHERE id = 1"));
    // Each policy grants one of the two tables at most: whoever may read both has seen two policies.
    let both = query("SELECT t.id FROM ticket t JOIN queue q ON q.id = t.queue_id WHERE t.id = 1");
    let stop = AtomicBool::new(false);
    let (allowed, denied) = (AtomicU64::new(0), AtomicU64::new(0));
    let rows = json!([{"id": 1}]);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (stop, allowed, denied) = (&stop, &allowed, &denied);
            let (ticket, queue, both, rows) = (&ticket, &queue, &both, &rows);
            let call_on = move || {
                let mut turn = thread;
                while !stop.load(Ordering::SeqCst) {
                    turn += 1;
                    let (sql, may_pass) = [(ticket, true), (queue, true), (both, false)][turn % 3];
                    match host.ask_raw("a", "db_query", sql) {
                        Ok(answer) => {
                            assert!(may_pass, "a call saw two policies");
                            assert_eq!(answer, *rows);
                            allowed.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(error) => {
                            assert_eq!(error["code"], "policy.sql.table_denied", "{error}");
                            denied.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                }
            };
            std::thread::Builder::new().name(CALLER.into()).spawn_scoped(scope, call_on).unwrap();
        }
        let swapping = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for swap in before..before + SWAPS {
                let document = &documents[usize::try_from(swap % 3).unwrap()];
                let revision = host.manager.set_policy("a", document, Some(swap + 1)).unwrap();
                assert_eq!(revision, swap + 2, "no update is lost");
            }
            until("calls of both kinds", || allowed.load(Ordering::SeqCst) > 50 && denied.load(Ordering::SeqCst) > 50);
        }));
        stop.store(true, Ordering::SeqCst);
        swapping.unwrap();
    });
    (allowed.into_inner(), denied.into_inner())
}

/// Number behind `name` in what the kernel tells about this process.
fn of_this_process(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Threads of this process but the callers, whose ends the kernel may tell a moment late.
fn lasting_threads() -> usize {
    let names = std::fs::read_dir("/proc/self/task").unwrap();
    let names = names.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok());
    names.filter(|name| name.trim_end() != CALLER).count()
}

/// In a process of its own, where no other test starts threads or takes memory.
#[test]
#[ignore = "runs as a child process of the next test"]
fn child_that_swaps() {
    let host = loaded();
    // What is kept on purpose (the record, caches, the threads' memory) is there after the first round.
    call_while_swapping(&host, 0);
    let (threads, kilobytes) = (lasting_threads(), of_this_process("VmRSS"));
    call_while_swapping(&host, SWAPS);
    assert_eq!(lasting_threads(), threads, "no thread is left behind");
    let growth = of_this_process("VmRSS").saturating_sub(kilobytes);
    println!("grown by {growth} kB");
    assert!(growth * 1024 < SWAPS * 512, "{SWAPS} exchanges left {growth} kB behind");
}

#[test]
fn exchanged_policies_leave_neither_threads_nor_memory_behind() {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "policy_swap::child_that_swaps", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && said.contains("grown by"), "{said}{}", String::from_utf8_lossy(&child.stderr));
}

#[test]
fn an_exchanged_policy_is_dropped_when_the_last_call_lets_go_of_it() {
    let parsed = |text: &[u8]| goatflow_plugin::policy::document::parse(text).unwrap().0;
    let documents = documents().map(|text| parsed(&text));
    let compiled = |turn: usize| {
        Policy::from_document(&documents[turn % 3], &ResourceRequest::default(), &DefaultRules::default())
    };
    let live = LivePolicy::new(0, compiled(0));
    let stop = AtomicBool::new(false);
    let mut exchanged: Vec<Weak<InForce>> = Vec::new();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    assert!(live.snapshot().revision <= SWAPS);
                }
            });
        }
        for revision in 1..=SWAPS {
            exchanged.push(Arc::downgrade(&live.snapshot()));
            live.replace(revision, compiled(usize::try_from(revision).unwrap()));
        }
        stop.store(true, Ordering::SeqCst);
    });
    assert_eq!(exchanged.iter().filter(|policy| policy.strong_count() > 0).count(), 0);
    assert_eq!(live.snapshot().revision, SWAPS);
}

#[test]
fn a_new_policy_acts_on_the_next_host_call() {
    let host = Host::new();
    host.load(&Guest::registered(&json!({
        "name": "a",
        "resources": {"permissions": [{"type": "db", "access": "read", "scope": ["ticket"]}]},
    })));
    let query = json!({"query": "SELECT id FROM ticket WHERE id = 1"});
    for _ in 0..200 {
        assert_eq!(host.ask("a", "db_query", &query), Ok(json!([{"id": 1}])));
        host.approve("a", json!([{"type": "db", "access": "read", "scope": ["queue"]}]));
        assert_eq!(host.ask("a", "db_query", &query), Err("policy.sql.table_denied".into()));
        host.manager.set_policy("a", b"", None).unwrap();
    }
}

#[test]
fn two_administrators_can_not_overwrite_each_other() {
    let host = Host::new();
    host.load(&Guest::named("a"));
    let document = policy(&["ticket"]);
    let won = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for revision in 0..100 {
                    match host.manager.set_policy("a", &document, Some(revision)) {
                        Ok(new) => {
                            assert_eq!(new, revision + 1);
                            won.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(error) => assert_eq!(error.code().slug(), "policy.revision_conflict"),
                    }
                }
            });
        }
    });
    let revision = host.manager.policy("a").unwrap()["revision"].as_u64().unwrap();
    assert_eq!(won.load(Ordering::SeqCst), revision, "as many updates as revisions");
    assert!(revision >= 1);
}

#[test]
fn refused_documents_change_nothing() {
    let host = Host::new();
    host.load(&Guest::named("a"));
    host.approve("a", json!([{"type": "db", "access": "read", "scope": ["ticket"]}]));
    let before = host.manager.policy("a").unwrap();
    for text in [
        "{",
        "[]",
        r#"{"version":2}"#,
        r#"{"version":1,"status":"open"}"#,
        r#"{"version":1,"statsu":"approved"}"#,
        r#"{"version":1,"status":"approved","status":"blocked"}"#,
        r#"{"version":1,"memory_mb":-1}"#,
        r#"{"version":1,"plugin_name":"b"}"#,
        r#"{"version":1,"permissions":[{"type":"db","access":"everything","scope":["*"]}]}"#,
    ] {
        let error = host.manager.set_policy("a", text.as_bytes(), None).unwrap_err();
        assert_eq!(error.code().slug(), "policy.document_invalid", "{text}: {error}");
        assert_eq!(host.manager.policy("a").unwrap(), before, "{text}");
    }
    assert!(host.ask("a", "db_query", &json!({"query": "SELECT id FROM ticket"})).is_ok());
}
