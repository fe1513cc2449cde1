//! Policies: read, changed, checked.

use std::ffi::c_char;

use super::args::Args;
use super::buffer::goatflow_plugin_buffer;
use super::error::goatflow_plugin_error;
use super::guard::guard;
use super::manager::{MANAGERS, goatflow_plugin_manager};
use crate::policy::document;

/// `expected_revision` of `goatflow_plugin_policy_set` that fits every stored revision.
pub const GOATFLOW_PLUGIN_ANY_REVISION: u64 = u64::MAX;

/// Get the policy of a plugin: what is stored, what is in force, and where each line of it comes from.
///
/// Parameters:
/// - `manager`: the manager.
/// - `plugin`, `plugin_len`: name of a plugin that is loaded or has a stored policy.
/// - `out_json`: JSON object `{"plugin", "revision", "stored", "effective"}`; `revision` 0 and `stored` null mean that the
///   default grant is in force; release with `goatflow_plugin_buffer_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_LIFECYCLE_PLUGIN_NOT_FOUND`, `…_STATUS_ARGUMENT_…`.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_policy_get(
    manager: *const goatflow_plugin_manager,
    plugin: *const c_char,
    plugin_len: usize,
    out_json: *mut goatflow_plugin_buffer,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.out(out_json, "out_json")?;
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        out.set(manager.policy(args.text(plugin, plugin_len, "plugin")?)?.into());
        Ok(())
    })
}

/// Store an administrator's policy for a plugin and put it in force, at once and for every host call that starts from now on.
///
/// ```c
/// const char *policy =
///     "{\"version\":1,\"status\":\"approved\",\"permissions\":"
///     "[{\"type\":\"db\",\"access\":\"read\",\"scope\":[\"ticket\"]}]}";
/// uint64_t revision = 0;
///
/// goatflow_plugin_policy_set(NULL, "stats", 5, policy, strlen(policy), GOATFLOW_PLUGIN_ANY_REVISION, &revision, NULL);
/// ```
///
/// The document is the whole policy of the plugin. A document that is refused changes nothing. The plugin need not be
/// loaded.
///
/// Parameters:
/// - `manager`: the manager.
/// - `plugin`, `plugin_len`: name of the plugin.
/// - `policy_json`, `policy_json_len`: policy document (see `goatflow_plugin_policy_schema`); `(NULL, 0)` removes the stored
///   one, so that the default grant is in force again.
/// - `expected_revision`: revision that the change is based on, 0 for none; `GOATFLOW_PLUGIN_ANY_REVISION` = whatever it is.
/// - `out_revision`: the new revision; may be NULL.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any; concurrent changes are put in force one after the other.
/// Errors: `…_STATUS_POLICY_DOCUMENT_INVALID` with all problems in the detail, `…_STATUS_POLICY_REVISION_CONFLICT` when
/// somebody else changed it meanwhile, `…_STATUS_PACKAGE_NAME_INVALID`, `…_STATUS_LIFECYCLE_SHUT_DOWN`,
/// `…_STATUS_ARGUMENT_…`.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_policy_set(
    manager: *const goatflow_plugin_manager,
    plugin: *const c_char,
    plugin_len: usize,
    policy_json: *const c_char,
    policy_json_len: usize,
    expected_revision: u64,
    out_revision: *mut u64,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.optional_out(out_revision);
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        let plugin = args.text(plugin, plugin_len, "plugin")?;
        let text = args.bytes(policy_json, policy_json_len, "policy_json")?;
        let expected = Some(expected_revision).filter(|revision| *revision != GOATFLOW_PLUGIN_ANY_REVISION);
        let revision = manager.set_policy(plugin, text, expected)?;
        if let Some(out) = out {
            out.set(revision);
        }
        Ok(())
    })
}

/// Check a policy document without putting it in force.
///
/// Parameters:
/// - `policy_json`, `policy_json_len`: policy document.
/// - `out_report_json`: JSON object `{"valid", "problems": [{"path", "message"}], "warnings": […]}`; release with
///   `goatflow_plugin_buffer_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_ARGUMENT_NULL`. A document that is not valid is no error: the report tells.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_policy_validate(
    policy_json: *const c_char,
    policy_json_len: usize,
    out_report_json: *mut goatflow_plugin_buffer,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.out(out_report_json, "out_report_json")?;
        let text = args.bytes(policy_json, policy_json_len, "policy_json")?;
        out.set(document::validate_report(text).into());
        Ok(())
    })
}

/// Get the JSON Schema of policy documents.
///
/// Parameters:
/// - `out_json`: JSON Schema; release with `goatflow_plugin_buffer_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_ARGUMENT_NULL`.
/// Since: ABI 1.
///
/// # Safety
/// The out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_policy_schema(
    out_json: *mut goatflow_plugin_buffer,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        args.out(out_json, "out_json")?.set(document::schema().into());
        Ok(())
    })
}
