//! Configuration values: from the manager's configuration, then from the database's `sysconfig` tables.

use std::collections::BTreeMap;

use serde_json::json;

use crate::error::{Error, ErrorCode, Result, bug};
use crate::host::{HostCall, Provider, Reply, Request};

/// Looks a key up in the database; `None` when it has no value.
pub type Lookup = Box<dyn Fn(&str) -> Result<Option<String>> + Send + Sync>;

/// Answers `config_get`.
pub struct ConfigValues {
    values: BTreeMap<String, String>,
    database: Option<Lookup>,
}

impl ConfigValues {
    /// Values from a map, then from `database`.
    #[must_use]
    pub fn new(values: BTreeMap<String, String>, database: Option<Lookup>) -> Self {
        Self { values, database }
    }

    fn value(&self, key: &str) -> Result<String> {
        if let Some(value) = self.values.get(key) {
            return Ok(value.clone());
        }
        let stored = match &self.database {
            Some(lookup) => lookup(key)?,
            None => None,
        };
        stored.ok_or_else(|| Error::new(ErrorCode::HostNotFound, format!("unknown config key: {key}")))
    }
}

impl Provider for ConfigValues {
    fn serve(&self, call: &HostCall<'_>) -> Result<Reply> {
        let Request::ConfigGet { key } = call.request else {
            return Err(bug!("the configuration was asked for {:?}", call.request));
        };
        Ok(json!({ "value": self.value(key)? }).to_string().into_bytes().into())
    }
}
