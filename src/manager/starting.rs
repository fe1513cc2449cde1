//! Exchanges of plugins that run on worker threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::{Manager, ReplaceOptions};
use crate::error::{Error, ErrorCode, Result};
use crate::executor;
use crate::lifecycle::operation::Done;

/// An exchange that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// See [`Manager::replace`].
    Replace(PathBuf),
    /// See [`Manager::reload`].
    Reload(String),
    /// See [`Manager::rollback`].
    Rollback(String),
}

impl Manager {
    /// Starts an exchange and returns at once; `done` is called once, on a worker thread, with the report as JSON.
    pub fn start_change(self: &Arc<Self>, change: Change, options: ReplaceOptions, done: Done) -> Result<()> {
        self.check_running()?;
        let manager = Arc::clone(self);
        executor::spawn(move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| manager.change(&change, &options)));
            let panicked = || Err(Error::new(ErrorCode::InternalPanic, "an exchange panicked (please report this)"));
            done(outcome.unwrap_or_else(|_| panicked()).map(|report| Some(report.to_string().into_bytes())));
        })
    }

    fn change(self: &Arc<Self>, change: &Change, options: &ReplaceOptions) -> Result<Value> {
        match change {
            Change::Replace(path) => self.replace(path, options),
            Change::Reload(plugin) => self.reload(plugin, options),
            Change::Rollback(plugin) => self.rollback(plugin, options),
        }
    }
}
