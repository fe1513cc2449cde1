//! Cuts a stream of gob into messages.

use super::super::buffer::Buffer;
use super::super::{Wired, broken};
use super::reader::parse_uint;

/// Longest message that is passed over; Go itself reads none that is longer.
const MAX_SKIPPED: u64 = 1 << 33;

/// What a stream gives.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// The body of a message.
    Message(Vec<u8>),
    /// A message that was longer than the limit, by its length; its bytes were passed over.
    TooLarge(u64),
}

/// Bytes of a stream that are not yet a whole message.
#[derive(Debug, Default)]
pub struct Framer {
    waiting: Buffer,
    skipped: Option<Skipped>,
}

#[derive(Debug)]
struct Skipped {
    length: u64,
    left: u64,
}

impl Framer {
    /// Takes what came.
    pub fn push(&mut self, mut bytes: &[u8]) {
        if self.waiting.is_empty()
            && let Some(skipped) = &mut self.skipped
        {
            let count = usize::try_from(skipped.left).unwrap_or(usize::MAX).min(bytes.len());
            skipped.left -= count as u64;
            bytes = bytes.get(count..).unwrap_or_default();
        }
        self.waiting.extend(bytes);
    }

    /// The next message, if it is all there. One of more than `limit` bytes is never held.
    pub fn next(&mut self, limit: usize) -> Wired<Option<Frame>> {
        if self.skipped.is_some() {
            return Ok(self.skip());
        }
        let Some((length, prefix)) = parse_uint(self.waiting.front())? else { return Ok(None) };
        if length == 0 || length > MAX_SKIPPED {
            return broken(format!("a gob message has {length} bytes"));
        }
        let size = usize::try_from(length).ok().filter(|size| *size <= limit);
        let Some(size) = size else {
            self.waiting.consume(prefix);
            self.skipped = Some(Skipped { length, left: length });
            return Ok(self.skip());
        };
        let Some(body) = self.waiting.front().get(prefix..prefix + size) else { return Ok(None) };
        let body = body.to_vec();
        self.waiting.consume(prefix + size);
        Ok(Some(Frame::Message(body)))
    }

    fn skip(&mut self) -> Option<Frame> {
        let skipped = self.skipped.as_mut()?;
        let count = usize::try_from(skipped.left).unwrap_or(usize::MAX).min(self.waiting.len());
        skipped.left -= count as u64;
        self.waiting.consume(count);
        if skipped.left > 0 {
            return None;
        }
        self.skipped.take().map(|skipped| Frame::TooLarge(skipped.length))
    }
}
