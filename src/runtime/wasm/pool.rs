//! Leases instances to calls: first come, first served, never more than the policy grants.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;

use super::instance::Instance;
use super::wait_graph::{WaitGraph, Waitable};
use crate::error::{Error, ErrorCode, Result};
use crate::plugin::{CallContext, Strand};

/// The instances of one plugin.
pub(super) struct Pool {
    name: Arc<str>,
    capacity: AtomicU32,
    shared: Arc<Shared>,
    graph: Arc<WaitGraph>,
}

#[derive(Default)]
struct Shared(Mutex<State>);

#[derive(Default)]
struct State {
    #[expect(clippy::vec_box, reason = "instances move between pool and lease on every call: as one pointer")]
    idle: Vec<Box<Instance>>,
    /// Instances that exist or are being made, without the extra ones.
    live: u32,
    /// Strands of the calls that hold an instance.
    holders: Vec<Strand>,
    waiters: VecDeque<Arc<Waiter>>,
    closed: bool,
    /// Counts how often all instances were given up: those of earlier ages are not used again.
    age: u64,
}

struct Waiter {
    strand: Strand,
    thread: Thread,
    grant: Mutex<Option<Grant>>,
    /// An instance went away that this call might have got: whether it can still go on is to be looked at again.
    worried: AtomicBool,
}

/// What a call gets.
enum Grant {
    /// An instance that is there, with its age.
    Instance(Box<Instance>, u64),
    /// The right to make one, of this age.
    Vacancy(u64),
    /// Nothing: the plugin was stopped.
    Closed,
}

/// The right to use an instance; given back by `finish`, or by being dropped, which discards the instance.
pub(super) struct Lease<'a> {
    pool: &'a Pool,
    strand: Strand,
    /// An instance beyond the pool's capacity, for a call that would otherwise wait for itself.
    extra: bool,
    reusable: bool,
    age: u64,
    instance: Option<Box<Instance>>,
}

impl Pool {
    pub(super) fn new(name: Arc<str>, capacity: u32, graph: Arc<WaitGraph>) -> Self {
        Self { name, capacity: AtomicU32::new(capacity.max(1)), shared: Arc::default(), graph }
    }

    /// Adds a first instance that was made outside.
    pub(super) fn adopt(&self, instance: Instance) {
        let mut state = self.shared.lock();
        state.live += 1;
        state.idle.push(Box::new(instance));
    }

