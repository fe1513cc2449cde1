//! Policies are exchanged while calls run: every host call sees exactly one revision, and none is lost.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::support::{Guest, Host, until};

const THREADS: usize = 16;
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

#[test]
fn every_host_call_sees_exactly_one_policy_and_none_is_lost() {
    let host = Host::new();
    let documents = [policy(&["ticket"]), policy(&["queue"]), policy(&["audit"])];
    host.manager.set_policy("a", &documents[0], None).unwrap();
    host.load(&Guest::registered(&json!({"name": "a", "resources": {"instances": "auto"}})));
    let query = |sql: &str| json!({ "query": sql }).to_string();
    let (ticket, queue) = (query("SELECT id FROM ticket WHERE id = 1"), query("SELECT id FROM queue WHERE id = 1"));
    // Each policy grants one of the two tables at most: whoever may read both has seen two policies.
    let both = query("SELECT t.id FROM ticket t JOIN queue q ON q.id = t.queue_id WHERE t.id = 1");
    let stop = AtomicBool::new(false);
    let (allowed, denied) = (AtomicU64::new(0), AtomicU64::new(0));
    let rows = json!([{"id": 1}]);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (host, stop, allowed, denied) = (&host, &stop, &allowed, &denied);
            let (ticket, queue, both, rows) = (&ticket, &queue, &both, &rows);
            scope.spawn(move || {
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
            });
        }
        let swapping = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for swap in 0..SWAPS {
                let document = &documents[usize::try_from(swap % 3).unwrap()];
                let revision = host.manager.set_policy("a", document, Some(swap + 1)).unwrap();
                assert_eq!(revision, swap + 2, "no update is lost");
            }
            until("calls of both kinds", || allowed.load(Ordering::SeqCst) > 50 && denied.load(Ordering::SeqCst) > 50);
        }));
        stop.store(true, Ordering::SeqCst);
        swapping.unwrap();
    });
    let stats = host.stats("a");
    let count = |field: &str| stats[field].as_u64().unwrap();
    assert_eq!(count("db_queries"), allowed.load(Ordering::SeqCst));
    assert_eq!(count("denials"), denied.load(Ordering::SeqCst));
    assert_eq!(count("served"), count("db_queries") + count("denials"));
    assert_eq!((count("failed"), count("in_flight")), (0, 0));
    // What was set last is in force at once.
    let effective = host.manager.policy("a").unwrap();
    assert_eq!(effective["revision"], SWAPS + 1);
    let last = &documents[usize::try_from((SWAPS - 1) % 3).unwrap()];
    assert_eq!(effective["stored"], serde_json::from_slice::<Value>(last).unwrap());
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
