//! Section `native`: where native plugins run.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::json::unique_maps;

/// Native plugins.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NativeConfig {
    /// Where directories for sockets and files of plugins are made; by default `/run`, or the temporary directory where that
    /// can't be written to. Short paths only: addresses of sockets have at most 107 bytes.
    pub directory: Option<PathBuf>,
    /// Control group below which groups of plugins are made; by default the host's own.
    pub group_parent: Option<PathBuf>,
    /// Settings by plugin and name, handed over when a plugin is initialised.
    #[serde(deserialize_with = "unique_maps")]
    pub settings: BTreeMap<String, BTreeMap<String, String>>,
}
