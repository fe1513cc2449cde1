//! Anchored patterns in which `*` stands for any run of ASCII characters, and nothing else is special.

use super::ScopeResult;

/// Most stars in one pattern: with few stars the greedy match below can't be made slow.
const MAX_STARS: usize = 8;

/// A compiled pattern. It matches the whole text or not at all, and never text with non-ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    head: Box<[u8]>,
    middle: Box<[Box<[u8]>]>,
    tail: Box<[u8]>,
}

impl Glob {
    /// Compiles `pattern`, which holds at least one `*`.
    pub fn parse(pattern: &str) -> ScopeResult<Self> {
        if !pattern.is_ascii() || pattern.bytes().any(|byte| byte.is_ascii_control()) {
            return Err("a pattern is plain ASCII without control characters".to_owned());
        }
        let mut parts: Vec<&str> = pattern.split('*').collect();
        if parts.len() > MAX_STARS + 1 {
            return Err(format!("a pattern has at most {MAX_STARS} stars"));
        }
        let (Some(tail), true) = (parts.pop(), !parts.is_empty()) else {
            return Err("a pattern has at least one star".to_owned());
        };
        let head = parts.remove(0);
        let middle = parts.into_iter().filter(|part| !part.is_empty());
        Ok(Self {
            head: head.as_bytes().into(),
            middle: middle.map(|part| part.as_bytes().into()).collect(),
            tail: tail.as_bytes().into(),
        })
    }

    /// Whether the pattern covers the whole of `text`, byte for byte.
    #[must_use]
    pub fn matches(&self, text: &[u8]) -> bool {
        if !text.is_ascii() {
            return false;
        }
        let Some(rest) = text.strip_prefix(&*self.head) else {
            return false;
        };
        let Some(mut rest) = rest.strip_suffix(&*self.tail) else {
            return false;
        };
        for part in &self.middle {
            let Some(at) = find(rest, part) else { return false };
            rest = &rest[at + part.len()..];
        }
        true
    }
}

/// Position of the first occurrence of `needle`, which is not empty.
fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
