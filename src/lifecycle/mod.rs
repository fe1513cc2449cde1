//! Plugins by name: which one serves, how many calls it serves, how it is exchanged.
//!
//! A *slot* belongs to a name for the life of the manager and keeps what must survive a reload: the sandbox with its
//! policy, limits and counters. A *generation* is one loaded plugin; it serves while the slot points at it.

pub mod events;
pub mod operation;
pub mod registry;
pub mod slot;
pub mod traffic;
pub mod watch;

pub use events::{EventHub, Subscription};
pub use operation::Operation;
pub use registry::Registry;
pub use slot::{Generation, Packaged, Slot};
pub use watch::{Watch, Watcher};
