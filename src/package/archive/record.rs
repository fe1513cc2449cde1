//! Little-endian fields of the fixed part of a record.

/// Fixed part of a record whose signature was seen and whose bytes are all there.
#[derive(Clone, Copy)]
pub(super) struct Record<'a>(&'a [u8]);

impl<'a> Record<'a> {
    /// The record of `len` bytes that begins at `at`, if it is there and begins with `signature`.
    pub(super) fn at(bytes: &'a [u8], at: usize, signature: [u8; 4], len: usize) -> Option<Self> {
        let record = bytes.get(at..at.checked_add(len)?)?;
        record.starts_with(&signature).then_some(Self(record))
    }

    /// Field of two bytes; [`Record::at`] saw to it that it is there.
    pub(super) fn u16(self, at: usize) -> u16 {
        self.0.get(at..at + 2).and_then(|field| field.try_into().ok()).map_or(0, u16::from_le_bytes)
    }

    /// Field of four bytes.
    pub(super) fn u32(self, at: usize) -> u32 {
        u32_at(self.0, at).unwrap_or(0)
    }

    /// Field of eight bytes.
    pub(super) fn u64(self, at: usize) -> u64 {
        u64_at(self.0, at).unwrap_or(0)
    }
}

/// Number of four bytes at `at`, if they are there.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_le_bytes)
}

/// Number of eight bytes at `at`, if they are there.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at.checked_add(8)?)?.try_into().ok().map(u64::from_le_bytes)
}

/// The place of something in a file, as an index; what does not fit into memory is nowhere.
pub(super) fn index(place: u64) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}
