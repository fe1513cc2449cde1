//! Which files of a path count.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::MAX_ENTRIES;
use super::resolve::{self, Way};
use crate::error::{Error, ErrorCode, Result};
use crate::package::contents::{ASSET_DIRECTORIES, MANIFESTS};
use crate::package::files;
use crate::package::gate::beside;
use crate::plugin::Manifest;
use crate::plugin::manifest::MAX_MANIFEST_BYTES;

/// How deep a watched tree may be.
const MAX_DEPTH: usize = 32;
const SIGNATURES: [&str; 2] = ["sig", "gksig"];
/// Directories that hold what programs made, not what people wrote.
const OUTPUT_DIRECTORIES: [&str; 3] = ["node_modules", "target", "__pycache__"];
/// Endings of files that compilers and editors leave behind.
const OUTPUT_ENDINGS: [&str; 10] = [".wasm", ".o", ".a", ".so", ".obj", ".pyc", ".tmp", ".swp", ".zip", "~"];

/// What of a path counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// What is loaded: the file with its signatures; of a directory the manifest, the code it names and the files that hosts
    /// may read.
    Plugin,
    /// What people write: every file below a directory, without what is hidden, what compilers and editors leave behind,
    /// the code that the manifest names, and these names.
    Sources {
        /// Names of further files and directories that don't count.
        ignored: Vec<String>,
    },
}

/// What a watch needs to know about a directory, a link or a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Interest {
    /// Whether it is replaced.
    Itself,
    /// What happens to these names in it.
    Names(BTreeSet<OsString>),
    /// What happens in it.
    Everything,
}

/// What is to be looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Files whose content counts; by the path they are read at.
    pub(super) files: BTreeSet<PathBuf>,
    /// Directories and links, each without links before its last part.
    pub(super) places: BTreeMap<PathBuf, Interest>,
    /// What would be loaded is there.
    pub(super) is_whole: bool,
}

impl Plan {
    /// Looks at `path` as `scope` says.
    pub(super) fn of(path: &Path, scope: &Scope) -> Result<Self> {
        let mut plan = Self::default();
        match scope {
            Scope::Plugin if !path.is_dir() => {
                plan.is_whole = plan.add_file(path)?;
                for extension in SIGNATURES {
                    plan.add_file(&beside(path, extension))?;
                }
            }
            Scope::Plugin => plan.add_plugin(path)?,
            Scope::Sources { ignored } => {
                plan.is_whole = true;
                let outputs = outputs(path);
                let counts = |at: &Path, name: &OsStr, is_directory: bool| {
                    let text = name.to_string_lossy();
                    let is_output = match is_directory {
                        true => OUTPUT_DIRECTORIES.contains(&&*text),
                        false => OUTPUT_ENDINGS.iter().any(|ending| text.ends_with(ending)),
                    };
                    let is_ignored = ignored.iter().any(|ignored| **ignored == *text);
                    !text.starts_with('.') && !is_output && !is_ignored && !outputs.contains(&at.join(name))
                };
                plan.add_way(path)?;
                plan.add_tree(path, 0, &counts)?;
            }
        }
        Ok(plan)
    }

    /// Files and places.
    pub(super) fn entries(&self) -> usize {
        self.files.len() + self.places.len()
    }

    fn add_plugin(&mut self, root: &Path) -> Result<()> {
        self.add_way(root)?;
        self.want(root, Interest::Everything)?;
        for name in MANIFESTS {
            self.is_whole |= self.add_file(&root.join(name))?;
        }
        let named = code_of(root);
        let modules = match &named {
            Some(name) => vec![root.join(name)],
            None => modules_at(root),
        };
        self.is_whole &= named.is_none() || modules.iter().all(|module| module.is_file());
        for module in modules {
            self.add_file(&module)?;
            for extension in SIGNATURES {
                self.add_file(&beside(&module, extension))?;
            }
        }
        for name in ASSET_DIRECTORIES {
            let directory = root.join(name);
            // A link to a directory is no directory of a plugin.
            if std::fs::symlink_metadata(&directory).is_ok_and(|metadata| metadata.is_dir()) {
                self.add_tree(&directory, 1, &|_, _, _| true)?;
            }
        }
        Ok(())
    }

