//! Trust: whose signatures count, and raw signatures.

use std::ffi::c_char;

use super::args::Args;
use super::buffer::goatflow_plugin_buffer;
use super::error::goatflow_plugin_error;
use super::guard::guard;
use super::manager::{MANAGERS, goatflow_plugin_manager};
use crate::package::signature::key;
use crate::package::trust::TrustDocument;

/// Get everything that is trusted: the trust store's file and the configured keys, as one document.
///
/// Parameters:
/// - `manager`: the manager.
/// - `out_json`: JSON object (see `goatflow_plugin_trust_schema`); release with `goatflow_plugin_buffer_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_SIGNATURE_TRUST_UNREADABLE`, `…_STATUS_SIGNATURE_TRUST_INVALID`, `…_STATUS_ARGUMENT_…`.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_trust_list(
    manager: *const goatflow_plugin_manager,
    out_json: *mut goatflow_plugin_buffer,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.out(out_json, "out_json")?;
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        out.set(manager.trust()?.into());
        Ok(())
    })
}

/// Trust a further key: it is written to the configured trust store and counts from the next load on.
///
/// Parameters:
/// - `manager`: the manager.
/// - `key_json`, `key_json_len`: an entry of `keys` of a trust store (see `goatflow_plugin_trust_schema`).
/// - `out_json`: everything that is trusted now, as JSON object; release with `goatflow_plugin_buffer_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any; changes of installed packages wait for each other, also those of other processes.
/// Errors: `…_STATUS_SIGNATURE_TRUST_UNREADABLE`, `…_STATUS_SIGNATURE_TRUST_INVALID`,
/// `…_STATUS_SIGNATURE_TRUST_CONFLICT`, `…_STATUS_SIGNATURE_KEY_INVALID`, `…_STATUS_ENVIRONMENT_IO`, `…_STATUS_ARGUMENT_…`.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_trust_add(
    manager: *const goatflow_plugin_manager,
    key_json: *const c_char,
    key_json_len: usize,
    out_json: *mut goatflow_plugin_buffer,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.out(out_json, "out_json")?;
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        out.set(manager.trust_key(args.text(key_json, key_json_len, "key_json")?.as_bytes())?.into());
        Ok(())
    })
}

/// Trust a key or a file no more: it counts from the next load on. What is loaded stays loaded.
///
/// Parameters:
/// - `manager`: the manager.
/// - `revocation_json`, `revocation_json_len`: `{"key": label, key id or public key, "reason"}`, or `{"sha256", "reason"}`.
/// - `out_json`: everything that is trusted now, as JSON object; release with `goatflow_plugin_buffer_free`.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any; changes of installed packages wait for each other, also those of other processes.
/// Errors: `…_STATUS_SIGNATURE_TRUST_UNREADABLE`, `…_STATUS_SIGNATURE_TRUST_INVALID`,
/// `…_STATUS_SIGNATURE_TRUST_CONFLICT`, `…_STATUS_SIGNATURE_KEY_INVALID`, `…_STATUS_ENVIRONMENT_IO`, `…_STATUS_ARGUMENT_…`.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_trust_revoke(
    manager: *const goatflow_plugin_manager,
    revocation_json: *const c_char,
    revocation_json_len: usize,
    out_json: *mut goatflow_plugin_buffer,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.out(out_json, "out_json")?;
        let manager = args.handle(&MANAGERS, manager, "manager")?;
        out.set(
            manager
                .revoke_trust(args.text(revocation_json, revocation_json_len, "revocation_json")?.as_bytes())?
                .into(),
        );
        Ok(())
    })
}

/// Get the JSON Schema of trust stores.
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
pub unsafe extern "C" fn goatflow_plugin_trust_schema(
    out_json: *mut goatflow_plugin_buffer,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        args.out(out_json, "out_json")?.set(TrustDocument::schema().into());
        Ok(())
    })
}

/// Check a raw Ed25519 signature, strictly: second spellings, weak keys and keys outside the prime-order group are refused.
///
/// Parameters:
/// - `public_key`, `public_key_len`: 32 bytes.
/// - `message`, `message_len`: what was signed.
/// - `signature`, `signature_len`: 64 bytes.
/// - `out_valid`: 1 when it is a valid signature, else 0; wrong lengths are not valid.
/// - `out_error`: may be NULL; set on failure only; release with `goatflow_plugin_error_free`.
///
/// Threads: any.
/// Errors: `…_STATUS_ARGUMENT_NULL`.
/// Since: ABI 1.
///
/// # Safety
/// The inputs are readable for their lengths; the out pointers are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_signature_check(
    public_key: *const u8,
    public_key_len: usize,
    message: *const u8,
    message_len: usize,
    signature: *const u8,
    signature_len: usize,
    out_valid: *mut i32,
    out_error: *mut *const goatflow_plugin_error,
) -> i32 {
    // SAFETY: the contract in this function's documentation.
    let args = unsafe { Args::trusted() };
    guard(out_error, || {
        let out = args.out(out_valid, "out_valid")?;
        let public_key = args.bytes(public_key, public_key_len, "public_key")?;
        let message = args.bytes(message, message_len, "message")?;
        let signature = args.bytes(signature, signature_len, "signature")?;
        out.set(i32::from(key::is_valid(public_key, message, signature)));
        Ok(())
    })
}
