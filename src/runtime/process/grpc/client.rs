//! The client's end of one HTTP/2 connection: starts remote calls, and reads what they answer.
//!
//! A call is encoded and decoded on the thread of its caller; in between it is a task on the I/O runtime, beside the one that
//! moves the bytes. Its caller is woken once, when all has come: were the call polled on its caller's thread, head, message
//! and status would each wake it, against the lock of the connection. There is no reconnecting: a process that has gone has
//! taken its session along.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, Connection, ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, TE};
use http::{Method, Request, Response, StatusCode, Uri, Version};
use prost::Message;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::fault::{Fault, Status};
use super::message::{Incoming, decode, encode};
use super::metered::Metered;
use super::unsent::Unsent;

/// Bytes of one answer that may be under way without having been read.
const STREAM_WINDOW: u32 = 256 * 1024;

/// Bytes of all answers together that may be under way without having been read.
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// What small frames that have not been read may count for, as h2 counts: each for what it is shorter than 256 bytes. A
/// stream of output that is full of short lines stays below; one that is full of single bytes does not.
const SMALL_FRAMES: usize = 64 * 1024 * 1024;

/// Calls that were given up and are remembered, so that a late answer is known as one.
const GIVEN_UP: usize = 4 * 1024;

/// How long they are remembered.
const GIVEN_UP_TIME: Duration = Duration::from_secs(10);

/// Answers to calls that are not remembered any more, in the life of a session.
const LATE_ANSWERS: usize = 1 << 20;

/// Longest frame that the plugin may send.
pub(super) const MAX_FRAME: u32 = 64 * 1024;

/// Bytes of headers of one message of HTTP/2.
pub(super) const MAX_HEADERS: u32 = 16 * 1024;

/// Calls that are sent before the plugin has said how many it takes at the same time.
const FIRST_CALLS: usize = 8;

/// Largest number that a timeout may have in a header.
const MAX_TIMEOUT: u128 = 99_999_999;

/// Starts remote calls.
#[derive(Clone)]
pub(super) struct Client {
    requests: SendRequest<Bytes>,
    in_flight: Arc<AtomicUsize>,
    unsent: Unsent,
}

/// A connection, to be driven for as long as the session lives.
pub(super) struct Driver {
    connection: Connection<Metered, Bytes>,
    in_flight: Arc<AtomicUsize>,
}

