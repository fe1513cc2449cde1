//! Names of plugins, and targets of functions that a host registered.

use std::collections::HashSet;

use super::ScopeResult;
use super::glob::Glob;

/// Longest plugin name.
const MAX_PLUGIN_NAME: usize = 64;
/// Longest target of a host-registered function.
const MAX_TARGET: usize = 512;

/// A set of names: exact ones, and patterns where the surface has them. Empty sets hold nothing.
#[derive(Debug, Clone, Default)]
pub struct NameSet {
    everything: bool,
    exact: HashSet<Box<str>>,
    patterns: Vec<Glob>,
}

impl NameSet {
    /// Adds `*`.
    pub fn add_everything(&mut self) {
        self.everything = true;
    }

    /// Adds one exact name.
    pub fn add_exact(&mut self, name: &str) {
        self.exact.insert(name.into());
    }

    /// Adds a pattern.
    pub fn add_pattern(&mut self, pattern: Glob) {
        self.patterns.push(pattern);
    }

    /// Whether `name` is in the set, byte for byte.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.everything || self.contains_exact(name) || self.matches_pattern(name.as_bytes())
    }

    /// Whether `name` is spelled in the set.
    #[must_use]
    pub fn contains_exact(&self, name: &str) -> bool {
        self.exact.contains(name)
    }

    /// Whether a pattern, or `*`, covers `name`.
    #[must_use]
    pub fn matches_pattern(&self, name: &[u8]) -> bool {
        self.everything || self.patterns.iter().any(|pattern| pattern.matches(name))
    }

    /// Whether `*` is in the set.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.everything
    }

    /// Whether nothing is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.everything && self.exact.is_empty() && self.patterns.is_empty()
    }
}

/// Adds an entry of a `plugin_call` scope or of `callable_by`: an exact plugin name, or `*`.
pub fn add_plugin(set: &mut NameSet, entry: &str) -> ScopeResult<()> {
    if entry == "*" {
        set.add_everything();
        return Ok(());
    }
    if entry.contains('*') {
        return Err("plugin names are exact; only a lone `*` stands for every plugin".to_owned());
    }
    if !is_plugin_name(entry) {
        return Err("it is not a plugin name (letters, digits, `-`, `_`, `.`)".to_owned());
    }
    set.add_exact(entry);
    Ok(())
}

/// Adds an entry of the scope of a host-registered function: exact, or a pattern with `*`.
pub fn add_target(set: &mut NameSet, entry: &str) -> ScopeResult<()> {
    match entry {
        "" => return Err("it is empty".to_owned()),
        "*" => set.add_everything(),
        _ if entry.len() > MAX_TARGET => return Err(format!("it has more than {MAX_TARGET} bytes")),
        _ if entry.chars().any(char::is_control) => return Err("it has control characters".to_owned()),
        _ if entry.contains('*') => set.add_pattern(Glob::parse(entry)?),
        _ => set.add_exact(entry),
    }
    Ok(())
}

/// Wider than the grammar for new plugins, so that policies of the reference's plugins load; ASCII all the same.
pub(crate) fn is_plugin_name(name: &str) -> bool {
    (1..=MAX_PLUGIN_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}
