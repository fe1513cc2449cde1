//! A host with a database, plugins written as WAT, and gates that make threads meet without sleeping.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use goatflow_plugin::error::{Error, ErrorCode, Result};
use goatflow_plugin::host::{HostCall, Provider, Reply, Request};
use goatflow_plugin::manager::{CallOptions, Config, Manager};
use goatflow_plugin::plugin::{Cancellation, Origin};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Nothing that a test waits for takes this long, however busy the machine is.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub const REFERENCE: &str = include_str!("../fixtures/wat/reference.wat");

pub const SCHEMA: &str = "
CREATE TABLE queue (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
INSERT INTO queue VALUES (1, 'Raw'), (2, 'Junk');
CREATE TABLE ticket (id INTEGER PRIMARY KEY, title TEXT, queue_id INTEGER REFERENCES queue(id), weight REAL, body BLOB);
INSERT INTO ticket VALUES (1, 'Printer <on> fire & \"smoke\"', 1, 1.5, x'00ff'), (2, NULL, 2, 9007199254740993, 'text');
CREATE TABLE users (id INTEGER PRIMARY KEY, login TEXT, pw TEXT);
INSERT INTO users VALUES (1, 'root', 'hunter2');
CREATE TABLE notes (id INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT);
CREATE TABLE audit (id INTEGER PRIMARY KEY, body TEXT);
CREATE VIEW people AS SELECT login, pw FROM users;
CREATE TABLE sysconfig_default (name TEXT, effective_value TEXT, is_valid INTEGER);
INSERT INTO sysconfig_default VALUES ('Ticket::Hook', 'Ticket#', 1), ('Invalid::Key', 'x', 0);
CREATE TABLE sysconfig_modified (name TEXT, effective_value TEXT, is_valid INTEGER, change_time TEXT);
INSERT INTO sysconfig_modified VALUES ('Ticket::Hook', 'old', 1, '2020-01-01'), ('Ticket::Hook', 'Case#', 1, '2021-01-01');
";

/// A manager on a database of its own.
pub struct Host {
    pub manager: Arc<Manager>,
    directory: TempDir,
    files: AtomicUsize,
}

impl Host {
    /// A host on a database in memory.
    pub fn new() -> Self {
        Self::with(json!({}))
    }

    /// A host with further configuration.
    pub fn with(more: Value) -> Self {
        Self::open(more, |_| PathBuf::from(":memory:"))
    }

    /// A host on a database in a file.
    pub fn on_file() -> Self {
        Self::open(json!({}), |directory| directory.join("tickets.db"))
    }

    fn open(more: Value, database: impl Fn(&Path) -> PathBuf) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let script = directory.path().join("schema.sql");
        std::fs::write(&script, SCHEMA).unwrap();
        let path = database(directory.path());
        let mut config = json!({"database": {"sqlite": {"path": path, "init_script": script}}});
        for (key, value) in more.as_object().unwrap() {
            config[key] = value.clone();
        }
        let config = Config::parse(config.to_string().as_bytes()).unwrap();
        Self { manager: Manager::new(config).unwrap(), directory, files: AtomicUsize::new(0) }
    }

    /// Path of a file or directory that does not exist yet.
    pub fn fresh_path(&self, name: &str) -> PathBuf {
        let number = self.files.fetch_add(1, Ordering::SeqCst);
        self.directory.path().join(format!("{number}-{name}"))
    }

    pub fn database_path(&self) -> PathBuf {
        self.directory.path().join("tickets.db")
    }

    /// Loads bytes as a bare `.wasm` file.
    pub fn load_bytes(&self, code: &[u8]) -> Result<Arc<str>> {
        let path = self.fresh_path("plugin.wasm");
        std::fs::write(&path, code).unwrap();
        let loaded = self.manager.load(&path);
        std::fs::remove_file(&path).unwrap();
        loaded
    }

    /// Loads WAT as a bare `.wasm` file.
    pub fn load_wat(&self, text: &str) -> Result<Arc<str>> {
        self.load_bytes(&assemble(text))
    }

    /// Loads a plugin, which must succeed.
    pub fn load(&self, guest: &Guest) -> Arc<str> {
        self.load_wat(&guest.wat()).unwrap()
    }

    /// Loads bytes with a manifest, so that a policy for the name is in force from the first instruction.
    pub fn load_package(&self, name: &str, code: &[u8]) -> Result<Arc<str>> {
        self.load_directory(&json!({"name": name, "runtime": "wasm"}), code)
    }

    pub fn load_directory(&self, manifest: &Value, code: &[u8]) -> Result<Arc<str>> {
        let directory = self.fresh_path("package");
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("manifest.json"), manifest.to_string()).unwrap();
        std::fs::write(directory.join("plugin.wasm"), code).unwrap();
        self.manager.load(&directory)
    }

    /// Stores an approved policy.
    pub fn approve(&self, plugin: &str, permissions: Value) {
        self.set_policy(plugin, json!({"permissions": permissions}));
    }

    /// Stores an approved policy with these fields.
    pub fn set_policy(&self, plugin: &str, mut fields: Value) {
        fields["version"] = json!(1);
        if fields.get("status").is_none() {
            fields["status"] = json!("approved");
        }
        if fields.get("permissions").is_none() {
            fields["permissions"] = json!([]);
        }
        self.manager.set_policy(plugin, fields.to_string().as_bytes(), None).unwrap();
    }

    pub fn call_with(
        &self,
        plugin: &str,
        function: &str,
        arguments: impl AsRef<[u8]>,
        options: &CallOptions,
    ) -> Result<Option<Vec<u8>>> {
        let mut answer = None;
        self.manager.call(plugin, function, arguments.as_ref(), options, &mut |bytes| {
            answer = Some(bytes.to_vec());
            Ok(())
        })?;
        Ok(answer)
    }

    pub fn call(&self, plugin: &str, function: &str, arguments: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        self.call_with(plugin, function, arguments, &CallOptions::default())
    }

    /// Answer as text; nothing is `-`.
    pub fn text(&self, plugin: &str, function: &str, arguments: impl AsRef<[u8]>) -> String {
        let answer = self.call(plugin, function, arguments).unwrap();
        answer.map_or_else(|| "-".to_owned(), |bytes| String::from_utf8(bytes).unwrap())
    }

    /// Code that a call fails with.
    pub fn code(&self, plugin: &str, function: &str, arguments: impl AsRef<[u8]>, options: &CallOptions) -> ErrorCode {
        self.call_with(plugin, function, arguments, options).unwrap_err().code()
    }

    /// What a host function answers the probe: the reply, or the slug of the error.
    pub fn ask(&self, plugin: &str, function: &str, arguments: &Value) -> std::result::Result<Value, String> {
        self.ask_raw(plugin, function, arguments.to_string())
            .map_err(|error| error["code"].as_str().unwrap().to_owned())
    }

    /// As [`Self::ask`], with the arguments as bytes and the whole error.
    pub fn ask_raw(
        &self,
        plugin: &str,
        function: &str,
        arguments: impl AsRef<[u8]>,
    ) -> std::result::Result<Value, Value> {
        let Some(answer) = self.call(plugin, function, arguments).unwrap() else { return Ok(json!("-")) };
        split_error(serde_json::from_slice(&answer).unwrap())
    }

    pub fn stats(&self, plugin: &str) -> Value {
        self.manager.stats(Some(plugin)).unwrap()
    }

    /// Messages in a plugin's log, oldest first.
    pub fn log_lines(&self, plugin: &str) -> Vec<String> {
        let records = self.log_records(plugin);
        records.iter().map(|record| record["message"].as_str().unwrap().to_owned()).collect()
    }

    pub fn log_records(&self, plugin: &str) -> Vec<Value> {
        let filter = goatflow_plugin::host::log::LogFilter { plugin: Some(plugin.to_owned()), ..Default::default() };
        let mut records = self.manager.logs(&filter).as_array().unwrap().clone();
        records.reverse();
        records
    }

    /// Waits until so many calls are under way in the plugin.
    pub fn await_in_flight(&self, plugin: &str, calls: u64) {
        until(&format!("{calls} calls in `{plugin}`"), || self.stats(plugin)["in_flight"] == calls);
    }
}

