//! What plugins may ask of the host, asked by a real plugin.

use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use goatflow_plugin::error::ErrorCode;
use goatflow_plugin::host::request::{Statement, TableFacts};
use goatflow_plugin::host::{Function, HostCall, Provider, Request, Service, SqlValue};
use goatflow_plugin::manager::CallOptions;
use goatflow_plugin::plugin::{CallContext, Cancellation, Origin};
use goatflow_plugin::policy::{Access, PermissionType};
use goatflow_plugin::providers::sqlite::{SqliteDatabase, SqliteOptions};
use goatflow_plugin::sandbox::CustomFunction;
use serde_json::{Value, json};

use crate::support::{Answer, Gate, Gates, Guest, Host, OpenOnDrop, PATIENCE, SCHEMA, code_of, request_id};

/// One harmless request for every function.
fn request(function: Function) -> Value {
    match function {
        Function::DbQuery => json!({"query": "SELECT id FROM ticket WHERE id = ?", "args": [1]}),
        Function::DbExec => json!({"query": "INSERT INTO notes (body) VALUES (?)", "args": ["x"]}),
        Function::CacheGet | Function::CacheDelete => json!({"key": "k"}),
        Function::CacheSet => json!({"key": "k", "value": "dGVzdA==", "ttl": 60}),
        Function::HttpRequest => json!({"method": "GET", "url": "https://example.com/"}),
        Function::SendEmail => json!({"to": "a@example.com", "subject": "s", "body": "b"}),
        Function::ConfigGet => json!({"key": "app.name"}),
        Function::Translate => json!({"key": "greeting"}),
        Function::PluginCall => json!({"plugin": "other", "function": "echo", "args": {"x": 1}}),
        Function::PublishEvent => json!({"channel": "c", "event_type": "t", "data": {}}),
        Function::Log => json!({"level": "info", "message": "m"}),
    }
}

/// Permissions that allow all requests above.
fn everything() -> Value {
    json!([
        {"type": "db", "access": "read", "scope": ["ticket", "queue"]},
        {"type": "db", "access": "write", "scope": ["notes"]},
        {"type": "cache", "access": "readwrite"},
        {"type": "http", "scope": ["example.com"]},
        {"type": "email", "scope": ["@example.com"]},
        {"type": "config", "access": "read", "scope": ["app.*"]},
        {"type": "plugin_call", "scope": ["other"]},
    ])
}

/// A plugin that declares everything there is.
fn greedy() -> Guest {
    Guest::registered(&json!({"name": "greedy", "version": "1.0.0", "resources": {"permissions": [
        {"type": "db", "access": "readwrite", "scope": ["ticket", "users", "notes", "audit_*", "sysconfig_default", "sqlite_master"]},
        {"type": "cache", "access": "readwrite"},
        {"type": "http", "scope": ["*"]},
        {"type": "email", "scope": ["*"]},
        {"type": "config", "access": "read", "scope": ["*"]},
        {"type": "plugin_call", "scope": ["*"]},
    ]}}))
}

fn configured() -> Host {
    Host::with(json!({
        "config": {"values": {"app.name": "GoatFlow", "smtp.password": "pw", "db.password": "pw", "api_token": "t"}},
        "translations": {"en": {"greeting": "Hello %s"}, "de": {"greeting": "Hallo %s"}},
    }))
}

// The table of functions

#[test]
fn the_default_policy_denies_what_it_should() {
    let host = configured();
    host.load(&greedy());
    host.load(&Guest::named("other"));
    for function in Function::ALL {
        let expected = match function {
            // db read on the declared tables, its own cache, log and translate; events have no permission of their own.
            Function::DbQuery | Function::CacheGet | Function::CacheSet | Function::CacheDelete => Ok(()),
            Function::Log | Function::Translate | Function::PublishEvent => Ok(()),
            Function::DbExec
            | Function::ConfigGet
            | Function::HttpRequest
            | Function::SendEmail
            | Function::PluginCall => Err("policy.permission_missing"),
        };
        let answer = host.ask("greedy", function.name(), &request(*function)).map(drop);
        assert_eq!(answer, expected.map_err(str::to_owned), "{}", function.name());
    }
}

#[test]
fn the_default_policy_never_includes_sensitive_tables_patterns_or_catalogues() {
    let host = configured();
    host.load(&greedy());
    for table in
        ["users", "audit", "audit_x", "sysconfig_default", "sqlite_master", "queue", "main.users", "\"users\"", "Users"]
    {
        let answer = host.ask("greedy", "db_query", &json!({"query": format!("SELECT * FROM {table}")}));
        let code = answer.unwrap_err();
        assert!(["policy.sql.table_denied", "policy.sql.not_understood"].contains(&code.as_str()), "{table}: {code}");
    }
    // Someone who declares nothing reads nothing.
    host.load(&Guest::named("modest"));
    assert_eq!(host.ask("modest", "db_query", &request(Function::DbQuery)), Err("policy.permission_missing".into()));
    let withheld = host.manager.policy("greedy").unwrap()["effective"]["withheld"].as_array().unwrap().len();
    assert_eq!(withheld, 4, "users, a pattern, sysconfig_default, sqlite_master");
}

#[test]
fn sensitive_tables_can_be_added_by_the_host() {
    let host = Host::with(json!({"sensitive_tables": ["tick*"]}));
    host.load(&greedy());
    assert_eq!(host.ask("greedy", "db_query", &request(Function::DbQuery)), Err("policy.sql.table_denied".into()));
}

#[test]
fn a_grant_allows_each_function() {
    let host = configured();
    host.approve("greedy", everything());
    host.load(&greedy());
    host.load(&Guest::named("other"));
    for function in Function::ALL {
        let answer = host.ask("greedy", function.name(), &request(*function)).map(drop);
        let expected = match function {
            Function::HttpRequest | Function::SendEmail => Err("host.no_provider".to_owned()),
            _ => Ok(()),
        };
        assert_eq!(answer, expected, "{}", function.name());
    }
}

#[test]
fn a_grant_for_one_function_is_none_for_another() {
    let host = configured();
    host.load(&Guest::named("other"));
    let all = everything();
    for (index, _) in all.as_array().unwrap().iter().enumerate() {
        let mut reduced = all.as_array().unwrap().clone();
        let taken = reduced.remove(index);
        host.approve("greedy", Value::Array(reduced));
        if host.manager.list().as_array().unwrap().len() == 1 {
            host.load(&greedy());
        }
        for function in Function::ALL {
            let needed = match function {
                Function::DbQuery => &all[0],
                Function::DbExec => &all[1],
                Function::CacheGet | Function::CacheSet | Function::CacheDelete => &all[2],
                Function::HttpRequest => &all[3],
                Function::SendEmail => &all[4],
                Function::ConfigGet => &all[5],
                Function::PluginCall => &all[6],
                Function::Translate | Function::PublishEvent | Function::Log => &Value::Null,
            };
            let answer = host.ask("greedy", function.name(), &request(*function));
            let denied = matches!(&answer, Err(code) if code.starts_with("policy."));
            assert_eq!(denied, *needed == taken, "{} without {taken}: {answer:?}", function.name());
        }
    }
}

