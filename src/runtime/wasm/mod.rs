//! WebAssembly plugins, in process (docs/contract.md section 1, a superset of it).
//!
//! `engine` compiles and keeps time · `prescan` refuses what would be too dear to compile · `instance` is one store and
//! its calls · `pool` leases instances to calls · `host_functions` and `wasi` are what a guest may import · `memory` is
//! every access to guest memory · `limits` is how much a guest may hold · `module` is the plugin made of all that.

mod engine;
mod host_functions;
mod instance;
mod limits;
mod memory;
mod module;
mod outcome;
mod pool;
mod prescan;
mod ticker;
mod wait_graph;
mod wasi;

pub use engine::{Signals, WasmEngine};
pub use module::{CompiledModule, Seat, WasmPlugin};
pub use prescan::ScanLimits;
pub use wait_graph::WaitGraph;
