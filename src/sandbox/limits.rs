//! Rate limits of one plugin, in exact windows that survive reloads and policy changes.

use super::quota::{RetryAfterNs, Window};
use crate::clock::Nanos;
use crate::error::{Error, ErrorCode, Result};
use crate::host::Function;
use crate::policy::{BurstBudget, Limits};

const SECOND: Nanos = 1_000_000_000;
const MINUTE: Nanos = 60 * SECOND;

/// One window per limited surface.
#[derive(Debug, Default)]
pub struct RateLimits {
    database: Window,
    http: Window,
    email: Window,
    calls: Window,
    log: Window,
}

impl RateLimits {
    /// Takes `count` events of `function`, all or none, or tells when there is room again.
    pub fn take(&self, limits: &Limits, function: Function, count: u32, now: Nanos) -> Result<()> {
        let (window, limit, length, burst, what) = match function {
            Function::DbQuery | Function::DbExec => {
                (&self.database, limits.db_per_minute, MINUTE, limits.db_burst, "max_db_queries_per_min")
            }
            Function::HttpRequest => {
                (&self.http, limits.http_per_minute, MINUTE, limits.http_burst, "max_http_req_per_min")
            }
            Function::SendEmail => {
                (&self.email, limits.emails_per_minute, MINUTE, limits.emails_burst, "max_emails_per_min")
            }
            Function::PluginCall => {
                (&self.calls, limits.calls_per_second, SECOND, limits.calls_burst, "max_calls_per_second")
            }
            Function::PublishEvent => {
                // Events share the budget of log lines: both reach people and cost about the same.
                (&self.log, limits.log_lines_per_second, SECOND, None, "max_log_lines_per_second")
            }
            Function::CacheGet
            | Function::CacheSet
            | Function::CacheDelete
            | Function::ConfigGet
            | Function::Translate
            | Function::Log => return Ok(()),
        };
        take(window, now, limit, length, count, burst).map_err(|retry| used_up(function, what, limit, retry))
    }

    /// Takes one log line.
    pub fn take_log_line(&self, limit: u32, now: Nanos) -> bool {
        take(&self.log, now, limit, SECOND, 1, None).is_ok()
    }
}

fn take(
    window: &Window,
    now: Nanos,
    limit: u32,
    length: Nanos,
    count: u32,
    burst: Option<BurstBudget>,
) -> std::result::Result<(), RetryAfterNs> {
    window.try_take_with_burst(now, limit, length, count, burst)
}

fn used_up(function: Function, what: &str, limit: u32, retry: RetryAfterNs) -> Error {
    let name = function.name();
    if retry == RetryAfterNs::NEVER {
        let context = format!(
            "{name}: more is asked for at once than the limit `{what}` of {limit} ever gives (ask for less, or raise it in the plugin's policy)"
        );
        return Error::new(ErrorCode::PolicyRateLimited, context)
            .with_detail("limit", what)
            .with_detail("value", limit);
    }
    let context = format!("{name}: the limit `{what}` of {limit} is used up (the plugin's policy can raise it)");
    Error::new(ErrorCode::PolicyRateLimited, context)
        .with_detail("limit", what)
        .with_detail("value", limit)
        .with_detail("retry_after_ms", retry.0.div_ceil(1_000_000))
}
