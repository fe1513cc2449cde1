//! Plugins that break the rules of the conversation: the host survives each, and says what was wrong.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{BufMut, Bytes, BytesMut};
use h2::server::SendResponse;
use http::{HeaderValue, Response, StatusCode};

use super::raw::{self, answer_empty, frame, head, keep, on_call, trailers};
use super::*;

fn calling(script: impl Fn(SendResponse<Bytes>) + Send + Sync + 'static) -> Stage {
    Stage::new(raw::serve(on_call(move |request, respond| {
        keep(request);
        script(respond);
    })))
}

/// The error of a call that is answered as `script` says, and the reason that the session was lost for.
fn lost_by(script: impl Fn(SendResponse<Bytes>) + Send + Sync + 'static) -> (String, String) {
    let stage = calling(script);
    let error = stage.call("f", b"").unwrap_err();
    assert_eq!(error.code(), ErrorCode::PluginProtocol, "{error}");
    let Lost::Protocol(reason) = stage.lost() else { panic!("closed") };
    assert_eq!(stage.call("f", b"").unwrap_err().context(), reason);
    (error.context().to_owned(), reason)
}

fn message(flag: u8, length: u32, payload: &[u8]) -> Bytes {
    let mut message = BytesMut::new();
    message.put_u8(flag);
    message.put_u32(length);
    message.put_slice(payload);
    message.freeze()
}

fn answers(data: Vec<Bytes>, status: Option<&'static str>) -> impl Fn(SendResponse<Bytes>) + Send + Sync {
    move |mut respond| {
        let mut stream = respond.send_response(head(), false).unwrap();
        let last = data.len().saturating_sub(1);
        for (number, chunk) in data.iter().enumerate() {
            stream.send_data(chunk.clone(), status.is_none() && number == last).unwrap();
        }
        if let Some(status) = status {
            stream.send_trailers(trailers(status)).unwrap();
        }
    }
}

#[test]
fn answers_that_are_not_grpc_end_the_session_with_what_was_wrong() {
    let empty = message(0, 0, b"");
    let cases: [(Vec<Bytes>, Option<&str>, &str); 8] = [
        (vec![empty.clone()], None, "an answer ends without a status"),
        (vec![empty.clone()], Some("x"), "the status is no number"),
        (vec![], Some("0"), "an answer has no message"),
        (vec![empty.clone(), empty], Some("0"), "two messages came where one belongs"),
        (vec![message(1, 0, b"")], Some("0"), "a message is compressed, which was not offered"),
        (vec![message(0, 9, b"half")], Some("0"), "a message is cut off"),
        (vec![Bytes::from_static(&[0, 0])], Some("0"), "a message is cut off"),
        (
            vec![message(0, 3, b"\x0a\x7f\x00")],
            Some("0"),
            "a message can't be decoded: failed to decode Protobuf message: CallResponse.result: buffer underflow",
        ),
    ];
    for (data, status, reason) in cases {
        let expected = format!("the plugin's gRPC is malformed: {reason}");
        assert_eq!(lost_by(answers(data, status)), (expected.clone(), expected));
    }
}

#[test]
fn heads_that_are_not_grpc_end_the_session_with_what_was_wrong() {
    let with = |change: fn(&mut Response<()>)| {
        lost_by(move |mut respond| {
            let mut response = head();
            change(&mut response);
            respond.send_response(response, true).unwrap();
        })
        .0
    };
    let malformed = |reason: &str| format!("the plugin's gRPC is malformed: {reason}");
    let wrong_type = malformed("an answer has another content type than `application/grpc`");
    assert_eq!(with(|head| drop(head.headers_mut().remove("content-type"))), wrong_type);
    let html = |head: &mut Response<()>| {
        head.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc-web"));
    };
    assert_eq!(with(html), wrong_type);
    assert_eq!(with(|head| *head.status_mut() = StatusCode::NOT_FOUND), malformed("an answer has the HTTP status 404"));
    assert_eq!(with(|_| ()), malformed("an answer ends without a status"));
}

#[test]
fn a_length_beyond_the_limit_is_refused_before_its_bytes_come() {
    let stage = calling(|mut respond| {
        let mut stream = respond.send_response(head(), false).unwrap();
        stream.send_data(message(0, u32::MAX, b""), false).unwrap();
        keep(stream);
    });
    let error = stage.call("f", b"").unwrap_err();
    assert_eq!(error.code(), ErrorCode::PluginResultTooLarge);
    let limit = LIMITS.result_bytes + ENVELOPE;
    let expected = format!("the plugin answered a message of {} bytes, the limit is {limit}", u32::MAX);
    assert_eq!(error.context(), expected);
    assert!(stage.lost.lock().unwrap().try_recv().is_err());
}

