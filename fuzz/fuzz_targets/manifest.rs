//! Manifests and registrations are read or refused.
#![no_main]

use goatflow_plugin_fuzz::plugin::{Manifest, Registration};
use goatflow_plugin_fuzz::policy::request;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let _ = Manifest::from_json(text).map(|manifest| request::parse(&manifest.resources));
    let _ = Manifest::from_yaml(text).map(|manifest| request::parse(&manifest.resources));
    let _ = Registration::parse(text).map(|registration| registration.translations().count());
});
