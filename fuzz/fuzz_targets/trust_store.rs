//! Trust stores and records of installed packages are read or refused; what is read is written so that it is read again.
#![no_main]

use goatflow_plugin_fuzz::package::store::state::State;
use goatflow_plugin_fuzz::package::trust::{TrustDocument, TrustStore};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    if let Ok(document) = TrustDocument::parse(text) {
        let written = document.to_text().expect("a document that was read can be written");
        assert_eq!(TrustDocument::parse(written.as_bytes()).ok().as_ref(), Some(&document));
        TrustStore::new(&document).expect("a document that was read can be compiled");
    }
    let _ = State::parse(text);
});
