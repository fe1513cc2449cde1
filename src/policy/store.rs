//! Where policies are kept: a trait with one implementation per kind of storage.

use super::audit::{Action, AuditRow};
use crate::error::Result;

/// A policy as stored: the text, which may be unreadable, and its revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPolicy {
    /// The document, byte for byte.
    pub text: Vec<u8>,
    /// Another one after every change of this plugin's policy, whoever made it.
    pub revision: u64,
}

/// What a change is based on, what kind of change it is, and who makes it.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// Revision that the change was made from; 0 = there was none; `None` = the last writer wins.
    pub expected_revision: Option<u64>,
    /// What the audit says was done.
    pub action: Action,
    /// Who did it, as the audit shows it.
    pub actor: &'a str,
}

impl Change<'_> {
    /// A document that the host sets.
    #[must_use]
    pub fn by_host(expected_revision: Option<u64>) -> Self {
        Self { expected_revision, action: Action::Set, actor: "host" }
    }
}

/// Storage of policies and of which plugins are enabled. Implementations are safe to use from any thread, and several
/// processes may use one storage.
///
/// An error means that nothing is known: callers never fall back to something wider then.
pub trait PolicyStore: Send + Sync {
    /// Policy of `plugin`; `None` when there is none.
    fn load(&self, plugin: &str) -> Result<Option<StoredPolicy>>;

    /// Stores `text` with an audit row and gives its revision. With an expected revision, refuses with
    /// `PolicyRevisionConflict` when the stored one is another (0 expects that there is none). An empty text removes the
    /// stored policy and gives 0. All of it happens, or nothing.
    fn save(&self, plugin: &str, text: &[u8], change: &Change<'_>) -> Result<u64>;

    /// Names of the plugins that have a stored policy.
    fn list(&self) -> Result<Vec<String>>;

    /// Whether `plugin` is enabled; `None` when nothing is stored, which means enabled.
    fn load_enabled(&self, plugin: &str) -> Result<Option<bool>>;

    /// Stores whether `plugin` is enabled, with an audit row.
    fn save_enabled(&self, plugin: &str, enabled: bool, actor: &str) -> Result<()>;

    /// The newest `limit` audit rows, newest first; of one plugin or of all.
    fn history(&self, plugin: Option<&str>, limit: usize) -> Result<Vec<AuditRow>>;

    /// What was learned about `plugin`, as [`Self::save_evidence`] got it.
    fn load_evidence(&self, plugin: &str) -> Result<Option<Vec<u8>>>;

    /// Keeps what was learned about `plugin`, so that a policy can be suggested without the host.
    fn save_evidence(&self, plugin: &str, evidence: &[u8]) -> Result<()>;

    /// A number that is another one after somebody else changed the storage, cheap to ask for; `None` when nobody else
    /// can.
    fn marker(&self) -> Result<Option<u64>>;
}
