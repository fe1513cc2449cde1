//! Policies: learned, suggested, accepted, asked without a call, looked back on.

use std::ffi::c_char;

use super::args::Args;
use super::buffer::goatflow_plugin_buffer;
use super::error::goatflow_plugin_error;
use super::guard::guard;
use super::manager::{MANAGERS, goatflow_plugin_manager};
use crate::sandbox::dry_run;

/// Suggest the smallest policy that lets a plugin work, with the evidence for each line.
///
/// What the plugin was refused, and what it was let do while it was observed, becomes entries; they are added to what is in
/// force now. What it only declares, what is sensitive and what no single entry could name is told and left out. Wildcards
/// are never suggested. Nothing is changed: hand the answer to `goatflow_plugin_policy_apply`.
///
/// Parameters:
/// - `manager`: the manager.
/// - `plugin`, `plugin_len`: name of a plugin that is loaded, or of which the policy store has evidence.
/// - `options_json`, `options_json_len`: `{"sensitive": bool, "declared": bool}`, each optional: also entries that are
///   sensitive, also entries that the plugin declares and did not need so far; `(NULL, 0)` = neither.
/// - `out_json`: JSON object `{"plugin", "revision", "changes", "document", "lines": [{"entry", "new", "sensitive",
///   "evidence"}], "left_out": [{"entry", "reason", "evidence"}]}`; release with `goatflow_plugin_buffer_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_LIFECYCLE_PLUGIN_NOT_FOUND`, `…_STATUS_POLICY_BLOCKED` for a plugin that an administrator blocked,
/// `…_STATUS_POLICY_DOCUMENT_INVALID` when the stored policy can't be read, `…_STATUS_ENVIRONMENT_STORE`,
/// `…_STATUS_ARGUMENT_…`.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_policy_suggest(
    manager: *const goatflow_plugin_manager,
    plugin: *const c_char,
    plugin_len: usize,
    options_json: *const c_char,
    options_json_len: usize,
    out_json: *mut goatflow_plugin_buffer,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.out(out_json, "out_json")?;
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        let plugin = args.text(plugin, plugin_len, "plugin")?;
        let options = args.bytes(options_json, options_json_len, "options_json")?;
        out.set(manager.policy_suggest(plugin, options)?.into());
        Ok(())
    })
}

/// Accept a suggestion: store its document and put it in force.
///
/// What is granted is what the suggestion says, whatever the plugin did since.
///
/// Parameters:
/// - `manager`: the manager.
/// - `plugin`, `plugin_len`: name of the plugin.
/// - `suggestion_json`, `suggestion_json_len`: what `goatflow_plugin_policy_suggest` answered.
/// - `out_revision`: the new revision; may be NULL.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any; concurrent changes are put in force one after the other.
/// Errors: `…_STATUS_POLICY_REVISION_CONFLICT` when the policy was changed since the suggestion was made,
/// `…_STATUS_POLICY_DOCUMENT_INVALID`, `…_STATUS_ENVIRONMENT_STORE`, `…_STATUS_LIFECYCLE_SHUT_DOWN`, `…_STATUS_ARGUMENT_…`.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_policy_apply(
    manager: *const goatflow_plugin_manager,
    plugin: *const c_char,
    plugin_len: usize,
    suggestion_json: *const c_char,
    suggestion_json_len: usize,
    out_revision: *mut u64,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.optional_out(out_revision);
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        let plugin = args.text(plugin, plugin_len, "plugin")?;
        let suggestion = args.bytes(suggestion_json, suggestion_json_len, "suggestion_json")?;
        let revision = manager.policy_apply(plugin, suggestion)?;
        if let Some(out) = out {
            out.set(revision);
        }
        Ok(())
    })
}

/// Observe a plugin for a while: calls that only lack a permission or a scope pass, and are recorded.
///
/// Never lets through what is not fully understood, sensitive tables, catalogues, secrets of the configuration, addresses
/// that are not public, or anything beyond a limit. The policy shows until when; every call let through is logged.
///
/// Parameters:
/// - `manager`: the manager.
/// - `plugin`, `plugin_len`: name of the plugin, which need not be loaded.
/// - `seconds`: how long from now on, at most 31 days; 0 ends it.
/// - `out_revision`: the policy's new revision; may be NULL.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_ARGUMENT_INVALID` for more than 31 days, `…_STATUS_POLICY_DOCUMENT_INVALID` when the stored policy
/// can't be read, `…_STATUS_POLICY_REVISION_CONFLICT` when somebody changed it at the same time,
/// `…_STATUS_ENVIRONMENT_STORE`, `…_STATUS_LIFECYCLE_SHUT_DOWN`, `…_STATUS_ARGUMENT_…`.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_policy_observe(
    manager: *const goatflow_plugin_manager,
    plugin: *const c_char,
    plugin_len: usize,
    seconds: u64,
    out_revision: *mut u64,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.optional_out(out_revision);
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        let revision = manager.policy_observe(args.text(plugin, plugin_len, "plugin")?, seconds)?;
        if let Some(out) = out {
            out.set(revision);
        }
        Ok(())
    })
}

