//! Installed packages.
//!
//! ```text
//! <root>/state.json                        what is installed: replaced as a whole by every change
//! <root>/.lock                             held by whoever changes anything
//! <root>/.staging-<random>/                an installation under way, or what a dead one left behind
//! <root>/<name>/<version>-<digest>/        files of one version, read-only by convention
//! <root>/<name>/<version>-<digest>.zip     its package, with .zip.sig and .zip.gksig
//! ```
//!
//! An installation writes files under names that nobody reads, makes them durable, renames them and only then replaces
//! the record. Whatever happens before that leaves the old record and the old files; what it leaves over is removed by the
//! next change.

mod known;
mod report;
pub mod staging;
pub mod state;
pub mod tree;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::gate::Gate;
use super::lock::Lock;
use super::{Opened, files};
use crate::error::{Error, ErrorCode, Result};
use crate::plugin::name::{check_name, folded, shorten};
pub use known::is_read_only;
use report::describe;
pub use report::status_json;
use state::{Installed, Release, State};

/// A directory of installed packages.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

/// How an installation is to be made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InstallOptions {
    /// Takes a release although a newer one, or one with a stronger signature, was accepted before.
    pub allow_downgrade: bool,
    /// Approves what the package asks for.
    pub approve: bool,
}

/// A step of an installation, for whoever shows progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Reading the package and checking signatures and archive.
    Checking,
    /// Writing its files.
    Writing,
    /// Recording it.
    Recording,
}

/// What a change did.
#[derive(Debug, Clone)]
pub struct Change {
    /// Name of the package.
    pub name: String,
    /// What happened: `installed`, `pending`, `approved`, `rolled_back`, `removed`.
    pub what: &'static str,
    /// Further facts.
    pub report: Value,
    /// An older release was taken because the administrator said so.
    pub is_downgrade: bool,
}

impl Store {
    /// The packages below `root`, which is made when something is installed.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Installs a package. No code of it is run. A version that asks for more than was approved waits for approval.
    pub fn install(
        &self,
        gate: &Gate,
        path: &Path,
        options: InstallOptions,
        progress: &dyn Fn(Step),
    ) -> Result<Change> {
        progress(Step::Checking);
        let package = gate.package(path)?;
        let (_lock, mut state) = self.begin()?;
        let name = package.contents.manifest.name.clone();
        check_distinct(&state, &name)?;
        let history = state.history(&name);
        let outdated = package.admitted.verified.check_history(&package.contents.subject(), &history);
        let is_downgrade = outdated.is_err();
        if !options.allow_downgrade {
            outdated?;
        }
        progress(Step::Writing);
        let release = self.place(&package, &state)?;
        progress(Step::Recording);
        let key = release.key();
        state.history.insert(name.clone(), package.admitted.verified.advanced(&package.contents.subject(), &history));
        let beyond = enter(&mut state, &name, release, options.approve);
        state.write(&self.root)?;
        let what = if beyond.is_empty() { "installed" } else { "pending" };
        let mut report = describe(&name, &state);
        report["installed"] = key.into();
        report["status"] = status_json(&package.admitted.verified);
        report["needs_approval"] = beyond.into();
        report["downgrade"] = is_downgrade.into();
        Ok(Change { name, what, report, is_downgrade })
    }

    /// What is installed.
    pub fn list(&self) -> Result<Value> {
        let state = State::read(&self.root)?;
        Ok(state.packages.keys().map(|name| describe(name, &state)).collect())
    }

    /// Makes the previous version the current one, and the other way round.
    pub fn roll_back(&self, name: &str) -> Result<Change> {
        self.change(name, "rolled_back", |installed| {
            let previous = installed.previous.take().ok_or_else(|| {
                Error::new(
                    ErrorCode::PackageNoPrevious,
                    format!("`{}` has no previous version to go back to", shorten(name, 80)),
                )
            })?;
            installed.previous = Some(std::mem::replace(&mut installed.current, previous));
            Ok(())
        })
    }

    /// Makes an installed version the current one, so that the record agrees with what runs; `None` when it is that already.
    pub fn make_current(&self, name: &str, key: &str) -> Result<Option<Change>> {
        if self.read_state()?.packages.get(name).is_some_and(|installed| installed.current == key) {
            return Ok(None);
        }
        let change = self.change(name, "rolled_back", |installed| {
            if !installed.versions.contains_key(key) {
                return Err(not_installed(&format!("{name} {}", shorten(key, 80))));
            }
            switch(installed, key.to_owned());
            Ok(())
        })?;
        Ok(Some(change))
    }

