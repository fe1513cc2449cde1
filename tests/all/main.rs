//! Tests of the library as a Rust host sees it, with real plugins; one module per behaviour.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod calls;
mod contract;
mod hostile;
mod jail_escape;
mod jail_levels;
mod jail_life;
mod jail_support;
mod layering;
mod policy_swap;
mod sandbox;
mod support;
