//! Where policies and enablement are kept.

use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Config, refused};
use crate::error::Result;
use crate::policy::PolicyStore;
use crate::providers::file_store::FileStore;
use crate::providers::memory_store::MemoryStore;

/// Where policies and enablement are kept.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum PolicyStoreConfig {
    /// Nowhere: they end with the manager.
    #[default]
    Memory,
    /// In GoatFlow's tables `sysconfig_default` and `sysconfig_modified`.
    Sysconfig {
        /// SQLite file with the tables; absent means the file of `database.sqlite`.
        #[serde(default)]
        path: Option<PathBuf>,
    },
    /// In files.
    File {
        /// Directory that belongs to the user of this process alone; made when it is not there.
        directory: PathBuf,
    },
}

impl Config {
    /// The store that the configuration names.
    pub(in crate::manager) fn open_policy_store(&self) -> Result<Arc<dyn PolicyStore>> {
        Ok(match &self.policy_store {
            PolicyStoreConfig::Memory => Arc::new(MemoryStore::default()),
            PolicyStoreConfig::File { directory } => Arc::new(FileStore::open(directory)?),
            PolicyStoreConfig::Sysconfig { path } => {
                let embedded = self.database.sqlite.as_ref().map(|sqlite| &sqlite.path);
                match path.as_ref().or(embedded) {
                    Some(path) if path.as_os_str() != ":memory:" => sysconfig(path)?,
                    _ => {
                        return Err(refused(
                            "`policy_store` needs a database in a file (`policy_store.path` or `database.sqlite.path`)",
                        ));
                    }
                }
            }
        })
    }
}

#[cfg(feature = "sqlite")]
#[expect(clippy::unnecessary_wraps, reason = "the build without the embedded database fails here")]
fn sysconfig(path: &std::path::Path) -> Result<Arc<dyn PolicyStore>> {
    Ok(Arc::new(crate::providers::sysconfig_store::SysconfigStore::sqlite(path)))
}

#[cfg(not(feature = "sqlite"))]
fn sysconfig(_: &std::path::Path) -> Result<Arc<dyn PolicyStore>> {
    use crate::error::{Error, ErrorCode};
    Err(Error::new(ErrorCode::EnvironmentUnsupported, "this build has no embedded database (feature `sqlite`)"))
}
