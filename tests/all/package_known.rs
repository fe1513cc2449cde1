//! What a host remembers of a name, and what was approved of it, hold for every way into service.

use std::path::{Path, PathBuf};

use goatflow_plugin::package::gate::beside;
use goatflow_plugin::package::moment::Moment;
use goatflow_plugin::package::request::Asked;
use goatflow_plugin::package::signature::Note;
use goatflow_plugin::package::signature::note::Statement;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::package_gate::{
    host, install, module, package_bytes, refused, secret, sign, sign_note, unload, write_package,
};
use crate::support::{Guest, Host, assemble};

fn asking(tables: &[&str]) -> Value {
    json!({"permissions": [{"type": "db", "access": "read", "scope": tables}]})
}

fn write(path: PathBuf, bytes: impl AsRef<[u8]>) -> PathBuf {
    std::fs::write(&path, bytes).unwrap();
    path
}

fn template(directory: &Path, version: &str) -> PathBuf {
    let manifest = json!({"name": "theme", "version": version});
    write(directory.join(format!("theme-{version}.zip")), package_bytes(&manifest, None, &[("assets/a", version)]))
}

fn directory_of(parent: &Path, manifest: &Value, code: &[u8]) -> PathBuf {
    let directory = parent.join("plain");
    std::fs::create_dir_all(&directory).unwrap();
    write(directory.join("manifest.json"), manifest.to_string());
    write(directory.join("plugin.wasm"), code);
    directory
}

#[test]
fn what_was_not_approved_does_not_run_by_its_path() {
    let (host, directory) = host("optional");
    let package = |version: &str, tables: &[&str]| {
        let manifest = json!({"name": "stats", "version": version, "resources": asking(tables)});
        let code = module("stats", version);
        write(directory.path().join(format!("{version}.zip")), package_bytes(&manifest, Some(&code), &[]))
    };
    install(&host, &package("1.0.0", &["ticket"])).unwrap();
    let two = package("2.0.0", &["ticket", "users"]);
    let key = install(&host, &two).unwrap()["installed"].as_str().unwrap().to_owned();
    let tree = directory.path().join("plugins/stats").join(key);
    let registration = json!({"name": "stats", "version": "2.0.0", "resources": asking(&["users"])});
    let bare = write(directory.path().join("bare.wasm"), assemble(&Guest::registered(&registration).wat()));
    let manifest = json!({"name": "stats", "version": "2.0.0", "resources": asking(&["users"])});
    let plain = directory_of(directory.path(), &manifest, &module("stats", "2.0.0"));
    let ways = [tree.clone(), beside(&tree, "zip"), two, bare, plain];
    for path in &ways {
        assert_eq!(refused(host.manager.load(path)), "package.not_approved", "{path:?}");
    }
    host.manager.load_package("stats").unwrap();
    unload(&host, "stats");
    host.manager.approve_package("stats", None).unwrap();
    for path in &ways {
        host.manager.load(path).unwrap();
        unload(&host, "stats");
    }
}

#[test]
fn the_first_release_that_ran_is_remembered_before_anything_is_installed() {
    for name in ["stats", "theme"] {
        let (host, directory) = host("required");
        let packages = ["1.0.0", "2.0.0"].map(|version| match name {
            "stats" => write_package(directory.path(), version),
            _ => template(directory.path(), version),
        });
        sign_note(&packages[0], name, "1.0.0", 1);
        sign_note(&packages[1], name, "2.0.0", 5);
        host.manager.load(&packages[1]).unwrap();
        unload(&host, name);
        assert_eq!(refused(host.manager.load(&packages[0])), "signature.rollback", "{name}");
        std::fs::remove_file(beside(&packages[1], "gksig")).unwrap();
        sign(&packages[1], 1);
        assert_eq!(refused(host.manager.load(&packages[1])), "signature.format_downgrade", "{name}");
    }
}

#[test]
fn a_release_that_does_not_start_leaves_the_way_back_open() {
    let (host, directory) = host("required");
    let good = write_package(directory.path(), "1.0.0");
    sign_note(&good, "stats", "1.0.0", 5);
    let bad = directory.path().join("bad.zip");
    let manifest = json!({"name": "stats", "version": "3.0.0"});
    for code in [module("stats", "1.0.0"), b"no module".to_vec()] {
        write(bad.clone(), package_bytes(&manifest, Some(&code), &[]));
        sign_note(&bad, "stats", "3.0.0", 100);
        host.manager.load(&bad).unwrap_err();
        host.manager.load(&good).unwrap();
        // Nor does one that finds its name taken.
        let newer = write(bad.clone(), package_bytes(&manifest, Some(&module("stats", "3.0.0")), &[]));
        sign_note(&newer, "stats", "3.0.0", 100);
        assert_eq!(refused(host.manager.load(&newer)), "lifecycle.already_loaded");
        unload(&host, "stats");
    }
    // A package can't spoil the history of another name.
    let other = json!({"name": "other", "version": "9.0.0"});
    let liar = write(directory.path().join("liar.zip"), package_bytes(&other, Some(&module("stats", "9.0.0")), &[]));
    sign(&liar, 1);
    assert_eq!(refused(host.manager.load(&liar)), "package.name_mismatch");
    host.manager.load(&good).unwrap();
}

