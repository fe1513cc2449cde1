//! What runs plugins.

pub mod template;
pub mod process;
pub mod wasm;
