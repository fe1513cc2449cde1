//! Documents: what is accepted, what is refused, and that every problem is named at once.

use serde_json::{Value, json};

use super::*;

fn problems(text: &str) -> Vec<String> {
    parse(text.as_bytes()).err().unwrap_or_default().into_iter().map(|problem| problem.path).collect()
}

fn warnings(document: &Value) -> Vec<String> {
    let (_, warnings) = parse(document.to_string().as_bytes()).expect("a valid document");
    warnings.into_iter().map(|warning| warning.path).collect()
}

#[test]
fn rows_that_the_reference_wrote_load() {
    let row = json!({
        "plugin_name": "stats", "status": "approved", "memory_mb": 256, "call_timeout": "30s", "init_timeout": "10s",
        "shutdown_timeout": "5s", "permissions": [{"type": "db", "access": "read"}, {"type": "cache", "access": "readwrite", "scope": null},
            {"type": "file", "access": "readwrite"}, {"type": "http", "access": "", "scope": ["https://old.example.com"]}],
        "max_calls_per_second": 100, "max_db_queries_per_min": 600, "max_http_req_per_min": 60, "max_file_storage_bytes": 104857600,
    });
    let (document, _) = parse(row.to_string().as_bytes()).expect("loads");
    assert_eq!(
        (document.plugin_name.as_deref(), document.version, document.permissions.len()),
        (Some("stats"), None, 4)
    );
    assert_eq!(
        warnings(&row),
        [
            "/permissions/0",
            "/permissions/2/type",
            "/permissions/2",
            "/permissions/3/scope/0",
            "/max_file_storage_bytes"
        ]
    );
    assert!(document.check_plugin_name("stats").is_ok() && document.check_plugin_name("other").is_err());
}

#[test]
fn unreadable_scopes_block_nothing_in_old_rows_and_are_refused_in_new_ones() {
    let elements = [
        ("http", "*.co.uk"),
        ("email", "corp.test"),
        ("db", "a.b.c"),
        ("config", "a b"),
        ("plugin_call", "st*"),
        ("x", ""),
    ];
    for (kind, element) in elements {
        let mut row =
            json!({"status": "approved", "permissions": [{"type": kind, "access": "read", "scope": [element]}]});
        assert!(warnings(&row).contains(&"/permissions/0/scope/0".to_owned()), "{kind}");
        row["version"] = 1.into();
        assert_eq!(problems(&row.to_string()), ["/permissions/0/scope/0"], "{kind}");
        let denied = json!({"status": "restricted", "denied": [{"type": kind, "scope": [element]}]});
        assert_eq!(problems(&denied.to_string()), ["/denied/0/scope/0"], "{kind}: a denial is never left out");
    }
}

#[test]
fn all_problems_are_reported_at_once() {
    let text = r#"{
        "version": 2, "status": "Approved", "status": "blocked", "memory_mb": -1, "call_timeout": "30", "init_timeout": 10,
        "permissions": [{"type": "db", "access": "all", "scope": "ticket", "methods": ["GET"]}, {"scope": []}, 7,
            {"type": "http", "scope": ["a.test"], "methods": ["get"], "schemes": ["ftp"], "paths": ["x"], "allow_private": ["10.0.0.1/8"], "extra": 1}],
        "max_calls_per_second": 1.5, "max_db_queries_per_min": 99999999999999999999, "max_http_req_per_min": "60", "instances": 0,
        "bursts": {"emails": {"size": 0}, "sms": {}}, "callable_by": ["a*"], "sql_functions": ["a b", "x.y.z"], "isolation": {"minimum": 9, "interpreter": "python3", "read_only": ["lib"], "environment": {"A": 1}, "jit": "no", "threads": 0},
        "memoryMb": 5, "Plugin": true, "plugin_name": "*"
    }"#;
    let mut found = problems(text);
    found.sort();
    let mut expected = vec![
        "/version",
        "/status",
        "/status",
        "/memory_mb",
        "/call_timeout",
        "/init_timeout",
        "/permissions/0/access",
        "/permissions/0/scope",
        "/permissions/0/methods",
        "/permissions/1/type",
        "/permissions/2",
        "/permissions/3/methods/0",
        "/permissions/3/schemes/0",
        "/permissions/3/paths/0",
        "/permissions/3/allow_private/0",
        "/permissions/3/extra",
        "/max_calls_per_second",
        "/max_db_queries_per_min",
        "/max_http_req_per_min",
        "/instances",
        "/bursts/emails/size",
        "/bursts/emails/per_hour",
        "/bursts/sms",
        "/callable_by/0",
        "/sql_functions/0",
        "/sql_functions/1",
        "/isolation/minimum",
        "/isolation/interpreter",
        "/isolation/read_only",
        "/isolation/environment/A",
        "/isolation/jit",
        "/isolation/threads",
        "/memoryMb",
        "/Plugin",
        "/plugin_name",
    ];
    expected.sort_unstable();
    assert_eq!(found, expected);
    let report = validate_report(text.as_bytes());
    assert_eq!((&report["valid"], report["problems"].as_array().map(Vec::len)), (&json!(false), Some(expected.len())));
    let error = problems_to_error(&parse(text.as_bytes()).expect_err("refused"));
    assert_eq!(error.code(), ErrorCode::PolicyDocumentInvalid);
    assert_eq!(error.detail()["problems"].as_array().map(Vec::len), Some(expected.len()));
}

