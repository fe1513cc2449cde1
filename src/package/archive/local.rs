//! The entries themselves: their own headers, which must say what the directory says, and where their contents lie. Entries
//! lie back to back from the first byte to the directory, so that nothing can hide between them.

use std::ops::Range;

use super::directory::{FLAG_DESCRIPTOR, Header, MAX_VERSION_NEEDED};
use super::extra::{self, Bearer, Extras, Sizes};
use super::record::{Record, index};
use super::refusal::{archive as refuse_archive, entry as refuse};
use crate::error::{ErrorCode, Result};

const HEADER: [u8; 4] = *b"PK\x03\x04";
const HEADER_LEN: usize = 30;
const DESCRIPTOR: [u8; 4] = *b"PK\x07\x08";

/// Places of the contents, in the order of `headers`. `bytes` ends where the directory begins.
pub(super) fn places(bytes: &[u8], headers: &[Header<'_>]) -> Result<Vec<Range<usize>>> {
    let mut places = Vec::with_capacity(headers.len());
    let mut at = 0;
    let is_shifted = headers.iter().all(|header| header.sizes.offset > 0);
    for (number, header) in headers.iter().enumerate() {
        check_start(header, at, number == 0 && is_shifted)?;
        let next = headers.get(number + 1).map_or(bytes.len(), |next| index(next.sizes.offset));
        let (content, is_wide) = content(bytes, at, header)?;
        at = behind(bytes, header, content.end, next, is_wide)?;
        places.push(content);
    }
    if at != bytes.len() {
        return Err(refuse_archive(
            ErrorCode::PackageArchiveLayout,
            format!("has {} bytes between its last entry and its directory", bytes.len() - at),
        ));
    }
    Ok(places)
}

fn check_start(header: &Header<'_>, at: usize, is_shifted: bool) -> Result<()> {
    let start = index(header.sizes.offset);
    if start == at {
        return Ok(());
    }
    if is_shifted {
        return Err(refuse(
            ErrorCode::PackageArchivePrepended,
            header.shown(),
            format!("is the first, but begins at byte {start} of the archive"),
        ));
    }
    let problem =
        if start < at { "overlaps another one or is out of order" } else { "comes after bytes that belong to none" };
    Err(refuse(ErrorCode::PackageArchiveLayout, header.shown(), problem))
}

/// Place of the content of the entry at `at`, and whether its sizes are wide.
fn content(bytes: &[u8], at: usize, header: &Header<'_>) -> Result<(Range<usize>, bool)> {
    let name = header.shown();
    let cut = || refuse(ErrorCode::PackageArchiveLayout, name, "does not fit in front of the directory");
    let record = Record::at(bytes, at, HEADER, HEADER_LEN)
        .ok_or_else(|| refuse(ErrorCode::PackageArchiveLayout, name, "is not where the directory says"))?;
    let rest = bytes.get(at + HEADER_LEN..).unwrap_or_default();
    let (name_bytes, rest) = rest.split_at_checked(record.u16(26).into()).ok_or_else(cut)?;
    let (fields, rest) = rest.split_at_checked(record.u16(28).into()).ok_or_else(cut)?;
    check_header(header, record, name_bytes)?;
    let sizes = Sizes { size: record.u32(22).into(), packed: record.u32(18).into(), offset: 0 };
    let extras = extra::read(fields, Bearer { shown: name, name: name_bytes, comment: &[], sizes })?;
    check_sizes(header, record.u32(14), sizes, &extras)?;
    let start = bytes.len() - rest.len();
    let end = start.checked_add(index(header.sizes.packed)).filter(|end| *end <= bytes.len()).ok_or_else(cut)?;
    Ok((start..end, extras.is_zip64))
}

fn check_header(header: &Header<'_>, record: Record<'_>, name_bytes: &[u8]) -> Result<()> {
    let differs = |what: &str| {
        Err(refuse(
            ErrorCode::PackageArchiveHeaderMismatch,
            header.shown(),
            format!("has another {what} in its own header than in the directory"),
        ))
    };
    if name_bytes != header.name_bytes {
        return differs("name");
    }
    if record.u16(6) != header.flags {
        return differs("set of flags");
    }
    if record.u16(8) != header.method {
        return differs("method");
    }
    if record.u32(10) != header.time {
        return differs("time");
    }
    if record.u16(4) > MAX_VERSION_NEEDED {
        return Err(refuse(
            ErrorCode::PackageArchiveFeature,
            header.shown(),
            format!("needs version {} of the format, which this reader does not know", record.u16(4)),
        ));
    }
    Ok(())
}

/// Sizes and checksum are those of the directory. Where a descriptor follows, they may all be zero instead.
fn check_sizes(header: &Header<'_>, crc: u32, written: Sizes, extras: &Extras) -> Result<()> {
    let Sizes { size, packed, .. } = extras.sizes;
    let full = u64::from(u32::MAX);
    if extras.is_zip64 && (written.size != full || written.packed != full) {
        return Err(refuse(
            ErrorCode::PackageArchiveZip64,
            header.shown(),
            "has a zip64 field in its own header for one of its two sizes only",
        ));
    }
    let told = (size, packed, crc) == (header.sizes.size, header.sizes.packed, header.crc);
    let left_open = header.flags & FLAG_DESCRIPTOR != 0 && (size, packed, crc) == (0, 0, 0);
    if told || left_open {
        return Ok(());
    }
    Err(refuse(
        ErrorCode::PackageArchiveHeaderMismatch,
        header.shown(),
        "has another size or checksum in its own header than in the directory",
    ))
}

/// The place behind the entry: where its content ends, or the descriptor that follows it.
fn behind(bytes: &[u8], header: &Header<'_>, end: usize, next: usize, is_wide: bool) -> Result<usize> {
    if header.flags & FLAG_DESCRIPTOR == 0 {
        return Ok(end);
    }
    let wrong = |problem| refuse(ErrorCode::PackageArchiveDescriptor, header.shown(), problem);
    let between = next.checked_sub(end).and_then(|_| bytes.get(end..next));
    let between = between.ok_or_else(|| wrong("has no room for the descriptor that its flags announce"))?;
    let len = if is_wide { 20 } else { 12 };
    // The length tells whether the signature, which is optional, is there: a checksum could look like one.
    let fields = if between.len() == len + 4 { between.strip_prefix(&DESCRIPTOR) } else { Some(between) };
    let said = fields.filter(|fields| fields.len() == len).and_then(|fields| extra::descriptor(fields, is_wide));
    let said = said.ok_or_else(|| wrong("is not followed by a descriptor, as its flags announce, and nothing else"))?;
    if said != (header.crc, header.sizes.packed, header.sizes.size) {
        return Err(wrong("is followed by a descriptor that differs from the directory"));
    }
    Ok(next)
}
