//! Callbacks of the host: services it answers itself, functions it offers beyond the built-in ones.

use std::ffi::{c_char, c_void};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;

use super::args::Args;
use super::error::goatflow_plugin_error;
use super::guard::guard;
use super::handle::Table;
use super::manager::{MANAGERS, goatflow_plugin_manager};
use super::types::{goatflow_plugin_host_call, start};
use super::user_data::{UserData, goatflow_plugin_finalizer_fn};
use crate::error::{Error, ErrorCode, Result};
use crate::host::{HostCall, Provider, Reply};
use crate::json;
use crate::plugin::CallContext;
use crate::policy::{Access, PermissionType};
use crate::sandbox::CustomFunction;

/// What a host callback returns when it answers later, from any thread.
pub const GOATFLOW_PLUGIN_REPLY_PENDING: i32 = 1;

/// The answer to one host call. Completed by `goatflow_plugin_reply_set_result` or `goatflow_plugin_reply_set_error`, once;
/// the library releases it.
pub struct goatflow_plugin_reply {
    _private: [u8; 0],
}

/// Serves a host call of a plugin.
///
/// Returns 0 when `reply` was completed (or the answer is JSON null), `GOATFLOW_PLUGIN_REPLY_PENDING` when it is completed
/// later, any other status when the call failed: the plugin sees a `…_POLICY_…` or `…_HOST_…` status as it is, others as
/// `…_HOST_FAILED`, with the text that `goatflow_plugin_reply_set_error` set. Runs on the thread that called the plugin, or on a thread of the library;
/// several calls may run at once. May call the library. Must not unwind.
pub type goatflow_plugin_host_fn = Option<
    unsafe extern "C" fn(
        user_data: *mut c_void,
        call: *const goatflow_plugin_host_call,
        reply: *const goatflow_plugin_reply,
    ) -> i32,
>;

type HostFunction =
    unsafe extern "C" fn(*mut c_void, *const goatflow_plugin_host_call, *const goatflow_plugin_reply) -> i32;

static REPLIES: Table<PendingReply> = Table::new(0xA4, "reply");

/// An answer that is waited for.
struct PendingReply {
    waiter: Thread,
    answer: Mutex<Answer>,
}

enum Answer {
    Awaited,
    Given(Result<Vec<u8>>),
    Taken,
}

impl PendingReply {
    fn complete(&self, answer: Result<Vec<u8>>) -> Result<()> {
        let mut place = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*place, Answer::Awaited) {
            return Err(Error::new(ErrorCode::LifecycleTaken, "the reply was completed already"));
        }
        *place = Answer::Given(answer);
        self.waiter.unpark();
        Ok(())
    }

    /// The answer, if it was given.
    fn take(&self) -> Option<Result<Vec<u8>>> {
        let mut place = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *place, Answer::Taken) {
            Answer::Given(answer) => Some(answer),
            before => {
                *place = before;
                None
            }
        }
    }

    /// The answer, if it was given; none can be given any more.
    fn close(&self) -> Option<Result<Vec<u8>>> {
        let mut place = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *place, Answer::Taken) {
            Answer::Given(answer) => Some(answer),
            Answer::Awaited | Answer::Taken => None,
        }
    }
}

/// A live reply handle; nobody can complete the reply once it is dropped.
struct ReplyHandle(usize);

impl Drop for ReplyHandle {
    fn drop(&mut self) {
        drop(REPLIES.remove(self.0));
    }
}

/// A provider that asks the host.
struct HostCallback {
    function: HostFunction,
    user_data: UserData,
}

impl Provider for HostCallback {
    fn serve(&self, call: &HostCall<'_>) -> Result<Reply> {
        let reply = Arc::new(PendingReply { waiter: std::thread::current(), answer: Mutex::new(Answer::Awaited) });
        let handle = ReplyHandle(REPLIES.insert(Arc::clone(&reply))?);
        let status = self.ask(call, &handle);
        let answer = match status {
            0 => reply.close().unwrap_or_else(|| Ok(b"null".to_vec())),
            GOATFLOW_PLUGIN_REPLY_PENDING => wait(call.context, &reply)?,
            status => Err(failed(status, reply.close().and_then(Result::err))),
        };
        drop(handle);
        answer.and_then(checked).map_err(|error| error.with_detail("service", call.service.name()))
    }
}

