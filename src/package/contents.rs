//! What a package holds: its manifest, its module, and files that are not code. The same rules for archives and for
//! directories.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::archive::{Archive, EntryKind, Limits};
use super::files;
use super::request::Asked;
use super::trust::Subject;
use crate::error::{Error, ErrorCode, Result};
use crate::plugin::manifest::MAX_MANIFEST_BYTES;
use crate::plugin::name::shorten;
use crate::plugin::{Manifest, RuntimeKind};

/// Names of manifests; a package has exactly one of them.
pub const MANIFESTS: [&str; 2] = ["plugin.yaml", "manifest.json"];
/// Directories with files that hosts may read.
pub const ASSET_DIRECTORIES: [&str; 3] = ["assets", "i18n", "templates"];
/// Most files of a directory that is no package, and how deep they lie.
const MAX_DIRECTORY_FILES: usize = 10_000;
const MAX_DIRECTORY_DEPTH: usize = 16;

/// Where the files of a plugin are.
pub trait Files: Send + Sync {
    /// Names of the files at the root and below the asset directories.
    fn names(&self) -> Result<Vec<String>>;

    /// Content of a file, `None` when there is none of that name.
    fn read(&self, name: &str, max_bytes: usize) -> Result<Option<Vec<u8>>>;

    /// True when there is a file of that name.
    fn has(&self, name: &str) -> Result<bool>;

    /// How messages call it.
    fn shown(&self) -> String;
}

/// Files of an archive that is kept in memory.
pub struct ArchiveFiles {
    /// The archive.
    pub archive: Arc<Archive>,
    /// Where it was read from.
    pub path: PathBuf,
}

impl Files for ArchiveFiles {
    fn names(&self) -> Result<Vec<String>> {
        let files = self.archive.entries().iter().filter(|entry| entry.kind() == EntryKind::File);
        Ok(files.map(|entry| entry.name().to_owned()).collect())
    }

    fn read(&self, name: &str, max_bytes: usize) -> Result<Option<Vec<u8>>> {
        let Some(entry) = self.archive.entry(name).filter(|entry| entry.kind() == EntryKind::File) else {
            return Ok(None);
        };
        if entry.size() > u64::try_from(max_bytes).unwrap_or(u64::MAX) {
            return Err(too_large(name, max_bytes));
        }
        Ok(Some(self.archive.content(entry)?.into_owned()))
    }

    fn has(&self, name: &str) -> Result<bool> {
        Ok(self.archive.entry(name).is_some_and(|entry| entry.kind() == EntryKind::File))
    }

    fn shown(&self) -> String {
        files::shown(&self.path)
    }
}

/// Files of a directory.
pub struct DirectoryFiles {
    /// The directory.
    pub root: PathBuf,
}

impl Files for DirectoryFiles {
    fn names(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for (name, is_directory) in children(&self.root)? {
            if !is_directory {
                names.push(name);
            } else if ASSET_DIRECTORIES.contains(&name.as_str()) {
                self.collect(&name, 1, &mut names)?;
            }
        }
        names.sort();
        Ok(names)
    }

    fn read(&self, name: &str, max_bytes: usize) -> Result<Option<Vec<u8>>> {
        match files::read_if_there(&self.inside(name)?, max_bytes) {
            Err(error) if error.code() == ErrorCode::PackageTooLarge => Err(too_large(name, max_bytes)),
            read => read,
        }
    }

    fn has(&self, name: &str) -> Result<bool> {
        Ok(self.inside(name)?.is_file())
    }

    fn shown(&self) -> String {
        files::shown(&self.root)
    }
}

impl DirectoryFiles {
    fn collect(&self, directory: &str, depth: usize, names: &mut Vec<String>) -> Result<()> {
        for (name, is_directory) in children(&self.root.join(directory))? {
            let name = format!("{directory}/{name}");
            if depth >= MAX_DIRECTORY_DEPTH || names.len() >= MAX_DIRECTORY_FILES {
                return Err(invalid(format!("`{}` has too many or too deep files", shorten(directory, 100))));
            }
            if is_directory {
                self.collect(&name, depth + 1, names)?;
            } else {
                names.push(name);
            }
        }
        Ok(())
    }

    /// A path below the directory; what would lead out of it is refused.
    fn inside(&self, name: &str) -> Result<PathBuf> {
        let plain = Path::new(name).components().all(|component| matches!(component, Component::Normal(_)));
        if !plain || name.is_empty() || name.contains(['\0', '\\']) {
            return Err(invalid(format!("the file `{}` is outside the plugin's directory", shorten(name, 100))));
        }
        let path = self.root.join(name);
        match (self.root.canonicalize(), path.canonicalize()) {
            (Ok(root), Ok(real)) if real.starts_with(&root) => Ok(real),
            (Ok(_), Ok(_)) => {
                Err(invalid(format!("`{}` is a link that leads out of the plugin's directory", shorten(name, 100))))
            }
            _ => Ok(path),
        }
    }
}

