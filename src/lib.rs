//! Runs third-party plugins that the host application does not trust.
#![expect(missing_docs)]
pub mod clock;
pub mod error;
pub mod executor;
pub mod host;
pub mod plugin;
pub mod runtime;
pub mod bounded;
pub mod policy;
pub mod providers;
pub mod sandbox;
