//! What belongs to one call: who is calling, until when, and how it is stopped. Host-side state: nothing in it is
//! ever read from bytes that a plugin controls.

use std::cell::RefCell;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use super::strand::Strand;
use super::trace::TraceContext;
use crate::clock::{self, Nanos};
use crate::error::{Error, ErrorCode, Result};
use crate::executor;

/// Nested plugin calls that pass; one more fails (GoatFlow's number).
pub const MAX_CALL_DEPTH: u32 = 10;

/// Everything that a call carries along, inherited by the calls nested in it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CallContext {
    /// What it is part of: the outermost call, and the line of work in it.
    pub strand: Strand,
    /// Plugins that are in the middle of a call, outermost first; empty when the host calls directly.
    pub chain: Chain,
    /// Absolute monotonic deadline.
    pub deadline: Nanos,
    /// Stops the call from another thread.
    pub cancellation: Cancellation,
    /// What the host said about the call.
    pub origin: Origin,
}

/// What the host says about an outermost call; handed to its callbacks.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// Opaque value of the host, a pointer in the C API; never dereferenced here.
    pub host_context: usize,
    /// Text that ties log lines and callbacks to one request of the host.
    pub request_id: Option<Arc<str>>,
    /// Language for `translate`, for example `de`.
    pub language: Option<Arc<str>>,
    /// W3C trace context of the caller; handed to native plugins.
    pub trace: Option<Arc<TraceContext>>,
}

impl CallContext {
    /// Context of a call that comes from the host.
    #[must_use]
    pub fn from_host(deadline: Nanos, cancellation: Cancellation, origin: Origin) -> Self {
        Self { strand: Strand::new(), chain: Chain::default(), deadline, cancellation, origin }
    }

    /// Context of a call that `caller` makes while it serves this one. `deadline` can only shorten the inherited one.
    #[must_use]
    pub fn nested(&self, caller: &Arc<str>, deadline: Nanos) -> Self {
        Self { chain: self.chain.with(caller), deadline: self.deadline.min(deadline), ..self.clone() }
    }

    /// Number of plugin calls this one is nested in.
    #[must_use]
    pub fn depth(&self) -> u32 {
        self.chain.len()
    }

    /// Fails when the call was cancelled or its deadline has passed.
    pub fn check_alive(&self) -> Result<()> {
        if self.cancellation.is_cancelled() {
            return Err(cancelled());
        }
        if clock::now() >= self.deadline {
            return Err(deadline_exceeded());
        }
        Ok(())
    }

    /// Time left until the deadline.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        Duration::from_nanos(self.deadline.saturating_sub(clock::now()))
    }

    /// Blocks the thread until `ready` gives a value, the call is cancelled or its deadline passes. Whoever makes
    /// `ready` true must unpark this thread.
    pub fn block_until<T>(&self, mut ready: impl FnMut() -> Option<T>) -> Result<T> {
        let _registration = self.cancellation.wake_me();
        loop {
            if let Some(value) = ready() {
                return Ok(value);
            }
            self.check_alive()?;
            std::thread::park_timeout(self.remaining());
        }
    }
}

/// Error of a call whose time is up.
pub(crate) fn deadline_exceeded() -> Error {
    Error::new(
        ErrorCode::PluginDeadline,
        "the call did not finish before its deadline (the plugin's policy sets `call_timeout`, the caller may shorten it)",
    )
}

/// Error of a call that was cancelled.
pub(crate) fn cancelled() -> Error {
    Error::new(ErrorCode::PluginCancelled, "the call was cancelled")
}

/// Names of plugins in the middle of a call, as a list that shares its beginning with the contexts it came from.
#[derive(Clone, Default)]
pub struct Chain(Option<Arc<Link>>);

struct Link {
    name: Arc<str>,
    length: u32,
    outer: Chain,
}

impl Chain {
    /// The chain with one more plugin at its inner end.
    #[must_use]
    pub fn with(&self, name: &Arc<str>) -> Self {
        Self(Some(Arc::new(Link { name: Arc::clone(name), length: self.len() + 1, outer: self.clone() })))
    }