#[test]
fn a_blocked_plugin_is_not_called_and_calls_nothing() {
    let host = configured();
    host.approve("greedy", everything());
    host.load(&greedy());
    host.load(&Guest::named("other"));
    host.approve("other", json!([{"type": "plugin_call", "scope": ["greedy"]}]));
    let gate = Gate::new();
    Gates::install(&host, [("greeting", &gate), ("k", &gate), ("app.name", &gate), ("stop", &gate)]);
    let _open = OpenOnDrop(&[&gate]);
    for (round, function) in Function::ALL.iter().enumerate() {
        host.approve("greedy", everything());
        // A call that is under way when the plugin is blocked: its next host call is refused.
        let mut arguments = request(*function);
        arguments["key"] = json!("stop");
        // `translate` reads `args` as well.
        arguments["args"] = json!([]);
        let (sender, receiver) = mpsc::channel();
        let done = Box::new(move |outcome| drop(sender.send(outcome)));
        let name = format!("then:{}", function.name());
        host.manager
            .start_call("greedy", &name, arguments.to_string().as_bytes(), CallOptions::default(), done)
            .unwrap();
        gate.await_entered(round + 1);
        host.set_policy("greedy", json!({"status": "blocked"}));
        gate.let_one_through();
        let outcome: goatflow_plugin::manager::Outcome = receiver.recv_timeout(PATIENCE).unwrap();
        let answer: Value = serde_json::from_slice(&outcome.unwrap().unwrap()).unwrap();
        assert_eq!(answer["code"], "policy.blocked", "{}", function.name());
    }
    assert_eq!(host.code("greedy", "echo", "x", &CallOptions::default()), ErrorCode::PolicyBlocked);
    let through = json!({"plugin": "greedy", "function": "echo", "args": {}});
    assert_eq!(host.ask("other", "plugin_call", &through), Err("policy.blocked".into()));
    assert_eq!(host.manager.list()[0]["policy"]["status"], "blocked");
}

#[test]
fn a_plugin_that_is_pending_review_has_the_default_whatever_is_stored() {
    let host = configured();
    host.set_policy("greedy", json!({"status": "pending_review", "permissions": everything()}));
    host.load(&greedy());
    assert_eq!(host.ask("greedy", "db_exec", &request(Function::DbExec)), Err("policy.permission_missing".into()));
    assert!(host.ask("greedy", "db_query", &request(Function::DbQuery)).is_ok());
}

#[test]
fn a_restricted_plugin_has_the_document_without_what_is_denied() {
    let host = configured();
    host.set_policy("greedy", json!({
        "status": "restricted",
        "permissions": everything(),
        "denied": [{"type": "db", "access": "read", "scope": ["ticket"]}, {"type": "cache"}, {"type": "plugin_call"}],
    }));
    host.load(&greedy());
    host.load(&Guest::named("other"));
    assert_eq!(host.ask("greedy", "db_query", &request(Function::DbQuery)), Err("policy.sql.table_denied".into()));
    assert_eq!(
        host.ask("greedy", "db_query", &json!({"query": "SELECT id FROM queue WHERE id = 1"})),
        Ok(json!([{"id": 1}]))
    );
    assert_eq!(host.ask("greedy", "cache_get", &request(Function::CacheGet)), Err("policy.permission_missing".into()));
    assert_eq!(host.ask("greedy", "plugin_call", &request(Function::PluginCall)), Err("policy.callee_denied".into()));
    assert!(host.ask("greedy", "config_get", &request(Function::ConfigGet)).is_ok());
}

#[test]
fn callable_by_says_who_may_call() {
    let host = configured();
    host.approve("a", json!([{"type": "plugin_call", "scope": ["target"]}]));
    host.approve("b", json!([{"type": "plugin_call", "scope": ["target"]}]));
    host.set_policy("target", json!({"callable_by": ["a"]}));
    for name in ["a", "b", "target"] {
        host.load(&Guest::named(name));
    }
    let call = json!({"plugin": "target", "function": "echo", "args": {"x": 1}});
    assert_eq!(host.ask("a", "plugin_call", &call), Ok(json!({"x": 1})));
    assert_eq!(host.ask("b", "plugin_call", &call), Err("policy.callee_denied".into()));
    assert_eq!(host.text("target", "echo", "x"), "x", "the host itself may");
}

// Functions of the host

fn declare(host: &Host, name: &str, permission: &str, access: Access, target: Option<&str>) -> Result<(), ErrorCode> {
    let function = CustomFunction {
        name: name.into(),
        permission: PermissionType::from_name(permission),
        access,
        target: target.map(str::to_owned),
        provider: Box::new(Answer(|call: &HostCall<'_>| {
            let answer =
                json!({"plugin": &**call.plugin, "function": call.function, "arguments": call.request.to_json()});
            assert_eq!(call.service, Service::Custom);
            Ok(answer.to_string().into_bytes().into())
        })),
    };
    host.manager.declare(function).map_err(|error| error.code())
}

#[test]
fn declared_functions_need_their_permission_and_scope() {
    let host = configured();
    declare(&host, "org_id", "org", Access::Read, None).unwrap();
    declare(&host, "store_file", "file", Access::Write, Some("/file/key")).unwrap();
    host.load(&Guest::named("a"));
    let store = |key: Value| host.ask("a", "store_file", &json!({"file": {"key": key}}));
    assert_eq!(host.ask("a", "org_id", &json!({})), Err("policy.permission_missing".into()));
    assert_eq!(store(json!("k")), Err("policy.permission_missing".into()));
    host.approve(
        "a",
        json!([
            {"type": "org", "access": "read", "scope": ["*"]},
            {"type": "file", "access": "write", "scope": ["reports-1"]},
        ]),
    );
    assert_eq!(
        host.ask("a", "org_id", &json!({"n": 1})),
        Ok(json!({"plugin": "a", "function": "org_id", "arguments": {"n": 1}}))
    );
    assert_eq!(host.ask_raw("a", "org_id", ""), Ok(json!({"plugin": "a", "function": "org_id", "arguments": null})));
    assert!(store(json!("reports-1")).is_ok());
    assert_eq!(store(json!("reports-2")), Err("policy.target_denied".into()));
    // A target that is missing or no text is no target.
    for target in [json!(null), json!(7), json!(["reports-1"])] {
        assert_eq!(store(target), Err("policy.arguments".into()));
    }
    assert_eq!(host.ask("a", "store_file", &json!({"file/key": "reports-1"})), Err("policy.arguments".into()));
    // The last of two equal keys is what both the gate and the provider see.
    let twice = r#"{"file":{"key":"reports-2","key":"reports-1"}}"#;
    if let Ok(answer) = host.ask_raw("a", "store_file", twice) {
        assert_eq!(answer["arguments"], json!({"file": {"key": "reports-1"}}));
    }
    // Reading is not writing.
    host.approve("a", json!([{"type": "file", "access": "read", "scope": ["*"]}]));
    assert_eq!(store(json!("reports-1")), Err("policy.permission_missing".into()));
    assert_eq!(host.stats("a")["custom_calls"], 3 + u64::from(host.ask_raw("a", "store_file", twice).is_ok()) + 1);
}