    /// Approves what the waiting version asks for and makes it the current one. With `version`, the version or the key of
    /// the one that was looked at, no other is approved: a further one may have come since.
    pub fn approve(&self, name: &str, version: Option<&str>) -> Result<Change> {
        let mut approved = Vec::new();
        let mut change = self.change(name, "approved", |installed| {
            let meant = |key: &String| {
                version.is_none_or(|version| {
                    key == version || installed.versions.get(key).is_some_and(|release| release.version == version)
                })
            };
            let pending = installed.pending.clone().filter(meant).ok_or_else(|| {
                let what = version
                    .map_or_else(|| "no version".to_owned(), |version| format!("version {}", shorten(version, 80)));
                let verb = if version.is_some() { "does not wait" } else { "waits" };
                Error::new(
                    ErrorCode::PackageNothingPending,
                    format!("{what} of `{}` {verb} for approval", shorten(name, 80)),
                )
            })?;
            installed.pending = None;
            if let Some(release) = installed.versions.get(&pending) {
                approved = release.asked.beyond(&installed.approved);
                installed.approved = installed.approved.union(&release.asked);
            }
            switch(installed, pending);
            Ok(())
        })?;
        change.report["approved"] = approved.into();
        Ok(change)
    }

    /// Removes a package, or one version of it that is not the current one. What was accepted of the name is remembered.
    pub fn remove(&self, name: &str, version: Option<&str>) -> Result<Change> {
        self.check_begun(name)?;
        let (_lock, mut state) = self.begin()?;
        let installed = installed_mut(&mut state, name)?;
        match version {
            None => drop(state.packages.remove(name)),
            Some(version) => remove_version(installed, name, version)?,
        }
        state.write(&self.root)?;
        // What can't be removed now is removed by the next change.
        staging::collect_garbage(&self.root, &state);
        let mut report = if version.is_some() { describe(name, &state) } else { json!({ "name": name }) };
        report["removed"] = version.into();
        Ok(Change { name: name.to_owned(), what: "removed", report, is_downgrade: false })
    }

    /// Opens the current version of a package.
    pub fn open(&self, gate: &Gate, name: &str) -> Result<Opened> {
        check_name(name)?;
        let state = self.read_state()?;
        let installed = state.packages.get(name).ok_or_else(|| not_installed(name))?;
        self.open_release(gate, name, &installed.current, installed)
    }

    /// True when `path` lies in this directory of packages.
    #[must_use]
    pub fn owns(&self, path: &Path) -> bool {
        match (self.root.canonicalize(), path.canonicalize()) {
            (Ok(root), Ok(path)) => path.starts_with(&root),
            _ => false,
        }
    }

    /// Opens the installed version whose directory is `path`; other directories in here are never opened.
    pub fn open_tree(&self, gate: &Gate, path: &Path) -> Result<Opened> {
        let real = |path: &Path| path.canonicalize().map_err(|error| files::io("read", path, error));
        let (root, path) = (real(&self.root)?, real(path)?);
        let inside: Vec<&str> =
            path.strip_prefix(&root).ok().into_iter().flat_map(Path::iter).filter_map(|part| part.to_str()).collect();
        let state = self.read_state()?;
        match inside[..] {
            [name] => self.open(gate, name),
            [name, key] => {
                let installed = state.packages.get(name).ok_or_else(|| not_installed(name))?;
                self.open_release(gate, name, key, installed)
            }
            _ => Err(not_installed(&files::shown(&path))),
        }
    }

    fn change(
        &self,
        name: &str,
        what: &'static str,
        change: impl FnOnce(&mut Installed) -> Result<()>,
    ) -> Result<Change> {
        self.check_begun(name)?;
        let (_lock, mut state) = self.begin()?;
        change(installed_mut(&mut state, name)?)?;
        state.write(&self.root)?;
        Ok(Change { name: name.to_owned(), what, report: describe(name, &state), is_downgrade: false })
    }

    /// Takes the lock, reads the record and removes what dead processes left behind. A directory without a record gets an
    /// empty one first, and only when there is nothing else in it: what is there is not ours to tidy up.
    fn begin(&self) -> Result<(Lock, State)> {
        files::ensure_directory(&self.root, 0o755)?;
        self.check_root()?;
        self.check_ours()?;
        let lock = Lock::take(&self.root.join(".lock"))?;
        let is_new = !State::is_in(&self.root);
        let state = State::read(&self.root)?;
        if is_new {
            state.write(&self.root)?;
        }
        staging::collect_garbage(&self.root, &state);
        Ok((lock, state))
    }

