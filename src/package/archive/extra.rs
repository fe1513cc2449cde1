//! Extra fields of headers: only those are let through that are known to change nothing.

use super::record::{u32_at, u64_at};
use super::refusal::entry as refuse;
use crate::error::{Error, ErrorCode, Result};

const ZIP64: u16 = 0x0001;
const NTFS_TIMES: u16 = 0x000a;
const UNIX_TIMES: u16 = 0x5455;
const UNIX_OLD: u16 = 0x5855;
const UNIX_IDS_OLD: u16 = 0x7855;
const UNIX_IDS: u16 = 0x7875;
const UNICODE_COMMENT: u16 = 0x6375;
const UNICODE_NAME: u16 = 0x7075;
const JAR_MARKER: u16 = 0xcafe;
const ALIGNMENT: [u16; 3] = [0xd935, 0xa11e, 0xa220];
/// PKWARE's and ASi's fields for Unix carry link targets and device numbers.
const UNIX_LINKS: [u16; 2] = [0x000d, 0x756e];
const ENCRYPTION: [u16; 3] = [0x0017, 0x9901, 0x0015];

/// A header's fixed sizes, which a zip64 field may stand in for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    /// Bytes of the content.
    pub(super) size: u64,
    /// Bytes of the content in the archive.
    pub(super) packed: u64,
    /// Place of the entry; 0 in the entry's own header, which has no such field.
    pub(super) offset: u64,
}

/// A header as far as its extra fields refer to it.
#[derive(Clone, Copy)]
pub(super) struct Bearer<'a> {
    /// The name, for messages.
    pub(super) shown: &'a str,
    /// The name's bytes.
    pub(super) name: &'a [u8],
    /// The comment's bytes.
    pub(super) comment: &'a [u8],
    /// The sizes; what is full refers to the zip64 field.
    pub(super) sizes: Sizes,
}

/// What the fields of one header say.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Extras {
    /// The sizes, those of a zip64 field put in.
    pub(super) sizes: Sizes,
    /// True when there is a zip64 field.
    pub(super) is_zip64: bool,
}

/// Checks all fields in `fields`.
pub(super) fn read(fields: &[u8], bearer: Bearer<'_>) -> Result<Extras> {
    let (mut seen, mut wide, mut rest) = (Vec::new(), None, fields);
    while !rest.is_empty() {
        let (id, content, next) = split(rest, bearer.shown)?;
        if seen.contains(&id) {
            return Err(wrong(bearer.shown, format!("has the extra field 0x{id:04x} twice")));
        }
        seen.push(id);
        match id {
            ZIP64 => wide = Some(content),
            UNICODE_NAME => check_same(id, content, bearer.name, bearer.shown)?,
            UNICODE_COMMENT => check_same(id, content, bearer.comment, bearer.shown)?,
            _ => check_harmless(id, content, bearer.shown)?,
        }
        rest = next;
    }
    Ok(Extras { sizes: with_zip64(bearer, wide)?, is_zip64: wide.is_some() })
}

fn wrong(name: &str, problem: impl AsRef<str>) -> Error {
    refuse(ErrorCode::PackageArchiveExtra, name, problem)
}

/// Identifier and content of the first field, and what follows it.
fn split<'a>(fields: &'a [u8], name: &str) -> Result<(u16, &'a [u8], &'a [u8])> {
    let field = fields.split_first_chunk::<4>().and_then(|(&[id_low, id_high, len_low, len_high], rest)| {
        let len = usize::from(u16::from_le_bytes([len_low, len_high]));
        let (content, next) = rest.split_at_checked(len)?;
        Some((u16::from_le_bytes([id_low, id_high]), content, next))
    });
    field.ok_or_else(|| wrong(name, "has an extra field that is longer than its place"))
}