#[test]
fn declared_functions_can_not_borrow_built_in_permissions() {
    let host = configured();
    host.approve("a", everything());
    host.load(&Guest::named("a"));
    for permission in ["db", "cache", "http", "email", "config", "plugin_call"] {
        if declare(&host, "peek", permission, Access::Read, Some("/target")) == Err(ErrorCode::ArgumentInvalid) {
            continue;
        }
        let answer = host.ask("a", "peek", &json!({"target": "users"}));
        assert!(answer.is_err(), "`{permission}`: a target outside the scope passed: {answer:?}");
    }
}

#[test]
fn names_of_declared_functions_are_checked() {
    let host = configured();
    for name in ["", "a b", "a-b", "ä", "db_query", "log", &"a".repeat(65)] {
        assert_eq!(declare(&host, name, "x", Access::Read, None), Err(ErrorCode::ArgumentInvalid), "{name:?}");
    }
}

#[test]
fn the_host_can_answer_a_service_itself() {
    let host = configured();
    host.approve("a", everything());
    host.load(&Guest::named("a"));
    let answer = Answer(|call: &HostCall<'_>| {
        Ok(json!([{"sql": call.request.to_json()["query"], "by": call.function}]).to_string().into_bytes().into())
    });
    host.manager.provide("db", Some(Box::new(answer))).unwrap();
    let query = json!({"query": "select   id from ticket -- comment"});
    let rows = host.ask("a", "db_query", &query).unwrap();
    assert_eq!(rows[0]["by"], "db_query");
    assert!(!rows[0]["sql"].as_str().unwrap().contains("comment"), "what runs is what was checked: {rows}");
    assert_eq!(
        host.ask("a", "db_query", &json!({"query": "SELECT * FROM users"})),
        Err("policy.sql.table_denied".into())
    );
    host.manager.provide("db", None).unwrap();
    assert!(host.ask("a", "db_query", &query).unwrap()[0].get("id").is_some());
    assert_eq!(code_of(host.manager.provide("plugins", None)), ErrorCode::ArgumentInvalid);
}

// Quotas

#[test]
fn quotas_survive_reloads_policies_and_disabling() {
    let host = configured();
    let limited =
        |limit: u32| host.set_policy("a", json!({"permissions": everything(), "max_db_queries_per_min": limit}));
    let guest = Guest::named("a");
    limited(5);
    host.load(&guest);
    let ask = || host.ask("a", "db_query", &request(Function::DbQuery)).map(drop);
    for _ in 0..3 {
        assert_eq!(ask(), Ok(()));
    }
    host.manager.unload("a", PATIENCE).unwrap();
    host.load(&guest);
    // Statements of both kinds share the window; refused ones take nothing from it.
    assert_eq!(host.ask("a", "db_exec", &request(Function::DbExec)), Ok(json!({"affected": 1})));
    assert_eq!(
        host.ask("a", "db_query", &json!({"query": "SELECT * FROM users"})),
        Err("policy.sql.table_denied".into())
    );
    host.manager.disable("a", PATIENCE).unwrap();
    host.manager.enable("a").unwrap();
    assert_eq!(ask(), Ok(()));
    assert_eq!(ask(), Err("policy.rate_limited".into()));
    limited(6);
    assert_eq!(ask(), Ok(()));
    assert_eq!(ask(), Err("policy.rate_limited".into()));
    limited(5);
    assert_eq!(ask(), Err("policy.rate_limited".into()));
    limited(0);
    assert_eq!(ask(), Ok(()));
    limited(6);
    assert_eq!(ask(), Err("policy.rate_limited".into()));
    assert_eq!(host.stats("a")["db_queries"], 6, "counters go on as well");
    let error = host.ask_raw("a", "db_query", request(Function::DbQuery).to_string()).unwrap_err();
    assert_eq!(
        error["limit"].as_str().or_else(|| error["detail"]["limit"].as_str()),
        Some("max_db_queries_per_min"),
        "{error}"
    );
}

#[test]
fn calls_of_other_plugins_are_limited_per_second() {
    let host = configured();
    host.set_policy("a", json!({"permissions": everything(), "max_calls_per_second": 2}));
    host.load(&Guest::named("a"));
    host.load(&Guest::named("other"));
    let start = std::time::Instant::now();
    let mut passed = 0_u64;
    for _ in 0..50 {
        match host.ask("a", "plugin_call", &request(Function::PluginCall)) {
            Ok(_) => passed += 1,
            Err(code) => assert_eq!(code, "policy.rate_limited"),
        }
    }
    assert!(passed >= 2 && passed <= 2 * (start.elapsed().as_secs() + 2), "{passed}");
}

