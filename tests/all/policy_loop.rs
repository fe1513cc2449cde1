//! Learning: a plugin is refused or observed, the smallest policy is suggested and accepted, and the plugin works.

use std::time::Duration;

use goatflow_plugin::error::ErrorCode;
use goatflow_plugin::host::{Function, HostCall};
use goatflow_plugin::sandbox::dry_run::check_document;
use serde_json::{Value, json};

use crate::support::{Answer, Guest, Host, code_of};

/// A plugin that declares too much and too little.
fn guest() -> Guest {
    Guest::registered(&json!({"name": "a", "version": "1.0.0", "resources": {"permissions": [
        {"type": "db", "access": "read", "scope": ["ticket", "users", "gk_*"]},
        {"type": "http", "scope": ["never.example.com", "*"]},
    ]}}))
}

fn host() -> Host {
    let host = Host::with(json!({"config": {"values": {"app.name": "GoatFlow", "smtp.password": "pw"}}}));
    for service in ["http", "email"] {
        host.manager
            .provide(service, Some(Box::new(Answer(|_: &HostCall<'_>| Ok(b"{\"ok\":true}".to_vec().into())))))
            .unwrap();
    }
    host.load(&guest());
    host.load(&Guest::named("other"));
    host
}

/// What the plugin does when it works.
fn uses() -> Vec<(&'static str, Value)> {
    vec![
        ("db_query", json!({"query": "SELECT t.id FROM ticket t JOIN queue q ON q.id = t.queue_id JOIN audit ON 1"})),
        ("db_exec", json!({"query": "INSERT INTO notes (body) SELECT body FROM audit"})),
        ("http_request", json!({"method": "GET", "url": "https://api.example.com/x"})),
        ("send_email", json!({"to": "ann@example.org", "subject": "s", "body": "b"})),
        ("config_get", json!({"key": "app.name"})),
        ("plugin_call", json!({"plugin": "other", "function": "echo", "args": {}})),
    ]
}

/// What it must not get by learning.
fn abuses() -> Vec<(&'static str, Value)> {
    vec![
        ("db_query", json!({"query": "SELECT pw FROM users"})),
        ("db_query", json!({"query": "SELECT name FROM sqlite_master"})),
        ("db_query", json!({"query": "SELECT t.id FROM ticket t JOIN users u ON u.id = t.id"})),
        ("db_exec", json!({"query": "UPDATE users SET pw = 'x'"})),
        ("db_exec", json!({"query": "DROP TABLE ticket"})),
        ("db_query", json!({"query": "SELECT load_extension('x')"})),
        ("db_query", json!({"query": "SELECT (((("})),
        ("db_query", json!({"query": "DELETE FROM notes"})),
        ("config_get", json!({"key": "smtp.password"})),
        ("http_request", json!({"method": "GET", "url": "http://127.0.0.1/"})),
        ("http_request", json!({"method": "GET", "url": "http://localhost/"})),
        ("http_request", json!({"method": "TRACE", "url": "https://api.example.com/"})),
        ("send_email", json!({"to": "ann@example.org, bob@example.org", "subject": "s", "body": "b"})),
        ("send_email", json!({"to": "ann@example.org", "subject": "s\r\nBcc: x@example.org", "body": "b"})),
        ("no_such_function", json!({})),
    ]
}

fn ask(host: &Host, call: &(&str, Value)) -> Result<Value, String> {
    host.ask("a", call.0, &call.1)
}

fn suggestion(host: &Host, options: &str) -> Value {
    host.manager.policy_suggest("a", options.as_bytes()).unwrap()
}

fn apply(host: &Host, suggestion: &Value) -> u64 {
    host.manager.policy_apply("a", suggestion.to_string().as_bytes()).unwrap()
}

/// Permissions as sorted texts, for comparison.
fn permissions(document: &Value) -> Vec<String> {
    let mut lines: Vec<String> = document["permissions"].as_array().unwrap().iter().map(ToString::to_string).collect();
    lines.sort();
    lines
}

#[test]
fn refused_suggested_accepted_works_and_nothing_more_is_granted_than_used() {
    let host = host();
    for call in uses() {
        assert!(ask(&host, &call).is_err(), "{call:?}");
    }
    let suggested = suggestion(&host, "");
    let expected = json!({"permissions": [
        {"type": "db", "access": "read", "scope": ["ticket", "audit", "queue"]},
        {"type": "cache", "access": "readwrite"},
        {"type": "config", "access": "read", "scope": ["app.name"]},
        {"type": "db", "access": "write", "scope": ["notes"]},
        {"type": "email", "scope": ["ann@example.org"]},
        {"type": "http", "scope": ["api.example.com"], "methods": ["GET"], "schemes": ["https"]},
        {"type": "plugin_call", "scope": ["other"]},
    ]});
    assert_eq!(permissions(&suggested["document"]), permissions(&expected), "one round finds all of it");
    assert_eq!((&suggested["document"]["status"], &suggested["revision"]), (&json!("approved"), &json!(0)));
    assert_eq!(apply(&host, &suggested), 1);
    for call in uses() {
        assert!(ask(&host, &call).is_ok(), "{call:?}: {:?}", ask(&host, &call));
    }
    for call in abuses() {
        assert!(ask(&host, &call).is_err(), "{call:?}");
    }
    // Declared and not needed, patterns, people: told, not granted.
    let left_out: Vec<String> = suggested["left_out"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| format!("{} {}", line["entry"]["scope"][0].as_str().unwrap(), line["reason"].as_str().unwrap()))
        .collect();
    assert_eq!(
        left_out,
        [
            "gk_* a pattern is never suggested; write it yourself if it is meant",
            "users the plugin declares it, but did not need it so far",
            "* a pattern is never suggested; write it yourself if it is meant",
            "never.example.com the plugin declares it, but did not need it so far",
        ]
    );
    // Each line has its evidence.
    let notes =
        suggested["lines"].as_array().unwrap().iter().find(|line| line["entry"]["scope"][0] == "notes").unwrap();
    assert_eq!((&notes["new"], &notes["sensitive"]), (&json!(true), &json!(false)));
    let evidence = &notes["evidence"][0];
    assert_eq!(
        (&evidence["kind"], &evidence["function"], &evidence["count"]),
        (&json!("denied"), &json!("db_exec"), &json!(1))
    );
    assert!(evidence["sample"].as_str().unwrap().contains("db") && evidence["first_seen"] == evidence["last_seen"]);
    // Now that it works, nothing is left to suggest, and what was suggested can't be accepted twice.
    let again = suggestion(&host, "");
    assert_eq!(
        (&again["changes"], &again["document"], &again["revision"]),
        (&json!(false), &suggested["document"], &json!(1))
    );
    let stale = host.manager.policy_apply("a", suggested.to_string().as_bytes());
    assert_eq!(code_of(stale), ErrorCode::PolicyRevisionConflict);
    let history = host.manager.policy_history(Some("a"), 1).unwrap();
    assert_eq!((&history[0]["action"], &history[0]["revision"]), (&json!("applied"), &json!(1)));
}

#[test]
fn what_happens_after_the_look_is_not_granted_by_accepting() {
    let host = host();
    assert!(ask(&host, &uses()[0]).is_err());
    let seen = suggestion(&host, "");
    // Between the look and the word, the plugin asks for more.
    assert!(ask(&host, &uses()[1]).is_err());
    apply(&host, &seen);
    assert!(ask(&host, &uses()[0]).is_ok());
    assert_eq!(ask(&host, &uses()[1]), Err("policy.permission_missing".into()));
}

#[test]
fn sensitive_entries_are_included_only_when_asked_for_and_flagged() {
    let host = host();
    let wanted =
        [("db_query", json!({"query": "SELECT pw FROM users"})), ("config_get", json!({"key": "smtp.password"}))];
    host.approve("a", json!([{"type": "config", "access": "read", "scope": ["app.*"]}, {"type": "db", "access": "read", "scope": ["ticket"]}]));
    for call in &wanted {
        assert!(ask(&host, call).is_err());
    }
    let modest = suggestion(&host, "{}");
    assert_eq!(modest["changes"], false);
    assert_eq!(modest["left_out"].to_string().matches("sensitive: ").count(), 2, "{modest}");
    let all = suggestion(&host, r#"{"sensitive":true}"#);
    let flagged: Vec<_> = all["lines"].as_array().unwrap().iter().filter(|line| line["sensitive"] == true).collect();
    assert_eq!(flagged.len(), 2, "{all}");
    apply(&host, &all);
    for call in &wanted {
        assert!(ask(&host, call).is_ok(), "{call:?}");
    }
    let declared = suggestion(&host, r#"{"declared":true}"#);
    assert!(declared["document"].to_string().contains("never.example.com"));
    assert!(!declared["document"].to_string().contains("gk_*"));
    for wrong in ["[]", "{\"sensitve\":true}", "{\"sensitive\":1}", "x"] {
        assert_eq!(code_of(host.manager.policy_suggest("a", wrong.as_bytes())), ErrorCode::ArgumentJson, "{wrong}");
    }
}

#[test]
fn what_is_stored_is_kept_and_what_it_takes_away_stays_away() {
    let host = host();
    host.set_policy(
        "a",
        json!({"status": "restricted", "max_emails_per_min": 3, "note": "mine",
               "permissions": [{"type": "db", "access": "read", "scope": ["q*"]}],
               "denied": [{"type": "db", "scope": ["audit"]}]}),
    );
    assert!(ask(&host, &uses()[0]).is_err());
    let suggested = suggestion(&host, "");
    let document = &suggested["document"];
    assert_eq!(
        (&document["status"], &document["note"], &document["max_emails_per_min"]),
        (&json!("restricted"), &json!("mine"), &json!(3))
    );
    assert_eq!(document["permissions"], json!([{"type": "db", "access": "read", "scope": ["q*", "ticket"]}]));
    assert!(suggested["left_out"].to_string().contains("takes it away"), "{suggested}");
    host.set_policy("a", json!({"status": "blocked"}));
    assert_eq!(code_of(host.manager.policy_suggest("a", b"")), ErrorCode::PolicyBlocked);
    assert_eq!(code_of(host.manager.policy_suggest("nobody", b"")), ErrorCode::LifecyclePluginNotFound);
    // A draft that waits for review is not slipped in.
    host.set_policy("a", json!({"status": "pending_review", "permissions": [{"type": "http", "scope": ["*"]}]}));
    let suggested = suggestion(&host, "");
    assert!(!suggested["document"].to_string().contains("http"), "{suggested}");
    assert!(suggested["left_out"].to_string().contains("pending_review"), "{suggested}");
}

#[test]
fn an_observed_plugin_may_what_only_lacks_a_grant_and_never_more() {
    let host = host();
    let revision = host.manager.policy_observe("a", 3600).unwrap();
    assert_eq!(revision, 1);
    let view = host.manager.policy("a").unwrap();
    assert_eq!(view["effective"]["source"], "default_grant");
    assert!(view["effective"]["observe"]["until"].is_string(), "{view}");
    assert!(host.log_lines("a").iter().any(|line| line.contains("is observed until")));
    for call in uses() {
        assert!(ask(&host, &call).is_ok(), "{call:?}: {:?}", ask(&host, &call));
    }
    for call in abuses() {
        let code = ask(&host, &call).unwrap_err();
        assert!(code.starts_with("policy."), "{call:?}: {code}");
    }
    let observed = host.stats("a")["observed"].as_array().unwrap().len();
    assert_eq!(observed, uses().len());
    assert_eq!(host.log_lines("a").iter().filter(|line| line.starts_with("observed: ")).count(), uses().len());
    let suggested = suggestion(&host, "");
    assert_eq!(suggested["document"]["observe"], Value::Null, "accepting ends it");
    assert!(suggested["lines"].to_string().contains("\"kind\":\"observed\""));
    apply(&host, &suggested);
    for call in uses() {
        assert!(ask(&host, &call).is_ok(), "{call:?}");
    }
    assert_eq!(ask(&host, &("config_get", json!({"key": "app.other"}))), Err("policy.config.key_denied".into()));
    // Blocked is blocked, observed or not.
    host.set_policy(
        "a",
        json!({"status": "blocked", "observe": {"from": "2020-01-01T00:00:00Z", "until": "2020-01-02T00:00:00Z"}}),
    );
    assert_eq!(code_of(host.call("a", "echo", "x")), ErrorCode::PolicyBlocked);
}

#[test]
fn an_observation_is_over_when_its_time_is() {
    let host = host();
    let now = goatflow_plugin::clock::wall();
    let at = |time| goatflow_plugin::clock::rfc3339(time);
    let window = |from, until| json!({"status": "approved", "observe": {"from": at(from), "until": at(until)}});
    let call = &uses()[0];
    let (minute, day) = (Duration::from_secs(60), Duration::from_secs(86_400));
    host.set_policy("a", window(now - day, now - minute));
    assert!(ask(&host, call).is_err(), "over");
    host.set_policy("a", window(now + minute, now + day));
    assert!(ask(&host, call).is_err(), "not begun");
    host.set_policy("a", window(now - minute, now + day));
    assert!(ask(&host, call).is_ok());
    host.manager.policy_observe("a", 0).unwrap();
    assert!(ask(&host, call).is_err(), "ended");
    assert_eq!(host.manager.policy("a").unwrap()["stored"]["observe"], Value::Null);
    for wrong in [
        json!({"from": at(now), "until": at(now + 40 * day)}),
        json!({"from": at(now), "until": at(now)}),
        json!({"from": at(now), "until": at(now - day)}),
        json!({"until": at(now + day)}),
        json!({"from": "now", "until": at(now + day)}),
        json!(3600),
    ] {
        let document = json!({"version": 1, "status": "approved", "observe": wrong}).to_string();
        assert_eq!(
            code_of(host.manager.set_policy("a", document.as_bytes(), None)),
            ErrorCode::PolicyDocumentInvalid,
            "{wrong}"
        );
    }
    assert_eq!(code_of(host.manager.policy_observe("a", 32 * 86_400)), ErrorCode::ArgumentInvalid);
}

#[test]
fn what_is_taken_away_is_not_observed_and_rates_still_count() {
    let host = host();
    let now = goatflow_plugin::clock::wall();
    let until = goatflow_plugin::clock::rfc3339(now + Duration::from_secs(3600));
    host.set_policy(
        "a",
        json!({"status": "restricted", "max_db_queries_per_min": 2, "denied": [{"type": "email"}],
               "observe": {"from": goatflow_plugin::clock::rfc3339(now), "until": until}}),
    );
    assert_eq!(ask(&host, &uses()[3]), Err("policy.permission_missing".into()), "mail is taken away");
    assert!(ask(&host, &uses()[0]).is_ok() && ask(&host, &uses()[0]).is_ok());
    assert_eq!(ask(&host, &uses()[0]), Err("policy.rate_limited".into()));
    assert_eq!(host.stats("a")["observed"][0]["count"], 2, "a call that did not pass was not let through");
}

#[test]
fn what_was_learned_outlives_the_host() {
    let directory = tempfile::tempdir().unwrap();
    let store = json!({"policy_store": {"kind": "file", "directory": directory.path().join("policies")}});
    let first = Host::with(store.clone());
    first.load(&guest());
    assert!(ask(&first, &uses()[0]).is_err());
    first.manager.shut_down(Duration::ZERO).unwrap();
    drop(first);
    let second = Host::with(store);
    let unloaded = suggestion(&second, "");
    assert!(unloaded["document"].to_string().contains("\"queue\""), "{unloaded}");
    second.load(&guest());
    assert_eq!(suggestion(&second, ""), unloaded);
    assert!(ask(&second, &uses()[0]).is_err());
    assert_eq!(second.stats("a")["denied"][0]["count"], 2, "counts go on");
}

// Every refusal explains itself

/// Calls that end in each code that a host call can end in.
fn refusals() -> Vec<(&'static str, &'static str, Value)> {
    let sql = |query: &str| json!({ "query": query });
    vec![
        ("policy.permission_missing", "config_get", json!({"key": "x"})),
        ("policy.function_unknown", "no_such_function", json!({})),
        ("policy.arguments", "cache_get", json!({"key": "k".repeat(600)})),
        ("policy.sql.table_denied", "db_query", sql("SELECT id FROM queue")),
        ("policy.sql.table_denied", "db_exec", sql("INSERT INTO audit (body) VALUES ('x')")),
        ("policy.sql.statement_denied", "db_query", sql("DELETE FROM notes")),
        ("policy.sql.not_understood", "db_query", sql("SELECT ((")),
        ("policy.sql.function_denied", "db_query", sql("SELECT load_extension('x') FROM ticket")),
        (
            "policy.sql.too_large",
            "db_query",
            sql(&format!("SELECT id FROM ticket WHERE id IN ({}1)", "1,".repeat(40_000))),
        ),
        ("policy.sql.arguments", "db_query", json!({"query": "SELECT id FROM ticket WHERE id = ?", "args": []})),
        ("policy.email.recipient_denied", "send_email", json!({"to": "bob@example.net", "subject": "s", "body": "b"})),
        ("policy.email.invalid", "send_email", json!({"to": "a@b@c", "subject": "s", "body": "b"})),
        ("policy.http.url_denied", "http_request", json!({"method": "GET", "url": "https://other.example.com/"})),
        ("policy.http.invalid", "http_request", json!({"method": "GET", "url": "https://u:p@api.example.com/"})),
        ("policy.callee_denied", "plugin_call", json!({"plugin": "nobody", "function": "f", "args": {}})),
        ("policy.target_denied", "org_get", json!({"name": "south"})),
        ("policy.quota_exceeded", "cache_set", json!({"key": "k", "value": "QUJD".repeat(40), "ttl": 0})),
    ]
}

#[test]
fn every_refusal_has_a_rule_a_target_and_a_way_out_or_a_reason_why_there_is_none() {
    let host = host();
    let org = goatflow_plugin::sandbox::CustomFunction {
        name: "org_get".into(),
        permission: goatflow_plugin::policy::PermissionType::from_name("org"),
        access: goatflow_plugin::policy::Access::Read,
        target: Some("/name".into()),
        provider: Box::new(Answer(|_: &HostCall<'_>| Ok(b"{}".to_vec().into()))),
    };
    host.manager.declare(org).unwrap();
    let granted = json!([
        {"type": "db", "access": "read", "scope": ["ticket"]},
        {"type": "db", "access": "write", "scope": ["notes"]},
        {"type": "cache", "access": "readwrite"},
        {"type": "http", "scope": ["api.example.com"], "methods": ["GET"], "schemes": ["https"]},
        {"type": "email", "scope": ["@example.org"]},
        {"type": "plugin_call", "scope": ["other", "a"]},
        {"type": "org", "access": "read", "scope": ["north"]},
    ]);
    host.set_policy("a", json!({"permissions": granted, "max_cache_bytes": 100}));
    let mut seen = std::collections::BTreeSet::new();
    let mut explained = |code: &str, error: &Value| {
        assert_eq!(error["code"], code, "{error}");
        let detail = &error["detail"];
        assert!(detail["rule"].as_str().is_some_and(|rule| !rule.is_empty()), "{error}");
        assert!(detail["target"].as_str().is_some_and(|target| !target.is_empty()), "{error}");
        let ways = [detail["suggestion"].is_object(), detail["no_suggestion"].is_string()];
        assert_eq!(ways.iter().filter(|way| **way).count(), 1, "{error}");
        // What is suggested for an entry is an entry, and it is enough.
        if detail["suggestion"]["type"].is_string() {
            let document = json!({"version": 1, "status": "approved", "permissions": [detail["suggestion"]]});
            assert!(goatflow_plugin::policy::document::parse(document.to_string().as_bytes()).is_ok(), "{error}");
            assert!(!detail["suggestion"].to_string().contains('*'), "{error}");
        }
        seen.insert(code.to_owned());
    };
    for (code, function, arguments) in refusals() {
        explained(code, &host.ask_raw("a", function, arguments.to_string()).unwrap_err());
    }
    let deny_listed =
        json!([{"type": "config", "access": "read", "scope": ["*"]}, {"type": "plugin_call", "scope": ["a"]}]);
    host.set_policy("a", json!({"permissions": deny_listed, "max_calls_per_second": 0}));
    explained("policy.config.key_denied", &host.ask_raw("a", "config_get", r#"{"key":"smtp.password"}"#).unwrap_err());
    // A chain of calls of itself, as deep as it goes.
    let mut arguments = json!({"key": "x"});
    for _ in 0..12 {
        arguments = json!({"plugin": "a", "function": "plugin_call", "args": arguments});
    }
    host.set_policy("a", json!({"permissions": deny_listed, "max_db_queries_per_min": 0, "instances": 1}));
    let depth = host.ask_raw("a", "plugin_call", arguments.to_string());
    if let Err(error) = depth
        && error["code"] == "policy.call_depth"
    {
        explained("policy.call_depth", &error);
    }
    host.set_policy("a", json!({"permissions": granted, "max_db_queries_per_min": 1}));
    let query = json!({"query": "SELECT id FROM ticket"}).to_string();
    let limited = (0..3).find_map(|_| host.ask_raw("a", "db_query", &query).err()).unwrap();
    explained("policy.rate_limited", &limited);
    assert_eq!(limited["detail"]["suggestion"], json!({"max_db_queries_per_min": 2}));
    // Codes of a host call that need more than a call: a blocked plugin is not called, addresses, sizes and places show at the
    // provider, a depth of ten needs ten plugins.
    let elsewhere = [
        "policy.blocked",
        "policy.call_depth",
        "policy.email.too_large",
        "policy.http.address_denied",
        "policy.http.too_large",
        "policy.outbound.busy",
    ];
    let all: Vec<&str> = ErrorCode::ALL
        .iter()
        .filter(|code| code.is_denial() && !code.slug().contains("document") && !code.slug().contains("revision"))
        .map(|code| code.slug())
        .filter(|slug| !elsewhere.contains(slug) && !seen.contains(*slug))
        .collect();
    assert_eq!(all, [""; 0], "a code without a test");
    assert!(Function::ALL.len() >= 12);
}

// The dry run

#[test]
fn the_dry_run_says_what_the_gate_says() {
    let host = host();
    let document = json!({"version": 1, "status": "approved", "permissions": [
        {"type": "db", "access": "read", "scope": ["ticket"]},
        {"type": "http", "scope": ["api.example.com"], "methods": ["GET"], "schemes": ["https"]},
        {"type": "config", "access": "read", "scope": ["app.*"]},
    ]});
    host.manager.set_policy("a", document.to_string().as_bytes(), None).unwrap();
    let calls = uses().into_iter().chain(abuses()).chain([
        ("db_query", json!({"query": "SELECT id FROM ticket WHERE id = ?", "args": [1]})),
        ("cache_get", json!({"key": "k"})),
        ("log", json!({"level": "info", "message": "m"})),
    ]);
    for (function, arguments) in calls {
        let request = json!({"function": function, "arguments": arguments}).to_string();
        let (dry, in_force) = (
            check_document(document.to_string().as_bytes(), request.as_bytes()).unwrap(),
            host.manager.policy_check("a", request.as_bytes()).unwrap(),
        );
        assert_eq!(dry, in_force, "{request}");
        let real = host.ask_raw("a", function, arguments.to_string());
        assert_eq!(dry["allow"], real.is_ok(), "{request}: {dry} {real:?}");
        if let Err(error) = real {
            assert_eq!(dry["code"], error["code"], "{request}");
            for field in ["rule", "target", "suggestion", "suggestions", "no_suggestion"] {
                assert_eq!(dry[field], error["detail"][field], "{request} {field}");
            }
        }
    }
}

#[test]
fn the_dry_run_needs_neither_plugin_nor_manager() {
    let request = |dialect: &str, query: &str| {
        json!({"function": "db_query", "dialect": dialect, "arguments": {"query": query},
               "resources": {"permissions": [{"type": "db", "access": "read", "scope": ["ticket", "users"]}]}})
    };
    let check = |policy: &str, request: Value| check_document(policy.as_bytes(), request.to_string().as_bytes());
    assert_eq!(check("", request("postgres", "SELECT id FROM public.ticket")).unwrap()["allow"], true);
    assert_eq!(
        check("", request("postgres", "SELECT id FROM other.ticket")).unwrap()["code"],
        "policy.sql.table_denied"
    );
    assert_eq!(check("", request("mysql", "SELECT id FROM users")).unwrap()["code"], "policy.sql.table_denied");
    let blocked = r#"{"version":1,"status":"blocked"}"#;
    let refused = check(blocked, request("sqlite", "SELECT 1")).unwrap();
    assert_eq!((&refused["code"], &refused["rule"]), (&json!("policy.blocked"), &json!("status")));
    assert!(refused["no_suggestion"].is_string());
    assert_eq!(code_of(check("{", request("sqlite", "SELECT 1"))), ErrorCode::PolicyDocumentInvalid);
    assert_eq!(code_of(check("", json!({"function": "log", "extra": 1}))), ErrorCode::ArgumentJson);
    assert_eq!(code_of(check("", json!([]))), ErrorCode::ArgumentJson);
    assert_eq!(code_of(check("", request("oracle", "SELECT 1"))), ErrorCode::ArgumentEnum);
}
