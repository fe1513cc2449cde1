//! Policies and enablement survive what happens to storage: restarts, crashes, other writers, damage, full disks.

use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use goatflow_plugin::error::ErrorCode;
use goatflow_plugin::policy::audit::{Action, AuditRow, first_broken};
use goatflow_plugin::policy::{Change, PolicyStore};
use goatflow_plugin::providers::file_store::FileStore;
use goatflow_plugin::providers::memory_store::MemoryStore;
use goatflow_plugin::providers::sysconfig_store::SysconfigStore;
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Dice, code_of};

/// The reference's tables with every column, and the restrictions that its databases put on them.
pub const SYSCONFIG: &str = "
CREATE TABLE users (id INTEGER PRIMARY KEY, login TEXT);
INSERT INTO users VALUES (1, 'root@localhost');
CREATE TABLE sysconfig_default (
  id INTEGER PRIMARY KEY AUTOINCREMENT, name VARCHAR(250) NOT NULL UNIQUE, description LONGBLOB NOT NULL,
  navigation VARCHAR(200) NOT NULL, is_invisible SMALLINT NOT NULL, is_readonly SMALLINT NOT NULL,
  is_required SMALLINT NOT NULL, is_valid SMALLINT NOT NULL, has_configlevel SMALLINT NOT NULL,
  user_modification_possible SMALLINT NOT NULL, user_modification_active SMALLINT NOT NULL,
  user_preferences_group VARCHAR(250) NULL, xml_content_raw LONGBLOB NOT NULL, xml_content_parsed LONGBLOB NOT NULL,
  xml_filename VARCHAR(250) NOT NULL, effective_value LONGBLOB NOT NULL, is_dirty SMALLINT NOT NULL,
  exclusive_lock_guid VARCHAR(32) NOT NULL, exclusive_lock_user_id INT NULL, exclusive_lock_expiry_time DATETIME NULL,
  create_time DATETIME NOT NULL, create_by INT NOT NULL REFERENCES users(id), change_time DATETIME NOT NULL,
  change_by INT NOT NULL REFERENCES users(id));
CREATE TABLE sysconfig_modified (
  id INTEGER PRIMARY KEY AUTOINCREMENT, sysconfig_default_id INT NOT NULL REFERENCES sysconfig_default(id),
  name VARCHAR(250) NOT NULL, user_id INT NULL REFERENCES users(id), is_valid SMALLINT NOT NULL,
  user_modification_active SMALLINT NOT NULL, effective_value LONGBLOB NOT NULL, is_dirty SMALLINT NOT NULL,
  reset_to_default SMALLINT NOT NULL, create_time DATETIME NOT NULL, create_by INT NOT NULL REFERENCES users(id),
  change_time DATETIME NOT NULL, change_by INT NOT NULL REFERENCES users(id), UNIQUE (sysconfig_default_id, user_id));
";

/// A kind of storage that outlives its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Memory,
    File,
    Sysconfig,
}

const LASTING: [Kind; 2] = [Kind::File, Kind::Sysconfig];

/// A place for a store, empty at first.
struct Place {
    kind: Kind,
    directory: TempDir,
}

impl Place {
    fn new(kind: Kind) -> Self {
        let place = Self { kind, directory: tempfile::tempdir().unwrap() };
        if kind == Kind::Sysconfig {
            make_tables(&place.path());
        }
        place
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join(if self.kind == Kind::File { "policies" } else { "goatflow.db" })
    }

    fn open(&self) -> Arc<dyn PolicyStore> {
        open(self.kind, &self.path())
    }
}

pub fn make_tables(path: &Path) {
    Connection::open(path).unwrap().execute_batch(SYSCONFIG).unwrap();
}

fn open(kind: Kind, path: &Path) -> Arc<dyn PolicyStore> {
    match kind {
        Kind::Memory => Arc::new(MemoryStore::default()),
        Kind::File => Arc::new(FileStore::open(path).unwrap()),
        Kind::Sysconfig => Arc::new(SysconfigStore::sqlite(path)),
    }
}

fn set(expected: Option<u64>) -> Change<'static> {
    Change { expected_revision: expected, action: Action::Set, actor: "ann" }
}

