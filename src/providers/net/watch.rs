//! What ends a transfer: the call's deadline, its cancellation, the provider's own time limit, too many bytes.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::{self, Nanos};
use crate::error::{Error, ErrorCode, Result};
use crate::executor;
use crate::plugin::CallContext;

/// Longest time that a thread waits for a socket without looking whether its call goes on.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Looks after one transfer.
#[derive(Debug, Clone)]
pub struct Watch {
    context: CallContext,
    until: Nanos,
    /// Why the transfer was ended from our side; wins over what the protocol makes of it.
    fault: Arc<Mutex<Option<Error>>>,
}

impl Watch {
    /// Watches a transfer of `context` that may take `longest`.
    #[must_use]
    pub fn new(context: &CallContext, longest: Duration) -> Self {
        let until = clock::now().saturating_add(clock::saturating_nanos(longest));
        Self { context: context.clone(), until, fault: Arc::default() }
    }

    /// Fails when the transfer must end.
    pub fn check(&self) -> Result<()> {
        self.context.check_alive()?;
        if clock::now() >= self.until {
            return Err(Error::new(
                ErrorCode::HostTimeout,
                "the server took longer than the host's configuration allows (`timeout_ms`)",
            ));
        }
        Ok(())
    }

    /// Time left, at least a millisecond; fails when there is none.
    pub fn remaining(&self) -> Result<Duration> {
        self.check()?;
        let until = self.until.min(self.context.deadline);
        Ok(Duration::from_nanos(until.saturating_sub(clock::now())).max(Duration::from_millis(1)))
    }

    /// How long to wait for a socket until the next look.
    pub(super) fn slice(&self) -> io::Result<Duration> {
        self.remaining().map(|remaining| remaining.min(LOOK_EVERY)).map_err(|error| self.end(error))
    }

    /// Ends the transfer for `reason`.
    pub(super) fn end(&self, reason: Error) -> io::Error {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
        io::Error::other("the transfer was ended")
    }

    /// The reason why the transfer was ended, if it was from our side; else `otherwise`.
    pub fn reason(&self, otherwise: impl FnOnce() -> Error) -> Error {
        let fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner).take();
        fault.or_else(|| self.check().err()).unwrap_or_else(otherwise)
    }

    /// Runs a blocking `job` that can't be interrupted on a thread of the library, and waits for it as long as the
    /// transfer may go on. The job ends behind a call that gave up waiting.
    pub fn wait_for<T: Send + 'static>(&self, job: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let place: Arc<Mutex<Option<Result<T>>>> = Arc::default();
        let (theirs, waiter) = (Arc::clone(&place), std::thread::current());
        executor::spawn(move || {
            let result = job();
            *theirs.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            waiter.unpark();
        })?;
        let limited = CallContext { deadline: self.context.deadline.min(self.until), ..self.context.clone() };
        limited
            .block_until(|| place.lock().unwrap_or_else(PoisonError::into_inner).take())
            .map_err(|error| self.check().err().unwrap_or(error))?
    }
}
