//! What goes over the connection of an existing go-plugin program, without any I/O: bytes go in and events come out, calls go
//! in and bytes come out.
//!
//! Four protocols lie on top of each other. *yamux* makes many streams of one connection, each with a window in both
//! directions. The *broker* gives meaning to streams: who opens one says a number, who accepts it says the number back.
//! *net/rpc* puts calls and their answers on a stream, matched by a sequence number. *gob* is the form of both, and
//! describes its own types.
//!
//! Everything that a plugin sends is bounded here: what it makes the host hold, how deep it nests, how many types, streams
//! and requests there are. What breaks a rule is a [`Violation`], and the end of the session.

mod buffer;
pub mod gob;
mod messages;
mod rpc;
mod stack;
pub mod yamux;

#[cfg(test)]
mod tests;

pub use gob::Value;
pub use messages::Argument;
pub use rpc::{Expected, HostCall, Outcome, Waiter};
pub use stack::{Event, HOST_API, Limits, Stack, Target};

/// How the other side broke the protocol: one clause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation(pub String);

/// Result of reading what the other side sent.
pub type Wired<T> = Result<T, Violation>;

/// Refuses what was read.
fn broken<T>(clause: impl Into<String>) -> Wired<T> {
    Err(Violation(clause.into()))
}