fn save(store: &dyn PolicyStore, plugin: &str, text: &str, expected: Option<u64>) -> u64 {
    store.save(plugin, text.as_bytes(), &set(expected)).unwrap()
}

/// Text and revision.
fn stored(store: &dyn PolicyStore, plugin: &str) -> Option<(String, u64)> {
    store.load(plugin).unwrap().map(|stored| (String::from_utf8(stored.text).unwrap(), stored.revision))
}

/// The whole record, oldest first, which must be whole.
fn record(store: &dyn PolicyStore) -> Vec<AuditRow> {
    let mut rows = store.history(None, usize::MAX >> 1).unwrap();
    rows.reverse();
    assert_eq!(first_broken(&rows), None);
    rows
}

// All stores

#[test]
fn every_store_keeps_the_same_promises() {
    for kind in [Kind::Memory, Kind::File, Kind::Sysconfig] {
        let place = Place::new(kind);
        let store = place.open();
        let store = &*store;
        assert_eq!(stored(store, "a"), None, "{kind:?}");
        assert_eq!(store.load_enabled("a").unwrap(), None);
        assert_eq!(save(store, "a", "{\"a\":1}", Some(0)), 1);
        assert_eq!(code_of(store.save("a", b"{}", &set(Some(0)))), ErrorCode::PolicyRevisionConflict);
        assert_eq!(code_of(store.save("a", b"{}", &set(Some(2)))), ErrorCode::PolicyRevisionConflict);
        assert_eq!(stored(store, "a"), Some(("{\"a\":1}".into(), 1)));
        assert_eq!(save(store, "a", "{ }", Some(1)), 2);
        assert_eq!(save(store, "b", "{}", None), 1, "plugins count for themselves");
        assert_eq!(store.list().unwrap(), ["a", "b"]);
        // Removed, and not to be mistaken for what was there.
        assert_eq!(save(store, "a", "", Some(2)), 0);
        assert_eq!(stored(store, "a"), None);
        assert_eq!(store.list().unwrap(), ["b"]);
        assert_eq!(code_of(store.save("a", b"{}", &set(Some(2)))), ErrorCode::PolicyRevisionConflict);
        assert_eq!(save(store, "a", "{}", Some(0)), 3);
        assert_eq!(save(store, "never-was", "", None), 0);
        store.save_enabled("a", false, "bob").unwrap();
        assert_eq!((store.load_enabled("a").unwrap(), store.load_enabled("b").unwrap()), (Some(false), None));
        store.save_enabled("a", true, "bob").unwrap();
        assert_eq!(store.load_enabled("a").unwrap(), Some(true));
        store.save_evidence("a", b"{\"x\":1}").unwrap();
        store.save_evidence("a", b"{\"x\":2}").unwrap();
        assert_eq!(store.load_evidence("a").unwrap().as_deref(), Some(&b"{\"x\":2}"[..]));
        assert_eq!(store.load_evidence("b").unwrap(), None);
        let rows: Vec<_> = record(store)
            .into_iter()
            .map(|row| (row.seq, row.plugin, row.action.name(), row.actor, row.revision))
            .collect();
        let row =
            |seq, plugin: &str, action, actor: &str, revision| (seq, plugin.into(), action, actor.into(), revision);
        let expected = [
            row(1, "a", "set", "ann", 1),
            row(2, "a", "set", "ann", 2),
            row(3, "b", "set", "ann", 1),
            row(4, "a", "removed", "ann", 2),
            row(5, "a", "set", "ann", 3),
            row(6, "a", "disabled", "bob", 0),
            row(7, "a", "enabled", "bob", 0),
        ];
        assert_eq!(rows, expected, "{kind:?}");
        let of_b = store.history(Some("b"), 10).unwrap();
        assert_eq!(of_b.iter().map(|row| row.seq).collect::<Vec<_>>(), [3]);
        assert_eq!(store.history(None, 2).unwrap().iter().map(|row| row.seq).collect::<Vec<_>>(), [7, 6]);
        assert_eq!(of_b[0].document.as_deref(), Some("{}"));
        // A name is never a path or a pattern.
        for name in ["../a", "a/b", "", ".", "%", "A", "a\0"] {
            if kind != Kind::Memory {
                assert_eq!(code_of(store.save(name, b"{}", &set(None))), ErrorCode::PackageNameInvalid, "{name}");
                assert_eq!(code_of(store.load(name)), ErrorCode::PackageNameInvalid, "{name}");
            }
        }
    }
}

