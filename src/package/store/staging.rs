//! Puts the files of a package in place, and removes what is not recorded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Store;
use super::report::release_of;
use super::state::{FILE_NAME, Release, State};
use super::tree::check_tree;
use crate::error::{Error, ErrorCode, Result};
use crate::package::files;
use crate::package::gate::{Package, beside};
use crate::package::signature::{detached, note};

/// What directories of installations under way begin with.
const STAGING: &str = ".staging-";
/// What temporary files of the record begin with.
const TEMPORARY: &str = ".state.json.";
/// What is appended to the name of a version for its signature files.
const SIGNATURES: [&str; 2] = ["zip.sig", "zip.gksig"];

impl Store {
    /// Writes a package's files, unless they are there, unchanged. Nothing refers to them yet. What is there is judged by
    /// its bytes alone: whom this host trusts decides nothing about files that others may be running.
    pub(super) fn place(&self, package: &Package, state: &State) -> Result<Release> {
        let fresh = release_of(package, Vec::new());
        let (name, key) = (&package.contents.manifest.name, fresh.key());
        let Some(known) = state.packages.get(name).and_then(|installed| installed.versions.get(&key)) else {
            return self.stage(package, Kept::default());
        };
        if known.sha256 != fresh.sha256 {
            return Err(Error::new(
                ErrorCode::PackageStateInvalid,
                format!("another package is installed as `{key}` (remove that one first)"),
            ));
        }
        let place = self.root.join(name).join(&key);
        let kept = Kept::beside(&place, package);
        let (is_signed, is_brought) = (kept.is_some(), Kept::default().or(package).is_some());
        let release = if is_intact(&place, package, known) {
            kept.replace(&place)?;
            Release { files: known.files.clone(), ..fresh }
        } else {
            self.stage(package, kept)?
        };
        if is_brought || !is_signed {
            return Ok(release);
        }
        // The signatures that are kept are the ones that were recorded.
        let Release { status, signed_by, sequence, .. } = known.clone();
        Ok(Release { status, signed_by, sequence, ..release })
    }

    fn stage(&self, package: &Package, kept: Kept) -> Result<Release> {
        let staging = self.root.join(format!("{STAGING}{}", files::random_name()?));
        files::create_directory(&staging, 0o700)?;
        let placed = self.fill(&staging, package, kept.or(package));
        // What is left of it is garbage, which the next change removes if this can't.
        let _ = files::remove_tree(&staging);
        placed
    }

    fn fill(&self, staging: &Path, package: &Package, signatures: Kept) -> Result<Release> {
        let tree = staging.join("tree");
        files::create_directory(&tree, 0o755)?;
        let written = package.archive.extract_into(&tree)?;
        let release = release_of(package, written.into_iter().map(|file| (file.name, file.sha256)).collect());
        let kept = staging.join("package.zip");
        files::write_new(&kept, &package.admitted.bytes, 0o644)?;
        let mut moves = vec![(tree, None), (kept, Some("zip"))];
        for (extension, text) in signatures.texts() {
            if let Some(text) = text {
                let path = staging.join(extension);
                files::write_new(&path, text, 0o644)?;
                moves.push((path, Some(extension)));
            }
        }
        files::sync_directory(staging)?;
        self.publish(&package.contents.manifest.name, &release.key(), &moves)?;
        Ok(release)
    }

    /// Renames staged files to where they belong. What an unfinished or damaged installation left there goes first.
    fn publish(&self, name: &str, key: &str, moves: &[(PathBuf, Option<&str>)]) -> Result<()> {
        let directory = self.root.join(name);
        files::ensure_directory(&directory, 0o755)?;
        let place = directory.join(key);
        for left_over in ["zip", "zip.sig", "zip.gksig"] {
            files::remove_file(&beside(&place, left_over))?;
        }
        files::remove_tree(&place)?;
        for (from, extension) in moves {
            let to = extension.map_or_else(|| place.clone(), |extension| beside(&place, extension));
            files::rename_new(from, &to)?;
        }
        files::sync_directory(&directory)
    }
}

/// Texts of the signature files that lie beside a package, or are to lie there.
#[derive(Debug, Clone, Default)]
struct Kept {
    detached: Option<Vec<u8>>,
    note: Option<Vec<u8>>,
}

impl Kept {
    /// Those of the package, or those that are kept when it brings none: who installs the same bytes again without their
    /// signature takes nothing away.
    fn beside(place: &Path, package: &Package) -> Self {
        let read = |extension, max_bytes| files::read_if_there(&beside(place, extension), max_bytes).ok().flatten();
        Self { detached: read(SIGNATURES[0], detached::MAX_BYTES), note: read(SIGNATURES[1], note::MAX_BYTES) }
            .or(package)
    }

