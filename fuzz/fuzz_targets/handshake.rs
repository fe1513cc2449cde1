//! The line with which a native plugin introduces itself: whatever it says, its socket is directly in its directory.
#![no_main]

use std::path::{Component, Path};

use goatflow_plugin_fuzz::introduction;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &[u8]| {
    let directory = Path::new("/run/x");
    match introduction(line, directory) {
        Ok(socket) => {
            let parts: Vec<_> = socket.components().collect();
            assert_eq!(socket.parent(), Some(directory));
            assert!(matches!(parts.as_slice(), [Component::RootDir, _, _, Component::Normal(_)]), "{socket:?}");
        }
        Err(error) => {
            let text = error.to_string();
            assert!(text.len() < 8 * 1024 && !text.chars().any(char::is_control), "{text:?}");
        }
    }
});