#[test]
fn a_restart_keeps_everything() {
    for kind in LASTING {
        let place = Place::new(kind);
        let document = "{\n  \"version\": 1 }";
        save(&*place.open(), "a", document, None);
        place.open().save_enabled("a", false, "x").unwrap();
        let store = place.open();
        assert_eq!(stored(&*store, "a"), Some((document.into(), 1)), "byte for byte");
        assert_eq!(store.load_enabled("a").unwrap(), Some(false));
        assert_eq!(save(&*store, "a", "{}", Some(1)), 2);
        assert_eq!(record(&*store).len(), 3);
    }
}

/// Writes `text` past the store, as the reference or an administrator's editor would.
fn write_past(place: &Place, plugin: &str, text: &str) {
    match place.kind {
        Kind::File => std::fs::write(place.path().join(format!("{plugin}.policy.json")), text).unwrap(),
        _ => {
            let rows = Connection::open(place.path())
                .unwrap()
                .execute(
                    "UPDATE sysconfig_modified SET effective_value = ?1 WHERE name = ?2",
                    [text, &format!("Plugin::{plugin}::Policy")],
                )
                .unwrap();
            assert_eq!(rows, 1);
        }
    }
}

#[test]
fn what_others_write_has_a_revision_of_its_own_and_is_not_overwritten_unseen() {
    for kind in LASTING {
        let place = Place::new(kind);
        let store = place.open();
        assert_eq!(save(&*store, "a", "{\"n\":1}", None), 1);
        let marker = store.marker().unwrap().unwrap();
        write_past(&place, "a", "{\"n\":2}");
        assert_ne!(store.marker().unwrap(), Some(marker), "{kind:?}: the change can be noticed");
        // Nobody looked yet: who started from revision 1 must not win.
        assert_eq!(code_of(store.save("a", b"{}", &set(Some(1)))), ErrorCode::PolicyRevisionConflict);
        assert_eq!(stored(&*store, "a"), Some(("{\"n\":2}".into(), 2)));
        write_past(&place, "a", "{\"n\":3}");
        assert_eq!(code_of(store.save("a", b"{}", &set(Some(2)))), ErrorCode::PolicyRevisionConflict);
        assert_eq!(save(&*store, "a", "{\"n\":4}", None), 4);
        let actions: Vec<_> = record(&*store).iter().map(|row| row.action).collect();
        assert_eq!(actions, [Action::Set, Action::Found, Action::Found, Action::Set]);
    }
}

#[test]
fn a_change_of_another_store_is_marked_and_ones_own_reads_are_not() {
    for kind in LASTING {
        let place = Place::new(kind);
        let (ours, theirs) = (place.open(), place.open());
        save(&*ours, "a", "{}", None);
        let before = ours.marker().unwrap();
        assert_eq!(stored(&*ours, "a").unwrap().1, 1);
        assert_eq!(ours.marker().unwrap(), before, "{kind:?}");
        assert_eq!(save(&*theirs, "a", "{ }", Some(1)), 2);
        assert_ne!(ours.marker().unwrap(), before, "{kind:?}");
        assert_eq!(stored(&*ours, "a"), Some(("{ }".into(), 2)));
    }
}

// The reference's rows

