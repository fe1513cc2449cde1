//! Packs a source directory.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use super::limits::Limits;
use super::write::write;
use crate::error::{Error, ErrorCode, Result};
use crate::package::signature::SecretKey;
use crate::plugin::name::shorten;

/// Deepest directory that is looked into; the grammar of names allows less.
const MAX_DEPTH: usize = 20;
/// Longest file that may be a private key.
const MAX_KEY_BYTES: usize = 1024;

/// Packs the directory `root`. Links, special files and what [`Archive::read`](super::Archive::read) would refuse are
/// refused. Left out are names that begin with a dot, `node_modules`, and at the root `target` and earlier packages
/// (`*.zip`, `*.sig`, `*.gksig`). Keys (`*.key`, `*.pem`) are left out everywhere, and what is a private key under another
/// name is refused: a package is made to be given away.
pub fn pack(root: &Path, limits: &Limits) -> Result<Vec<u8>> {
    let mut files = Vec::new();
    let mut room = Room { files: limits.capped().entries, bytes: limits.capped().total_bytes };
    collect(root, "", &mut room, &mut files)?;
    write(files, limits)
}

/// What may still be read.
struct Room {
    files: usize,
    bytes: u64,
}

fn collect(directory: &Path, prefix: &str, room: &mut Room, files: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
    if prefix.split('/').count() > MAX_DEPTH {
        return Err(refused(ErrorCode::PackageArchiveDepth, prefix, "lies too deep for a package"));
    }
    let entries = fs::read_dir(directory).map_err(|error| io(directory, error))?;
    for entry in entries {
        let entry = entry.map_err(|error| io(directory, error))?;
        let Ok(name) = entry.file_name().into_string() else {
            let shown = entry.path().display().to_string();
            return Err(refused(ErrorCode::PackageArchiveNameEncoding, &shown, "has a name that is not UTF-8"));
        };
        if is_left_out(&name, prefix.is_empty()) {
            continue;
        }
        let (path, inside) = (entry.path(), format!("{prefix}{name}"));
        let kind = fs::symlink_metadata(&path).map_err(|error| io(&path, error))?.file_type();
        if kind.is_dir() {
            collect(&path, &format!("{inside}/"), room, files)?;
        } else if kind.is_file() {
            let content = read(&path, &inside, room)?;
            files.push((inside, content));
        } else {
            let problem = "is a link or a special file, which no package may hold (replace it by what it stands for)";
            return Err(refused(ErrorCode::PackageArchiveSource, &inside, problem));
        }
    }
    Ok(())
}

fn is_left_out(name: &str, is_root: bool) -> bool {
    let is_package = [".zip", ".sig", ".gksig"].iter().any(|end| name.to_ascii_lowercase().ends_with(end));
    let is_key = [".key", ".pem"].iter().any(|end| name.to_ascii_lowercase().ends_with(end));
    name.starts_with('.') || name == "node_modules" || is_key || (is_root && (name == "target" || is_package))
}

fn read(path: &Path, inside: &str, room: &mut Room) -> Result<Vec<u8>> {
    room.files = room.files.checked_sub(1).ok_or_else(|| {
        refused(
            ErrorCode::PackageArchiveCount,
            inside,
            "is one more than a package may hold (the host may raise `entries`)",
        )
    })?;
    let file = File::open(path).map_err(|error| io(path, error))?;
    let mut content = Vec::new();
    file.take(room.bytes + 1).read_to_end(&mut content).map_err(|error| io(path, error))?;
    room.bytes = room.bytes.checked_sub(content.len() as u64).ok_or_else(|| {
        refused(ErrorCode::PackageArchiveSize, inside, "makes the package too large (the host may raise `total_bytes`)")
    })?;
    if is_private_key(&content) {
        let problem = "is a private key, which no package may hold (keep it outside of the directory)";
        return Err(refused(ErrorCode::PackageArchiveSource, inside, problem));
    }
    Ok(content)
}

/// Seed and public key that belong together; the seed alone can't be told from any hash.
fn is_private_key(content: &[u8]) -> bool {
    content.len() <= MAX_KEY_BYTES
        && std::str::from_utf8(content)
            .is_ok_and(|text| text.trim_ascii_end().len() == 128 && SecretKey::parse(text).is_ok())
}

fn refused(code: ErrorCode, name: &str, problem: &str) -> Error {
    let name = shorten(name, 260);
    Error::new(code, format!("`{name}` {problem}")).with_detail("entry", name)
}

fn io(path: &Path, error: std::io::Error) -> Error {
    let shown = shorten(&path.display().to_string(), 300);
    Error::new(ErrorCode::EnvironmentIo, format!("can't read `{shown}`")).with_source(error)
}