#[test]
fn what_is_not_a_document_is_refused() {
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    let large = format!("{{\"note\": \"{}\"}}", "x".repeat(MAX_DOCUMENT_BYTES));
    let long_note = format!("{{\"note\": \"{}\"}}", "x".repeat(2_000));
    let many = json!({"permissions": vec![json!({"type": "db"}); 2_000]}).to_string();
    let texts = [
        "",
        " ",
        "null",
        "[]",
        "7",
        "\"x\"",
        "{",
        "{}{}",
        "{} x",
        "{\"status\": \"approved\",}",
        "{'status': 'approved'}",
        "\u{feff}{}",
        "{\"status\": \"\\ud800\"}",
        "{\"status\": null}",
        "{\"status\": [\"approved\"]}",
        "{\"status\": \"approved \"}",
        "{\"status\": \"\"}",
        "{\"permissions\": {}}",
        "{\"permissions\": [null]}",
        "{\"version\": 0}",
        "{\"version\": \"1\"}",
        "{\"version\": 1.0}",
        "{\"version\": null}",
        "{\"callable_by\": null}",
        "{\"denied\": null}",
        "{\"bursts\": null}",
        "{\"permissions\": [{\"type\": \"http\", \"methods\": null}]}",
        "{\"memory_mb\": 1e2}",
        "{\"memory_mb\": 1048577}",
        "{\"instances\": 1025}",
        "{\"instances\": null}",
        "{\"note\": 5}",
        "{\"permissions\": [{\"type\": \"db\", \"type\": \"http\"}]}",
        "{\"permissions\": [{\"type\": \"\"}]}",
        "{\"permissions\": [{\"type\": \"a b\"}]}",
        "{\"permissions\": [{\"type\": \"db\", \"scope\": [1]}]}",
        "{\"permissions\": [{\"type\": \"db\", \"scope\": [[]]}]}",
        "{\"bursts\": {\"emails\": {\"size\": 1, \"per_hour\": 1, \"x\": 1}}}",
        "{\"isolation\": {\"level\": 3}}",
        "{\"isolation\": {\"environment\": {\"A\": \"1\", \"A\": \"2\"}}}",
        "{\"\\u0000\": 1}",
        &deep,
        &large,
        &long_note,
        &many,
    ];
    for text in texts {
        assert!(parse(text.as_bytes()).is_err(), "{}", &text[..text.len().min(80)]);
    }
    assert!(parse(b"{\"status\": \"\xff\"}").is_err());
}

#[test]
fn number_of_problems_is_bounded() {
    let unknown: serde_json::Map<_, _> = (0..5_000).map(|index| (format!("field{index}"), json!(1))).collect();
    assert_eq!(problems(&Value::Object(unknown).to_string()).len(), 200);
}

