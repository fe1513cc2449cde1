//! Peers that say what they like: in HTTP/2, or in bytes.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Request, Response};

/// What a peer does with one request.
pub(super) type Script = Arc<dyn Fn(String, Request<RecvStream>, SendResponse<Bytes>) + Send + Sync>;

/// Types of frames.
pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GO_AWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

/// Serves HTTP/2 as it should be, and lets `script` say what is in it.
pub(super) fn serve(script: Script) -> UnixStream {
    serve_with(h2::server::Builder::new(), script)
}

/// As [`serve`], with other settings.
pub(super) fn serve_with(builder: h2::server::Builder, script: Script) -> UnixStream {
    let (ours, theirs) = UnixStream::pair().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            theirs.set_nonblocking(true).unwrap();
            let stream = tokio::net::UnixStream::from_std(theirs).unwrap();
            let mut connection = builder.handshake(stream).await.unwrap();
            while let Some(Ok((request, respond))) = connection.accept().await {
                let path = request.uri().path().to_owned();
                script(path, request, respond);
            }
        });
    });
    ours
}

/// A script for the method `Call`; the streams of go-plugin stay open.
pub(super) fn on_call(script: impl Fn(Request<RecvStream>, SendResponse<Bytes>) + Send + Sync + 'static) -> Script {
    Arc::new(move |path, request, respond| match path.ends_with("Plugin/Call") {
        true => script(request, respond),
        false => keep((request, respond)),
    })
}

/// Holds something for as long as the peer's thread lives, and longer.
pub(super) fn keep<T: Send + 'static>(held: T) {
    tokio::spawn(async move {
        let _held = held;
        std::future::pending::<()>().await;
    });
}

/// A head of an answer as gRPC has it.
pub(super) fn head() -> Response<()> {
    let mut response = Response::new(());
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}

/// Trailers with a status.
pub(super) fn trailers(status: &'static str) -> HeaderMap {
    HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static(status))])
}

/// An empty answer, sent as it should be.
pub(super) fn answer_empty(mut respond: SendResponse<Bytes>) {
    let mut stream: SendStream<Bytes> = respond.send_response(head(), false).unwrap();
    stream.send_data(Bytes::from_static(&[0; 5]), false).unwrap();
    stream.send_trailers(trailers("0")).unwrap();
}

/// Speaks in bytes, on a thread of its own; it is given what the host sent, up to the head of the first call.
pub(super) fn speak(script: impl FnOnce(&mut UnixStream) + Send + 'static) -> UnixStream {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    std::thread::spawn(move || {
        let mut preface = [0; 24];
        theirs.read_exact(&mut preface).unwrap();
        script(&mut theirs);
        // Whoever hangs up would change what the host sees: wait until it does.
        let mut rest = [0; 4096];
        while theirs.read(&mut rest).is_ok_and(|count| count > 0) {}
    });
    ours
}

/// A frame of HTTP/2.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Reads frames until the head of a request that is none of go-plugin's; answers its stream.
pub(super) fn await_call(stream: &mut UnixStream) -> u32 {
    let (mut seen, mut frame) = (0, [0; 9]);
    loop {
        stream.read_exact(&mut frame).unwrap();
        let length = u32::from_be_bytes([0, frame[0], frame[1], frame[2]]);
        std::io::copy(&mut stream.take(length.into()), &mut std::io::sink()).unwrap();
        seen += u32::from(frame[3] == HEADERS);
        // The broker's stream and the standard output come first.
        if seen == 3 {
            return u32::from_be_bytes([frame[5], frame[6], frame[7], frame[8]]);
        }
    }
}

/// Writes the same bytes until the host no longer takes them, or `times` times.
pub(super) fn flood(stream: &mut UnixStream, bytes: &[u8], times: usize) -> usize {
    (0..times).take_while(|_| stream.write_all(bytes).is_ok()).count()
}
