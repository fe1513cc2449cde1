//! Finds calls that wait for each other's instances in a circle, so that they fail at once and not at their deadlines.
//!
//! Calls are told apart by their strands: what a native plugin does at the same time, it does on several, and none of them
//! waits for the others. Lock order: the graph first, then one pool at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::plugin::Strand;

/// A pool of instances, as the graph sees it.
pub(super) trait Waitable: Send + Sync {
    /// Strands of the calls that hold an instance.
    fn holders(&self) -> Vec<Strand>;
    /// True while this strand waits and nothing was granted to it yet.
    fn is_waiting(&self, strand: &Strand) -> bool;
}

/// Who waits for what, over all plugins of a manager.
#[derive(Default)]
pub struct WaitGraph {
    waiting: Mutex<Waiting>,
}

/// By the number of the outermost call.
type Waiting = HashMap<u64, Vec<(Strand, Arc<dyn Waitable>)>>;

impl WaitGraph {
    /// Lets `enqueue` put a call into the queue of `pool`. False when that closes a circle in which nobody can go on; the
    /// call must then leave the queue.
    pub(super) fn wait(&self, strand: &Strand, pool: &Arc<dyn Waitable>, enqueue: impl FnOnce()) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        enqueue();
        waiting.entry(strand.root()).or_default().push((strand.clone(), Arc::clone(pool)));
        !closes_circle(strand, pool, &waiting)
    }

    /// Looks again at a call that waits, after its pool shrank. True when nobody in its circle can go on; the call has then
    /// left the queue, so that of several that look only one gives up.
    pub(super) fn give_up_if_stuck(
        &self,
        strand: &Strand,
        pool: &Arc<dyn Waitable>,
        leave_queue: impl FnOnce(),
    ) -> bool {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let is_stuck = pool.is_waiting(strand) && closes_circle(strand, pool, &waiting);
        if is_stuck {
            leave_queue();
        }
        is_stuck
    }

    /// The call waits no longer.
    pub(super) fn leave(&self, strand: &Strand) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(of_root) = waiting.get_mut(&strand.root()) else { return };
        of_root.retain(|(other, _)| other != strand);
        if of_root.is_empty() {
            waiting.remove(&strand.root());
        }
    }
}

impl std::fmt::Debug for WaitGraph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WaitGraph").finish_non_exhaustive()
    }
}

/// A pool that somebody waits for.
struct Seen {
    pool: Arc<dyn Waitable>,
    holders: Vec<Holder>,
    /// Nobody will give an instance back, as far as is known.
    is_stuck: bool,
}

/// What whoever holds an instance is doing.
enum Holder {
    /// It waits for the call that asks.
    Asker,
    /// It, or what began in it, waits for these pools. Nothing of it waits: it runs.
    Waits(Vec<usize>),
}

/// True when every holder of `pool` waits, directly or through others, for an instance that nobody will give back because
/// `strand` is part of who holds it. A circle of others is not this call's: the one who closed it has been told, and will let
/// go.
fn closes_circle(strand: &Strand, pool: &Arc<dyn Waitable>, waiting: &Waiting) -> bool {
    let mut seen = vec![Seen { pool: Arc::clone(pool), holders: Vec::new(), is_stuck: true }];
    let mut next = 0;
    while let Some(pool) = seen.get(next).map(|pool| Arc::clone(&pool.pool)) {
        let holders: Vec<_> = pool.holders().iter().map(|holder| look_at(holder, strand, waiting, &mut seen)).collect();
        if next == 0 && holders.iter().any(|holder| matches!(holder, Holder::Waits(pools) if pools.is_empty())) {
            return false;
        }
        if let Some(looked_at) = seen.get_mut(next) {
            looked_at.holders = holders;
        }
        next += 1;
    }
    while let Some(moving) = seen.iter().position(|pool| pool.is_stuck && can_go_on(pool, &seen)) {
        if let Some(pool) = seen.get_mut(moving) {
            pool.is_stuck = false;
        }
    }
    leads_back(&seen)
}

fn look_at(holder: &Strand, asker: &Strand, waiting: &Waiting, seen: &mut Vec<Seen>) -> Holder {
    if holder.contains(asker) {
        return Holder::Asker;
    }
    let of_root = waiting.get(&holder.root()).map(Vec::as_slice).unwrap_or_default();
    let inside = of_root.iter().filter(|(strand, pool)| holder.contains(strand) && pool.is_waiting(strand));
    let pools = inside.map(|(_, pool)| {
        let known = seen.iter().position(|known| Arc::ptr_eq(&known.pool, pool));
        known.unwrap_or_else(|| {
            seen.push(Seen { pool: Arc::clone(pool), holders: Vec::new(), is_stuck: true });
            seen.len() - 1
        })
    });
    Holder::Waits(pools.collect())
}

/// True when somebody who holds an instance of `pool` will give it back: who waits in several places does so once it was
/// served in all of them.
fn can_go_on(pool: &Seen, seen: &[Seen]) -> bool {
    let is_stuck = |pool: &usize| seen.get(*pool).is_some_and(|pool| pool.is_stuck);
    pool.holders.iter().any(|holder| match holder {
        Holder::Asker => false,
        Holder::Waits(pools) => !pools.iter().any(is_stuck),
    })
}

