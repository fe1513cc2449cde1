//! Installed packages over their life, and every change of them broken off at every step.

use std::cell::RefCell;

use super::*;
use crate::package::archive;
use crate::package::files::fault::{self, Fault};
use crate::package::gate::beside;
use crate::package::moment::Moment;
use crate::package::signature::{Detached, Note, SecretKey, note::Statement};
use crate::package::trust::Mode;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

struct Place {
    directory: TempDir,
    gate: Gate,
    store: Store,
}

fn secret() -> SecretKey {
    SecretKey::from_seed(&[1; 32])
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(&directory.path().join("plugins"));
        let gate = Gate { max_code_bytes: 1_000_000, keys: vec![secret().public()], ..Gate::default() };
        Self { directory, gate, store }
    }

    /// An unsigned package whose code says its version.
    fn package(&self, version: &str, tables: &[&str]) -> PathBuf {
        let permissions = json!([{"type": "db", "access": "read", "scope": tables}]);
        let manifest = json!({"name": "stats", "version": version, "resources": {"permissions": permissions}});
        let files = [
            ("manifest.json", manifest.to_string()),
            ("stats.wasm", format!("code of {version}")),
            ("assets/logo.txt", format!("logo of {version}")),
        ];
        let bytes = archive::write(files, &self.gate.limits).unwrap();
        let path = self.directory.path().join(format!("{version}.zip"));
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn sign(&self, path: &Path) {
        let digest = Sha256::digest(std::fs::read(path).unwrap()).into();
        std::fs::write(beside(path, "sig"), Detached::sign(&digest, &secret()).to_text()).unwrap();
    }

    fn sign_note(&self, path: &Path, version: &str, sequence: u64) {
        let mut note = Note::new(Statement {
            name: "stats".into(),
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
        note.sign("k", &secret()).unwrap();
        std::fs::write(beside(path, "gksig"), note.to_text()).unwrap();
    }

    fn install(&self, path: &Path) -> Result<Change> {
        self.store.install(&self.gate, path, InstallOptions::default(), &|_| {})
    }

    fn code(&self) -> Result<String> {
        let opened = self.store.open(&self.gate, "stats")?;
        let asset = opened.assets.unwrap().read("assets/logo.txt", 100)?;
        let code = String::from_utf8(opened.artifact.code).unwrap();
        assert_eq!(String::from_utf8(asset).unwrap(), code.replace("code", "logo"), "a mix of versions");
        Ok(code)
    }

    fn refused<T: std::fmt::Debug>(&self, result: Result<T>) -> &'static str {
        result.unwrap_err().code().slug()
    }

    /// Names below the directory of packages, without the lock.
    fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for directory in [self.store.root.clone(), self.store.root.join("stats")] {
            let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
            names.extend(entries.map(|entry| entry.file_name().into_string().unwrap()).filter(|name| name != ".lock"));
        }
        names.sort();
        names
    }
}

#[test]
fn versions_come_go_and_come_back() {
    let place = Place::new();
    let (one, two) = (place.package("1.0.0", &["ticket"]), place.package("1.1.0", &["ticket"]));
    assert_eq!(place.refused(place.code()), "package.not_installed");
    assert_eq!(place.install(&one).unwrap().what, "installed");
    assert_eq!(place.code().unwrap(), "code of 1.0.0");
    assert_eq!(place.refused(place.store.roll_back("stats")), "package.no_previous");
    assert_eq!(place.install(&two).unwrap().report["previous"], "1.0.0");
    assert_eq!(place.code().unwrap(), "code of 1.1.0");
    place.store.roll_back("stats").unwrap();
    assert_eq!(place.code().unwrap(), "code of 1.0.0");
    place.store.roll_back("stats").unwrap();
    assert_eq!(place.code().unwrap(), "code of 1.1.0");
    assert_eq!(place.refused(place.store.remove("stats", Some("1.1.0"))), "argument.invalid");
    assert_eq!(place.refused(place.store.remove("stats", Some("9"))), "package.not_installed");
    place.store.remove("stats", Some("1.0.0")).unwrap();
    assert_eq!(place.names().iter().filter(|name| name.contains("1.0.0")).count(), 0);
    assert_eq!(place.refused(place.store.roll_back("stats")), "package.no_previous");
    place.store.remove("stats", None).unwrap();
    assert_eq!(place.refused(place.code()), "package.not_installed");
    assert_eq!(place.names(), ["state.json"]);
    assert_eq!(place.store.list().unwrap(), json!([]));
}

