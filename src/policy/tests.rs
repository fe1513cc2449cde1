//! Policies as a whole: the default grant, statuses, unions, denials, limits, and the cases of the dry run.

mod outbound;

use serde_json::{Value, json};

use super::document::{Grant, parse};
use super::request::parse as parse_request;
use super::scope::http::StrictHost;
use super::*;
use crate::error::{Error, ErrorCode};

fn policy(document: &Value) -> Policy {
    policy_under(document, &DefaultRules::default())
}

fn policy_under(document: &Value, rules: &DefaultRules) -> Policy {
    let (document, _) = parse(document.to_string().as_bytes()).expect("a valid document");
    Policy::from_document(&document, &ResourceRequest::default(), rules)
}

fn approved(permissions: Value) -> Policy {
    policy(&json!({"version": 1, "status": "approved", "permissions": permissions}))
}

fn default_grant(resources: Value) -> Policy {
    Policy::default_grant(&parse_request(&resources).0, &DefaultRules::default())
}

fn code(result: Result<impl Sized, Error>) -> Option<ErrorCode> {
    result.err().map(|error| error.code())
}

fn answers_as_expected(name: &str, cases: &str, at_least: usize) {
    let mut wrong = Vec::new();
    for case in cases.lines() {
        let expected = serde_json::from_str::<Value>(case).expect("a case is JSON")["expected"] == "allow";
        let answer = dry_run::answer(case.as_bytes());
        if answer["allow"] != expected {
            wrong.push(format!("{case}\n  -> {answer}"));
        }
        assert!(answer["code"].is_string() && answer["reason"].is_string(), "{answer}");
    }
    assert!(cases.lines().count() >= at_least, "{name} has lost cases");
    assert!(wrong.is_empty(), "{name}: {} wrong\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn dry_run_answers_the_published_samples() {
    answers_as_expected("samples", include_str!("../../tests/fixtures/policy/samples.jsonl"), 21);
}

#[test]
fn dry_run_answers_the_email_cases() {
    answers_as_expected("email", include_str!("../../tests/fixtures/policy/email.jsonl"), 150);
}

#[test]
fn dry_run_answers_the_url_cases() {
    answers_as_expected("url", include_str!("../../tests/fixtures/policy/url.jsonl"), 400);
}

#[test]
fn dry_run_answers_the_config_cases() {
    answers_as_expected("config", include_str!("../../tests/fixtures/policy/config.jsonl"), 200);
}

#[test]
fn dry_run_answers_whatever_is_not_a_request() {
    let deep = "[".repeat(100_000);
    let lines: [&[u8]; 13] = [
        b"", b"\n", b"null", b"[]", b"7", b"{", b"\xff\xfe", b"{\"kind\":\"email\"}", deep.as_bytes(),
        b"{\"kind\":\"email\",\"kind\":\"config\",\"key\":\"a\"}",
        b"{\"kind\":\"config\",\"scope\":null,\"key\":\"a\",\"key\":\"b\"}",
        b"{\"kind\":\"url\",\"scope\":[\"a.test\"],\"url\":\"https://a.test\",\"resolve\":{\"a.test\":[],\"a.test\":[\"8.8.8.8\"]}}",
        b"{\"kind\":\"config\",\"scope\":null,\"key\":\"a\"} {}",
    ];
    for line in lines {
        assert_eq!(dry_run::answer(line)["allow"], false, "{}", String::from_utf8_lossy(line));
    }
}

#[test]
fn default_grant_reads_declared_tables_and_the_own_cache_only() {
    let policy = default_grant(json!({"permissions": [
        {"type": "db", "access": "readwrite", "scope": ["ticket", "gk_stats_rows", "gk_*", "*"]},
        {"type": "db", "access": "write", "scope": ["article"]},
        {"type": "http", "scope": ["*"]}, {"type": "email", "scope": ["*"]},
        {"type": "config", "access": "read", "scope": ["*"]}, {"type": "plugin_call", "scope": ["*"]},
        {"type": "custom_thing", "access": "read", "scope": ["*"]},
    ]}));
    assert_eq!((policy.status(), policy.source()), (Status::PendingReview, Source::DefaultGrant));
    assert!(policy.may_read_table(None, "ticket") && policy.may_read_table(None, "gk_stats_rows"));
    assert!(!policy.may_read_table(None, "gk_other") && !policy.may_read_table(None, "article"));
    assert!(!policy.may_write_table(None, "ticket") && !policy.may_read_table(Some("public"), "ticket"));
    assert!(policy.check_permission(&PermissionType::Cache, Access::Write).is_ok());
    let missing = Some(ErrorCode::PolicyPermissionMissing);
    assert_eq!(code(policy.check_permission(&PermissionType::Db, Access::Write)), missing);
    for kind in [PermissionType::Http, PermissionType::Email, PermissionType::Config, PermissionType::PluginCall] {
        assert_eq!(code(policy.check_permission(&kind, Access::Read)), missing, "{kind}");
    }
    assert_eq!(code(policy.check_custom(&PermissionType::from_name("custom_thing"), Access::Read, Some("x"))), missing);
    assert!(policy.check_url("GET", "https://a.test/").is_err() && policy.check_recipient("a@b.test").is_err());
    assert!(policy.check_config_key("app.color").is_err() && policy.check_callee("stats").is_err());
    assert!(policy.check_callable_by("a", "stats").is_ok());
}

#[test]
fn default_grant_of_a_plugin_that_declares_nothing_has_no_table() {
    for resources in
        [json!(null), json!({}), json!({"permissions": []}), json!({"permissions": [{"type": "db", "access": "read"}]})]
    {
        let policy = default_grant(resources);
        assert_eq!(
            code(policy.check_permission(&PermissionType::Db, Access::Read)),
            Some(ErrorCode::PolicyPermissionMissing)
        );
    }
}

#[test]
fn default_grant_withholds_sensitive_tables_and_catalogues() {
    let tables = [
        "users",
        "Users",
        "USERS",
        "user_preferences",
        "customer_user",
        "customer_preferences",
        "sessions",
        "api_tokens",
        "sysconfig_modified",
        "sysconfig_default",
        "gk_passwords",
        "x_password_y",
        "my_secret",
        "oauth_tokens",
        "credentials",
        "user_sessions",
        "private_key",
        "private_keys",
        "pg_shadow",
        "pg_authid",
        "pg_catalog.pg_class",
        "mysql.user",
        "information_schema.tables",
        "sqlite_master",
        "sys.x",
        "performance_schema.x",
        "other.ticket",
        "\u{fc}sers",
        "u\u{17f}ers",
    ];
    let policy = default_grant(json!({"permissions": [{"type": "db", "access": "read", "scope": tables}]}));
    for entry in tables {
        let (schema, table) = entry.split_once('.').map_or((None, entry), |(schema, table)| (Some(schema), table));
        assert!(!policy.may_read_table(schema, table), "{entry}");
    }
    assert_eq!(policy.to_json()["withheld"].as_array().map(Vec::len), Some(tables.len()));
}

#[test]
fn host_extends_the_sensitive_tables() {
    let rules = DefaultRules::with_sensitive_tables(&["payroll_*".to_owned(), "board".to_owned()]).expect("patterns");
    let (request, _) = parse_request(
        &json!({"permissions": [{"type": "db", "access": "read", "scope": ["payroll_2026", "Board", "users", "ticket"]}]}),
    );
    let policy = Policy::default_grant(&request, &rules);
    for table in ["payroll_2026", "Board", "users"] {
        assert!(!policy.may_read_table(None, table), "{table}");
    }
    assert!(policy.may_read_table(None, "ticket"));
    assert!(DefaultRules::with_sensitive_tables(&["a.b".to_owned()]).is_err());
}

#[test]
fn pending_review_is_the_default_grant_whatever_is_stored() {
    for document in [
        json!({"status": "pending_review", "permissions": [{"type": "db", "access": "readwrite", "scope": ["*"]}], "max_db_queries_per_min": 0, "memory_mb": 0}),
        json!({"permissions": [{"type": "db", "access": "readwrite", "scope": ["*"]}]}),
    ] {
        let policy = policy(&document);
        assert_eq!((policy.status(), policy.source()), (Status::PendingReview, Source::DefaultGrant));
        assert!(!policy.may_read_table(None, "ticket"));
        assert_eq!(policy.limits(), &Limits::default());
    }
}

#[test]
fn blocked_refuses_everything_and_says_why() {
    let stored = policy(
        &json!({"status": "blocked", "permissions": [{"type": "db", "access": "readwrite", "scope": ["*"]}], "callable_by": ["*"]}),
    );
    let unreadable = Policy::blocked("its stored policy can't be read");
    for policy in [stored, unreadable] {
        let blocked = Some(ErrorCode::PolicyBlocked);
        assert_eq!(policy.status(), Status::Blocked);
        assert_eq!(code(policy.check_not_blocked()), blocked);
        assert_eq!(code(policy.check_permission(&PermissionType::Cache, Access::Read)), blocked);
        assert_eq!(code(policy.check_url("GET", "https://a.test/")), blocked);
        assert_eq!(code(policy.check_recipient("a@b.test")), blocked);
        assert_eq!(code(policy.check_config_key("a")), blocked);
        assert_eq!(code(policy.check_callee("a")), blocked);
        assert_eq!(code(policy.check_callable_by("a", "a")), blocked);
        assert_eq!(code(policy.check_custom(&PermissionType::from_name("x"), Access::Read, None)), blocked);
        assert!(!policy.may_read_table(None, "ticket") && !policy.may_write_table(None, "ticket"));
        assert!(policy.to_json()["blocked_reason"].is_string());
    }
}

#[test]
fn request_never_widens_or_narrows_a_document() {
    let (request, _) = parse_request(
        &json!({"memory_mb": 4096, "call_timeout": "9h", "permissions": [{"type": "db", "access": "read", "scope": ["article"]}]}),
    );
    let (document, _) = parse(json!({"status": "approved", "memory_mb": 64, "permissions": [{"type": "db", "access": "read", "scope": ["ticket"]}]}).to_string().as_bytes()).expect("valid");
    let policy = Policy::from_document(&document, &request, &DefaultRules::default());
    assert!(policy.may_read_table(None, "ticket") && !policy.may_read_table(None, "article"));
    assert_eq!((policy.limits().memory_bytes, policy.limits().call_timeout_ms), (64 << 20, 30_000));
}

#[test]
fn union_is_taken_per_access_and_target() {
    let policy = approved(json!([
        {"type": "db", "access": "read", "scope": ["ticket"]},
        {"type": "db", "access": "write", "scope": ["gk_x"]},
        {"type": "db", "access": "readwrite", "scope": ["gk_kb_*"]},
        {"type": "db", "access": "", "scope": ["article"]},
        {"type": "db", "access": "hard_delete", "scope": ["queue"]},
    ]));
    let rights = |table| (policy.may_read_table(None, table), policy.may_write_table(None, table));
    assert_eq!(rights("ticket"), (true, false));
    assert_eq!(rights("gk_x"), (false, true));
    assert_eq!(rights("gk_kb_pages"), (true, true));
    assert_eq!(rights("article"), (false, false));
    assert_eq!(rights("queue"), (false, false));
    assert_eq!(rights("Ticket"), (false, false), "names arrive folded and compare exactly");
}

#[test]
fn http_fields_of_two_entries_never_mix() {
    let policy = approved(json!([
        {"type": "http", "scope": ["a.test"], "methods": ["GET"]},
        {"type": "http", "scope": ["b.test:8443"], "methods": ["POST"], "schemes": ["https"], "allow_private": ["10.0.0.0/8"]},
    ]));
    assert!(policy.check_url("GET", "http://a.test/").is_ok());
    assert_eq!(code(policy.check_url("POST", "http://a.test/")), Some(ErrorCode::PolicyHttpUrlDenied));
    assert!(policy.check_url("POST", "https://b.test:8443/").is_ok());
    assert!(policy.check_url("GET", "https://b.test:8443/").is_err());
    assert!(policy.check_url("POST", "http://b.test:8443/").is_err());
    let private = "10.0.0.1".parse().expect("an address");
    let to_a = policy.check_url("GET", "http://a.test/").expect("allowed");
    assert_eq!(code(to_a.check_address(private)), Some(ErrorCode::PolicyHttpAddressDenied));
    let to_b = policy.check_url("post", "https://b.test:8443/x").expect("allowed");
    assert!(to_b.check_address(private).is_ok());
    assert_eq!((to_b.method(), to_b.port(), to_b.redirects()), ("POST", 8443, 0));
    assert_eq!(to_b.host(), &StrictHost::Name("b.test".into()));
    assert_eq!(to_b.into_url().as_str(), "https://b.test:8443/x");
}

#[test]
fn redirects_meet_the_policy_in_force_now() {
    let before = approved(json!([{"type": "http", "scope": ["a.test", "b.test"]}]));
    let after = approved(json!([{"type": "http", "scope": ["a.test"]}]));
    let hop = before.check_url("GET", "https://a.test/").expect("allowed");
    assert!(hop.check_redirect(&before, "GET", "https://b.test/").is_ok());
    assert_eq!(code(hop.check_redirect(&after, "GET", "https://b.test/")), Some(ErrorCode::PolicyHttpUrlDenied));
    assert_eq!(code(hop.check_redirect(&Policy::blocked("now"), "GET", "/x")), Some(ErrorCode::PolicyBlocked));
}

fn restricted_document() -> Value {
    json!({
        "version": 1, "status": "restricted",
        "permissions": [
            {"type": "db", "access": "readwrite", "scope": ["*", "hr.ticket"]},
            {"type": "http", "scope": ["*", "a.test:8443"]}, {"type": "email", "scope": ["*"]},
            {"type": "config", "access": "read", "scope": ["*", "ldap.secret"]}, {"type": "plugin_call", "scope": ["*"]},
            {"type": "cache", "access": "readwrite"}, {"type": "thumbs", "access": "readwrite", "scope": ["*"]},
        ],
        "denied": [
            {"type": "db", "access": "write", "scope": ["ticket"]}, {"type": "db", "scope": ["users", "gk_*"]},
            {"type": "http", "scope": ["a.test"]}, {"type": "http", "scope": ["*.bad.test"], "paths": ["/admin*"]},
            {"type": "email", "scope": ["@bad.test"]}, {"type": "config", "scope": ["ldap.*"]},
            {"type": "plugin_call", "scope": ["stats"]}, {"type": "cache", "access": "write"},
            {"type": "thumbs", "access": "write"},
        ],
    })
}

#[test]
fn restricted_takes_denied_tables_and_urls_away() {
    let restricted = policy(&restricted_document());
    let rights = |schema, table| (restricted.may_read_table(schema, table), restricted.may_write_table(schema, table));
    assert_eq!(rights(None, "ticket"), (true, false));
    assert_eq!(rights(Some("hr"), "ticket"), (true, false), "a name without schema means it in all of them");
    assert_eq!((rights(None, "users"), rights(None, "gk_x")), ((false, false), (false, false)));
    for url in [
        "https://a.test/",
        "https://a.test:8443/",
        "https://x.bad.test/admin/1",
        "https://bad.test/%2e%61dmin",
        "https://bad.test/x%2fadmin",
    ] {
        assert_eq!(code(restricted.check_url("GET", url)), Some(ErrorCode::PolicyHttpUrlDenied), "{url}");
    }
    assert!(restricted.check_url("GET", "https://x.bad.test/public").is_ok());
}

#[test]
fn restricted_takes_other_denied_entries_away() {
    let restricted = policy(&restricted_document());
    assert!(restricted.check_recipient("a@bad.test").is_err() && restricted.check_recipient("a@good.test").is_ok());
    assert!(restricted.check_config_key("ldap.host").is_err() && restricted.check_config_key("LDAP.secret").is_err());
    assert!(restricted.check_config_key("ldap.secret").is_err() && restricted.check_config_key("app.color").is_ok());
    assert!(restricted.check_callee("stats").is_err() && restricted.check_callee("other").is_ok());
    assert!(restricted.check_permission(&PermissionType::Cache, Access::Read).is_ok());
    assert!(restricted.check_permission(&PermissionType::Cache, Access::Write).is_err());
    let thumbs = PermissionType::from_name("thumbs");
    assert!(restricted.check_custom(&thumbs, Access::Read, None).is_ok());
    assert!(restricted.check_custom(&thumbs, Access::Write, None).is_err());
    assert!(restricted.check_custom(&thumbs, Access::Write, Some("x")).is_err());

    let mut approved = restricted_document();
    approved["status"] = "approved".into();
    assert!(policy(&approved).may_write_table(None, "users"), "`denied` acts with `restricted` only");
}

#[test]
fn denying_a_type_without_scope_or_access_takes_all_of_it() {
    let permissions = json!([
        {"type": "db", "access": "readwrite", "scope": ["a", "s.b", "information_schema.tables"]}, {"type": "http", "scope": ["*", "10.0.0.1"], "allow_private": ["10.0.0.0/8"]},
        {"type": "email", "scope": ["*"]}, {"type": "config", "access": "read", "scope": ["*"]}, {"type": "plugin_call", "scope": ["*"]},
        {"type": "cache", "access": "readwrite"}, {"type": "x", "access": "readwrite", "scope": ["*"]},
    ]);
    for scope in [json!({}), json!({"scope": []}), json!({"scope": ["*"]})] {
        let denied: Vec<Value> = ["db", "http", "email", "config", "plugin_call", "cache", "x"]
            .iter()
            .map(|kind| {
                let mut entry = scope.clone();
                entry["type"] = (*kind).into();
                entry
            })
            .collect();
        let policy = policy(&json!({"status": "restricted", "permissions": permissions, "denied": denied}));
        for (schema, table) in [(None, "a"), (Some("s"), "b"), (Some("information_schema"), "tables")] {
            assert!(!policy.may_read_table(schema, table) && !policy.may_write_table(schema, table), "{table}");
        }
        assert!(
            policy.check_url("GET", "https://a.test/").is_err() && policy.check_url("GET", "http://10.0.0.1/").is_err()
        );
        assert!(policy.check_recipient("a@b.test").is_err() && policy.check_config_key("a").is_err());
        assert!(
            policy.check_callee("a").is_err() && policy.check_permission(&PermissionType::Cache, Access::Read).is_err()
        );
        assert!(policy.check_custom(&PermissionType::from_name("x"), Access::Read, Some("t")).is_err());
    }
}

#[test]
fn empty_and_missing_scopes_grant_nothing() {
    for scope in [json!({}), json!({"scope": []}), json!({"scope": null})] {
        let entries: Vec<Value> = ["db", "http", "email", "config", "plugin_call", "thumbs"]
            .iter()
            .map(|kind| {
                let mut entry = scope.clone();
                entry["type"] = (*kind).into();
                entry["access"] = "readwrite".into();
                entry
            })
            .collect();
        let policy = approved(json!(entries));
        for kind in ["db", "http", "email", "config", "plugin_call", "thumbs"] {
            let kind = PermissionType::from_name(kind);
            assert_eq!(
                code(policy.check_permission(&kind, Access::Read)),
                Some(ErrorCode::PolicyPermissionMissing),
                "{kind}"
            );
        }
        assert!(!policy.may_read_table(None, "ticket"));
        assert!(policy.check_custom(&PermissionType::from_name("thumbs"), Access::Read, None).is_err());
    }
}

#[test]
fn host_functions_need_their_target_in_scope() {
    let policy = approved(json!([
        {"type": "thumbs", "access": "read", "scope": ["a/*", "b"]}, {"type": "pdf", "access": "write", "scope": ["*"]},
    ]));
    let thumbs = PermissionType::from_name("thumbs");
    assert!(policy.check_custom(&thumbs, Access::Read, Some("a/1")).is_ok());
    assert!(policy.check_custom(&thumbs, Access::Read, Some("b")).is_ok());
    assert_eq!(code(policy.check_custom(&thumbs, Access::Read, Some("c"))), Some(ErrorCode::PolicyTargetDenied));
    assert_eq!(code(policy.check_custom(&thumbs, Access::Read, Some("xa/1"))), Some(ErrorCode::PolicyTargetDenied));
    assert_eq!(code(policy.check_custom(&thumbs, Access::Write, Some("b"))), Some(ErrorCode::PolicyPermissionMissing));
    assert!(policy.check_custom(&thumbs, Access::Read, None).is_err(), "no target means all of them");
    assert!(policy.check_custom(&PermissionType::from_name("pdf"), Access::Write, None).is_ok());
    assert!(policy.check_custom(&PermissionType::from_name("PDF"), Access::Write, None).is_err());
}

#[test]
fn callers_are_let_in_by_name() {
    let listed = policy(&json!({"status": "approved", "callable_by": ["stats"]}));
    assert!(listed.check_callable_by("a", "stats").is_ok());
    assert_eq!(code(listed.check_callable_by("a", "stat")), Some(ErrorCode::PolicyCalleeDenied));
    assert!(policy(&json!({"status": "approved", "callable_by": []})).check_callable_by("a", "stats").is_err());
    assert!(policy(&json!({"status": "approved"})).check_callable_by("a", "stats").is_ok());
    assert!(policy(&json!({"status": "approved", "callable_by": ["*"]})).check_callable_by("a", "anyone").is_ok());
}

#[test]
fn schema_names_count_as_the_host_says() {
    let document = json!({"status": "approved", "permissions": [{"type": "db", "access": "read", "scope": ["public.ticket", "Article", "app.*"]}]});
    let plain = policy(&document);
    assert!(plain.may_read_table(Some("public"), "ticket") && !plain.may_read_table(None, "ticket"));
    let mut rules = DefaultRules::default();
    rules.tables.default_schema = Some("public".to_owned());
    rules.tables.fold_case = true;
    let folded = policy_under(&document, &rules);
    assert!(folded.may_read_table(None, "ticket") && folded.may_read_table(None, "article"));
    assert!(folded.may_read_table(Some("app"), "x") && !folded.may_read_table(Some("other"), "x"));
}

#[test]
fn limits_come_from_the_document_and_zero_means_none() {
    let policy = policy(&json!({
        "status": "approved", "memory_mb": 0, "call_timeout": "1m30s", "init_timeout": "0s", "shutdown_timeout": "250ms",
        "instances": 4, "max_concurrent_calls": 3, "max_calls_per_second": 0, "max_db_queries_per_min": 7, "max_http_req_per_min": 8,
        "max_emails_per_min": 9, "max_log_lines_per_second": 10, "max_host_calls_per_call": 11, "max_cache_bytes": 12,
        "max_cache_entries": 13, "max_result_bytes": 14, "max_argument_bytes": 15, "bursts": {"emails": {"size": 50, "per_hour": 50}},
        "sql_functions": ["gk_rank", "public.gk_score"], "isolation": {"minimum": 3},
    }));
    let expected = Limits {
        memory_bytes: 0,
        native_memory_bytes: 0,
        call_timeout_ms: 90_000,
        init_timeout_ms: 0,
        shutdown_timeout_ms: 250,
        instances: 1,
        concurrent_calls: 3,
        calls_per_second: 0,
        db_per_minute: 7,
        http_per_minute: 8,
        emails_per_minute: 9,
        log_lines_per_second: 10,
        calls_burst: None,
        db_burst: None,
        http_burst: None,
        emails_burst: Some(BurstBudget { size: 50, per_hour: 50 }),
        cache_bytes: 12,
        cache_entries: 13,
        max_result_bytes: 14,
        max_argument_bytes: 15,
        host_calls_per_call: 11,
    };
    assert_eq!(policy.limits(), &expected);
    assert_eq!((policy.extra_sql_functions().len(), policy.isolation().minimum), (2, Some(3)));
    assert_eq!(policy.to_json()["limits"]["db_per_minute"], json!({"value": 7, "source": "document"}));
}

#[test]
fn instances_are_what_is_asked_and_granted() {
    let granted = |asked: Value, stored: Value| {
        let (request, _) = parse_request(&json!({"instances": asked}));
        let mut document = json!({"status": "approved"});
        if !stored.is_null() {
            document["instances"] = stored;
        }
        let (document, _) = parse(document.to_string().as_bytes()).expect("valid");
        Policy::from_document(&document, &request, &DefaultRules::default()).limits().instances
    };
    assert_eq!(granted(json!("auto"), json!(4)), 4);
    assert_eq!(granted(json!(2), json!(4)), 2);
    assert_eq!(granted(json!(9), json!(4)), 4);
    assert_eq!(granted(json!(null), json!(4)), 1);
    assert_eq!(granted(json!(9), json!(null)), 1);
    assert_eq!(default_grant(json!({"instances": "auto"})).limits().instances, 1);
}

#[test]
fn denials_say_rule_target_and_the_smallest_change() {
    let policy = approved(json!([{"type": "http", "scope": ["a.test"]}]));
    let error = policy.check_url("GET", "https://b.test:8443/x").expect_err("denied");
    assert_eq!(error.detail()["rule"], "http.scope");
    assert_eq!(error.detail()["target"], "https://b.test:8443/x");
    assert_eq!(
        error.detail()["suggestion"],
        json!({"type": "http", "scope": ["b.test:8443"], "methods": ["GET"], "schemes": ["https"]})
    );
    let limited = approved(json!([{"type": "http", "scope": ["a.test"], "methods": ["GET"]}]));
    let error = limited.check_url("POST", "https://a.test/").expect_err("denied");
    assert_eq!(
        error.detail()["suggestion"],
        json!({"type": "http", "scope": ["a.test"], "methods": ["POST"], "schemes": ["https"]})
    );
    let error = policy.check_permission(&PermissionType::Db, Access::Write).expect_err("denied");
    assert_eq!(error.detail()["suggestion"], json!({"type": "db", "access": "write", "scope": ["..."]}));
    let error = policy.check_recipient("x\r\n\u{202e}`@a.test").expect_err("denied");
    assert!(error.to_string().is_ascii() && !error.to_string().contains('\n'), "{error}");
    assert!(policy.check_config_key(&"k".repeat(100_000)).expect_err("denied").to_string().len() < 1_000);
}

#[test]
fn every_suggestion_allows_what_was_refused() {
    let empty = approved(json!([]));
    let refusals = [
        empty.check_url("GET", "https://svc.corp.test:8443/x").err(),
        empty.check_url("GET", "http://[2606:4700::1]:81/").err(),
        empty.check_url("GET", "https://b\u{fc}cher.test/").err(),
        empty.check_recipient("ann@b\u{fc}cher.test").err(),
        empty.check_config_key("ldap.secret").err(),
        empty.check_callee("stats").err(),
    ];
    let suggestions: Vec<Value> =
        refusals.into_iter().flatten().map(|error| error.detail()["suggestion"].clone()).collect();
    let granted = approved(json!(suggestions));
    assert!(granted.check_url("GET", "https://svc.corp.test:8443/x").is_ok());
    assert!(granted.check_url("GET", "http://[2606:4700::1]:81/").is_ok());
    assert!(granted.check_url("GET", "https://b\u{fc}cher.test/").is_ok());
    assert!(granted.check_recipient("ann@b\u{fc}cher.test").is_ok());
    assert!(granted.check_config_key("ldap.secret").is_ok() && granted.check_callee("stats").is_ok());
}

#[test]
fn view_shows_what_is_in_force_and_where_it_comes_from() {
    let view = default_grant(json!({"permissions": [{"type": "db", "access": "read", "scope": ["ticket", "users"]}]}))
        .to_json();
    assert_eq!(
        view["permissions"],
        json!([
            {"type": "db", "access": "read", "scope": ["ticket"], "source": "request", "effective": true},
            {"type": "cache", "access": "readwrite", "source": "default_grant", "effective": true},
        ])
    );
    assert_eq!(view["withheld"][0]["table"], "users");
    assert_eq!((&view["status"], &view["source"]), (&json!("pending_review"), &json!("default_grant")));
    let view = approved(json!([{"type": "http", "scope": ["a.test"], "methods": ["GET"]}])).to_json();
    assert_eq!(
        view["permissions"],
        json!([{"type": "http", "scope": ["a.test"], "methods": ["GET"], "source": "document", "effective": true}])
    );
    assert_eq!(view["limits"]["emails_per_minute"], json!({"value": 10, "source": "default"}));
}

#[test]
fn requests_are_read_as_far_as_they_go() {
    let (request, warnings) = parse_request(&json!({
        "memory_mb": "much", "call_timeout": 30, "init_timeout": "15s", "instances": 0, "unknown": [1],
        "permissions": [7, {"type": "db"}, {"type": "db", "access": "all", "scope": ["a"]}, {"access": "read"}, {"type": "http", "access": "", "scope": ["a", 1]},
            {"type": "db", "access": "read", "scope": "ticket"}, {"type": "a\nb", "access": "read"}],
    }));
    assert_eq!((request.memory_mb, request.call_timeout, request.instances), (None, None, None));
    assert_eq!(request.init_timeout.map(|time| time.ms), Some(15_000));
    let kinds: Vec<_> =
        request.permissions.iter().map(|permission| (permission.kind.name(), permission.access)).collect();
    assert_eq!(kinds, [("db", None), ("http", None), ("db", Some(Grant::Read))]);
    assert_eq!(warnings.len(), 9, "{warnings:#?}");
    for odd in [json!("x"), json!([1]), json!(7)] {
        assert_eq!(parse_request(&odd).0, ResourceRequest::default());
    }
    let many = json!({"permissions": vec![json!({"type": "db", "access": "read", "scope": vec!["t"; 300]}); 300]});
    let (request, warnings) = parse_request(&many);
    assert!(
        request.permissions.len() == 256
            && request.permissions[0].scope.as_ref().map(Vec::len) == Some(256)
            && warnings.len() <= 64
    );
}

#[test]
fn nothing_that_means_more_in_a_scope_is_suggested() {
    let policy = approved(json!([{"type": "x", "access": "read", "scope": ["a"]}]));
    let x = PermissionType::from_name("x");
    let long = "t".repeat(1 << 20);
    for target in ["*", "a*", "t\n", "t\u{202e}", &long] {
        let error = policy.check_custom(&x, Access::Read, Some(target)).expect_err("denied");
        assert!(!error.detail().contains_key("suggestion") && error.to_string().len() < 1_000, "{error}");
        let error = policy.check_custom(&x, Access::Write, Some(target)).expect_err("denied");
        assert_eq!(error.detail()["suggestion"]["scope"], json!(["..."]));
        let error = policy.check_callee(target).expect_err("denied");
        assert!(
            error.to_string().len() < 1_000 && (target == long || !error.detail().contains_key("suggestion")),
            "{error}"
        );
        assert_eq!(table_suggestion(Access::Read, None, target), None);
    }
    assert!(!policy.check_recipient("a*b@c.test").expect_err("denied").detail().contains_key("suggestion"));
    assert_eq!(
        table_suggestion(Access::Write, Some("s"), "t"),
        Some(json!({"type": "db", "access": "write", "scope": ["s.t"]}))
    );
}

#[test]
fn hostile_sizes_stay_cheap() {
    let scope: Vec<String> = (0..1_000).rev().map(|index| format!("t{index}")).collect();
    let permissions: Vec<Value> = (0..30).map(|_| json!({"type": "db", "access": "read", "scope": scope})).collect();
    let fields: serde_json::Map<_, _> = (0..20_000).map(|index| (format!("f{index}"), json!(0))).collect();
    assert!(approved(json!(permissions)).may_read_table(None, "t7"));
    assert!(parse(Value::Object(fields).to_string().as_bytes()).is_err());
    let twice = format!("{{{}}}", vec!["\"note\":\"x\""; 20_000].join(","));
    assert!(parse(twice.as_bytes()).is_err());
    let names: Vec<String> = (0..256).map(|index| format!("t{index}")).collect();
    let hostile = json!({"permissions": vec![json!({"type": "db", "access": "read", "scope": names}); 256]});
    assert!(default_grant(hostile).may_read_table(None, "t255"));
}

#[test]
fn writing_configuration_is_not_reading_it() {
    let policy = approved(json!([{"type": "config", "access": "write", "scope": ["*"]}]));
    assert!(policy.check_config_key("app.color").is_err());
    assert!(policy.check_permission(&PermissionType::Config, Access::Read).is_err());
    assert!(policy.check_permission(&PermissionType::Config, Access::Write).is_err(), "no function writes");
}

#[test]
fn entries_without_scope_or_access_are_shown_as_idle() {
    let view = approved(json!([
        {"type": "db", "access": "read"}, {"type": "db", "scope": ["t"]}, {"type": "email", "scope": ["@a.test"]},
    ]))
    .to_json();
    let effective: Vec<_> =
        view["permissions"].as_array().expect("a list").iter().map(|line| &line["effective"]).collect();
    assert_eq!(effective, [false, false, true]);
}
