//! Tests of the library as a Rust host sees it, with real plugins; one module per behaviour.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod archive_build;
mod archive_differential;
mod archive_hostile;
mod archive_hostile_entries;
mod archive_tools;
mod attack_cache;
mod attack_config;
mod attack_log_translate_events;
mod attack_plugin_calls;
mod attack_sql;
mod calls;
mod contract;
mod hostile;
mod identity;
mod jail_escape;
mod jail_levels;
mod jail_life;
mod jail_support;
mod layering;
mod native_hostile;
mod native_life;
mod native_soak;
mod native_support;
mod outbound_http;
mod outbound_mail;
mod package_cli;
mod package_crash;
mod package_gate;
mod package_known;
mod policy_loop;
mod policy_restart;
mod policy_store;
mod policy_swap;
mod sandbox;
mod support;