    /// Leases an instance, made by `make` when the pool has room for one more. Waits until the context's deadline.
    pub(super) fn lease(&self, context: &CallContext, make: impl FnOnce() -> Result<Instance>) -> Result<Lease<'_>> {
        let mut lease = match self.try_grant(&context.strand)? {
            Some(grant) => self.lend(&context.strand, grant)?,
            None => self.wait(context)?,
        };
        if lease.instance.is_none() {
            lease.instance = Some(Box::new(make()?));
        }
        Ok(lease)
    }

    /// As [`Self::lease`], but without waiting: `None` when all instances serve calls.
    pub(super) fn lease_now(
        &self,
        context: &CallContext,
        make: impl FnOnce() -> Result<Instance>,
    ) -> Result<Option<Lease<'_>>> {
        let Some(grant) = self.try_grant(&context.strand)? else { return Ok(None) };
        let mut lease = self.lend(&context.strand, grant)?;
        if lease.instance.is_none() {
            lease.instance = Some(Box::new(make()?));
        }
        Ok(Some(lease))
    }

    /// Gives up all instances: idle ones at once, leased ones when they come back. Calls go on with new ones.
    pub(super) fn renew(&self) {
        let capacity = self.capacity();
        let mut state = self.shared.lock();
        state.age += 1;
        let idle = std::mem::take(&mut state.idle);
        state.live = state.live.saturating_sub(u32::try_from(idle.len()).unwrap_or(u32::MAX));
        state.serve_waiters(capacity);
        drop(state);
        drop(idle);
    }

    /// Lets so many calls be served at the same time; instances in use that are too many go when they come back.
    pub(super) fn set_capacity(&self, capacity: u32) {
        let capacity = capacity.max(1);
        self.capacity.store(capacity, Ordering::Relaxed);
        let mut surplus = Vec::new();
        let mut state = self.shared.lock();
        state.trim(capacity, &mut surplus);
        state.serve_waiters(capacity);
        drop(state);
        drop(surplus);
    }

    fn capacity(&self) -> u32 {
        self.capacity.load(Ordering::Relaxed)
    }

    /// Refuses new calls and drops what is idle; leased instances go when they come back.
    pub(super) fn close(&self) {
        let mut state = self.shared.lock();
        state.closed = true;
        let idle = std::mem::take(&mut state.idle);
        state.live = state.live.saturating_sub(u32::try_from(idle.len()).unwrap_or(u32::MAX));
        let waiters = std::mem::take(&mut state.waiters);
        drop(state);
        drop(idle);
        for waiter in waiters {
            waiter.give(Grant::Closed);
        }
    }

    /// Instances that exist.
    pub(super) fn live(&self) -> u32 {
        self.shared.lock().live
    }

    fn try_grant(&self, strand: &Strand) -> Result<Option<Grant>> {
        let mut state = self.shared.lock();
        if state.closed {
            return Err(self.stopped());
        }
        Ok(if state.waiters.is_empty() { state.grant(strand, self.capacity()) } else { None })
    }

    fn wait(&self, context: &CallContext) -> Result<Lease<'_>> {
        if context.chain.contains(&self.name) {
            return self.lease_extra(context);
        }
        let waiter = Arc::new(Waiter::of_this_thread(context.strand.clone()));
        let waitable: Arc<dyn Waitable> = Arc::<Shared>::clone(&self.shared);
        let can_go_on = self.graph.wait(&context.strand, &waitable, || self.enqueue(&waiter));
        let granted = if can_go_on {
            let ready = || waiter.take().map(Ok).or_else(|| self.look_again(context, &waiter, &waitable));
            context.block_until(ready).flatten()
        } else {
            Err(self.deadlock(context))
        };
        self.graph.leave(&context.strand);
        let grant = granted.or_else(|error| self.give_up(&waiter, error))?;
        self.lend(&context.strand, grant)
    }

    /// A pool that shrank may have closed a circle that was open when the call began to wait.
    fn look_again(
        &self,
        context: &CallContext,
        waiter: &Arc<Waiter>,
        pool: &Arc<dyn Waitable>,
    ) -> Option<Result<Grant>> {
        let is_worried = waiter.worried.swap(false, Ordering::AcqRel);
        let is_stuck = is_worried && self.graph.give_up_if_stuck(&waiter.strand, pool, || self.leave_queue(waiter));
        is_stuck.then(|| Err(self.deadlock(context)))
    }

    /// A call that comes back to a plugin in the middle of its own call must not wait for itself.
    fn lease_extra(&self, context: &CallContext) -> Result<Lease<'_>> {
        if self.capacity() > 1 {
            let mut lease = self.lend(&context.strand, Grant::Vacancy(0))?;
            lease.extra = true;
            return Ok(lease);
        }
        Err(Error::new(
            ErrorCode::LifecycleReentrant,
            format!(
                "plugin `{}` is in the middle of this very call ({} -> {}) and has a single instance (ask for more in `resources.instances`)",
                self.name, context.chain, self.name
            ),
        ))
    }

    fn lend(&self, strand: &Strand, grant: Grant) -> Result<Lease<'_>> {
        let (instance, age) = match grant {
            Grant::Instance(instance, age) => (Some(instance), age),
            Grant::Vacancy(age) => (None, age),
            Grant::Closed => return Err(self.stopped()),
        };
        let strand = strand.clone();
        Ok(Lease { pool: self, strand, extra: false, reusable: false, age, instance })
    }

    fn enqueue(&self, waiter: &Arc<Waiter>) {
        let mut state = self.shared.lock();
        if state.closed {
            waiter.give(Grant::Closed);
        } else if state.waiters.is_empty()
            && let Some(grant) = state.grant(&waiter.strand, self.capacity())
        {
            waiter.give(grant);
        } else {
            state.waiters.push_back(Arc::clone(waiter));
        }
    }

    /// Leaves the queue; what was granted in the last moment is used after all.
    fn give_up(&self, waiter: &Arc<Waiter>, error: Error) -> Result<Grant> {
        self.leave_queue(waiter);
        waiter.take().ok_or(error)
    }

    fn leave_queue(&self, waiter: &Arc<Waiter>) {
        self.shared.lock().waiters.retain(|other| !Arc::ptr_eq(other, waiter));
    }

    fn take_back(&self, strand: &Strand, age: u64, instance: Option<Box<Instance>>) {
        let capacity = self.capacity();
        let mut state = self.shared.lock();
        if let Some(position) = state.holders.iter().position(|holder| holder == strand) {
            state.holders.swap_remove(position);
        }
        let mut surplus = Vec::new();
        match instance {
            Some(instance) if age == state.age => state.idle.push(instance),
            outdated => {
                state.live = state.live.saturating_sub(1);
                surplus.extend(outdated);
            }
        }
        state.trim(capacity, &mut surplus);
        let waiting = state.waiters.len();
        state.serve_waiters(capacity);
        if state.waiters.len() == waiting {
            state.waiters.iter().for_each(|waiter| waiter.worry());
        }
        drop(state);
        // Dropping an instance frees its memory: not while the lock is held.
        drop(surplus);
    }

    fn stopped(&self) -> Error {
        Error::new(ErrorCode::LifecycleStopped, format!("plugin `{}` was stopped", self.name))
    }

    fn deadlock(&self, context: &CallContext) -> Error {
        Error::new(
            ErrorCode::LifecycleDeadlock,
            format!(
                "calls wait for each other: {} -> {} (give one of the plugins more `instances`, or call again)",
                context.chain, self.name
            ),
        )
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Moves idle instances that are too many into `surplus`.
    #[expect(clippy::vec_box, reason = "as in the pool")]
    fn trim(&mut self, capacity: u32, surplus: &mut Vec<Box<Instance>>) {
        while self.closed || self.live > capacity {
            let Some(instance) = self.idle.pop() else { return };
            self.live = self.live.saturating_sub(1);
            surplus.push(instance);
        }
    }

    /// Gives those who wait what there is, in their order.
    fn serve_waiters(&mut self, capacity: u32) {
        while let Some(waiter) = self.waiters.pop_front() {
            match self.grant(&waiter.strand, capacity) {
                Some(grant) => waiter.give(grant),
                None => {
                    self.waiters.push_front(waiter);
                    return;
                }
            }
        }
    }

    fn grant(&mut self, strand: &Strand, capacity: u32) -> Option<Grant> {
        let grant = match self.idle.pop() {
            Some(instance) => Grant::Instance(instance, self.age),
            None if self.live < capacity => {
                self.live += 1;
                Grant::Vacancy(self.age)
            }
            None => return None,
        };
        self.holders.push(strand.clone());
        Some(grant)
    }
}

