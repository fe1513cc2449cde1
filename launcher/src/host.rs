//! What is said to the host: messages of NUL-separated fields over one socket.
//!
//! The launcher, the jail's init and the plugin's process before its exec share the socket. Only the last one listens on it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::fault::{Fault, Outcome, Step};
use crate::sys::{self, Ending};

/// How a layer of the jail falls short.
#[derive(Clone, Copy)]
pub(crate) enum State {
    Reduced,
    Missing,
}

/// The host's end of the conversation.
pub(crate) struct Host {
    socket: OwnedFd,
}

impl Host {
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self { socket }
    }

    /// A host that went away is noticed at the life pipe, so that failing to tell it something is no error here.
    fn say(&self, fields: &[&str], passed: Option<BorrowedFd<'_>>) {
        let _ = sys::send(self.socket.as_fd(), fields.join("\0").as_bytes(), passed);
    }

    /// Hands over a descriptor under a name.
    pub(crate) fn hand_over(&self, name: &str, descriptor: BorrowedFd<'_>) {
        self.say(&["descriptor", name], Some(descriptor));
    }

    /// Reports a layer that is in force; `fact` says more, for example a version.
    pub(crate) fn in_force(&self, layer: &str, fact: &str) {
        self.say(&["layer", layer, "ok", "", "0", fact], None);
    }

    /// Reports a layer that is weaker than it should be, or not there.
    pub(crate) fn weak(&self, layer: &str, state: State, fault: &Fault) {
        let state = match state {
            State::Reduced => "reduced",
            State::Missing => "missing",
        };
        self.say(&["layer", layer, state, fault.step, &fault.errno.to_string(), &fault.place], None);
    }

    /// Reports a layer by the outcome of its step.
    pub(crate) fn layer(&self, layer: &str, outcome: Outcome<()>, otherwise: State) {
        match outcome {
            Ok(()) => self.in_force(layer, ""),
            Err(fault) => self.weak(layer, otherwise, &fault),
        }
    }

    /// The start failed for good.
    pub(crate) fn failed(&self, fault: &Fault) {
        self.say(&["failed", fault.step, &fault.errno.to_string(), &fault.place], None);
    }

    /// Everything is in force that will be; the plugin's code has not run yet.
    pub(crate) fn ready(&self) {
        self.say(&["ready"], None);
    }

    /// The plugin's code runs.
    pub(crate) fn started(&self) {
        self.say(&["started"], None);
    }

    /// The plugin's process ended.
    pub(crate) fn ended(&self, ending: Ending) {
        match ending {
            Ending::Code(code) => self.say(&["ended", "code", &code.to_string()], None),
            Ending::Signal(signal) => self.say(&["ended", "signal", &signal.to_string()], None),
        }
    }

    /// Everything is gone and cleaned up.
    pub(crate) fn over(&self, out_of_memory: bool) {
        self.say(&["over", if out_of_memory { "memory" } else { "" }], None);
    }

    /// Waits for the host's word after [`Self::ready`]; false when it does not want the plugin to start.
    pub(crate) fn consent(&self) -> bool {
        let mut word = [0_u8; 8];
        matches!(sys::receive(self.socket.as_fd(), &mut word), Ok((2, _)) if word.starts_with(b"go"))
    }

    /// First message of the host: the descriptors that the launcher works with.
    pub(crate) fn descriptors(&self) -> Outcome<Vec<OwnedFd>> {
        let mut word = [0_u8; 8];
        sys::receive(self.socket.as_fd(), &mut word).step("descriptors").map(|(_, passed)| passed)
    }
}
