//! Sessions with programs that are built with go-plugin itself (`tests/native/netrpc-peer`), and with peers that misbehave.

mod broken;

use std::borrow::Cow;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command as Program, Stdio};
use std::sync::Mutex;
use std::sync::mpsc;

use super::*;
use crate::clock;
use crate::host::{HostApi, LogLevel, Reply};
use crate::plugin::{Cancellation, Origin, RuntimeLimits};
use crate::runtime::process::session::{Channel, Lost};

const MIB: usize = 1024 * 1024;

/// A host whose functions answer what they are given.
struct Echo;

impl HostApi for Echo {
    fn call(&self, context: &CallContext, function: &str, arguments: &[u8]) -> Result<Reply> {
        assert!(context.depth() == 0);
        match function {
            "fail" => Err(Error::new(ErrorCode::PolicyPermissionMissing, "not granted")),
            _ => Ok(Cow::Owned(arguments.to_vec())),
        }
    }

    fn failed(&self, _: &CallContext, _: &str, _: &Error) {}

    fn log(&self, _: Option<&CallContext>, _: LogLevel, _: &str) {}
}

fn host_calls() -> Arc<HostCalls> {
    let limits =
        RuntimeLimits { memory_bytes: 0, instances: 64, argument_bytes: MIB, result_bytes: 5 * MIB, host_calls: 0 };
    HostCalls::new(Arc::new(Echo), Arc::default(), limits, Duration::from_secs(30))
}

fn context(time: Duration) -> CallContext {
    let deadline = clock::now().saturating_add(clock::saturating_nanos(time));
    CallContext::from_host(deadline, Cancellation::new(), Origin::default())
}

fn soon() -> CallContext {
    context(Duration::from_millis(50))
}

fn patient() -> CallContext {
    context(Duration::from_secs(60))
}

/// What a session told while it ran; ends when the session's task has gone.
struct Told<T>(Mutex<mpsc::Receiver<T>>);

impl<T> Told<T> {
    fn new() -> (mpsc::Sender<T>, Self) {
        let (sender, receiver) = mpsc::channel();
        (sender, Self(Mutex::new(receiver)))
    }

    fn next(&self) -> Option<T> {
        self.0.lock().unwrap().recv().ok()
    }

    fn next_if_there(&self) -> Option<T> {
        self.0.lock().unwrap().try_recv().ok()
    }
}

fn connect(
    stream: UnixStream,
    host_calls: &Arc<HostCalls>,
) -> (Result<NetRpcSession>, Told<Lost>, Told<(Channel, Vec<u8>)>) {
    let ((lost, told_lost), (written, told_written)) = (Told::new(), Told::new());
    let written = Mutex::new(written);
    let output: Output = Arc::new(move |channel, bytes: &[u8]| {
        written.lock().unwrap().send((channel, bytes.to_vec())).unwrap();
        None
    });
    let on_lost: OnLost = Box::new(move |reason| drop(lost.send(reason)));
    (NetRpcSession::connect(stream, Arc::clone(host_calls), output, on_lost, &patient()), told_lost, told_written)
}

/// A program that go-plugin was built into, and a session with it.
struct Peer {
    session: NetRpcSession,
    host_calls: Arc<HostCalls>,
    lost: Told<Lost>,
    written: Told<(Channel, Vec<u8>)>,
    program: Child,
    _directory: tempfile::TempDir,
}

/// Releases of go-plugin.
const RELEASES: [&str; 2] = ["go", "go.oldest"];