/// Parts an error that the probe passed on from an answer.
pub fn split_error(answer: Value) -> std::result::Result<Value, Value> {
    let is_error = answer.get("code").is_some() && answer.get("message").is_some();
    if is_error { Err(answer) } else { Ok(answer) }
}

/// Waits for a condition that another thread brings about.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "waited too long for {what}");
        std::thread::yield_now();
    }
}

pub fn assemble(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

pub fn timeout(timeout_ms: u64) -> CallOptions {
    CallOptions { timeout_ms, ..CallOptions::default() }
}

pub fn cancellable(cancellation: &Cancellation) -> CallOptions {
    CallOptions { cancellation: cancellation.clone(), ..CallOptions::default() }
}

pub fn request_id(id: &str) -> CallOptions {
    CallOptions { origin: Origin { request_id: Some(id.into()), ..Origin::default() }, ..CallOptions::default() }
}

/// A plugin in WAT. Without further ado it is the *probe*: it does what functions of four letters say (`echo`, `noop`,
/// `tick`, `spin`, `trap`, `exit`, `deep`, `grow`); `then:F` calls the host function `translate` and then `F` with the same
/// arguments; every other name is a host function, called with the arguments. The answer is the host's, or the JSON of
/// the error.
pub struct Guest {
    pub registration: String,
    pub imports: String,
    pub memory: String,
    pub malloc: String,
    pub free: String,
    pub register: Option<String>,
    pub call: String,
    /// Further fields of the module.
    pub more: String,
}

pub const MALLOC: &str = "
    (local $block i32) (local $end i32)
    (local.set $block (global.get $top))
    (local.set $end (i32.and (i32.add (i32.add (local.get $block) (local.get $size)) (i32.const 7)) (i32.const -8)))
    (if (i32.lt_u (local.get $end) (local.get $block)) (then (return (i32.const 0))))
    (if (i32.gt_u (local.get $end) (i32.mul (memory.size) (i32.const 65536)))
      (then
        (if (i32.eq (i32.const -1) (memory.grow (i32.sub
              (i32.shr_u (i32.add (local.get $end) (i32.const 65535)) (i32.const 16)) (memory.size))))
          (then (return (i32.const 0))))))
    (global.set $top (local.get $end))
    (global.set $blocks (i32.add (global.get $blocks) (i32.const 1)))
    (local.get $block)";

pub const FREE: &str = "
    (global.set $blocks (i32.sub (global.get $blocks) (i32.const 1)))
    (if (i32.eqz (global.get $blocks)) (then (global.set $top (i32.const 131072))))";

const PROBE: &str = r#"
    (local $answer i64) (local $word i32)
    (if (i32.eq (local.get $fn_len) (i32.const 4)) (then
      (local.set $word (i32.load (local.get $fn)))
      (if (i32.eq (local.get $word) (i32.const {echo})) (then (return (call $copy (local.get $args) (local.get $args_len)))))
      (if (i32.eq (local.get $word) (i32.const {noop})) (then (return (i64.const 0))))
      (if (i32.eq (local.get $word) (i32.const {tick})) (then
        (global.set $ticks (i32.add (global.get $ticks) (i32.const 1)))
        (return (call $number (global.get $ticks)))))
      (if (i32.eq (local.get $word) (i32.const {spin})) (then (loop $forever (br $forever))))
      (if (i32.eq (local.get $word) (i32.const {trap})) (then (unreachable)))
      (if (i32.eq (local.get $word) (i32.const {exit})) (then (call $proc_exit (i32.const 7))))
      (if (i32.eq (local.get $word) (i32.const {deep})) (then (return (i64.extend_i32_u (call $deep (i32.const 1))))))
      (if (i32.eq (local.get $word) (i32.const {grow})) (then
        (block $refused (loop $more
          (br_if $refused (i32.eq (i32.const -1) (memory.grow (i32.const 1))))
          (br $more)))
        (return (call $number (memory.size)))))))
    (if (i32.gt_u (local.get $fn_len) (i32.const 5)) (then
      (if (i32.eq (i32.load (local.get $fn)) (i32.const {then})) (then
        (drop (call $host_call (i32.const 64) (i32.const 9) (local.get $args) (local.get $args_len)))
        (local.set $fn (i32.add (local.get $fn) (i32.const 5)))
        (local.set $fn_len (i32.sub (local.get $fn_len) (i32.const 5)))))))
    (local.set $answer (call $host_call (local.get $fn) (local.get $fn_len) (local.get $args) (local.get $args_len)))
    (if (i64.eqz (local.get $answer)) (then (return (call $last_error))))
    (local.get $answer)"#;

impl Guest {
    pub fn named(name: &str) -> Self {
        Self::registered(&json!({"name": name, "version": "1.0.0"}))
    }

    pub fn registered(registration: &Value) -> Self {
        let mut call = PROBE.to_owned();
        for word in ["echo", "noop", "tick", "spin", "trap", "exit", "deep", "grow", "then"] {
            let number = u32::from_le_bytes(word.as_bytes().try_into().unwrap());
            call = call.replace(&format!("{{{word}}}"), &number.to_string());
        }
        Self {
            registration: registration.to_string(),
            imports: String::new(),
            memory: "4".into(),
            malloc: MALLOC.into(),
            free: FREE.into(),
            register: None,
            call,
            more: String::new(),
        }
    }

    /// Replaces the body of `gk_call`, which has the parameters `$fn $fn_len $args $args_len` and gives an i64.
    pub fn call(mut self, body: &str) -> Self {
        self.call = body.into();
        self
    }

    /// Adds fields to the module.
    pub fn more(mut self, fields: &str) -> Self {
        self.more = fields.into();
        self
    }

    pub fn imports(mut self, imports: &str) -> Self {
        self.imports = imports.into();
        self
    }

    pub fn wat(&self) -> String {
        let Self { registration, imports, memory, malloc, free, register, call, more } = self;
        let length = registration.len();
        assert!(length < 100_000);
        let register =
            register.clone().unwrap_or_else(|| format!("(call $pack (i32.const 1024) (i32.const {length}))"));
        let registration = escaped(registration.as_bytes());
        format!(
            r#"(module
  (import "gk" "host_call" (func $host_call (param i32 i32 i32 i32) (result i64)))
  (import "gk" "log" (func $log (param i32 i32 i32)))
  (import "gk" "last_error" (func $last_error (result i64)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  {imports}
  (memory (export "memory") {memory})
  (data (i32.const 64) "translate")
  (data (i32.const 1024) "{registration}")
  (global $top (mut i32) (i32.const 131072))
  (global $blocks (mut i32) (i32.const 0))
  (global $ticks (mut i32) (i32.const 0))
  (func $malloc (export "gk_malloc") (param $size i32) (result i32) {malloc})
  (func $free (export "gk_free") (param $block i32) {free})
  (func $pack (param $at i32) (param $len i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32)) (i64.extend_i32_u (local.get $len))))
  (func $copy (param $at i32) (param $len i32) (result i64)
    (local $block i32)
    (if (i32.eqz (local.get $len)) (then (return (i64.const 0))))
    (local.set $block (call $malloc (local.get $len)))
    (if (i32.eqz (local.get $block)) (then (unreachable)))
    (memory.copy (local.get $block) (local.get $at) (local.get $len))
    (call $pack (local.get $block) (local.get $len)))
  (func $number (param $number i32) (result i64)
    (local $at i32)
    (local.set $at (i32.const 48))
    (loop $digit
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (i32.store8 (local.get $at) (i32.add (i32.const 48) (i32.rem_u (local.get $number) (i32.const 10))))
      (local.set $number (i32.div_u (local.get $number) (i32.const 10)))
      (br_if $digit (local.get $number)))
    (call $copy (local.get $at) (i32.sub (i32.const 48) (local.get $at))))
  (func $deep (param $level i32) (result i32)
    (i32.add (call $deep (i32.add (local.get $level) (i32.const 1))) (local.get $level)))
  (func $register (export "gk_register") (result i64) {register})
  (func (export "gk_call") (param $fn i32) (param $fn_len i32) (param $args i32) (param $args_len i32) (result i64)
    {call})
  {more})"#
        )
    }

    pub fn wasm(&self) -> Vec<u8> {
        assemble(&self.wat())
    }
}