    /// Number of plugins in the chain.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.0.as_ref().map_or(0, |link| link.length)
    }

    /// True when no plugin is calling.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The plugin that calls directly.
    #[must_use]
    pub fn innermost(&self) -> Option<&Arc<str>> {
        self.0.as_ref().map(|link| &link.name)
    }

    /// True when the plugin is in the middle of a call.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.inwards_out().any(|link| &**link == name)
    }

    /// Names, outermost first.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.inwards_out().map(|name| &**name).collect();
        names.reverse();
        names
    }

    fn inwards_out(&self) -> impl Iterator<Item = &Arc<str>> {
        let mut next = self.0.as_deref();
        std::iter::from_fn(move || {
            let link = next?;
            next = link.outer.0.as_deref();
            Some(&link.name)
        })
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(" -> "))
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

/// A switch that stops calls; the default can't be switched. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Cancellation(Option<Arc<Switch>>);

#[derive(Debug, Default)]
struct Switch {
    cancelled: AtomicBool,
    blocked: Mutex<Vec<Thread>>,
    /// Switches that stop the same calls.
    also: Option<(Cancellation, Cancellation)>,
}

impl Cancellation {
    /// A switch of its own.
    #[must_use]
    pub fn new() -> Self {
        Self(Some(Arc::default()))
    }

    /// A switch that is on as soon as one of the two is.
    #[must_use]
    pub fn either(a: Self, b: Self) -> Self {
        match (a.is_switchable(), b.is_switchable()) {
            (_, false) => a,
            (false, true) => b,
            (true, true) => Self(Some(Arc::new(Switch { also: Some((a, b)), ..Switch::default() }))),
        }
    }

    /// True when `cancel` has an effect.
    #[must_use]
    pub fn is_switchable(&self) -> bool {
        self.0.is_some()
    }

    /// Stops every call that carries the switch, now and later. Returns at once.
    pub fn cancel(&self) {
        let Some(switch) = &self.0 else { return };
        switch.cancelled.store(true, Ordering::SeqCst);
        for thread in switch.blocked.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            thread.unpark();
        }
    }

    /// True once `cancel` was called.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.as_ref().is_some_and(|switch| {
            switch.cancelled.load(Ordering::SeqCst)
                || switch.also.as_ref().is_some_and(|(a, b)| a.is_cancelled() || b.is_cancelled())
        })
    }

    /// Unparks this thread on `cancel` for as long as the returned value lives.
    fn wake_me(&self) -> WakeRegistration<'_> {
        self.each_switch(&mut |blocked| blocked.push(std::thread::current()));
        WakeRegistration(self)
    }

    fn each_switch(&self, change: &mut impl FnMut(&mut Vec<Thread>)) {
        let Some(switch) = &self.0 else { return };
        change(&mut switch.blocked.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some((a, b)) = &switch.also {
            a.each_switch(change);
            b.each_switch(change);
        }
    }
}

struct WakeRegistration<'a>(&'a Cancellation);

impl Drop for WakeRegistration<'_> {
    fn drop(&mut self) {
        let me = std::thread::current().id();
        self.0.each_switch(&mut |blocked| {
            if let Some(position) = blocked.iter().position(|thread| thread.id() == me) {
                blocked.swap_remove(position);
            }
        });
    }
}

thread_local! {
    /// The call whose host callback runs on this thread.
    static AROUND: RefCell<Option<CallContext>> = const { RefCell::new(None) };
}

/// Runs a callback of the host; calls that it makes on this thread are nested in `context`.
pub fn in_callback<T>(context: CallContext, callback: impl FnOnce() -> T) -> T {
    struct Restore(Option<CallContext>);
    impl Drop for Restore {
        fn drop(&mut self) {
            // Nobody can look any more when the thread's own data is gone.
            let _ = AROUND.try_with(|around| *around.borrow_mut() = self.0.take());
        }
    }
    let before = AROUND.try_with(|around| around.replace(Some(context))).unwrap_or(None);
    let _restore = Restore(before);
    callback()
}

/// Stack that loading a plugin, or changing its policy, may take at most.
const ROOM_BYTES: usize = 256 * 1024;
/// Stack of the thread that does it where the caller's has less left.
const THREAD_BYTES: usize = 2 * 1024 * 1024;