/// Names in a directory and whether each is a directory itself. Names that are not UTF-8 can't be asked for.
fn children(directory: &Path) -> Result<Vec<(String, bool)>> {
    let entries = std::fs::read_dir(directory).map_err(|error| files::io("read", directory, error))?;
    let mut children = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| files::io("read", directory, error))?;
        let Ok(kind) = entry.file_type() else { continue };
        // A link to a directory could lead anywhere and in circles; as a file it fails when it is read.
        if let Ok(name) = entry.file_name().into_string() {
            children.push((name, kind.is_dir()));
        }
    }
    Ok(children)
}

/// A package whose rules were checked.
pub struct Contents {
    /// Manifest.
    pub manifest: Manifest,
    /// How it runs.
    pub runtime: RuntimeKind,
    /// Name of the file with the code: a module or a program.
    pub module: Option<String>,
    /// What it asks for.
    pub asked: Asked,
    files: Arc<dyn Files>,
}

impl Contents {
    /// Reads manifest and rules of a package.
    pub fn of(files: Arc<dyn Files>) -> Result<Self> {
        let names = files.names()?;
        let manifest = read_manifest(&*files, &names)?;
        let modules: Vec<&String> = names.iter().filter(|name| is_root_module(name)).collect();
        let runtime = match manifest.runtime_kind()? {
            Some(runtime) => runtime,
            None if modules.is_empty() && manifest.wasm.is_empty() => RuntimeKind::Template,
            None => RuntimeKind::Wasm,
        };
        let module = match runtime {
            RuntimeKind::Wasm => Some(module_name(&manifest, &modules, &*files)?),
            RuntimeKind::Template => {
                check_no_code(&manifest, &names)?;
                None
            }
            RuntimeKind::Process => Some(program_name(&manifest, &*files)?),
        };
        let asked = Asked::of(&manifest.resources);
        asked.check_size()?;
        Ok(Self { manifest, runtime, module, asked, files })
    }

    /// What it says about itself.
    #[must_use]
    pub fn subject(&self) -> Subject<'_> {
        Subject {
            name: &self.manifest.name,
            version: &self.manifest.version,
            permissions_sha256: Some(self.asked.fingerprint()),
        }
    }

    /// The code; nothing for a plugin that has none.
    pub fn code(&self, max_bytes: usize) -> Result<Vec<u8>> {
        let Some(module) = &self.module else { return Ok(Vec::new()) };
        match self.files.read(module, max_bytes) {
            Err(error) if error.code() == ErrorCode::PackageAssetTooLarge => Err(Error::new(
                ErrorCode::PackageModuleLimits,
                format!("`{}` is larger than {max_bytes} bytes", shorten(module, 100)),
            )),
            code => code?.ok_or_else(|| missing(module)),
        }
    }

    /// Every file but the code and the signatures over it, for a plugin that reads its own files.
    pub fn further_files(&self, limits: &Limits) -> Result<Vec<(String, Vec<u8>)>> {
        let [max_bytes, mut left] =
            [limits.file_bytes, limits.total_bytes].map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let is_code = |name: &str| {
            let rest = self.module.as_deref().and_then(|module| name.strip_prefix(module));
            rest.is_some_and(|rest| ["", ".sig", ".gksig"].contains(&rest))
        };
        let names = self.files.names()?.into_iter().filter(|name| !is_code(name));
        let mut files = Vec::new();
        for name in names {
            if let Some(content) = self.files.read(&name, max_bytes.min(left))? {
                left -= content.len();
                files.push((name, content));
            }
        }
        Ok(files)
    }

    /// Files that hosts may read, with the hashes of what they hold at this moment.
    pub fn assets(&self, max_bytes: usize) -> Result<Assets> {
        let mut entries = BTreeMap::new();
        for name in self.files.names()?.into_iter().filter(|name| is_asset(name)) {
            let Some(content) = self.files.read(&name, max_bytes)? else { continue };
            let entry = Asset { size: content.len(), sha256: Sha256::digest(&content).into() };
            entries.insert(name, entry);
        }
        Ok(Assets { files: Arc::clone(&self.files), entries })
    }
}

fn read_manifest(files: &dyn Files, names: &[String]) -> Result<Manifest> {
    let present: Vec<&str> =
        MANIFESTS.into_iter().filter(|manifest| names.iter().any(|name| name == manifest)).collect();
    let [name] = present[..] else {
        let problem = if present.is_empty() { "has no manifest" } else { "has two manifests" };
        return Err(Error::new(
            ErrorCode::PackageManifestMissing,
            format!("`{}` {problem} at its root (exactly one of plugin.yaml and manifest.json)", files.shown()),
        ));
    };
    let text = match files.read(name, MAX_MANIFEST_BYTES) {
        Err(error) if error.code() == ErrorCode::PackageAssetTooLarge => {
            return Err(invalid(format!("the manifest is larger than {MAX_MANIFEST_BYTES} bytes")));
        }
        text => text?.unwrap_or_default(),
    };
    let manifest = if name.ends_with(".json") { Manifest::from_json(&text) } else { Manifest::from_yaml(&text) };
    manifest.map_err(|error| error.prefixed(&format!("{}/{name}", files.shown())).with_detail("entry", name))
}

