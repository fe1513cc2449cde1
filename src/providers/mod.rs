//! Ready-made providers: what answers plugins when the host does not do it itself.

pub mod cache;
pub mod config;
pub mod memory_store;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod translations;
