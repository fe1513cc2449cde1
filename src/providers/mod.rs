//! Ready-made providers: what answers plugins when the host does not do it itself.

pub mod cache;
pub mod config;
pub mod file_store;
pub mod memory_store;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(feature = "sqlite")]
pub mod sysconfig_store;
pub mod translations;