#[test]
fn host_calls_of_one_call_are_limited() {
    let host = configured();
    host.set_policy("a", json!({"max_host_calls_per_call": 3}));
    // Calls the host ten times and answers how often it got something.
    let body = "
      (local $left i32) (local $got i32)
      (local.set $left (i32.const 10))
      (loop $next
        (if (i64.ne (i64.const 0) (call $host_call (local.get $fn) (local.get $fn_len) (local.get $args) (local.get $args_len)))
          (then (local.set $got (i32.add (local.get $got) (i32.const 1)))))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br_if $next (local.get $left)))
      (call $number (local.get $got))";
    host.load(&Guest::named("a").call(body));
    for _ in 0..2 {
        assert_eq!(host.text("a", "translate", r#"{"key":"k"}"#), "3", "each call anew");
    }
}

#[test]
fn the_cache_is_apart_and_bounded_for_each_plugin() {
    let host = configured();
    let quota = json!({"permissions": [{"type": "cache", "access": "readwrite"}], "max_cache_entries": 2, "max_cache_bytes": 1_000});
    for name in ["a", "a-b"] {
        host.set_policy(name, quota.clone());
        host.load(&Guest::named(name));
    }
    let set =
        |plugin: &str, key: &str, value: &str| host.ask(plugin, "cache_set", &json!({"key": key, "value": value}));
    let found = |plugin: &str, key: &str| host.ask(plugin, "cache_get", &json!({"key": key})).unwrap()["found"].clone();
    for key in ["k", "b:k"] {
        set("a", key, "YQ==").unwrap();
    }
    assert_eq!(found("a-b", "k"), false);
    assert_eq!(found("a", "k"), true, "and now it was used last");
    set("a", "third", "YQ==").unwrap();
    assert_eq!((found("a", "b:k"), found("a", "k"), found("a", "third")), (json!(false), json!(true), json!(true)));
    let kilobyte = "QUFB".repeat(400);
    assert_eq!(set("a", "big", &kilobyte), Err("policy.quota_exceeded".into()));
    assert_eq!(found("a", "k"), true, "what does not fit pushes nothing out");
    let half = "QUFB".repeat(180);
    set("a-b", "x", &half).unwrap();
    set("a-b", "y", &half).unwrap();
    assert_eq!((found("a-b", "x"), found("a-b", "y")), (json!(false), json!(true)));
    // The cache survives a reload; only reading is not writing.
    host.manager.unload("a", PATIENCE).unwrap();
    host.load(&Guest::named("a"));
    assert_eq!(found("a", "k"), true);
    host.approve("a", json!([{"type": "cache", "access": "read"}]));
    assert_eq!(found("a", "k"), true);
    assert_eq!(set("a", "k", "YQ=="), Err("policy.permission_missing".into()));
    assert_eq!(host.ask("a", "cache_delete", &json!({"key": "k"})), Err("policy.permission_missing".into()));
}

#[test]
fn cache_arguments_are_bounded() {
    let host = configured();
    host.load(&Guest::named("a"));
    let ask = |function: &str, arguments: Value| host.ask("a", function, &arguments).map(drop);
    assert_eq!(ask("cache_set", json!({"key": "k".repeat(512), "value": ""})), Ok(()));
    for (function, arguments) in [
        ("cache_set", json!({"key": "k".repeat(513), "value": ""})),
        ("cache_get", json!({"key": "k".repeat(513)})),
        ("cache_get", json!({"key": ""})),
        ("cache_set", json!({"key": "k", "value": "", "ttl": -1})),
        ("cache_set", json!({"key": "k", "value": "", "ttl": i64::MAX})),
    ] {
        assert_eq!(ask(function, arguments.clone()), Err("policy.arguments".into()), "{function} {arguments}");
    }
}

#[test]
fn expired_entries_of_one_plugin_make_room_for_another() {
    let host = Host::with(json!({"cache": {"max_bytes": 1_000}}));
    for name in ["a", "b"] {
        host.load(&Guest::named(name));
    }
    let value = "QUFB".repeat(200);
    host.ask("a", "cache_set", &json!({"key": "k", "value": value, "ttl": 1})).unwrap();
    assert_eq!(host.ask("b", "cache_set", &json!({"key": "k", "value": value})), Err("policy.quota_exceeded".into()));
    crate::support::until("room in the cache", || {
        host.ask("b", "cache_set", &json!({"key": "k", "value": value})).is_ok()
    });
}

// SQL

fn database() -> Host {
    let host = Host::new();
    host.set_policy(
        "a",
        json!({"max_db_queries_per_min": 0, "permissions": [
            {"type": "db", "access": "read", "scope": ["ticket", "queue"]},
            {"type": "db", "access": "readwrite", "scope": ["notes"]},
            {"type": "db", "access": "write", "scope": ["audit"]},
        ]}),
    );
    host.load(&Guest::named("a"));
    host
}

#[test]
fn sql_runs_end_to_end() {
    let host = database();
    let query = |sql: &str, args: Value| host.ask("a", "db_query", &json!({"query": sql, "args": args}));
    let exec = |sql: &str, args: Value| host.ask("a", "db_exec", &json!({"query": sql, "args": args}));
    let join = "SELECT t.id, q.name FROM ticket t JOIN queue q ON q.id = t.queue_id WHERE t.id = ? AND q.name = ?";
    assert_eq!(query(join, json!([1, "Raw"])), Ok(json!([{"id": 1, "name": "Raw"}])));
    assert_eq!(
        query("SELECT id FROM ticket WHERE queue_id IN (SELECT id FROM queue WHERE name = 'Junk')", json!([])),
        Ok(json!([{"id": 2}]))
    );
    let insert = "INSERT INTO notes (body) VALUES (?), (?), (?)";
    assert_eq!(exec(insert, json!(["a", null, "c"])), Ok(json!({"affected": 3})));
    assert_eq!(exec("UPDATE notes SET body = ? WHERE body IS NULL", json!(["b"])), Ok(json!({"affected": 1})));
    assert_eq!(exec("UPDATE notes SET body = 'z' WHERE id = 99", json!([])), Ok(json!({"affected": 0})));
    assert_eq!(exec("DELETE FROM notes WHERE body IN (?, ?)", json!(["a", "c"])), Ok(json!({"affected": 2})));
    assert_eq!(query("SELECT id, body FROM notes", json!([])), Ok(json!([{"body": "b", "id": 2}])));
    let values = json!([null, true, false, -7, 1.5, "x", 9_007_199_254_740_992_i64]);
    let all = "SELECT ? AS a, ? AS b, ? AS c, ? AS d, ? AS e, ? AS f, ? AS g";
    assert_eq!(
        query(all, values),
        Ok(json!([{"a": null, "b": 1, "c": 0, "d": -7, "e": 1.5, "f": "x", "g": 9_007_199_254_740_992_i64}]))
    );
}

#[test]
fn statements_outside_the_grant_are_refused() {
    let host = database();
    let cases = [
        ("db_query", "SELECT * FROM users", "policy.sql.table_denied"),
        ("db_query", "SELECT * FROM main.users", "policy.sql.table_denied"),
        ("db_query", "SELECT (SELECT pw FROM users) AS pw FROM ticket", "policy.sql.table_denied"),
        ("db_query", "SELECT id FROM ticket UNION SELECT pw FROM users", "policy.sql.table_denied"),
        ("db_query", "WITH ticket AS (SELECT * FROM users) SELECT * FROM ticket", "policy.sql.table_denied"),
        ("db_query", "SELECT * FROM people", "policy.sql.table_denied"),
        ("db_query", "SELECT * FROM sqlite_master", "policy.sql.table_denied"),
        ("db_query", "SELECT * FROM audit", "policy.sql.table_denied"),
        ("db_query", "INSERT INTO notes (body) VALUES ('x')", "policy.sql.statement_denied"),
        ("db_query", "DELETE FROM notes RETURNING id", "policy.sql.statement_denied"),
        ("db_exec", "INSERT INTO ticket (id) VALUES (9)", "policy.sql.table_denied"),
        ("db_exec", "INSERT INTO notes (body) SELECT pw FROM users", "policy.sql.table_denied"),
        ("db_exec", "UPDATE notes SET body = (SELECT pw FROM users)", "policy.sql.table_denied"),
        ("db_exec", "DELETE FROM notes WHERE id IN (SELECT id FROM users)", "policy.sql.table_denied"),
        ("db_exec", "INSERT INTO audit (body) VALUES ('x') RETURNING body", "policy.sql.table_denied"),
        ("db_exec", "DROP TABLE notes", "policy.sql.statement_denied"),
        ("db_exec", "CREATE TABLE x (id INT)", "policy.sql.statement_denied"),
        ("db_query", "SELECT load_extension('x')", "policy.sql.function_denied"),
        ("db_query", "SELECT 1; DELETE FROM users", "policy.sql.not_understood"),
        ("db_query", "", "policy.arguments"),
    ];
    for (function, sql, code) in cases {
        assert_eq!(host.ask("a", function, &json!({ "query": sql })), Err(code.into()), "{sql}");
    }
    for sql in [
        "PRAGMA user_version",
        "ATTACH ':memory:' AS x",
        "VACUUM",
        "BEGIN",
        "EXPLAIN SELECT 1",
        "SELECT 1 --\u{0}",
        "SELECT 1 /*",
    ] {
        for function in ["db_query", "db_exec"] {
            let code = host.ask("a", function, &json!({ "query": sql })).unwrap_err();
            assert!(code.starts_with("policy.sql."), "{function} {sql}: {code}");
        }
    }
    assert_eq!(
        host.ask("a", "db_exec", &json!({"query": "INSERT INTO audit (body) VALUES ('x')"})),
        Ok(json!({"affected": 1}))
    );
}

#[test]
fn arguments_that_readers_disagree_about_are_refused() {
    let host = database();
    let code = |arguments: &str| host.ask_raw("a", "db_query", arguments).unwrap_err()["code"].clone();
    for arguments in [
        r#"{"query":"SELECT 1","query":"SELECT 2"}"#,
        r#"{"query":"SELECT 1","Query":"SELECT 2"}"#,
        r#"{"query":"SELECT 1","\u0071uery":"SELECT 2"}"#,
        r#"{"query":"SELECT ?","args":[9007199254740993]}"#,
        r#"{"query":"SELECT ?","args":[-9007199254740993]}"#,
        r#"{"query":"SELECT ?","args":[18446744073709551617]}"#,
        r#"{"query":"SELECT ?","args":[[1]]}"#,
        r#"{"query":"SELECT ?","args":[{"a":1}]}"#,
        "\u{feff}{\"query\":\"SELECT 1\"}",
        "{\"query\":\"SELECT 1\"}\u{0}",
    ] {
        assert_eq!(code(arguments), "policy.arguments", "{arguments}");
    }
    for arguments in
        [r#"{"query":"SELECT ?"}"#, r#"{"query":"SELECT ?","args":[1,2]}"#, r#"{"query":"SELECT 1","args":[1]}"#]
    {
        assert_eq!(code(arguments), "policy.sql.arguments", "{arguments}");
    }
}

#[test]
fn statements_and_results_are_bounded() {
    let host = database();
    host.set_policy(
        "a",
        json!({"max_argument_bytes": 0, "max_result_bytes": 100_000, "max_db_queries_per_min": 0,
        "permissions": [{"type": "db", "access": "read", "scope": ["ticket"]}]}),
    );
    let query = |sql: &str| host.ask("a", "db_query", &json!({ "query": sql }));
    assert_eq!(query(&format!("SELECT '{}' AS a", "x".repeat(64 * 1024))), Err("policy.sql.too_large".into()));
    assert_eq!(
        query(&format!("SELECT {}1{}", "(".repeat(5_000), ")".repeat(5_000))),
        Err("policy.sql.too_large".into())
    );
    assert_eq!(query(&format!("SELECT {}", vec!["1"; 20_000].join("+"))), Err("policy.sql.too_large".into()));
    let rows = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 100000) SELECT x FROM n";
    assert_eq!(query(rows), Err("plugin.result_too_large".into()));
    let huge =
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 10000000) SELECT x, x, x FROM n";
    let code = query(huge).unwrap_err();
    assert!(["policy.quota_exceeded", "plugin.result_too_large"].contains(&code.as_str()), "{code}");
    assert_eq!(query("SELECT id FROM ticket WHERE id = 1"), Ok(json!([{"id": 1}])));
}