#[test]
fn a_call_that_is_reset_fails_alone() {
    let calls = AtomicUsize::new(0);
    let stage = calling(move |mut respond| match calls.fetch_add(1, Ordering::SeqCst) {
        0..500 => respond.send_reset(h2::Reason::REFUSED_STREAM),
        _ => answer_empty(respond),
    });
    for _ in 0..500 {
        let error = stage.call("f", b"").unwrap_err();
        assert_eq!(error.code(), ErrorCode::PluginProtocol);
        assert_eq!(error.context(), "the plugin ended the call without an answer (HTTP/2 REFUSED_STREAM)");
    }
    assert_eq!(stage.call("f", b"").unwrap(), b"");
}

#[test]
fn a_plugin_that_never_answers_is_left_at_the_deadline() {
    let unanswered: [fn(SendResponse<Bytes>); 3] = [
        keep,
        |mut respond| keep(respond.send_response(head(), false).unwrap()),
        |mut respond| {
            let mut stream = respond.send_response(head(), false).unwrap();
            stream.send_data(message(0, 10, b"half"), false).unwrap();
            keep(stream);
        },
    ];
    for script in unanswered {
        let stage = calling(script);
        let error = stage.call_in(&context_for(Duration::from_millis(20)), "f", b"").unwrap_err();
        assert_eq!(error.code(), ErrorCode::PluginDeadline);
        assert!(stage.lost.lock().unwrap().try_recv().is_err());
    }
}

#[test]
fn an_answer_after_the_call_was_given_up_is_dropped() {
    let (sender, forgotten) = channel();
    let sender = Mutex::new(sender);
    let calls = AtomicUsize::new(0);
    let stage = calling(move |respond| match calls.fetch_add(1, Ordering::SeqCst) {
        0..20 => sender.lock().unwrap().send(respond).unwrap(),
        _ => answer_empty(respond),
    });
    for _ in 0..20 {
        let error = stage.call_in(&context_for(Duration::from_millis(5)), "f", b"").unwrap_err();
        assert_eq!(error.code(), ErrorCode::PluginDeadline);
        let mut late = forgotten.recv_timeout(LONG).unwrap();
        // The peer may know already that nobody waits.
        if let Ok(mut stream) = late.send_response(head(), false) {
            let _ = stream.send_data(Bytes::from(vec![0; 100_000]), false);
        }
    }
    assert_eq!(stage.call("f", b"").unwrap(), b"");
}

#[test]
fn a_plugin_that_does_not_read_holds_no_more_than_the_arguments() {
    let mut settings = h2::server::Builder::new();
    settings.initial_window_size(0);
    let stage = Stage::new(raw::serve_with(settings, on_call(|request, respond| keep((request, respond)))));
    for _ in 0..10 {
        let context = context_for(Duration::from_millis(5));
        let error = stage.call_in(&context, "f", &vec![b'x'; LIMITS.argument_bytes]).unwrap_err();
        assert_eq!(error.code(), ErrorCode::PluginDeadline);
    }
}

#[test]
fn calls_beyond_what_the_plugin_allows_wait_for_their_turn() {
    let mut settings = h2::server::Builder::new();
    // The streams of broker and output take two places.
    settings.max_concurrent_streams(3);
    let stage = Stage::new(raw::serve_with(
        settings,
        on_call(|request, respond| {
            keep(request);
            answer_empty(respond);
        }),
    ));
    // From its first answer on, the host knows.
    stage.call("f", b"").unwrap();
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..20).map(|_| scope.spawn(|| stage.call("f", b"").unwrap())).collect();
        assert!(calls.into_iter().all(|call| call.join().unwrap().is_empty()));
    });
}

/// How a session ends with a peer that speaks in bytes once a call is under way.
fn after(script: impl FnOnce(&mut UnixStream, u32) + Send + 'static) -> (Error, Lost) {
    let stage = Stage::new(raw::speak(move |stream| {
        stream.write_all(&frame(raw::SETTINGS, 0, 0, b"")).unwrap();
        let call = raw::await_call(stream);
        script(stream, call);
    }));
    (stage.call("f", b"").unwrap_err(), stage.lost())
}

fn broken_by(script: impl FnOnce(&mut UnixStream, u32) + Send + 'static) -> String {
    let (error, lost) = after(script);
    let Lost::Protocol(reason) = lost else { panic!("closed: {error}") };
    assert_eq!((error.code(), error.context()), (ErrorCode::PluginProtocol, reason.as_str()));
    reason
}

