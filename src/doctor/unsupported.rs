//! Platforms whose signals are not looked at.

use serde_json::Value;

/// Nothing is known.
pub(super) fn handlers() -> Value {
    Value::Null
}
