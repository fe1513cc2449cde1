//! Stored policies act on plugins: after a restart, when others change them, and when the store fails.

use std::path::{Path, PathBuf};

use goatflow_plugin::error::ErrorCode;
use goatflow_plugin::manager::CallOptions;
use goatflow_plugin::policy::PolicyStore;
use goatflow_plugin::providers::file_store::FileStore;
use goatflow_plugin::providers::sysconfig_store::SysconfigStore;
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::policy_store::make_tables;
use crate::support::{Guest, Host, until};

/// A directory with a database of tickets and configuration, and stores to choose from.
struct Site(TempDir);

impl Site {
    fn new() -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        make_tables(&site.database());
        let more = "CREATE TABLE ticket (id INTEGER PRIMARY KEY); INSERT INTO ticket VALUES (1);
                    CREATE TABLE queue (id INTEGER PRIMARY KEY); INSERT INTO queue VALUES (1);";
        Connection::open(site.database()).unwrap().execute_batch(more).unwrap();
        site
    }

    fn database(&self) -> PathBuf {
        self.0.path().join("goatflow.db")
    }

    fn stores(&self) -> [Value; 2] {
        [json!({"kind": "sysconfig"}), json!({"kind": "file", "directory": self.0.path().join("policies")})]
    }

    fn host(&self, store: &Value, more: Value) -> Host {
        let mut config = more;
        config["policy_store"] = store.clone();
        config["database"] = json!({"sqlite": {"path": self.database()}});
        Host::with(config)
    }
}

fn reads(table: &str) -> Value {
    json!({"version": 1, "status": "approved", "permissions": [{"type": "db", "access": "read", "scope": [table]}]})
}

fn may_read(host: &Host, table: &str) -> bool {
    host.ask("a", "db_query", &json!({"query": format!("SELECT id FROM {table}")})).is_ok()
}

fn blocked_reason(host: &Host) -> String {
    host.manager.policy("a").unwrap()["effective"]["blocked_reason"].as_str().unwrap_or_default().to_owned()
}

fn is_blocked(host: &Host) -> bool {
    host.call_with("a", "echo", "x", &CallOptions::default())
        .is_err_and(|error| error.code() == ErrorCode::PolicyBlocked)
}

#[test]
fn policies_and_enablement_survive_a_restart() {
    let site = Site::new();
    for store in site.stores() {
        let host = site.host(&store, json!({}));
        host.load(&Guest::named("a"));
        assert!(!may_read(&host, "ticket"));
        host.manager.set_policy("a", reads("ticket").to_string().as_bytes(), Some(0)).unwrap();
        assert!(may_read(&host, "ticket"));
        host.manager.disable("a", std::time::Duration::ZERO).unwrap();
        drop(host);
        let host = site.host(&store, json!({}));
        host.load(&Guest::named("a"));
        assert_eq!(host.code("a", "echo", "x", &CallOptions::default()), ErrorCode::LifecycleDisabled, "{store}");
        host.manager.enable("a").unwrap();
        assert!(may_read(&host, "ticket") && !may_read(&host, "queue"));
        assert_eq!(host.manager.policy("a").unwrap()["revision"], 1);
        let history = host.manager.policy_history(Some("a"), 10).unwrap();
        let actions: Vec<_> = history.as_array().unwrap().iter().map(|row| row["action"].clone()).collect();
        assert_eq!(actions, ["enabled", "disabled", "set"]);
    }
}

#[test]
fn the_configuration_only_seeds_what_is_not_stored() {
    let site = Site::new();
    for store in site.stores() {
        let seeds = json!({"policies": {"a": reads("ticket")}});
        let host = site.host(&store, seeds.clone());
        host.load(&Guest::named("a"));
        assert!(may_read(&host, "ticket"));
        host.manager.set_policy("a", reads("queue").to_string().as_bytes(), Some(1)).unwrap();
        drop(host);
        let host = site.host(&store, seeds);
        host.load(&Guest::named("a"));
        assert!(may_read(&host, "queue") && !may_read(&host, "ticket"), "{store}");
    }
}

#[test]
fn a_corrupt_row_blocks_the_plugin_says_so_and_is_mended_without_a_restart() {
    let site = Site::new();
    for (index, store) in site.stores().iter().enumerate() {
        let host = site.host(store, json!({}));
        host.load(&Guest::named("a"));
        host.load(&Guest::named("b"));
        host.manager.set_policy("a", reads("ticket").to_string().as_bytes(), None).unwrap();
        for text in ["", "nonsense", "{\"status\":\"opne\"}", "{\"plugin_name\":\"b\",\"status\":\"approved\"}"] {
            write_past(&site, index, text);
            until("the damage to act", || is_blocked(&host));
            assert!(!blocked_reason(&host).is_empty());
            assert!(host.call("b", "echo", "x").is_ok(), "others are not touched");
        }
        write_past(&site, index, &reads("queue").to_string());
        until("the mended row to act", || !is_blocked(&host) && may_read(&host, "queue"));
        assert!(!may_read(&host, "ticket"));
        drop(host);
        // The same at a start.
        write_past(&site, index, "nonsense");
        let host = site.host(store, json!({}));
        host.load_package("a", &Guest::named("a").wasm()).unwrap_or_else(|error| panic!("{error}"));
        assert!(is_blocked(&host), "{store}");
        assert!(blocked_reason(&host).contains("can't be read"), "{}", blocked_reason(&host));
    }
}

