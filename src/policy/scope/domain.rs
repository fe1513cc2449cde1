//! Domain names: one strict reading, UTS 46 without deviation mapping, compared as ASCII.

use std::borrow::Cow;

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};
use psl::Psl as _;

use super::ScopeResult;

/// Longest domain name in its ASCII form (RFC 1035 without the root's dot).
const MAX_NAME_BYTES: usize = 253;
/// Longest label (RFC 1035).
const MAX_LABEL_BYTES: usize = 63;

/// Which characters a label may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Labels {
    /// Letters, digits and inner hyphens: what mail domains are made of.
    Strict,
    /// Also underscores, which names of services on internal networks have.
    WithUnderscore,
}

/// Canonical form of `name`: lower-case ASCII, internationalised labels as A-labels.
///
/// Refused: trailing dots, empty and overlong labels, anything that is not a host name, labels that turn into
/// plain ASCII only by mapping (full-width letters, the Kelvin sign: look-alikes, not spellings), and names
/// whose last label is a number, which some parsers read as an IPv4 address.
pub fn canonical(name: &str, labels: Labels) -> ScopeResult<Cow<'_, str>> {
    if name.is_empty() {
        return Err("the name is empty".to_owned());
    }
    if name.len() > 4 * MAX_NAME_BYTES {
        return Err("the name is too long".to_owned());
    }
    let ascii = match name.is_ascii() {
        true if !name.bytes().any(|byte| byte.is_ascii_uppercase()) => Cow::Borrowed(name),
        true => Cow::Owned(name.to_ascii_lowercase()),
        false => Cow::Owned(to_a_labels(name)?),
    };
    check_shape(&ascii, labels)?;
    if ascii.split('.').any(|label| label.starts_with("xn--")) {
        check_a_labels(&ascii)?;
    }
    Ok(ascii)
}

/// UTS 46 processing, non-transitional (no deviation mapping), with every check on.
fn to_a_labels(name: &str) -> ScopeResult<String> {
    for label in name.split('.') {
        if !label.is_ascii() && label.chars().any(is_separator) {
            return Err("the name has a dot that is not an ASCII dot".to_owned());
        }
    }
    let ascii = Uts46::new()
        .to_ascii(name.as_bytes(), AsciiDenyList::STD3, Hyphens::Check, DnsLength::Verify)
        .map_err(|problem| format!("the name is not a valid internationalised domain name: {problem}"))?;
    let changed = name.split('.').zip(ascii.split('.'));
    for (written, mapped) in changed {
        if !written.is_ascii() && !mapped.starts_with("xn--") {
            return Err("the name has look-alikes of ASCII characters".to_owned());
        }
    }
    Ok(ascii.into_owned())
}

/// Characters that UTS 46 maps to a label separator.
fn is_separator(c: char) -> bool {
    matches!(c, '\u{3002}' | '\u{ff0e}' | '\u{ff61}')
}

/// Length and characters of every label of an ASCII name.
fn check_shape(name: &str, labels: Labels) -> ScopeResult<()> {
    if name.len() > MAX_NAME_BYTES {
        return Err(format!("the name has more than {MAX_NAME_BYTES} characters"));
    }
    if name.ends_with('.') {
        return Err("the name ends with a dot".to_owned());
    }
    for label in name.split('.') {
        check_label(label, labels)?;
    }
    let last = name.rsplit('.').next().unwrap_or_default();
    if is_numeric_label(last) {
        return Err("the name ends in a number".to_owned());
    }
    Ok(())
}

/// One label of an ASCII name.
fn check_label(label: &str, labels: Labels) -> ScopeResult<()> {
    if label.is_empty() {
        return Err("the name has an empty label".to_owned());
    }
    if label.len() > MAX_LABEL_BYTES {
        return Err(format!("a label has more than {MAX_LABEL_BYTES} characters"));
    }
    let is_legal = |byte: u8| {
        byte.is_ascii_lowercase()
            || byte.is_ascii_digit()
            || byte == b'-'
            || (byte == b'_' && labels == Labels::WithUnderscore)
    };
    if !label.bytes().all(is_legal) {
        return Err("the name has characters that host names do not have".to_owned());
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err("a label begins or ends with a hyphen".to_owned());
    }
    Ok(())
}

/// Labels that URL parsers take for a part of an IPv4 address: digits, or `0x` and hexadecimal digits.
fn is_numeric_label(label: &str) -> bool {
    label.bytes().all(|byte| byte.is_ascii_digit())
        || label.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// A-labels must be the canonical encoding of a valid name: they decode, and encode to themselves.
fn check_a_labels(name: &str) -> ScopeResult<()> {
    let (unicode, result) = Uts46::new().to_unicode(name.as_bytes(), AsciiDenyList::EMPTY, Hyphens::Allow);
    let round_trip = Uts46::new().to_ascii(unicode.as_bytes(), AsciiDenyList::EMPTY, Hyphens::Allow, DnsLength::Verify);
    match (result, round_trip) {
        (Ok(()), Ok(again)) if again == name => Ok(()),
        _ => Err("the name has a label that is not valid Punycode".to_owned()),
    }
}

/// Whether `name` (canonical) is itself a public suffix, private section included; unknown top-level domains count.
#[must_use]
pub fn is_public_suffix(name: &str) -> bool {
    public_suffix_len(name) == name.len()
}

/// Length of the public suffix of `name` (canonical), in bytes.
#[must_use]
pub fn public_suffix_len(name: &str) -> usize {
    psl::List.suffix(name.as_bytes()).map_or(name.len(), |suffix| suffix.as_bytes().len())
}

/// Whether `name` lies below `parent`; both canonical.
#[must_use]
pub fn is_below(name: &str, parent: &str) -> bool {
    name.strip_suffix(parent).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

/// Whether the name means the machine itself or its cloud's metadata service, wherever it is asked.
/// Patterns never cover such names; an administrator has to spell them.
#[must_use]
pub fn is_special_use(name: &str) -> bool {
    const NAMES: [&str; 7] = [
        "localhost",
        "localhost.localdomain",
        "metadata",
        "metadata.google.internal",
        "metadata.goog",
        "instance-data",
        "instance-data.ec2.internal",
    ];
    NAMES.contains(&name) || is_below(name, "localhost")
}
