//! What leaves the host: denied paths in every spelling, headers, and suggestions that grant what was asked and no more.

use super::*;

fn denying(paths: Value) -> Policy {
    policy(&json!({
        "version": 1, "status": "restricted",
        "permissions": [{"type": "http", "scope": ["api.test"]}],
        "denied": [{"type": "http", "scope": ["api.test"], "paths": paths}],
    }))
}

#[test]
fn a_denied_path_is_denied_in_every_spelling() {
    let policy = denying(json!(["/admin/*", "/admin", "/exact", "/Mixed/*"]));
    for path in [
        "/admin",
        "/admin/",
        "/admin/x",
        "/%61dmin/x",
        "/adm%69n",
        "/adm%69n/x",
        "/admin%20/",
        "/admin;a/x",
        "/admin;a",
        "/;a/admin",
        "/admin%3bx/x",
        "/ADMIN/x",
        "/Admin",
        "/admin./x",
        "/admin.",
        "/x/%2e%2e/admin",
        "/x/..;/admin",
        "//admin/x",
        "/x%2fadmin",
        "/exact/",
        "/EXACT",
        "/mixed/x",
        "/mixed",
        "/%c0%afadmin",
        "/%zzadmin",
        "/%EF%BC%A1dmin",
    ] {
        assert_eq!(
            code(policy.check_url("GET", &format!("https://api.test{path}"))),
            Some(ErrorCode::PolicyHttpUrlDenied),
            "{path}"
        );
    }
    for path in ["/", "/public/x", "/administration", "/x/admin", "/exact/x", "/public?next=%2fadmin;a", "/a.b/c~d-e_f"]
    {
        assert!(policy.check_url("GET", &format!("https://api.test{path}")).is_ok(), "{path}");
    }
}

#[test]
fn granted_paths_have_one_reading() {
    let policy = approved(json!([{"type": "http", "scope": ["api.test"], "paths": ["/public/*"]}]));
    for path in ["/public/a%20b", "/public/%c3%bc", "/public/a;v=1", "/public/a."] {
        assert!(policy.check_url("GET", &format!("https://api.test{path}")).is_ok(), "{path}");
    }
    for path in [
        "/Public/x",
        "/public/%c0%ae%c0%ae/admin",
        "/public/%u002e%u002e/admin",
        "/public/%",
        "/public/%2",
        "/public/x%00",
        "/public/x%0a",
        "/public/%f5x",
        "/public/..;/admin",
        "/public//admin",
    ] {
        assert_eq!(
            code(policy.check_url("GET", &format!("https://api.test{path}"))),
            Some(ErrorCode::PolicyHttpUrlDenied),
            "{path}"
        );
    }
}

#[test]
fn headers_that_name_another_path_method_host_or_client_are_the_hosts() {
    let refused = |name: &str| {
        let error = check_headers("https://a.test/", &[(name.to_owned(), "/admin".to_owned())]).err()?;
        Some((error.code(), error.detail()["target"].clone()))
    };
    for name in [
        "X-Original-URL",
        "X-Original-Method",
        "X-Original-Host",
        "x_original_url",
        "X-Rewrite-URL",
        "X-Override-URL",
        "X-HTTP-Method-Override",
        "X-Forwarded-Prefix",
        "X-Forwarded-Server",
        "X-Host",
        "X-Client-IP",
        "True-Client-IP",
        "CF-Connecting-IP",
        "X-Remote-User",
        "X-Middleware-Subrequest",
        "X-Envoy-Original-Path",
        "Metadata",
        "Metadata-Flavor",
    ] {
        assert_eq!(refused(name), Some((ErrorCode::PolicyHttpInvalid, json!(name))), "{name}");
    }
    for name in
        ["Accept", "Authorization", "X-Api-Key", "X-Metadata", "X-Origin", "Origin", "Referer", "CF-Access-Client-Id"]
    {
        assert_eq!(refused(name), None, "{name}");
    }
}

#[test]
fn too_many_headers_are_refused_for_the_url() {
    let fields: Vec<_> = (0..100).map(|index| (format!("x-{index}"), "v".repeat(1_000))).collect();
    for fields in [&fields[..], &fields[..40]] {
        let error = check_headers("https://a.test/x", fields).expect_err("too many");
        assert_eq!(
            (&error.detail()["rule"], &error.detail()["target"]),
            (&json!("http.header"), &json!("https://a.test/x"))
        );
    }
}

fn suggestion_for(policy: &Policy, method: &str, url: &str) -> Value {
    let error = policy.check_url(method, url).expect_err("denied");
    error.detail().get("suggestion").cloned().unwrap_or_default()
}

#[test]
fn suggested_urls_are_what_was_asked_and_no_more() {
    let entry = |host: &str, method: &str, scheme: &str| json!({"type": "http", "scope": [host], "methods": [method], "schemes": [scheme]});
    let empty = approved(json!([]));
    assert_eq!(suggestion_for(&empty, "GET", "https://a.test/x"), entry("a.test", "GET", "https"));
    assert_eq!(suggestion_for(&empty, "GET", "https://a.test:80/x"), entry("a.test:80", "GET", "https"));
    assert_eq!(suggestion_for(&empty, "POST", "http://a.test"), entry("a.test", "POST", "http"));

    let limited = approved(json!([{"type": "http", "scope": ["*.a.test"], "paths": ["/public/*"]}]));
    for (url, host) in [("https://x.a.test/admin/x", "x.a.test"), ("https://x.a.test:8443/admin/x", "x.a.test:8443")] {
        let mut expected = entry(host, "DELETE", "https");
        expected["paths"] = json!(["/admin/x"]);
        assert_eq!(suggestion_for(&limited, "DELETE", url), expected);
    }
    for path in ["/a*b", "/x%2fy", "/x//y", &format!("/{}", "x".repeat(500))] {
        assert_eq!(suggestion_for(&limited, "GET", &format!("https://x.a.test{path}")), Value::Null, "{path}");
    }
}