/// Changes the stored policy of `a` past any store.
fn write_past(site: &Site, index: usize, text: &str) {
    if index == 1 {
        return std::fs::write(site.0.path().join("policies/a.policy.json"), text).unwrap();
    }
    let connection = Connection::open(site.database()).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    connection
        .execute("UPDATE sysconfig_modified SET effective_value = ?1 WHERE name = 'Plugin::a::Policy'", [text])
        .unwrap();
}

#[test]
fn changes_of_another_process_act_without_a_restart() {
    let site = Site::new();
    let host = site.host(&site.stores()[0], json!({}));
    host.load(&Guest::named("a"));
    let theirs = SysconfigStore::sqlite(&site.database());
    let change = goatflow_plugin::policy::Change::by_host(None);
    theirs.save("a", reads("ticket").to_string().as_bytes(), &change).unwrap();
    until("the policy to act", || may_read(&host, "ticket"));
    theirs.save("a", b"", &change).unwrap();
    until("its removal to act", || !may_read(&host, "ticket"));
    theirs.save_enabled("a", false, "them").unwrap();
    until("the plugin to be disabled", || host.manager.list()[0]["enabled"] == false);
    theirs.save_enabled("a", true, "them").unwrap();
    until("the plugin to be enabled", || host.manager.list()[0]["enabled"] == true);
}

#[test]
fn enablement_is_read_at_every_load() {
    let site = Site::new();
    for store in site.stores() {
        let host = site.host(&store, json!({}));
        let guest = Guest::named("a");
        host.load(&guest);
        assert!(host.call("a", "echo", "x").is_ok());
        host.manager.unload("a", std::time::Duration::ZERO).unwrap();
        // Disabled while nothing serves: the look at the store that sees it finds no plugin to disable.
        let theirs: Box<dyn PolicyStore> = match store["directory"].as_str() {
            Some(directory) => Box::new(FileStore::open(Path::new(directory)).unwrap()),
            None => Box::new(SysconfigStore::sqlite(&site.database())),
        };
        theirs.save_enabled("a", false, "them").unwrap();
        host.load(&guest);
        assert_eq!(host.code("a", "echo", "x", &CallOptions::default()), ErrorCode::LifecycleDisabled, "{store}");
        host.manager.enable("a").unwrap();
        assert!(host.call("a", "echo", "x").is_ok());
    }
}

#[test]
fn a_plugin_of_which_nobody_knows_whether_it_is_enabled_is_blocked_and_says_so() {
    let site = Site::new();
    let store = &site.stores()[1];
    let host = site.host(store, json!({}));
    let file = |name: &str| site.0.path().join("policies").join(name);
    for name in ["a", "b", "c"] {
        std::os::unix::fs::symlink("nowhere", file(&format!("{name}.enabled"))).unwrap();
    }
    host.load(&Guest::named("a"));
    assert!(is_blocked(&host));
    assert!(blocked_reason(&host).contains("whether the plugin is enabled"), "{}", blocked_reason(&host));
    // A policy is not a word on enablement.
    host.manager.set_policy("a", reads("ticket").to_string().as_bytes(), None).unwrap();
    assert!(is_blocked(&host));
    // The word of the host is.
    host.manager.enable("a").unwrap();
    assert!(may_read(&host, "ticket"));
    // So is the file, as soon as it can be read.
    host.load(&Guest::named("b"));
    host.load(&Guest::named("c"));
    std::fs::remove_file(file("b.enabled")).unwrap();
    std::fs::remove_file(file("c.enabled")).unwrap();
    std::fs::write(file("c.enabled"), "0").unwrap();
    until("the file to act", || host.call("b", "echo", "x").is_ok());
    let code = |plugin: &str| host.call(plugin, "echo", "x").map(drop).map_err(|error| error.code());
    until("the other file to act", || code("c") == Err(ErrorCode::LifecycleDisabled));
}

fn hide(path: &Path) -> PathBuf {
    let hidden = path.with_extension("hidden");
    std::fs::rename(path, &hidden).unwrap();
    hidden
}

#[test]
fn the_policy_in_force_survives_a_store_that_goes_down() {
    let site = Site::new();
    // The store in a file of its own: the plugins' database stays.
    let path = site.0.path().join("policies.db");
    make_tables(&path);
    let host = site.host(&json!({"kind": "sysconfig", "path": path}), json!({}));
    let guest = Guest::named("a");
    host.load(&guest);
    host.manager.set_policy("a", reads("ticket").to_string().as_bytes(), None).unwrap();
    let hidden = hide(&path);
    until("the loss to be noticed", || host.log_lines("a").iter().any(|line| line.contains("can't be read")));
    assert!(may_read(&host, "ticket") && !may_read(&host, "queue"));
    let refused = host.manager.set_policy("a", reads("queue").to_string().as_bytes(), None).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::EnvironmentStore);
    assert!(may_read(&host, "ticket") && !may_read(&host, "queue"), "what is refused changes nothing");
    // A new version of the plugin still gets what was last known.
    host.manager.unload("a", std::time::Duration::ZERO).unwrap();
    host.load(&guest);
    assert!(may_read(&host, "ticket"));
    assert!(host.manager.policy("a").unwrap()["store_problem"].is_string());
    // A plugin that nothing is known of is blocked, says so, and works when the store is back.
    host.load(&Guest::named("b"));
    let blocked = host.call_with("b", "echo", "x", &CallOptions::default()).unwrap_err();
    assert_eq!(blocked.code(), ErrorCode::PolicyBlocked);
    assert!(blocked.to_string().contains("can't be loaded"), "{blocked}");
    std::fs::rename(&hidden, &path).unwrap();
    until("the store to be back", || host.call_with("b", "echo", "x", &CallOptions::default()).is_ok());
}
