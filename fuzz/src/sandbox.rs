//! The sandbox without what needs providers.

#[path = "../../src/sandbox/sql/mod.rs"]
pub mod sql;
