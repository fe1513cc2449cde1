//! Ready-made providers: what answers plugins when the host does not do it itself.

pub mod cache;
pub mod config;
pub mod file_store;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "mail")]
pub mod mail;
pub mod memory_store;
#[cfg(any(feature = "http", feature = "mail"))]
pub mod net;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(feature = "sqlite")]
pub mod sysconfig_store;
pub mod translations;