#[test]
fn unknown_fields_are_answered_with_the_one_that_was_meant() {
    let report = validate_report(br#"{"max_calls_per_Second": 5, "x/~\u0007": 1}"#);
    assert_eq!(report["problems"][0]["message"], "is not a field of policies; is `max_calls_per_second` meant?");
    assert_eq!(report["problems"][1]["path"], "/x~1~0\\u{7}");
}

#[test]
fn a_missing_status_means_review_and_is_said() {
    let (document, warnings) = parse(b"{}").expect("valid");
    assert_eq!((document.status, warnings[0].path.as_str()), (Status::PendingReview, "/status"));
}

#[test]
fn idle_and_wide_parts_are_said() {
    let document = json!({"version": 1, "status": "approved", "permissions": [
        {"type": "db", "access": "read", "scope": ["*"]}, {"type": "db", "access": "read", "scope": ["pg_catalog.*"]},
        {"type": "db", "scope": ["ticket"]}, {"type": "cache", "access": "read", "scope": ["x"]}, {"type": "http", "scope": []},
        {"type": "DB", "access": "read", "scope": ["ticket"]}, {"type": "http", "scope": ["a.test"], "methods": []},
    ], "denied": [{"type": "db"}]});
    assert_eq!(
        warnings(&document),
        [
            "/permissions/0/scope/0",
            "/permissions/1/scope/0",
            "/permissions/2",
            "/permissions/3/scope",
            "/permissions/4",
            "/permissions/5/type",
            "/permissions/6/methods",
            "/denied"
        ]
    );
}

#[test]
fn documents_survive_being_written_and_read() {
    let full = json!({
        "version": 1, "plugin_name": "gk-kb", "status": "restricted", "memory_mb": 64, "call_timeout": "30s", "init_timeout": "1500ms",
        "permissions": [{"type": "http", "scope": ["a.test"], "schemes": ["https"], "methods": ["GET"], "paths": ["/x"], "allow_private": ["10.0.0.0/8"]},
            {"type": "entity", "access": "hard_delete", "scope": ["*"]}],
        "denied": [{"type": "db"}], "callable_by": [], "instances": 2, "max_calls_per_second": 0, "bursts": {"emails": {"size": 50, "per_hour": 50}},
        "sql_functions": ["f"], "isolation": {"minimum": 2}, "note": "for the board",
    });
    let (document, _) = parse(full.to_string().as_bytes()).expect("valid");
    assert_eq!(document.to_json(), full);
}

#[test]
fn durations_are_read_as_go_reads_them() {
    let cases = [
        ("30s", Some(30_000)),
        ("1m30s", Some(90_000)),
        ("1.5h", Some(5_400_000)),
        ("500ms", Some(500)),
        ("0", Some(0)),
        ("0s", Some(0)),
        (".5s", Some(500)),
        ("1.s", Some(1_000)),
        ("1ns", Some(1)),
        ("1us", Some(1)),
        ("1\u{b5}s", Some(1)),
        ("24h", Some(86_400_000)),
        ("1h1m1s1ms", Some(3_661_001)),
        ("24h1ns", None),
        ("", None),
        ("30", None),
        ("s", None),
        (".s", None),
        ("-5s", None),
        ("+5s", None),
        ("5 s", None),
        ("5S", None),
        ("1d", None),
        ("1e3s", None),
        ("1..5s", None),
        ("1.2.3s", None),
        ("5s ", None),
        (" 5s", None),
        ("5s5", None),
        ("99999999999999999999s", None),
        ("\u{661}s", None),
        ("00", None),
    ];
    for (text, expected) in cases {
        assert_eq!(GoDuration::parse(text).ok().map(|time| time.ms), expected, "{text}");
    }
}

#[test]
fn published_schema_is_current() {
    let path = std::path::Path::new(file!()).with_file_name("../../../schemas/policy.schema.json");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        let current = serde_json::to_string_pretty(&schema()).expect("a schema");
        std::fs::write(&path, current + "\n").expect("the schema can be written");
    }
    let published = std::fs::read(&path).expect("schemas/policy.schema.json");
    assert!(
        serde_json::from_slice::<Value>(&published).ok() == Some(schema()),
        "run the tests once with UPDATE_SCHEMA=1"
    );
}
