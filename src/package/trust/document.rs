//! The trust store as a JSON document, strict.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, ErrorCode, Result};
use crate::json;
use crate::package::hex;
use crate::package::moment::Moment;
use crate::package::signature::PublicKey;
use crate::package::signature::note::check_label;
use crate::plugin::name::shorten;
use crate::policy::scope::glob::Glob;

/// Longest document, in bytes.
pub const MAX_BYTES: usize = 1024 * 1024;
/// Most keys, rules and revocations, each.
const MAX_ITEMS: usize = 4096;
/// Longest reason and pattern, in bytes.
const MAX_TEXT_BYTES: usize = 512;

/// Trusted keys, thresholds and revocations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "goatflow-plugin trust store")]
pub struct TrustDocument {
    /// Version of this format.
    #[schemars(range(min = 1, max = 1))]
    pub version: u32,
    /// Keys.
    #[serde(default)]
    pub keys: Vec<TrustedKey>,
    /// How many keys must sign; every rule whose pattern covers the name counts.
    #[serde(default)]
    pub thresholds: Vec<Threshold>,
    /// Files that are never accepted, whoever signed them.
    #[serde(default)]
    pub revoked_contents: Vec<RevokedContent>,
}

/// A key and what it may sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrustedKey {
    /// Ed25519 public key: 64 hexadecimal digits.
    pub public_key: String,
    /// How people call it.
    pub label: String,
    /// Names of plugins it may sign for: exact, or patterns with `*`. Without any, it may sign nothing.
    pub names: Vec<String>,
    /// What the holder of the key does; thresholds count keys by role.
    #[serde(default = "usual_roles")]
    pub roles: Vec<Role>,
    /// Not trusted before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub not_before: Option<Moment>,
    /// Not trusted from this time on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub not_after: Option<Moment>,
    /// Set when the key is not trusted any more. A signature does not prove when it was made: none of the key holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Revocation>,
}

/// What the holder of a key does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Publishes releases.
    Release,
    /// Reviews them.
    Security,
    /// Signs during development.
    Dev,
}

impl Role {
    /// Name in documents.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Security => "security",
            Self::Dev => "dev",
        }
    }
}

/// When and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// When it was revoked; for people.
    #[schemars(with = "String")]
    pub date: Moment,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// So many keys with one of these roles must have signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// Name of a plugin, or a pattern with `*`.
    pub name: String,
    /// Roles that count.
    pub roles: Vec<Role>,
    /// How many different keys.
    #[schemars(range(min = 1, max = 16))]
    pub count: usize,
}

/// A file that is never accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokedContent {
    /// SHA-256 of the package or module: 64 hexadecimal digits.
    pub sha256: String,
    /// When it was revoked; for people.
    #[schemars(with = "String")]
    pub date: Moment,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

fn usual_roles() -> Vec<Role> {
    vec![Role::Release]
}

impl Default for TrustDocument {
    fn default() -> Self {
        Self { version: 1, keys: Vec::new(), thresholds: Vec::new(), revoked_contents: Vec::new() }
    }
}

impl TrustDocument {
    /// Reads a document. One that breaks a rule anywhere is refused as a whole: a key that is passed over in silence
    /// could be the one that matters.
    pub fn parse(text: &[u8]) -> Result<Self> {
        if text.len() > MAX_BYTES {
            return Err(refused(format!("it is larger than {MAX_BYTES} bytes")));
        }
        let document: Self = json::from_object(text)
            .map_err(|error| refused("it is not as its schema says".to_owned()).with_source(error))?;
        document.check()?;
        Ok(document)
    }

    /// The document as a text that people can read.
    pub fn to_text(&self) -> Result<String> {
        let text = serde_json::to_string_pretty(self).map_err(|error| crate::error::bug!("a trust store: {error}"))?;
        Ok(text + "\n")
    }

    /// JSON Schema of the document.
    #[must_use]
    pub fn schema() -> Value {
        schemars::schema_for!(Self).to_value()
    }

    /// Adds a key; its public key and its label must be new.
    pub fn add(&mut self, key: TrustedKey) -> Result<()> {
        let public_key = PublicKey::parse(&key.public_key)?;
        let known = self.keys.iter().find(|known| is_key(known, &public_key) || known.label == key.label);
        if let Some(known) = known {
            return Err(conflict(format!("the key `{}` is in the trust store already", known.label)));
        }
        self.keys.push(key);
        self.check()
    }

    /// Revokes a key, named by its label, its key id or its public key. By its public key, one that is not known here yet
    /// can be revoked as well: it may be configured elsewhere, or added by somebody later.
    pub fn revoke_key(&mut self, name: &str, revocation: Revocation) -> Result<()> {
        let is_meant = |key: &TrustedKey| {
            key.label == name
                || PublicKey::parse(&key.public_key)
                    .is_ok_and(|public| public.id().to_string() == name || is_same(&public, name))
        };
        if let Ok(public_key) = PublicKey::parse(name)
            && !self.keys.iter().any(is_meant)
        {
            let label = format!("key-{}", public_key.id());
            self.keys
                .push(TrustedKey { revoked: Some(revocation), ..TrustedKey::new(&public_key, &label, Vec::new()) });
            return self.check();
        }
        let mut meant = self.keys.iter_mut().filter(|key| is_meant(key));
        let (Some(key), None) = (meant.next(), meant.next()) else {
            let name = shorten(name, 80);
            return Err(conflict(format!("`{name}` does not name exactly one key (give the label or the public key)")));
        };
        // The first revocation stays: it says since when the key is not trusted.
        key.revoked.get_or_insert(revocation);
        self.check()
    }

