//! The arguments of every host function are read or refused, and what was read is JSON again.
#![no_main]

use goatflow_plugin_fuzz::host::{Function, Request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    for function in Function::ALL {
        if let Ok(request) = Request::parse(*function, text) {
            let written = request.to_json().to_string();
            assert!(Request::parse(*function, written.as_bytes()).is_ok(), "{written}");
        }
    }
});
