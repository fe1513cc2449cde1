//! The host's own service: a plugin connects to it where the broker said, and makes its host calls there.
//!
//! A connection is believed because of who made it, never because of what it says. What a plugin can hold here is bounded:
//! connections, calls that are read or served at the same time, and the bytes of each.

use std::future::{Future, poll_fn};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, Bytes};
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use serde_json::Value;
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::super::host_calls::{Answer, Held, HostCalls, HostRequest, MAX_BYTES};
use super::client::{MAX_FRAME, MAX_HEADERS, is_grpc};
use super::fate::Fate;
use super::fault::{Fault, Status};
use super::message::{Incoming, encode};
use super::metered::Metered;
use crate::error::{Error, ErrorCode};
use crate::proto::plugin::{Failure, HostCallRequest, HostCallResponse};

/// Says whether the process at the other end of a socket is the plugin.
pub(in super::super) type IsPeer = Arc<dyn Fn(BorrowedFd<'_>) -> bool + Send + Sync>;

/// Connections that are open at the same time; one is enough, and libraries close one that was idle and make another.
const MAX_CONNECTIONS: usize = 4;

/// Connections after which the host takes its time for each.
const MANY_CONNECTIONS: u32 = 64;

/// Time that it takes then.
const CONNECTION_PAUSE: Duration = Duration::from_millis(10);

/// Connections by somebody else after which the host takes its time: who makes them must not keep the plugin from its host.
const MAX_STRANGERS: u32 = 64;

/// Time that it takes for each of them.
const STRANGER_PAUSE: Duration = Duration::from_millis(1);

/// Host calls of a session that are read, served or answered at the same time.
const MAX_STREAMS: u32 = 64;

/// Streams beyond them that a connection may open in its life: a client learns only after its first ones how many it may.
const REFUSED_STREAMS: usize = 1 << 16;

/// Bytes of one request that may be under way without having been read.
const STREAM_WINDOW: u32 = 32 * 1024;

/// Bytes of all requests of a connection that may be under way without having been read: requests that wait for room must not
/// keep those from coming in that have it.
const CONNECTION_WINDOW: u32 = MAX_STREAMS * STREAM_WINDOW;

/// Room for what goes around the arguments of a host call, in bytes.
const ENVELOPE: usize = 4 * 1024;

/// Pause after the system had no descriptor for a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// The one method there is.
const CALL: &str = "/goatflow.plugin.v1.Host/Call";

/// What all connections of a session share.
#[derive(Clone)]
struct Service {
    host_calls: Arc<HostCalls>,
    places: Arc<Semaphore>,
    /// Room for requests that are read, and for the arguments of calls that are served, in kibibytes.
    room: Arc<Semaphore>,
    io: Handle,
    fate: Arc<Fate>,
}

/// Serves host calls on `listener` until the session ends.
pub(super) fn serve(
    listener: UnixListener,
    is_peer: IsPeer,
    host_calls: Arc<HostCalls>,
    io: &'static Handle,
    fate: &Arc<Fate>,
) {
    let places = usize::try_from(MAX_STREAMS).unwrap_or(usize::MAX);
    let places = Arc::new(Semaphore::new(places));
    let room = Arc::new(Semaphore::new(MAX_BYTES / 1024));
    let service = Service { host_calls, places, room, io: io.clone(), fate: Arc::clone(fate) };
    fate.spawn(io, accept(listener, is_peer, service));
}

async fn accept(listener: UnixListener, is_peer: IsPeer, service: Service) {
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let (mut accepted, mut strangers) = (0_u32, 0_u32);
    while let Ok(place) = Arc::clone(&connections).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) if is_peer(stream.as_fd()) => {
                let (io, connection) = (&service.io, serve_connection(stream, service.clone()));
                service.fate.spawn(io, async move {
                    connection.await;
                    drop(place);
                });
                accepted = accepted.saturating_add(1);
                if accepted > MANY_CONNECTIONS {
                    tokio::time::sleep(CONNECTION_PAUSE).await;
                }
            }
            Ok(_) if strangers < MAX_STRANGERS => strangers += 1,
            Ok(_) => tokio::time::sleep(STRANGER_PAUSE).await,
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn serve_connection(stream: UnixStream, service: Service) {
    let mut builder = Builder::new();
    builder.initial_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
    builder.max_frame_size(MAX_FRAME).max_header_list_size(MAX_HEADERS);
    builder.max_concurrent_streams(MAX_STREAMS).max_local_error_reset_streams(Some(REFUSED_STREAMS));
    let stream = Metered::server(stream, &service.fate);
    let Ok(mut connection): Result<Connection<Metered, Bytes>, _> = builder.handshake(stream).await else { return };
    // A connection that breaks the rules is closed; what the plugin makes of that is its own affair.
    while let Some(Ok((request, respond))) = connection.accept().await {
        let service = service.clone();
        let io = service.io.clone();
        // Ends with its connection: every step of it waits for the stream.
        io.spawn(async move { serve_stream(request, respond, &service).await });
    }
}

/// Serves one call. Ends as soon as the plugin no longer waits.
async fn serve_stream(request: Request<RecvStream>, mut respond: SendResponse<Bytes>, service: &Service) {
    let answer = {
        let mut answer = pin!(answer(request, service));
        poll_fn(|context| match answer.as_mut().poll(context) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending => respond.poll_reset(context).map(|_| None),
        })
        .await
    };
    let Some((answer, _place)) = answer else { return };
    let (answer, _held) = match answer {
        Ok((answer, held)) => (Ok(answer), held),
        Err(refusal) => (Err(refusal), None),
    };
    // Who no longer waits for the answer has closed the stream.
    let _ = match answer {
        Ok(answer) => send(&mut respond, answer).await,
        Err(refusal) => refusal.send(&mut respond).map_err(Fault::from),
    };
}