    /// Revokes a file by its SHA-256.
    pub fn revoke_content(&mut self, sha256: &str, revocation: Revocation) -> Result<()> {
        let sha256 = sha256.to_ascii_lowercase();
        if self.revoked_contents.iter().any(|known| known.sha256.eq_ignore_ascii_case(&sha256)) {
            return Ok(());
        }
        let Revocation { date, reason } = revocation;
        self.revoked_contents.push(RevokedContent { sha256, date, reason });
        self.check()
    }

    fn check(&self) -> Result<()> {
        if self.version != 1 {
            return Err(refused(format!("version {} is unknown (this library reads 1)", self.version)));
        }
        let counts = [self.keys.len(), self.thresholds.len(), self.revoked_contents.len()];
        if counts.into_iter().any(|count| count > MAX_ITEMS) {
            return Err(refused(format!("it has more than {MAX_ITEMS} entries of one kind")));
        }
        let mut seen = HashSet::new();
        for (at, key) in self.keys.iter().enumerate() {
            key.check(&mut seen).map_err(|error| error.with_detail("entry", format!("keys[{at}]")))?;
        }
        for (at, threshold) in self.thresholds.iter().enumerate() {
            threshold.check().map_err(|error| error.with_detail("entry", format!("thresholds[{at}]")))?;
        }
        for (at, revoked) in self.revoked_contents.iter().enumerate() {
            if hex::decode::<32>(revoked.sha256.as_bytes()).is_none() {
                return Err(refused(format!("`revoked_contents[{at}].sha256` is not 64 hexadecimal digits")));
            }
            check_text(&revoked.reason)?;
        }
        Ok(())
    }
}

impl TrustedKey {
    /// A key that may sign releases of `names` from now on.
    #[must_use]
    pub fn new(public_key: &PublicKey, label: &str, names: Vec<String>) -> Self {
        Self {
            public_key: public_key.to_string(),
            label: label.to_owned(),
            names,
            roles: usual_roles(),
            not_before: None,
            not_after: None,
            revoked: None,
        }
    }

    fn check(&self, seen: &mut HashSet<String>) -> Result<()> {
        let label = shorten(&self.label, 80);
        check_label(&self.label).map_err(|_other_file| {
            refused(format!("the label `{label}` is not allowed (small letters, digits, `.`, `_`, `-`)"))
        })?;
        let public_key =
            PublicKey::parse(&self.public_key).map_err(|error| error.prefixed(&format!("key `{label}`")))?;
        // A label has no spaces.
        if !seen.insert(self.label.clone()) || !seen.insert(format!("public key {public_key}")) {
            return Err(refused(format!("the key `{label}` appears twice")));
        }
        for name in &self.names {
            Pattern::parse(name)?;
        }
        if let (Some(from), Some(to)) = (self.not_before, self.not_after)
            && to <= from
        {
            return Err(refused(format!("the key `{label}` ends before it begins")));
        }
        check_text(self.revoked.as_ref().map_or("", |revoked| &revoked.reason))
    }
}

impl Threshold {
    fn check(&self) -> Result<()> {
        Pattern::parse(&self.name)?;
        if self.roles.is_empty() || !(1..=16).contains(&self.count) {
            return Err(refused(format!(
                "the threshold of `{}` needs a role and a count from 1 to 16",
                shorten(&self.name, 80)
            )));
        }
        Ok(())
    }
}

/// Which names of plugins are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pattern {
    Exact(String),
    Glob(Glob),
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*".contains(&byte);
        if text.is_empty() || text.len() > MAX_TEXT_BYTES || !text.bytes().all(is_plain) {
            return Err(refused(format!(
                "`{}` is neither the name of a plugin nor a pattern with `*`",
                shorten(text, 80)
            )));
        }
        if !text.contains('*') {
            return Ok(Self::Exact(text.to_owned()));
        }
        Glob::parse(text).map(Self::Glob).map_err(|why| refused(format!("the pattern `{}`: {why}", shorten(text, 80))))
    }

    pub(super) fn covers(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == name,
            Self::Glob(glob) => glob.matches(name.as_bytes()),
        }
    }
}

fn is_key(known: &TrustedKey, public_key: &PublicKey) -> bool {
    is_same(public_key, &known.public_key)
}

fn is_same(public_key: &PublicKey, text: &str) -> bool {
    public_key.to_string().eq_ignore_ascii_case(text)
}

fn check_text(text: &str) -> Result<()> {
    if text.len() <= MAX_TEXT_BYTES {
        return Ok(());
    }
    Err(refused(format!("a reason is longer than {MAX_TEXT_BYTES} bytes")))
}

fn refused(why: String) -> Error {
    Error::new(ErrorCode::SignatureTrustInvalid, format!("the trust store is refused: {why}"))
}

fn conflict(why: String) -> Error {
    Error::new(ErrorCode::SignatureTrustConflict, why)
}
