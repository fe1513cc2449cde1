//! What runs plugins.

pub mod process;
pub mod template;
pub mod wasm;
