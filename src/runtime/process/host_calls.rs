//! Host calls of a native plugin: each is tied to a call that the plugin serves, and made on a worker thread.
//!
//! A plugin says which of its calls it makes a host call for by that call's token. It can only name calls of its own: tokens
//! are unguessable, and every process has its own book. What it says is believed for the deadline, not for the depth: a
//! plugin that names a shallow call while a deeper one of the same origin is under way would otherwise never reach the
//! limit on nesting.

mod failures;
mod places;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::session::Bounds;
use crate::clock;
use crate::error::{Error, ErrorCode, Result, bug};
use crate::executor;
use crate::host::{HostApi, Reply};
use crate::plugin::{CallContext, Cancellation, Chain, Origin, RuntimeLimits};
use failures::Failures;
use places::Full;
pub(super) use places::{Held, MAX_BYTES, Places};

/// Longest name of a host function, in bytes.
const MAX_FUNCTION_NAME: usize = 128;

/// A host call as it came from the plugin.
#[derive(Debug, Clone)]
pub(super) struct HostRequest {
    /// Name of the function.
    pub function: String,
    /// Arguments, JSON.
    pub arguments: Vec<u8>,
    /// Token of the call that it is made for; empty when the plugin named none.
    pub token: String,
}

/// What a host call was answered with.
#[derive(Debug)]
pub(super) struct Answer {
    /// JSON.
    pub reply: Reply,
    /// To be kept until the plugin has read the reply, or will not.
    pub held: Held,
}

/// The calls that a process serves, and its way to the host.
pub(super) struct HostCalls {
    host: Arc<dyn HostApi>,
    book: Mutex<Book>,
    /// Told when the last call has left the book.
    empty: Condvar,
    places: Arc<Places>,
    failures: Failures,
    /// A refused call is being noted.
    noting: AtomicBool,
    /// Stops host calls once the process has gone.
    gone: Cancellation,
}

struct Book {
    calls: BTreeMap<Token, Entry>,
    limits: RuntimeLimits,
    /// Time for a host call that belongs to no call.
    idle_timeout: Duration,
    /// The plugin was told to get ready, so that the host listens to it.
    is_open: bool,
    /// The process takes no more calls.
    is_retired: bool,
}

struct Entry {
    context: CallContext,
    host_calls: u32,
}

type Token = u128;

/// A call that the process serves; it is in the book as long as this lives.
pub(super) struct InFlight<'a> {
    /// What belongs to the call.
    pub context: &'a CallContext,
    number: Token,
    owner: &'a HostCalls,
}

impl InFlight<'_> {
    /// Token that the plugin sends along with host calls: 32 hexadecimal digits.
    pub(super) fn token(&self) -> String {
        format!("{:032x}", self.number)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let mut book = self.owner.book();
        book.calls.remove(&self.number);
        if book.is_retired && book.calls.is_empty() {
            self.owner.empty.notify_all();
        }
    }
}

impl HostCalls {
    /// An empty book; `places` belongs to the plugin.
    pub(super) fn new(
        host: Arc<dyn HostApi>,
        places: Arc<Places>,
        limits: RuntimeLimits,
        idle_timeout: Duration,
    ) -> Arc<Self> {
        let book = Book { calls: BTreeMap::new(), limits, idle_timeout, is_open: false, is_retired: false };
        let (book, empty) = (Mutex::new(book), Condvar::new());
        let (failures, noting, gone) = (Failures::new(), AtomicBool::new(false), Cancellation::new());
        Arc::new(Self { host, book, empty, places, failures, noting, gone })
    }

    /// Lets host calls through from now on: the plugin has registered.
    pub(super) fn open(&self) {
        self.book().is_open = true;
    }

    /// Puts other limits in force.
    pub(super) fn set_limits(&self, limits: RuntimeLimits) {
        self.book().limits = limits;
    }

    /// What may be sent at this moment.
    pub(super) fn bounds(&self) -> Bounds {
        let limits = self.book().limits;
        Bounds { argument_bytes: limits.argument_bytes, result_bytes: limits.result_bytes }
    }

    /// Stops what is still running for the process.
    pub(super) fn close(&self) {
        let mut book = self.book();
        (book.is_open, book.is_retired) = (false, true);
        drop(book);
        self.gone.cancel();
    }

