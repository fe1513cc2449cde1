//! Configuration keys: scopes of exact keys and patterns, and the deny-list that applies after them.

use super::ScopeResult;
use super::glob::Glob;
use super::names::NameSet;

/// Longest key; also the size of the buffers that keys are looked at in, so that no check allocates.
const MAX_KEY_BYTES: usize = 200;

/// Words that, standing alone in a key, say that its value is a secret.
const SECRET_WORDS: &[&str] = &[
    "auth",
    "bindpw",
    "cookie",
    "credential",
    "dsn",
    "hmac",
    "jwt",
    "pass",
    "passphrase",
    "passwd",
    "password",
    "salt",
    "secret",
    "seed",
    "token",
    "apikey",
];
/// Words that turn `key`, standing after them, into a secret.
const KEY_QUALIFIERS: &[&str] = &["access", "api", "encryption", "license", "private", "secret", "signing"];
/// Runs of letters that say so wherever they stand, separators left out.
const SECRET_RUNS: &[&str] = &["apikey", "credential", "passwd", "password", "privatekey", "secret", "token"];

/// Entries of a `config` scope.
#[derive(Debug, Clone, Default)]
pub struct ConfigScope {
    /// Patterns and exact keys, in lower case.
    names: NameSet,
    /// Exact keys as written: only these lift the deny-list.
    spelled: NameSet,
}

/// What a scope says about a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyVerdict {
    /// The key may be read.
    Allowed,
    /// No entry covers the key.
    OutsideScope,
    /// An entry covers the key, but the key is on the deny-list and no entry spells it.
    OnDenyList,
}

impl ConfigScope {
    /// Adds an entry: an exact key, a pattern with `*`, or `*` alone.
    pub fn add(&mut self, entry: &str) -> ScopeResult<()> {
        if !entry.is_empty() && entry.bytes().all(|byte| byte == b'*') {
            self.names.add_everything();
            return Ok(());
        }
        let is_legal = |byte: u8| byte == b'*' || is_key_byte(byte);
        if !(1..=MAX_KEY_BYTES).contains(&entry.len()) || !entry.bytes().all(is_legal) {
            return Err(format!(
                "a key has 1 to {MAX_KEY_BYTES} of the characters A-Z a-z 0-9 _ . : / [ ] - (and `*` in patterns)"
            ));
        }
        let lower = entry.to_ascii_lowercase();
        if entry.contains('*') {
            self.names.add_pattern(Glob::parse(&lower)?);
        } else {
            self.names.add_exact(&lower);
            self.spelled.add_exact(entry);
        }
        Ok(())
    }

    /// Whether a plugin may read `key`, which passed [`check_key`].
    #[must_use]
    pub fn verdict(&self, key: &str) -> KeyVerdict {
        if self.spelled.contains_exact(key) {
            return KeyVerdict::Allowed;
        }
        match (self.covers(key), is_secret(key)) {
            (false, _) => KeyVerdict::OutsideScope,
            (true, true) => KeyVerdict::OnDenyList,
            (true, false) => KeyVerdict::Allowed,
        }
    }

    /// Whether an entry covers the key, without the deny-list.
    #[must_use]
    pub fn covers(&self, key: &str) -> bool {
        let mut buffer = [0; MAX_KEY_BYTES];
        let lower = lower_into(key, &mut buffer);
        std::str::from_utf8(lower).is_ok_and(|lower| self.names.contains(lower))
    }

    /// Whether nothing is in the scope.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

/// Grammar of keys: what configuration stores use, and nothing that some store could read as a wildcard.
pub fn check_key(key: &str) -> ScopeResult<()> {
    if !(1..=MAX_KEY_BYTES).contains(&key.len()) {
        return Err(format!("a key has 1 to {MAX_KEY_BYTES} characters"));
    }
    if !key.bytes().all(is_key_byte) {
        return Err("a key has only the characters A-Z a-z 0-9 _ . : / [ ] -".to_owned());
    }
    Ok(())
}

fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.:/[]-".contains(&byte)
}