impl HostCallback {
    fn ask(&self, call: &HostCall<'_>, handle: &ReplyHandle) -> i32 {
        let arguments = call.request.to_json().to_string();
        let chain = call.context.chain.with(call.plugin).names().into_iter().collect::<serde_json::Value>().to_string();
        let origin = &call.context.origin;
        let request_id = origin.request_id.as_deref().unwrap_or_default();
        let language = origin.language.as_deref().unwrap_or_default();
        let (service, function) = (call.service.name(), call.function);
        let remaining_ms = call.context.remaining().as_millis();
        let given = goatflow_plugin_host_call {
            struct_size: u32::try_from(size_of::<goatflow_plugin_host_call>()).unwrap_or(0),
            depth: call.context.depth(),
            plugin: start(call.plugin.as_bytes()).cast(),
            plugin_len: call.plugin.len(),
            service: start(service.as_bytes()).cast(),
            service_len: service.len(),
            function: start(function.as_bytes()).cast(),
            function_len: function.len(),
            arguments: start(arguments.as_bytes()),
            arguments_len: arguments.len(),
            chain: start(chain.as_bytes()).cast(),
            chain_len: chain.len(),
            request_id: start(request_id.as_bytes()).cast(),
            request_id_len: request_id.len(),
            language: start(language.as_bytes()).cast(),
            language_len: language.len(),
            host_context: std::ptr::with_exposed_provenance_mut(origin.host_context),
            remaining_ms: i64::try_from(remaining_ms).unwrap_or(i64::MAX),
        };
        // SAFETY: the host gave this function for this pointer; `given` and what it points to live until it returns.
        unsafe { (self.function)(self.user_data.pointer(), &raw const given, std::ptr::without_provenance(handle.0)) }
    }
}

fn wait(context: &CallContext, reply: &PendingReply) -> Result<Result<Vec<u8>>> {
    context.block_until(|| reply.take())
}

/// A failure with the code that the callback returned, if it is one that a host can have, and the text that it set.
fn failed(status: i32, text: Option<Error>) -> Error {
    let hosts_own = |code: &ErrorCode| code.is_denial() || (700..800).contains(&code.number());
    let code = ErrorCode::from_number(status).filter(hosts_own).unwrap_or(ErrorCode::HostFailed);
    let message = match text {
        Some(error) => error.context().to_owned(),
        None => format!("the host's callback failed with status {status}"),
    };
    Error::new(code, message).with_detail("status", status)
}

/// Plugins rely on JSON: what the host answers must be some.
fn checked(answer: Vec<u8>) -> Result<Reply> {
    serde_json::from_slice::<&serde_json::value::RawValue>(&answer).map_err(|error| {
        Error::new(ErrorCode::HostReplyInvalid, "the host's callback answered with something that is not JSON")
            .with_source(error)
    })?;
    Ok(answer.into())
}

/// Let the host answer a service itself, in place of the built-in provider.
///
/// Takes effect for host calls that start from now on.
///
/// Parameters:
/// - `manager`: the manager.
/// - `service`, `service_len`: "db", "cache", "http", "email", "config", "translate", "log" or "event".
/// - `callback`: serves the calls; NULL = back to the built-in provider.
/// - `user_data`: handed to the callback.
/// - `finalizer`: releases `user_data`; may be NULL. Runs exactly once, after the last callback has returned, also when this
///   function fails.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_ARGUMENT_INVALID` when there is no such service, `…_STATUS_ARGUMENT_…`.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; `callback` and `finalizer` can be called from any thread with `user_data`
/// until the finalizer has run; `out_error` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_manager_provide(
    manager: *const goatflow_plugin_manager,
    service: *const c_char,
    service_len: usize,
    callback: goatflow_plugin_host_fn,
    user_data: *mut c_void,
    finalizer: goatflow_plugin_finalizer_fn,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    let user_data = UserData::new(user_data, finalizer);
    guard(out_error, move || {
        let provider = callback.map(|function| Box::new(HostCallback { function, user_data }) as Box<dyn Provider>);
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        manager.provide(args.text(service, service_len, "service")?, provider)
    })
}

