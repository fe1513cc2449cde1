//! Machines without a jail: native plugins don't start there.

use std::sync::Arc;

use super::{JailReport, JailSpec, image};
use crate::error::{Error, ErrorCode, Result};

/// A program; can't be made here.
#[derive(Debug)]
pub struct Image(());

impl Image {
    /// Refuses: there is nothing to run it in.
    pub fn seal(bytes: &[u8]) -> Result<Arc<Self>> {
        image::inspect(bytes)?;
        Err(unsupported())
    }

    /// Loader that a dynamic program asks for.
    #[must_use]
    pub fn interpreter(&self) -> Option<&str> {
        None
    }

    /// No program asks for anything here.
    pub(super) fn writes_code(&self) -> bool {
        false
    }
}

/// Starts native plugins in jails; not here.
#[derive(Debug, Clone)]
pub struct Jail(());

impl Jail {
    /// Refuses.
    pub fn new() -> Result<Self> {
        Err(unsupported())
    }

    /// Refuses.
    pub fn start(&self, _spec: &JailSpec) -> Result<JailedChild> {
        Err(unsupported())
    }

    /// Refuses.
    pub fn report(&self, _spec: &JailSpec) -> Result<JailReport> {
        Err(unsupported())
    }

    /// Refuses.
    pub fn report_default(&self) -> Result<JailReport> {
        Err(unsupported())
    }
}

/// A plugin that runs in a jail; none does here.
#[derive(Debug)]
pub struct JailedChild(());

fn unsupported() -> Error {
    Error::new(
        ErrorCode::EnvironmentUnsupported,
        "native plugins run on Linux on x86_64 and aarch64 only (use a WebAssembly plugin)",
    )
}
