//! The directory of an archive: one header for each entry, checked for everything that can be told without the entry itself.

use super::end::End;
use super::extra::{self, Bearer, Sizes};
use super::limits::{Limits, RATIO_FREE_BYTES, TOTAL_RATIO_FREE_BYTES};
use super::names::{self, Name};
use super::record::Record;
use super::refusal::{archive as refuse_archive, entry as refuse};
use super::tree::Tree;
use crate::error::{ErrorCode, Result};

const HEADER: [u8; 4] = *b"PK\x01\x02";
const HEADER_LEN: usize = 46;

/// Deflate, and no compression.
pub(super) const STORED: u16 = 0;
pub(super) const DEFLATED: u16 = 8;

/// The content is followed by a descriptor.
pub(super) const FLAG_DESCRIPTOR: u16 = 1 << 3;
/// Name and comment are UTF-8.
pub(super) const FLAG_UTF8: u16 = 1 << 11;
/// Encrypted; strongly encrypted; with masked headers.
const FLAGS_ENCRYPTION: u16 = 1 | 1 << 6 | 1 << 13;
/// Those two, and how hard the compressor tried.
const FLAGS_KNOWN: u16 = FLAG_DESCRIPTOR | FLAG_UTF8 | 0b110;

/// Zip64 is the newest feature we read.
pub(super) const MAX_VERSION_NEEDED: u16 = 45;

/// Systems whose attributes we know: DOS, Unix, NTFS (two numbers are in use), VFAT, macOS.
const SYSTEMS: [u16; 6] = [0, 3, 10, 11, 14, 19];

/// Bytes of "nothing" when it is deflated.
const EMPTY_DEFLATED_LEN: u64 = 2;

/// One header of the directory.
#[derive(Debug)]
pub(super) struct Header<'a> {
    pub(super) name: Name,
    /// The name as it is written, the slash of directories included.
    pub(super) name_bytes: &'a [u8],
    pub(super) flags: u16,
    pub(super) method: u16,
    /// Time and date, as one number.
    pub(super) time: u32,
    pub(super) crc: u32,
    pub(super) sizes: Sizes,
}

impl Header<'_> {
    /// The name for messages.
    pub(super) fn shown(&self) -> &str {
        &self.name.text
    }
}

/// Reads the headers that `end` announces; they must fill the directory exactly.
pub(super) fn read<'a>(bytes: &'a [u8], end: &End, limits: &Limits) -> Result<Vec<Header<'a>>> {
    let directory = bytes.get(..end.directory.end).unwrap_or_default();
    let (mut headers, mut tree) = (Vec::new(), Tree::new(limits.entries));
    let (mut at, mut total) = (end.directory.start, 0_u64);
    for _ in 0..end.entries {
        let (header, next) = header(directory, at)?;
        check_size(&header, limits)?;
        total = total.saturating_add(header.sizes.size);
        tree.add(&header.name)?;
        headers.push(header);
        at = next;
    }
    if at != end.directory.end {
        return Err(refuse_archive(
            ErrorCode::PackageArchiveLayout,
            format!("has {} bytes behind the last header of its directory", end.directory.end - at),
        ));
    }
    check_total(total, bytes.len() as u64, limits)?;
    Ok(headers)
}

/// The header at `at` and the place behind it.
fn header(bytes: &[u8], at: usize) -> Result<(Header<'_>, usize)> {
    let missing = || {
        refuse_archive(
            ErrorCode::PackageArchiveLayout,
            "has fewer headers in its directory than its end record says, or one is malformed",
        )
    };
    let record = Record::at(bytes, at, HEADER, HEADER_LEN).ok_or_else(missing)?;
    let rest = bytes.get(at + HEADER_LEN..).unwrap_or_default();
    let (name_bytes, rest) = rest.split_at_checked(record.u16(28).into()).ok_or_else(missing)?;
    let (fields, rest) = rest.split_at_checked(record.u16(30).into()).ok_or_else(missing)?;
    let (comment, rest) = rest.split_at_checked(record.u16(32).into()).ok_or_else(missing)?;

    let flags = record.u16(8);
    let name = names::check(name_bytes, flags & FLAG_UTF8 != 0)?;
    check_features(&name.text, record)?;
    check_kind(&name, record.u32(38))?;
    let sizes = Sizes { size: record.u32(24).into(), packed: record.u32(20).into(), offset: record.u32(42).into() };
    let extras = extra::read(fields, Bearer { shown: &name.text, name: name_bytes, comment, sizes })?;
    let header = Header {
        name,
        name_bytes,
        flags,
        method: record.u16(10),
        time: record.u32(12),
        crc: record.u32(16),
        sizes: extras.sizes,
    };
    check_content(&header)?;
    Ok((header, bytes.len() - rest.len()))
}

