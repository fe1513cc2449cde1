//! Tests of the library as a Rust host sees it, with real plugins; one module per behaviour.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod archive_build;
mod archive_hostile;
mod calls;
mod contract;
mod hostile;
mod layering;
mod package_cli;
mod package_crash;
mod package_gate;
mod policy_swap;
mod sandbox;
mod support;
