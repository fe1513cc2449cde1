//! The C API: each function converts its arguments, makes one call into the library and converts the result.
//!
//! - `handle`: opaque values that are looked up, never dereferenced · `args`: pointers → values · `guard`: panic barrier,
//!   fork check, error objects · `types`: structs that cross · `user_data`: the host's pointers and their finalizers.
//! - One file for each C object: `version`, `buffer`, `error`, `manager`, `call`, `operation`, `queue`, `cancellation`,
//!   `function`, `policy`, `host`, `subscription`, `package`, `trust`; `lifecycle` and `exchange` for versions that replace
//!   each other; `watch` for development.
//!
//! Rules of the ABI, which `include/goatflow_plugin.h` states for its users: inputs are (pointer, length), `(NULL, 0)` is
//! empty; outputs are zeroed first and set on success only; every fallible function returns a status and takes an
//! optional `out_error` last; freeing is idempotent; no lock is held while the host is called.

#![expect(unsafe_code, reason = "this is the boundary to C")]

mod args;
pub mod buffer;
pub mod call;
pub mod cancellation;
pub mod error;
pub mod exchange;
pub mod function;
mod guard;
mod handle;
pub mod host;
pub mod lifecycle;
pub mod manager;
pub mod operation;
pub mod package;
pub mod policy;
mod policy_learning;
pub mod queue;
pub mod subscription;
pub mod trust;
pub mod types;
mod user_data;
pub mod version;
pub mod watch;

#[cfg(test)]
mod tests;
