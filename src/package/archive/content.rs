//! Contents: decompressed under the declared size, which passed the limits, and held against size and checksum. A stream
//! must end where its place ends. (The `zip` crate decompresses with the same library, but does not tell where a stream
//! ended, so that it would let bytes through that are hidden behind one; it is what the tests hold this reader against.)

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::refusal::entry as refuse;
use crate::error::{Error, ErrorCode, Result};

/// What the directory says about a content.
#[derive(Clone, Copy)]
pub(super) struct Declared<'a> {
    /// Name of the entry, for messages.
    pub(super) name: &'a str,
    /// Bytes of the content.
    pub(super) size: usize,
    /// Its CRC-32.
    pub(super) crc: u32,
}

/// Checks a content that is stored as it is.
pub(super) fn check_crc(content: &[u8], declared: Declared<'_>) -> Result<()> {
    let mut crc = Crc::new();
    crc.update(content);
    if crc.sum() == declared.crc {
        return Ok(());
    }
    Err(refuse(ErrorCode::PackageArchiveCrc, declared.name, "does not have the checksum that the directory gives"))
}

/// Decompressor whose state is used again for the next content.
pub(super) struct Inflater(Decompress);

impl Inflater {
    /// A fresh one.
    pub(super) fn new() -> Self {
        Self(Decompress::new(false))
    }

    /// Decompresses `packed` into `content`, whose former bytes are lost.
    pub(super) fn inflate(&mut self, packed: &[u8], declared: Declared<'_>, content: &mut Vec<u8>) -> Result<()> {
        self.0.reset(false);
        content.clear();
        content.try_reserve_exact(declared.size).map_err(|error| {
            Error::new(ErrorCode::EnvironmentResources, format!("no memory for {} bytes", declared.size))
                .with_source(error)
        })?;
        content.resize(declared.size, 0);
        let mut status = self.step(packed, content, declared)?;
        if status != Status::StreamEnd {
            // Everything is there, or too much: with one byte more of room, only the end of the stream may come.
            let rest = packed.get(self.taken()..).unwrap_or_default();
            status = self.step(rest, &mut [0], declared)?;
        }
        let made = self.0.total_out();
        if made != declared.size as u64 && (status == Status::StreamEnd || made > declared.size as u64) {
            return Err(refuse(
                ErrorCode::PackageArchiveSizeMismatch,
                declared.name,
                format!("has {} bytes than the {} that the directory gives", length(made, declared), declared.size),
            ));
        }
        if status != Status::StreamEnd {
            return Err(refuse(
                ErrorCode::PackageArchiveContent,
                declared.name,
                "has compressed content that does not end",
            ));
        }
        if self.taken() != packed.len() {
            return Err(refuse(
                ErrorCode::PackageArchiveContent,
                declared.name,
                format!("hides {} bytes behind its compressed content", packed.len() - self.taken()),
            ));
        }
        check_crc(content, declared)
    }

    fn step(&mut self, packed: &[u8], room: &mut [u8], declared: Declared<'_>) -> Result<Status> {
        self.0.decompress(packed, room, FlushDecompress::Finish).map_err(|error| {
            refuse(ErrorCode::PackageArchiveContent, declared.name, "has malformed compressed content")
                .with_source(error)
        })
    }

    /// Bytes of the stream that were used.
    fn taken(&self) -> usize {
        super::record::index(self.0.total_in())
    }
}

fn length(made: u64, declared: Declared<'_>) -> &'static str {
    if made > declared.size as u64 { "more" } else { "fewer" }
}
