//! Signature files are read or refused; what is read is written the same way.
#![no_main]

use goatflow_plugin_fuzz::package::signature::{Detached, Note};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    if let Ok(note) = Note::parse(text) {
        assert_eq!(note.to_text().as_bytes(), text);
    }
    if let Ok(signature) = Detached::parse(text) {
        let written = signature.to_text();
        assert_eq!(Detached::parse(written.as_bytes()).ok().map(|again| again.to_text()), Some(written));
    }
});
