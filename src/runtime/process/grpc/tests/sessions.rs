//! What sessions do with a plugin that keeps the rules.

use std::sync::Arc;

use super::peer::{self, Peer};
use super::raw;
use super::*;
use crate::plugin::TraceContext;

fn stage(peer: Peer) -> (Stage, Arc<Peer>) {
    let peer = Arc::new(peer);
    (Stage::new(peer::serve(Arc::clone(&peer))), peer)
}

fn started() -> (Stage, Arc<Peer>) {
    let (stage, peer) = stage(Peer::default());
    stage.init().unwrap();
    (stage, peer)
}

#[test]
fn a_plugin_registers_starts_and_answers() {
    let (stage, _) = stage(Peer::default());
    let registration = stage.session.register(&context()).unwrap();
    assert_eq!(registration, format!(r#"{{"name":"peer","version":"{}"}}"#, env!("CARGO_PKG_VERSION")).as_bytes());
    stage.init().unwrap();
    assert_eq!(stage.call("echo", br#"{"a":1}"#).unwrap(), br#"{"a":1}"#);
    assert_eq!(stage.call("nothing", b"").unwrap(), b"");
    let long = vec![b'x'; LIMITS.argument_bytes];
    assert_eq!(stage.call("echo", &long).unwrap(), long);
    stage.session.probe(&context()).unwrap();
}

#[test]
fn what_the_plugin_writes_is_handed_on_in_pieces() {
    let (stage, _) = stage(Peer::default());
    let lengths = || stage.output.lock().unwrap().iter().map(|(channel, bytes)| (*channel, bytes.len())).collect();
    eventually(|| peer::output() == Vec::<_>::clone(&lengths()));
    assert_eq!(stage.output.lock().unwrap()[0].1, b"out");
}

#[test]
fn a_call_carries_what_the_host_knows_about_it() {
    let (stage, peer) = started();
    let mut context = context_for(Duration::from_secs(30)).nested(&"outer".into(), u64::MAX);
    context = context.nested(&"inner".into(), u64::MAX);
    context.origin = Origin {
        host_context: 0,
        request_id: Some("r-1".into()),
        language: Some("de".into()),
        trace: Some(Arc::new(TraceContext { parent: "00-1-2-01".into(), state: "a=b".into() })),
    };
    stage.call_in(&context, "echo", b"[]").unwrap();
    let (call, timeout) = peer.last_call.lock().unwrap().take().unwrap();
    assert_eq!(call.callers, ["outer", "inner"]);
    assert_eq!((call.request_id.as_str(), call.language.as_str()), ("r-1", "de"));
    assert_eq!((call.traceparent.as_str(), call.tracestate.as_str()), ("00-1-2-01", "a=b"));
    assert!((1..=30_000).contains(&call.timeout_ms), "{}", call.timeout_ms);
    let micros: u64 = timeout.strip_suffix('u').unwrap().parse().unwrap();
    assert!((1..=30_000_000).contains(&micros), "{micros}");
}

#[test]
fn a_failure_tells_code_message_and_detail_of_the_plugin() {
    let (stage, _) = started();
    let error = stage.call("fail", b"").unwrap_err();
    assert_eq!((error.code(), error.context()), (ErrorCode::PluginFailed, "boom\\n\\u{1b}[31m"));
    let detail = serde_json::to_value(error.detail()).unwrap();
    let expected = r#"{"plugin_code":"peer.boom","plugin_detail":{"why":"test"},"plugin_retryable":true}"#;
    assert_eq!(detail, serde_json::from_str::<serde_json::Value>(expected).unwrap());
}

#[test]
fn each_status_has_an_error_of_its_own() {
    let (stage, _) = started();
    let cases = [
        ("status", ErrorCode::PluginFailed, "it broke: ä\\n", "INTERNAL"),
        ("other", ErrorCode::PluginFailed, "no such function", "NOT_FOUND"),
        (
            "unimplemented",
            ErrorCode::PackageContract,
            "the plugin does not implement `Call` (serve `goatflow.plugin.v1.Plugin`)",
            "UNIMPLEMENTED",
        ),
    ];
    for (function, code, message, status) in cases {
        let error = stage.call(function, b"").unwrap_err();
        assert_eq!((error.code(), error.context()), (code, message));
        assert_eq!(error.detail()["grpc_status"], status);
    }
    assert_eq!(stage.call("deadline", b"").unwrap_err().code(), ErrorCode::PluginDeadline);
    assert_eq!(stage.call("echo", b"{}").unwrap(), b"{}");
}

#[test]
fn a_deadline_and_a_cancellation_end_the_call_on_both_sides() {
    let (stage, peer) = started();
    let error = stage.call_in(&context_for(Duration::from_millis(30)), "never", b"").unwrap_err();
    assert_eq!(error.code(), ErrorCode::PluginDeadline);
    eventually(|| *peer.cancelled.lock().unwrap() == 1);
    let context = context();
    std::thread::scope(|scope| {
        let calling = scope.spawn(|| stage.call_in(&context, "never", b"").unwrap_err().code());
        eventually(|| peer.last_call.lock().unwrap().as_ref().is_some_and(|(call, _)| call.timeout_ms > 1_000));
        context.cancellation.cancel();
        assert_eq!(calling.join().unwrap(), ErrorCode::PluginCancelled);
    });
    eventually(|| *peer.cancelled.lock().unwrap() == 2);
    assert_eq!(stage.call("echo", b"{}").unwrap(), b"{}");
}

#[test]
fn a_result_beyond_the_limit_is_refused_and_the_session_goes_on() {
    let (stage, _) = started();
    let limit = LIMITS.result_bytes;
    assert_eq!(stage.call("big", limit.to_string().as_bytes()).unwrap().len(), limit);
    for length in [limit + 1, limit + ENVELOPE + 1, 8 * limit] {
        let error = stage.call("big", length.to_string().as_bytes()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::PluginResultTooLarge, "{error}");
    }
    assert_eq!(stage.call("echo", b"{}").unwrap(), b"{}");
}

#[test]
fn host_calls_come_back_as_the_host_answers_them() {
    let (stage, _) = started();
    let context = context().nested(&"outer".into(), u64::MAX);
    assert_eq!(stage.call_in(&context, "host:echo", br#"{"k":2}"#).unwrap(), br#"{"k":2}"#);
    assert_eq!(stage.host.calls.lock().unwrap().last().unwrap(), &("echo".to_owned(), vec!["outer".to_owned()]));
    let error = stage.call("host:forbidden", b"{}").unwrap_err();
    assert_eq!(error.context(), "the plugin may not do that");
    assert_eq!(error.detail()["plugin_code"], "policy.permission_missing");
    assert_eq!(error.detail()["plugin_detail"]["function"], "forbidden");
    let limit = LIMITS.result_bytes;
    assert_eq!(stage.call("host:big", limit.to_string().as_bytes()).unwrap().len(), limit);
    let error = stage.call("host:big", (limit + 1).to_string().as_bytes()).unwrap_err();
    assert_eq!(error.detail()["plugin_code"], "plugin.result_too_large");
}

#[test]
fn many_calls_with_host_calls_run_side_by_side() {
    let (stage, _) = started();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let stage = &stage;
            scope.spawn(move || {
                for round in 0..50 {
                    let arguments = format!("[{thread},{round}]");
                    assert_eq!(stage.call("host:echo", arguments.as_bytes()).unwrap(), arguments.as_bytes());
                }
            });
        }
    });
}

#[test]
fn health_is_asked_in_three_ways() {
    let is_well = |peer| stage(peer).0.session.probe(&context());
    let ill = is_well(Peer { is_ill: true, ..Peer::default() }).unwrap_err();
    assert_eq!(ill.code(), ErrorCode::PluginUnhealthy);
    assert_eq!(ill.context(), "the plugin says that it can't serve calls: the disk\\u{7} is full");
    is_well(Peer { lacks_health: true, ..Peer::default() }).unwrap();
    let ill = is_well(Peer { lacks_health: true, is_ill: true, ..Peer::default() }).unwrap_err();
    assert_eq!(ill.context(), "the plugin says that it can't serve calls: NOT_SERVING");
    is_well(Peer { lacks_health: true, lacks_health_service: true, is_ill: true, ..Peer::default() }).unwrap();
}

#[test]
fn a_plugin_without_a_broker_is_refused() {
    let expected = "the plugin has no broker, so that it can't reach the host (serve `plugin.GRPCBroker`)";
    for _ in 0..20 {
        let peer = Arc::new(Peer { lacks_broker: true, ..Peer::default() });
        // It may say so before the session stands, or after.
        let started = Stage::with_peers(peer::serve(peer), Arc::new(|_| true)).and_then(|stage| {
            stage.session.register(&context())?;
            stage.init()?;
            assert!(matches!(stage.lost(), Lost::Protocol(reason) if reason == expected));
            stage.init()
        });
        let error = started.map(drop).unwrap_err();
        assert_eq!((error.code(), error.context()), (ErrorCode::PluginProtocol, expected));
    }
}

#[test]
fn shutdown_tells_the_plugin_and_then_its_library() {
    let (stage, peer) = started();
    stage.session.shutdown(&context()).unwrap();
    assert_eq!(*peer.told.lock().unwrap(), ["shutdown", "controller"]);
}

#[test]
fn calls_in_flight_learn_how_the_process_ended() {
    let (stage, peer) = started();
    let ending = Ending {
        code: ErrorCode::PluginExited,
        reason: "the plugin ended itself with code 3".into(),
        details: Arc::new([("exit_code", 3.into())]),
    };
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..4).map(|_| scope.spawn(|| stage.call("never", b"").unwrap_err())).collect();
        eventually(|| peer.last_call.lock().unwrap().is_some());
        stage.session.close(ending);
        for call in calls {
            let error = call.join().unwrap();
            assert_eq!((error.code(), &error.detail()["exit_code"]), (ErrorCode::PluginExited, &3.into()));
        }
    });
    assert_eq!(stage.call("echo", b"").unwrap_err().code(), ErrorCode::PluginExited);
    assert!(stage.lost.lock().unwrap().try_recv().is_err());
}

#[test]
fn timeouts_are_written_in_the_unit_that_they_fit() {
    let written = |time| client::timeout_value(time).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(written(Duration::from_micros(1_500)).as_deref(), Some("1500u"));
    assert_eq!(written(Duration::from_secs(100)).as_deref(), Some("100000m"));
    assert_eq!(written(Duration::from_secs(100_000)).as_deref(), Some("100000S"));
    assert_eq!(written(Duration::MAX), None);
}

#[test]
fn errors_with_much_to_say_end_no_session() {
    let stage = Stage::new(raw::serve(Arc::new(|path, request, mut respond| {
        if !path.ends_with("Plugin/Call") {
            return raw::keep((request, respond));
        }
        let mut response = raw::head();
        response.headers_mut().insert("grpc-status", "9".parse().unwrap());
        response.headers_mut().insert("grpc-message", "reason ".repeat(1_100).parse().unwrap());
        respond.send_response(response, true).unwrap();
    })));
    // Counted by their length they would be more than a plugin may send without a cause.
    for _ in 0..3_000 {
        assert_eq!(stage.call("f", b"").unwrap_err().code(), ErrorCode::PluginFailed);
    }
}