    /// Lets no more calls in, and waits until those in the book have left it, at most for `patience`.
    pub(super) fn retire(&self, patience: Duration) {
        let mut book = self.book();
        book.is_retired = true;
        let waited = self.empty.wait_timeout_while(book, patience, |book| !book.calls.is_empty());
        // Calls that are still there end with the process.
        drop(waited);
    }

    /// Enters a call that the process is about to serve; `None` when it takes no more calls.
    pub(super) fn enter<'a>(&'a self, context: &'a CallContext) -> Result<Option<InFlight<'a>>> {
        let mut number = [0_u8; size_of::<Token>()];
        getrandom::fill(&mut number).map_err(|error| {
            Error::new(ErrorCode::EnvironmentResources, format!("the system has no random bytes: {error}"))
        })?;
        let number = Token::from_ne_bytes(number);
        let mut book = self.book();
        if book.is_retired {
            return Ok(None);
        }
        book.calls.insert(number, Entry { context: context.clone(), host_calls: 0 });
        Ok(Some(InFlight { context, number, owner: self }))
    }

    /// Waits until the plugin has read enough of the answers that it was given.
    pub(super) async fn answers_read(&self) {
        self.places.answers_read().await;
    }

    /// Makes a host call on a worker thread, and hands the answer, or what to tell the plugin, to `answer` there. Returns at
    /// once; when too many are under way, `answer` is called on this thread.
    pub(super) fn serve(self: &Arc<Self>, request: HostRequest, answer: impl FnOnce(Result<Answer>) + Send + 'static) {
        let place = match self.places.take(request.arguments.len()) {
            Ok(place) => place,
            Err(full) => {
                self.refuse(full, answer);
                self.note_refusal(request, full);
                return;
            }
        };
        // Shared, because the executor may refuse the job together with what it took along.
        let answer = Arc::new(Mutex::new(Some(answer)));
        let job = {
            let (answer, calls) = (Arc::clone(&answer), Arc::clone(self));
            move || {
                let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| calls.call(&request)));
                let outcome = outcome.unwrap_or_else(|_| Err(bug!("a host call panicked")));
                if outcome.is_err() {
                    calls.wait_for_failure();
                }
                drop(place);
                give(&answer, outcome);
            }
        };
        if let Err(error) = executor::spawn_host_call(job) {
            give(&answer, Err(error));
        }
    }

    /// Answers a call for which there is no place, on this thread or on the timer's.
    fn refuse(&self, full: Full, answer: impl FnOnce(Result<Answer>) + Send + 'static) {
        let Some(pause) = self.failures.take() else { return answer(Err(full.error())) };
        let answer = Arc::new(Mutex::new(Some(answer)));
        let later = Arc::clone(&answer);
        let due = clock::now().saturating_add(clock::saturating_nanos(pause));
        if executor::at(due, move || give(&later, Err(full.error()))).is_err() {
            give(&answer, Err(full.error()));
        }
    }

    /// How long a plugin waits for a failure that it is about to be told, if it has had many.
    pub(super) fn failure_pause(&self) -> Option<Duration> {
        self.failures.take()
    }

    /// The same, on the thread of the call, and not beyond the end of the process.
    fn wait_for_failure(&self) {
        if let Some(pause) = self.failures.take() {
            let until = clock::now().saturating_add(clock::saturating_nanos(pause));
            let waiting = CallContext::from_host(until, self.gone.clone(), Origin::default());
            // Its end is the deadline.
            let _ = waiting.block_until(|| None::<()>);
        }
    }

    /// Notes a call that was refused before it began, on a worker thread: the log, and a host behind it that takes log
    /// lines, may hold up the thread that moves bytes. Of a flood of them only some are noted.
    fn note_refusal(self: &Arc<Self>, request: HostRequest, full: Full) {
        if self.noting.swap(true, Ordering::SeqCst) {
            return;
        }
        let noting = Noting(Arc::clone(self));
        // Without a thread it stays unnoted.
        let _ = executor::spawn(move || {
            noting.0.noted(&request, full.error());
        });
    }

    fn call(&self, request: &HostRequest) -> Result<Answer> {
        let context = self.attribute(&request.token)?;
        self.check(request).map_err(|error| self.noted_in(&context, request, error))?;
        context.check_alive()?;
        let reply = self.host.call(&context, &request.function, &request.arguments)?;
        let limit = self.bounds().result_bytes;
        if reply.len() > limit {
            let error = Error::new(
                ErrorCode::PluginResultTooLarge,
                format!("the answer of {} has {} bytes, the limit is {limit}", request.function, reply.len()),
            );
            return Err(self.noted_in(&context, request, error));
        }
        match self.places.hold(reply.len()) {
            Ok(held) => Ok(Answer { reply, held }),
            Err(full) => Err(self.noted_in(&context, request, full.error())),
        }
    }

    fn check(&self, request: &HostRequest) -> Result<()> {
        let (length, limit) = (request.function.len(), MAX_FUNCTION_NAME);
        if length > limit {
            return Err(Error::new(
                ErrorCode::PolicyArguments,
                format!("the name of a host function has {length} bytes, the limit is {limit}"),
            ));
        }
        let (length, limit) = (request.arguments.len(), self.bounds().argument_bytes);
        if length > limit {
            return Err(Error::new(
                ErrorCode::PolicyArguments,
                format!("the arguments of a host call have {length} bytes, the limit is {limit}"),
            ));
        }
        Ok(())
    }

    /// The context that a host call is made in: the call that the plugin names, else the deepest one it serves; outside of
    /// any call one of its own.
    fn attribute(&self, token: &str) -> Result<CallContext> {
        let mut book = self.book();
        if !book.is_open {
            return Err(Error::new(
                ErrorCode::LifecycleNotReady,
                "the host API is not available before the plugin has registered, and after it has ended",
            ));
        }
        let limit = book.limits.host_calls;
        let named = Token::from_str_radix(token, 16).ok().filter(|number| book.calls.contains_key(number));
        let Some(number) = named.or_else(|| book.deepest()) else {
            let deadline = clock::now().saturating_add(clock::saturating_nanos(book.idle_timeout));
            return Ok(CallContext::from_host(deadline, self.gone.clone(), Origin::default()));
        };
        let entry = book.calls.get_mut(&number).ok_or_else(|| bug!("a call left the book that is locked"))?;
        entry.host_calls = entry.host_calls.saturating_add(1);
        if limit > 0 && entry.host_calls > limit {
            return Err(Error::new(
                ErrorCode::PolicyQuotaExceeded,
                format!("more than {limit} host calls in one call (`max_host_calls_per_call` in the plugin's policy)"),
            ));
        }
        let mut context = entry.context.clone();
        context.chain = book.deepest_chain_of(context.strand.root()).unwrap_or(context.chain);
        // The plugin may make several at the same time.
        context.strand = context.strand.branch();
        context.cancellation = Cancellation::either(context.cancellation, self.gone.clone());
        Ok(context)
    }

    /// The log has every failed host call, also those that never reached the host API.
    fn noted_in(&self, context: &CallContext, request: &HostRequest, error: Error) -> Error {
        self.host.failed(context, crate::plugin::name::shorten(&request.function, 80).as_str(), &error);
        error
    }

    fn noted(&self, request: &HostRequest, error: Error) {
        if let Ok(context) = self.attribute(&request.token) {
            self.noted_in(&context, request, error);
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn deepest(&self) -> Option<Token> {
        self.calls.iter().max_by_key(|(_, entry)| entry.context.depth()).map(|(number, _)| *number)
    }

    fn deepest_chain_of(&self, root: u64) -> Option<Chain> {
        let same_root = self.calls.values().filter(|entry| entry.context.strand.root() == root);
        same_root.max_by_key(|entry| entry.context.depth()).map(|entry| entry.context.chain.clone())
    }
}

/// A refused call is being noted, until this is dropped.
struct Noting(Arc<HostCalls>);

impl Drop for Noting {
    fn drop(&mut self) {
        self.0.noting.store(false, Ordering::SeqCst);
    }
}

fn give<F: FnOnce(Result<Answer>)>(answer: &Mutex<Option<F>>, outcome: Result<Answer>) {
    let answer = answer.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(answer) = answer {
        answer(outcome);
    }
}

#[cfg(test)]
mod tests;
