//! The host that plugins under test call.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Condvar, Mutex};

use crate::error::{Error, ErrorCode, Result};
use crate::host::{HostApi, LogLevel, Reply};
use crate::plugin::CallContext;

/// Serves a few functions, and remembers who called.
#[derive(Default)]
pub(super) struct Recorder {
    /// Function and names of the calling plugins, by call.
    pub calls: Mutex<Vec<(String, Vec<String>)>>,
    /// Host calls that failed before they were made.
    pub failures: Mutex<Vec<(String, ErrorCode)>>,
    /// Host calls that stand at the gate.
    pub held: AtomicU32,
    gate: Mutex<bool>,
    opened: Condvar,
}

impl Recorder {
    /// Lets the calls of `hold` go on, now and later.
    pub(super) fn release(&self) {
        *self.gate.lock().unwrap() = true;
        self.opened.notify_all();
    }
}

impl HostApi for Recorder {
    fn call(&self, context: &CallContext, function: &str, arguments: &[u8]) -> Result<Reply> {
        let names = context.chain.names().into_iter().map(str::to_owned).collect();
        self.calls.lock().unwrap().push((function.to_owned(), names));
        match function {
            "echo" => Ok(arguments.to_vec().into()),
            "big" => Ok(vec![b'x'; String::from_utf8_lossy(arguments).parse().unwrap()].into()),
            "hold" => {
                self.held.fetch_add(1, Ordering::SeqCst);
                let gate = self.gate.lock().unwrap();
                drop(self.opened.wait_while(gate, |is_open| !*is_open).unwrap());
                Ok(Reply::Borrowed(b"{}"))
            }
            _ => Err(Error::new(ErrorCode::PolicyPermissionMissing, "the plugin may not do that")
                .with_detail("function", function)),
        }
    }

    fn failed(&self, _: &CallContext, function: &str, error: &Error) {
        self.failures.lock().unwrap().push((function.to_owned(), error.code()));
    }

    fn log(&self, _: Option<&CallContext>, _: LogLevel, _: &str) {}
}
