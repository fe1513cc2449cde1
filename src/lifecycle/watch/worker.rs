//! The thread of all watches.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::lock;
use super::platform::{Bell, Source};
use super::target::Target;
use crate::clock;
use crate::error::{Error, ErrorCode, Result};
use crate::executor;

/// Stack of the thread; trees are walked by recursion, of bounded depth.
const STACK_BYTES: usize = 512 * 1024;

/// What the thread is told.
enum Order {
    Add(u64, Box<Target>),
    Remove(u64),
    Taken(u64, bool),
    Stop,
}

struct Shared {
    source: Mutex<Source>,
    orders: Mutex<Vec<Order>>,
    bell: Bell,
}

/// The way to the thread, which ends when nobody holds this any more.
pub(super) struct Link {
    shared: Arc<Shared>,
    ids: AtomicU64,
}

impl Link {
    pub(super) fn start() -> Result<Arc<Self>> {
        let lacking = |problem: std::io::Error| {
            Error::new(ErrorCode::EnvironmentResources, "can't start the thread that watches files")
                .with_source(problem)
        };
        let bell = Bell::new().map_err(lacking)?;
        let shared = Arc::new(Shared { source: Mutex::new(Source::open()), orders: Mutex::default(), bell });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("goatflow-watch".into()).stack_size(STACK_BYTES);
        executor::with_thread_mask(|| thread.spawn(move || run(&theirs))).map_err(lacking)?;
        Ok(Arc::new(Self { shared, ids: AtomicU64::new(0) }))
    }

    pub(super) fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn with_source<T>(&self, work: impl FnOnce(&Mutex<Source>) -> T) -> T {
        work(&self.shared.source)
    }

    pub(super) fn add(&self, id: u64, target: Target) {
        self.shared.order(Order::Add(id, Box::new(target)));
    }

    pub(super) fn remove(&self, id: u64) {
        self.shared.order(Order::Remove(id));
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.order(Order::Stop);
    }
}

impl Shared {
    fn order(&self, order: Order) {
        lock(&self.orders).push(order);
        self.bell.ring();
    }
}

fn run(shared: &Arc<Shared>) {
    let mut targets: BTreeMap<u64, Box<Target>> = BTreeMap::new();
    loop {
        let orders = std::mem::take(&mut *lock(&shared.orders));
        // Nothing is locked here: what a target held may end further watches when it goes.
        for order in orders {
            match order {
                Order::Add(id, target) => drop(targets.insert(id, target)),
                Order::Remove(id) => {
                    if let Some(mut target) = targets.remove(&id) {
                        target.release(&shared.source);
                    }
                }
                Order::Taken(id, is_ok) => {
                    if let Some(target) = targets.get_mut(&id) {
                        target.taken(is_ok);
                    }
                }
                Order::Stop => return,
            }
        }
        let now = clock::now();
        for (id, target) in &mut targets {
            if target.step(now, &shared.source) {
                hand_over(shared, *id, target);
            }
        }
        wait(shared, &mut targets);
    }
}

fn wait(shared: &Shared, targets: &mut BTreeMap<u64, Box<Target>>) {
    let due = targets.values().filter_map(|target| target.due()).min();
    let timeout = due.map(|due| due.saturating_sub(clock::now()));
    let events = lock(&shared.source).descriptor();
    shared.bell.wait(events.as_deref(), timeout);
    let notices = lock(&shared.source).read();
    let now = clock::now();
    for notice in &notices {
        for target in targets.values_mut() {
            target.notice(notice, now);
        }
    }
}

/// Lets a worker thread tell whoever watches, and hears what came of it.
fn hand_over(shared: &Arc<Shared>, id: u64, target: &mut Target) {
    let (theirs, changed) = (Arc::clone(shared), Arc::clone(&target.changed));
    let is_over = Arc::clone(&target.is_over);
    let job = move || {
        let call = std::panic::AssertUnwindSafe(|| is_over.load(Ordering::SeqCst) || changed());
        let is_ok = std::panic::catch_unwind(call).unwrap_or(false);
        theirs.order(Order::Taken(id, is_ok));
    };
    if executor::spawn(job).is_err() {
        // No thread to be had: the next touch of the files tries again.
        target.taken(false);
    }
}
