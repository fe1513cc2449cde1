//! Native plugins: programs of their own, started by a launcher and held in a jail.

pub mod jail;

#[cfg(native_plugins)]
mod directory;
#[cfg(native_plugins)]
mod greeting;
#[cfg(native_plugins)]
mod grpc;
#[cfg(native_plugins)]
mod handshake;
#[cfg(native_plugins)]
mod host_calls;
#[cfg(native_plugins)]
mod late;
#[cfg(native_plugins)]
mod leaving;
#[cfg(native_plugins)]
mod meter;
#[cfg(native_plugins)]
mod native;
#[cfg(native_plugins)]
mod netrpc;
#[cfg(native_plugins)]
mod output;
#[cfg(native_plugins)]
mod phases;
#[cfg(native_plugins)]
mod removal;
#[cfg(native_plugins)]
mod renewal;
#[cfg(native_plugins)]
mod restarts;
#[cfg(native_plugins)]
mod running;
#[cfg(native_plugins)]
mod session;
#[cfg(native_plugins)]
mod spawn;
#[cfg(native_plugins)]
mod start;
#[cfg(native_plugins)]
mod supervise;
#[cfg(native_plugins)]
mod tail;
#[cfg(native_plugins)]
mod terms;

#[cfg(native_plugins)]
pub use native::{NativePlugin, NativeProgram, NativeSeat, ProcessEvent};
#[cfg(native_plugins)]
pub use terms::Terms;
