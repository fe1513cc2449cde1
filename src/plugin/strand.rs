//! Which calls wait for each other by their very nature, and which run side by side.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A line of work in which one call follows the other, or is nested in it. A plugin that does several things at the same time
/// branches: each of its host calls is a strand of its own, which began in the strand of the call that the plugin serves.
#[derive(Debug, Clone)]
pub struct Strand {
    root: u64,
    branch: Option<Arc<Branch>>,
}

#[derive(Debug)]
struct Branch {
    outer: Option<Arc<Self>>,
}

impl Strand {
    /// The strand of an outermost call.
    pub(super) fn new() -> Self {
        static NEXT_ROOT: AtomicU64 = AtomicU64::new(1);
        Self { root: NEXT_ROOT.fetch_add(1, Ordering::Relaxed), branch: None }
    }

    /// Identifies the outermost call; all calls nested in it share the number.
    #[must_use]
    pub fn root(&self) -> u64 {
        self.root
    }

    /// A strand that begins in this one.
    #[must_use]
    pub fn branch(&self) -> Self {
        Self { root: self.root, branch: Some(Arc::new(Branch { outer: self.branch.clone() })) }
    }

    /// True when the other strand began in this one, or is this one: work on this one goes on when that has ended.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        let mut next = Some(&other.branch);
        let mut outwards = std::iter::from_fn(|| {
            let branch = next?;
            next = branch.as_ref().map(|branch| &branch.outer);
            Some(branch.as_ref().map(Arc::as_ptr))
        });
        let mine = self.branch.as_ref().map(Arc::as_ptr);
        self.root == other.root && outwards.any(|branch| branch == mine)
    }
}

impl PartialEq for Strand {
    fn eq(&self, other: &Self) -> bool {
        let same_branch = match (&self.branch, &other.branch) {
            (Some(mine), Some(theirs)) => Arc::ptr_eq(mine, theirs),
            (None, None) => true,
            _ => false,
        };
        self.root == other.root && same_branch
    }
}

impl Eq for Strand {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strands_contain_what_began_in_them() {
        let (call, other) = (Strand::new(), Strand::new());
        let (a, b) = (call.branch(), call.branch());
        let inner = a.branch();
        for (strand, within) in [(&call, &call), (&call, &a), (&call, &inner), (&a, &a), (&a, &inner)] {
            assert!(strand.contains(within), "{strand:?} {within:?}");
        }
        for (strand, within) in [(&a, &call), (&a, &b), (&b, &inner), (&inner, &a), (&other, &call), (&other, &a)] {
            assert!(!strand.contains(within) && strand != within, "{strand:?} {within:?}");
        }
    }
}