/// Why a request gets no message in answer.
enum Refusal {
    /// It is not gRPC at all.
    Http(StatusCode),
    /// A status of gRPC.
    Status(u32, &'static str),
    /// The stream is not worth an answer.
    Reset(Reason),
}

impl Refusal {
    fn send(self, respond: &mut SendResponse<Bytes>) -> Result<(), h2::Error> {
        let mut response = Response::new(());
        match self {
            Self::Reset(reason) => {
                respond.send_reset(reason);
                return Ok(());
            }
            Self::Http(status) => *response.status_mut() = status,
            Self::Status(code, message) => {
                let headers = response.headers_mut();
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
                headers.insert("grpc-status", HeaderValue::from(code));
                headers.insert("grpc-message", HeaderValue::from_static(message));
            }
        }
        respond.send_response(response, true).map(drop)
    }
}

type Place = Option<OwnedSemaphorePermit>;

/// An answer, and what it counts for until the plugin has read it.
type Weighed = (HostCallResponse, Option<Held>);

/// The answer to a request, and its place among those that are under way.
async fn answer(request: Request<RecvStream>, service: &Service) -> (Result<Weighed, Refusal>, Place) {
    let (head, body) = request.into_parts();
    if head.method != Method::POST || !is_grpc(&head.headers) {
        return (Err(Refusal::Http(StatusCode::UNSUPPORTED_MEDIA_TYPE)), None);
    }
    if head.uri.path() != CALL {
        return (Err(Refusal::Status(Status::UNIMPLEMENTED, "the host has no such method")), None);
    }
    let place = Arc::clone(&service.places).acquire_owned().await.ok();
    let limit = service.host_calls.bounds().argument_bytes;
    let answer = match read(body, limit.saturating_add(ENVELOPE), service).await {
        Ok((request, _room)) => call(request, service).await,
        Err(Fault::TooLong { length, .. }) => {
            if let Some(pause) = service.host_calls.failure_pause() {
                tokio::time::sleep(pause).await;
            }
            let message = format!("a host call of {length} bytes, the limit for its arguments is {limit}");
            Ok((failure(&Error::new(ErrorCode::PolicyArguments, message)), None))
        }
        Err(Fault::Malformed(_)) => Err(Refusal::Status(Status::INTERNAL, "the request is malformed")),
        Err(_) => Err(Refusal::Reset(Reason::CANCEL)),
    };
    (answer, place)
}

/// Reads a request once there is room for it; the room is taken up to the end of the call.
async fn read(
    body: RecvStream,
    limit: usize,
    service: &Service,
) -> Result<(HostCallRequest, OwnedSemaphorePermit), Fault> {
    let mut messages = Incoming::new(body);
    let length = messages.announced(limit).await?.unwrap_or_default();
    // What is larger than all room waits until it has it all.
    let pages = u32::try_from(length.min(MAX_BYTES).div_ceil(1024)).unwrap_or(u32::MAX);
    let room = Arc::clone(&service.room).acquire_many_owned(pages).await.map_err(|_closed| Fault::Gone)?;
    let request = messages.next(limit).await?;
    // What would come after it would lie here unread for as long as the call takes.
    messages.finish().await?;
    let request = request.ok_or_else(|| Fault::Malformed("a request has no message".to_owned()))?;
    Ok((request, room))
}

async fn call(request: HostCallRequest, service: &Service) -> Result<Weighed, Refusal> {
    service.host_calls.answers_read().await;
    let (sender, answer) = oneshot::channel();
    let HostCallRequest { function, arguments, call_token: token } = request;
    service.host_calls.serve(HostRequest { function, arguments, token }, move |outcome| {
        // Who no longer waits has ended the stream.
        let _ = sender.send(match outcome {
            Ok(Answer { reply, held }) => (HostCallResponse { result: reply.into_owned(), failure: None }, Some(held)),
            Err(error) => (failure(&error), None),
        });
    });
    let answer = answer.await.ok();
    answer.ok_or(Refusal::Status(Status::INTERNAL, "the host call ended without an answer"))
}

fn failure(error: &Error) -> HostCallResponse {
    let detail = match error.detail() {
        detail if detail.is_empty() => Vec::new(),
        detail => Value::Object(detail.clone()).to_string().into_bytes(),
    };
    let failure = Failure {
        code: error.code().slug().to_owned(),
        message: error.to_string(),
        retryable: error.code().is_retryable(),
        detail,
    };
    HostCallResponse { result: Vec::new(), failure: Some(failure) }
}

/// Sends an answer as fast as the plugin takes it, so that answers that nobody reads stay within their places.
async fn send(respond: &mut SendResponse<Bytes>, answer: HostCallResponse) -> Result<(), Fault> {
    let mut bytes = encode(&answer)?;
    drop(answer);
    let mut response = Response::new(());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    let mut stream: SendStream<Bytes> = respond.send_response(response, false)?;
    while bytes.has_remaining() {
        stream.reserve_capacity(bytes.len());
        let Some(capacity) = poll_fn(|context| stream.poll_capacity(context)).await else { return Err(Fault::Gone) };
        let count = capacity?.min(bytes.len());
        stream.send_data(bytes.split_to(count), false)?;
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(Status::OK));
    stream.send_trailers(trailers)?;
    Ok(())
}
