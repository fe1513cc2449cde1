//! Writes archives: the same files give the same bytes, on any machine, whatever the order and time they come in.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};

use super::directory::{DEFLATED, FLAG_UTF8, STORED};
use super::limits::Limits;
use super::names;
use super::refusal::entry as refuse;
use super::{Archive, refusal};
use crate::error::{ErrorCode, Result, bug};

/// Features of the oldest readers; deflate needs no more.
const VERSION: u16 = 20;
/// Made on Unix, so that the mode counts.
const MADE_BY: u16 = 3 << 8 | VERSION;
/// Midnight of the first day that the format knows.
const TIME: [u16; 2] = [0, 1 << 5 | 1];
/// A plain file, 0644.
const ATTRIBUTES: u32 = 0o100_644 << 16;

/// Packs files, given by name and content, into an archive: the same files give the same bytes, in whatever order they come.
/// What [`Archive::read`] would refuse is refused.
pub fn write<N, C>(files: impl IntoIterator<Item = (N, C)>, limits: &Limits) -> Result<Vec<u8>>
where
    N: Into<String>,
    C: AsRef<[u8]>,
{
    let limits = limits.capped();
    let (mut sorted, mut total) = (BTreeMap::new(), 0_u64);
    for (name, content) in files {
        let name = name.into();
        total = total.saturating_add(content.as_ref().len() as u64);
        if total > limits.total_bytes {
            return Err(refusal::archive(
                ErrorCode::PackageArchiveSize,
                format!("would hold more than {} bytes (the host may raise `total_bytes`)", limits.total_bytes),
            ));
        }
        if sorted.contains_key(&name) {
            return Err(names::taken(ErrorCode::PackageArchiveDuplicate, &name, &name));
        }
        sorted.insert(name, content);
    }
    let (mut entries, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in &sorted {
        add(&mut entries, &mut directory, name, content.as_ref(), &limits)?;
    }
    finish(&mut entries, &directory, sorted.len())?;
    // The reader has the last word on names, collisions and limits.
    let entries = Arc::new(entries);
    Archive::read(Arc::clone(&entries), &limits)?;
    Ok(Arc::unwrap_or_clone(entries))
}

/// Appends one file to the entries and its header to the directory.
fn add(entries: &mut Vec<u8>, directory: &mut Vec<u8>, name: &str, content: &[u8], limits: &Limits) -> Result<()> {
    if names::check(name.as_bytes(), true)?.is_directory {
        return Err(refuse(ErrorCode::PackageArchiveName, name, "has the name of a directory"));
    }
    let deflated = deflate(content)?;
    // What would look like a bomb is stored.
    let is_plausible = content.len() as u64 <= (deflated.len() as u64).saturating_mul(limits.ratio);
    let is_packed = deflated.len() < content.len() && is_plausible;
    let (method, packed) = if is_packed { (DEFLATED, deflated.as_slice()) } else { (STORED, content) };
    let flags = if name.is_ascii() { 0 } else { FLAG_UTF8 };
    let mut crc = Crc::new();
    crc.update(content);

    let mut common = Vec::new();
    for field in [VERSION, flags, method, TIME[0], TIME[1]] {
        common.extend_from_slice(&field.to_le_bytes());
    }
    common.extend_from_slice(&crc.sum().to_le_bytes());
    common.extend_from_slice(&number(packed.len())?.to_le_bytes());
    common.extend_from_slice(&number(content.len())?.to_le_bytes());
    // Length of the name, which the grammar bounds; no extra fields.
    common.extend_from_slice(&number(name.len())?.to_le_bytes());

    let offset = number(entries.len())?;
    entries.extend_from_slice(b"PK\x03\x04");
    entries.extend_from_slice(&common);
    entries.extend_from_slice(name.as_bytes());
    entries.extend_from_slice(packed);

    directory.extend_from_slice(b"PK\x01\x02");
    directory.extend_from_slice(&MADE_BY.to_le_bytes());
    directory.extend_from_slice(&common);
    // No comment, first disk, nothing known about the content.
    directory.extend_from_slice(&[0; 6]);
    directory.extend_from_slice(&ATTRIBUTES.to_le_bytes());
    directory.extend_from_slice(&offset.to_le_bytes());
    directory.extend_from_slice(name.as_bytes());
    Ok(())
}

fn deflate(content: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    let done = encoder.write_all(content).and_then(|()| encoder.finish());
    done.map_err(|error| bug!("compression into memory failed: {error}"))
}

/// Appends the directory and the end record.
fn finish(entries: &mut Vec<u8>, directory: &[u8], count: usize) -> Result<()> {
    let offset = number(entries.len())?;
    let count = u16::try_from(count).map_err(|_full| {
        refusal::archive(
            ErrorCode::PackageArchiveCount,
            format!("would have {count} files, more than the format holds"),
        )
    })?;
    entries.extend_from_slice(directory);
    entries.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    entries.extend_from_slice(&count.to_le_bytes());
    entries.extend_from_slice(&count.to_le_bytes());
    entries.extend_from_slice(&number(directory.len())?.to_le_bytes());
    entries.extend_from_slice(&offset.to_le_bytes());
    entries.extend_from_slice(&[0; 2]);
    Ok(())
}

/// A size or place as the format stores it; the caps keep all of them below four gibibytes.
fn number(value: usize) -> Result<u32> {
    u32::try_from(value).map_err(|_full| bug!("an archive grew beyond its cap"))
}
