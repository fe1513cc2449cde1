//! Plugins that break the rules where the host serves them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::{Builder, SendRequest};
use http::{HeaderMap, Method, Request};
use prost::Message;
use tokio::task::JoinSet;

use super::*;
use super::{peer, raw};
use crate::proto::plugin::{Failure, HostCallRequest, HostCallResponse};

pub(super) const CALL: &str = "/goatflow.plugin.v1.Host/Call";

/// A stage whose host service has been opened to the plugin.
pub(super) fn open() -> Stage {
    let stage = Stage::new(peer::serve(Arc::default()));
    stage.host_calls.open();
    stage
}

/// Runs a client of the host's service on this thread.
pub(super) fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(LONG, future).await.unwrap() })
}

pub(super) async fn client(stage: &Stage) -> SendRequest<Bytes> {
    try_client(stage).await.unwrap()
}

/// Fails when the host hangs up before it was greeted.
pub(super) async fn try_client(stage: &Stage) -> std::result::Result<SendRequest<Bytes>, h2::Error> {
    let stream = tokio::net::UnixStream::connect(&stage.address).await.unwrap();
    let (client, connection) = Builder::new().handshake(stream).await?;
    tokio::spawn(async move { drop(connection.await) });
    Ok(client)
}

pub(super) fn head(path: &str) -> Request<()> {
    let request = Request::builder().method(Method::POST).uri(format!("http://localhost{path}"));
    request.header("content-type", "application/grpc").body(()).unwrap()
}

pub(super) fn framed(function: &str, arguments: &[u8]) -> Bytes {
    let request = HostCallRequest { function: function.into(), arguments: arguments.into(), call_token: String::new() };
    prefixed(0, None, &request.encode_to_vec())
}

fn prefixed(flag: u8, length: Option<u32>, payload: &[u8]) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u8(flag);
    bytes.put_u32(length.unwrap_or(u32::try_from(payload.len()).unwrap()));
    bytes.put_slice(payload);
    bytes.freeze()
}

/// What came in answer: the status of HTTP, the status of gRPC, the message.
type Answer = (u16, String, Option<HostCallResponse>);

pub(super) async fn ask(
    client: &SendRequest<Bytes>,
    request: Request<()>,
    body: Bytes,
) -> std::result::Result<Answer, h2::Error> {
    let mut client = client.clone().ready().await?;
    let (response, mut stream) = client.send_request(request, false)?;
    // Who is refused early need not take the rest.
    let _ = stream.send_data(body, true);
    let (head, mut body) = response.await?.into_parts();
    let status = |headers: &HeaderMap| headers.get("grpc-status").map(|status| status.to_str().unwrap().to_owned());
    if let Some(status) = status(&head.headers) {
        return Ok((head.status.as_u16(), status, None));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk?;
        body.flow_control().release_capacity(chunk.len())?;
        bytes.extend(chunk);
    }
    let status = body.trailers().await?.as_ref().and_then(status).unwrap_or_default();
    let answer = bytes.get(5..).map(|message| HostCallResponse::decode(message).unwrap());
    Ok((head.status.as_u16(), status, answer))
}

fn failure_of(answer: Answer) -> Failure {
    assert_eq!((answer.0, answer.1.as_str()), (200, "0"));
    answer.2.unwrap().failure.unwrap()
}

#[test]
fn requests_that_are_not_host_calls_are_refused_one_by_one() {
    let stage = open();
    run(async {
        let client = client(&stage).await;
        let refused = async |request, body| {
            let (http, grpc, answer) = ask(&client, request, body).await.unwrap();
            assert_eq!(answer, None);
            (http, grpc)
        };
        let ok = framed("echo", b"1");
        let get = Request::builder().uri("http://localhost/goatflow.plugin.v1.Host/Call").body(()).unwrap();
        assert_eq!(refused(get, Bytes::new()).await, (415, String::new()));
        let mut html = head(CALL);
        html.headers_mut().insert("content-type", "text/html".parse().unwrap());
        assert_eq!(refused(html, ok.clone()).await, (415, String::new()));
        assert_eq!(refused(head("/goatflow.plugin.v1.Host/Other"), ok.clone()).await, (200, "12".into()));
        assert_eq!(refused(head("/"), ok.clone()).await, (200, "12".into()));
        let malformed = [
            Bytes::new(),
            Bytes::from_static(&[0, 0]),
            prefixed(1, None, b""),
            prefixed(0, Some(9), b"half"),
            prefixed(0, None, b"\x0a\x7f\x00"),
            prefixed(0, None, b"\x0a\x02\xff\xfe"),
            [ok.clone(), ok.clone()].concat().into(),
        ];
        for body in malformed {
            assert_eq!(refused(head(CALL), body).await, (200, "13".into()));
        }
        let (_, status, answer) = ask(&client, head(CALL), ok).await.unwrap();
        assert_eq!((status.as_str(), answer.unwrap().result), ("0", b"1".to_vec()));
    });
    assert_eq!(stage.host.calls.lock().unwrap().len(), 1);
}

