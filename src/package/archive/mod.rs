//! Package archives: ZIP files of one legal byte layout, read strictly and written reproducibly.

mod content;
mod directory;
mod end;
mod extra;
mod extract;
mod limits;
mod local;
mod names;
mod pack;
mod record;
mod refusal;
mod tree;
mod write;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

pub use extract::Extracted;
pub use limits::Limits;
pub use pack::pack;
pub use write::write;

use self::content::{Declared, Inflater};
use crate::error::{ErrorCode, Result};

/// Decompressed contents are kept in memory up to this sum; those of larger archives are decompressed again when asked for.
const KEPT_BYTES: u64 = 32 * 1024 * 1024;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A plain file.
    File,
    /// A directory; it has no content.
    Directory,
}

/// One entry of an archive whose name, kind and place were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    name: String,
    kind: EntryKind,
    size: u64,
    crc: u32,
    /// Its place among the entries.
    number: usize,
}

impl Entry {
    fn new(number: usize, header: directory::Header<'_>) -> Self {
        let kind = if header.name.is_directory { EntryKind::Directory } else { EntryKind::File };
        Self { name: header.name.text, kind, size: header.sizes.size, crc: header.crc, number }
    }

    fn declared(&self) -> Declared<'_> {
        Declared { name: &self.name, size: record::index(self.size), crc: self.crc }
    }

    /// Name, with `/` between its components and none at its end.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> EntryKind {
        self.kind
    }

    /// Bytes of its content.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// CRC-32 of its content.
    #[must_use]
    pub fn crc(&self) -> u32 {
        self.crc
    }
}

/// Where a content is.
enum Place {
    /// In the archive, as it is.
    Stored(Range<usize>),
    /// In the archive, compressed.
    Packed(Range<usize>),
    /// In memory, decompressed.
    Kept(Vec<u8>),
}

/// An archive, checked as a whole: everything that can be wrong with its bytes is found by [`Archive::read`].
pub struct Archive {
    bytes: Arc<Vec<u8>>,
    entries: Vec<Entry>,
    places: Vec<Place>,
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archive").field("entries", &self.entries).finish_non_exhaustive()
    }
}

impl Archive {
    /// Checks `bytes`: layout, names, kinds, limits, and that every content decompresses to its declared size and checksum.
    pub fn read(bytes: impl Into<Arc<Vec<u8>>>, limits: &Limits) -> Result<Self> {
        let (bytes, limits) = (bytes.into(), limits.capped());
        if bytes.len() as u64 > limits.archive_bytes {
            return Err(refusal::archive(
                ErrorCode::PackageArchiveSize,
                format!(
                    "has {} bytes, the limit is {} (the host may raise `archive_bytes`)",
                    bytes.len(),
                    limits.archive_bytes
                ),
            ));
        }
        let end = end::find(&bytes, &limits)?;
        let headers = directory::read(&bytes, &end, &limits)?;
        let ranges = local::places(bytes.get(..end.directory.start).unwrap_or_default(), &headers)?;
        let total: u64 = headers.iter().map(|header| header.sizes.size).sum();
        let (mut entries, mut places) = (Vec::with_capacity(headers.len()), Vec::with_capacity(headers.len()));
        let mut inflater = Inflater::new();
        let mut scratch = Vec::new();
        for (number, (header, range)) in headers.into_iter().zip(ranges).enumerate() {
            let is_packed = header.method == directory::DEFLATED;
            let entry = Entry::new(number, header);
            let packed = bytes.get(range.clone()).unwrap_or_default();
            places.push(if is_packed {
                inflater.inflate(packed, entry.declared(), &mut scratch)?;
                if total <= KEPT_BYTES { Place::Kept(std::mem::take(&mut scratch)) } else { Place::Packed(range) }
            } else {
                content::check_crc(packed, entry.declared())?;
                Place::Stored(range)
            });
            entries.push(entry);
        }
        Ok(Self { bytes, entries, places })
    }

    /// Entries in their order.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Entry of that exact name.
    #[must_use]
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// Content of an entry of this archive; nothing for a directory.
    pub fn content(&self, entry: &Entry) -> Result<Cow<'_, [u8]>> {
        let own = self.entries.get(entry.number).filter(|own| *own == entry);
        let Some(place) = own.and_then(|own| self.places.get(own.number)) else {
            return Err(refusal::entry(ErrorCode::ArgumentInvalid, &entry.name, "is not one of this archive"));
        };
        match place {
            Place::Stored(range) => Ok(self.bytes.get(range.clone()).unwrap_or_default().into()),
            Place::Kept(content) => Ok(content.into()),
            Place::Packed(range) => {
                let mut content = Vec::new();
                let packed = self.bytes.get(range.clone()).unwrap_or_default();
                Inflater::new().inflate(packed, entry.declared(), &mut content)?;
                Ok(content.into())
            }
        }
    }

    /// Writes all entries into the empty directory `staging`, which nobody else may write to: files 0644, directories 0755,
    /// all of it on the disk when this returns. On failure, what was written is removed again.
    pub fn extract_into(&self, staging: &Path) -> Result<Vec<Extracted>> {
        extract::extract(self, staging)
    }
}