/// The module that the manifest names, or the only `.wasm` file at the root.
fn module_name(manifest: &Manifest, modules: &[&String], files: &dyn Files) -> Result<String> {
    if !manifest.wasm.is_empty() {
        return if files.has(&manifest.wasm)? { Ok(manifest.wasm.clone()) } else { Err(missing(&manifest.wasm)) };
    }
    match modules {
        [module] => Ok((*module).clone()),
        _ => Err(Error::new(
            ErrorCode::PackageModuleMissing,
            format!(
                "`{}` has {} .wasm file at its root (name it in the manifest: `wasm: FILE`)",
                files.shown(),
                if modules.is_empty() { "no" } else { "more than one" }
            ),
        )),
    }
}

/// The program that the manifest names, or the one that is called like the plugin.
fn program_name(manifest: &Manifest, files: &dyn Files) -> Result<String> {
    let name = if manifest.binary.is_empty() { &manifest.name } else { &manifest.binary };
    if files.has(name)? { Ok(name.clone()) } else { Err(missing(name)) }
}

fn missing(module: &str) -> Error {
    Error::new(
        ErrorCode::PackageModuleMissing,
        format!("the manifest names `{}`, which is not there (build the plugin?)", shorten(module, 100)),
    )
}

/// A package that says it has no code must not bring any: what looks harmless would be reviewed as harmless.
fn check_no_code(manifest: &Manifest, names: &[String]) -> Result<()> {
    let is_code = |name: &&String| {
        let extension =
            name.rsplit('/').next().and_then(|file| file.rsplit_once('.')).map_or("", |(_, extension)| extension);
        ["wasm", "so", "dll", "dylib", "exe"].iter().any(|code| extension.eq_ignore_ascii_case(code))
    };
    let found = names.iter().find(is_code).or_else(|| Some(&manifest.wasm).filter(|name| !name.is_empty()));
    match found.or_else(|| Some(&manifest.binary).filter(|name| !name.is_empty())) {
        None => Ok(()),
        Some(name) => Err(Error::new(
            ErrorCode::PackageUnexpectedCode,
            format!(
                "the package has no code by its manifest (`runtime: template`), but `{}` (for a program write `runtime: grpc`)",
                shorten(name, 100)
            ),
        )
        .with_detail("entry", shorten(name, 240))),
    }
}

fn is_root_module(name: &str) -> bool {
    !name.contains('/') && Path::new(name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("wasm"))
}

fn is_asset(name: &str) -> bool {
    name.split_once('/').is_some_and(|(directory, _)| ASSET_DIRECTORIES.contains(&directory))
}

/// Files of a plugin that hosts may read: known by their hashes, read when they are asked for.
pub struct Assets {
    files: Arc<dyn Files>,
    entries: BTreeMap<String, Asset>,
}

#[derive(Debug)]
struct Asset {
    size: usize,
    sha256: [u8; 32],
}

impl Assets {
    /// The same files, read from another place from now on; what does not have the same hash there is refused.
    #[must_use]
    pub fn moved_to(self, files: Arc<dyn Files>) -> Self {
        Self { files, ..self }
    }

    /// All files with their sizes.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let entry = |(name, asset): (&String, &Asset)| serde_json::json!({ "name": name, "size": asset.size, "sha256": super::hex::encode(&asset.sha256) });
        self.entries.iter().map(entry).collect()
    }

    /// Names of files, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Content of a file: the bytes that were there when the plugin was loaded, or an error.
    pub fn read(&self, name: &str, max_bytes: usize) -> Result<Vec<u8>> {
        let unknown =
            || Error::new(ErrorCode::PackageAssetNotFound, format!("the plugin has no file `{}`", shorten(name, 100)));
        let asset = self.entries.get(name).ok_or_else(unknown)?;
        if asset.size > max_bytes {
            return Err(too_large(name, max_bytes));
        }
        let changed = || changed(&format!("`{}`", shorten(name, 100)));
        let content = match self.files.read(name, asset.size) {
            Err(error) if error.code() == ErrorCode::PackageAssetTooLarge => return Err(changed()),
            content => content?.ok_or_else(changed)?,
        };
        let digest: [u8; 32] = Sha256::digest(&content).into();
        if digest == asset.sha256 { Ok(content) } else { Err(changed()) }
    }
}

/// Error for a file that is not what was verified.
pub fn changed(what: &str) -> Error {
    Error::new(
        ErrorCode::PackageChanged,
        format!("{what} is not what was verified when it was installed or loaded (install the package again)"),
    )
}

fn too_large(name: &str, max_bytes: usize) -> Error {
    Error::new(ErrorCode::PackageAssetTooLarge, format!("`{}` is larger than {max_bytes} bytes", shorten(name, 100)))
        .with_detail("entry", shorten(name, 240))
}

fn invalid(context: String) -> Error {
    Error::new(ErrorCode::PackageManifestInvalid, context)
}

impl std::fmt::Debug for Contents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contents").field("name", &self.manifest.name).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Assets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Assets").field("entries", &self.entries.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
