//! Every policy document is read or refused, and what was read is read the same again.
#![no_main]

use goatflow_plugin_fuzz::policy::document;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    if let Ok((read, _)) = document::parse(text) {
        let written = read.to_json().to_string();
        let again = document::parse(written.as_bytes()).map(|(document, _)| document.to_json().to_string());
        assert_eq!(again.ok(), Some(written));
    }
});