#[test]
fn directories_are_held_against_history_and_signature_as_files_are() {
    let (host, directory) = host("optional");
    let package = write_package(directory.path(), "2.0.0");
    sign_note(&package, "stats", "2.0.0", 5);
    host.manager.load(&package).unwrap();
    unload(&host, "stats");
    let manifest = json!({"name": "stats", "version": "1.0.0"});
    let plain = directory_of(directory.path(), &manifest, &module("stats", "1.0.0"));
    assert_eq!(refused(host.manager.load(&plain)), "signature.format_downgrade");
    let code = plain.join("plugin.wasm");
    sign_note(&code, "stats", "1.0.0", 1);
    assert_eq!(refused(host.manager.load(&plain)), "signature.rollback");
    // What the signers saw is what the manifest may ask for.
    let bind = |asked: &Value| {
        let mut note = Note::new(Statement {
            name: "stats".into(),
            version: "1.0.0".into(),
            sha256: Sha256::digest(std::fs::read(&code).unwrap()).into(),
            sequence: 6,
            not_before: Moment::parse("2026-01-01T00:00:00Z").unwrap(),
            expires: Moment::parse("2199-01-01T00:00:00Z").unwrap(),
            min_host: None,
            isolation_minimum: None,
            permissions_sha256: Some(Asked::of(asked).fingerprint()),
        })
        .unwrap();
        note.sign("k", &secret(1)).unwrap();
        std::fs::write(beside(&code, "gksig"), note.to_text()).unwrap();
    };
    bind(&asking(&["ticket"]));
    assert_eq!(refused(host.manager.load(&plain)), "signature.permissions_mismatch");
    bind(&Value::Null);
    host.manager.load(&plain).unwrap();
}

#[test]
fn revocation_reaches_into_packages_and_to_configured_keys() {
    let directory = tempfile::tempdir().unwrap();
    let public = secret(1).public();
    let packages = json!({
        "directory": directory.path().join("plugins"),
        "trust_file": directory.path().join("trust.json"),
        "keys": [public.to_string()],
    });
    let fresh = || {
        let _ = std::fs::remove_file(directory.path().join("trust.json"));
        Host::with(json!({ "packages": packages }))
    };
    let package = write_package(directory.path(), "1.0.0");
    sign(&package, 1);
    let revoke = |host: &Host, request: Value| host.manager.revoke_trust(request.to_string().as_bytes());
    for name in [public.to_string(), public.id().to_string(), format!("key-{}", public.id())] {
        let host = fresh();
        let document = revoke(&host, json!({"key": name, "reason": "stolen"})).unwrap();
        assert_eq!(document["keys"][0]["revoked"]["reason"], "stolen");
        assert_eq!(refused(host.manager.load(&package)), "signature.revoked", "{name}");
    }
    let host = fresh();
    revoke(&host, json!({"key": secret(9).public().to_string()})).unwrap();
    assert_eq!(refused(revoke(&host, json!({"key": "nobody"}))), "signature.trust_conflict");
    host.manager.load(&package).unwrap();
    unload(&host, "stats");
    let code = module("stats", "1.0.0");
    let digest: String = Sha256::digest(&code).iter().map(|byte| format!("{byte:02x}")).collect();
    install(&host, &package).unwrap();
    revoke(&host, json!({ "sha256": digest })).unwrap();
    assert_eq!(refused(host.manager.load(&package)), "signature.revoked");
    assert_eq!(refused(host.manager.load_package("stats")), "signature.revoked");
    assert_eq!(refused(install(&host, &package)), "signature.revoked");
    assert_eq!(refused(host.load_package("stats", &code)), "signature.revoked");
}

#[test]
fn where_nothing_can_be_remembered_the_log_says_so() {
    // Nobody can make a directory there, not even root.
    let packages = json!({"directory": "/sys/goatflow-packages", "keys": [secret(1).public().to_string()]});
    let host = Host::with(json!({ "packages": packages }));
    let directory = tempfile::tempdir().unwrap();
    let package = write_package(directory.path(), "1.0.0");
    sign(&package, 1);
    host.manager.load(&package).unwrap();
    let lines = host.log_lines("stats");
    assert!(lines.iter().any(|line| line.contains("it is not remembered")), "{lines:?}");
}

#[test]
fn texts_are_bounded_by_what_they_take() {
    let (host, directory) = host("optional");
    let below = |key: String, count: usize, text: &str| {
        let texts: serde_json::Map<String, Value> = (0..count).map(|at| (at.to_string(), text.into())).collect();
        json!({ key: texts, "zz": "kept" }).to_string()
    };
    let (long, many, large) =
        (below("k".repeat(200_000), 20_000, ""), below("k".repeat(500), 40_000, ""), below("k".into(), 60_000, "text"));
    for (text, is_kept) in [(long, true), (many, true), (large, false)] {
        let manifest = json!({"name": "theme", "version": "1"});
        let bytes = package_bytes(&manifest, None, &[("i18n/de.json", &text)]);
        host.manager.load(&write(directory.path().join("theme.zip"), bytes)).unwrap();
        let warnings = host.manager.list()[0]["warnings"].to_string();
        assert!(warnings.contains("are ignored"), "{warnings}");
        host.load(&Guest::named("probe"));
        let options = goatflow_plugin::manager::CallOptions {
            origin: goatflow_plugin::plugin::Origin { language: Some("de".into()), ..Default::default() },
            ..Default::default()
        };
        let answer = host.call_with("probe", "translate", r#"{"key":"theme.zz"}"#, &options).unwrap().unwrap();
        assert_eq!(String::from_utf8(answer).unwrap().contains("kept"), is_kept);
        unload(&host, "probe");
        unload(&host, "theme");
    }
}