#[test]
fn values_inside_statements_are_bounded() {
    let host = database();
    for sql in [
        "SELECT length(printf('%.*c', 900000000, 'x')) AS n",
        "SELECT length(zeroblob(900000000)) AS n",
        "SELECT length(randomblob(900000000)) AS n",
        "SELECT length(hex(zeroblob(400000000))) AS n",
        "SELECT length(replace(printf('%.*c', 900000, 'x'), 'x', printf('%.*c', 900, 'y'))) AS n",
    ] {
        let answer = host.ask("a", "db_query", &json!({ "query": sql }));
        assert_eq!(answer, Err("host.database".into()), "{sql}");
    }
    assert_eq!(
        host.ask("a", "db_query", &json!({"query": "SELECT length(zeroblob(1000000)) AS n"})),
        Ok(json!([{"n": 1_000_000}]))
    );
}

#[test]
fn db_exec_of_a_select_affects_nothing() {
    let host = database();
    assert_eq!(
        host.ask("a", "db_exec", &json!({"query": "INSERT INTO notes (body) VALUES (1), (2), (3)"})),
        Ok(json!({"affected": 3}))
    );
    assert_eq!(host.ask("a", "db_exec", &json!({"query": "SELECT id FROM ticket"})), Ok(json!({"affected": 0})));
    assert_eq!(
        host.ask("a", "db_exec", &json!({"query": "DELETE FROM notes WHERE id > 1 RETURNING id"})),
        Ok(json!({"affected": 2}))
    );
    assert_eq!(
        host.ask("a", "db_exec", &json!({"query": "DELETE FROM notes WHERE id > 1 RETURNING id"})),
        Ok(json!({"affected": 0}))
    );
}

/// A database, asked directly as if the SQL gate had been fooled.
struct Wall {
    database: SqliteDatabase,
    _directory: tempfile::TempDir,
    path: PathBuf,
}

#[derive(Debug)]
struct Lies {
    reads: &'static [&'static str],
    writes: &'static [&'static str],
}

impl TableFacts for Lies {
    fn reads(&self, table: &str) -> bool {
        self.reads.contains(&table)
    }

    fn writes(&self, table: &str) -> bool {
        self.writes.contains(&table)
    }
}

impl Wall {
    fn new(more: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (script, path) = (directory.path().join("s.sql"), directory.path().join("d.db"));
        std::fs::write(&script, format!("{SCHEMA}{more}")).unwrap();
        let options = SqliteOptions { path: path.clone(), init_script: Some(script), read_only: false };
        Self { database: SqliteDatabase::open(options).unwrap(), _directory: directory, path }
    }

    fn run(&self, writes: bool, sql: &str, facts: Lies) -> Result<String, ErrorCode> {
        let statement = Statement {
            database: String::new(),
            sql: sql.into(),
            values: Vec::<SqlValue>::new(),
            facts: Some(Arc::new(facts)),
        };
        let request = if writes { Request::DbExec(statement) } else { Request::DbQuery(statement) };
        let context = CallContext::from_host(u64::MAX, Cancellation::default(), Origin::default());
        let call = HostCall {
            plugin: &"a".into(),
            context: &context,
            service: Service::Database,
            function: if writes { "db_exec" } else { "db_query" },
            request: &request,
        };
        let reply = self.database.serve(&call).map_err(|error| error.code())?;
        Ok(String::from_utf8(reply.into_owned()).unwrap())
    }
}

