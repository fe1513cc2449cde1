//! Plugins by name: which one serves, how many calls it serves, how it is exchanged.
//!
//! A *slot* belongs to a name for the life of the manager and keeps what must survive a reload: the sandbox with its
//! policy, limits and counters, and the failures of the past. A *generation* is one loaded version; it serves while the
//! slot points at it.

pub mod changes;
pub mod events;
pub mod generation;
pub mod health;
pub mod operation;
pub mod registry;
pub mod serving;
pub mod slot;
mod sync;
pub mod traffic;
pub mod trial;
pub mod watch;

pub use events::{EventHub, Subscription};
pub use generation::{Generation, Live, Origin, Packaged, Source, State};
pub use operation::Operation;
pub use registry::Registry;
pub use slot::{Slot, Standby, SwapTurn, Trial};
pub use traffic::Figures;
pub use watch::{Watch, Watcher};
