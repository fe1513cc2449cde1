//! Where an archive ends and where its directory lies: the end record, and the two zip64 records in front of it.

use std::ops::Range;

use super::limits::{DIRECTORY_BYTES_PER_ENTRY, Limits, MAX_COMMENT_BYTES};
use super::record::{Record, index};
use super::refusal::archive as refuse;
use crate::error::{Error, ErrorCode, Result};

const END: [u8; 4] = *b"PK\x05\x06";
const END_LEN: usize = 22;
const ZIP64_END: [u8; 4] = *b"PK\x06\x06";
const ZIP64_END_LEN: usize = 56;
const ZIP64_LOCATOR: [u8; 4] = *b"PK\x06\x07";
const ZIP64_LOCATOR_LEN: usize = 20;

/// What the end records say, after all of them agreed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct End {
    /// Bytes of the directory.
    pub(super) directory: Range<usize>,
    /// Headers in it.
    pub(super) entries: usize,
}

/// Counts and places as one end record gives them.
#[derive(Clone, Copy)]
struct Claim {
    entries: u64,
    size: u64,
    offset: u64,
}

/// Finds the end record, which must be the last thing in `bytes`, and the directory, which must lie directly before it.
pub(super) fn find(bytes: &[u8], limits: &Limits) -> Result<End> {
    let at = end_record(bytes)?;
    let Some(record) = Record::at(bytes, at, END, END_LEN) else {
        return Err(cut(bytes, at, "ends within its end record"));
    };
    check_comment(bytes, at, usize::from(record.u16(20)))?;
    // 0xffff refers to the zip64 record, which must say 0 as well.
    let disks = [record.u16(4), record.u16(6)];
    if disks.iter().any(|disk| ![0, u16::MAX].contains(disk)) || record.u16(8) != record.u16(10) {
        return Err(refuse(ErrorCode::PackageArchiveMultiDisk, "is one part of several"));
    }
    let claim = Claim { entries: record.u16(10).into(), size: record.u32(12).into(), offset: record.u32(16).into() };
    let (claim, directory_end) = match zip64(bytes, at)? {
        Some((wide, place)) => (agreed(claim, wide)?, place),
        None => (plain(claim, disks)?, at),
    };
    let directory = directory(claim, directory_end)?;
    check_limits(claim, limits)?;
    Ok(End { directory, entries: index(claim.entries) })
}

/// Place of the last signature of an end record: where all readers look first.
fn end_record(bytes: &[u8]) -> Result<usize> {
    bytes.windows(END.len()).rposition(|window| window == END).ok_or_else(|| {
        refuse(
            ErrorCode::PackageArchiveTruncated,
            "has no end record (the file is not a ZIP archive, or not all of it)",
        )
    })
}

/// Error for an end record at `at` that does not end. Such a signature may stand in the comment of the real record.
fn cut(bytes: &[u8], at: usize, problem: &str) -> Error {
    let before = bytes.get(..at).unwrap_or_default();
    if before.windows(END.len()).any(|window| window == END) {
        return refuse(ErrorCode::PackageArchiveSeveralEnds, "has two end records, of which the last does not end");
    }
    refuse(ErrorCode::PackageArchiveTruncated, problem)
}

fn check_comment(bytes: &[u8], at: usize, len: usize) -> Result<()> {
    let behind = bytes.len() - at - END_LEN;
    if behind < len {
        return Err(cut(bytes, at, &format!("ends {} bytes too early", len - behind)));
    }
    if behind > len {
        return Err(refuse(
            ErrorCode::PackageArchiveTrailing,
            format!("is followed by {} bytes that don't belong to it", behind - len),
        ));
    }
    if len > MAX_COMMENT_BYTES {
        return Err(refuse(
            ErrorCode::PackageArchiveSize,
            format!("has a comment of {len} bytes, the limit is {MAX_COMMENT_BYTES}"),
        ));
    }
    // A reader that looks for a record with a fitting length, not for the last signature, must find the same one.
    let from = at.saturating_sub(usize::from(u16::MAX));
    for earlier in from..at {
        let Some(record) = Record::at(bytes, earlier, END, END_LEN) else { continue };
        if earlier + END_LEN + usize::from(record.u16(20)) == bytes.len() {
            return Err(refuse(ErrorCode::PackageArchiveSeveralEnds, "has two end records that fit"));
        }
    }
    Ok(())
}

