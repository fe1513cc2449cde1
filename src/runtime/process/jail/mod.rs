//! The jail that native plugins run in.
//!
//! A launcher, embedded in this library, is started once for each plugin. It makes namespaces of users, processes, files,
//! network and more, an empty read-only root, and control groups; it drops every right, puts Landlock and a filter of system
//! calls into force, and executes exactly the sealed bytes of an [`Image`]. Then it waits, and cleans up.
//!
//! Machines differ in what they offer. Each start tries everything and reports [layer](Layer) by layer what is in force; a
//! plugin's bytes run only when the [level](JailReport::level) is what the [`JailSpec`] asks for at least.
//!
//! Nothing outlives the host: launcher and jail hold a pipe that only the host can write to, and end when it closes.

mod image;
mod spec;
mod status;

pub use spec::{JailLimits, JailSpec};
pub use status::{JailReport, Layer, LayerState};

#[cfg(native_plugins)]
mod child;
#[cfg(native_plugins)]
mod linux;
#[cfg(native_plugins)]
mod messages;
#[cfg(native_plugins)]
mod users;
#[cfg(native_plugins)]
pub use child::{JailSockets, JailedChild};
#[cfg(native_plugins)]
pub(super) use linux::may_write;
#[cfg(native_plugins)]
pub use linux::{Image, Jail};

#[cfg(not(native_plugins))]
mod unsupported;
#[cfg(not(native_plugins))]
pub use unsupported::{Image, Jail, JailedChild};

/// How a plugin's process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JailExit {
    /// Exit code, if it ended itself.
    pub code: Option<i32>,
    /// Signal that ended it otherwise.
    pub signal: Option<i32>,
    /// The kernel ended it because the jail's memory was used up.
    pub out_of_memory: bool,
}
