//! Attacks on the database surface through a real plugin: what passes, what is refused, with which code.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Guest, Host};

/// Grants of the hostile statements.
fn granted() -> Value {
    json!({"max_db_queries_per_min": 0, "max_argument_bytes": 0, "permissions": [
        {"type": "db", "access": "read", "scope": ["ticket", "queue"]},
        {"type": "db", "access": "readwrite", "scope": ["notes"]},
    ]})
}

fn host() -> Host {
    let host = Host::new();
    host.set_policy("a", granted());
    host.load(&Guest::named("a"));
    host
}

fn query(host: &Host, sql: &str) -> Result<Value, String> {
    host.ask("a", "db_query", &json!({ "query": sql }))
}

#[test]
fn what_ordinary_plugins_write_passes_both_walls() {
    let host = host();
    for (sql, rows) in [
        ("SELECT value FROM json_each('[1,2]') ORDER BY value", json!([{"value": 1}, {"value": 2}])),
        ("SELECT j.key AS k FROM ticket t, json_each('{\"x\":1}') j WHERE t.id = 1", json!([{"k": "x"}])),
        (
            "SELECT t.id FROM ticket t LEFT JOIN (queue q JOIN notes n ON n.id = q.id) ON q.id = t.queue_id AND n.id > 0",
            json!([{"id": 1}, {"id": 2}]),
        ),
        ("SELECT SUM(id+queue_id) FROM ticket", json!([{"SUM(id+queue_id)": 6}])),
        ("SELECT id FROM ticket WHERE id IN ((SELECT min(id) FROM queue), 7)", json!([{"id": 1}])),
        ("SELECT t.id FROM ticket t, queue q ON q.id = t.queue_id WHERE q.name = 'Junk'", json!([{"id": 2}])),
        ("WITH x(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM x WHERE n<3) SELECT max(n) AS m FROM x", json!([{"m": 3}])),
    ] {
        assert_eq!(query(&host, sql), Ok(rows), "{sql}");
    }
}

#[test]
fn the_default_policy_reads_what_was_declared_and_writes_nothing() {
    let host = Host::new();
    let request = json!([{"type": "db", "access": "readwrite", "scope": ["ticket", "users", "notes"]}]);
    host.load(&Guest::registered(&json!({"name": "a", "resources": {"permissions": request}})));
    assert_eq!(query(&host, "SELECT count(*) AS n FROM ticket"), Ok(json!([{"n": 2}])));
    for (function, sql, code) in [
        ("db_query", "SELECT pw FROM users", "policy.sql.table_denied"),
        ("db_query", "SELECT * FROM queue", "policy.sql.table_denied"),
        ("db_query", "SELECT id FROM ticket JOIN users USING (id)", "policy.sql.table_denied"),
        ("db_exec", "INSERT INTO notes (body) VALUES ('x')", "policy.permission_missing"),
        ("db_exec", "DELETE FROM ticket", "policy.permission_missing"),
    ] {
        assert_eq!(host.ask("a", function, &json!({ "query": sql })), Err(code.into()), "{sql}");
    }
}

/// Every hostile statement of the fixtures, written for a schema of its own: whatever the second wall or the missing table
/// would say, the gate refuses first, and every refusal is counted.
#[test]
fn hostile_statements_are_refused_and_counted() {
    let host = Host::new();
    let lines = include_str!("../fixtures/sql/sqlite_hostile.jsonl").lines();
    let cases: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    let policy = |case: &Value| {
        json!({"max_db_queries_per_min": 0, "permissions": [
            {"type": "db", "access": "read", "scope": case["whitelist_read"]},
            {"type": "db", "access": "write", "scope": case["whitelist_write"]},
        ]})
    };
    let mut scopes = Value::Null;
    host.load(&Guest::named("a"));
    let mut codes = BTreeSet::new();
    for case in &cases {
        let next = policy(case);
        if next != scopes {
            host.set_policy("a", next.clone());
            scopes = next;
        }
        for function in ["db_query", "db_exec"] {
            let code = host.ask("a", function, &json!({"query": case["sql"]})).expect_err(&case.to_string());
            assert!(code.starts_with("policy.sql."), "{code}: {case}");
            codes.insert(code);
        }
    }
    assert_eq!(host.stats("a")["denials"], 2 * cases.len());
    let expected = ["function_denied", "not_understood", "statement_denied", "table_denied"];
    assert!(expected.iter().all(|slug| codes.contains(&format!("policy.sql.{slug}"))), "{codes:?}");
}