#[test]
fn rows_of_the_reference_load_and_the_newest_valid_one_counts() {
    let place = Place::new(Kind::Sysconfig);
    let connection = Connection::open(place.path()).unwrap();
    connection
        .execute_batch(
            // PostgreSQL's schema has no foreign keys, and there the reference's rows point to no default row.
            "PRAGMA foreign_keys = off;
             INSERT INTO sysconfig_modified VALUES
               (1, 0, 'Plugin::a::Policy', NULL, 1, 0, 'old', 0, 0, '2025-01-01 00:00:00', 1, '2025-01-01 00:00:00', 1),
               (2, 0, 'Plugin::a::Policy', NULL, 1, 0, x'7b7d', 0, 0, '2025-01-02 00:00:00', 1, '2025-01-02 00:00:00', 1),
               (3, 0, 'Plugin::a::Policy', NULL, 0, 0, 'invalid', 0, 0, '2025-01-03 00:00:00', 1, '2025-01-03 00:00:00', 1),
               (4, 7, 'Plugin::a::Policy', 1, 1, 0, 'of one user', 0, 0, '2025-01-04 00:00:00', 1, '2025-01-04 00:00:00', 1),
               (5, 0, 'Plugin::a::Policy', NULL, 1, 0, 'from the future', 0, 0, '2025-01-01 00:00:00', 1, '2024-01-01 00:00:00', 1);",
        )
        .unwrap();
    let store = place.open();
    let (text, revision) = stored(&*store, "a").unwrap();
    assert_eq!(text, "{}");
    // A twin whose clock runs ahead does not win over what an administrator writes now.
    connection.execute("UPDATE sysconfig_modified SET change_time = '9999-01-01 00:00:00' WHERE id = 2", []).unwrap();
    connection.execute("UPDATE sysconfig_modified SET change_time = '9998-01-01 00:00:00' WHERE id = 5", []).unwrap();
    save(&*store, "a", "{ }", Some(revision));
    assert_eq!(stored(&*store, "a").unwrap().0, "{ }");
    let valid: i64 = connection
        .query_row("SELECT count(*) FROM sysconfig_modified WHERE is_valid = 1 AND user_id IS NULL", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(valid, 1);
    for (value, expected) in [
        ("0", false),
        ("false", false),
        ("\"0\"", false),
        ("\"false\"", false),
        ("1", true),
        ("", true),
        ("False", true),
        ("no", true),
    ] {
        store.save_enabled("a", true, "x").unwrap();
        connection
            .execute("UPDATE sysconfig_modified SET effective_value = ?1 WHERE name = 'Plugin::a::Enabled'", [value])
            .unwrap();
        assert_eq!(store.load_enabled("a").unwrap(), Some(expected), "{value:?}");
    }
    // Seeded as disabled by the reference: only a default row.
    connection
        .execute_batch(
            "INSERT INTO sysconfig_default VALUES (99, 'Plugin::hello::Enabled', '', '', 0,0,0,1,0,0,0, NULL, '', '', '', '0',
             0, '', NULL, NULL, '2025-01-01', 1, '2025-01-01', 1)",
        )
        .unwrap();
    assert_eq!(store.load_enabled("hello").unwrap(), Some(false));
}

#[test]
fn what_is_written_obeys_every_restriction_of_the_tables() {
    let place = Place::new(Kind::Sysconfig);
    let store = place.open();
    for round in 0..3 {
        save(&*store, "a", &format!("{{\"n\":{round}}}"), None);
        save(&*store, "b", "{}", None);
        store.save_enabled("a", round % 2 == 0, "x").unwrap();
    }
    let connection = Connection::open(place.path()).unwrap();
    connection.pragma_update(None, "foreign_keys", true).unwrap();
    let violations: i64 =
        connection.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0)).unwrap();
    assert_eq!(violations, 0);
    let rows: i64 = connection.query_row("SELECT count(*) FROM sysconfig_modified", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 3, "one row per key");
    let value: String = connection
        .query_row("SELECT effective_value FROM sysconfig_modified WHERE name = 'Plugin::a::Policy'", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(value, "{\"n\":2}");
}

// Several writers

#[test]
fn of_two_that_start_from_one_revision_one_wins() {
    for kind in LASTING {
        let place = Place::new(kind);
        let stores = [place.open(), place.open()];
        let wins = std::sync::atomic::AtomicU64::new(0);
        std::thread::scope(|scope| {
            for (writer, store) in stores.iter().enumerate() {
                let wins = &wins;
                scope.spawn(move || {
                    for round in 0..60 {
                        let text = format!("{{\"writer\":{writer},\"round\":{round}}}");
                        let revision = stored(&**store, "a").map_or(0, |stored| stored.1);
                        match store.save("a", text.as_bytes(), &set(Some(revision))) {
                            Ok(new) => {
                                assert_eq!(new, revision + 1);
                                wins.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                            }
                            Err(error) => assert_eq!(error.code(), ErrorCode::PolicyRevisionConflict, "{error}"),
                        }
                    }
                });
            }
        });
        let rows = record(&*stores[0]);
        let won = wins.into_inner();
        assert_eq!(rows.len() as u64, won, "{kind:?}: as many rows as updates");
        assert_eq!(stored(&*stores[1], "a").unwrap().1, won);
        assert!(rows.iter().all(|row| row.action == Action::Set), "{kind:?}: nobody saw half a change");
    }
}