#[test]
fn host_calls_before_the_start_and_with_foreign_tokens_are_refused() {
    let stage = Stage::new(peer::serve(Arc::default()));
    run(async {
        let client = client(&stage).await;
        let failure = failure_of(ask(&client, head(CALL), framed("echo", b"")).await.unwrap());
        assert_eq!((failure.code.as_str(), failure.retryable), ("lifecycle.not_ready", false));
        stage.host_calls.open();
        let foreign = HostCallRequest { function: "echo".into(), arguments: vec![], call_token: "f".repeat(32) };
        let body = prefixed(0, None, &foreign.encode_to_vec());
        let (_, _, answer) = ask(&client, head(CALL), body).await.unwrap();
        assert_eq!(answer.unwrap(), HostCallResponse::default());
    });
    // It was served as a call of the plugin's own, in nobody's name.
    assert_eq!(*stage.host.calls.lock().unwrap(), [("echo".to_owned(), Vec::<String>::new())]);
}

#[test]
fn arguments_beyond_the_limit_are_refused_unread() {
    let stage = open();
    run(async {
        let client = client(&stage).await;
        let limit = LIMITS.argument_bytes;
        let fits = ask(&client, head(CALL), framed("echo", &vec![b'x'; limit])).await.unwrap();
        assert_eq!(fits.2.unwrap().result.len(), limit);
        for length in [limit + 1, limit + 100_000] {
            let failure = failure_of(ask(&client, head(CALL), framed("echo", &vec![b'x'; length])).await.unwrap());
            assert_eq!(failure.code, "policy.arguments");
        }
        let endless = failure_of(ask(&client, head(CALL), prefixed(0, Some(u32::MAX), b"")).await.unwrap());
        assert_eq!(endless.code, "policy.arguments");
    });
    assert_eq!(stage.host.calls.lock().unwrap().len(), 1);
}

#[test]
fn a_flood_of_host_calls_is_served_in_turns() {
    let stage = open();
    run(async {
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(client(&stage).await);
        }
        let mut calls = JoinSet::new();
        for number in 0..10_000_usize {
            let client = clients[number % clients.len()].clone();
            calls.spawn(async move { ask(&client, head(CALL), framed("hold", b"")).await });
        }
        // As many as there are places stand at the host; the others wait outside.
        while stage.host.held.load(Ordering::SeqCst) < 64 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(stage.session.probe(&context()).map_err(|error| error.to_string()), Ok(()));
        assert_eq!(stage.host.held.load(Ordering::SeqCst), 64);
        stage.host.release();
        let (mut served, mut overloaded) = (0, 0);
        while let Some(answer) = calls.join_next().await {
            let (_, status, answer) = answer.unwrap().unwrap();
            match (status.as_str(), answer.unwrap().failure) {
                ("0", None) => served += 1,
                ("0", Some(failure)) if failure.code == "lifecycle.overloaded" => overloaded += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((served, overloaded), (10_000, 0));
    });
}

#[test]
fn answers_that_nobody_reads_stay_within_their_places() {
    let stage = open();
    run(async {
        let clients = [client(&stage).await, client(&stage).await];
        let mut unread = Vec::new();
        for client in clients.iter().cycle().take(200) {
            let Ok(mut ready) = client.clone().ready().await else { break };
            let (response, mut stream) = ready.send_request(head(CALL), false).unwrap();
            stream.send_data(framed("big", b"200000"), true).unwrap();
            unread.push((response, stream));
        }
        while stage.host.calls.lock().unwrap().len() < 64 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(stage.session.probe(&context()).map_err(|error| error.to_string()), Ok(()));
        assert_eq!(stage.host.calls.lock().unwrap().len(), 64);
    });
}

/// Starts a call and takes it back; answers false when the host has hung up.
async fn start_and_reset(client: &SendRequest<Bytes>) -> bool {
    let Ok(mut ready) = client.clone().ready().await else { return false };
    let Ok((_, mut stream)) = ready.send_request(head(CALL), false) else { return false };
    let sent = stream.send_data(prefixed(0, Some(1_000), b"half"), false);
    stream.send_reset(h2::Reason::CANCEL);
    tokio::task::yield_now().await;
    sent.is_ok()
}

#[test]
fn calls_that_are_reset_free_their_places() {
    let stage = open();
    run(async {
        let client = client(&stage).await;
        for _ in 0..100 {
            for _ in 0..10 {
                assert!(start_and_reset(&client).await);
            }
            assert_eq!(ask(&client, head(CALL), framed("echo", b"1")).await.unwrap().2.unwrap().result, b"1");
        }
    });
}

#[test]
fn a_storm_of_resets_costs_one_connection_at_most() {
    let stage = open();
    run(async {
        let stormy = client(&stage).await;
        let mut started = 0;
        while started < 200_000 && start_and_reset(&stormy).await {
            started += 1;
        }
        assert!(started < 200_000, "the host goes on");
        let client = client(&stage).await;
        assert_eq!(ask(&client, head(CALL), framed("echo", b"1")).await.unwrap().2.unwrap().result, b"1");
    });
}

#[test]
fn a_flood_of_pings_ends_the_session() {
    use std::io::{Read, Write};
    let stage = open();
    let mut stream = UnixStream::connect(&stage.address).unwrap();
    let mut answers = stream.try_clone().unwrap();
    std::thread::spawn(move || while answers.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {});
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    stream.write_all(&raw::frame(raw::SETTINGS, 0, 0, b"")).unwrap();
    let pings = raw::frame(raw::PING, 0, 0, &[0; 8]).repeat(1_000);
    assert!(raw::flood(&mut stream, &pings, 100_000) < 100_000, "the host goes on");
    let Lost::Protocol(reason) = stage.lost() else { panic!("closed") };
    assert_eq!(reason, super::super::super::meter::excess());
}

/// Reads an answer; says whether the call was refused because there is too much of something.
async fn is_refused(response: h2::client::ResponseFuture) -> bool {
    let mut body = response.await.unwrap().into_body();
    let mut bytes = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.unwrap();
        body.flow_control().release_capacity(chunk.len()).unwrap();
        bytes.extend(chunk);
    }
    let failure = HostCallResponse::decode(&bytes[5..]).unwrap().failure;
    assert!(failure.as_ref().is_none_or(|failure| failure.code == "lifecycle.overloaded"), "{failure:?}");
    failure.is_some()
}

