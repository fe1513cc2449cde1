//! Packages as a host uses them: every way to running code passes the same gate, and what was verified is what runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use goatflow_plugin::error::Result;
use goatflow_plugin::package::archive::{self, Limits};
use goatflow_plugin::package::gate::beside;
use goatflow_plugin::package::moment::Moment;
use goatflow_plugin::package::signature::note::Statement;
use goatflow_plugin::package::signature::{Detached, Note, SecretKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{Guest, Host, assemble};

pub fn secret(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

/// A host with a directory of packages that trusts key 1 in the given mode.
pub fn host(mode: &str) -> (Host, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let packages = json!({
        "directory": directory.path().join("plugins"),
        "signatures": mode,
        "keys": [secret(1).public().to_string()],
    });
    (Host::with(json!({ "packages": packages })), directory)
}

pub fn module(name: &str, version: &str) -> Vec<u8> {
    assemble(&Guest::registered(&json!({"name": name, "version": version})).wat())
}

pub fn package_bytes(manifest: &Value, code: Option<&[u8]>, more: &[(&str, &str)]) -> Vec<u8> {
    let mut files = vec![("manifest.json".to_owned(), manifest.to_string().into_bytes())];
    files.extend(code.map(|code| ("plugin.wasm".to_owned(), code.to_vec())));
    files.extend(more.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())));
    archive::write(files, &Limits::default()).unwrap()
}

pub fn write_package(directory: &Path, version: &str) -> PathBuf {
    let path = directory.join(format!("stats-{version}.zip"));
    let manifest = json!({"name": "stats", "version": version});
    std::fs::write(&path, package_bytes(&manifest, Some(&module("stats", version)), &[])).unwrap();
    path
}

pub fn sign(path: &Path, seed: u8) {
    let digest = Sha256::digest(std::fs::read(path).unwrap()).into();
    std::fs::write(beside(path, "sig"), Detached::sign(&digest, &secret(seed)).to_text()).unwrap();
}

pub fn sign_note(path: &Path, name: &str, version: &str, sequence: u64) {
    let mut note = Note::new(Statement {
        name: name.into(),
        version: version.into(),
        sha256: Sha256::digest(std::fs::read(path).unwrap()).into(),
        sequence,
        not_before: Moment::parse("2026-01-01T00:00:00Z").unwrap(),
        expires: Moment::parse("2199-01-01T00:00:00Z").unwrap(),
        min_host: None,
        isolation_minimum: None,
        permissions_sha256: None,
    })
    .unwrap();
    note.sign("k", &secret(1)).unwrap();
    std::fs::write(beside(path, "gksig"), note.to_text()).unwrap();
}

pub fn refused<T: std::fmt::Debug>(result: Result<T>) -> &'static str {
    result.unwrap_err().code().slug()
}

pub fn install(host: &Host, path: &Path) -> Result<Value> {
    host.manager.install_package(path, b"", &|_| {})
}

pub fn unload(host: &Host, name: &str) {
    host.manager.unload(name, std::time::Duration::ZERO).unwrap();
}

