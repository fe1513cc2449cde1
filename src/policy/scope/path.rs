//! Paths of URLs: patterns, and the ways in which servers read one path differently.

use super::ScopeResult;
use super::glob::Glob;

/// A path pattern: exact, or with stars.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    as_written: Form,
    /// What a denial is held against: many servers look at no case.
    lower: Form,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    Exact(Box<str>),
    Pattern(Glob),
}

impl Form {
    fn parse(text: &str) -> ScopeResult<Self> {
        match text.contains('*') {
            true => Glob::parse(text).map(Self::Pattern),
            false => Ok(Self::Exact(text.into())),
        }
    }

    fn covers(&self, path: &str) -> bool {
        match self {
            Self::Exact(exact) => **exact == *path,
            Self::Pattern(pattern) => pattern.matches(path.as_bytes()),
        }
    }
}

impl PathPattern {
    /// Reads an element of `paths`.
    pub fn parse(text: &str) -> ScopeResult<Self> {
        if !text.starts_with('/') || text.contains(['?', '#', '\\']) {
            return Err("a path begins with `/` and has no query".to_owned());
        }
        Ok(Self { as_written: Form::parse(text)?, lower: Form::parse(&text.to_ascii_lowercase())? })
    }

    /// Whether it grants `path`, byte for byte.
    #[must_use]
    pub fn covers(&self, path: &str) -> bool {
        self.as_written.covers(path)
    }

    /// As [`Self::covers`], read as widely as it can be meant: in any case, with and without a slash at the end.
    #[must_use]
    pub fn touches(&self, path: &str) -> bool {
        let path = path.to_ascii_lowercase();
        let bare = path.trim_end_matches('/');
        [path.as_str(), bare, &format!("{bare}/")].into_iter().any(|path| self.lower.covers(path))
    }
}

/// Paths that servers take apart differently: encoded separators and dots, broken escapes and those that no text has,
/// doubled slashes, dots before parameters. No list of paths grants them.
#[must_use]
pub fn is_ambiguous(path: &str) -> bool {
    let has_dots = path.split('/').any(|part| [".", ".."].contains(&part.split(';').next().unwrap_or_default()));
    has_dots || path.contains("//") || path.split('%').skip(1).any(is_ambiguous_escape)
}

/// Whether the two digits at the begin of `rest`, behind a `%`, are not two digits, or stand for a character that takes a
/// path apart, ends it in some language, or never occurs in UTF-8.
fn is_ambiguous_escape(rest: &str) -> bool {
    let digits = rest.get(..2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) else { return true };
    b"/\\.%".contains(&byte) || byte.is_ascii_control() || matches!(byte, 0xc0 | 0xc1 | 0xf5..)
}

/// Paths that may be another one for some server: an escape of an ordinary character, a parameter, a dot that some
/// servers drop. A denial of any path takes them away.
#[must_use]
pub fn is_unclear(path: &str) -> bool {
    path.contains(['%', ';']) || path.split('/').any(|part| part.ends_with('.')) || is_ambiguous(path)
}