/// Tell whether the policy in force of a plugin would allow a host call, and why not. Nothing is called.
///
/// Asks the gates that plugins pass. Rates, quotas, addresses that names resolve to, and observation are left out.
///
/// Parameters:
/// - `manager`: the manager.
/// - `plugin`, `plugin_len`: name of a loaded plugin.
/// - `request_json`, `request_json_len`: `{"function": name, "arguments": {…}}`.
/// - `out_json`: JSON object `{"allow", "code", "reason", "rule", "target", "suggestion"}`; `code` is `ok` or a slug, the last
///   three are there when the call is refused, with `no_suggestion` and its reason in place of a suggestion that no policy
///   could follow; release with `goatflow_plugin_buffer_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_LIFECYCLE_PLUGIN_NOT_FOUND`, `…_STATUS_ARGUMENT_…`. A refused call is no error: the verdict tells.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_policy_check(
    manager: *const goatflow_plugin_manager,
    plugin: *const c_char,
    plugin_len: usize,
    request_json: *const c_char,
    request_json_len: usize,
    out_json: *mut goatflow_plugin_buffer,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.out(out_json, "out_json")?;
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        let plugin = args.text(plugin, plugin_len, "plugin")?;
        let request = args.bytes(request_json, request_json_len, "request_json")?;
        out.set(manager.policy_check(plugin, request)?.into());
        Ok(())
    })
}

/// Tell whether a policy document would allow a host call, and why not, without a plugin, a manager or a database.
///
/// Parameters:
/// - `policy_json`, `policy_json_len`: policy document; `(NULL, 0)` = the default grant.
/// - `request_json`, `request_json_len`: `{"function": name, "arguments": {…}}`, and where it matters `"dialect"` (`sqlite`,
///   `postgres` or `mysql`; absent means the first), `"default_schema"`, and `"resources"`, what the plugin declares.
/// - `out_json`: JSON object `{"allow", "code", "reason", "rule", "target", "suggestion"}`; `code` is `ok` or a slug, the last
///   three are there when the call is refused, with `no_suggestion` and its reason in place of a suggestion that no policy
///   could follow; release with `goatflow_plugin_buffer_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_POLICY_DOCUMENT_INVALID`, `…_STATUS_ARGUMENT_…`. A refused call is no error: the verdict tells.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_policy_check_document(
    policy_json: *const c_char,
    policy_json_len: usize,
    request_json: *const c_char,
    request_json_len: usize,
    out_json: *mut goatflow_plugin_buffer,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.out(out_json, "out_json")?;
        let policy = args.bytes(policy_json, policy_json_len, "policy_json")?;
        let request = args.bytes(request_json, request_json_len, "request_json")?;
        out.set(dry_run::check_document(policy, request)?.into());
        Ok(())
    })
}

/// Get the changes of a plugin's policy and enablement, newest first.
///
/// Each row is bound to the one before it by a hash, over all plugins of the policy store.
///
/// Parameters:
/// - `manager`: the manager.
/// - `plugin`, `plugin_len`: name of the plugin; `(NULL, 0)` = all.
/// - `limit`: most rows; 10,000 at most.
/// - `out_json`: JSON array of `{"seq", "time", "plugin", "action", "actor", "revision", "digest", "document", "hash"}`;
///   release with `goatflow_plugin_buffer_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_ENVIRONMENT_STORE`, `…_STATUS_ARGUMENT_…`.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_policy_history(
    manager: *const goatflow_plugin_manager,
    plugin: *const c_char,
    plugin_len: usize,
    limit: usize,
    out_json: *mut goatflow_plugin_buffer,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.out(out_json, "out_json")?;
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        let plugin = Some(args.text(plugin, plugin_len, "plugin")?).filter(|plugin| !plugin.is_empty());
        out.set(manager.policy_history(plugin, limit)?.into());
        Ok(())
    })
}
