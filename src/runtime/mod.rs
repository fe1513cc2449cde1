//! What runs plugins.

pub mod template;
pub mod wasm;