/// True when the first pool is stuck, and because of the call that asks.
fn leads_back(seen: &[Seen]) -> bool {
    let mut to_visit = vec![0];
    let mut visited = vec![false; seen.len()];
    while let Some(number) = to_visit.pop() {
        let Some(pool) = seen.get(number).filter(|pool| pool.is_stuck) else { continue };
        if visited.get_mut(number).is_none_or(|visited| std::mem::replace(visited, true)) {
            continue;
        }
        for holder in &pool.holders {
            match holder {
                Holder::Asker => return true,
                Holder::Waits(pools) => to_visit.extend(pools),
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::{CallContext, Cancellation, Origin};

    /// A pool whose holders and waiters a test decides.
    #[derive(Default)]
    struct Fake {
        holders: Mutex<Vec<Strand>>,
        waiters: Mutex<Vec<Strand>>,
    }

    impl Waitable for Fake {
        fn holders(&self) -> Vec<Strand> {
            self.holders.lock().unwrap().clone()
        }

        fn is_waiting(&self, strand: &Strand) -> bool {
            self.waiters.lock().unwrap().contains(strand)
        }
    }

    fn strand() -> Strand {
        CallContext::from_host(u64::MAX, Cancellation::default(), Origin::default()).strand
    }

    fn held_by(holders: &[&Strand]) -> Arc<Fake> {
        let holders = holders.iter().map(|&holder| holder.clone()).collect();
        Arc::new(Fake { holders: Mutex::new(holders), waiters: Mutex::default() })
    }

    /// Whether the strand can wait for the pool; it goes on waiting if so.
    fn can_wait(graph: &WaitGraph, strand: &Strand, pool: &Arc<Fake>) -> bool {
        let waitable: Arc<dyn Waitable> = Arc::<Fake>::clone(pool);
        let can_wait = graph.wait(strand, &waitable, || pool.waiters.lock().unwrap().push(strand.clone()));
        if !can_wait {
            pool.waiters.lock().unwrap().retain(|waiter| waiter != strand);
            graph.leave(strand);
        }
        can_wait
    }

    #[test]
    fn what_a_plugin_does_at_the_same_time_is_no_circle() {
        let (graph, call) = (WaitGraph::default(), strand());
        let (first, second) = (call.branch(), call.branch());
        let pool = held_by(&[&first]);
        assert!(can_wait(&graph, &second, &pool), "the first goes on");
        let third = call.branch();
        assert!(can_wait(&graph, &third, &pool));
        graph.leave(&second);
        // The third one still waits, under the same number.
        assert!(graph.waiting.lock().unwrap().get(&call.root()).is_some_and(|waiting| waiting.len() == 1));
        graph.leave(&third);
        assert!(graph.waiting.lock().unwrap().is_empty());
    }

    #[test]
    fn what_a_plugin_does_at_the_same_time_can_be_a_circle() {
        let (graph, call) = (WaitGraph::default(), strand());
        let (first, second) = (call.branch(), call.branch());
        let (a, b) = (held_by(&[&first]), held_by(&[&second]));
        assert!(can_wait(&graph, &first, &b));
        assert!(!can_wait(&graph, &second, &a));
    }

    #[test]
    fn a_call_waits_for_what_began_in_it() {
        let graph = WaitGraph::default();
        let (mine, other) = (strand(), strand());
        let (a, b, free) = (held_by(&[&mine]), held_by(&[&other]), held_by(&[&strand()]));
        // The other call holds b, and waits in one strand for what will be free soon.
        assert!(can_wait(&graph, &other.branch(), &free));
        let asking = mine.branch();
        assert!(can_wait(&graph, &asking, &b));
        graph.leave(&asking);
        b.waiters.lock().unwrap().clear();
        // In the other strand it waits for this call: it will not come to an end.
        assert!(can_wait(&graph, &other.branch(), &a));
        assert!(!can_wait(&graph, &asking, &b));
    }

    #[test]
    fn a_circle_of_others_is_theirs() {
        let graph = WaitGraph::default();
        let (one, two, asker) = (strand(), strand(), strand());
        let (a, b) = (held_by(&[&one]), held_by(&[&two]));
        assert!(can_wait(&graph, &one, &b));
        // The one who closes it has been told, and lets go in a moment.
        let waitable: Arc<dyn Waitable> = Arc::<Fake>::clone(&a);
        assert!(!graph.wait(&two, &waitable, || a.waiters.lock().unwrap().push(two.clone())));
        assert!(can_wait(&graph, &asker, &a));
    }

    #[test]
    fn one_holder_that_goes_on_is_enough() {
        let graph = WaitGraph::default();
        let (one, two, free) = (strand(), strand(), strand());
        let (a, b) = (held_by(&[&one, &free]), held_by(&[&two]));
        assert!(can_wait(&graph, &one, &b));
        assert!(can_wait(&graph, &two, &a));
        a.holders.lock().unwrap().pop();
        let waitable: Arc<dyn Waitable> = Arc::<Fake>::clone(&a);
        let mut left = false;
        assert!(graph.give_up_if_stuck(&two, &waitable, || left = true));
        assert!(left);
    }
}