impl Driver {
    /// Moves bytes until the connection ends.
    pub(super) async fn run(mut self) -> Result<(), h2::Error> {
        loop {
            if let Some(ended) = self.until_woken().await {
                return ended;
            }
            // Where several calls are under way, tasks that are ready go first: what they send goes out together, in one
            // system call and for one wake-up of the other side.
            if self.in_flight.load(Ordering::Relaxed) > 1 {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Polls the connection once, and waits until that is worth while again; tells when it has ended.
    async fn until_woken(&mut self) -> Option<Result<(), h2::Error>> {
        let mut is_polled = false;
        poll_fn(|context| {
            if std::mem::replace(&mut is_polled, true) {
                return Poll::Ready(None);
            }
            Pin::new(&mut self.connection).poll(context).map(Some)
        })
        .await
    }
}

/// A call that is under way, until this is dropped.
struct InFlight(Arc<AtomicUsize>);

impl InFlight {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Greets the other side, and does not wait for its answer.
pub(super) async fn connect(stream: Metered) -> Result<(Client, Driver), Fault> {
    let mut builder = Builder::new();
    builder.initial_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
    builder.max_frame_size(MAX_FRAME).max_header_list_size(MAX_HEADERS).header_table_size(4096);
    // Answers may come for calls that were given up a moment ago, many at once after a pause of the plugin: no fault of its.
    builder.max_concurrent_reset_streams(GIVEN_UP).reset_stream_duration(GIVEN_UP_TIME);
    builder.max_local_error_reset_streams(Some(LATE_ANSWERS));
    builder.enable_push(false).initial_max_send_streams(FIRST_CALLS).data_frame_budget(SMALL_FRAMES);
    let (requests, connection) = builder.handshake(stream).await?;
    let (in_flight, unsent) = (Arc::default(), Unsent::default());
    Ok((Client { requests, in_flight: Arc::clone(&in_flight), unsent }, Driver { connection, in_flight }))
}

impl Client {
    /// Calls a method that takes and answers one message; an answer of more than `limit` bytes is not read. Dropping the
    /// future cancels the call on the other side.
    pub(super) async fn unary<A: Message + Default>(
        &self,
        io: &Handle,
        path: &'static str,
        request: &impl Message,
        timeout: Duration,
        limit: usize,
    ) -> Result<A, Fault> {
        let request = self.unsent.add(encode(request)?).await;
        let _in_flight = InFlight::new(&self.in_flight);
        let call = exchange(self.requests.clone(), head(path, Some(timeout))?, request, limit);
        let mut call = AbortOnDrop(io.spawn(call));
        let answer = (&mut call.0).await;
        decode(answer.unwrap_or_else(|error| Err(Fault::Malformed(format!("a call came to no end: {error}"))))?)
    }

    /// Starts a method; its messages are to be written to the stream.
    pub(super) fn start(
        &self,
        path: &'static str,
        timeout: Option<Duration>,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), Fault> {
        // Each call has a handle of its own: a handle keeps back the next request while one waits for its place.
        Ok(self.requests.clone().send_request(head(path, timeout)?, false)?)
    }
}

/// Sends one request and reads one answer.
async fn exchange(
    mut requests: SendRequest<Bytes>,
    head: Request<()>,
    request: Bytes,
    limit: usize,
) -> Result<Bytes, Fault> {
    let (response, mut body) = requests.send_request(head, false)?;
    // When the plugin has ended the call already, the answer says how.
    let _ = body.send_data(request, true);
    let mut answer = match begin(response).await? {
        Begun::Ended(status) => {
            status.into_result()?;
            return Err(Fault::Malformed("an answer has no message".to_owned()));
        }
        Begun::Messages(answer) => answer,
    };
    let message = answer.next_bytes(limit).await?;
    answer.finish().await?;
    end(&mut answer).await?.into_result()?;
    message.ok_or_else(|| Fault::Malformed("an answer has no message".to_owned()))
}

/// A task that ends when nobody waits for it any more.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How an answer begins.
pub(super) enum Begun {
    /// It ended before any message.
    Ended(Status),
    /// Messages follow.
    Messages(Incoming),
}

/// Waits for the head of an answer, and checks that it is gRPC's.
pub(super) async fn begin(response: ResponseFuture) -> Result<Begun, Fault> {
    let response: Response<RecvStream> = response.await?;
    let (head, body) = response.into_parts();
    if head.status != StatusCode::OK {
        return Err(Fault::Malformed(format!("an answer has the HTTP status {}", head.status.as_u16())));
    }
    if !is_grpc(&head.headers) {
        return Err(Fault::Malformed("an answer has another content type than `application/grpc`".to_owned()));
    }
    Ok(match Status::of(&head.headers)? {
        Some(status) => Begun::Ended(status),
        None => Begun::Messages(Incoming::new(body)),
    })
}

/// The status after the last message.
pub(super) async fn end(answer: &mut Incoming) -> Result<Status, Fault> {
    let status = answer.trailers().await?.as_ref().map(Status::of).transpose()?.flatten();
    status.ok_or_else(|| Fault::Malformed("an answer ends without a status".to_owned()))
}

/// True when the content type is gRPC's, with whatever encoding it names.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let rest = content_type.and_then(|value| value.strip_prefix("application/grpc"));
    rest.is_some_and(|rest| rest.is_empty() || rest == "+proto" || rest.starts_with(';'))
}

fn head(path: &'static str, timeout: Option<Duration>) -> Result<Request<()>, Fault> {
    let wrong = |error: http::Error| Fault::Malformed(format!("a request can't be written: {error}"));
    let uri = Uri::builder().scheme("http").authority("localhost").path_and_query(path).build().map_err(wrong)?;
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    if let Some(timeout) = timeout.and_then(timeout_value) {
        headers.insert("grpc-timeout", timeout);
    }
    Ok(request)
}

/// gRPC's way to write a duration: at most eight digits and a unit. What is longer than they can say is no limit.
pub(super) fn timeout_value(timeout: Duration) -> Option<HeaderValue> {
    let text = match (timeout.as_micros(), timeout.as_millis(), u128::from(timeout.as_secs())) {
        (micros, ..) if micros <= MAX_TIMEOUT => format!("{micros}u"),
        (_, millis, _) if millis <= MAX_TIMEOUT => format!("{millis}m"),
        (_, _, seconds) if seconds <= MAX_TIMEOUT => format!("{seconds}S"),
        _ => return None,
    };
    HeaderValue::from_str(&text).ok()
}
