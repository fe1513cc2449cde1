//! Puts the files of a package in place, and removes what is not recorded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::state::{Release, State};
use super::{Store, release_of};
use crate::error::{Error, ErrorCode, Result};
use crate::package::files;
use crate::package::gate::{Gate, Package, beside};
use crate::plugin::name::check_name;

/// What directories of installations under way begin with.
const STAGING: &str = ".staging-";

impl Store {
    /// Writes a package's files, unless they are there, unchanged. Nothing refers to them yet.
    pub(super) fn place(&self, gate: &Gate, package: &Package, state: &State) -> Result<Release> {
        let name = &package.contents.manifest.name;
        let known = release_of(package, Vec::new()).key();
        if let Some(installed) = state.packages.get(name)
            && let Some(release) = installed.versions.get(&known)
        {
            let sha256 = release_of(package, Vec::new()).sha256;
            if release.sha256 != sha256 {
                return Err(Error::new(
                    ErrorCode::PackageStateInvalid,
                    format!("another package is installed as `{known}` (remove that one first)"),
                ));
            }
            if self.open_release(gate, name, &known, installed).is_err() {
                return self.stage(package);
            }
            return Ok(Release { files: release.files.clone(), ..release_of(package, Vec::new()) });
        }
        self.stage(package)
    }

    fn stage(&self, package: &Package) -> Result<Release> {
        let staging = self.root.join(format!("{STAGING}{}", files::random_name()?));
        files::create_directory(&staging, 0o700)?;
        let placed = self.fill(&staging, package);
        // What is left of it is garbage, which the next change removes if this can't.
        let _ = files::remove_tree(&staging);
        placed
    }

    fn fill(&self, staging: &Path, package: &Package) -> Result<Release> {
        let tree = staging.join("tree");
        files::create_directory(&tree, 0o755)?;
        let written = package.archive.extract_into(&tree)?;
        let release = release_of(package, written.into_iter().map(|file| (file.name, file.sha256)).collect());
        let kept = staging.join("package.zip");
        files::write_new(&kept, &package.admitted.bytes, 0o644)?;
        let mut moves = vec![(tree, None), (kept.clone(), Some("zip"))];
        for (text, extension, full) in
            [(&package.admitted.detached, "sig", "zip.sig"), (&package.admitted.note, "gksig", "zip.gksig")]
        {
            if let Some(text) = text {
                let path = beside(&kept, extension);
                files::write_new(&path, text, 0o644)?;
                moves.push((path, Some(full)));
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

/// Removes what no record refers to: staging directories and temporary files that dead processes of this user left, and
/// versions that were removed. What can't be removed now is tried again by the next change.
pub fn collect_garbage(root: &Path, state: &State) {
    for (name, path, is_directory) in children(root) {
        if name.starts_with(STAGING) && is_directory {
            let _ = files::remove_tree(&path);
        } else if name.starts_with(".state.json.") && !is_directory {
            let _ = files::remove_file(&path);
        } else if is_directory && check_name(&name).is_ok() {
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
