//! Calls that run on the library's threads.

use std::ffi::{c_char, c_void};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::args::Args;
use super::buffer::goatflow_plugin_buffer;
use super::call::answer_buffer;
use super::error::goatflow_plugin_error;
use super::guard::{guard, guard_release};
use super::handle::Table;
use super::manager::{MANAGERS, goatflow_plugin_manager};
use super::queue::{QUEUES, goatflow_plugin_queue};
use super::types::{call_options, goatflow_plugin_call_options, start};
use super::user_data::{UserData, goatflow_plugin_finalizer_fn};
use crate::error::{Error, ErrorCode, Result};
use crate::manager::{Manager, Operation, Outcome};

/// A call, or an exchange of versions, that runs on a thread of the library. Release with `goatflow_plugin_operation_free`.
pub struct goatflow_plugin_operation {
    _private: [u8; 0],
}

/// Takes the outcome of a call, once. `result` and `error_json` are valid during the callback only; `error_json` is NULL on
/// success.
///
/// Runs on a thread of the library. May call the library, and wait for other calls. Must not unwind.
pub type goatflow_plugin_completion_fn = Option<
    unsafe extern "C" fn(
        user_data: *mut c_void,
        status: i32,
        result: *const u8,
        result_len: usize,
        error_json: *const c_char,
        error_json_len: usize,
    ),
>;

pub(super) type CompletionFunction = unsafe extern "C" fn(*mut c_void, i32, *const u8, usize, *const c_char, usize);

static OPERATIONS: Table<Waitable> = Table::new(0xA6, "operation");

/// An operation whose outcome can be waited for.
#[derive(Default)]
pub(super) struct Waitable {
    operation: OnceLock<Arc<Operation>>,
    state: Mutex<State>,
    done: Condvar,
}

#[derive(Default)]
enum State {
    #[default]
    Running,
    Done(Outcome),
    Taken,
}

impl Waitable {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn finish(&self, outcome: Outcome) {
        *self.lock() = State::Done(outcome);
        self.done.notify_all();
    }

    fn wait(&self, patience: Duration) -> Outcome {
        let is_running = |state: &mut State| matches!(state, State::Running);
        let mut state = match self.done.wait_timeout_while(self.lock(), patience, is_running) {
            Ok((state, _)) => state,
            Err(poisoned) => poisoned.into_inner().0,
        };
        match std::mem::replace(&mut *state, State::Taken) {
            State::Done(outcome) => outcome,
            State::Taken => {
                Err(Error::new(ErrorCode::LifecycleTaken, "the outcome of the call was handed out already"))
            }
            State::Running => {
                *state = State::Running;
                Err(Error::new(ErrorCode::LifecyclePending, "the call has not ended yet"))
            }
        }
    }
}

/// A completion callback of the host.
pub(super) struct Completion {
    pub(super) function: CompletionFunction,
    pub(super) user_data: UserData,
}

impl Completion {
    pub(super) fn call(self, outcome: &Outcome) {
        let (status, error) = match outcome {
            Ok(_) => (0, None),
            Err(error) => (error.code().number(), Some(error.to_json().to_string())),
        };
        let result = outcome.as_ref().ok().and_then(Option::as_deref).unwrap_or_default();
        let error_start = error.as_ref().map_or(std::ptr::null(), |text| text.as_ptr().cast());
        let error_len = error.as_ref().map_or(0, String::len);
        // SAFETY: the host gave this function for this pointer; what it is handed lives until it returns.
        unsafe {
            (self.function)(self.user_data.pointer(), status, start(result), result.len(), error_start, error_len);
        }
    }
}

