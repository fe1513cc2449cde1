//! Where plugins wait that have not said their names.

use std::sync::Arc;

use super::Manager;
use crate::error::{Error, ErrorCode, Result};
use crate::host::{HostApi, LogLevel, LogRecord, Reply};
use crate::plugin::CallContext;
use crate::sandbox::{RateLimits, Services};

/// The host of a plugin that has not said its name yet: takes log lines under the name of the file, nothing else.
pub(super) struct Anteroom {
    services: Arc<Services>,
    origin: Arc<str>,
    rates: RateLimits,
    log_lines_per_second: u32,
}

impl Anteroom {
    /// The anteroom for the file of this name.
    pub(super) fn new(manager: &Manager, origin: &str) -> Self {
        Self {
            services: Arc::clone(&manager.services),
            origin: origin.into(),
            rates: RateLimits::default(),
            log_lines_per_second: manager.rules.limits.log_lines_per_second,
        }
    }
}

impl HostApi for Anteroom {
    fn call(&self, _: &CallContext, _: &str, _: &[u8]) -> Result<Reply> {
        Err(Error::new(ErrorCode::LifecycleNotReady, "the host API is not available before the plugin has registered"))
    }

    fn failed(&self, _: &CallContext, _: &str, _: &Error) {}

    fn log(&self, _: Option<&CallContext>, level: LogLevel, message: &str) {
        if self.rates.take_log_line(self.log_lines_per_second, self.services.clock.monotonic()) {
            let record = LogRecord::new(&self.origin, level, message, serde_json::Map::new());
            self.services.logs.push(Arc::new(record));
        }
    }
}
