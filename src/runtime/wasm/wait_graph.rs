//! Finds calls that wait for each other's instances in a circle, so that they fail at once and not at their deadlines.
//!
//! Lock order: the graph first, then one pool at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A pool of instances, as the graph sees it.
pub(super) trait Waitable: Send + Sync {
    /// Calls that hold an instance, by the number of their outermost call.
    fn holders(&self) -> Vec<u64>;
    /// True while this call waits and nothing was granted to it yet.
    fn is_waiting(&self, root: u64) -> bool;
}

/// Who waits for what, over all plugins of a manager.
#[derive(Default)]
pub struct WaitGraph {
    waiting: Mutex<HashMap<u64, Arc<dyn Waitable>>>,
}

impl WaitGraph {
    /// Lets `enqueue` put the call `root` into the queue of `pool`. False when that closes a circle in which nobody can
    /// go on; the call must then leave the queue.
    pub(super) fn wait(&self, root: u64, pool: &Arc<dyn Waitable>, enqueue: impl FnOnce()) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        enqueue();
        waiting.insert(root, Arc::clone(pool));
        !closes_circle(root, pool, &waiting)
    }

    /// Looks again at a call that waits, after its pool shrank. True when nobody in its circle can go on; the call has then
    /// left the queue, so that of several that look only one gives up.
    pub(super) fn give_up_if_stuck(&self, root: u64, pool: &Arc<dyn Waitable>, leave_queue: impl FnOnce()) -> bool {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let is_stuck = pool.is_waiting(root) && closes_circle(root, pool, &waiting);
        if is_stuck {
            leave_queue();
        }
        is_stuck
    }

    /// The call waits no longer.
    pub(super) fn leave(&self, root: u64) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&root);
    }
}

impl std::fmt::Debug for WaitGraph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WaitGraph").finish_non_exhaustive()
    }
}

/// True when every holder of `pool` waits, directly or through others, for an instance that nobody will give back because
/// `root` holds it. A circle of others is not this call's: the one who closed it has been told, and will let go.
fn closes_circle(root: u64, pool: &Arc<dyn Waitable>, waiting: &HashMap<u64, Arc<dyn Waitable>>) -> bool {
    let mut seen: Vec<Arc<dyn Waitable>> = vec![Arc::clone(pool)];
    let mut next = 0;
    let mut leads_back = false;
    while let Some(pool) = seen.get(next).cloned() {
        next += 1;
        for holder in pool.holders() {
            if holder == root {
                leads_back = true;
                continue;
            }
            match waiting.get(&holder) {
                Some(other) if other.is_waiting(holder) => {
                    if !seen.iter().any(|known| Arc::ptr_eq(known, other)) {
                        seen.push(Arc::clone(other));
                    }
                }
                _ => return false,
            }
        }
    }
    leads_back
}
