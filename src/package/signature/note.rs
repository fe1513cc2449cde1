//! `<file>.gksig`: a text that binds content to a name, a version, a place in the sequence of releases and a time.
//!
//! ```text
//! gk-plugin-signature v1
//! name: stats
//! version: 1.4.2
//! sha256: <64 digits>
//! sequence: 17
//! not-before: 2026-11-01T00:00:00Z
//! expires: 2027-11-01T00:00:00Z
//! min-host: 0.7.0
//! isolation-minimum: 3
//! permissions-sha256: <64 digits>
//!
//! — acme-release 4f2a91c0 <base64>
//! ```
//!
//! The last three fields may be absent; the order is fixed and every line ends in a line feed, so that a note has one
//! spelling. Each signature is over [`DOMAIN`] and all bytes above the blank line: no signature of another kind, `.sig`
//! included, can be taken for one.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{KeyId, PublicKey, SecretKey, Signature};
use crate::error::{Error, ErrorCode, Result};
use crate::package::hex;
use crate::package::moment::Moment;
use crate::package::version::{Version, check_version};
use crate::plugin::name::check_name;

/// Longest file that is read, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;
/// What every signed text begins with.
const DOMAIN: &[u8] = b"gk-plugin-sig-v1\0";
const FIRST_LINE: &str = "gk-plugin-signature v1";
/// Most signatures in a note.
const MAX_SIGNATURES: usize = 16;
/// Longest label, in bytes.
const MAX_LABEL_BYTES: usize = 64;

/// What signers say about the content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Name of the plugin.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
    /// Grows with every release of this name, whatever its version.
    pub sequence: u64,
    /// Not valid before this time.
    pub not_before: Moment,
    /// Not valid from this time on.
    pub expires: Moment,
    /// Oldest host that may run it.
    pub min_host: Option<String>,
    /// Least isolation for native code.
    pub isolation_minimum: Option<u8>,
    /// Hash of what the plugin asks for (see [`crate::package::request::fingerprint`]).
    pub permissions_sha256: Option<[u8; 32]>,
}

/// One signature and what it says of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// How the signer calls the key; for people only.
    pub label: String,
    /// Which key to try.
    pub key: KeyId,
    signature: Signature,
}

/// A statement with its signatures, none of them verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What is signed.
    pub statement: Statement,
    /// Signatures, at least one in a note that was read.
    pub signatures: Vec<Signed>,
}

impl Note {
    /// Reads a note.
    pub fn parse(text: &[u8]) -> Result<Self> {
        if text.len() > MAX_BYTES {
            return Err(malformed("it is too long"));
        }
        let text = std::str::from_utf8(text).map_err(|error| malformed("it is not UTF-8").with_source(error))?;
        let (statement, signatures) = text.split_once("\n\n").ok_or_else(|| malformed("it has no blank line"))?;
        let statement = Statement::parse(statement)?;
        let signatures = signatures.strip_suffix('\n').ok_or_else(|| malformed("its last line does not end"))?;
        let signatures: Vec<Signed> = signatures.split('\n').map(Signed::parse).collect::<Result<_>>()?;
        if signatures.len() > MAX_SIGNATURES {
            return Err(malformed("it has too many signatures"));
        }
        let twice =
            signatures.iter().enumerate().any(|(at, one)| signatures[..at].iter().any(|other| other.key == one.key));
        if twice {
            return Err(malformed("two signatures name one key"));
        }
        Ok(Self { statement, signatures })
    }

    /// A note that nobody has signed yet.
    pub fn new(statement: Statement) -> Result<Self> {
        // Whatever is written must be read the same way.
        if Statement::parse(statement.to_text().trim_end_matches('\n'))? != statement {
            return Err(malformed("a field does not have the form that is read"));
        }
        Ok(Self { statement, signatures: Vec::new() })
    }

    /// Adds a signature, in place of one by the same key.
    pub fn sign(&mut self, label: &str, secret: &SecretKey) -> Result<()> {
        check_label(label)?;
        let key = secret.public().id();
        self.signatures.retain(|signed| signed.key != key);
        if self.signatures.len() >= MAX_SIGNATURES {
            return Err(malformed("it has too many signatures"));
        }
        let signature = secret.sign(&self.signed_bytes());
        self.signatures.push(Signed { label: label.to_owned(), key, signature });
        Ok(())
    }

    /// True when `signed` is a signature of `key` over the statement.
    #[must_use]
    pub fn is_signed(&self, signed: &Signed, key: &PublicKey) -> bool {
        key.verifies(&self.signed_bytes(), &signed.signature)
    }

    /// The file's text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = self.statement.to_text();
        text.push('\n');
        for Signed { label, key, signature } in &self.signatures {
            // Writing to a string can't fail.
            let _ = writeln!(text, "— {label} {key} {}", STANDARD.encode(signature));
        }
        text
    }

    fn signed_bytes(&self) -> Vec<u8> {
        [DOMAIN, self.statement.to_text().as_bytes()].concat()
    }
}

