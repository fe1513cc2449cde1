//! The same bytes installed again, and versions that wait.

use super::*;

fn kept(place: &Place, extension: &str) -> Option<Vec<u8>> {
    let current = State::read(&place.store.root).unwrap().packages["stats"].current.clone();
    std::fs::read(beside(&place.store.root.join("stats").join(current), extension)).ok()
}

fn release(place: &Place) -> Release {
    let installed = State::read(&place.store.root).unwrap().packages["stats"].clone();
    installed.versions[&installed.current].clone()
}

#[test]
fn a_renewed_or_added_signature_is_kept() {
    let mut place = Place::new();
    let package = place.package("1.0.0", &[]);
    place.install(&package).unwrap();
    place.sign(&package);
    place.install(&package).unwrap();
    assert_eq!(kept(&place, "zip.sig"), std::fs::read(beside(&package, "sig")).ok());
    assert_eq!(release(&place).status, "verified");
    place.gate.mode = Mode::Required;
    assert_eq!(place.code().unwrap(), "code of 1.0.0");
    for sequence in [1, 2] {
        place.sign_note(&package, "1.0.0", sequence);
        place.install(&package).unwrap();
        assert_eq!(kept(&place, "zip.gksig"), std::fs::read(beside(&package, "gksig")).ok());
        assert_eq!(release(&place).sequence, Some(sequence));
        assert_eq!(place.code().unwrap(), "code of 1.0.0");
    }
    // What is not brought any more is not kept beside what is.
    std::fs::remove_file(beside(&package, "sig")).unwrap();
    place.install(&package).unwrap();
    assert_eq!(kept(&place, "zip.sig"), None);
}

#[test]
fn installing_again_without_a_signature_takes_none_away() {
    let mut place = Place::new();
    let package = place.package("1.0.0", &[]);
    place.sign(&package);
    place.install(&package).unwrap();
    let before = (kept(&place, "zip.sig"), release(&place).status, release(&place).signed_by);
    std::fs::remove_file(beside(&package, "sig")).unwrap();
    let stranger = Gate { keys: Vec::new(), ..place.gate.clone() };
    let tree = place.store.root.join("stats").join(release(&place).key());
    for damage in [false, true] {
        if damage {
            std::fs::write(tree.join("stats.wasm"), "evil").unwrap();
        }
        let ((), steps) = fault::with(None, || {
            place.store.install(&stranger, &package, InstallOptions::default(), &|_| {}).map(drop).unwrap();
        });
        assert!(damage || steps < 8, "{steps} steps: what is intact is not written again");
        assert_eq!((kept(&place, "zip.sig"), release(&place).status, release(&place).signed_by), before);
        place.gate.mode = Mode::Required;
        assert_eq!(place.code().unwrap(), "code of 1.0.0");
    }
}

#[test]
fn a_kept_signature_that_is_gone_is_noticed() {
    let place = Place::new();
    let package = place.package("1.0.0", &[]);
    place.sign_note(&package, "1.0.0", 1);
    place.sign(&package);
    place.install(&package).unwrap();
    let tree = place.store.root.join("stats").join(release(&place).key());
    for extension in ["zip.gksig", "zip.sig"] {
        std::fs::remove_file(beside(&tree, extension)).unwrap();
        assert_eq!(place.refused(place.code()), "package.changed", "{extension}");
    }
    // Whoever installs the package again without any decides that it goes without.
    std::fs::remove_file(beside(&package, "sig")).unwrap();
    std::fs::remove_file(beside(&package, "gksig")).unwrap();
    let options = InstallOptions { allow_downgrade: true, ..InstallOptions::default() };
    place.store.install(&place.gate, &package, options, &|_| {}).unwrap();
    assert_eq!((place.code().unwrap().as_str(), release(&place).status.as_str()), ("code of 1.0.0", "unsigned"));
}

#[test]
fn what_waits_for_approval_does_not_load_in_any_way() {
    let place = Place::new();
    place.install(&place.package("1.0.0", &["ticket"])).unwrap();
    let more = place.package("2.0.0", &["ticket", "users"]);
    place.install(&more).unwrap();
    let pending = State::read(&place.store.root).unwrap().packages["stats"].pending.clone().unwrap();
    let tree = place.store.root.join("stats").join(pending);
    let plain = place.directory.path().join("plain");
    std::fs::create_dir(&plain).unwrap();
    for file in ["manifest.json", "stats.wasm"] {
        std::fs::copy(tree.join(file), plain.join(file)).unwrap();
    }
    let ways = [tree.clone(), beside(&tree, "zip"), more, plain];
    for path in &ways {
        let opened = super::super::super::open(&place.gate, Some(&place.store), path);
        assert_eq!(place.refused(opened), "package.not_approved", "{path:?}");
    }
    place.store.approve("stats", None).unwrap();
    for path in &ways {
        super::super::super::open(&place.gate, Some(&place.store), path).unwrap();
    }
}

#[test]
fn a_version_that_can_not_be_compared_stands_in_nobodys_way() {
    let place = Place::new();
    for version in ["v1.0.0", "1.0.1", "1.0.2"] {
        let package = place.package(version, &[]);
        place.sign(&package);
        place.install(&package).unwrap();
    }
    let old = place.package("1.0.0", &[]);
    place.sign(&old);
    assert_eq!(place.refused(place.install(&old)), "signature.rollback");
}

#[test]
fn only_the_version_that_was_looked_at_is_approved() {
    let place = Place::new();
    place.install(&place.package("1.0.0", &["ticket"])).unwrap();
    place.install(&place.package("2.0.0", &["ticket", "queue"])).unwrap();
    let looked_at = State::read(&place.store.root).unwrap().packages["stats"].pending.clone().unwrap();
    place.install(&place.package("3.0.0", &["users"])).unwrap();
    for version in [looked_at.as_str(), "2.0.0"] {
        assert_eq!(place.refused(place.store.approve("stats", Some(version))), "package.nothing_pending");
        assert_eq!(place.code().unwrap(), "code of 1.0.0");
    }
    assert_eq!(place.store.list().unwrap()[0]["pending"], "3.0.0", "it still waits");
    let change = place.store.approve("stats", Some("3.0.0")).unwrap();
    assert_eq!(change.report["approved"], json!(["db read on users"]));
    assert_eq!(place.code().unwrap(), "code of 3.0.0");
}
