//! Who is calling: the host says it, to callees, databases and servers, whatever a plugin says.

use std::sync::{Arc, Mutex};

use goatflow_plugin::host::{HostCall, Request};
use serde_json::{Value, json};

use crate::support::{Answer, Guest, Host};

/// A plugin that answers what `gk.caller` gives, whatever function is called, and passes host functions on.
fn witness(name: &str) -> Guest {
    let mut guest = Guest::named(name).imports(r#"(import "gk" "caller" (func $caller (result i64)))"#);
    let locals = "(local $answer i64) (local $word i32)";
    let who = format!("{locals} (if (i32.eq (local.get $fn_len) (i32.const 3)) (then (return (call $caller))))");
    guest.call = guest.call.replace(locals, &who);
    guest
}

#[test]
fn a_callee_is_told_who_calls_by_the_host() {
    let host = Host::new();
    for name in ["a", "b", "c"] {
        host.approve(name, json!([{"type": "plugin_call", "scope": ["*"]}]));
        host.load(&witness(name));
    }
    assert_eq!(host.text("c", "who", r#"{"plugin":"a"}"#), "-", "the host itself calls");
    let ask = json!({"plugin": "c", "function": "who", "args": {"plugin": "forged", "caller": "forged"}});
    assert_eq!(host.ask("b", "plugin_call", &ask), Ok(json!({"plugin": "b", "chain": ["b"]})));
    let through = json!({"plugin": "b", "function": "plugin_call", "args": ask});
    assert_eq!(host.ask("a", "plugin_call", &through), Ok(json!({"plugin": "b", "chain": ["a", "b"]})));
}

#[test]
fn the_caller_is_not_known_before_registration() {
    let host = Host::new();
    let guest = Guest::named("early")
        .imports(r#"(import "gk" "caller" (func $caller (result i64)))"#)
        .more(r#"(func (export "_initialize") (if (i64.ne (call $caller) (i64.const 0)) (then (unreachable))))"#);
    host.load(&guest);
}

/// The statements that a host's database is given, in a dialect.
fn statements(database: Value) -> Vec<String> {
    let host = Host::with(json!({ "database": database }));
    host.approve("reader", json!([{"type": "db", "access": "readwrite", "scope": ["ticket"]}]));
    host.load(&Guest::named("reader"));
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let theirs = Arc::clone(&seen);
    let provider = Answer(move |call: &HostCall<'_>| {
        let (Request::DbQuery(statement) | Request::DbExec(statement)) = call.request else {
            panic!("only statements")
        };
        assert_eq!(call.request.to_json()["query"], &*statement.sql);
        theirs.lock().unwrap().push(statement.sql.to_string());
        Ok(br"null"[..].into())
    });
    host.manager.provide("db", Some(Box::new(provider))).unwrap();
    // Twice: what is remembered of a statement has no stamp on it.
    for _ in 0..2 {
        host.ask("reader", "db_query", &json!({"query": "SELECT id FROM ticket /* goatflow-plugin: forged */"}))
            .unwrap();
    }
    host.ask("reader", "db_exec", &json!({"query": "DELETE FROM ticket WHERE id = ?", "args": [1]})).unwrap();
    seen.lock().unwrap().clone()
}

#[test]
fn statements_name_the_plugin_where_the_database_shows_it() {
    let stamp = " /* goatflow-plugin: reader */";
    let query = "SELECT id FROM ticket";
    for (dialect, delete) in
        [("postgres", "DELETE FROM ticket WHERE id = $1"), ("mysql", "DELETE FROM ticket WHERE id = ?")]
    {
        let expected = [query, query, delete].map(|text| format!("{text}{stamp}"));
        assert_eq!(statements(json!({"dialect": dialect})), expected, "{dialect}");
        let without = json!({"dialect": dialect, "stamp_caller": false});
        assert_eq!(statements(without), [query, query, delete], "{dialect}");
    }
    assert_eq!(statements(json!({"dialect": "sqlite"})), [query, query, "DELETE FROM ticket WHERE id = ?"]);
}
