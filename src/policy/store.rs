//! Where policies are kept: a trait with one implementation per kind of storage.

use crate::error::Result;

/// A policy as stored: the text, which may be unreadable, and its revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPolicy {
    /// The document, byte for byte.
    pub text: Vec<u8>,
    /// Grows with every change of this plugin's policy.
    pub revision: u64,
}

/// Storage of policies and of which plugins are enabled. Implementations are safe to use from any thread.
///
/// An error means that nothing is known: callers block the plugin then, they never fall back to something wider.
pub trait PolicyStore: Send + Sync {
    /// Policy of `plugin`; `None` when there is none.
    fn load(&self, plugin: &str) -> Result<Option<StoredPolicy>>;

    /// Stores `text` and gives its revision. With `expected_revision`, refuses with `PolicyRevisionConflict` when the
    /// stored one is another (0 expects that there is none); without it, the last writer wins. An empty text removes
    /// the stored policy and gives 0.
    fn save(&self, plugin: &str, text: &[u8], expected_revision: Option<u64>) -> Result<u64>;

    /// Names of the plugins that have a stored policy.
    fn list(&self) -> Result<Vec<String>>;

    /// Whether `plugin` is enabled; `None` when nothing is stored, which means enabled.
    fn load_enabled(&self, plugin: &str) -> Result<Option<bool>>;

    /// Stores whether `plugin` is enabled.
    fn save_enabled(&self, plugin: &str, enabled: bool) -> Result<()>;
}