    /// A file whose content counts, whether it exists or not; true when it does.
    fn add_file(&mut self, path: &Path) -> Result<bool> {
        let mut exists = false;
        if let (Some(directory), Some(name)) = (path.parent(), path.file_name()) {
            self.add_way(directory)?;
            self.want(directory, Interest::Names([name.to_owned()].into()))?;
            if let Some(end) = self.add_way(path)?.end {
                exists = true;
                if let (Some(directory), Some(name)) = (end.parent(), end.file_name()) {
                    self.want(directory, Interest::Names([name.to_owned()].into()))?;
                }
            }
        }
        self.files.insert(path.to_owned());
        self.check_size()?;
        Ok(exists)
    }

    fn add_tree(&mut self, directory: &Path, depth: usize, counts: &dyn Fn(&Path, &OsStr, bool) -> bool) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(too_large(format!("`{}` is more than {MAX_DEPTH} directories deep", directory.display())));
        }
        self.want(directory, Interest::Everything)?;
        // What can't be read, or is gone by now, has nothing that counts.
        let Ok(entries) = std::fs::read_dir(directory) else { return Ok(()) };
        for entry in entries.flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            let name = entry.file_name();
            if !counts(directory, &name, kind.is_dir()) {
                continue;
            }
            let path = directory.join(&name);
            if kind.is_dir() {
                self.add_tree(&path, depth + 1, counts)?;
            } else if kind.is_symlink() {
                // A link to a file counts by what it shows; one to a directory could lead anywhere.
                if !path.is_dir() {
                    self.add_file(&path)?;
                }
            } else {
                self.files.insert(path);
            }
            self.check_size()?;
        }
        Ok(())
    }

    /// Everything that `path` leads through.
    fn add_way(&mut self, path: &Path) -> Result<Way> {
        let way = resolve::follow(path);
        for place in &way.through {
            self.want(place, Interest::Itself)?;
        }
        if let Some((directory, name)) = &way.missing {
            self.want(directory, Interest::Names([name.clone()].into()))?;
        }
        Ok(way)
    }

    fn want(&mut self, place: &Path, interest: Interest) -> Result<()> {
        let known = self.places.entry(place.to_owned()).or_insert(Interest::Itself);
        match (known, interest) {
            (_, Interest::Itself) | (Interest::Everything, _) => {}
            (Interest::Names(names), Interest::Names(more)) => names.extend(more),
            (known, interest) => *known = interest,
        }
        self.check_size()
    }

    fn check_size(&self) -> Result<()> {
        if self.entries() <= MAX_ENTRIES {
            return Ok(());
        }
        Err(too_large(format!("there are more than {MAX_ENTRIES} files and directories to watch")))
    }
}

fn too_large(problem: String) -> Error {
    Error::new(ErrorCode::LifecycleWatchTooLarge, format!("{problem} (watch a smaller directory)"))
}

/// Code that the manifest in `root` names, if it can be read and does.
fn code_of(root: &Path) -> Option<String> {
    let manifest = MANIFESTS.iter().find_map(|name| {
        // A pipe would block the thread of all watches, a device might never end.
        let text = files::read(&root.join(name), MAX_MANIFEST_BYTES).ok()?;
        if name.ends_with(".json") { Manifest::from_json(&text).ok() } else { Manifest::from_yaml(&text).ok() }
    })?;
    let is_native = manifest.runtime.eq_ignore_ascii_case("grpc");
    let named = match (is_native, manifest.binary.is_empty()) {
        (false, _) => manifest.wasm,
        (true, false) => manifest.binary,
        (true, true) => manifest.name,
    };
    // What leads out of the directory is refused when it is loaded; it is not looked at either.
    let is_inside = Path::new(&named).components().all(|part| matches!(part, std::path::Component::Normal(_)));
    Some(named).filter(|named| is_inside && !named.is_empty())
}

/// Modules at the root, one of which is the plugin where the manifest names none.
fn modules_at(root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let is_module = |path: &PathBuf| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("wasm"));
    let mut modules: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_module).take(MAX_ENTRIES).collect();
    modules.sort();
    modules
}

/// Files that a build makes.
fn outputs(root: &Path) -> BTreeSet<PathBuf> {
    code_of(root).map(|name| root.join(name)).into_iter().collect()
}
