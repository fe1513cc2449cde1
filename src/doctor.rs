//! What this machine and this process offer to the library.

use serde_json::{Value, json};

use crate::error::ErrorCode;
use crate::executor;

/// Everything worth knowing before asking for help.
#[must_use]
pub fn report() -> Value {
    json!({
        "library": { "version": env!("CARGO_PKG_VERSION"), "abi": 1, "features": features() },
        "machine": {
            "os": std::env::consts::OS,
            "architecture": std::env::consts::ARCH,
            "processors": std::thread::available_parallelism().map_or(0, std::num::NonZeroUsize::get),
        },
        "thread": {
            "stack_left_bytes": executor::remaining_stack(),
            "note": "calls from threads with less than 1 MiB left run on a thread of the library",
        },
        "signals": signals::handlers(),
    })
}

/// Status numbers with their codes.
#[must_use]
pub fn status_table() -> Value {
    ErrorCode::ALL
        .iter()
        .map(|code| {
            json!({
                "status": code.number(),
                "code": code.slug(),
                "constant": code.constant_name(),
                "retryable": code.is_retryable(),
            })
        })
        .collect()
}

fn features() -> Vec<&'static str> {
    [("sqlite", cfg!(feature = "sqlite")), ("cli", cfg!(feature = "cli"))]
        .into_iter()
        .filter_map(|(name, on)| on.then_some(name))
        .collect()
}

#[cfg(target_os = "linux")]
#[path = "doctor/linux.rs"]
mod signals;
#[cfg(not(target_os = "linux"))]
#[path = "doctor/unsupported.rs"]
mod signals;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_names_every_signal_that_guests_need() {
        let report = report();
        for name in ["SIGSEGV", "SIGILL", "SIGFPE"] {
            assert!(report["signals"][name].is_string(), "{report}");
        }
    }

    #[test]
    fn the_table_has_a_row_for_every_code() {
        let table = status_table();
        assert_eq!(
            table[0],
            json!({"status": 100, "code": "argument.invalid", "constant": "ARGUMENT_INVALID", "retryable": false})
        );
        assert_eq!(table.as_array().map(Vec::len), Some(ErrorCode::ALL.len()));
    }
}
