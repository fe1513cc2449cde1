//! The record of what is installed. One file for all packages: whoever replaces it has changed everything at once.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorCode, Result};
use crate::json::{self, unique_map};
use crate::package::files;
use crate::package::hex;
use crate::package::moment::Moment;
use crate::package::request::Asked;
use crate::package::trust::History;
use crate::package::version::check_version;
use crate::plugin::name::check_name;

/// Name of the file in the directory of packages.
pub const FILE_NAME: &str = "state.json";
/// Longest file, in bytes.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// Everything that is installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Version of this format.
    pub version: u32,
    /// Packages by name.
    #[serde(deserialize_with = "unique_map")]
    pub packages: BTreeMap<String, Installed>,
    /// The newest release of each name that was ever accepted; outlives removal.
    #[serde(default, deserialize_with = "unique_map")]
    pub history: BTreeMap<String, History>,
}

/// Versions of one package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Installed {
    /// The version that is loaded by name; none while the only one waits for approval.
    pub current: String,
    /// What roll-back goes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// What waits for approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<String>,
    /// What the package may ask for without another approval.
    pub approved: Asked,
    /// Versions by the name of their directory.
    #[serde(deserialize_with = "unique_map")]
    pub versions: BTreeMap<String, Release>,
}

/// One installed version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Version as the manifest says.
    pub version: String,
    /// SHA-256 of the package.
    pub sha256: String,
    /// When it was installed.
    pub installed: Moment,
    /// Verdict at that time: `verified` or `unsigned`.
    pub status: String,
    /// Labels of the keys that had signed it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signed_by: Vec<String>,
    /// Place in the sequence of releases, when the signers say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// What it asks for.
    pub asked: Asked,
    /// SHA-256 of every file in its directory.
    #[serde(deserialize_with = "unique_map")]
    pub files: BTreeMap<String, String>,
}

impl Default for State {
    fn default() -> Self {
        Self { version: 1, packages: BTreeMap::new(), history: BTreeMap::new() }
    }
}

impl State {
    /// Reads the record in `root`; nothing is installed when there is none.
    pub fn read(root: &Path) -> Result<Self> {
        let path = root.join(FILE_NAME);
        if !Self::is_in(root) {
            return Ok(Self::default());
        }
        let unusable = |error: Error| {
            Error::new(
                ErrorCode::PackageStateInvalid,
                format!("the record of installed packages `{}` can't be used", files::shown(&path)),
            )
            .with_source(error)
        };
        let text = files::read_private(&path, MAX_BYTES).map_err(unusable)?;
        Self::parse(&text).map_err(unusable)
    }

    /// False when there is no record in `root`, not even one that can't be read.
    #[must_use]
    pub fn is_in(root: &Path) -> bool {
        !std::fs::symlink_metadata(root.join(FILE_NAME))
            .is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
    }

    /// Reads the text of a record.
    pub fn parse(text: &[u8]) -> Result<Self> {
        let state: Self = json::from_object(text)
            .map_err(|error| invalid("it is not as its schema says".to_owned()).with_source(error))?;
        state.check()?;
        Ok(state)
    }

    /// Replaces the record in `root`. One that would be refused when it is read is not written. Everybody may read it: a
    /// service need not run as the user who installs.
    pub fn write(&self, root: &Path) -> Result<()> {
        self.check()?;
        let text = serde_json::to_vec_pretty(self).map_err(|error| crate::error::bug!("a state: {error}"))?;
        if text.len() > MAX_BYTES {
            return Err(invalid(format!(
                "the record of installed packages would be larger than {MAX_BYTES} bytes (remove versions that are not needed)"
            )));
        }
        files::replace(&root.join(FILE_NAME), &text, 0o644)
    }

    /// What was accepted of a name before.
    #[must_use]
    pub fn history(&self, name: &str) -> History {
        self.history.get(name).cloned().unwrap_or_default()
    }

    /// Names and references hold together, so that nothing outside the directory is ever named.
    fn check(&self) -> Result<()> {
        if self.version != 1 {
            return Err(invalid(format!("version {} is unknown (this library reads 1)", self.version)));
        }
        for (name, installed) in &self.packages {
            check_name(name)?;
            for (key, release) in &installed.versions {
                check_version(&release.version)?;
                if hex::decode::<32>(release.sha256.as_bytes()).is_none() || *key != release.key() {
                    return Err(invalid(format!(
                        "the version `{}` of `{name}` is not as it is named",
                        release.version
                    )));
                }
            }
            let named = [Some(&installed.current), installed.previous.as_ref(), installed.pending.as_ref()];
            if named.into_iter().flatten().any(|key| !installed.versions.contains_key(key)) {
                return Err(invalid(format!("`{name}` refers to a version that is not installed")));
            }
        }
        Ok(())
    }
}

impl Release {
    /// Name of its directory.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}-{}", self.version, self.sha256.get(..12).unwrap_or(&self.sha256))
    }
}

fn invalid(why: String) -> Error {
    Error::new(ErrorCode::PackageStateInvalid, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_record_that_does_not_hold_together_is_refused() {
        let sha256 = "ab".repeat(32);
        let release = json!({
            "version": "1.0", "sha256": sha256, "installed": "2026-11-22T00:00:00Z", "status": "unsigned",
            "asked": [], "files": {"a": sha256},
        });
        let good = json!({
            "version": 1,
            "packages": {"a": {"current": "1.0-abababababab", "approved": [], "versions": {"1.0-abababababab": release}}},
        });
        assert!(State::parse(good.to_string().as_bytes()).is_ok());
        let change = |pointer: &str, value: Value| {
            let mut changed = good.clone();
            *changed.pointer_mut(pointer).unwrap() = value;
            changed.to_string()
        };
        let versions = "/packages/a/versions";
        for text in [
            String::new(),
            "{}".into(),
            "[]".into(),
            change("/version", json!(2)),
            change("/packages", json!({"../x": {}})),
            change("/packages/a/current", json!("../../etc")),
            change("/packages/a/current", json!("2.0-abababababab")),
            change(versions, json!({"../../etc": release})),
            change(&format!("{versions}/1.0-abababababab/version"), json!("..")),
            change(&format!("{versions}/1.0-abababababab/sha256"), json!("cd".repeat(32))),
            change(&format!("{versions}/1.0-abababababab/sha256"), json!("ab")),
            good.to_string().replace("\"a\":\"", "\"a\":\"\",\"a\":\""),
        ] {
            assert!(State::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
