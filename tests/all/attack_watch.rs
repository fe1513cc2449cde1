//! Attacks on watching: files that never end or rest, and plugins that change their name.

use std::fs;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;

use goatflow_plugin::error::ErrorCode;
use serde_json::json;

use crate::support::{Gate, Gates, Host, OpenOnDrop, PATIENCE, until};
use crate::versions::{Events, file, options, replace, replace_with, version, who};

fn put(path: &Path, bytes: &[u8]) {
    let temporary = path.with_extension("new");
    fs::write(&temporary, bytes).unwrap();
    fs::rename(temporary, path).unwrap();
}

/// Who may write the file of one plugin must not get another one's name, and with it what that one is granted.
#[test]
fn a_watched_file_replaces_no_other_plugin() {
    let host = Host::new();
    host.load(&version("chief", "1"));
    let path = file(&host, &version("p", "1"));
    host.manager.watch(path.to_str().unwrap(), b"").unwrap();
    let events = Events::of(&host, &["plugin.failed", "plugin.swapped"]);
    put(&path, &version("chief", "666").wasm());
    let event = events.next();
    assert_eq!((&event["kind"], &event["cause"]), (&json!("plugin.failed"), &json!("watch")), "{event}");
    assert_eq!(event["error"]["code"], "package.name_mismatch");
    assert_eq!((who(&host, "chief"), who(&host, "p")), ("1".into(), "1".into()));
    put(&path, &version("p", "2").wasm());
    assert_eq!(events.next()["plugin"], "p");
}

/// A pipe that nobody writes to has no end: neither the caller nor the thread of all watches may read it.
#[test]
fn a_manifest_that_is_a_pipe_holds_nobody_up() {
    let host = std::sync::Arc::new(Host::new());
    let directory = host.fresh_path("pipe");
    fs::create_dir(&directory).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        directory.join("plugin.yaml"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    let (sender, done) = channel();
    let (watching, target) = (std::sync::Arc::clone(&host), directory.clone());
    std::thread::spawn(move || sender.send(watching.manager.watch(target.to_str().unwrap(), b"").map(drop)));
    done.recv_timeout(PATIENCE).expect("the watch begins").unwrap();
    let path = file(&host, &version("p", "1"));
    host.manager.watch(path.to_str().unwrap(), b"").unwrap();
    put(&path, &version("p", "2").wasm());
    until("the other watch to go on", || who(&host, "p") == "2");
}

/// A change that comes while another version is put into service is taken up afterwards, by itself and once.
#[test]
fn a_change_during_an_exchange_is_not_lost() {
    let (host, gate) = (Host::new(), Gate::new());
    Gates::install(&host, [("stop", &gate)]);
    let path = file(&host, &version("p", "1"));
    host.manager.watch(path.to_str().unwrap(), b"").unwrap();
    std::thread::scope(|scope| {
        let _open = OpenOnDrop(&[&gate]);
        let call = scope.spawn(|| host.text("p", "vers", r#"{"key":"stop"}"#));
        gate.await_entered(1);
        let exchange = scope.spawn(|| replace(&host, &version("p", "2")).unwrap());
        until("the exchange", || host.manager.list()[0]["version"] == "2");
        let events = Events::of(&host, &["plugin.swapped"]);
        put(&path, &version("p", "3").wasm());
        until("the refusal", || host.manager.watches()[0]["error"]["code"] == ErrorCode::LifecycleSwapping.slug());
        gate.open();
        exchange.join().unwrap();
        assert_eq!(events.next()["new_version"], "3");
        assert_eq!(call.join().unwrap(), "1");
        until("the error is gone", || host.manager.watches()[0]["error"].is_null());
        replace_with(&host, &version("p", "4"), &options("")).unwrap();
        assert_eq!(events.next()["new_version"], "4", "the change was taken up once");
    });
}

/// Somebody who touches a file again and again does not keep its changes from being taken up.
#[test]
fn files_that_never_rest_are_loaded_all_the_same() {
    let host = Host::new();
    let path = file(&host, &version("p", "1"));
    host.manager.watch(path.to_str().unwrap(), b"").unwrap();
    put(&path, &version("p", "2").wasm());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                let _ = fs::File::open(&path).and_then(|file| file.set_modified(std::time::SystemTime::now()));
                std::thread::park_timeout(std::time::Duration::from_millis(5));
            }
        });
        let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| until("version 2", || who(&host, "p") == "2")));
        stop.store(true, Ordering::SeqCst);
        outcome.unwrap();
    });
}