#[test]
fn answers_that_nobody_reads_are_bounded_by_their_bytes() {
    let stage = open();
    stage.host_calls.set_limits(RuntimeLimits { result_bytes: 8 << 20, ..LIMITS });
    run(async {
        let client = client(&stage).await;
        let mut unread = Vec::new();
        for _ in 0..20 {
            let mut ready = client.clone().ready().await.unwrap();
            let (response, mut stream) = ready.send_request(head(CALL), false).unwrap();
            stream.send_data(framed("big", b"4194304"), true).unwrap();
            unread.push(response);
        }
        // Up to 32 MiB of answers are kept; who asks after half of that waits, unless it was about to be served already.
        let made = || stage.host.calls.lock().unwrap().len();
        while made() < 5 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let mut calls = JoinSet::new();
        unread.into_iter().for_each(|response| drop(calls.spawn(is_refused(response))));
        let mut refused = 0;
        while let Some(is_refused) = calls.join_next().await {
            refused += usize::from(is_refused.unwrap());
        }
        assert_eq!((made(), refused), (20, stage.host.failures.lock().unwrap().len()));
        assert!(refused <= 12, "{refused}");
        let (_, _, answer) = ask(&client, head(CALL), framed("big", b"4194304")).await.unwrap();
        assert_eq!(answer.unwrap().result.len(), 4 << 20);
    });
}

#[test]
fn requests_that_wait_for_room_do_not_keep_others_from_coming_in() {
    let stage = open();
    stage.host_calls.set_limits(RuntimeLimits { argument_bytes: 16 << 20, ..LIMITS });
    stage.host.release();
    run(async {
        let client = client(&stage).await;
        let mut calls = JoinSet::new();
        for _ in 0..32 {
            let client = client.clone();
            calls.spawn(async move {
                let mut client = client.ready().await.unwrap();
                let (response, mut stream) = client.send_request(head(CALL), false).unwrap();
                let mut body = framed("hold", &vec![b'1'; 12 << 20]);
                while !body.is_empty() {
                    stream.reserve_capacity(body.len());
                    let count = std::future::poll_fn(|context| stream.poll_capacity(context)).await.unwrap().unwrap();
                    stream.send_data(body.split_to(count.min(body.len())), false).unwrap();
                }
                stream.send_data(Bytes::new(), true).unwrap();
                is_refused(response).await
            });
        }
        while let Some(refused) = calls.join_next().await {
            assert!(!refused.unwrap());
        }
    });
}

#[test]
fn giant_metadata_is_refused() {
    let stage = open();
    run(async {
        let client = client(&stage).await;
        let mut request = head(CALL);
        for number in 0..100 {
            let name = http::HeaderName::try_from(format!("x-{number}")).unwrap();
            request.headers_mut().insert(name, "v".repeat(300).parse().unwrap());
        }
        let (http, _, answer) = ask(&client, request, framed("echo", b"")).await.unwrap();
        assert_eq!((http, answer), (431, None));
        assert_eq!(ask(&client, head(CALL), framed("echo", b"1")).await.unwrap().2.unwrap().result, b"1");
    });
}