impl Waitable for Shared {
    fn holders(&self) -> Vec<Strand> {
        self.lock().holders.clone()
    }

    fn is_waiting(&self, strand: &Strand) -> bool {
        self.lock().waiters.iter().any(|waiter| waiter.strand == *strand)
    }
}

impl Waiter {
    fn of_this_thread(strand: Strand) -> Self {
        Self { strand, thread: std::thread::current(), grant: Mutex::new(None), worried: AtomicBool::new(false) }
    }

    /// Lets the waiting thread look again whether anybody can go on.
    fn worry(&self) {
        self.worried.store(true, Ordering::Release);
        self.thread.unpark();
    }

    fn give(&self, grant: Grant) {
        *self.grant.lock().unwrap_or_else(PoisonError::into_inner) = Some(grant);
        self.thread.unpark();
    }

    fn take(&self) -> Option<Grant> {
        self.grant.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Lease<'_> {
    /// The leased instance.
    pub(super) fn instance(&mut self) -> Result<&mut Instance> {
        self.instance.as_deref_mut().ok_or_else(|| crate::error::bug!("a lease without an instance"))
    }

    /// Gives the instance back for the next call.
    pub(super) fn finish(mut self) {
        self.reusable = true;
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let kept = self.instance.take().filter(|_| self.reusable);
        if !self.extra {
            self.pool.take_back(&self.strand, self.age, kept);
        }
    }
}
