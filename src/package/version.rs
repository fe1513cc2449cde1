//! Versions: which ones a package may have, and which of two is the newer one.

use std::cmp::Ordering;

use crate::error::{Error, ErrorCode, Result};
use crate::plugin::name::shorten;

/// Longest version, in bytes.
const MAX_LEN: usize = 64;

/// Accepts `[0-9A-Za-z][0-9A-Za-z.+_-]*` without two dots in a row, at most 64 bytes: versions become directory names.
pub fn check_version(version: &str) -> Result<()> {
    let shaped = version.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && version.len() <= MAX_LEN
        && version.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+_-".contains(&byte))
        && !version.contains("..");
    if shaped {
        return Ok(());
    }
    let problem =
        if version.is_empty() { "is missing".to_owned() } else { format!("`{}` is not allowed", shorten(version, 80)) };
    Err(Error::new(
        ErrorCode::PackageVersionInvalid,
        format!("the version of the package {problem} (write one like 1.4.2 in the manifest)"),
    ))
}

/// A version that can be compared: numbers, then perhaps a pre-release as in Semantic Versioning. Build metadata does not
/// count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    numbers: Vec<u64>,
    pre: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Number(u64),
    Word(String),
}

impl Version {
    /// Reads one to four numbers and what follows them; `None` when it has another form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.split('+').next()?;
        let (core, pre) = match text.split_once('-') {
            Some((core, pre)) => (core, Some(pre)),
            None => (text, None),
        };
        let mut numbers = core.split('.').map(number).collect::<Option<Vec<u64>>>()?;
        if numbers.len() > 4 {
            return None;
        }
        while numbers.last() == Some(&0) {
            numbers.pop();
        }
        let part = |word: &str| match number(word) {
            Some(number) => Some(Part::Number(number)),
            None => (!word.is_empty()).then(|| Part::Word(word.to_owned())),
        };
        let pre = pre.into_iter().flat_map(|pre| pre.split('.')).map(part).collect::<Option<Vec<Part>>>()?;
        Some(Self { numbers, pre })
    }
}

fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| match (self.pre.is_empty(), other.pre.is_empty()) {
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            _ => self.pre.cmp(&other.pre),
        })
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_semantic_versioning_says() {
        let ascending = [
            "0.9",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.1",
            "1.2",
            "1.10.0",
            "2",
        ];
        for pair in ascending.windows(2) {
            assert!(Version::parse(pair[0]) < Version::parse(pair[1]), "{pair:?}");
        }
        assert_eq!(Version::parse("1.0").unwrap().cmp(&Version::parse("1.0.0+build").unwrap()), Ordering::Equal);
        for text in ["", "x", "1.", "1..2", "1.2.3.4.5", "1.0-", "1.0-a..b", "99999999999999999999"] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }

    #[test]
    fn versions_that_are_no_file_names_are_refused() {
        for version in ["1.0.0", "1.0.0-rc.1+build.5", "2026_11_22", "v1"] {
            assert!(check_version(version).is_ok(), "{version}");
        }
        for version in ["", ".", "..", ".1", "1..2", "1/2", "1\\2", "1 2", "1\n", "ä", "-1", &"1".repeat(65)] {
            assert_eq!(check_version(version).unwrap_err().code(), ErrorCode::PackageVersionInvalid, "{version:?}");
        }
    }
}
