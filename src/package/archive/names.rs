//! The grammar of entry names: one spelling, the same meaning for every system and tool. Nothing is normalised; what has a
//! second meaning is refused.

use caseless::Caseless;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_public_assigned;

use super::refusal::entry as refuse;
use crate::error::{Error, ErrorCode, Result};
use crate::plugin::name::is_unprintable;

const MAX_NAME_BYTES: usize = 240;
const MAX_COMPONENT_BYTES: usize = 100;
const MAX_COMPONENTS: usize = 16;

/// Characters that some system does not allow or understands as more than themselves.
const SPECIAL: &[char] = &[':', '*', '?', '"', '<', '>', '|'];

/// Names that Windows gives to devices, whatever extension follows.
const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "conin$", "conout$"];

/// A name that passed, without the slash that marks directories.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// The name.
    pub(super) text: String,
    /// True when it was followed by a slash.
    pub(super) is_directory: bool,
}

/// Checks the bytes of a name; `is_utf8` is what the header says about them.
pub(super) fn check(bytes: &[u8], is_utf8: bool) -> Result<Name> {
    let Ok(whole) = std::str::from_utf8(bytes) else {
        let shown = String::from_utf8_lossy(bytes);
        return Err(refuse(ErrorCode::PackageArchiveNameEncoding, &shown, "has a name that is not UTF-8"));
    };
    if !is_utf8 && !whole.is_ascii() {
        return Err(refuse(
            ErrorCode::PackageArchiveNameEncoding,
            whole,
            "has a name beyond ASCII that is not marked as UTF-8 (make the archive with a tool that does)",
        ));
    }
    let text = whole.strip_suffix('/').unwrap_or(whole);
    if let Some((code, problem)) = problem(text) {
        return Err(refuse(code, whole, problem));
    }
    Ok(Name { text: text.to_owned(), is_directory: text.len() < whole.len() })
}

/// What is wrong with a name, as it stands or as what it looks like.
fn problem(name: &str) -> Option<(ErrorCode, String)> {
    let long = |what: &str, len: usize, limit: usize| {
        Some((ErrorCode::PackageArchiveName, format!("has {what} of {len} bytes, the limit is {limit}")))
    };
    if name.len() > MAX_NAME_BYTES {
        return long("a name", name.len(), MAX_NAME_BYTES);
    }
    let count = name.split('/').count();
    if count > MAX_COMPONENTS {
        let text = format!("lies {count} levels deep, the limit is {MAX_COMPONENTS}");
        return Some((ErrorCode::PackageArchiveDepth, text));
    }
    if let Some(component) = name.split('/').find(|component| component.len() > MAX_COMPONENT_BYTES) {
        return long("a part of its name", component.len(), MAX_COMPONENT_BYTES);
    }
    if let Some(character) = name.chars().find(|character| is_invisible(*character)) {
        let text = format!("has the character U+{:04X} in its name, which can't be seen", u32::from(character));
        return Some((ErrorCode::PackageArchiveName, text));
    }
    let found = problem_of_form(name).map(|(code, text)| (code, text.to_owned()));
    if found.is_some() || name.is_ascii() {
        return found;
    }
    let looks: String = name.nfkc().collect();
    if looks.matches('/').count() != count - 1 {
        return Some((ErrorCode::PackageArchiveTraversal, "has a slash in its name, once it is normalised".to_owned()));
    }
    problem_of_form(&looks).map(|(code, text)| (code, format!("{text}, once it is normalised")))
}

fn problem_of_form(name: &str) -> Option<(ErrorCode, &'static str)> {
    let leads_out = |text| Some((ErrorCode::PackageArchiveTraversal, text));
    let odd = |text| Some((ErrorCode::PackageArchiveName, text));
    if name.contains('\\') {
        return leads_out("has a backslash in its name");
    }
    if name.as_bytes().get(1) == Some(&b':') {
        return leads_out("has a drive in its name");
    }
    if name.starts_with('/') {
        return leads_out("has an absolute name");
    }
    if name.contains(SPECIAL) {
        return odd("has one of `: * ? \" < > |` in its name");
    }
    for component in name.split('/') {
        match component {
            "" => return leads_out("has a name with an empty part"),
            "." | ".." => return leads_out("has `.` or `..` as a part of its name"),
            _ if component.ends_with(['.', ' ']) => return odd("has a part of its name that ends in a dot or a space"),
            _ if is_device(component) => return odd("has a name that stands for a device"),
            _ if is_versioned(component) => {
                return odd("has a part of its name that ends in a version number after `;`");
            }
            _ => {}
        }
    }
    None
}

/// Control and format characters, those that are drawn as nothing, and those whose meaning is open.
fn is_invisible(character: char) -> bool {
    is_unprintable(character)
        || !is_public_assigned(character)
        || matches!(u32::from(character),
            // Format characters (category Cf).
            0xad | 0x600..=0x605 | 0x6dd | 0x70f | 0x890..=0x891 | 0x8e2 | 0x180e | 0x200b..=0x200f | 0x2060..=0x206f
            | 0xfeff | 0xfff0..=0xfffd | 0x110bd | 0x110cd | 0x13430..=0x1343f | 0x1bca0..=0x1bca3 | 0x1d173..=0x1d17a
            // Fillers and selectors that comparisons ignore.
            | 0x34f | 0x115f..=0x1160 | 0x17b4..=0x17b5 | 0x180b..=0x180f | 0x3164 | 0xfe00..=0xfe0f | 0xffa0
            // Private use; tags and more selectors.
            | 0xe000..=0xf8ff | 0xe0000..)
}

fn is_device(component: &str) -> bool {
    let stem = component.split('.').next().unwrap_or_default().trim_end().to_ascii_lowercase();
    let numbered = |stem: &str| {
        let number = stem.strip_prefix("com").or_else(|| stem.strip_prefix("lpt"));
        number.is_some_and(|number| number.len() == 1 && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    DEVICES.contains(&stem.as_str()) || numbered(&stem)
}

/// Info-ZIP takes `name;1` for version 1 of `name`.
fn is_versioned(component: &str) -> bool {
    component.rsplit_once(';').is_some_and(|(_, version)| version.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Key under which names are one for a file system that ignores case or normalises.
pub(super) fn key(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    name.chars().nfd().default_case_fold().nfkd().default_case_fold().nfkc().collect()
}

/// Error for a name that two entries have.
pub(super) fn taken(code: ErrorCode, name: &str, other: &str) -> Error {
    let problem = if code == ErrorCode::PackageArchiveDuplicate {
        "is there twice".to_owned()
    } else {
        format!(
            "can't stand beside `{}`, which is the same name for some systems",
            crate::plugin::name::shorten(other, 260)
        )
    };
    refuse(code, name, problem)
}
