//! Native plugins: programs of their own, started by a launcher and held in a jail.

pub mod jail;
#[cfg(native_plugins)]
mod spawn;
