//! What runs plugins.

pub mod process;
pub mod wasm;