    /// A directory without a record is somebody else's unless it is empty. The record is written before anything else: what
    /// shows up beside a missing one may be another first installation, whose record is there by now.
    fn check_ours(&self) -> Result<()> {
        if State::is_in(&self.root) {
            return Ok(());
        }
        staging::check_unused(&self.root)
            .or_else(|refusal| if State::is_in(&self.root) { Ok(()) } else { Err(refusal) })
    }

    /// Where nothing was ever installed, nothing is made either.
    fn check_begun(&self, name: &str) -> Result<()> {
        if State::is_in(&self.root) { Ok(()) } else { Err(not_installed(name)) }
    }

    fn read_state(&self) -> Result<State> {
        if self.root.exists() {
            self.check_root()?;
        }
        State::read(&self.root)
    }

    /// Who can write here decides what runs.
    fn check_root(&self) -> Result<()> {
        use std::os::unix::fs::MetadataExt;
        let metadata = std::fs::metadata(&self.root).map_err(|error| files::io("read", &self.root, error))?;
        let problem = match () {
            () if metadata.mode() & 0o022 != 0 => "others may write it (chmod go-w)",
            () if metadata.uid() != 0 && metadata.uid() != files::own_uid() => "it belongs to another user",
            () => return Ok(()),
        };
        Err(Error::new(
            ErrorCode::PackageStateInvalid,
            format!("the directory of packages `{}` is not used: {problem}", files::shown(&self.root)),
        ))
    }
}

/// Of two names that differ in `-` and `_` only, just one could ever be loaded.
fn check_distinct(state: &State, name: &str) -> Result<()> {
    match state.packages.keys().find(|known| *known != name && folded(known) == folded(name)) {
        None => Ok(()),
        Some(twin) => Err(Error::new(
            ErrorCode::PackageNameInvalid,
            format!("the name `{name}` is too close to `{twin}`, which is installed"),
        )),
    }
}

/// Enters a release; gives what it asks for beyond what was approved, in which case it waits.
fn enter(state: &mut State, name: &str, release: Release, approve: bool) -> Vec<String> {
    let key = release.key();
    let Some(installed) = state.packages.get_mut(name) else {
        // Nothing was approved before: installing it is the approval, and its policy still decides what it gets.
        let approved = release.asked.clone();
        let versions = [(key.clone(), release)].into();
        let installed = Installed { current: key, previous: None, pending: None, approved, versions };
        state.packages.insert(name.to_owned(), installed);
        return Vec::new();
    };
    if approve {
        installed.approved = installed.approved.union(&release.asked);
    }
    let beyond = release.asked.beyond(&installed.approved);
    installed.versions.insert(key.clone(), release);
    if beyond.is_empty() {
        if installed.pending.as_ref() == Some(&key) {
            installed.pending = None;
        }
        switch(installed, key);
    } else {
        installed.pending = Some(key);
    }
    beyond
}

fn switch(installed: &mut Installed, key: String) {
    if installed.current != key {
        installed.previous = Some(std::mem::replace(&mut installed.current, key));
    }
}

fn remove_version(installed: &mut Installed, name: &str, version: &str) -> Result<()> {
    let is_meant = |key: &String, release: &Release| key == version || release.version == version;
    let meant: Vec<String> =
        installed.versions.iter().filter(|(key, release)| is_meant(key, release)).map(|(key, _)| key.clone()).collect();
    if meant.is_empty() {
        return Err(not_installed(&format!("{name} {}", shorten(version, 80))));
    }
    if meant.contains(&installed.current) {
        return Err(Error::new(
            ErrorCode::ArgumentInvalid,
            format!(
                "version {} of `{name}` is the current one (roll back first, or remove the package)",
                shorten(version, 80)
            ),
        ));
    }
    installed.versions.retain(|key, _| !meant.contains(key));
    for reference in [&mut installed.previous, &mut installed.pending] {
        if reference.as_ref().is_some_and(|key| meant.contains(key)) {
            *reference = None;
        }
    }
    Ok(())
}

fn installed_mut<'s>(state: &'s mut State, name: &str) -> Result<&'s mut Installed> {
    state.packages.get_mut(name).ok_or_else(|| not_installed(name))
}

fn not_installed(what: &str) -> Error {
    Error::new(ErrorCode::PackageNotInstalled, format!("`{}` is not installed", shorten(what, 300)))
}

#[cfg(test)]
mod tests;
