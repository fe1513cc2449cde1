//! Messages as gRPC frames them: a flag, four bytes of length, the bytes.

use std::future::poll_fn;

use bytes::{BufMut, Bytes, BytesMut};
use h2::RecvStream;
use http::HeaderMap;
use prost::Message;

use super::fault::Fault;

/// Flag and length.
const PREFIX_BYTES: usize = 5;

/// Memory that a message gets before its bytes arrive; a length alone costs the sender nothing.
const FIRST_ALLOCATION: usize = 64 * 1024;

/// A message with its prefix.
pub(super) fn encode(message: &impl Message) -> Result<Bytes, Fault> {
    let length = message.encoded_len();
    let Ok(framed) = u32::try_from(length) else {
        return Err(Fault::Malformed(format!("{length} bytes don't fit a message")));
    };
    let mut bytes = BytesMut::with_capacity(PREFIX_BYTES.saturating_add(length));
    bytes.put_u8(0);
    bytes.put_u32(framed);
    message.encode_raw(&mut bytes);
    Ok(bytes.freeze())
}

/// The message in `bytes`, which come without a prefix.
pub(super) fn decode<M: Message + Default>(bytes: Bytes) -> Result<M, Fault> {
    M::decode(bytes).map_err(|error| Fault::Malformed(format!("a message can't be decoded: {error}")))
}

/// The messages that the other side sends on one stream.
pub(super) struct Incoming {
    stream: RecvStream,
    /// Length of the next message, when that was read already.
    announced: Option<usize>,
    /// Received, and not yet taken; its bytes have been given back to flow control.
    chunk: Bytes,
}

impl Incoming {
    /// Reads from `stream`.
    pub(super) fn new(stream: RecvStream) -> Self {
        Self { stream, announced: None, chunk: Bytes::new() }
    }

    /// The next message, or nothing at the end of the stream. A message of more than `limit` bytes is not read.
    pub(super) async fn next<M: Message + Default>(&mut self, limit: usize) -> Result<Option<M>, Fault> {
        self.next_bytes(limit).await?.map(decode).transpose()
    }

    /// Reads what is left; fails when that is a message.
    pub(super) async fn finish(&mut self) -> Result<(), Fault> {
        match self.next_bytes(usize::MAX).await? {
            Some(_) => Err(Fault::Malformed("two messages came where one belongs".to_owned())),
            None => Ok(()),
        }
    }

    /// What follows the messages; to be asked after their end.
    pub(super) async fn trailers(&mut self) -> Result<Option<HeaderMap>, Fault> {
        poll_fn(|context| self.stream.poll_trailers(context)).await.map_err(Fault::from)
    }

    /// The bytes of the next message.
    pub(super) async fn next_bytes(&mut self, limit: usize) -> Result<Option<Bytes>, Fault> {
        let Some(length) = self.announced(limit).await? else { return Ok(None) };
        self.announced = None;
        self.take(length).await.map(Some)
    }

    /// Length of the next message, which is not read yet, or nothing at the end of the stream. Fails when it is more than
    /// `limit` bytes.
    pub(super) async fn announced(&mut self, limit: usize) -> Result<Option<usize>, Fault> {
        if self.announced.is_some() {
            return Ok(self.announced);
        }
        let mut prefix = [0; PREFIX_BYTES];
        if !self.fill(&mut prefix).await? {
            return Ok(None);
        }
        let [flag, length @ ..] = prefix;
        if flag != 0 {
            return Err(Fault::Malformed("a message is compressed, which was not offered".to_owned()));
        }
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > limit {
            return Err(Fault::TooLong { length, limit });
        }
        self.announced = Some(length);
        Ok(self.announced)
    }

    /// Fills `prefix`; answers false when the stream ends before its first byte.
    async fn fill(&mut self, prefix: &mut [u8]) -> Result<bool, Fault> {
        let mut rest = &mut *prefix;
        while !rest.is_empty() {
            if self.chunk.is_empty() && !self.receive().await? {
                return if rest.len() == PREFIX_BYTES { Ok(false) } else { Err(cut_off()) };
            }
            let count = rest.len().min(self.chunk.len());
            let (filled, unfilled) = rest.split_at_mut(count);
            filled.copy_from_slice(&self.chunk.split_to(count));
            rest = unfilled;
        }
        Ok(true)
    }

    /// Takes `length` bytes, without a copy when they came at once.
    async fn take(&mut self, length: usize) -> Result<Bytes, Fault> {
        if self.chunk.is_empty() && length > 0 && !self.receive().await? {
            return Err(cut_off());
        }
        if self.chunk.len() >= length {
            return Ok(self.chunk.split_to(length));
        }
        let mut bytes = BytesMut::with_capacity(length.min(FIRST_ALLOCATION));
        loop {
            let count = self.chunk.len().min(length.saturating_sub(bytes.len()));
            bytes.extend_from_slice(&self.chunk.split_to(count));
            if bytes.len() == length {
                return Ok(bytes.freeze());
            }
            if !self.receive().await? {
                return Err(cut_off());
            }
        }
    }

    /// Waits for bytes; answers false at the end of the stream.
    async fn receive(&mut self) -> Result<bool, Fault> {
        while self.chunk.is_empty() {
            let Some(chunk) = poll_fn(|context| self.stream.poll_data(context)).await else { return Ok(false) };
            self.chunk = chunk?;
            // Nobody waits for window of a connection that has failed.
            let _ = self.stream.flow_control().release_capacity(self.chunk.len());
        }
        Ok(true)
    }
}

fn cut_off() -> Fault {
    Fault::Malformed("a message is cut off".to_owned())
}
