//! Attacks on configuration keys through a real plugin.

use serde_json::json;

use crate::support::{Guest, Host};

fn host() -> Host {
    let host = Host::with(json!({"config": {"values": {
        "app.name": "GoatFlow", "smtp.password": "pw", "Smtp.PassWord2": "pw", "jwt_secret": "s", "api-token": "t",
        "private_key": "k", "app.name.more": "x",
    }}}));
    host.load(&Guest::named("a"));
    host
}

#[test]
fn patterns_never_lift_what_is_sensitive() {
    let host = host();
    let get = |key: &str| host.ask("a", "config_get", &json!({ "key": key }));
    for scope in
        [json!(["*"]), json!(["smtp.*", "jwt_*", "api-*", "private_*", "S*", "app.*"]), json!(["*password*", "*"])]
    {
        host.approve("a", json!([{"type": "config", "access": "read", "scope": scope}]));
        for key in ["smtp.password", "Smtp.PassWord2", "jwt_secret", "api-token", "private_key", "SMTP.PASSWORD"] {
            assert_eq!(get(key), Err("policy.config.key_denied".into()), "{key} under {scope}");
        }
        assert_eq!(get("app.name"), Ok(json!({"value": "GoatFlow"})), "{scope}");
    }
    host.approve("a", json!([{"type": "config", "access": "read", "scope": ["smtp.password"]}]));
    assert_eq!(get("smtp.password"), Ok(json!({"value": "pw"})));
    assert_eq!(get("Smtp.PassWord2"), Err("policy.config.key_denied".into()));
    assert_eq!(get("jwt_secret"), Err("policy.config.key_denied".into()));
}

#[test]
fn an_exact_scope_is_exact() {
    let host = host();
    host.approve("a", json!([{"type": "config", "access": "read", "scope": ["app.name"]}]));
    let get = |key: &str| host.ask("a", "config_get", &json!({ "key": key }));
    assert_eq!(get("app.name"), Ok(json!({"value": "GoatFlow"})));
    for key in
        ["app.name.more", "app.nam", "app*name", "app.name ", " app.name", "app.name\u{0}", "app\u{2024}name", "*"]
    {
        assert_eq!(get(key), Err("policy.config.key_denied".into()), "{key:?}");
    }
}

#[test]
fn nothing_passes_without_a_scope() {
    let host = host();
    let get = || host.ask("a", "config_get", &json!({"key": "app.name"}));
    assert_eq!(get(), Err("policy.permission_missing".into()), "default policy");
    host.approve("a", json!([{"type": "cache", "access": "readwrite"}]));
    assert_eq!(get(), Err("policy.permission_missing".into()));
}

#[test]
fn bad_arguments_are_refused_and_counted() {
    let host = host();
    host.approve("a", json!([{"type": "config", "access": "read", "scope": ["*"]}]));
    let cases: [&[u8]; 7] = [
        b"",
        b"{}",
        b"{\"key\":[\"app.name\"]}",
        b"{\"key\":\"app.name\",\"key\":\"smtp.password\"}",
        b"{\"key\":\"smtp.password\",\"Key\":\"app.name\"}",
        b"{\"key\":\"app.\xffname\"}",
        b"{\"key\":null}",
    ];
    for (turn, arguments) in cases.iter().enumerate() {
        let error = host.ask_raw("a", "config_get", arguments).unwrap_err();
        assert_eq!(error["code"], "policy.arguments", "{}: {error}", String::from_utf8_lossy(arguments));
        assert_eq!(host.stats("a")["denials"], turn + 1);
    }
}
