//! What runs plugins.

pub mod wasm;
