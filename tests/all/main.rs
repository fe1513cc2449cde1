//! Tests of the library as a Rust host sees it, with real plugins; one module per behaviour.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod archive_build;
mod archive_differential;
mod archive_hostile;
mod archive_hostile_entries;
mod archive_tools;
mod calls;
mod contract;
mod hostile;
mod layering;
mod policy_swap;
mod sandbox;
mod support;