/// The child of the tests below: writes one document after the other, and says when each is confirmed.
#[test]
#[ignore = "runs as a child process of other tests"]
fn child_that_writes_until_it_is_killed() {
    let Ok(path) = std::env::var("GOATFLOW_TEST_STORE") else { return };
    let kind = if std::env::var("GOATFLOW_TEST_KIND").unwrap() == "File" { Kind::File } else { Kind::Sysconfig };
    let writes: u64 = std::env::var("GOATFLOW_TEST_WRITES").unwrap().parse().unwrap();
    let store = open(kind, Path::new(&path));
    for _ in 0..writes {
        let revision = stored(&*store, "a").map_or(0, |stored| stored.1);
        let text = document(revision + 1);
        match store.save("a", text.as_bytes(), &set(Some(revision))) {
            Ok(revision) => println!("confirmed {revision}"),
            Err(error) => println!("failed {}", error.code().slug()),
        }
        std::io::stdout().flush().unwrap();
    }
}

/// A document that says which revision it must have; long, so that writing it takes several steps.
fn document(revision: u64) -> String {
    json!({"version": 1, "note": revision.to_string(), "sql_functions": vec!["some_function_with_a_long_name"; 500]})
        .to_string()
}

fn child(place: &Place, writes: u64) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "policy_store::child_that_writes_until_it_is_killed", "--ignored", "--nocapture"])
        .env("GOATFLOW_TEST_STORE", place.path())
        .env("GOATFLOW_TEST_KIND", format!("{:?}", place.kind))
        .env("GOATFLOW_TEST_WRITES", writes.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

/// Words after `key` in the child's output.
fn said(line: &str, key: &str) -> Option<String> {
    line.rsplit_once(key).map(|(_, rest)| rest.trim().to_owned())
}

#[test]
fn a_writer_that_is_killed_leaves_the_old_document_or_the_new_one() {
    const TRIALS: usize = 110;
    let mut dice = Dice::new(0x5eed);
    for kind in LASTING {
        let place = Place::new(kind);
        let mut mid_write = 0;
        for trial in 0..TRIALS {
            let mut child = child(&place, u64::MAX).spawn().unwrap();
            let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
            let wanted = dice.roll(4);
            let mut lines = lines.filter_map(|line| said(&line, "confirmed "));
            let first: Vec<String> = lines.by_ref().take(wanted + 1).collect();
            for _ in 0..dice.roll(200_000) {
                std::hint::spin_loop();
            }
            child.kill().unwrap();
            let rest: Vec<String> = lines.collect();
            child.wait().unwrap();
            let confirmed: u64 = first.iter().chain(&rest).last().unwrap().parse().unwrap();
            let store = place.open();
            let (text, revision) = stored(&*store, "a").unwrap();
            let note = serde_json::from_str::<Value>(&text).unwrap()["note"].as_str().unwrap().to_owned();
            // Confirmed is kept. What was not confirmed is there in full, or not at all.
            let note: u64 = note.parse().unwrap();
            assert!(revision >= confirmed, "{kind:?} {trial}: {revision} {confirmed}");
            let rows = record(&*store);
            let last = rows.last().unwrap();
            assert_eq!((last.revision, last.document.as_deref()), (revision, Some(text.as_str())), "{kind:?} {trial}");
            assert!(note <= revision, "{kind:?} {trial}");
            mid_write += usize::from(revision > confirmed);
            if kind == Kind::Sysconfig {
                let check: String = Connection::open(place.path())
                    .unwrap()
                    .query_row("PRAGMA integrity_check", [], |row| row.get(0))
                    .unwrap();
                assert_eq!(check, "ok");
            }
            save(&*store, "a", &document(revision + 1), Some(revision));
        }
        println!("{kind:?}: {TRIALS} kills, {mid_write} after the write and before its confirmation");
    }
}

#[test]
fn two_processes_that_race_lose_no_update() {
    for kind in LASTING {
        let place = Place::new(kind);
        let children: Vec<_> = (0..2).map(|_| child(&place, 40).spawn().unwrap()).collect();
        let (mut confirmed, mut conflicts) = (Vec::new(), 0);
        for child in children {
            let output = child.wait_with_output().unwrap();
            for line in String::from_utf8(output.stdout).unwrap().lines() {
                confirmed.extend(said(line, "confirmed ").map(|number| number.parse::<u64>().unwrap()));
                if let Some(slug) = said(line, "failed ") {
                    assert_eq!(slug, "policy.revision_conflict", "{kind:?}");
                    conflicts += 1;
                }
            }
        }
        confirmed.sort_unstable();
        let expected: Vec<u64> = (1..=confirmed.len() as u64).collect();
        assert_eq!(confirmed, expected, "{kind:?}: every revision was confirmed once");
        assert_eq!(confirmed.len() + conflicts, 80);
        assert_eq!(record(&*place.open()).len(), confirmed.len());
    }
}

// Storage that fails

#[test]
fn a_store_that_is_not_there_is_an_error_and_works_as_soon_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("goatflow.db");
    let store = SysconfigStore::sqlite(&path);
    assert_eq!(code_of(store.load("a")), ErrorCode::EnvironmentStore);
    assert_eq!(code_of(store.marker()), ErrorCode::EnvironmentStore);
    assert!(!path.exists(), "looking makes no file");
    make_tables(&path);
    assert_eq!(store.load("a").unwrap(), None);
    assert_eq!(save(&store, "a", "{}", Some(0)), 1);
    // Another file takes its place.
    std::fs::remove_file(&path).unwrap();
    make_tables(&path);
    assert_eq!(store.load("a").unwrap(), None);
    // No longer a database at all.
    std::fs::write(&path, "no database ".repeat(1000)).unwrap();
    assert_eq!(code_of(store.load("a")), ErrorCode::EnvironmentStore);
    // Other tables than the reference's.
    std::fs::remove_file(&path).unwrap();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE sysconfig_modified (name TEXT)").unwrap();
    assert_eq!(code_of(store.load("a")), ErrorCode::EnvironmentStore);
}