#[test]
fn an_update_that_asks_for_more_waits_while_the_old_version_serves() {
    let place = Place::new();
    place.install(&place.package("1.0.0", &["ticket"])).unwrap();
    let waiting = place.install(&place.package("2.0.0", &["ticket", "users"])).unwrap();
    assert_eq!((waiting.what, &waiting.report["needs_approval"]), ("pending", &json!(["db read on users"])));
    assert_eq!(place.code().unwrap(), "code of 1.0.0");
    assert_eq!(place.store.list().unwrap()[0]["pending"], "2.0.0");
    place.store.approve("stats", None).unwrap();
    assert_eq!(place.code().unwrap(), "code of 2.0.0");
    assert_eq!(place.refused(place.store.approve("stats", None)), "package.nothing_pending");
    // What was approved once is approved for later versions; asking for less never waits.
    assert_eq!(place.install(&place.package("2.1.0", &["users"])).unwrap().what, "installed");
    let more = place.package("3.0.0", &["queue"]);
    let options = InstallOptions { approve: true, ..InstallOptions::default() };
    assert_eq!(place.store.install(&place.gate, &more, options, &|_| {}).unwrap().what, "installed");
}

#[test]
fn older_releases_are_taken_only_when_the_administrator_says_so() {
    let place = Place::new();
    let (old, new) = (place.package("1.0.0", &[]), place.package("2.0.0", &[]));
    place.sign_note(&old, "1.0.0", 7);
    place.sign_note(&new, "2.0.0", 8);
    place.install(&new).unwrap();
    assert_eq!(place.refused(place.install(&old)), "signature.rollback");
    assert_eq!(place.refused(super::super::open(&place.gate, Some(&place.store), &old)), "signature.rollback");
    std::fs::remove_file(beside(&old, "gksig")).unwrap();
    place.sign(&old);
    assert_eq!(place.refused(place.install(&old)), "signature.format_downgrade");
    // Nor after it was removed.
    place.store.remove("stats", None).unwrap();
    assert_eq!(place.refused(place.install(&old)), "signature.format_downgrade");
    let options = InstallOptions { allow_downgrade: true, ..InstallOptions::default() };
    let change = place.store.install(&place.gate, &old, options, &|_| {}).unwrap();
    assert!(change.is_downgrade);
    assert_eq!(place.code().unwrap(), "code of 1.0.0");
    assert_eq!(State::read(&place.store.root).unwrap().history("stats").sequence, Some(8), "still remembered");
}

#[test]
fn in_required_mode_an_installed_tree_needs_its_signature_at_every_load() {
    let mut place = Place::new();
    let package = place.package("1.0.0", &[]);
    place.install(&package).unwrap();
    place.gate.mode = Mode::Required;
    assert_eq!(place.refused(place.code()), "signature.unsigned");
    assert_eq!(place.refused(place.install(&package)), "signature.unsigned");
    place.sign(&package);
    place.install(&package).unwrap();
    assert_eq!(place.code().unwrap(), "code of 1.0.0");
    let tree =
        place.store.root.join("stats").join(State::read(&place.store.root).unwrap().packages["stats"].current.clone());
    assert!(super::super::open(&place.gate, Some(&place.store), &tree).is_ok());
    std::fs::remove_file(beside(&tree, "zip.sig")).unwrap();
    assert_eq!(place.refused(place.code()), "signature.unsigned");
    place.gate.keys = vec![SecretKey::from_seed(&[2; 32]).public()];
    place.install(&package).unwrap_err();
}

#[test]
fn whatever_is_changed_in_an_installed_version_is_noticed() {
    let changes: [(&str, fn(&Path)); 8] = [
        ("code", |tree| std::fs::write(tree.join("stats.wasm"), "evil").unwrap()),
        ("manifest", |tree| std::fs::write(tree.join("manifest.json"), "{}").unwrap()),
        ("asset", |tree| std::fs::write(tree.join("assets/logo.txt"), "evil").unwrap()),
        ("gone", |tree| std::fs::remove_file(tree.join("assets/logo.txt")).unwrap()),
        ("added", |tree| std::fs::write(tree.join("assets/new"), "").unwrap()),
        ("link", |tree| {
            std::fs::rename(tree.join("stats.wasm"), tree.join("../moved")).unwrap();
            std::os::unix::fs::symlink("../moved", tree.join("stats.wasm")).unwrap();
        }),
        ("package", |tree| std::fs::copy(tree.join("../../../2.0.0.zip"), beside(tree, "zip")).map(drop).unwrap()),
        ("no package", |tree| std::fs::remove_file(beside(tree, "zip")).unwrap()),
    ];
    for (what, change) in changes {
        let place = Place::new();
        let package = place.package("1.0.0", &[]);
        place.package("2.0.0", &[]);
        place.install(&package).unwrap();
        let tree =
            place.store.root.join("stats").join(&State::read(&place.store.root).unwrap().packages["stats"].current);
        change(&tree);
        assert_eq!(place.refused(place.code()), "package.changed", "{what}");
        // Installing it again repairs it.
        place.install(&package).unwrap();
        assert_eq!(place.code().unwrap(), "code of 1.0.0", "{what}");
    }
}