/// Offer a function to plugins beyond the built-in ones. A function that is not declared is denied.
///
/// Declaring a name again replaces the function.
///
/// Parameters:
/// - `manager`: the manager.
/// - `declaration_json`, `declaration_json_len`: `{"name", "permission", "access": "read|write", "target"}`. Plugins need a
///   permission of the type `permission` with that access; `target`, a JSON pointer, finds the text in the arguments that the
///   permission's scope must match; null = no scope.
/// - `callback`: serves the calls.
/// - `user_data`: handed to the callback.
/// - `finalizer`: releases `user_data`; may be NULL. Runs exactly once, after the last callback has returned, also when this
///   function fails.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_ARGUMENT_JSON` when the declaration is refused, `…_STATUS_ARGUMENT_INVALID` for a built-in or malformed
/// name, `…_STATUS_ARGUMENT_…`.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; `callback` and `finalizer` can be called from any thread with `user_data`
/// until the finalizer has run; `out_error` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_manager_declare(
    manager: *const goatflow_plugin_manager,
    declaration_json: *const c_char,
    declaration_json_len: usize,
    callback: goatflow_plugin_host_fn,
    user_data: *mut c_void,
    finalizer: goatflow_plugin_finalizer_fn,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    let user_data = UserData::new(user_data, finalizer);
    guard(out_error, move || {
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        let declaration = parse_declaration(args.text(declaration_json, declaration_json_len, "declaration_json")?)?;
        let function = callback.ok_or_else(|| Error::new(ErrorCode::ArgumentNull, "`callback` is NULL"))?;
        let provider = Box::new(HostCallback { function, user_data });
        manager.declare(CustomFunction {
            name: declaration.name,
            permission: PermissionType::from_name(&declaration.permission),
            access: if declaration.access == AccessName::Read { Access::Read } else { Access::Write },
            target: declaration.target,
            provider,
        })
    })
}

/// Complete a reply with a result.
///
/// Parameters:
/// - `reply`: the reply that the callback was given.
/// - `json`, `json_len`: the answer, JSON in the form that docs/contract.md section 2.2 gives for the function; copied.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any, in the callback or later.
/// Errors: `…_STATUS_ARGUMENT_HANDLE` when the call is over (answered, past its deadline, cancelled),
/// `…_STATUS_LIFECYCLE_TAKEN` when the reply was completed already, `…_STATUS_ARGUMENT_NULL`.
/// Since: ABI 1.
///
/// # Safety
/// The input is readable for its length; `out_error` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_reply_set_result(
    reply: *const goatflow_plugin_reply,
    json: *const u8,
    json_len: usize,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let reply = args.handle(&REPLIES, reply, "reply")?;
        reply.complete(Ok(args.bytes(json, json_len, "json")?.to_vec()))
    })
}

/// Complete a reply with a failure; the plugin sees the message, and `host.failed` unless the callback returns a status of
/// its own.
///
/// Parameters:
/// - `reply`: the reply that the callback was given.
/// - `message`, `message_len`: what went wrong, UTF-8; must not hold secrets.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any, in the callback or later.
/// Errors: as `goatflow_plugin_reply_set_result`, and `…_STATUS_ARGUMENT_UTF8`.
/// Since: ABI 1.
///
/// # Safety
/// The input is readable for its length; `out_error` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_reply_set_error(
    reply: *const goatflow_plugin_reply,
    message: *const c_char,
    message_len: usize,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let reply = args.handle(&REPLIES, reply, "reply")?;
        let message = args.text(message, message_len, "message")?;
        reply.complete(Err(Error::new(ErrorCode::HostFailed, message.to_owned())))
    })
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Declaration {
    name: String,
    permission: String,
    access: AccessName,
    #[serde(default)]
    target: Option<String>,
}

#[derive(PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum AccessName {
    Read,
    Write,
}

fn parse_declaration(text: &str) -> Result<Declaration> {
    let declaration: Declaration = json::from_object(text.as_bytes())
        .map_err(|error| Error::new(ErrorCode::ArgumentJson, "the declaration is refused").with_source(error))?;
    if declaration.target.as_deref().is_some_and(|target| !target.starts_with('/')) {
        return Err(Error::new(ErrorCode::ArgumentInvalid, "`target` is a JSON pointer such as \"/name\""));
    }
    Ok(declaration)
}