impl Peer {
    fn start(release: &str, registers: &str) -> Self {
        let built = std::env::var_os("GOATFLOW_TEST_PLUGINS").map(PathBuf::from);
        let built = built.unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/target/plugins").into());
        let program = built.join(format!("netrpc-peer-{release}"));
        assert!(program.exists(), "{} is missing: make plugins", program.display());
        let directory = tempfile::tempdir().unwrap();
        let mut program = Program::new(program)
            .env("GOATKIT_PLUGIN", "goatkit-v1")
            .env("PLUGIN_PROTOCOL_VERSIONS", "1")
            .env("PEER_REGISTERS", registers)
            .env("TMPDIR", directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(program.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let fields: Vec<&str> = line.trim().split('|').collect();
        let ["1", "1", "unix", path, "netrpc", ..] = fields[..] else { panic!("{line:?}") };
        let host_calls = host_calls();
        let (session, lost, written) = connect(UnixStream::connect(path).unwrap(), &host_calls);
        Self { session: session.unwrap(), host_calls, lost, written, program, _directory: directory }
    }

    /// A peer that may call the host.
    fn ready() -> Self {
        let peer = Self::start("go", "json");
        peer.session.register(&patient()).unwrap();
        peer.host_calls.open();
        peer.init(&[("dial", "yes")]).unwrap();
        peer
    }

    fn init(&self, config: &[(&str, &str)]) -> Result<()> {
        let config = config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        self.session.init(&patient(), &config)
    }

    fn call(&self, function: &str, arguments: &str) -> Result<String> {
        self.call_in(&patient(), function, arguments)
    }

    fn call_in(&self, context: &CallContext, function: &str, arguments: &str) -> Result<String> {
        let entered = self.host_calls.enter(context)?.unwrap();
        self.session.call(&entered, function, arguments.as_bytes()).map(|result| String::from_utf8(result).unwrap())
    }

    fn fails(&self, function: &str, arguments: &str) -> (ErrorCode, String) {
        let error = self.call(function, arguments).unwrap_err();
        (error.code(), error.to_string())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.program.kill().ok();
        self.program.wait().ok();
    }
}

#[test]
fn plugins_of_every_release_are_served() {
    for release in RELEASES {
        let mut peer = Peer::start(release, "json");
        assert_eq!(peer.session.register(&patient()).unwrap(), br#"{"name":"peer","version":"1.0.0"}"#, "{release}");
        peer.host_calls.open();
        peer.init(&[("dial", "yes"), ("plugin_name", "peer")]).unwrap();
        assert_eq!(peer.call("echo", r#"{"a":[1,"ü"]}"#).unwrap(), r#"{"a":[1,"ü"]}"#);
        assert_eq!(peer.call("nothing", "").unwrap(), "");
        assert_eq!(peer.call("echo", r#"{"error":"in-band"}"#).unwrap(), r#"{"error":"in-band"}"#);
        assert_eq!(peer.call("ask", r#"{"x":1}"#).unwrap(), r#"{"x":1}"#);
        assert_eq!(peer.call("ask-many", "").unwrap(), "64");
        assert_eq!(peer.fails("fail", ""), (ErrorCode::PluginFailed, "failed as told".to_owned()));
        assert_eq!(peer.fails("rpc-error", ""), (ErrorCode::PluginFailed, "not even called".to_owned()));
        let big = (4 * MIB).to_string();
        assert_eq!(peer.call("big", &big).unwrap().len(), 4 * MIB);
        peer.session.probe(&patient()).unwrap();
        peer.session.shutdown(&patient()).unwrap();
        assert!(peer.program.wait().unwrap().success(), "{release}");
    }
}

#[test]
fn plugins_that_take_nothing_but_settings_are_served() {
    for release in RELEASES {
        let peer = Peer::start(release, "map");
        peer.session.register(&patient()).unwrap();
        peer.host_calls.open();
        let config = [("plugin_name", "peer"), ("work_dir", "/tmp")];
        peer.init(&config).unwrap();
        assert_eq!(peer.call("settings", "").unwrap(), r#"{"plugin_name":"peer","work_dir":"/tmp"}"#, "{release}");
        assert_eq!(peer.call("echo", "[1]").unwrap(), "[1]");
        let reason = peer.init(&[("fail", "no room")]).unwrap_err();
        assert_eq!((reason.code(), reason.to_string().as_str()), (ErrorCode::PluginFailed, "no room"));
    }
}

#[test]
fn a_registration_that_is_a_struct_becomes_json() {
    for release in RELEASES {
        let peer = Peer::start(release, "struct");
        let registration: serde_json::Value =
            serde_json::from_slice(&peer.session.register(&patient()).unwrap()).unwrap();
        let child = serde_json::json!({"id": "child", "label": "Child", "path": "/c", "location": "agent"});
        let expected = serde_json::json!({
            "name": "peer",
            "version": "0.6.5",
            "routes": [{"method": "GET", "path": "/p", "handler": "h", "middleware": ["auth"]}],
            "menu_items": [
                {"id": "top", "label": "Top", "path": "/t", "location": "admin", "order": -3, "children": [child]}
            ],
            "jobs": [
                {"id": "j", "handler": "run", "schedule": "* * * * *", "enabled": true, "timeout": "1m"}
            ],
            "i18n": {"languages": ["de"], "translations": {"de": {"MyKey": "Hallo"}}},
            "error_codes": [{"code": "X", "message": "x", "http_status": 418}],
            "min_host_version": "0.6.0",
        });
        assert_eq!(registration, expected, "{release}");
        crate::plugin::Registration::parse(registration.to_string().as_bytes()).unwrap();
    }
}

#[test]
fn a_plugin_may_dial_the_host_late_or_never() {
    let peer = Peer::start("go", "json");
    peer.session.register(&patient()).unwrap();
    peer.init(&[]).unwrap();
    assert_eq!(peer.call("echo", "1").unwrap(), "1");
    peer.host_calls.open();
    peer.init(&[("dial", "yes")]).unwrap();
    assert_eq!(peer.call("ask", "2").unwrap(), "2");
}

#[test]
fn host_calls_before_the_host_listens_fail_and_are_told_to_the_plugin() {
    let peer = Peer::start("go", "json");
    let error = peer.init(&[("dial", "yes")]).unwrap_err();
    assert_eq!(error.code(), ErrorCode::PluginFailed);
    assert!(error.to_string().starts_with("host: the host API is not available before"), "{error}");
    assert_eq!(peer.call("echo", "1").unwrap(), "1");
}

#[test]
fn errors_of_init_are_the_plugins_own_words() {
    let peer = Peer::start("go", "json");
    let error = peer.init(&[("fail", "no\u{1b}[31m database")]).unwrap_err();
    assert_eq!((error.code(), error.to_string()), (ErrorCode::PluginFailed, "no\u{fffd}[31m database".to_owned()));
}

#[test]
fn other_services_are_refused_as_go_refuses_them() {
    let peer = Peer::ready();
    let expected = "rpc: can't find method Plugin.Nope\u{fffd}rpc: can't find service Other.Call\u{fffd}\
                    rpc: service/method request ill-formed: nodot\u{fffd}";
    assert_eq!(peer.fails("ask-wrong", ""), (ErrorCode::PluginFailed, expected.to_owned()));
    assert_eq!(peer.call("ask", "3").unwrap(), "3");
}

#[test]
fn many_threads_call_at_the_same_time() {
    let peer = Peer::ready();
    std::thread::scope(|scope| {
        for number in 0..64 {
            let peer = &peer;
            scope.spawn(move || {
                for round in 0..5 {
                    let arguments = format!("[{number},{round},\"{}\"]", "z".repeat(number * 500));
                    let function = if number % 4 == 0 { "ask" } else { "echo" };
                    assert_eq!(peer.call(function, &arguments).unwrap(), arguments);
                }
            });
        }
    });
}

#[test]
fn results_beyond_the_limit_fail_and_the_session_goes_on() {
    let peer = Peer::ready();
    for size in [5 * MIB + 1, 20 * MIB] {
        let (code, reason) = peer.fails("big", &size.to_string());
        assert_eq!(code, ErrorCode::PluginResultTooLarge, "{reason}");
        assert_eq!(peer.call("echo", "1").unwrap(), "1");
    }
    assert_eq!(peer.call("big", &(5 * MIB).to_string()).unwrap().len(), 5 * MIB);
}

#[test]
fn what_a_plugin_prints_is_handed_on() {
    let peer = Peer::ready();
    peer.call("print", "").unwrap();
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    while stdout != b"to stdout" || stderr != b"to stderr" {
        let (channel, bytes) = peer.written.next().unwrap();
        if channel == Channel::Stdout { stdout.extend(bytes) } else { stderr.extend(bytes) }
    }
}

#[test]
fn calls_end_at_their_deadline_and_when_they_are_cancelled() {
    let peer = Peer::ready();
    assert_eq!(peer.call_in(&soon(), "hang", "").unwrap_err().code(), ErrorCode::PluginDeadline);
    let context = patient();
    std::thread::scope(|scope| {
        let call = scope.spawn(|| peer.call_in(&context, "hang", "").unwrap_err().code());
        context.cancellation.cancel();
        assert_eq!(call.join().unwrap(), ErrorCode::PluginCancelled);
    });
    assert_eq!(peer.call("echo", "1").unwrap(), "1");
}

#[test]
fn a_plugin_that_keeps_calls_for_itself_loses_its_session() {
    let peer = Peer::ready();
    let given_up = context(Duration::from_millis(1));
    let mut calls = 0;
    while peer.lost.next_if_there().is_none() {
        // Each lives long enough to be sent; whether that was so shows at the end.
        let _ = peer.call_in(&given_up, "hang", "");
        let _ = peer.call_in(&context(Duration::from_millis(2)), "hang", "");
        calls += 1;
        assert!(calls < 20_000, "the session goes on");
    }
    assert!(calls >= 256);
}

#[test]
fn a_crash_is_told_with_what_is_known_of_it() {
    let peer = Peer::ready();
    std::thread::scope(|scope| {
        let call = scope.spawn(|| peer.call("crash", "").unwrap_err());
        let lost = peer.lost.next().unwrap();
        assert!(matches!(lost, Lost::Closed), "{lost:?}");
        peer.session.close(Ending::new(ErrorCode::PluginExited, "exit status 3"));
        peer.session.close(Ending::new(ErrorCode::InternalBug, "a second ending"));
        let error = call.join().unwrap();
        assert_eq!((error.code(), error.to_string()), (ErrorCode::PluginExited, "exit status 3".to_owned()));
    });
    assert_eq!(peer.fails("echo", ""), (ErrorCode::PluginExited, "exit status 3".to_owned()));
}

#[test]
fn nothing_stays_of_a_session_that_was_dropped() {
    let peer = Peer::ready();
    let Peer { session, host_calls, written, .. } = &peer;
    session.close(Ending::new(ErrorCode::LifecycleShutDown, "over"));
    // The task held the other end.
    while written.next().is_some() {}
    assert_eq!(Arc::strong_count(host_calls), 2, "one here, one in the session");
}