#[test]
fn a_database_that_can_not_be_written_is_read_and_refuses_changes() {
    let place = Place::new(Kind::Sysconfig);
    save(&*place.open(), "a", "{}", None);
    write_past(&place, "a", "{ }");
    let read_only = place.directory.path().join("copy.db");
    std::fs::copy(place.path(), &read_only).unwrap();
    // Root writes what it likes, whatever the mode: the file is opened as immutable by a URI.
    let uri = format!("file:{}?immutable=1", read_only.display());
    let store = SysconfigStore::sqlite(Path::new(&uri));
    let first = stored(&store, "a").unwrap();
    assert_eq!(first.0, "{ }");
    assert!(first.1 > 1 << 52, "a revision from the content, because nothing can be recorded");
    assert_eq!(stored(&store, "a").unwrap(), first);
    assert_eq!(code_of(store.save("a", b"x", &set(None))), ErrorCode::EnvironmentStoreReadOnly);
    assert_eq!(code_of(store.save_enabled("a", false, "x")), ErrorCode::EnvironmentStoreReadOnly);
    assert_eq!(stored(&store, "a").unwrap(), first);
}

#[test]
fn a_directory_that_others_can_enter_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("policies");
    FileStore::open(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    for mode in [0o755, 0o770, 0o701, 0o777] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(code_of(FileStore::open(&path)), ErrorCode::EnvironmentStore, "{mode:o}");
    }
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert_eq!(code_of(FileStore::open(&link)), ErrorCode::EnvironmentStore);
    std::fs::write(directory.path().join("file"), "").unwrap();
    assert_eq!(code_of(FileStore::open(&directory.path().join("file"))), ErrorCode::EnvironmentStore);
}

