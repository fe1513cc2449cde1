//! What a runtime starts: the code and what its package says about it.

use super::Manifest;

/// Code of a plugin together with its manifest.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// Manifest, when the plugin came with one.
    pub manifest: Option<Manifest>,
    /// Bytes of the module or binary: the very bytes that run.
    pub code: Vec<u8>,
    /// Where it came from, for messages and lists.
    pub origin: String,
}
