//! Gob's numbers and byte strings.

use super::super::{Wired, broken};

/// Longest number, in bytes behind the first one.
const MAX_NUMBER_BYTES: usize = 8;

/// What is left of a message.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the start of `body`.
    pub fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    /// Number of bytes that are left.
    pub fn len(&self) -> usize {
        self.rest.len()
    }

    /// Takes the next bytes.
    pub fn take(&mut self, count: usize) -> Wired<&'a [u8]> {
        match self.rest.split_at_checked(count) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => broken(format!("a gob message ends {} bytes too early", count - self.rest.len())),
        }
    }

    /// An unsigned number.
    pub fn uint(&mut self) -> Wired<u64> {
        match parse_uint(self.rest)? {
            Some((value, length)) => {
                self.rest = self.rest.get(length..).unwrap_or_default();
                Ok(value)
            }
            None => broken("a gob message ends in the middle of a number"),
        }
    }

    /// A signed number: the lowest bit says whether all others are inverted.
    pub fn int(&mut self) -> Wired<i64> {
        let raw = self.uint()?;
        let half = (raw >> 1).cast_signed();
        Ok(if raw & 1 == 1 { !half } else { half })
    }

    /// A number with a fraction: its bytes in reverse, so that round values are short.
    pub fn float(&mut self) -> Wired<f64> {
        Ok(f64::from_bits(self.uint()?.swap_bytes()))
    }

    /// A count of things that take at least `least` bytes each; more than can be there are refused before anything is
    /// made of them.
    pub fn count(&mut self, least: usize) -> Wired<usize> {
        let count = self.uint()?;
        match usize::try_from(count) {
            Ok(count) if count <= self.rest.len() / least.max(1) => Ok(count),
            _ => broken(format!("a gob message of {} bytes says that {count} elements follow", self.rest.len())),
        }
    }

    /// Bytes with their number in front.
    pub fn bytes(&mut self) -> Wired<&'a [u8]> {
        let count = self.count(1)?;
        self.take(count)
    }
}

/// The number that `bytes` start with, and its length; nothing when it is not all there.
pub fn parse_uint(bytes: &[u8]) -> Wired<Option<(u64, usize)>> {
    let Some(first) = bytes.first().copied() else { return Ok(None) };
    if first < 0x80 {
        return Ok(Some((u64::from(first), 1)));
    }
    let length = usize::from(first.wrapping_neg());
    if length > MAX_NUMBER_BYTES {
        return broken(format!("a gob number has {length} bytes"));
    }
    let Some(digits) = bytes.get(1..=length) else { return Ok(None) };
    let value = digits.iter().fold(0, |value, digit| value << 8 | u64::from(*digit));
    Ok(Some((value, length + 1)))
}