#[test]
fn bytes_that_are_not_http2_end_the_session() {
    let rules = |what: &str| format!("the plugin's HTTP/2 breaks the rules: {what}");
    let send = |bytes: Vec<u8>| broken_by(move |stream, _| stream.write_all(&bytes).unwrap());
    assert_eq!(send(b"HTTP/1.1 200 OK\r\n\r\n<html>".to_vec()), rules("frame with invalid size"));
    assert_eq!(send(frame(raw::DATA, 0, 99, b"")), rules("unspecific protocol error detected"));
    assert_eq!(send(frame(raw::HEADERS, 4, 2, b"")), rules("unspecific protocol error detected"));
    assert_eq!(send(frame(raw::RST_STREAM, 0, 99, &[0; 4])), rules("unspecific protocol error detected"));
    assert_eq!(send(frame(raw::WINDOW_UPDATE, 0, 0, &[0x7f, 255, 255, 255])), rules("flow-control protocol violated"));
    assert_eq!(send(frame(raw::SETTINGS, 0, 0, &[0])), rules("unspecific protocol error detected"));
    assert_eq!(send(frame(raw::DATA, 0, 1, &vec![0; 1 << 17])), rules("frame with invalid size"));
}

#[test]
fn endless_headers_end_the_session() {
    // A field that is never indexed, in frames that never say they were the last.
    let field = [&[0x10, 1, b'a', 0x7f, 0x81, 0x1e][..], &[b'v'; 3968]].concat();
    let reason = broken_by(move |stream, call| {
        stream.write_all(&frame(raw::HEADERS, 0, call, &field)).unwrap();
        assert!(raw::flood(stream, &frame(raw::CONTINUATION, 0, call, &field), 100_000) < 100_000);
    });
    assert_eq!(reason, "the plugin's HTTP/2 breaks the rules: detected excessive load generating behavior");
}

#[test]
fn giant_metadata_ends_the_session() {
    let with = |fields: usize| {
        let stage = calling(move |mut respond| {
            let mut response = head();
            for number in 0..fields {
                let name = http::HeaderName::try_from(format!("x-{number}")).unwrap();
                response.headers_mut().insert(name, HeaderValue::try_from("v".repeat(1_000)).unwrap());
            }
            // The host may have hung up already.
            let _ = respond.send_response(response, true);
        });
        stage.call("f", b"").unwrap_err()
    };
    for (fields, what) in
        [(20, "unspecific protocol error detected"), (1_000, "detected excessive load generating behavior")]
    {
        let (error, reason) = (with(fields), format!("the plugin's HTTP/2 breaks the rules: {what}"));
        assert_eq!((error.code(), error.context()), (ErrorCode::PluginProtocol, reason.as_str()));
    }
}

#[test]
fn floods_of_small_frames_end_the_session() {
    let floods = [
        frame(raw::PING, 0, 0, &[0; 8]),
        frame(raw::SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 9]),
        // Of a stream that is over, and of a kind that nobody knows.
        frame(raw::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]),
        frame(0x7f, 0, 0, b""),
    ];
    for bytes in floods {
        let reason = broken_by(move |stream, _| {
            let mut answers = stream.try_clone().unwrap();
            std::thread::spawn(move || std::io::copy(&mut answers, &mut std::io::sink()));
            assert!(raw::flood(stream, &bytes.repeat(1_000), 100_000) < 100_000, "the host goes on");
        });
        assert_eq!(reason, super::super::super::meter::excess());
    }
}

#[test]
fn empty_and_tiny_data_is_bounded() {
    let begin = |stream: &mut UnixStream, call| {
        // `:status: 200`, `content-type: application/grpc`, indexed by nobody.
        let mut head = vec![0x88, 0x0f, 0x10, 16];
        head.extend(b"application/grpc");
        stream.write_all(&frame(raw::HEADERS, 4, call, &head)).unwrap();
    };
    let reason = broken_by(move |stream, call| {
        begin(stream, call);
        assert!(raw::flood(stream, &frame(raw::DATA, 0, call, b""), 1_000_000) < 1_000_000);
    });
    assert_eq!(reason, "the plugin's HTTP/2 breaks the rules: detected excessive load generating behavior");
}

#[test]
fn a_farewell_fails_what_is_under_way_and_what_comes() {
    let (error, lost) = after(|stream, _| stream.write_all(&frame(raw::GO_AWAY, 0, 0, &[0; 8])).unwrap());
    assert!(matches!(lost, Lost::Closed));
    assert_eq!((error.code(), error.context()), (ErrorCode::PluginProtocol, "the plugin closed its connection"));
    let reason = broken_by(|stream, _| {
        stream.write_all(&frame(raw::GO_AWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 2])).unwrap();
    });
    assert_eq!(reason, "the plugin ended the conversation: unexpected internal error encountered");
}

#[test]
fn a_connection_that_closes_fails_what_is_under_way() {
    let (error, lost) = after(|stream, _| stream.shutdown(std::net::Shutdown::Both).unwrap());
    assert!(matches!(lost, Lost::Closed));
    assert_eq!((error.code(), error.context()), (ErrorCode::PluginProtocol, "the plugin closed its connection"));
}

