//! How a new version of a plugin is held against the one before it.

use schemars::JsonSchema;
use serde::Serialize;

/// When a version that was just put into service goes back out of it by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[serde(default)]
pub struct SwapRules {
    /// For how long it is watched, in milliseconds; 0 = not at all.
    #[schemars(range(max = 86_400_000))]
    pub probation_ms: u64,
    /// How many more calls of a hundred than before may fail by the plugin's own fault.
    #[schemars(range(max = 100))]
    pub max_error_percent: u32,
    /// How many times as long as before a call may take, on average; 0 = however long.
    #[schemars(range(max = 1_000_000))]
    pub max_latency_factor: u32,
    /// Calls that must have been made before they are compared.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub min_calls: u32,
}

impl Default for SwapRules {
    /// Half a minute shows what fails at once; a slower decline is for people to judge. Plugins with few calls are not judged
    /// by one or two of them.
    fn default() -> Self {
        Self { probation_ms: 30_000, max_error_percent: 10, max_latency_factor: 5, min_calls: 20 }
    }
}
