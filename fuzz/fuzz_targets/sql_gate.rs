//! No statement crashes or hangs the SQL gate, and what it makes of one passes again unchanged.
#![no_main]

use goatflow_plugin_fuzz::sandbox::sql::{Dialect, SqlProfile, analyse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &str)| {
    let dialect = [Dialect::Postgres, Dialect::MySql, Dialect::Sqlite][usize::from(input.0 % 3)];
    let profile = SqlProfile { dialect, default_schema: None, extra_functions: Vec::new() };
    let Ok(facts) = analyse(&profile, input.1) else { return };
    let Ok(again) = analyse(&profile, &facts.canonical) else { return };
    assert_eq!((&again.canonical, &again.reads, &again.writes), (&facts.canonical, &facts.reads, &facts.writes));
});
