//! Systems where extraction is not written yet.

use std::path::Path;

use super::Extracted;
use crate::error::{Error, ErrorCode, Result};
use crate::package::archive::Archive;

/// Refuses.
pub(in super::super) fn extract(_: &Archive, _: &Path) -> Result<Vec<Extracted>> {
    Err(Error::new(ErrorCode::EnvironmentUnsupported, "packages can be extracted on Linux only"))
}
