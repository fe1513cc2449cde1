//! Whose directory it is, and what its record takes.

use super::*;

#[test]
fn a_directory_of_somebody_else_is_not_tidied_up() {
    let place = Place::new();
    let root = &place.store.root;
    let strangers = ["db/dump-202611221200", "photos/holiday-202611221200.zip", "stats/1.0.0-abababababab/x"];
    for path in strangers {
        std::fs::create_dir_all(root.join(path)).unwrap();
    }
    let are_there = || strangers.iter().all(|path| root.join(path).exists());
    let package = place.package("1.0.0", &[]);
    assert_eq!(place.refused(place.install(&package)), "package.state_invalid");
    assert_eq!(place.refused(place.store.remove("stats", None)), "package.not_installed");
    assert!(are_there() && !root.join(".lock").exists(), "nothing is made there either");
    // Nor what lies beside packages later, under names that were never installed.
    std::fs::remove_dir_all(root).unwrap();
    place.install(&package).unwrap();
    for path in &strangers[..2] {
        std::fs::create_dir_all(root.join(path)).unwrap();
    }
    place.install(&place.package("2.0.0", &[])).unwrap();
    assert!(strangers[..2].iter().all(|path| root.join(path).exists()));
}

#[test]
fn without_its_record_a_directory_is_left_as_it_is() {
    let place = Place::new();
    place.install(&place.package("1.0.0", &[])).unwrap();
    let record = std::fs::read(place.store.root.join("state.json")).unwrap();
    std::fs::remove_file(place.store.root.join("state.json")).unwrap();
    let before = place.names();
    assert_eq!(place.refused(place.install(&place.package("2.0.0", &[]))), "package.state_invalid");
    assert_eq!(place.names(), before);
    std::fs::write(place.store.root.join("state.json"), record).unwrap();
    assert_eq!(place.code().unwrap(), "code of 1.0.0", "restored from a backup");
}

#[test]
fn where_nothing_was_installed_nothing_is_made() {
    let place = Place::new();
    assert_eq!(place.refused(place.store.roll_back("stats")), "package.not_installed");
    assert_eq!(place.refused(place.store.approve("stats", None)), "package.not_installed");
    assert_eq!(place.refused(place.store.remove("stats", None)), "package.not_installed");
    assert!(!place.store.root.exists());
}

#[test]
fn first_installations_at_the_same_time_all_succeed() {
    for _ in 0..30 {
        let place = Place::new();
        let package = place.package("1.0.0", &[]);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| place.install(&package).unwrap());
            }
        });
        assert_eq!(place.code().unwrap(), "code of 1.0.0");
    }
}

#[test]
fn a_record_that_would_not_be_read_again_is_not_written() {
    let place = Place::new();
    place.install(&place.package("1.0.0", &[])).unwrap();
    let mut state = State::read(&place.store.root).unwrap();
    let lines: Vec<String> = (0..70).map(|line| format!("{line}{}", "x".repeat(1 << 20))).collect();
    state.packages.get_mut("stats").unwrap().approved = serde_json::from_value(json!(lines)).unwrap();
    assert_eq!(state.write(&place.store.root).unwrap_err().code(), ErrorCode::PackageStateInvalid);
    assert_eq!(place.code().unwrap(), "code of 1.0.0");
}

#[test]
fn what_nobody_could_read_is_not_asked_for() {
    let place = Place::new();
    place.install(&place.package("1.0.0", &[])).unwrap();
    let many: Vec<String> = (0..2_001).map(|table| format!("t{table}")).collect();
    let scopes: Vec<Value> =
        many.chunks(200).map(|scope| json!({"type": "db", "access": "read", "scope": scope})).collect();
    let long: Vec<Value> = (0..2)
        .map(|kind| {
            let scope: Vec<String> = (0..200).map(|item| format!("{item}{}", "x".repeat(500))).collect();
            json!({"type": format!("k{kind}"), "scope": scope})
        })
        .collect();
    for permissions in [scopes, long] {
        let manifest = json!({"name": "stats", "version": "2.0.0", "resources": {"permissions": permissions}});
        let files = [("manifest.json", manifest.to_string()), ("stats.wasm", "code".to_owned())];
        let path = place.directory.path().join("bomb.zip");
        std::fs::write(&path, archive::write(files, &place.gate.limits).unwrap()).unwrap();
        assert_eq!(place.refused(place.install(&path)), "package.manifest_invalid");
    }
    assert_eq!(place.code().unwrap(), "code of 1.0.0");
}

#[test]
fn a_service_of_another_user_may_read_the_record() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    place.install(&place.package("1.0.0", &[])).unwrap();
    let mode = std::fs::metadata(place.store.root.join("state.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
}

#[test]
fn names_that_could_be_mixed_up_are_not_installed_side_by_side() {
    let place = Place::new();
    for (name, slug) in [("a-b", None), ("a_b", Some("package.name_invalid")), ("a-c", None)] {
        let files = [("manifest.json", json!({"name": name, "version": "1"}).to_string()), ("x.wasm", String::new())];
        let path = place.directory.path().join("twin.zip");
        std::fs::write(&path, archive::write(files, &place.gate.limits).unwrap()).unwrap();
        assert_eq!(place.install(&path).err().map(|error| error.code().slug()), slug, "{name}");
    }
}
