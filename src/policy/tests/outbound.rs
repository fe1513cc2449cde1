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
