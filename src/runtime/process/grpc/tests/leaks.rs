//! Nothing of a session stays when it is over.

use super::peer::{self, Peer};
use super::*;

/// Descriptors of this process that are sockets.
fn sockets() -> usize {
    let links = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| entry.unwrap().path().read_link().ok());
    links.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
}

fn tasks() -> usize {
    executor::io().unwrap().metrics().num_alive_tasks()
}

/// One session with everything in it, which ends in one of the ways that there are.
fn live_once(number: usize) {
    let stage = Stage::new(peer::serve(Arc::<Peer>::default()));
    stage.session.register(&context()).unwrap();
    stage.init().unwrap();
    assert_eq!(stage.call("host:echo", b"1").unwrap(), b"1");
    let error = stage.call_in(&context_for(Duration::from_millis(1)), "never", b"").unwrap_err();
    assert_eq!(error.code(), ErrorCode::PluginDeadline);
    match number % 3 {
        0 => stage.session.close(Ending::new(ErrorCode::PluginExited, "over")),
        1 => stage.session.shutdown(&context()).unwrap(),
        _ => (),
    }
}

/// Runs alone in its process, because other tests have sessions too.
#[test]
fn two_hundred_sessions_leave_nothing() {
    const ALONE: &str = "GOATFLOW_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let name = std::thread::current().name().unwrap().to_owned();
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        let output = command.args([&name, "--exact", "--nocapture"]).env(ALONE, "1").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    live_once(0);
    eventually(|| tasks() == 0);
    let before = sockets();
    for number in 0..200 {
        live_once(number);
    }
    eventually(|| tasks() == 0);
    eventually(|| sockets() <= before);
}
