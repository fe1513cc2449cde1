//! A connection that looks at the frames of HTTP/2 that pass: floods of them end the session, and none of them holds up the
//! thread that moves bytes for long.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

use super::super::meter::{Meter, excess, weight};
use super::super::session::Lost;
use super::fate::Fate;

/// Length of a frame's head.
const HEAD: usize = 9;

/// What a client says first.
const PREFACE: usize = 24;

/// Kind of a frame with content.
const DATA: u8 = 0;

/// Kind of a frame with headers or trailers.
const HEADERS: u8 = 1;

/// Flag of the last frame of a stream.
const END_STREAM: u8 = 1;

/// Frames after which others have their turn.
const TURN: u64 = 1_000;

/// A connection and its account.
pub(super) struct Metered {
    stream: UnixStream,
    fate: Arc<Fate>,
    meter: Meter,
    calls: Calls,
    received: Frames,
    sent: Frames,
    /// Frames since this connection had to wait.
    turn: u64,
}

impl Metered {
    /// A connection on which the host is the client.
    pub(super) fn client(stream: UnixStream, fate: &Arc<Fate>) -> Self {
        Self::new(stream, fate, true)
    }

    /// A connection on which the host is the server.
    pub(super) fn server(stream: UnixStream, fate: &Arc<Fate>) -> Self {
        Self::new(stream, fate, false)
    }

    fn new(stream: UnixStream, fate: &Arc<Fate>, is_client: bool) -> Self {
        let (received, sent) = if is_client { (0, PREFACE) } else { (PREFACE, 0) };
        let (received, sent) = (Frames::behind(received), Frames::behind(sent));
        let calls = Calls { is_client, unended: 0 };
        Self { stream, fate: Arc::clone(fate), meter: Meter::new(), calls, received, sent, turn: 0 }
    }

    fn received(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (mut frames, mut idle) = (0, 0);
        let calls = &mut self.calls;
        self.received.pass(bytes, |kind, flags, length| {
            frames += 1;
            idle += calls.weigh(kind, flags, length);
        });
        self.turn += frames;
        if self.meter.received(idle) {
            return Ok(());
        }
        self.fate.lose(Lost::Protocol(excess()));
        Err(io::Error::other(excess()))
    }

    fn sent(&mut self, bytes: &[u8]) {
        let (mut frames, calls) = (0, &mut self.calls);
        self.sent.pass(bytes, |kind, _, length| {
            frames += u64::from(kind == DATA && length > 0);
            calls.begin(kind);
        });
        self.meter.sent(frames);
    }
}

/// Calls that the host made on a connection, and their ends: those have the text of an error, and may be as long as that.
#[derive(Debug)]
struct Calls {
    is_client: bool,
    unended: u64,
}

impl Calls {
    /// Takes note of a frame that the host sent.
    fn begin(&mut self, kind: u8) {
        self.unended += u64::from(self.is_client && kind == HEADERS);
    }

    /// What a frame of the plugin counts for. Ends of calls are caused by the host, as many as it made; further ones are not,
    /// which a plugin may send for streams that have ended.
    fn weigh(&mut self, kind: u8, flags: u8, length: usize) -> u64 {
        if kind == HEADERS && flags & END_STREAM != 0 && self.unended > 0 {
            self.unended -= 1;
            return 1;
        }
        weight(kind == DATA, length)
    }
}

impl AsyncRead for Metered {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let connection = self.get_mut();
        if connection.turn >= TURN {
            connection.turn = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut connection.stream).poll_read(context, buffer);
        if read.is_pending() {
            connection.turn = 0;
        }
        ready!(read)?;
        Poll::Ready(connection.received(buffer.filled().get(before..).unwrap_or_default()))
    }
}

impl AsyncWrite for Metered {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let connection = self.get_mut();
        let count = ready!(Pin::new(&mut connection.stream).poll_write(context, bytes))?;
        connection.sent(bytes.get(..count).ok_or(ErrorKind::InvalidData)?);
        Poll::Ready(Ok(count))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let connection = self.get_mut();
        let count = ready!(Pin::new(&mut connection.stream).poll_write_vectored(context, slices))?;
        let mut left = count;
        for slice in slices {
            let part = slice.get(..left.min(slice.len())).unwrap_or_default();
            connection.sent(part);
            left -= part.len();
        }
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

/// Finds the heads of frames in a stream of bytes.
#[derive(Debug)]
struct Frames {
    head: [u8; HEAD],
    filled: usize,
    /// Bytes up to the next head.
    left: usize,
}

impl Frames {
    /// Frames that come after so many bytes.
    fn behind(bytes: usize) -> Self {
        Self { head: [0; HEAD], filled: 0, left: bytes }
    }

    /// Calls `each` with kind, flags and length of the frames whose heads are complete with these bytes.
    fn pass(&mut self, mut bytes: &[u8], mut each: impl FnMut(u8, u8, usize)) {
        loop {
            let skipped = self.left.min(bytes.len());
            self.left -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            if bytes.is_empty() {
                return;
            }
            let (part, rest) = bytes.split_at(bytes.len().min(HEAD - self.filled));
            if let Some(place) = self.head.get_mut(self.filled..self.filled + part.len()) {
                place.copy_from_slice(part);
            }
            (self.filled, bytes) = (self.filled + part.len(), rest);
            if self.filled == HEAD {
                let [a, b, c, kind, flags, ..] = self.head;
                self.left = u32::from_be_bytes([0, a, b, c]) as usize;
                self.filled = 0;
                each(kind, flags, self.left);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_a_call_that_was_made_may_be_long() {
        let mut calls = Calls { is_client: true, unended: 0 };
        let long = 6_400;
        assert_eq!(calls.weigh(HEADERS, END_STREAM, long), 101);
        (0..2).for_each(|_| calls.begin(HEADERS));
        calls.begin(DATA);
        assert_eq!([0; 2].map(|_: u64| calls.weigh(HEADERS, 4 | END_STREAM, long)), [1, 1]);
        assert_eq!(calls.weigh(HEADERS, END_STREAM, long), 101, "one too many");
        calls.begin(HEADERS);
        assert_eq!(calls.weigh(HEADERS, 4, long), 101, "no end");
        let mut calls = Calls { is_client: false, unended: 0 };
        calls.begin(HEADERS);
        assert_eq!(calls.weigh(HEADERS, END_STREAM, long), 101, "a request");
    }

    #[test]
    fn frames_are_found_however_their_bytes_come() {
        let frame = |kind: u8, flags: u8, length: usize| {
            let head = u32::try_from(length).unwrap().to_be_bytes();
            [&head[1..], &[kind, flags, 0, 0, 0, 1], &vec![7; length]].concat()
        };
        let stream = [vec![1; PREFACE], frame(4, 0, 0), frame(0, 1, 300), frame(6, 0, 8), frame(1, 5, 70_000)].concat();
        for size in [1, 2, 8, 9, 10, 1_000, stream.len()] {
            let (mut frames, mut found) = (Frames::behind(PREFACE), Vec::new());
            stream
                .chunks(size)
                .for_each(|bytes| frames.pass(bytes, |kind, flags, length| found.push((kind, flags, length))));
            assert_eq!(found, [(4, 0, 0), (0, 1, 300), (6, 0, 8), (1, 5, 70_000)], "{size}");
        }
    }
}
