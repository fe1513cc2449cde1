//! Section `packages`: where packages are installed, whose signatures count, and how large packages may be.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::refused;
use crate::error::{Error, Result};
use crate::package::archive::Limits;
use crate::package::signature::PublicKey;
use crate::package::trust::{Mode, TrustFile};
use crate::package::{Gate, Store};

/// Packages and signatures.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PackagesConfig {
    /// Directory of installed packages; without it, nothing can be installed.
    pub directory: Option<PathBuf>,
    /// Whether plugins must be signed. A signature that is there must be right in both modes.
    pub signatures: SignaturesConfig,
    /// Public keys that may sign for every name: 64 hexadecimal digits each.
    pub keys: Vec<String>,
    /// Trust store: keys with names, roles and validity, thresholds, revocations. When it can't be read, nothing is loaded.
    pub trust_file: Option<PathBuf>,
    /// Bounds of packages.
    pub limits: PackageLimitsConfig,
}

/// Whether plugins must be signed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SignaturesConfig {
    /// Unsigned plugins are loaded: for development.
    #[default]
    Optional,
    /// Only signed plugins are loaded.
    Required,
}

/// Bounds of packages; none can be switched off.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PackageLimitsConfig {
    /// Bytes of the package file.
    #[schemars(range(min = 1))]
    pub archive_bytes: u64,
    /// Files and directories.
    #[schemars(range(min = 1))]
    pub entries: usize,
    /// Bytes of one extracted file.
    #[schemars(range(min = 1))]
    pub file_bytes: u64,
    /// Bytes of all extracted files.
    #[schemars(range(min = 1))]
    pub total_bytes: u64,
    /// How many times its compressed size a file may have, beyond the first mebibyte.
    #[schemars(range(min = 1))]
    pub ratio: u64,
    /// Bytes of a file that a host reads from a plugin.
    #[schemars(range(min = 1))]
    pub asset_bytes: usize,
}

impl Default for PackageLimitsConfig {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            archive_bytes: limits.archive_bytes,
            entries: limits.entries,
            file_bytes: limits.file_bytes,
            total_bytes: limits.total_bytes,
            ratio: limits.ratio,
            asset_bytes: 16 * 1024 * 1024,
        }
    }
}

impl PackagesConfig {
    pub(super) fn check(&self) -> Result<()> {
        if self.limits.asset_bytes == 0 {
            return Err(refused("`packages.limits.asset_bytes` is at least 1"));
        }
        self.limits().check()?;
        self.gate(0).map(drop)
    }

    /// The gate that these settings describe.
    pub(in crate::manager) fn gate(&self, max_code_bytes: usize) -> Result<Gate> {
        // A key that is not understood is an error of the configuration: it could be the one that matters.
        let key =
            |text: &String| PublicKey::parse(text).map_err(|error: Error| refused(format!("`packages.keys`: {error}")));
        Ok(Gate {
            mode: match self.signatures {
                SignaturesConfig::Optional => Mode::Optional,
                SignaturesConfig::Required => Mode::Required,
            },
            keys: self.keys.iter().map(key).collect::<Result<_>>()?,
            trust_file: self.trust_file.as_deref().map(TrustFile::new),
            limits: self.limits(),
            max_code_bytes,
        })
    }

    pub(in crate::manager) fn store(&self) -> Option<Store> {
        self.directory.as_deref().map(Store::new)
    }

    fn limits(&self) -> Limits {
        let PackageLimitsConfig { archive_bytes, entries, file_bytes, total_bytes, ratio, asset_bytes: _ } =
            self.limits;
        Limits { archive_bytes, entries, file_bytes, total_bytes, ratio }
    }
}
