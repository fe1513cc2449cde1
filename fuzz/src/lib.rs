//! The parts of the library that read what others wrote, compiled from its sources without the WASM engine: a fuzzing
//! build is then done in a minute, and coverage counts our code and not the engine's.

#[path = "../../src/bounded.rs"]
pub mod bounded;
#[path = "../../src/clock.rs"]
pub mod clock;
#[path = "../../src/error.rs"]
pub mod error;
#[path = "../../src/executor.rs"]
pub mod executor;
#[path = "../../src/host/mod.rs"]
pub mod host;
#[path = "../../src/json.rs"]
mod json;
#[path = "../../src/plugin/mod.rs"]
pub mod plugin;
#[path = "../../src/policy/mod.rs"]
pub mod policy;
#[path = "../../src/package/mod.rs"]
pub mod package;

pub mod sandbox;

#[path = "../../src/runtime/process/netrpc/wire/mod.rs"]
pub mod wire;

#[path = "../../src/runtime/process/handshake.rs"]
mod handshake;

/// Reads the line with which a plugin introduces itself; gives its socket.
pub fn introduction(line: &[u8], directory: &std::path::Path) -> error::Result<std::path::PathBuf> {
    handshake::parse(line, directory).map(|handshake| handshake.socket)
}

/// The tokenisers of the databases themselves.
pub mod engines;
