//! Runs third-party plugins that the host application does not trust.
//!
//! Five concepts: a *plugin*, a WebAssembly module or a native program, registers a name and answers calls;
//! a [`manager::Manager`] loads and calls plugins; every call a plugin makes of its host passes a [`sandbox`]; a
//! [`policy::Policy`], granted by an administrator, says what passes; [`providers`] or the host's own callbacks do the work
//! behind it. Hosts in other languages use the C API in `include/goatflow_plugin.h`, which [`capi`] implements.
//!
//! ```no_run
//! use goatflow_plugin::manager::{CallOptions, Config, Manager};
//!
//! let manager = Manager::new(Config::parse(br#"{"database": {"sqlite": {"path": "tickets.db"}}}"#)?)?;
//! let name = manager.load("plugins/ticket-stats".as_ref())?;
//! manager.call(&name, "overview", b"{}", &CallOptions::default(), &mut |answer| {
//!     println!("{}", String::from_utf8_lossy(answer));
//!     Ok(())
//! })?;
//! # Ok::<(), goatflow_plugin::error::Error>(())
//! ```
//!
//! Modules import downwards only: [`capi`] and the command line → [`manager`] → [`lifecycle`] → [`sandbox`], [`runtime`],
//! [`package`], [`providers`] → [`policy`], [`host`] → [`plugin`] → [`error`], [`clock`], [`executor`], [`bounded`],
//! `json`, `proto`, [`doctor`].

pub mod bounded;
#[expect(non_camel_case_types, reason = "types of the C API carry their C names")]
pub mod capi;
pub mod clock;
pub mod doctor;
pub mod error;
pub mod executor;
pub mod host;
mod json;
pub mod lifecycle;
pub mod manager;
pub mod package;
pub mod plugin;
pub mod policy;
#[cfg(native_plugins)]
mod proto;
pub mod providers;
pub mod runtime;
pub mod sandbox;
