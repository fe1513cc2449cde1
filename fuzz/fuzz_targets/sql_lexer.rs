//! The database sees the tokens in the canonical text, which is the one that runs, that the gate saw: held against
//! PostgreSQL's scanner and SQLite's tokeniser.
#![no_main]

use goatflow_plugin_fuzz::engines;
use goatflow_plugin_fuzz::sandbox::sql::{Dialect, canonical_tokens};
use libfuzzer_sys::fuzz_target;
use std::ops::Range;

fuzz_target!(|input: (bool, &str)| {
    let (dialect, engine): (_, fn(&str) -> Option<Vec<Range<usize>>>) = match input.0 {
        true => (Dialect::Postgres, engines::postgres),
        false => (Dialect::Sqlite, engines::sqlite),
    };
    let Ok((text, places)) = canonical_tokens(dialect, input.1) else { return };
    let ours: Vec<&str> = places.iter().map(|place| &text[place.clone()]).collect();
    // What the engine refuses does no harm.
    if let Some(theirs) = engine(&text) {
        let theirs: Vec<&str> = theirs.into_iter().map(|place| &text[place]).collect();
        assert_eq!(ours, theirs, "canonical text {text:?} of {:?}", input.1);
    }
});