#[test]
fn a_record_or_directory_that_others_may_write_is_not_used() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let package = place.package("1.0.0", &[]);
    place.install(&package).unwrap();
    for path in [place.store.root.clone(), place.store.root.join("state.json")] {
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode | 0o020)).unwrap();
        assert_eq!(place.refused(place.code()), "package.state_invalid");
        assert_eq!(place.refused(place.install(&package)), "package.state_invalid");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    assert!(place.code().is_ok());
    std::fs::write(place.store.root.join("state.json"), "{").unwrap();
    assert_eq!(place.refused(place.code()), "package.state_invalid");
}

#[test]
fn refused_packages_change_nothing() {
    let place = Place::new();
    place.install(&place.package("1.0.0", &[])).unwrap();
    let before = (place.names(), std::fs::read(place.store.root.join("state.json")).unwrap());
    let package = place.package("2.0.0", &[]);
    std::fs::write(beside(&package, "sig"), "00".repeat(64)).unwrap();
    assert_eq!(place.refused(place.install(&package)), "signature.bad_signature");
    assert_eq!(place.refused(place.install(Path::new("/none.zip"))), "package.not_found");
    assert_eq!(
        place.refused(place.install(&place.package("../x", &[]).with_file_name("none.zip"))),
        "package.not_found"
    );
    assert_eq!((place.names(), std::fs::read(place.store.root.join("state.json")).unwrap()), before);
}

/// A change that is broken off, what may be loaded before it, and what after it.
type Trial = (&'static str, fn(&Place), fn(&Place) -> Result<Change>, Option<&'static str>, Option<&'static str>);

const TRIALS: [Trial; 6] = [
    ("first install", |_| {}, |place| place.install(&place.package("1.0.0", &[])), None, Some("code of 1.0.0")),
    ("upgrade", one, |place| place.install(&place.package("2.0.0", &[])), Some("code of 1.0.0"), Some("code of 2.0.0")),
    ("roll-back", two, |place| place.store.roll_back("stats"), Some("code of 2.0.0"), Some("code of 1.0.0")),
    ("approval", pending, |place| place.store.approve("stats", None), Some("code of 1.0.0"), Some("code of 3.0.0")),
    ("removal", two, |place| place.store.remove("stats", None), Some("code of 2.0.0"), None),
    (
        "install again",
        one,
        |place| place.install(&place.package("1.0.0", &[])),
        Some("code of 1.0.0"),
        Some("code of 1.0.0"),
    ),
];

fn one(place: &Place) {
    place.install(&place.package("1.0.0", &[])).unwrap();
}

fn two(place: &Place) {
    one(place);
    place.install(&place.package("2.0.0", &[])).unwrap();
}

fn pending(place: &Place) {
    one(place);
    place.install(&place.package("3.0.0", &["users"])).unwrap();
}

#[test]
fn a_change_that_is_broken_off_anywhere_leaves_the_old_or_the_new_version() {
    for (what, prepare, change, old, new) in TRIALS {
        let outcomes = RefCell::new((0, 0));
        let measured = Place::new();
        prepare(&measured);
        let (_, steps) = fault::with(None, || change(&measured).unwrap());
        assert!(steps >= 5, "{what} takes {steps} steps only: the faults are not where they should be");
        for fault in (0..steps).flat_map(|step| [Fault::Once(step), Fault::Dead(step)]) {
            let place = Place::new();
            prepare(&place);
            let (result, _) = fault::with(Some(fault), || change(&place));
            let loaded = match place.code() {
                Ok(code) => Some(code),
                Err(error) => {
                    assert_eq!(error.code(), ErrorCode::PackageNotInstalled, "{what}: {error}");
                    None
                }
            };
            let mut outcomes = outcomes.borrow_mut();
            match loaded.as_deref() {
                loaded if loaded == new => outcomes.1 += 1,
                loaded if loaded == old => outcomes.0 += 1,
                loaded => panic!("{what}: {loaded:?} is neither the old nor the new version"),
            }
            if result.is_ok() {
                assert_eq!(loaded.as_deref(), new, "{what}: reported as done, and it is not");
            }
            // The next change works and tidies up.
            if old != new && loaded.as_deref() == old {
                change(&place).unwrap();
                assert_eq!(place.code().ok().as_deref(), new, "{what}");
            }
            place.install(&place.package("9.0.0", &[])).unwrap();
            let left: Vec<String> = place.names().into_iter().filter(|name| name.starts_with('.')).collect();
            assert_eq!(left, Vec::<String>::new(), "{what}: left behind");
        }
        let (kept, changed) = outcomes.into_inner();
        assert!(kept + changed == 2 * steps && changed > 0, "{what}: {kept} old, {changed} new");
    }
}

mod record;
mod repeated;
