//! Scopes: what an entry of a policy names, and whether one concrete thing is in it. One file per surface.
//!
//! All of them keep the same rules: an empty scope grants nothing, comparisons are ASCII only, patterns are
//! anchored, and what has no single meaning is refused.

pub mod address;
pub mod config;
pub mod domain;
pub mod email;
pub mod glob;
pub mod headers;
pub mod http;
pub mod names;
pub mod path;
pub mod tables;
#[cfg(test)]
mod tests;
mod url;

/// Why an entry of a scope is refused, in words for the administrator who wrote it.
pub type ScopeResult<T> = Result<T, String>;