fn check_harmless(id: u16, content: &[u8], name: &str) -> Result<()> {
    if UNIX_LINKS.contains(&id) {
        return Err(refuse(
            ErrorCode::PackageArchiveLink,
            name,
            format!("has the extra field 0x{id:04x}, which can make it a link or a device"),
        ));
    }
    if ENCRYPTION.contains(&id) {
        return Err(refuse(ErrorCode::PackageArchiveEncrypted, name, "is encrypted"));
    }
    let well_formed = match id {
        UNIX_TIMES => is_unix_times(content),
        NTFS_TIMES => is_ntfs_times(content),
        UNIX_OLD => matches!(content.len(), 8 | 12),
        UNIX_IDS_OLD => matches!(content.len(), 0 | 4),
        UNIX_IDS => is_unix_ids(content),
        JAR_MARKER => content.is_empty(),
        _ if ALIGNMENT.contains(&id) => true,
        _ => return Err(wrong(name, format!("has the extra field 0x{id:04x}, which this reader does not know"))),
    };
    if well_formed {
        return Ok(());
    }
    Err(wrong(name, format!("has a malformed extra field 0x{id:04x}")))
}

/// Flags, then a time for each of the three lowest bits; in the directory only the first of them.
fn is_unix_times(content: &[u8]) -> bool {
    let Some((&flags, times)) = content.split_first() else { return false };
    let all = (flags & 0b111).count_ones() as usize * 4;
    let first = usize::from(flags & 1) * 4;
    flags & !0b111 == 0 && (times.len() == all || times.len() == first)
}

/// Four reserved bytes, then attributes, of which only the three times are known.
fn is_ntfs_times(content: &[u8]) -> bool {
    content.len() == 32 && content.get(4..8) == Some(&[1, 0, 24, 0])
}

/// Version 1, then size and value of the owner, then of the group.
fn is_unix_ids(content: &[u8]) -> bool {
    let Some((&1, rest)) = content.split_first() else { return false };
    behind_counted(rest).and_then(behind_counted).is_some_and(<[u8]>::is_empty)
}

/// What follows a value that its length precedes.
fn behind_counted(bytes: &[u8]) -> Option<&[u8]> {
    let (&len, rest) = bytes.split_first()?;
    rest.get(usize::from(len)..)
}

/// A field that gives a name or comment in UTF-8 must say what the header says anyway.
fn check_same(id: u16, content: &[u8], header: &[u8], name: &str) -> Result<()> {
    let same = content.split_first_chunk::<5>().is_some_and(|(&[version, crc @ ..], text)| {
        let mut sum = flate2::Crc::new();
        sum.update(header);
        version == 1 && u32::from_le_bytes(crc) == sum.sum() && text == header
    });
    if same {
        return Ok(());
    }
    Err(wrong(name, format!("has an extra field 0x{id:04x} that says something else than its header")))
}

/// Sizes of the header with those of the zip64 field in the places that refer to it: all of these and nothing else.
fn with_zip64(bearer: Bearer<'_>, wide: Option<&[u8]>) -> Result<Sizes> {
    let full = u64::from(u32::MAX);
    let Sizes { size, packed, offset } = bearer.sizes;
    let mut fields = [size, packed, offset];
    let refers = fields.iter().filter(|field| **field == full).count();
    let fault = |problem: &str| refuse(ErrorCode::PackageArchiveZip64, bearer.shown, problem);
    let Some(wide) = wide else {
        return if refers == 0 { Ok(bearer.sizes) } else { Err(fault("refers to a zip64 field that is not there")) };
    };
    if refers == 0 || wide.len() != refers * 8 {
        return Err(fault("has a zip64 field that does not fit its header"));
    }
    let mut at = 0;
    for field in fields.iter_mut().filter(|field| **field == full) {
        *field = u64_at(wide, at).ok_or_else(|| fault("has a zip64 field that does not fit its header"))?;
        at += 8;
    }
    let [size, packed, offset] = fields;
    Ok(Sizes { size, packed, offset })
}

/// A data descriptor without its signature: checksum, packed size, size, the sizes of four or eight bytes.
pub(super) fn descriptor(bytes: &[u8], is_wide: bool) -> Option<(u32, u64, u64)> {
    let crc = u32_at(bytes, 0)?;
    if is_wide {
        return Some((crc, u64_at(bytes, 4)?, u64_at(bytes, 12)?));
    }
    Some((crc, u32_at(bytes, 4)?.into(), u32_at(bytes, 8)?.into()))
}