#[test]
fn bad_input_is_refused_with_its_reason_and_counted() {
    let host = host();
    let deep = format!("{{\"query\":\"SELECT ?\",\"args\":{}1{}}}", "[".repeat(50_000), "]".repeat(50_000));
    let many = format!("SELECT {}", vec!["?"; 5_000].join(","));
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (b"".to_vec(), "policy.arguments"),
        (b"{".to_vec(), "policy.arguments"),
        (b"[]".to_vec(), "policy.arguments"),
        (b"null".to_vec(), "policy.arguments"),
        (b"{\"query\":7}".to_vec(), "policy.arguments"),
        (b"{\"query\":null}".to_vec(), "policy.arguments"),
        (b"{\"query\":\"SELECT 1\",\"args\":{}}".to_vec(), "policy.arguments"),
        (b"{\"query\":\"SELECT 1\",\"args\":[1e400]}".to_vec(), "policy.arguments"),
        (b"{\"query\":\"SELECT '\xff'\"}".to_vec(), "policy.arguments"),
        (b"{\"query\":\"SELECT '\\ud800'\"}".to_vec(), "policy.arguments"),
        (deep.into_bytes(), "policy.arguments"),
        (json!({"query": "x".repeat(1 << 20)}).to_string().into_bytes(), "policy.sql.too_large"),
        (json!({"query": "SELECT 1 ".repeat(200_000)}).to_string().into_bytes(), "policy.sql.too_large"),
        (json!({ "query": many }).to_string().into_bytes(), "policy.sql.too_large"),
        (json!({"query": "SELECT \u{0}"}).to_string().into_bytes(), "policy.sql.not_understood"),
        (json!({"query": "SELECT 1", "args": vec![1; 5_000]}).to_string().into_bytes(), "policy.sql.arguments"),
    ];
    for (turn, (arguments, code)) in cases.iter().enumerate() {
        let error = host.ask_raw("a", "db_query", arguments).unwrap_err();
        let shown = String::from_utf8_lossy(&arguments[..arguments.len().min(60)]).into_owned();
        assert_eq!(error["code"], *code, "{shown}: {error}");
        assert!(!error["message"].as_str().unwrap().is_empty(), "{shown}");
        assert_eq!(host.stats("a")["denials"], turn + 1, "{shown}");
    }
    assert_eq!(query(&host, "SELECT 1 AS n"), Ok(json!([{"n": 1}])));
}

/// A statement that was refused once is refused from the cache too, and a grant is seen at once in both directions.
#[test]
fn verdicts_follow_the_policy_and_not_the_cache() {
    let host = host();
    let sql = "SELECT login FROM users";
    for _ in 0..3 {
        assert_eq!(query(&host, sql), Err("policy.sql.table_denied".into()));
    }
    host.set_policy("a", json!({"permissions": [{"type": "db", "access": "read", "scope": ["users"]}]}));
    assert_eq!(query(&host, sql), Ok(json!([{"login": "root"}])));
    host.set_policy("a", granted());
    assert_eq!(query(&host, sql), Err("policy.sql.table_denied".into()));
}

/// A virtual table keeps what it holds in tables of its own: they are reached through it, and by no other way.
#[test]
fn full_text_search_reaches_its_own_tables_only() {
    let host = Host::on_file();
    let owner = rusqlite::Connection::open(host.database_path()).unwrap();
    owner
        .execute_batch(
            "CREATE VIRTUAL TABLE doc USING fts5(title); INSERT INTO doc VALUES ('red fox'), ('blue fox');
             CREATE TABLE doc_private (pw TEXT); INSERT INTO doc_private VALUES ('x');",
        )
        .unwrap();
    host.set_policy("a", json!({"permissions": [{"type": "db", "access": "read", "scope": ["doc"]}]}));
    host.load(&Guest::named("a"));
    assert_eq!(query(&host, "SELECT title FROM doc WHERE doc MATCH 'red'"), Ok(json!([{"title": "red fox"}])));
    for table in ["doc_private", "doc_data", "doc_content", "json_each", "pragma_table_list"] {
        assert_eq!(query(&host, &format!("SELECT * FROM {table}")), Err("policy.sql.table_denied".into()), "{table}");
    }
    let insert = json!({"query": "INSERT INTO doc VALUES ('green fox')"});
    assert_eq!(host.ask("a", "db_exec", &insert), Err("policy.permission_missing".into()));
    host.set_policy("a", json!({"permissions": [{"type": "db", "access": "readwrite", "scope": ["doc"]}]}));
    assert_eq!(host.ask("a", "db_exec", &insert), Ok(json!({"affected": 1})));
    assert_eq!(query(&host, "SELECT count(*) AS n FROM doc WHERE doc MATCH 'fox'"), Ok(json!([{"n": 3}])));
}
