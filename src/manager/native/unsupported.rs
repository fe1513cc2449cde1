//! Native plugins where they can't run: other systems than Linux, and builds without the feature `native`.

use std::sync::Arc;

use super::Manager;
use crate::error::{Error, ErrorCode, Result};
use crate::lifecycle::Slot;
use crate::package::Program;
use crate::package::trust::Verified;
use crate::plugin::{CallContext, Manifest, Plugin, Registration};
use crate::policy::Policy;

/// A native plugin that passed the gate.
#[expect(dead_code, reason = "what other builds start")]
pub(super) struct Code<'a> {
    pub code: Vec<u8>,
    pub program: Program,
    pub manifest: &'a Manifest,
    pub verified: &'a Verified,
}

impl Manager {
    /// Refuses the plugin.
    pub(super) fn start_native(
        &self,
        _: Code<'_>,
        _: &Arc<Slot>,
        _: &Policy,
        _: impl FnOnce(&Registration) -> Result<()>,
        _: &CallContext,
    ) -> Result<Box<dyn Plugin>> {
        Err(Error::new(
            ErrorCode::PackageRuntimeUnsupported,
            "this build does not run native plugins (it takes Linux on x86_64 or aarch64, and the feature `native`)",
        ))
    }
}