/// Bytes as the inside of a WAT string.
pub fn escaped(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
}

/// Stops threads that call the host until the test lets them go.
#[derive(Default)]
pub struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Default)]
struct GateState {
    entered: usize,
    open: bool,
    /// Threads that may leave although the gate is shut.
    passes: usize,
}

impl Gate {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Waits until so many calls have come to the gate.
    pub fn await_entered(&self, count: usize) {
        let (state, timeout) =
            self.changed.wait_timeout_while(self.lock(), PATIENCE, |state| state.entered < count).unwrap();
        drop(state);
        assert!(!timeout.timed_out(), "{count} calls did not come to the gate");
    }

    pub fn entered(&self) -> usize {
        self.lock().entered
    }

    pub fn open(&self) {
        self.lock().open = true;
        self.changed.notify_all();
    }

    /// Lets one call through.
    pub fn let_one_through(&self) {
        self.lock().passes += 1;
        self.changed.notify_all();
    }

    fn enter(&self) {
        let mut state = self.lock();
        state.entered += 1;
        self.changed.notify_all();
        let stopped = |state: &mut GateState| !state.open && state.passes == 0;
        let (mut state, timeout) = self.changed.wait_timeout_while(state, PATIENCE, stopped).unwrap();
        if !state.open && !timeout.timed_out() {
            state.passes -= 1;
        }
        drop(state);
        assert!(!timeout.timed_out(), "the gate was never opened");
    }

