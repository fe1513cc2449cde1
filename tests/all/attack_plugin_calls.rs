//! Attacks on calls between plugins: scopes, identity, depth.

use serde_json::{Value, json};

use crate::support::{Guest, Host};

fn host(names: &[&str]) -> Host {
    let host = Host::new();
    for name in names {
        host.load(&Guest::named(name));
    }
    host
}

fn call(host: &Host, from: &str, to: &str) -> Result<Value, String> {
    host.ask(from, "plugin_call", &json!({"plugin": to, "function": "echo", "args": {"x": 1}}))
}

#[test]
fn a_scope_means_exactly_its_names() {
    let host = host(&["a", "other", "other-2", "oth"]);
    assert_eq!(call(&host, "a", "other").map(drop), Err("policy.permission_missing".into()), "default policy");
    host.approve("a", json!([{"type": "plugin_call", "scope": ["other"]}]));
    assert_eq!(call(&host, "a", "other").map(drop), Ok(()));
    for name in ["other-2", "oth", "Other", "other ", " other", "other\u{0}", "*", "", "a", "../other", "oth\u{435}r"] {
        let code = call(&host, "a", name).unwrap_err();
        assert!(code.starts_with("policy."), "{name:?}: {code}");
    }
}

#[test]
fn a_callee_is_bound_by_its_own_policy_and_not_by_the_callers() {
    let host = host(&["a", "other"]);
    host.approve(
        "a",
        json!([
            {"type": "plugin_call", "scope": ["other"]},
            {"type": "db", "access": "read", "scope": ["ticket"]},
        ]),
    );
    let inner = json!({"query": "SELECT id FROM ticket WHERE id = 1"});
    assert!(host.ask("a", "db_query", &inner).is_ok());
    let through = |function: &str| {
        host.ask_raw("a", "plugin_call", json!({"plugin": "other", "function": function, "args": inner}).to_string())
    };
    let answer = through("db_query");
    let text = format!("{answer:?}");
    assert!(text.contains("policy.permission_missing"), "{text}");
    host.approve("other", json!([{"type": "db", "access": "read", "scope": ["ticket"]}]));
    let answer = through("db_query").unwrap();
    assert!(answer.to_string().contains("\"id\":1") || answer.to_string().contains("\\\"id\\\":1"), "{answer}");
}

#[test]
fn bad_arguments_are_refused_and_counted() {
    let host = host(&["a", "other"]);
    host.approve("a", json!([{"type": "plugin_call", "scope": ["other"]}]));
    let cases: [&[u8]; 7] = [
        b"",
        b"{}",
        b"{\"plugin\":\"other\"}",
        b"{\"plugin\":[\"other\"],\"function\":\"echo\"}",
        b"{\"plugin\":\"other\",\"plugin\":\"a\",\"function\":\"echo\"}",
        b"{\"plugin\":\"other\",\"function\":7}",
        b"{\"plugin\":\"other\",\"function\":\"\xff\"}",
    ];
    for (turn, arguments) in cases.iter().enumerate() {
        let error = host.ask_raw("a", "plugin_call", arguments).unwrap_err();
        assert_eq!(error["code"], "policy.arguments", "{}: {error}", String::from_utf8_lossy(arguments));
        assert_eq!(host.stats("a")["denials"], turn + 1);
    }
    assert_eq!(host.stats("other")["served"], 0);
}
