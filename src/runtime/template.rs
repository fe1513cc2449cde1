//! Plugins without code: they register what their manifest says and answer no calls.

use std::time::Duration;

use serde_json::json;

use crate::error::{Error, ErrorCode, Result};
use crate::plugin::{CallContext, Manifest, Plugin, Registration, ResultSink, RuntimeLimits, RuntimeUsage};

/// A plugin of assets, templates and translations.
#[derive(Debug)]
pub struct TemplatePlugin {
    registration: Registration,
}

impl TemplatePlugin {
    /// The plugin of this manifest.
    pub fn new(manifest: &Manifest) -> Result<Self> {
        let registration = json!({
            "name": manifest.name,
            "version": manifest.version,
            "description": manifest.description,
            "author": manifest.author,
            "license": manifest.license,
            "homepage": manifest.homepage,
        });
        Ok(Self { registration: Registration::parse(registration.to_string().as_bytes())? })
    }
}

impl Plugin for TemplatePlugin {
    fn registration(&self) -> &Registration {
        &self.registration
    }

    fn call(&self, _: &CallContext, _: &str, _: &[u8], _: &mut ResultSink<'_>) -> Result<()> {
        Err(Error::new(ErrorCode::PluginFailed, "the plugin has no code (`runtime: template`)"))
    }

    fn set_limits(&self, _: &RuntimeLimits) {}

    fn stop(&self, _: Duration) -> Result<()> {
        Ok(())
    }

    fn usage(&self) -> RuntimeUsage {
        RuntimeUsage::default()
    }
}