#[test]
fn calls_wait_for_the_news_how_the_process_ended() {
    let stage = Stage::new(raw::speak(|stream| {
        raw::await_call(stream);
        stream.shutdown(std::net::Shutdown::Both).unwrap();
    }));
    std::thread::scope(|scope| {
        let call = scope.spawn(|| stage.call("f", b"").unwrap_err());
        assert!(matches!(stage.lost(), Lost::Closed));
        stage.session.close(Ending::new(ErrorCode::PluginExited, "the plugin was killed"));
        let error = call.join().unwrap();
        assert_eq!((error.code(), error.context()), (ErrorCode::PluginExited, "the plugin was killed"));
    });
}

#[test]
fn output_beyond_its_bounds_ends_the_session() {
    let stage = Stage::new(raw::serve(Arc::new(|path, request, mut respond| {
        keep(request);
        if path.ends_with("StreamStdio") {
            let mut stream = respond.send_response(head(), false).unwrap();
            stream.send_data(message(0, 1 << 30, b""), false).unwrap();
            keep(stream);
        } else {
            keep(respond);
        }
    })));
    let Lost::Protocol(reason) = stage.lost() else { panic!("closed") };
    assert_eq!(reason, "the plugin sent a message of 1073741824 bytes, the limit is 262144");
}

#[test]
fn a_plugin_that_writes_many_short_lines_goes_on() {
    const LINES: usize = 30_000;
    let line = |data: &[u8]| {
        let data = crate::proto::goplugin::StdioData { channel: 1, data: data.to_vec() };
        let data = Message::encode_to_vec(&data);
        message(0, u32::try_from(data.len()).unwrap(), &data)
    };
    let (first, next) = (line(SLOW), line(b"line\n"));
    let stage = Stage::new(raw::serve(Arc::new(move |path, request, mut respond| {
        keep(request);
        if path.ends_with("StreamStdio") {
            let mut stream = respond.send_response(head(), false).unwrap();
            // As many as fit the window of the stream come while the host looks at the first one.
            stream.send_data(first.clone(), false).unwrap();
            (0..LINES).for_each(|_| stream.send_data(next.clone(), false).unwrap());
            keep(stream);
        } else if path.ends_with("Plugin/Call") {
            answer_empty(respond);
        } else {
            keep(respond);
        }
    })));
    eventually(|| stage.output.lock().unwrap().len() == LINES + 1);
    assert_eq!(stage.call("f", b"").unwrap(), b"");
}

#[test]
fn a_plugin_without_standard_output_and_with_a_mute_broker_is_as_good() {
    let stage = Stage::new(raw::serve(Arc::new(|path, request, mut respond| {
        keep(request);
        match path.as_str() {
            "/plugin.GRPCStdio/StreamStdio" => {
                let mut response = head();
                response.headers_mut().insert("grpc-status", HeaderValue::from_static("12"));
                respond.send_response(response, true).unwrap();
            }
            "/plugin.GRPCBroker/StartStream" => answer_empty(respond),
            _ => answer_empty(respond),
        }
    })));
    assert_eq!(stage.call("f", b"").unwrap(), b"");
    assert!(stage.lost.lock().unwrap().try_recv().is_err());
}

#[test]
fn a_plugin_that_ends_the_brokers_stream_at_once_learns_what_is_wrong() {
    let ways: [fn(SendResponse<Bytes>); 3] = [
        answer_empty,
        |mut respond| respond.send_reset(h2::Reason::NO_ERROR),
        |mut respond| {
            let mut response = head();
            response.headers_mut().insert("grpc-status", HeaderValue::from_static("0"));
            respond.send_response(response, true).unwrap();
        },
    ];
    for end in ways {
        let stage = Stage::new(raw::serve(Arc::new(move |path, request, respond| match path.as_str() {
            "/plugin.GRPCStdio/StreamStdio" => keep((request, respond)),
            "/plugin.GRPCBroker/StartStream" => end(respond),
            _ => answer_empty(respond),
        })));
        eventually(|| stage.session.broker.has_ended());
        let error = stage.init().unwrap_err();
        assert_eq!((error.code(), error.context()), (ErrorCode::PluginProtocol, broker::ENDED));
        assert!(matches!(stage.lost(), Lost::Protocol(reason) if reason == broker::ENDED));
    }
}

#[test]
fn a_plugin_that_refuses_standard_output_before_the_host_has_asked_in_full_is_as_good() {
    for _ in 0..300 {
        let stage = Stage::new(raw::serve(Arc::new(|path, request, mut respond| {
            keep(request);
            match path.ends_with("StreamStdio") {
                true => respond.send_reset(h2::Reason::NO_ERROR),
                false => answer_empty(respond),
            }
        })));
        assert_eq!(stage.call("f", b"").unwrap(), b"");
    }
}