/// Flags, versions, method and disk.
fn check_features(name: &str, record: Record<'_>) -> Result<()> {
    check_flags(name, record.u16(8))?;
    let method = record.u16(10);
    if method != STORED && method != DEFLATED {
        return Err(refuse(
            ErrorCode::PackageArchiveMethod,
            name,
            format!("is compressed by method {method} (only deflate, 8, and none, 0, are read)"),
        ));
    }
    let (needed, system) = (record.u16(6), record.u16(4) >> 8);
    if needed > MAX_VERSION_NEEDED || !SYSTEMS.contains(&system) {
        return Err(refuse(
            ErrorCode::PackageArchiveFeature,
            name,
            format!("needs version {needed} of the format, made on system {system}, which this reader does not know"),
        ));
    }
    if record.u16(34) != 0 {
        return Err(refuse(ErrorCode::PackageArchiveMultiDisk, name, "lies in another part of the archive"));
    }
    Ok(())
}

fn check_flags(name: &str, flags: u16) -> Result<()> {
    if flags & FLAGS_ENCRYPTION != 0 {
        return Err(refuse(ErrorCode::PackageArchiveEncrypted, name, "is encrypted"));
    }
    if flags & !FLAGS_KNOWN != 0 {
        return Err(refuse(
            ErrorCode::PackageArchiveFeature,
            name,
            format!("has flags this reader does not know (0x{:04x})", flags & !FLAGS_KNOWN),
        ));
    }
    Ok(())
}

/// Attributes of Unix in the upper half and of DOS in the lower one count whatever system the header names, because some
/// reader looks at them.
fn check_kind(name: &Name, attributes: u32) -> Result<()> {
    let (mode, is_directory) = (attributes >> 16, name.is_directory);
    let wrong = |code, problem| Err(refuse(code, &name.text, problem));
    if mode & 0o170_000 == 0o120_000 || attributes & 0x400 != 0 {
        return wrong(ErrorCode::PackageArchiveLink, "is a symbolic link");
    }
    let fits = match mode & 0o170_000 {
        0 => true,
        0o100_000 => !is_directory,
        0o040_000 => is_directory,
        _ => return wrong(ErrorCode::PackageArchiveKind, "is a device, a pipe or another special file"),
    };
    if !fits || (attributes & 0x10 != 0 && !is_directory) {
        return wrong(
            ErrorCode::PackageArchiveKind,
            "is a directory by its name or by its attributes, but not by both",
        );
    }
    if attributes & 0x48 != 0 {
        return wrong(ErrorCode::PackageArchiveKind, "is a device or the label of a disk");
    }
    if !is_directory && mode & 0o6_000 != 0 {
        return wrong(
            ErrorCode::PackageArchiveKind,
            "would run with the rights of its owner (set-user-ID or set-group-ID)",
        );
    }
    Ok(())
}

/// A directory has no content; what is not compressed is as long as it says.
fn check_content(header: &Header<'_>) -> Result<()> {
    let Sizes { size, packed, .. } = header.sizes;
    if header.name.is_directory {
        // Java deflates the nothing that directories hold.
        let empty = if header.method == STORED { packed == 0 } else { packed == EMPTY_DEFLATED_LEN };
        if size != 0 || header.crc != 0 || !empty {
            return Err(refuse(ErrorCode::PackageArchiveKind, header.shown(), "is a directory with content"));
        }
    } else if header.method == STORED && size != packed {
        return Err(refuse(
            ErrorCode::PackageArchiveSizeMismatch,
            header.shown(),
            format!("is not compressed, but has {size} bytes outside and {packed} inside of the archive"),
        ));
    }
    Ok(())
}

fn check_size(header: &Header<'_>, limits: &Limits) -> Result<()> {
    let Sizes { size, packed, .. } = header.sizes;
    if size > limits.file_bytes {
        return Err(refuse(
            ErrorCode::PackageArchiveSize,
            header.shown(),
            format!("has {size} bytes, the limit is {} (the host may raise `file_bytes`)", limits.file_bytes),
        ));
    }
    if size > RATIO_FREE_BYTES && size > packed.saturating_mul(limits.ratio) {
        return Err(refuse(
            ErrorCode::PackageArchiveRatio,
            header.shown(),
            format!("makes {size} bytes out of {packed}, the limit is {} times (store it uncompressed)", limits.ratio),
        ));
    }
    Ok(())
}

fn check_total(total: u64, packed: u64, limits: &Limits) -> Result<()> {
    if total > limits.total_bytes {
        return Err(refuse_archive(
            ErrorCode::PackageArchiveSize,
            format!("holds {total} bytes, the limit is {} (the host may raise `total_bytes`)", limits.total_bytes),
        ));
    }
    if total > TOTAL_RATIO_FREE_BYTES && total > packed.saturating_mul(limits.ratio) {
        return Err(refuse_archive(
            ErrorCode::PackageArchiveRatio,
            format!("makes {total} bytes out of {packed}, the limit is {} times", limits.ratio),
        ));
    }
    Ok(())
}
