//! The grammar of plugin names.

use crate::error::{Error, ErrorCode, Result};

/// Names that would be confused with parts of a host.
const RESERVED: [&str; 5] = ["core", "host", "system", "plugin", "admin"];

/// Longest name, in bytes.
const MAX_LEN: usize = 64;

/// Accepts `[a-z][a-z0-9_-]*`, at most 64 bytes, not reserved: names become cache prefixes, policy rows, directories and
/// URLs, so that a name must have one spelling only.
pub fn check_name(name: &str) -> Result<()> {
    let shaped = name.as_bytes().first().is_some_and(u8::is_ascii_lowercase)
        && name.len() <= MAX_LEN
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte));
    if !shaped {
        return Err(Error::new(
            ErrorCode::PackageNameInvalid,
            format!(
                "plugin name `{}` is not allowed (a small letter, then small letters, digits, `-` or `_`; at most {MAX_LEN})",
                shorten(name, 80)
            ),
        ));
    }
    if RESERVED.contains(&name) {
        return Err(Error::new(
            ErrorCode::PackageNameInvalid,
            format!("plugin name `{name}` is reserved (choose another one)"),
        ));
    }
    Ok(())
}

/// Form in which names are compared for uniqueness: hosts derive identifiers from names by turning `-` into `_`.
#[must_use]
pub fn folded(name: &str) -> String {
    name.replace('-', "_")
}

/// At most `max` bytes of a text that came from outside, without control characters, for use in a message.
#[must_use]
pub fn shorten(text: &str, max: usize) -> String {
    let mut out = String::new();
    for character in text.chars() {
        if out.len() + character.len_utf8() > max {
            out.push('…');
            break;
        }
        out.push(if is_unprintable(character) { '\u{fffd}' } else { character });
    }
    out
}

/// Characters that could forge lines or change the direction of text where a person reads it.
#[must_use]
pub fn is_unprintable(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
        || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_the_names_of_existing_plugins() {
        for name in ["stats", "hello-wasm", "goat-kb", "a", "gk_coach", &"a".repeat(64)] {
            assert!(check_name(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn refuses_names_with_a_second_spelling_or_meaning() {
        for name in ["", "A", "1a", "-a", "a b", "a:b", "a/b", "../a", "ä", "a\0", "core", "plugin", &"a".repeat(65)] {
            assert_eq!(check_name(name).unwrap_err().code(), ErrorCode::PackageNameInvalid, "{name:?}");
        }
    }

    #[test]
    fn shortened_text_has_no_control_characters() {
        assert_eq!(shorten("a\nb\u{202e}c", 80), "a\u{fffd}b\u{fffd}c");
        assert_eq!(shorten("abcdef", 3), "abc…");
    }
}
