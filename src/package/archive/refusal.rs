//! Errors about archives: each names the entry it is about, in the sentence and for programs.

use crate::error::{Error, ErrorCode};
use crate::plugin::name::shorten;

/// Refusal of the archive as a whole; `problem` follows "the archive".
pub(super) fn archive(code: ErrorCode, problem: impl AsRef<str>) -> Error {
    Error::new(code, format!("the archive {}", problem.as_ref()))
}

/// Refusal of one entry; `problem` follows its name.
pub(super) fn entry(code: ErrorCode, name: &str, problem: impl AsRef<str>) -> Error {
    let name = shorten(name, 260);
    Error::new(code, format!("the archive's entry `{name}` {}", problem.as_ref())).with_detail("entry", name)
}