/// Start a call and return at once.
///
/// The call runs on a thread of the library, and so do host callbacks that it causes.
///
/// Parameters:
/// - `manager`: the manager.
/// - `plugin`, `plugin_len`: name of the plugin.
/// - `function`, `function_len`: name of the function.
/// - `arguments`, `arguments_len`: bytes for the function; may be empty; copied.
/// - `options`: may be NULL; copied.
/// - `completion`: takes the outcome, exactly once; may be NULL when `out_operation` is given.
/// - `user_data`: handed to `completion`.
/// - `finalizer`: releases `user_data`; may be NULL. Runs exactly once, after `completion`, also when this function fails.
/// - `out_operation`: the call; release with `goatflow_plugin_operation_free`; may be NULL when `completion` is given.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_LIFECYCLE_OVERLOADED` when too many calls wait, `…_STATUS_LIFECYCLE_…`, `…_STATUS_ARGUMENT_…`;
/// `completion` is not called then.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; `completion` and `finalizer` can be called from any thread with `user_data`
/// until the finalizer has run; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_manager_call_async(
    manager: *const goatflow_plugin_manager,
    plugin: *const c_char,
    plugin_len: usize,
    function: *const c_char,
    function_len: usize,
    arguments: *const u8,
    arguments_len: usize,
    options: *const goatflow_plugin_call_options,
    completion: goatflow_plugin_completion_fn,
    user_data: *mut c_void,
    finalizer: goatflow_plugin_finalizer_fn,
    out_operation: *mut *const goatflow_plugin_operation,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    let user_data = UserData::new(user_data, finalizer);
    guard(out_error, move || {
        let out = args.optional_out(out_operation);
        if completion.is_none() && out.is_none() {
            return Err(both_null());
        }
        let completion = completion.map(|function| Completion { function, user_data });
        let call = Start::read(args, manager, plugin, plugin_len, function, function_len, arguments, arguments_len)?;
        let operation = call.start(args, options, move |outcome| {
            if let Some(completion) = completion {
                completion.call(outcome);
            }
        })?;
        hand_out(out, operation)
    })
}

/// Start a call whose outcome goes to a completion queue, and return at once.
///
/// Parameters:
/// - `manager`: the manager.
/// - `plugin`, `plugin_len`: name of the plugin.
/// - `function`, `function_len`: name of the function.
/// - `arguments`, `arguments_len`: bytes for the function; may be empty; copied.
/// - `options`: may be NULL; copied.
/// - `queue`: takes the outcome, exactly once; an outcome for a released queue is dropped.
/// - `tag`: comes back with the outcome.
/// - `out_operation`: the call; release with `goatflow_plugin_operation_free`; may be NULL.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: as `goatflow_plugin_manager_call_async`; the queue gets nothing then.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_manager_call_enqueue(
    manager: *const goatflow_plugin_manager,
    plugin: *const c_char,
    plugin_len: usize,
    function: *const c_char,
    function_len: usize,
    arguments: *const u8,
    arguments_len: usize,
    options: *const goatflow_plugin_call_options,
    queue: *const goatflow_plugin_queue,
    tag: u64,
    out_operation: *mut *const goatflow_plugin_operation,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.optional_out(out_operation);
        let queue = args.handle(&QUEUES, queue, "queue")?;
        let call = Start::read(args, manager, plugin, plugin_len, function, function_len, arguments, arguments_len)?;
        let options = call_options(args, options)?;
        let waitable = Arc::<Waitable>::default();
        let done = Box::new(move |outcome| queue.push(tag, outcome));
        let operation = call.manager.start_call(call.plugin, call.function, call.arguments, options, done)?;
        // Set once, just now.
        let _ = waitable.operation.set(operation);
        *waitable.lock() = State::Taken;
        hand_out(out, waitable)
    })
}

/// What both forms of starting a call have in common.
struct Start<'call> {
    manager: Arc<Manager>,
    plugin: &'call str,
    function: &'call str,
    arguments: &'call [u8],
}