/// Runs `job`, which needs no more stack than other people's threads usually have: where this one has less left, on a thread
/// of its own, while this one waits. What is nested in a host's callback stays so.
pub fn with_room<T: Send>(job: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    if executor::remaining_stack() >= ROOM_BYTES {
        return job();
    }
    let around = around();
    let nested = move || match around {
        Some(context) => in_callback(context, job),
        None => job(),
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("goatflow-room".into()).stack_size(THREAD_BYTES);
        let started = executor::with_thread_mask(|| thread.spawn_scoped(scope, nested));
        let running = started.map_err(|error| {
            Error::new(ErrorCode::EnvironmentResources, "can't start a thread with enough stack").with_source(error)
        })?;
        running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The call whose host callback runs on this thread, if there is one.
#[must_use]
pub fn around() -> Option<CallContext> {
    AROUND.try_with(|around| around.borrow().clone()).unwrap_or(None)
}

/// True while the thread's own data is being destroyed: in destructors of thread-locals, and on the main thread after
/// `exit`. Guests need such data, so that their calls must be made elsewhere.
#[must_use]
pub fn thread_is_ending() -> bool {
    AROUND.try_with(|_| ()).is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(deadline: Nanos) -> CallContext {
        CallContext::from_host(deadline, Cancellation::new(), Origin::default())
    }

    #[test]
    fn chain_lists_callers_outermost_first() {
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let nested = context(u64::MAX).nested(&a, u64::MAX).nested(&b, u64::MAX);
        assert_eq!(nested.chain.names(), ["a", "b"]);
        assert_eq!(nested.depth(), 2);
        assert_eq!(nested.chain.to_string(), "a -> b");
        assert!(nested.chain.contains("a") && !nested.chain.contains("c"));
    }

    #[test]
    fn nested_deadline_never_grows() {
        let outer = context(1_000);
        assert_eq!(outer.nested(&"a".into(), 5_000).deadline, 1_000);
        assert_eq!(outer.nested(&"a".into(), 500).deadline, 500);
    }

    #[test]
    fn either_of_two_switches_stops_a_call() {
        let (a, b) = (Cancellation::new(), Cancellation::new());
        let context = CallContext::from_host(u64::MAX, Cancellation::either(a, b.clone()), Origin::default());
        let waiting = std::thread::spawn(move || context.block_until(|| None::<()>).map_err(|e| e.code()));
        b.cancel();
        assert_eq!(waiting.join().unwrap(), Err(ErrorCode::PluginCancelled));
    }

    #[test]
    fn callbacks_know_the_call_around_them() {
        assert!(around().is_none());
        let context = context(5);
        in_callback(context, || assert_eq!(around().map(|context| context.deadline), Some(5)));
        assert!(around().is_none());
    }

    #[test]
    fn a_small_stack_is_no_reason_to_overflow_it() {
        fn deep(left: usize) -> usize {
            let room = std::hint::black_box([left; 128]);
            if left == 0 { room[0] } else { deep(left - 1) + std::hint::black_box(room[127]).min(1) }
        }
        let small = std::thread::Builder::new().stack_size(64 * 1024);
        let run = || in_callback(context(7), || with_room(|| Ok((deep(200), around().map(|around| around.deadline)))));
        assert_eq!(small.spawn(run).unwrap().join().unwrap().unwrap(), (200, Some(7)));
    }

    #[test]
    fn cancel_wakes_a_blocked_thread() {
        let context = context(u64::MAX);
        let other = context.clone();
        let waiting = std::thread::spawn(move || other.block_until(|| None::<()>).map_err(|e| e.code()));
        context.cancellation.cancel();
        assert_eq!(waiting.join().unwrap(), Err(ErrorCode::PluginCancelled));
    }

    #[test]
    fn blocking_ends_at_the_deadline() {
        let context = context(clock::now() + 1_000_000);
        let error = context.block_until(|| None::<()>).unwrap_err();
        assert_eq!(error.code(), ErrorCode::PluginDeadline);
    }
}