impl Statement {
    fn parse(text: &str) -> Result<Self> {
        let mut lines = text.split('\n').peekable();
        if lines.next() != Some(FIRST_LINE) {
            return Err(malformed("it does not begin with `gk-plugin-signature v1`"));
        }
        let mut optional = |name: &str| {
            let value = lines.peek().and_then(|line| line.strip_prefix(name)?.strip_prefix(": "));
            if value.is_some() {
                lines.next();
            }
            value
        };
        let required = |name: &str, value: Option<&str>| {
            value.map(str::to_owned).ok_or_else(|| malformed(&format!("`{name}` is missing or not in its place")))
        };
        let fields = [
            "name",
            "version",
            "sha256",
            "sequence",
            "not-before",
            "expires",
            "min-host",
            "isolation-minimum",
            "permissions-sha256",
        ]
        .map(|name| (name, optional(name)));
        if lines.next().is_some() {
            return Err(malformed("a field is unknown, appears twice or is not in its place"));
        }
        let field = |at: usize| required(fields[at].0, fields[at].1);
        let statement = Self {
            name: field(0)?,
            version: field(1)?,
            sha256: digest("sha256", &field(2)?)?,
            sequence: number("sequence", &field(3)?)?,
            not_before: moment("not-before", &field(4)?)?,
            expires: moment("expires", &field(5)?)?,
            min_host: fields[6].1.map(str::to_owned),
            isolation_minimum: fields[7].1.map(isolation).transpose()?,
            permissions_sha256: fields[8].1.map(|text| digest("permissions-sha256", text)).transpose()?,
        };
        statement.check()?;
        Ok(statement)
    }

    fn check(&self) -> Result<()> {
        check_name(&self.name).map_err(|error| malformed("`name` is no name of a plugin").with_source(error))?;
        check_version(&self.version).map_err(|error| malformed("`version` is not allowed").with_source(error))?;
        if self.min_host.as_deref().is_some_and(|version| Version::parse(version).is_none()) {
            return Err(malformed("`min-host` is not a version like 0.7.0"));
        }
        if self.expires <= self.not_before {
            return Err(malformed("it expires before it is valid"));
        }
        Ok(())
    }

    fn to_text(&self) -> String {
        let mut text = format!(
            "{FIRST_LINE}\nname: {}\nversion: {}\nsha256: {}\nsequence: {}\nnot-before: {}\nexpires: {}\n",
            self.name,
            self.version,
            hex::encode(&self.sha256),
            self.sequence,
            self.not_before,
            self.expires,
        );
        let optional = [
            ("min-host", self.min_host.clone()),
            ("isolation-minimum", self.isolation_minimum.map(|level| level.to_string())),
            ("permissions-sha256", self.permissions_sha256.map(|digest| hex::encode(&digest))),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                // Writing to a string can't fail.
                let _ = writeln!(text, "{name}: {value}");
            }
        }
        text
    }
}

impl Signed {
    fn parse(line: &str) -> Result<Self> {
        let unreadable = || malformed("a signature is not `— LABEL KEY-ID BASE64`");
        let mut words = line.strip_prefix("— ").ok_or_else(unreadable)?.split(' ');
        let (Some(label), Some(key), Some(signature), None) = (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(unreadable());
        };
        check_label(label)?;
        let key = KeyId::parse(key).ok_or_else(unreadable)?;
        let bytes = STANDARD.decode(signature).map_err(|error| unreadable().with_source(error))?;
        let signature = <Signature>::try_from(bytes).map_err(|_bytes| unreadable())?;
        Ok(Self { label: label.to_owned(), key, signature })
    }
}

/// Accepts what labels of keys may look like: `[a-z0-9][a-z0-9._-]*`, at most 64 bytes.
pub fn check_label(label: &str) -> Result<()> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let shaped = label.bytes().next().is_some_and(is_plain)
        && label.len() <= MAX_LABEL_BYTES
        && label.bytes().all(|byte| is_plain(byte) || b"._-".contains(&byte));
    if shaped {
        return Ok(());
    }
    Err(malformed("a key's label is not small letters, digits, `.`, `_` and `-`, 64 at most"))
}

fn digest(name: &str, text: &str) -> Result<[u8; 32]> {
    let digest = hex::decode(text.as_bytes()).filter(|digest| hex::encode(digest) == text);
    digest.ok_or_else(|| malformed(&format!("`{name}` is not 64 small hexadecimal digits")))
}

fn number(name: &str, text: &str) -> Result<u64> {
    let number = text.parse::<u64>().ok().filter(|number| number.to_string() == text);
    number.ok_or_else(|| malformed(&format!("`{name}` is not a plain number")))
}

fn moment(name: &str, text: &str) -> Result<Moment> {
    Moment::parse(text).ok_or_else(|| malformed(&format!("`{name}` is not a time like 2026-11-01T00:00:00Z")))
}

fn isolation(text: &str) -> Result<u8> {
    let level = text.parse::<u8>().ok().filter(|level| *level <= 4 && level.to_string() == text);
    level.ok_or_else(|| malformed("`isolation-minimum` is not a number from 0 to 4"))
}

fn malformed(why: &str) -> Error {
    Error::new(ErrorCode::SignatureMalformed, format!("the .gksig file is refused: {why}"))
}

#[cfg(test)]
mod tests;