#[test]
fn in_required_mode_every_way_to_running_code_needs_a_signature() {
    let (host, directory) = host("required");
    let package = write_package(directory.path(), "1.0.0");
    let wasm = directory.path().join("stats.wasm");
    std::fs::write(&wasm, module("stats", "1.0.0")).unwrap();
    let plain = directory.path().join("stats");
    std::fs::create_dir(&plain).unwrap();
    std::fs::write(plain.join("manifest.json"), r#"{"name":"stats","version":"1.0.0"}"#).unwrap();
    std::fs::copy(&wasm, plain.join("stats.wasm")).unwrap();
    for path in [&package, &wasm, &plain] {
        assert_eq!(refused(host.manager.load(path)), "signature.unsigned", "{path:?}");
    }
    assert_eq!(refused(install(&host, &package)), "signature.unsigned");
    for path in [&package, &wasm, &plain.join("stats.wasm")] {
        sign(path, 2);
        assert_eq!(refused(host.manager.load(path)), "signature.bad_signature", "{path:?}");
        sign(path, 1);
        host.manager.load(path).unwrap();
        unload(&host, "stats");
    }
    assert_eq!(refused(host.manager.load(&plain)), "signature.unsigned", "its manifest is not signed");
    install(&host, &package).unwrap();
    host.manager.load_package("stats").unwrap();
    unload(&host, "stats");
    let trees: Vec<PathBuf> = std::fs::read_dir(directory.path().join("plugins/stats"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    assert_eq!(trees.len(), 1);
    host.manager.load(&trees[0]).unwrap();
    unload(&host, "stats");
    // A directory beside the installed ones is none of them.
    let stray = directory.path().join("plugins/stats/9.9.9-000000000000");
    std::fs::create_dir(&stray).unwrap();
    std::fs::copy(&wasm, stray.join("stats.wasm")).unwrap();
    assert_eq!(refused(host.manager.load(&stray)), "package.not_installed");
}

#[test]
fn in_optional_mode_what_is_signed_wrongly_is_refused_all_the_same() {
    let (host, directory) = host("optional");
    let package = write_package(directory.path(), "1.0.0");
    let wasm = directory.path().join("stats.wasm");
    std::fs::write(&wasm, module("stats", "1.0.0")).unwrap();
    for path in [&package, &wasm] {
        host.manager.load(path).unwrap();
        assert_eq!(host.manager.list()[0]["signature"]["status"], "unsigned");
        unload(&host, "stats");
        std::fs::write(beside(path, "sig"), "").unwrap();
        assert_eq!(refused(host.manager.load(path)), "signature.malformed");
        sign(path, 2);
        assert_eq!(refused(host.manager.load(path)), "signature.bad_signature");
        sign(path, 1);
        host.manager.load(path).unwrap();
        let signature = host.manager.list()[0]["signature"].clone();
        assert_eq!(signature["status"], "verified");
        assert_eq!(signature["signed_by"][0]["key"], secret(1).public().id().to_string());
        unload(&host, "stats");
    }
}

#[test]
fn what_is_signed_for_another_name_or_version_does_not_run() {
    let (host, directory) = host("required");
    let wasm = directory.path().join("stats.wasm");
    std::fs::write(&wasm, module("stats", "1.0.0")).unwrap();
    for (name, version, is_right) in [("stats", "1.0.1", false), ("other", "1.0.0", false), ("stats", "1.0.0", true)] {
        sign_note(&wasm, name, version, 1);
        let loaded = host.manager.load(&wasm);
        if is_right {
            loaded.unwrap();
        } else {
            assert_eq!(refused(loaded), "signature.name_mismatch", "{name} {version}");
        }
    }
    // A package whose plugin registers as something else than the manifest says.
    let liar = directory.path().join("liar.zip");
    let manifest = json!({"name": "liar", "version": "1.0.0"});
    std::fs::write(&liar, package_bytes(&manifest, Some(&module("stats", "1.0.0")), &[])).unwrap();
    sign(&liar, 1);
    install(&host, &liar).unwrap();
    assert_eq!(refused(host.manager.load_package("liar")), "package.name_mismatch");
    let other = directory.path().join("other.zip");
    let manifest = json!({"name": "other", "version": "2.0.0"});
    std::fs::write(&other, package_bytes(&manifest, Some(&module("other", "1.0.0")), &[])).unwrap();
    sign(&other, 1);
    assert_eq!(refused(host.manager.load(&other)), "package.name_mismatch");
}

#[test]
fn a_module_that_is_older_than_one_that_ran_does_not_come_back() {
    let (host, directory) = host("required");
    install(&host, &{
        let first = write_package(directory.path(), "0.1.0");
        sign(&first, 1);
        first
    })
    .unwrap();
    let wasm = |version: &str, sequence| {
        let path = directory.path().join(format!("{version}.wasm"));
        std::fs::write(&path, module("stats", version)).unwrap();
        sign_note(&path, "stats", version, sequence);
        path
    };
    let (old, new) = (wasm("1.0.0", 4), wasm("2.0.0", 5));
    for path in [&old, &new] {
        host.manager.load(path).unwrap();
        unload(&host, "stats");
    }
    assert_eq!(refused(host.manager.load(&old)), "signature.rollback");
    host.manager.load(&new).unwrap();
}

#[test]
fn revocation_acts_on_the_next_load_and_an_unreadable_trust_store_stops_all() {
    let directory = tempfile::tempdir().unwrap();
    let trust = directory.path().join("trust.json");
    let packages = json!({"trust_file": trust, "directory": directory.path().join("plugins")});
    let host = Host::with(json!({ "packages": packages }));
    let package = write_package(directory.path(), "1.0.0");
    assert_eq!(
        refused(host.manager.load(&package)),
        "signature.trust_unreadable",
        "a missing store is not an empty one"
    );
    let entry = |seed: u8, label: &str| json!({"public_key": secret(seed).public().to_string(), "label": label, "names": ["st*"]});
    host.manager.trust_key(entry(1, "release").to_string().as_bytes()).unwrap();
    assert_eq!(refused(host.manager.trust_key(entry(1, "again").to_string().as_bytes())), "signature.trust_conflict");
    sign(&package, 1);
    host.manager.load(&package).unwrap();
    assert_eq!(host.manager.list()[0]["signature"]["signed_by"][0]["label"], "release");
    unload(&host, "stats");
    host.manager.revoke_trust(br#"{"key":"release","reason":"lost"}"#).unwrap();
    assert_eq!(refused(host.manager.load(&package)), "signature.revoked");
    host.manager.trust_key(entry(2, "next").to_string().as_bytes()).unwrap();
    sign(&package, 2);
    host.manager.load(&package).unwrap();
    unload(&host, "stats");
    let sha256 = host.manager.inspect_package(&package).unwrap()["sha256"].clone();
    host.manager.revoke_trust(json!({ "sha256": sha256 }).to_string().as_bytes()).unwrap();
    assert_eq!(refused(host.manager.load(&package)), "signature.revoked");
    std::fs::write(&trust, "{").unwrap();
    assert_eq!(refused(host.manager.load(&package)), "signature.trust_invalid");
    assert_eq!(refused(host.load_package("b", &module("b", "1"))), "signature.trust_invalid", "directories too");
}

#[test]
fn a_package_without_code_is_a_plugin_with_files_and_texts() {
    let (host, directory) = host("optional");
    let path = directory.path().join("theme.zip");
    let files = [
        ("templates/page.html", "<h1>"),
        ("assets/site.css", "h1{}"),
        ("i18n/de.json", r#"{"title":"Titel","nested":{"key":"Wert"}}"#),
        ("i18n/fr.json", "not json"),
        ("README.md", "text"),
    ];
    std::fs::write(&path, package_bytes(&json!({"name": "theme", "version": "1.0"}), None, &files)).unwrap();
    install(&host, &path).unwrap();
    host.manager.load_package("theme").unwrap();
    let listed = &host.manager.list()[0];
    assert_eq!((&listed["runtime"], &listed["version"]), (&json!("template"), &json!("1.0")));
    assert!(listed["warnings"][0].as_str().unwrap().contains("i18n/fr.json"), "{listed}");
    let names: Vec<Value> =
        host.manager.assets("theme").unwrap().as_array().unwrap().iter().map(|asset| asset["name"].clone()).collect();
    assert_eq!(names, ["assets/site.css", "i18n/de.json", "i18n/fr.json", "templates/page.html"]);
    assert_eq!(host.manager.asset("theme", "templates/page.html").unwrap(), b"<h1>");
    assert_eq!(refused(host.manager.asset("theme", "README.md")), "package.asset_not_found");
    assert_eq!(refused(host.manager.asset("none", "README.md")), "lifecycle.plugin_not_found");
    assert_eq!(refused(host.call("theme", "anything", "")), "plugin.failed");
    // Its texts serve other plugins, and go with it.
    host.load(&Guest::named("probe"));
    let german = goatflow_plugin::manager::CallOptions {
        origin: goatflow_plugin::plugin::Origin { language: Some("de".into()), ..Default::default() },
        ..Default::default()
    };
    let translate = || {
        let answer = host.call_with("probe", "translate", r#"{"key":"theme.nested.key"}"#, &german).unwrap().unwrap();
        serde_json::from_slice::<Value>(&answer).unwrap()
    };
    assert!(translate().to_string().contains("Wert"), "{}", translate());
    unload(&host, "theme");
    assert!(!translate().to_string().contains("Wert"), "{}", translate());
}

#[test]
fn installing_tells_subscribers_and_the_log() {
    let (host, directory) = host("optional");
    let (sender, receiver) = std::sync::mpsc::channel();
    let filter = br#"{"kinds":["package.installed","package.pending","package.rolled_back","package.removed"]}"#;
    let _subscription =
        host.manager.subscribe(filter, Box::new(move |event| sender.send(event.to_owned()).unwrap())).unwrap();
    for version in ["1.0.0", "2.0.0"] {
        let package = write_package(directory.path(), version);
        sign(&package, 1);
        install(&host, &package).unwrap();
    }
    let old = directory.path().join("stats-1.0.0.zip");
    assert_eq!(refused(install(&host, &old)), "signature.rollback");
    host.manager.install_package(&old, br#"{"allow_downgrade":true}"#, &|_| {}).unwrap();
    host.manager.roll_back_package("stats").unwrap();
    host.manager.remove_package("stats", None).unwrap();
    let kinds: Vec<String> = (0..5)
        .map(|_| serde_json::from_str::<Value>(&receiver.recv().unwrap()).unwrap()["kind"].as_str().unwrap().to_owned())
        .collect();
    let installed = "package.installed";
    assert_eq!(kinds, [installed, installed, installed, "package.rolled_back", "package.removed"]);
    let lines = host.log_lines("stats");
    assert!(lines[2].contains("allowed by the administrator"), "{lines:?}");
    assert_eq!(lines.len(), 5);
    assert_eq!(refused(host.manager.install_package(&old, br#"{"force":true}"#, &|_| {})), "argument.json");
    assert_eq!(refused(Host::new().manager.packages()), "package.no_store");
}

/// Stops the man in the middle, also when the test fails: the scope waits for him.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The man in the middle exchanges files as fast as he can; whatever is loaded says in its registration which bytes ran.
#[test]
fn files_that_are_exchanged_after_verification_never_run() {
    let (host, directory) = host("required");
    let (good, evil) = (write_package(directory.path(), "1.0.0"), directory.path().join("evil.zip"));
    let manifest = json!({"name": "stats", "version": "1.0.0"});
    let registration = json!({"name": "stats", "version": "1.0.0", "description": "evil"});
    let evil_code = assemble(&Guest::registered(&registration).wat());
    std::fs::write(&evil, package_bytes(&manifest, Some(&evil_code), &[])).unwrap();
    sign(&good, 1);
    install(&host, &good).unwrap();
    let wasm = directory.path().join("bare.wasm");
    std::fs::write(&wasm, module("stats", "1.0.0")).unwrap();
    sign(&wasm, 1);
    let evil_wasm = directory.path().join("evil.wasm");
    std::fs::write(&evil_wasm, &evil_code).unwrap();
    let tree = std::fs::read_dir(directory.path().join("plugins/stats"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.is_dir())
        .unwrap();
    // Each target is exchanged by rename, by a link and in place.
    let targets = [
        (good.clone(), evil.clone()),
        (wasm.clone(), evil_wasm.clone()),
        (beside(&tree, "zip"), evil),
        (tree.join("plugin.wasm"), evil_wasm),
    ];
    let originals: Vec<Vec<u8>> = targets.iter().map(|(target, _)| std::fs::read(target).unwrap()).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let (mut ran, mut refusals) = (0, 0);
    std::thread::scope(|scope| {
        for ((target, other), original) in targets.iter().zip(&originals) {
            let stop = Arc::clone(&stop);
            scope.spawn(move || {
                let aside = beside(target, "aside");
                for round in 0.. {
                    if stop.load(Ordering::SeqCst) {
                        break;
                    }
                    match round % 3 {
                        0 => std::fs::copy(other, &aside).map(drop).unwrap(),
                        1 => std::os::unix::fs::symlink(other, &aside).unwrap(),
                        _ => std::fs::write(&aside, other.to_str().unwrap()).unwrap(),
                    }
                    std::fs::rename(&aside, target).unwrap();
                    std::thread::yield_now();
                    std::fs::write(&aside, original).unwrap();
                    std::fs::rename(&aside, target).unwrap();
                    std::thread::yield_now();
                }
            });
        }
        let _stopper = StopOnDrop(Arc::clone(&stop));
        for round in 0..3_000 {
            let loaded = match round % 4 {
                0 => host.manager.load(&good),
                1 => host.manager.load(&wasm),
                2 => host.manager.load(&tree),
                _ => host.manager.load_package("stats"),
            };
            match loaded {
                Ok(name) => {
                    let registration = host.manager.registration(&name).unwrap();
                    assert_eq!(registration.get("description"), None, "other bytes ran");
                    unload(&host, &name);
                    ran += 1;
                }
                Err(error) => {
                    let slug = error.code().slug();
                    assert!(slug.starts_with("signature.") || slug.starts_with("package."), "{slug}: {error}");
                    refusals += 1;
                }
            }
        }
    });
    assert!(ran > 20 && refusals > 20, "the race did not take place: {ran} ran, {refusals} refused");
}