impl<'call> Start<'call> {
    fn read(
        args: Args<'call>,
        manager: *const goatflow_plugin_manager,
        plugin: *const c_char,
        plugin_len: usize,
        function: *const c_char,
        function_len: usize,
        arguments: *const u8,
        arguments_len: usize,
    ) -> Result<Self> {
        Ok(Self {
            manager: args.handle(&MANAGERS, manager, "manager")?,
            plugin: args.text(plugin, plugin_len, "plugin")?,
            function: args.text(function, function_len, "function")?,
            arguments: args.bytes(arguments, arguments_len, "arguments")?,
        })
    }

    /// Starts the call; `completion` sees the outcome before it can be waited for.
    fn start(
        self,
        args: Args<'_>,
        options: *const goatflow_plugin_call_options,
        completion: impl FnOnce(&Outcome) + Send + 'static,
    ) -> Result<Arc<Waitable>> {
        let options = call_options(args, options)?;
        let waitable = Arc::<Waitable>::default();
        let finished = Arc::clone(&waitable);
        let done = Box::new(move |outcome: Outcome| {
            completion(&outcome);
            finished.finish(outcome);
        });
        let operation = self.manager.start_call(self.plugin, self.function, self.arguments, options, done)?;
        // Set once, just now.
        let _ = waitable.operation.set(operation);
        Ok(waitable)
    }
}

/// Error of a start whose outcome would reach nobody.
pub(super) fn both_null() -> Error {
    Error::new(ErrorCode::ArgumentNull, "`completion` and `out_operation` are both NULL")
}

pub(super) fn hand_out(
    out: Option<super::args::Out<'_, *const goatflow_plugin_operation>>,
    waitable: Arc<Waitable>,
) -> Result<()> {
    if let Some(out) = out {
        out.set(std::ptr::without_provenance(OPERATIONS.insert(waitable)?));
    }
    Ok(())
}

/// Wait for the outcome of a call. It can be taken once.
///
/// Parameters:
/// - `operation`: what was started by a function whose name ends in `_async`; the answer of an exchange is its report.
/// - `timeout_ms`: longest wait in milliseconds; 0 = only look.
/// - `out_result`: the answer, empty when the plugin answers nothing; release with `goatflow_plugin_buffer_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_LIFECYCLE_PENDING` when the call has not ended in time, `…_STATUS_LIFECYCLE_TAKEN` when the outcome was
/// taken before or went to a queue, `…_STATUS_ARGUMENT_…`; otherwise the status of the call.
/// Since: ABI 1.
///
/// # Safety
/// The out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_operation_wait(
    operation: *const goatflow_plugin_operation,
    timeout_ms: u64,
    out_result: *mut goatflow_plugin_buffer,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.out(out_result, "out_result")?;
        let operation = args.handle(&OPERATIONS, operation, "operation")?;
        out.set(answer_buffer(operation.wait(Duration::from_millis(timeout_ms))?));
        Ok(())
    })
}

/// Stop a call: one that waits ends at once, one that runs within some milliseconds. Its outcome still arrives.
///
/// Parameters:
/// - `operation`: the call.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any, also from callbacks. Cancelling twice, or after the end, does no harm. Other calls that were made with the
/// same cancellation go on.
/// Errors: `…_STATUS_ARGUMENT_NULL`, `…_STATUS_ARGUMENT_HANDLE`.
/// Since: ABI 1.
///
/// # Safety
/// `out_error` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_operation_cancel(
    operation: *const goatflow_plugin_operation,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let waitable = args.handle(&OPERATIONS, operation, "operation")?;
        if let Some(operation) = waitable.operation.get() {
            operation.cancel();
        }
        Ok(())
    })
}

/// Release a call. It goes on, and its outcome still arrives at its completion or queue.
///
/// Parameters:
/// - `operation`: the call; NULL and released ones are ignored.
///
/// Threads: any.
/// Errors: none.
/// Since: ABI 1.
#[unsafe(no_mangle)]
pub extern "C" fn goatflow_plugin_operation_free(operation: *const goatflow_plugin_operation) {
    guard_release(|| drop(OPERATIONS.remove(operation.addr())));
}