    fn lock(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers `translate`: keys that name a gate stop there, every key translates to itself.
pub struct Gates(pub HashMap<&'static str, Arc<Gate>>);

impl Gates {
    /// Puts gates in front of `translate`.
    pub fn install<const N: usize>(host: &Host, gates: [(&'static str, &Arc<Gate>); N]) {
        let gates = gates.into_iter().map(|(key, gate)| (key, Arc::clone(gate))).collect();
        host.manager.provide("translate", Some(Box::new(Self(gates)))).unwrap();
    }
}

impl Provider for Gates {
    fn serve(&self, call: &HostCall<'_>) -> Result<Reply> {
        let Request::Translate { key, .. } = call.request else { panic!("only translate comes here") };
        if let Some(gate) = self.0.get(key.as_str()) {
            gate.enter();
        }
        Ok(json!({ "value": key }).to_string().into_bytes().into())
    }
}

/// A provider made of a closure.
pub struct Answer<F>(pub F);

impl<F: Fn(&HostCall<'_>) -> Result<Reply> + Send + Sync> Provider for Answer<F> {
    fn serve(&self, call: &HostCall<'_>) -> Result<Reply> {
        (self.0)(call)
    }
}

/// Opens gates when dropped, so that a failing test does not leave threads behind that a scope waits for.
pub struct OpenOnDrop<'a>(pub &'a [&'a Gate]);

impl Drop for OpenOnDrop<'_> {
    fn drop(&mut self) {
        for gate in self.0 {
            gate.open();
        }
    }
}

pub fn code_of<T: std::fmt::Debug>(result: std::result::Result<T, Error>) -> ErrorCode {
    result.unwrap_err().code()
}

/// Pseudo-random numbers that are the same in every run.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`.
    pub fn roll(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % bound
    }
}

/// Every function of WASI preview 1 with its parameters (`i` = i32, `l` = i64), from the specification.
pub const WASI: &[(&str, &str)] = &[
    ("args_get", "ii"),
    ("args_sizes_get", "ii"),
    ("clock_res_get", "ii"),
    ("clock_time_get", "ili"),
    ("environ_get", "ii"),
    ("environ_sizes_get", "ii"),
    ("fd_advise", "illi"),
    ("fd_allocate", "ill"),
    ("fd_close", "i"),
    ("fd_datasync", "i"),
    ("fd_fdstat_get", "ii"),
    ("fd_fdstat_set_flags", "ii"),
    ("fd_fdstat_set_rights", "ill"),
    ("fd_filestat_get", "ii"),
    ("fd_filestat_set_size", "il"),
    ("fd_filestat_set_times", "illi"),
    ("fd_pread", "iiili"),
    ("fd_prestat_dir_name", "iii"),
    ("fd_prestat_get", "ii"),
    ("fd_pwrite", "iiili"),
    ("fd_read", "iiii"),
    ("fd_readdir", "iiili"),
    ("fd_renumber", "ii"),
    ("fd_seek", "ilii"),
    ("fd_sync", "i"),
    ("fd_tell", "ii"),
    ("fd_write", "iiii"),
    ("path_create_directory", "iii"),
    ("path_filestat_get", "iiiii"),
    ("path_filestat_set_times", "iiiilli"),
    ("path_link", "iiiiiii"),
    ("path_open", "iiiiillii"),
    ("path_readlink", "iiiiii"),
    ("path_remove_directory", "iii"),
    ("path_rename", "iiiiii"),
    ("path_symlink", "iiiii"),
    ("path_unlink_file", "iii"),
    ("poll_oneoff", "iiii"),
    ("proc_raise", "i"),
    ("random_get", "ii"),
    ("sched_yield", ""),
    ("sock_accept", "iii"),
    ("sock_recv", "iiiiii"),
    ("sock_send", "iiiii"),
    ("sock_shutdown", "ii"),
];

/// Import of a WASI function as `$name`.
pub fn wasi_import(name: &str) -> String {
    let (_, parameters) = WASI.iter().find(|(known, _)| *known == name).unwrap();
    let parameters: String = parameters.chars().map(|kind| if kind == 'l' { " i64" } else { " i32" }).collect();
    let parameters = if parameters.is_empty() { parameters } else { format!("(param{parameters})") };
    format!("(import \"wasi_snapshot_preview1\" \"{name}\" (func ${name} {parameters} (result i32)))\n")
}

pub fn wasi_imports(names: &[&str]) -> String {
    names.iter().map(|name| wasi_import(name)).collect()
}
