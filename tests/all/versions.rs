//! Plugins in versions, for tests of their exchange.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use goatflow_plugin::error::Result;
use goatflow_plugin::manager::{ReplaceOptions, Subscription};
use serde_json::{Value, json};

use crate::support::{Guest, Host, PATIENCE, assemble, escaped};

/// A plugin that answers `vers` with its version, after a call of `translate` with the arguments if there are any; else it
/// is the probe.
pub fn version(name: &str, version: &str) -> Guest {
    registered(&json!({"name": name, "version": version}))
}

pub fn registered(registration: &Value) -> Guest {
    let version = registration["version"].as_str().unwrap();
    let guest = Guest::registered(registration);
    let word = u32::from_le_bytes(*b"vers");
    let answer = format!(
        "(local $word i32)
        (if (i32.and (i32.eq (local.get $fn_len) (i32.const 4)) (i32.eq (i32.load (local.get $fn)) (i32.const {word})))
          (then
            (if (local.get $args_len) (then
              (drop (call $host_call (i32.const 64) (i32.const 9) (local.get $args) (local.get $args_len)))))
            (return (call $copy (i32.const 80) (i32.const {}))))) ",
        version.len()
    );
    let call = guest.call.replacen("(local $word i32)", &answer, 1);
    guest.call(&call).more(&format!("(data (i32.const 80) \"{}\")", escaped(version.as_bytes())))
}

/// A version whose health probe does this (four letters of the probe, or WAT).
pub fn with_ping(name: &str, version_text: &str, body: &str) -> Guest {
    let guest = version(name, version_text);
    let length = "__health_ping__".len();
    let ping = format!("(if (i32.eq (local.get $fn_len) (i32.const {length})) (then {body})) ");
    let call = guest.call.replacen("(if (i32.and", &format!("{ping}(if (i32.and"), 1);
    guest.call(&call)
}

/// A `.wasm` file of this guest.
pub fn file(host: &Host, guest: &Guest) -> PathBuf {
    let path = host.fresh_path("plugin.wasm");
    std::fs::write(&path, assemble(&guest.wat())).unwrap();
    path
}

pub fn replace(host: &Host, guest: &Guest) -> Result<Value> {
    replace_with(host, guest, &ReplaceOptions::default())
}

pub fn replace_with(host: &Host, guest: &Guest, options: &ReplaceOptions) -> Result<Value> {
    host.manager.replace(&file(host, guest), options)
}

/// Options in JSON.
pub fn options(text: &str) -> ReplaceOptions {
    ReplaceOptions::parse(text.as_bytes()).unwrap()
}

pub fn who(host: &Host, plugin: &str) -> String {
    host.text(plugin, "vers", "")
}

/// Events of some kinds, in order.
pub struct Events {
    receiver: Receiver<Value>,
    _subscription: Arc<Subscription>,
}

impl Events {
    pub fn of(host: &Host, kinds: &[&str]) -> Self {
        let (sender, receiver) = channel();
        let filter = json!({ "kinds": kinds }).to_string();
        let hand_on = move |event: &str| drop(sender.send(serde_json::from_str(event).unwrap()));
        let subscription = host.manager.subscribe(filter.as_bytes(), Box::new(hand_on)).unwrap();
        Self { receiver, _subscription: subscription }
    }

    pub fn next(&self) -> Value {
        self.receiver.recv_timeout(PATIENCE).unwrap()
    }
}