#[test]
fn suggested_networks_are_opened_for_the_request_only() {
    let policy = approved(json!([{"type": "http", "scope": ["a.test"], "paths": ["/x*"]}]));
    let url = policy.check_url("GET", "https://a.test/x1").expect("granted");
    let error = url.check_address("10.0.0.1".parse().expect("an address")).expect_err("private");
    let entry = json!({"type": "http", "scope": ["a.test"], "methods": ["GET"], "schemes": ["https"], "paths": ["/x1"],
        "allow_private": ["10.0.0.1/32"]});
    assert_eq!(error.detail()["suggestion"], entry);
    let error = url.check_address("169.254.169.254".parse().expect("an address")).expect_err("metadata");
    assert!(!error.detail().contains_key("suggestion"));
}

fn suggested(permissions: &Value, refused: &[(&str, &str)]) -> Value {
    let stored = json!({"version": 1, "status": "approved", "permissions": permissions});
    let policy = policy(&stored);
    let denied: Vec<Value> = refused
        .iter()
        .map(|(method, url)| {
            json!({"function": "http_request", "code": "policy.http.url_denied", "target": url, "count": 1,
                "first_seen": "2026-01-01T00:00:00Z", "last_seen": "2026-01-01T00:00:00Z", "message": "no",
                "suggestions": [suggestion_for(&policy, method, url)]})
        })
        .collect();
    let learned = evidence::Learned::parse(json!({"denied": denied}).to_string().as_bytes()).expect("evidence");
    let stored = StoredPolicy { text: stored.to_string().into_bytes(), revision: 1 };
    let (rules, options) = (DefaultRules::default(), suggest::SuggestOptions::default());
    suggest::suggest("a", Some(&stored), &learned, &rules, options).expect("a suggestion")
}

#[test]
fn accepting_a_suggestion_keeps_the_limits_of_the_administrator() {
    let limit = json!({"type": "http", "scope": ["api.test"], "paths": ["/public/*"]});
    let refused = [
        ("DELETE", "https://api.test/admin/x"),
        ("DELETE", "https://api.test/admin/y"),
        ("GET", "https://b.test/1"),
        ("POST", "https://b.test/2"),
        ("GET", "https://c.test/"),
    ];
    let suggestion = suggested(&json!([limit]), &refused);
    let expected = json!([
        limit,
        {"type": "http", "scope": ["api.test"], "methods": ["DELETE"], "schemes": ["https"], "paths": ["/admin/x", "/admin/y"]},
        {"type": "http", "scope": ["b.test", "c.test"], "methods": ["GET"], "schemes": ["https"]},
        {"type": "http", "scope": ["b.test"], "methods": ["POST"], "schemes": ["https"]},
    ]);
    assert_eq!(suggestion["document"]["permissions"], expected, "{suggestion:#}");

    let granted = policy(&suggestion["document"]);
    for (method, url) in refused {
        assert!(granted.check_url(method, url).is_ok(), "{method} {url}");
    }
    for (method, url) in [
        ("GET", "https://api.test/admin/x"),
        ("DELETE", "https://api.test/admin/z"),
        ("DELETE", "http://api.test/admin/x"),
        ("POST", "https://c.test/"),
        ("PUT", "https://b.test/1"),
        ("GET", "http://b.test/1"),
    ] {
        assert!(granted.check_url(method, url).is_err(), "{method} {url}");
    }
    let again = suggested(&suggestion["document"]["permissions"], &[]);
    assert_eq!((&again["changes"], &again["document"]["permissions"]), (&json!(false), &expected));
}

#[test]
fn nothing_is_suggested_for_what_a_denial_takes_away() {
    let policy = policy(&restricted_document());
    let thumbs = PermissionType::from_name("thumbs");
    let refusals = [
        policy.check_url("GET", "https://a.test/").err(),
        policy.check_url("GET", "https://bad.test/%61dmin").err(),
        policy.check_recipient("a@bad.test").err(),
        policy.check_config_key("ldap.host").err(),
        policy.check_config_key("ldap.secret").err(),
        policy.check_callee("stats").err(),
        policy.check_custom(&thumbs, Access::Write, Some("x")).err(),
        policy.check_custom(&thumbs, Access::Write, None).err(),
        policy.check_permission(&PermissionType::Cache, Access::Write).err(),
    ];
    for error in refusals {
        let error = error.expect("refused");
        assert_eq!(error.detail()["rule"], "denied", "{error}");
        assert!(!error.detail().contains_key("suggestion") && error.to_string().contains("`denied` list"), "{error}");
    }
}

#[test]
fn a_caller_that_is_not_let_in_is_told_apart_from_the_called_plugin() {
    let error =
        policy(&json!({"status": "approved", "callable_by": []})).check_callable_by("stats", "a").expect_err("no");
    let detail = error.detail();
    assert_eq!(
        (&detail["rule"], &detail["target"], &detail["caller"]),
        (&json!("callable_by"), &json!("stats"), &json!("a"))
    );
    assert_eq!(detail["suggestion"], json!({"callable_by": ["a"]}));
}