/// The zip64 end record in front of the end record at `at`, with its place, if there is one.
fn zip64(bytes: &[u8], at: usize) -> Result<Option<(Claim, usize)>> {
    let Some(locator) =
        at.checked_sub(ZIP64_LOCATOR_LEN).and_then(|place| Record::at(bytes, place, ZIP64_LOCATOR, ZIP64_LOCATOR_LEN))
    else {
        return Ok(None);
    };
    let wrong = |problem: &str| refuse(ErrorCode::PackageArchiveZip64, problem);
    let place = at.checked_sub(ZIP64_LOCATOR_LEN + ZIP64_END_LEN);
    let record = place.and_then(|place| Some((place, Record::at(bytes, place, ZIP64_END, ZIP64_END_LEN)?)));
    let Some((place, record)) = record else {
        return Err(wrong("has a zip64 locator without its record directly in front of it"));
    };
    if locator.u64(8) != place as u64 {
        return Err(wrong("has a zip64 locator that points elsewhere"));
    }
    if record.u64(4) != ZIP64_END_LEN as u64 - 12 {
        return Err(wrong("has a zip64 end record of a size that is not the usual one"));
    }
    let disks = [locator.u32(4), record.u32(16), record.u32(20)];
    if disks != [0; 3] || locator.u32(16) != 1 || record.u64(24) != record.u64(32) {
        return Err(refuse(ErrorCode::PackageArchiveMultiDisk, "is one part of several"));
    }
    Ok(Some((Claim { entries: record.u64(32), size: record.u64(40), offset: record.u64(48) }, place)))
}

/// The claim of both records, which must be the same where the short one can tell.
fn agreed(short: Claim, wide: Claim) -> Result<Claim> {
    let same = |short: u64, full: u64, wide: u64| short == full || short == wide;
    let agree = same(short.entries, u16::MAX.into(), wide.entries)
        && same(short.size, u32::MAX.into(), wide.size)
        && same(short.offset, u32::MAX.into(), wide.offset);
    // Readers that meet no reference don't look for what it refers to, and find the directory by its size elsewhere.
    let refers = short.entries == u64::from(u16::MAX) || [short.size, short.offset].contains(&u32::MAX.into());
    if !refers {
        return Err(refuse(ErrorCode::PackageArchiveZip64, "has a zip64 end record that nothing refers to"));
    }
    if agree {
        return Ok(wide);
    }
    Err(refuse(ErrorCode::PackageArchiveZip64, "has two end records that contradict each other"))
}

/// The claim of an archive without zip64 records, which must not refer to them.
fn plain(claim: Claim, disks: [u16; 2]) -> Result<Claim> {
    let full = u64::from(u32::MAX);
    if claim.entries == u64::from(u16::MAX) || claim.size == full || claim.offset == full || disks != [0; 2] {
        return Err(refuse(ErrorCode::PackageArchiveZip64, "refers to a zip64 end record that is not there"));
    }
    Ok(claim)
}

/// Where the directory lies; it must fill all bytes between its beginning and `end`.
fn directory(claim: Claim, end: usize) -> Result<Range<usize>> {
    let (size, offset) = (index(claim.size), index(claim.offset));
    let start = end.checked_sub(size).ok_or_else(|| {
        refuse(ErrorCode::PackageArchiveTruncated, "has a directory that is larger than all bytes in front of its end")
    })?;
    if offset < start {
        return Err(refuse(
            ErrorCode::PackageArchivePrepended,
            format!(
                "has {} bytes more than it accounts for in front of its directory or before its end",
                start - offset
            ),
        ));
    }
    if offset > start {
        return Err(refuse(ErrorCode::PackageArchiveLayout, "has a directory that is not where its end record says"));
    }
    Ok(start..end)
}

fn check_limits(claim: Claim, limits: &Limits) -> Result<()> {
    let count = claim.entries;
    if count == 0 {
        return Err(refuse(ErrorCode::PackageArchiveCount, "is empty"));
    }
    if count > limits.entries as u64 {
        return Err(refuse(
            ErrorCode::PackageArchiveCount,
            format!("has {count} entries, the limit is {} (the host may raise `entries`)", limits.entries),
        ));
    }
    let most = limits.entries as u64 * DIRECTORY_BYTES_PER_ENTRY;
    if claim.size > most {
        return Err(refuse(
            ErrorCode::PackageArchiveSize,
            format!("has a directory of {} bytes, the limit is {most}", claim.size),
        ));
    }
    Ok(())
}