/// Lower-case copy in a buffer on the stack; longer text is cut, which no key that passed the grammar is.
fn lower_into<'a>(key: &str, buffer: &'a mut [u8; MAX_KEY_BYTES]) -> &'a [u8] {
    let len = key.len().min(MAX_KEY_BYTES);
    buffer[..len].copy_from_slice(&key.as_bytes()[..len]);
    buffer[..len].make_ascii_lowercase();
    &buffer[..len]
}

/// Whether the name of a key says that its value is a secret.
#[must_use]
pub fn is_secret(key: &str) -> bool {
    has_secret_run(key) || has_secret_word(key)
}

/// The letters of a key in lower case, separators left out, contain one of the runs.
fn has_secret_run(key: &str) -> bool {
    let mut letters = [0; MAX_KEY_BYTES];
    let mut len = 0;
    for byte in key.bytes().filter(u8::is_ascii_alphanumeric).take(MAX_KEY_BYTES) {
        letters[len] = byte.to_ascii_lowercase();
        len += 1;
    }
    let letters = &letters[..len];
    SECRET_RUNS.iter().any(|run| letters.windows(run.len()).any(|window| window == run.as_bytes()))
}

/// A word of the key is a secret word, or is `key` after a word that makes it one.
fn has_secret_word(key: &str) -> bool {
    let mut previous = "";
    for word in words(key) {
        let singular = singular(word);
        let is_key = singular.eq_ignore_ascii_case("key");
        if is_one_of(singular, SECRET_WORDS) || is_one_of(word, SECRET_WORDS) || is_short_for_password(word) {
            return true;
        }
        if is_key && is_one_of(previous, KEY_QUALIFIERS) {
            return true;
        }
        previous = word;
    }
    false
}

/// `dbpwd`, `rootpw`: no ordinary word has these letters there.
fn is_short_for_password(word: &str) -> bool {
    let word = word.as_bytes();
    let ends_with_pw = word.len() >= 2 && word[word.len() - 2..].eq_ignore_ascii_case(b"pw");
    ends_with_pw || word.windows(3).any(|letters| letters.eq_ignore_ascii_case(b"pwd"))
}

fn is_one_of(word: &str, list: &[&str]) -> bool {
    list.iter().any(|known| known.eq_ignore_ascii_case(word))
}

/// `cookies` as `cookie`; `pass` stays.
fn singular(word: &str) -> &str {
    match word.strip_suffix(['s', 'S']) {
        Some(stem) if stem.len() >= 3 && !stem.ends_with(['s', 'S']) => stem,
        _ => word,
    }
}

/// Words of a key: split at everything that is not a letter, and where lower case or an acronym ends (`mailPwd`, `DBPwd`).
fn words(key: &str) -> impl Iterator<Item = &str> {
    key.split(|c: char| !c.is_ascii_alphabetic()).flat_map(CamelWords).filter(|word| !word.is_empty())
}

struct CamelWords<'a>(&'a str);

impl<'a> Iterator for CamelWords<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.0.is_empty() {
            return None;
        }
        let bytes = self.0.as_bytes();
        let ends = (1..bytes.len()).find(|&at| is_word_start(bytes, at)).unwrap_or(bytes.len());
        let (word, rest) = self.0.split_at(ends);
        self.0 = rest;
        Some(word)
    }
}

/// A capital after a small letter, or the last capital of an acronym that a small letter follows.
fn is_word_start(bytes: &[u8], at: usize) -> bool {
    let is_capital = bytes[at].is_ascii_uppercase();
    let after_small = bytes[at - 1].is_ascii_lowercase();
    let before_small = bytes.get(at + 1).is_some_and(u8::is_ascii_lowercase);
    is_capital && (after_small || before_small)
}
