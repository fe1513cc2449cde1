//! The policy in force for one plugin, behind one atomic pointer: a host call takes one snapshot and keeps it to its end.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use crate::policy::Policy;

/// A policy together with the number of the stored document it was made from.
#[derive(Debug)]
pub struct InForce {
    /// Revision of the stored document; 0 when there is none.
    pub revision: u64,
    /// The rules.
    pub policy: Policy,
}

/// Where the policy of one plugin is read and exchanged.
#[derive(Debug)]
pub struct LivePolicy(ArcSwap<InForce>);

impl LivePolicy {
    /// Starts with `policy`.
    #[must_use]
    pub fn new(revision: u64, policy: Policy) -> Self {
        Self(ArcSwap::from_pointee(InForce { revision, policy }))
    }

    /// The rules as they are now.
    #[must_use]
    pub fn snapshot(&self) -> Guard<Arc<InForce>> {
        self.0.load()
    }

    /// Puts other rules in force: for every host call that starts from now on.
    pub fn replace(&self, revision: u64, policy: Policy) {
        self.0.store(Arc::new(InForce { revision, policy }));
    }
}