#[test]
fn the_second_wall_holds_when_the_gate_is_fooled() {
    let triggers = "
        CREATE INDEX by_title ON ticket (title);
        CREATE TRIGGER on_note AFTER INSERT ON notes BEGIN INSERT INTO audit (body) VALUES (new.body); END;
        CREATE TABLE line (id INTEGER PRIMARY KEY, note_id INTEGER REFERENCES notes(id) ON DELETE CASCADE);";
    let wall = Wall::new(triggers);
    let none: &[&str] = &[];
    let ticket = || Lies { reads: &["ticket"], writes: none };
    for sql in [
        "SELECT * FROM users",
        "SELECT (SELECT pw FROM users) FROM ticket",
        "SELECT id FROM ticket UNION ALL SELECT pw FROM users",
        "SELECT * FROM ticket WHERE id IN (SELECT id FROM users)",
        "WITH x AS (SELECT * FROM users) SELECT * FROM x",
        "SELECT count(*) FROM users",
        "SELECT 1 FROM users",
        "SELECT EXISTS (SELECT 1 FROM users)",
        "SELECT * FROM people",
        "SELECT * FROM sqlite_master",
        "SELECT * FROM sqlite_schema",
        "SELECT * FROM pragma_table_info('users')",
        "SELECT * FROM pragma_database_list",
        "SELECT load_extension('x')",
        "PRAGMA user_version",
        "PRAGMA writable_schema = 1",
        "ATTACH ':memory:' AS x",
        "EXPLAIN SELECT * FROM users",
        "BEGIN",
        "SAVEPOINT x",
    ] {
        let answer = wall.run(false, sql, ticket());
        assert!(
            matches!(answer, Err(ErrorCode::HostDatabase | ErrorCode::PolicySqlStatementDenied)),
            "{sql}: {answer:?}"
        );
    }
    let written = || Lies { reads: &["ticket"], writes: &["notes"] };
    for sql in [
        "DELETE FROM users",
        "DELETE FROM ticket",
        "UPDATE users SET pw = 'x'",
        "INSERT INTO users (login) VALUES ('x')",
        "INSERT INTO notes (body) SELECT pw FROM users",
        "UPDATE notes SET body = (SELECT pw FROM users)",
        "INSERT INTO audit (body) VALUES ('x')",
        "DROP TABLE notes",
        "DROP TABLE users",
        "ALTER TABLE notes ADD COLUMN x",
        "CREATE TABLE x (id)",
        "CREATE TEMP TABLE users (id)",
        "CREATE TEMP VIEW x AS SELECT * FROM users",
        "CREATE TRIGGER t AFTER INSERT ON notes BEGIN DELETE FROM users; END",
        "CREATE INDEX i ON notes (body)",
        "DELETE FROM sqlite_sequence",
        "UPDATE sqlite_master SET sql = ''",
        "VACUUM",
        "VACUUM INTO '/tmp/stolen.db'",
        "REINDEX",
        "ANALYZE",
        "ATTACH ':memory:' AS x",
        "DETACH main",
        "PRAGMA journal_mode = OFF",
        "BEGIN EXCLUSIVE",
        "COMMIT",
        "SAVEPOINT x",
    ] {
        assert_eq!(wall.run(true, sql, written()), Err(ErrorCode::HostDatabase), "{sql}");
    }
    // A query that writes is refused although the table is granted, and the second of two statements never runs.
    assert_eq!(
        wall.run(false, "INSERT INTO notes (body) VALUES ('x')", written()),
        Err(ErrorCode::PolicySqlStatementDenied)
    );
    let _ = wall.run(false, "SELECT 1; DELETE FROM notes", written());
    let _ = wall.run(true, "INSERT INTO notes (body) VALUES ('kept'); DELETE FROM notes", written());
    let check = rusqlite::Connection::open(&wall.path).unwrap();
    let count = |table: &str| {
        check.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!((count("users"), count("ticket"), count("queue")), (1, 2, 2));
    let before = count("notes");
    // What the owner of the schema tied to a granted table works: triggers, keys.
    assert_eq!(
        wall.run(true, "INSERT INTO notes (id, body) VALUES (50, 'x')", written()),
        Ok(r#"{"affected":1}"#.into())
    );
    assert_eq!((count("notes"), count("audit") > 0), (before + 1, true));
    assert_eq!(wall.run(true, "DELETE FROM notes WHERE id = 50", written()), Ok(r#"{"affected":1}"#.into()));
    // What is granted stays granted after all that.
    assert_eq!(wall.run(false, "SELECT id FROM ticket ORDER BY id", ticket()), Ok(r#"[{"id":1},{"id":2}]"#.into()));
    let people = Lies { reads: &["people"], writes: none };
    assert_eq!(wall.run(false, "SELECT login FROM people", people), Ok(r#"[{"login":"root"}]"#.into()));
    // The granted view opens its table to nobody else.
    let people = Lies { reads: &["people"], writes: none };
    assert_eq!(wall.run(false, "SELECT login FROM people, users", people), Err(ErrorCode::HostDatabase));
}

/// SQLite gives the name of a WITH item where it gives the view or trigger that reaches a table.
#[test]
fn a_with_item_is_no_view_or_trigger_for_the_second_wall() {
    let wall = Wall::new(
        "CREATE TRIGGER on_note AFTER INSERT ON notes BEGIN INSERT INTO audit (body) VALUES (new.body); END;
         CREATE VIEW busy AS SELECT id FROM ticket;",
    );
    let reading = || Lies { reads: &["busy", "people"], writes: &[] };
    for sql in [
        "WITH busy AS (SELECT pw FROM users) SELECT * FROM busy, main.busy AS b",
        "WITH Busy(x) AS MATERIALIZED (SELECT pw FROM users) SELECT * FROM busy, main.busy AS b",
        "WITH \"busy\" AS (SELECT pw FROM users) SELECT * FROM busy",
        "SELECT (WITH busy AS (SELECT pw FROM users) SELECT pw FROM busy) FROM people",
    ] {
        assert_eq!(wall.run(false, sql, reading()), Err(ErrorCode::HostDatabase), "{sql}");
    }
    for sql in [
        "WITH on_note AS (SELECT pw FROM users) INSERT INTO notes (body) SELECT pw FROM on_note",
        "INSERT INTO notes (body) WITH on_note AS (SELECT pw FROM users) SELECT pw FROM on_note",
        "INSERT INTO notes (body) WITH [on_note](x) AS (SELECT pw FROM users) SELECT x FROM on_note",
    ] {
        let writing = Lies { reads: &[], writes: &["notes"] };
        assert_eq!(wall.run(true, sql, writing), Err(ErrorCode::HostDatabase), "{sql}");
    }
    // Views beside WITH items of other names, and triggers, still reach their tables.
    let sql = "WITH x AS (SELECT login FROM people) SELECT x.login, (SELECT min(id) FROM busy) AS id FROM x";
    assert_eq!(wall.run(false, sql, reading()), Ok(r#"[{"id":1,"login":"root"}]"#.into()));
    // A view of nothing but keys.
    for sql in ["SELECT count(*) AS n FROM busy", "SELECT count(id) AS n FROM busy", "SELECT max(id) AS n FROM busy"] {
        assert_eq!(wall.run(false, sql, reading()), Ok(r#"[{"n":2}]"#.into()), "{sql}");
    }
    assert_eq!(wall.run(false, "SELECT 1 FROM busy, users", reading()), Err(ErrorCode::HostDatabase));
    let writing = Lies { reads: &[], writes: &["notes"] };
    let sql = "WITH x AS (SELECT 'a' AS body) INSERT INTO notes (body) SELECT body FROM x";
    assert_eq!(wall.run(true, sql, writing), Ok(r#"{"affected":1}"#.into()));
}

#[test]
fn an_unchecked_statement_never_reaches_the_database() {
    let wall = Wall::new("");
    let statement = Statement { database: String::new(), sql: "SELECT 1".into(), values: vec![], facts: None };
    let context = CallContext::from_host(u64::MAX, Cancellation::default(), Origin::default());
    let request = Request::DbQuery(statement);
    let call = HostCall {
        plugin: &"a".into(),
        context: &context,
        service: Service::Database,
        function: "db_query",
        request: &request,
    };
    assert_eq!(code_of(wall.database.serve(&call)), ErrorCode::InternalBug);
}

#[test]
fn a_schema_that_changes_is_seen() {
    let host = Host::on_file();
    host.approve("a", json!([{"type": "db", "access": "read", "scope": ["ticket", "fresh"]}]));
    host.load(&Guest::named("a"));
    let query = |sql: &str| host.ask("a", "db_query", &json!({ "query": sql }));
    assert_eq!(query("SELECT * FROM fresh"), Err("host.database".into()));
    let owner = rusqlite::Connection::open(host.database_path()).unwrap();
    owner.execute_batch("CREATE TABLE fresh (id); INSERT INTO fresh VALUES (7)").unwrap();
    assert_eq!(query("SELECT * FROM fresh"), Ok(json!([{"id": 7}])));
    // A granted name that becomes a view is what its owner made of it.
    owner.execute_batch("DROP TABLE fresh; CREATE VIEW fresh AS SELECT login FROM users").unwrap();
    assert_eq!(query("SELECT * FROM fresh"), Ok(json!([{"login": "root"}])));
    assert_eq!(query("SELECT * FROM users"), Err("policy.sql.table_denied".into()));
}

// Configuration, translations, events

#[test]
fn secrets_in_the_configuration_need_to_be_spelled() {
    let host = configured();
    host.load(&Guest::named("a"));
    let get = |key: &str| host.ask("a", "config_get", &json!({ "key": key }));
    host.approve("a", json!([{"type": "config", "access": "read", "scope": ["*"]}]));
    assert_eq!(get("app.name"), Ok(json!({"value": "GoatFlow"})));
    for key in ["smtp.password", "db.password", "api_token", "SMTP.Password", "x.secret", "a key"] {
        assert_eq!(get(key), Err("policy.config.key_denied".into()), "{key}");
    }
    assert_eq!(get("app.unknown"), Err("host.not_found".into()));
    host.approve("a", json!([{"type": "config", "access": "read", "scope": ["smtp.password"]}]));
    assert_eq!(get("smtp.password"), Ok(json!({"value": "pw"})));
    assert_eq!(get("db.password"), Err("policy.config.key_denied".into()));
    assert_eq!(get("app.name"), Err("policy.config.key_denied".into()));
}

#[test]
fn translations_follow_the_language_of_the_call() {
    let host = configured();
    let i18n =
        json!({"namespace": "shop", "translations": {"de": {"title": "Laden"}, "en": {"title": "Shop"}, "xx": 7}});
    let name = host.load(&Guest::registered(&json!({"name": "a", "i18n": i18n})));
    let translate = |language: Option<&str>, key: &str, args: Value| {
        let origin = Origin { language: language.map(Into::into), ..Origin::default() };
        let options = CallOptions { origin, ..CallOptions::default() };
        let answer =
            host.call_with(&name, "translate", json!({"key": key, "args": args}).to_string(), &options).unwrap();
        serde_json::from_slice::<Value>(&answer.unwrap()).unwrap()["value"].as_str().unwrap().to_owned()
    };
    assert_eq!(translate(None, "greeting", json!(["Ann"])), "Hello Ann");
    assert_eq!(translate(Some("de"), "greeting", json!(["Ann"])), "Hallo Ann");
    assert_eq!(translate(Some("fr"), "greeting", json!([3])), "Hello 3");
    assert_eq!(translate(Some("de"), "shop.title", json!([])), "Laden");
    assert_eq!(translate(None, "shop.title", json!([])), "Shop");
    assert_eq!(translate(None, "title", json!([])), "title");
    host.manager.unload("a", PATIENCE).unwrap();
    let other = host.load(&Guest::named("b"));
    assert_eq!(host.ask(&other, "translate", &json!({"key": "shop.title"})), Ok(json!({"value": "shop.title"})));
}

#[test]
fn events_reach_subscribers_with_the_publisher_stamped() {
    let host = configured();
    host.load(&Guest::named("a"));
    host.load(&Guest::named("b"));
    let (sender, receiver) = mpsc::channel();
    let subscription = host
        .manager
        .subscribe(
            br#"{"kinds":["published","call.denied","policy.changed","plugin.unloaded"],"plugin":"a"}"#,
            Box::new(move |event| {
                sender.send(serde_json::from_str::<Value>(event).unwrap()).unwrap();
            }),
        )
        .unwrap();
    let publish = |plugin: &str| {
        host.ask(
            plugin,
            "publish_event",
            &json!({"channel": "c", "event_type": "t", "data": {"plugin": "forged"}, "plugin": "forged"}),
        )
    };
    publish("b").unwrap();
    publish("a").unwrap();
    let event = || receiver.recv_timeout(PATIENCE).unwrap();
    assert_eq!(
        event(),
        json!({"kind": "published", "plugin": "a", "channel": "c", "event_type": "t", "data": {"plugin": "forged"}})
    );
    host.ask("a", "config_get", &json!({"key": "k"})).unwrap_err();
    let denied = event();
    assert_eq!(
        (&denied["kind"], &denied["function"], &denied["error"]["code"]),
        (&json!("call.denied"), &json!("config_get"), &json!("policy.permission_missing"))
    );
    host.approve("a", json!([]));
    assert_eq!(event()["kind"], "policy.changed");
    for names in [json!({"channel": "c\n", "event_type": "t"}), json!({"channel": "c".repeat(201), "event_type": "t"})]
    {
        assert_eq!(host.ask("a", "publish_event", &names), Err("policy.arguments".into()));
        assert_eq!(event()["kind"], "call.denied");
    }
    host.manager.unload("a", Duration::ZERO).unwrap();
    assert_eq!(event()["kind"], "plugin.unloaded");
    drop(subscription);
    publish("b").unwrap();
    assert!(receiver.recv_timeout(Duration::from_millis(1)).is_err());
}

#[test]
fn events_that_nobody_takes_are_bounded_in_bytes() {
    let host = configured();
    host.set_policy("a", json!({"max_log_lines_per_second": 0}));
    host.load(&Guest::named("a"));
    let gate = Gate::new();
    let _open = OpenOnDrop(&[&gate]);
    let slow = Arc::clone(&gate);
    let gates = Gates([("x", slow)].into());
    let context = CallContext::from_host(u64::MAX, Cancellation::default(), Origin::default());
    let _subscription = host
        .manager
        .subscribe(
            br#"{"kinds":["published"]}"#,
            Box::new(move |_| {
                let request = Request::Translate { key: "x".into(), args: vec![] };
                let call = HostCall {
                    plugin: &"a".into(),
                    context: &context,
                    service: Service::Translate,
                    function: "translate",
                    request: &request,
                };
                gates.serve(&call).map(drop).unwrap();
            }),
        )
        .unwrap();
    let arguments = json!({"event_type": "t", "data": "x".repeat(1_000_000)});
    for _ in 0..300 {
        host.ask("a", "publish_event", &arguments).unwrap();
    }
    assert!(host.manager.dropped_events() > 0, "300 MB of events wait for a subscriber");
}

// Log

#[test]
fn log_records_carry_level_fields_and_request_and_can_not_be_forged() {
    let host = configured();
    host.load(&Guest::named("a"));
    let log = |arguments: Value, options: &CallOptions| {
        host.call_with("a", "log", arguments.to_string(), options).unwrap();
    };
    log(
        json!({"level": "error", "message": "one\ntwo\u{202e}\u{1b}[31m", "fields": {"n": 1, "request_id": "forged", "plugin": "forged"}}),
        &request_id("r-7"),
    );
    log(json!({"level": "ERROR", "message": "unknown level"}), &CallOptions::default());
    log(
        json!({"message": "x".repeat(10_000), "fields": {"big": "y".repeat(10_000)}, "plugin": "forged"}),
        &CallOptions::default(),
    );
    let records = host.log_records("a");
    assert_eq!(records.len(), 3);
    assert_eq!(records[0]["message"], "one\\ntwo\\u{202e}\\u{1b}[31m");
    assert_eq!((&records[0]["level"], &records[0]["plugin"]), (&json!("error"), &json!("a")));
    assert_eq!((&records[0]["fields"]["request_id"], &records[0]["fields"]["n"]), (&json!("r-7"), &json!(1)));
    assert_eq!(records[1]["level"], "info");
    let message = records[2]["message"].as_str().unwrap();
    assert!(message.len() < 8_300 && message.ends_with("… (cut)"), "{}", message.len());
    assert!(records[2]["fields"].to_string().len() < 200, "{}", records[2]["fields"]);
}

#[test]
fn escaping_does_not_make_messages_longer_than_they_may_be() {
    let host = configured();
    host.load(&Guest::named("a"));
    host.call("a", "log", json!({"message": "\u{202e}".repeat(2_000)}).to_string()).unwrap();
    host.call("a", "log", json!({"message": "\u{1}".repeat(8_000)}).to_string()).unwrap();
    for line in host.log_lines("a") {
        assert!(line.len() <= 8 * 1024 + 64, "{} bytes", line.len());
    }
}

#[test]
fn a_plugin_can_not_say_which_request_it_belongs_to() {
    let host = configured();
    host.load(&Guest::named("a"));
    host.call("a", "log", json!({"message": "m", "fields": {"request_id": "forged"}}).to_string()).unwrap();
    assert_eq!(host.log_records("a")[0]["fields"].get("request_id"), None);
}

#[test]
fn logs_can_be_filtered() {
    let host = configured();
    for name in ["a", "b"] {
        host.load(&Guest::named(name));
        for level in ["debug", "info", "warn", "error"] {
            host.ask(name, "log", &json!({"level": level, "message": level})).unwrap();
        }
    }
    let filter = |plugin: Option<&str>, level: Option<&str>, limit: Option<usize>| {
        let filter = goatflow_plugin::host::log::LogFilter {
            plugin: plugin.map(str::to_owned),
            level: level.and_then(goatflow_plugin::host::LogLevel::from_name),
            limit,
        };
        let records = host.manager.logs(&filter);
        let line =
            |record: &Value| format!("{}:{}", record["plugin"].as_str().unwrap(), record["level"].as_str().unwrap());
        records.as_array().unwrap().iter().map(line).collect::<Vec<_>>()
    };
    assert_eq!(filter(Some("a"), Some("warn"), None), ["a:error", "a:warn"]);
    assert_eq!(filter(None, Some("error"), None), ["b:error", "a:error"]);
    assert_eq!(filter(None, None, Some(1)), ["b:error"]);
    host.manager.clear_logs();
    assert_eq!(filter(None, None, None), Vec::<String>::new());
}

// Accounts

#[test]
fn stats_count_exactly_what_happened() {
    let host = configured();
    host.approve("a", everything());
    host.load(&Guest::named("a"));
    host.load(&Guest::named("other"));
    let before = host.stats("a");
    assert_eq!((&before["served"], &before["last_call_at"]), (&json!(0), &json!(0)));
    for (turn, function) in Function::ALL.iter().enumerate() {
        for _ in 0..=turn {
            let _ = host.ask("a", function.name(), &request(*function));
        }
    }
    host.ask("a", "nonsense", &json!({})).unwrap_err();
    host.ask("a", "db_query", &json!({"query": "SELECT * FROM users"})).unwrap_err();
    host.ask("a", "translate", &json!({"key": 7})).unwrap_err();
    host.code("a", "trap", "", &CallOptions::default());
    let stats = host.stats("a");
    // In the order of the table: query, exec, get, set, delete, http, email, config, translate, call, event, log.
    let expected = [
        ("db_queries", 1),
        ("db_execs", 2),
        ("cache_ops", 3 + 4 + 5),
        ("http_requests", 6),
        ("emails", 7),
        ("config_reads", 8),
        ("translations", 9),
        ("calls", 10),
        ("events", 11),
        ("log_calls", 12),
        ("custom_calls", 0),
        // No provider for 6 requests and 7 e-mails; three denials.
        ("errors", 13 + 3),
        ("denials", 3),
        ("served", 78 + 4),
        ("failed", 1),
        ("in_flight", 0),
    ];
    for (field, count) in expected {
        assert_eq!(stats[field], count, "{field}: {stats}");
    }
    assert_eq!(stats["plugin_name"], "a");
    assert!(stats["last_call_at"].as_u64().unwrap() > 1_600_000_000_000);
    assert_eq!(host.stats("other")["served"], 10);
    let denied = stats["denied"].as_array().unwrap();
    assert_eq!(denied.len(), 3, "{denied:?}");
    assert!(denied.iter().any(|denial| denial["target"] == "users"
        && denial["count"] == 1
        && denial["code"] == "policy.sql.table_denied"));
    let all = host.manager.stats(None).unwrap();
    assert_eq!(all.as_array().unwrap().iter().map(|stats| &stats["plugin_name"]).collect::<Vec<_>>(), ["a", "other"]);
}