    fn or(self, package: &Package) -> Self {
        let brought = Self { detached: package.admitted.detached.clone(), note: package.admitted.note.clone() };
        if brought.is_some() { brought } else { self }
    }

    fn is_some(&self) -> bool {
        self.detached.is_some() || self.note.is_some()
    }

    fn texts(&self) -> [(&'static str, Option<&Vec<u8>>); 2] {
        [(SIGNATURES[0], self.detached.as_ref()), (SIGNATURES[1], self.note.as_ref())]
    }

    /// Puts them in the place of those that are there; new ones first, so that there is one at every moment.
    fn replace(&self, place: &Path) -> Result<()> {
        for (extension, text) in self.texts() {
            let path = beside(place, extension);
            if let Some(text) = text
                && std::fs::read(&path).ok().as_ref() != Some(text)
            {
                files::replace(&path, text, 0o644)?;
            }
        }
        for (extension, text) in self.texts() {
            if text.is_none() {
                files::remove_file(&beside(place, extension))?;
            }
        }
        files::sync_directory(files::parent(place))
    }
}

/// True when package and tree are there, as the package that is installed now has them.
fn is_intact(place: &Path, package: &Package, known: &Release) -> bool {
    let bytes = &package.admitted.bytes;
    let largest = package.archive.entries().iter().map(|entry| entry.size()).max().unwrap_or_default();
    files::read(&beside(place, "zip"), bytes.len()).is_ok_and(|kept| kept[..] == bytes[..])
        && check_tree(place, &package.archive, known, usize::try_from(largest).unwrap_or(usize::MAX)).is_ok()
}

/// A directory becomes one of packages only when nothing but an unfinished first change of it is in it.
pub fn check_unused(root: &Path) -> Result<()> {
    let entries = std::fs::read_dir(root).map_err(|error| files::io("read", root, error))?;
    for entry in entries {
        let name = entry.map_err(|error| files::io("read", root, error))?.file_name();
        let is_ours = |name: &str| name == ".lock" || name == FILE_NAME || name.starts_with(TEMPORARY);
        if !name.to_str().is_some_and(is_ours) {
            return Err(Error::new(
                ErrorCode::PackageStateInvalid,
                format!(
                    "`{}` is not empty and holds no record of packages (take an empty directory, or restore its {FILE_NAME})",
                    files::shown(root)
                ),
            ));
        }
    }
    Ok(())
}

/// Removes what no record refers to: staging directories and temporary files that dead processes of this user left, and
/// versions that were removed. What can't be removed now is tried again by the next change.
pub fn collect_garbage(root: &Path, state: &State) {
    for (name, path, is_directory) in children(root) {
        if name.starts_with(STAGING) && is_directory {
            let _ = files::remove_tree(&path);
        } else if name.starts_with(TEMPORARY) && !is_directory {
            let _ = files::remove_file(&path);
        } else if is_directory && (state.packages.contains_key(&name) || state.history.contains_key(&name)) {
            // Other directories were not made by an installation that was ever recorded: they may be anybody's.
            let none = BTreeMap::new();
            let known = state.packages.get(&name).map_or(&none, |installed| &installed.versions);
            collect_versions(&path, known);
            if known.is_empty() {
                // Fails while something else is in it, which is then not ours to remove.
                let _ = std::fs::remove_dir(&path);
            }
        }
    }
}

fn collect_versions(directory: &Path, known: &BTreeMap<String, Release>) {
    for (name, path, is_directory) in children(directory) {
        let key =
            [".zip.gksig", ".zip.sig", ".zip"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(&name);
        if known.contains_key(key) || !is_key(key) {
            continue;
        }
        let _ = if is_directory { files::remove_tree(&path) } else { files::remove_file(&path) };
    }
}

/// True for `<version>-<12 hexadecimal digits>`: a name that an installation gives.
fn is_key(name: &str) -> bool {
    let is_digest = |digest: &str| {
        digest.len() == 12 && digest.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    name.rsplit_once('-').is_some_and(|(version, digest)| !version.is_empty() && is_digest(digest))
}

/// What this user owns in a directory: name, path, whether it is a directory.
fn children(directory: &Path) -> Vec<(String, PathBuf, bool)> {
    use std::os::unix::fs::MetadataExt;
    let own = files::own_uid();
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let metadata = entry.metadata().ok()?;
            let name = entry.file_name().into_string().ok()?;
            (metadata.uid() == own).then(|| (name, entry.path(), metadata.is_dir()))
        })
        .collect()
}
