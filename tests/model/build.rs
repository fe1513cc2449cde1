//! Writes what is checked, and copies of it with one mistake each: a checker that passes those would pass anything.

use std::path::Path;
use std::{env, fs};

const SOURCE: &str = "../../src/lifecycle/serving.rs";

/// Name of the copy, what is replaced, by what.
const MISTAKES: [(&str, &str, &str); 4] = [
    (
        "look_before_counting",
        "let is_open = self.state.fetch_add(1, Ordering::AcqRel) & CLOSED == 0;
        if !is_open {
            self.count_out();
        }
        is_open",
        "if self.state.load(Ordering::Acquire) & CLOSED != 0 {
            return false;
        }
        self.state.fetch_add(1, Ordering::AcqRel);
        true",
    ),
    ("never_closed", "previous.close();", "let _ = previous;"),
    (
        "bell_without_lock",
        "drop(self.waiting.lock().unwrap_or_else(PoisonError::into_inner));",
        "",
    ),
    (
        "one_look",
        "if !self.admits() {
                return Err(Refused::Shut);
            }",
        "return Err(Refused::Shut);",
    ),
];

fn main() {
    println!("cargo::rerun-if-changed={SOURCE}");
    let text = fs::read_to_string(SOURCE).expect("the source is there");
    // Inner documentation can't be included.
    let text: String = text.lines().filter(|line| !line.starts_with("//!")).map(|line| format!("{line}\n")).collect();
    let out = env::var("OUT_DIR").expect("cargo says where");
    let write = |name: &str, text: &str| {
        fs::write(Path::new(&out).join(format!("{name}.rs")), text).expect("the copy can be written");
    };
    write("as_shipped", &text);
    for (name, from, to) in MISTAKES {
        assert_eq!(text.matches(from).count(), 1, "`{name}` does not find what it replaces");
        write(name, &text.replace(from, to));
    }
}
