//! Native plugins: programs of their own, started by a launcher and held in a jail.

pub mod jail;

#[cfg(native_plugins)]
mod host_calls;
#[cfg(native_plugins)]
mod netrpc;
#[cfg(native_plugins)]
mod session;
#[cfg(native_plugins)]
mod spawn;
