//! Opens an installed version: package, signatures and files must still be what was installed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::known::check_approved;
use super::state::{Installed, Release};
use super::{Store, not_installed};
use crate::error::{ErrorCode, Result};
use crate::package::archive::{Archive, EntryKind};
use crate::package::contents::{DirectoryFiles, changed};
use crate::package::gate::{Gate, beside};
use crate::package::{Opened, files, hex, opened};

impl Store {
    /// Opens one version. What runs comes from the bytes of the kept package that its signatures were checked over; the
    /// files beside it are held against them.
    pub(super) fn open_release(&self, gate: &Gate, name: &str, key: &str, installed: &Installed) -> Result<Opened> {
        let release = installed.versions.get(key).ok_or_else(|| not_installed(&format!("{name} {key}")))?;
        check_approved(name, &release.version, &release.asked, installed)?;
        let place = self.root.join(name).join(key);
        let package = gate.package(&beside(&place, "zip")).map_err(|error| match error.code() {
            ErrorCode::PackageNotFound => changed(&format!("the package of `{name}` {key}")).with_source(error),
            _ => error,
        })?;
        if hex::encode(package.admitted.verified.sha256()) != release.sha256 || package.contents.manifest.name != name {
            return Err(changed(&format!("the package of `{name}` {key}")));
        }
        let verified = &package.admitted.verified;
        let is_signed = release.status != "verified" || !verified.signers().is_empty();
        if !is_signed || release.sequence.is_some() && verified.statement().is_none() {
            return Err(changed(&format!("the signature of `{name}` {key}")));
        }
        let max_bytes = usize::try_from(gate.limits.file_bytes).unwrap_or(usize::MAX);
        check_tree(&place, &package.archive, release, max_bytes)?;
        let code = package.contents.code(gate.max_bytes_of(package.contents.runtime))?;
        let mut opened = opened(gate, package.contents, code, package.admitted.verified, files::shown(&place), true)?;
        // Assets are read from the tree from now on, by the hashes of the archive's; the archive need not stay in memory.
        let files = Arc::new(DirectoryFiles { root: place });
        opened.assets = opened.assets.map(|assets| assets.moved_to(files));
        opened.key = Some(key.to_owned());
        Ok(opened)
    }
}

/// The tree holds the archive's files and no others, and the record says the same.
pub(super) fn check_tree(place: &Path, archive: &Archive, release: &Release, max_bytes: usize) -> Result<()> {
    let mut expected = BTreeMap::new();
    for entry in archive.entries().iter().filter(|entry| entry.kind() == EntryKind::File) {
        let digest: [u8; 32] = Sha256::digest(archive.content(entry)?).into();
        expected.insert(entry.name().to_owned(), hex::encode(&digest));
    }
    if expected != release.files {
        return Err(changed("the record of the installed files"));
    }
    let mut found = Vec::new();
    walk(place, String::new(), &mut found, expected.len())?;
    for (name, path) in &found {
        let is_same = match expected.get(name) {
            Some(digest) => hex::encode(&Sha256::digest(files::read(path, max_bytes)?)) == *digest,
            None => false,
        };
        if !is_same {
            return Err(changed(&format!("`{}`", files::shown(path))).with_detail("entry", name.as_str()));
        }
    }
    if found.len() == expected.len() { Ok(()) } else { Err(changed(&format!("`{}`", files::shown(place)))) }
}

/// Regular files below a directory; everything but files and directories is a change.
fn walk(directory: &Path, prefix: String, found: &mut Vec<(String, PathBuf)>, most: usize) -> Result<()> {
    let entries = std::fs::read_dir(directory).map_err(|error| changed(&files::shown(directory)).with_source(error))?;
    for entry in entries {
        let entry = entry.map_err(|error| files::io("read", directory, error))?;
        let kind = entry.file_type().map_err(|error| files::io("read", directory, error))?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_str().map(|name| format!("{prefix}{name}")).unwrap_or_default();
        if name.is_empty() || found.len() > most || !(kind.is_dir() || kind.is_file()) {
            return Err(changed(&format!("`{}`", files::shown(&path))));
        }
        if kind.is_dir() {
            walk(&path, format!("{name}/"), found, most)?;
        } else {
            found.push((name, path));
        }
    }
    Ok(())
}