#[test]
fn files_that_are_no_documents_are_errors_and_never_followed() {
    let place = Place::new(Kind::File);
    let store = place.open();
    let file = |name: &str| place.path().join(name);
    std::fs::write(place.directory.path().join("secret"), "{}").unwrap();
    std::os::unix::fs::symlink("../secret", file("link.policy.json")).unwrap();
    assert_eq!(code_of(store.load("link")), ErrorCode::EnvironmentStore);
    std::fs::create_dir(file("folder.policy.json")).unwrap();
    assert_eq!(code_of(store.load("folder")), ErrorCode::EnvironmentStore);
    assert!(Command::new("mkfifo").arg(file("pipe.policy.json")).status().unwrap().success());
    assert_eq!(code_of(store.load("pipe")), ErrorCode::EnvironmentStore);
    // A link is replaced, not written through.
    save(&*store, "other", "{}", None);
    std::fs::remove_file(file("other.policy.json")).unwrap();
    std::os::unix::fs::symlink("../secret", file("other.policy.json")).unwrap();
    assert_eq!(code_of(store.save("other", b"x", &set(None))), ErrorCode::EnvironmentStore);
    assert_eq!(std::fs::read_to_string(place.directory.path().join("secret")).unwrap(), "{}");
    // A damaged record is told, and a line that was never finished is cut off.
    save(&*store, "a", "{}", None);
    let mut text = std::fs::read_to_string(file("audit.jsonl")).unwrap();
    text += "{\"seq\":";
    std::fs::write(file("audit.jsonl"), &text).unwrap();
    assert_eq!(save(&*place.open(), "a", "{ }", Some(1)), 2);
    record(&*store);
    std::fs::write(file("audit.jsonl"), "nonsense\n").unwrap();
    assert_eq!(code_of(place.open().load("a")), ErrorCode::EnvironmentStore);
}

#[test]
fn a_file_enables_a_plugin_only_by_saying_so() {
    let place = Place::new(Kind::File);
    let store = place.open();
    assert_eq!(store.load_enabled("a").unwrap(), None);
    for (text, expected) in [
        ("1\n", true),
        ("true", true),
        (" 1 ", true),
        ("0\n", false),
        ("false", false),
        ("", false),
        ("False", false),
        ("no", false),
        ("0 # off", false),
        ("\"0\"", false),
        ("0\0", false),
        ("\u{feff}0", false),
    ] {
        std::fs::write(place.path().join("a.enabled"), text).unwrap();
        assert_eq!(store.load_enabled("a").unwrap(), Some(expected), "{text:?}");
    }
}

#[test]
fn a_full_disk_changes_nothing() {
    for kind in LASTING {
        let place = Place::new(kind);
        assert_eq!(save(&*place.open(), "a", &document(1), None), 1);
        let before = stored(&*place.open(), "a");
        // Files of this child can't grow beyond what the database, or the record, has now.
        let grown = match kind {
            Kind::File => std::fs::metadata(place.path().join("audit.jsonl")).unwrap().len(),
            _ => std::fs::metadata(place.path()).unwrap().len(),
        };
        let blocks = grown / 512 + 1;
        let program = std::env::current_exe().unwrap();
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        let output = Command::new("sh")
            .args(["-c", &script])
            .arg(program)
            .args(["--exact", "policy_store::child_that_writes_until_it_is_killed", "--ignored", "--nocapture"])
            .env("GOATFLOW_TEST_STORE", place.path())
            .env("GOATFLOW_TEST_KIND", format!("{kind:?}"))
            .env("GOATFLOW_TEST_WRITES", "20")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let failures: Vec<_> = text.lines().filter_map(|line| said(line, "failed ")).collect();
        assert!(!failures.is_empty() && failures.iter().all(|slug| slug == "environment.store"), "{kind:?}: {text}");
        let confirmed = text.lines().filter_map(|line| said(line, "confirmed ")).last();
        let store = place.open();
        match confirmed {
            None => assert_eq!(stored(&*store, "a"), before, "{kind:?}"),
            Some(revision) => assert_eq!(stored(&*store, "a").unwrap().1.to_string(), revision, "{kind:?}"),
        }
        record(&*store);
        let revision = stored(&*store, "a").unwrap().1;
        assert_eq!(save(&*store, "a", "{}", Some(revision)), revision + 1, "{kind:?}: and goes on when there is room");
    }
}
