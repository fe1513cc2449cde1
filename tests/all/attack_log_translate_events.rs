//! Attacks on log, translations and events: forged lines and names, bad arguments, floods.

use serde_json::json;

use crate::support::{Guest, Host};

fn host() -> Host {
    let host = Host::with(json!({"translations": {"en": {"greeting": "Hello %s", "percent": "100%"}}}));
    host.load(&Guest::named("a"));
    host
}

#[test]
fn a_message_is_one_line_and_says_who_wrote_it() {
    let host = host();
    for message in [
        "a\nERROR [b] forged",
        "a\r\nx",
        "\u{1b}[31mred",
        "a\u{2028}b",
        "a\u{202e}b",
        "a\u{85}b",
        "a\u{0}b",
        "a\u{7f}b",
    ] {
        host.ask(
            "a",
            "log",
            &json!({"level": "info", "message": message, "fields": {"plugin": "b", "level": "error"}}),
        )
        .unwrap();
        let record = host.log_records("a").pop().unwrap();
        let shown = record["message"].as_str().unwrap();
        let bad = |c: char| {
            c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        assert!(!shown.chars().any(bad), "{message:?} became {shown:?}");
        assert_eq!((&record["plugin"], &record["level"]), (&json!("a"), &json!("info")), "{record}");
    }
    assert_eq!(host.manager.stats(Some("a")).unwrap()["log_calls"], 8);
}

#[test]
fn translations_insert_arguments_as_they_are() {
    let host = host();
    let translate = |key: &str, args: serde_json::Value| {
        host.ask("a", "translate", &json!({"key": key, "args": args})).map(|answer| answer["value"].clone())
    };
    assert_eq!(translate("greeting", json!(["%s%s%n{0}"])), Ok(json!("Hello %s%s%n{0}")));
    assert_eq!(translate("percent", json!([])), Ok(json!("100%")));
    assert_eq!(translate("no.such.key", json!([])), Ok(json!("no.such.key")));
}

#[test]
fn bad_arguments_are_refused_and_counted() {
    let host = host();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("log", b"{\"level\":7,\"message\":\"m\"}".to_vec()),
        ("log", b"{\"message\":\"m\",\"message\":\"n\"}".to_vec()),
        ("log", b"{\"message\":\"\xff\"}".to_vec()),
        ("translate", b"{\"key\":\"k\",\"args\":{}}".to_vec()),
        ("translate", b"{\"key\":[]}".to_vec()),
        ("publish_event", b"{\"channel\":\"c\",\"event_type\":7,\"data\":{}}".to_vec()),
        ("publish_event", b"{\"channel\":\"c\",\"channel\":\"d\",\"event_type\":\"t\",\"data\":{}}".to_vec()),
    ];
    for (turn, (function, arguments)) in cases.iter().enumerate() {
        let shown = String::from_utf8_lossy(arguments);
        let error = host.ask_raw("a", function, arguments).expect_err(&shown);
        assert_eq!(error["code"], "policy.arguments", "{function} {shown}: {error}");
        assert_eq!(host.stats("a")["denials"], turn + 1);
    }
    assert!(host.log_records("a").iter().all(|record| record["message"] != "m" && record["message"] != "n"));
}
