//! A step that failed, and where.

use crate::sys::{Answer, Errno};

/// What the host needs in order to tell an administrator what to do.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) step: &'static str,
    pub(crate) errno: Errno,
    /// Path or value the step was about; empty when there is none.
    pub(crate) place: String,
}

/// Result of a step.
pub(crate) type Outcome<T> = Result<T, Fault>;

impl Fault {
    pub(crate) fn new(step: &'static str, errno: Errno) -> Self {
        Self { step, errno, place: String::new() }
    }
}

/// Names the step that an answer belongs to.
pub(crate) trait Step<T> {
    fn step(self, step: &'static str) -> Outcome<T>;
    fn step_at(self, step: &'static str, place: &str) -> Outcome<T>;
}

impl<T> Step<T> for Answer<T> {
    fn step(self, step: &'static str) -> Outcome<T> {
        self.map_err(|errno| Fault::new(step, errno))
    }

    fn step_at(self, step: &'static str, place: &str) -> Outcome<T> {
        self.map_err(|errno| Fault { step, errno, place: place.to_owned() })
    }
}

impl<T> Step<T> for std::io::Result<T> {
    fn step(self, step: &'static str) -> Outcome<T> {
        self.step_at(step, "")
    }

    fn step_at(self, step: &'static str, place: &str) -> Outcome<T> {
        self.map_err(|error| Fault { step, errno: error.raw_os_error().unwrap_or(libc::EIO), place: place.to_owned() })
    }
}
