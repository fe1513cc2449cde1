//! Attacks on the cache through real plugins: reaching another plugin's entries, bad keys and values.

use serde_json::{Value, json};

use crate::support::{Guest, Host};

fn host(names: &[&str]) -> Host {
    let host = Host::new();
    for name in names {
        host.approve(name, json!([{"type": "cache", "access": "readwrite"}]));
        host.load(&Guest::named(name));
    }
    host
}

#[test]
fn no_key_reaches_another_plugin() {
    let host = host(&["a", "a-b"]);
    host.ask("a-b", "cache_set", &json!({"key": "k", "value": "c2VjcmV0"})).unwrap();
    for key in ["a-b:k", "a-b/k", "a-b.k", "../a-b/k", "-b:k", ":k", "b:k", "plugin:a-b:k", "a-b\u{1}k", "*", "%", "K"]
    {
        let answer = host.ask("a", "cache_get", &json!({ "key": key }));
        let found = answer.as_ref().map(|answer| answer["found"].clone());
        assert!(answer.is_err() || found == Ok(json!(false)), "{key:?}: {answer:?}");
        let _ = host.ask("a", "cache_set", &json!({"key": key, "value": "b3ZlcndyaXR0ZW4="}));
        let _ = host.ask("a", "cache_delete", &json!({ "key": key }));
    }
    let kept = host.ask("a-b", "cache_get", &json!({"key": "k"})).unwrap();
    assert_eq!((&kept["found"], &kept["value"]), (&json!(true), &json!("c2VjcmV0")));
}

#[test]
fn the_same_key_is_another_entry_for_each_plugin() {
    let host = host(&["a", "b"]);
    for (name, value) in [("a", "YQ=="), ("b", "Yg==")] {
        host.ask(name, "cache_set", &json!({"key": "k", "value": value})).unwrap();
    }
    for (name, value) in [("a", "YQ=="), ("b", "Yg==")] {
        assert_eq!(host.ask(name, "cache_get", &json!({"key": "k"})).unwrap()["value"], value);
    }
    host.ask("a", "cache_delete", &json!({"key": "k"})).unwrap();
    assert_eq!(host.ask("b", "cache_get", &json!({"key": "k"})).unwrap()["found"], true);
}

#[test]
fn without_the_permission_nothing_passes() {
    let host = Host::new();
    host.approve("a", json!([{"type": "config", "access": "read", "scope": ["*"]}]));
    host.load(&Guest::named("a"));
    for (function, arguments) in [
        ("cache_get", json!({"key": "k"})),
        ("cache_set", json!({"key": "k", "value": ""})),
        ("cache_delete", json!({"key": "k"})),
    ] {
        assert_eq!(host.ask("a", function, &arguments), Err("policy.permission_missing".into()), "{function}");
    }
}

#[test]
fn bad_arguments_are_refused_and_counted() {
    let host = host(&["a"]);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("cache_get", b"{}".to_vec()),
        ("cache_get", b"{\"key\":7}".to_vec()),
        ("cache_get", b"{\"key\":\"k\",\"key\":\"l\"}".to_vec()),
        ("cache_get", b"{\"key\":\"\xff\"}".to_vec()),
        ("cache_set", b"{\"key\":\"k\"".to_vec()),
        ("cache_set", b"{\"key\":\"k\",\"value\":[1]}".to_vec()),
        ("cache_set", b"{\"key\":\"k\",\"value\":\"no base64!\"}".to_vec()),
        ("cache_set", b"{\"key\":\"k\",\"value\":\"\",\"ttl\":1e300}".to_vec()),
        ("cache_set", b"{\"key\":\"k\",\"value\":\"\",\"ttl\":9007199254740993}".to_vec()),
    ];
    for (turn, (function, arguments)) in cases.iter().enumerate() {
        let error = host.ask_raw("a", function, arguments).unwrap_err();
        assert_eq!(error["code"], "policy.arguments", "{}: {error}", String::from_utf8_lossy(arguments));
        assert_eq!(host.stats("a")["denials"], turn + 1);
    }
    let kept: Value = host.ask("a", "cache_get", &json!({"key": "k"})).unwrap();
    assert_eq!(kept["found"], false);
}
