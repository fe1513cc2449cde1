//! Signatures and trust store → a verdict. Nothing here reads a file or a clock.

use std::fmt;

use super::document::{Pattern, Threshold, TrustDocument, TrustedKey};
use super::verdict::{Evidence, History, Mode, Status, Subject};
use crate::error::{Error, ErrorCode, Result};
use crate::package::hex;
use crate::package::moment::Moment;
use crate::package::signature::note::Statement;
use crate::package::signature::{Detached, KeyId, Note, PublicKey};
use crate::package::version::Version;
use crate::plugin::name::shorten;

/// Version of this host, for `min-host`.
const HOST_VERSION: &str = env!("CARGO_PKG_VERSION");

/// A trust store, ready to judge.
#[derive(Debug, Clone, Default)]
pub struct TrustStore {
    keys: Vec<Key>,
    thresholds: Vec<(Pattern, Threshold)>,
    revoked_contents: Vec<[u8; 32]>,
}

#[derive(Debug, Clone)]
struct Key {
    public: PublicKey,
    id: KeyId,
    names: Vec<Pattern>,
    entry: TrustedKey,
}

/// A file whose signatures hold, as far as can be said without knowing its name.
#[derive(Debug, Clone)]
pub struct Verified {
    sha256: [u8; 32],
    statement: Option<Statement>,
    signers: Vec<Key>,
    /// Signer of the `.sig` file, when there is a note as well: it must be one that may sign for the name, too.
    detached_signer: Option<Key>,
    thresholds: Vec<(Pattern, Threshold)>,
    revoked_contents: Vec<[u8; 32]>,
    /// Hashes of the files inside, where it is a package.
    contents: Vec<[u8; 32]>,
}

impl TrustStore {
    /// Compiles a document.
    pub fn new(document: &TrustDocument) -> Result<Self> {
        let pattern = |threshold: &Threshold| Ok((Pattern::parse(&threshold.name)?, threshold.clone()));
        Ok(Self {
            keys: document.keys.iter().map(Key::new).collect::<Result<_>>()?,
            thresholds: document.thresholds.iter().map(pattern).collect::<Result<_>>()?,
            revoked_contents: document
                .revoked_contents
                .iter()
                .filter_map(|revoked| hex::decode(revoked.sha256.as_bytes()))
                .collect(),
        })
    }

    /// Looks at all signatures that are there. What is there must hold, in every mode; with both kinds, both.
    pub fn judge(&self, mode: Mode, evidence: &Evidence<'_>, now: Moment) -> Result<Verified> {
        self.check_not_revoked(&evidence.sha256)?;
        let mut verified = Verified {
            sha256: evidence.sha256,
            statement: None,
            signers: Vec::new(),
            detached_signer: None,
            thresholds: self.thresholds.clone(),
            revoked_contents: self.revoked_contents.clone(),
            contents: Vec::new(),
        };
        if let Some(text) = evidence.detached {
            let signer = self.judge_detached(&Detached::parse(text)?, &evidence.sha256, now)?;
            verified.signers = vec![signer.clone()];
            verified.detached_signer = Some(signer);
        }
        if let Some(text) = evidence.note {
            let note = Note::parse(text)?;
            verified.signers = self.judge_note(&note, &evidence.sha256, now)?;
            verified.statement = Some(note.statement);
        }
        if verified.signers.is_empty() && mode == Mode::Required {
            return Err(refusal(
                ErrorCode::SignatureUnsigned,
                "it is not signed, and signatures are required (sign it, and put the .sig or .gksig file beside it)",
            ));
        }
        Ok(verified)
    }

    /// Looks again at what was verified before: keys and contents may have been revoked since, and time has passed.
    pub fn judge_again(&self, verified: &Verified, now: Moment) -> Result<()> {
        self.check_not_revoked(&verified.sha256)?;
        if verified.contents.iter().any(|sha256| self.revoked_contents.contains(sha256)) {
            return Err(refusal(ErrorCode::SignatureRevoked, "one of its files was revoked"));
        }
        for signer in verified.signers.iter().chain(&verified.detached_signer) {
            let key = self.keys.iter().find(|key| key.public == signer.public);
            key.ok_or_else(|| untrusted("a key that signed it is not trusted any more"))?.check_valid(now)?;
        }
        verified.statement.as_ref().map_or(Ok(()), |statement| check_statement(statement, &verified.sha256, now))
    }

    fn check_not_revoked(&self, sha256: &[u8; 32]) -> Result<()> {
        if self.revoked_contents.contains(sha256) {
            Err(refusal(ErrorCode::SignatureRevoked, "this very file was revoked"))
        } else {
            Ok(())
        }
    }

    fn judge_detached(&self, signature: &Detached, sha256: &[u8; 32], now: Moment) -> Result<Key> {
        match self.keys.iter().find(|key| signature.is_by(&key.public, sha256)) {
            Some(key) => key.check_valid(now).map(|()| key.clone()),
            // Such a signature does not name its key: whether it is wrong or of a stranger can't be told apart.
            None if self.keys.is_empty() => Err(untrusted("no key is trusted")),
            None => Err(refusal(
                ErrorCode::SignatureBad,
                "the .sig file does not fit the file under any trusted key (trust the signer's key, or sign again)",
            )),
        }
    }

    /// All signers that count. One wrong signature under a trusted key spoils the note.
    fn judge_note(&self, note: &Note, sha256: &[u8; 32], now: Moment) -> Result<Vec<Key>> {
        let mut signers = Vec::new();
        let mut not_counted = None;
        for signed in &note.signatures {
            let mut named = self.keys.iter().filter(|key| key.id == signed.key).peekable();
            if named.peek().is_none() {
                continue;
            }
            let Some(key) = named.find(|key| note.is_signed(signed, &key.public)) else {
                return Err(refusal(
                    ErrorCode::SignatureBad,
                    format!("the signature of key {} does not fit", signed.key),
                ));
            };
            match key.check_valid(now) {
                Ok(()) => signers.push(key.clone()),
                Err(error) => not_counted = Some(error),
            }
        }
        if signers.is_empty() {
            return Err(not_counted.unwrap_or_else(|| untrusted("none of the keys that signed it is trusted")));
        }
        check_statement(&note.statement, sha256, now)?;
        Ok(signers)
    }
}

impl Key {
    fn new(entry: &TrustedKey) -> Result<Self> {
        let public = PublicKey::parse(&entry.public_key)?;
        let names = entry.names.iter().map(|name| Pattern::parse(name)).collect::<Result<_>>()?;
        Ok(Self { public, id: public.id(), names, entry: entry.clone() })
    }

    fn may_sign(&self, name: &str) -> bool {
        self.names.iter().any(|names| names.covers(name))
    }

    fn check_valid(&self, now: Moment) -> Result<()> {
        let refused = |code, why: fmt::Arguments<'_>| {
            Err(refusal(code, format!("the key `{}` {why}", self.entry.label))
                .with_detail("key", self.entry.label.as_str()))
        };
        if let Some(revoked) = &self.entry.revoked {
            return refused(ErrorCode::SignatureRevoked, format_args!("was revoked on {}", revoked.date));
        }
        if let Some(from) = self.entry.not_before.filter(|from| now < *from) {
            return refused(ErrorCode::SignatureExpired, format_args!("is not valid before {from}"));
        }
        if let Some(to) = self.entry.not_after.filter(|to| now >= *to) {
            return refused(ErrorCode::SignatureExpired, format_args!("is not valid since {to}"));
        }
        Ok(())
    }
}

fn check_statement(statement: &Statement, sha256: &[u8; 32], now: Moment) -> Result<()> {
    if statement.sha256 != *sha256 {
        return Err(refusal(ErrorCode::SignatureBad, "the .gksig file was made for another file (its sha256 differs)"));
    }
    if now < statement.not_before {
        return Err(refusal(
            ErrorCode::SignatureExpired,
            format!("the signature is not valid before {}", statement.not_before),
        ));
    }
    if now >= statement.expires {
        return Err(refusal(
            ErrorCode::SignatureExpired,
            format!("the signature expired on {} (ask its author for a new one)", statement.expires),
        ));
    }
    let asked = statement.min_host.as_deref().and_then(Version::parse);
    if asked.is_some() && asked > Version::parse(HOST_VERSION) {
        return Err(refusal(
            ErrorCode::SignatureHostTooOld,
            format!(
                "it needs host version {} (this is {HOST_VERSION})",
                statement.min_host.as_deref().unwrap_or_default()
            ),
        ));
    }
    Ok(())
}

impl Verified {
    /// Looks at what the file says about itself: is that what was signed, and by those who may?
    pub fn check_subject(&self, subject: &Subject<'_>) -> Result<()> {
        if let Some(statement) = &self.statement {
            check_binding(statement, subject)?;
        }
        if self.signers.is_empty() {
            return Ok(());
        }
        let eligible: Vec<&Key> = self.signers.iter().filter(|key| key.may_sign(subject.name)).collect();
        let stranger = self.detached_signer.iter().find(|key| !key.may_sign(subject.name));
        if eligible.is_empty() || stranger.is_some() {
            let labels: Vec<&str> = stranger
                .into_iter()
                .chain(self.signers.iter().filter(|_| stranger.is_none()))
                .map(|key| key.entry.label.as_str())
                .collect();
            return Err(untrusted(&format!(
                "`{}` may not sign for the plugin `{}`",
                labels.join("`, `"),
                subject.name
            )));
        }
        for (_, rule) in self.thresholds.iter().filter(|(names, _)| names.covers(subject.name)) {
            let has_role = |key: &&&Key| key.entry.roles.iter().any(|role| rule.roles.contains(role));
            let count = eligible.iter().filter(has_role).count();
            if count < rule.count {
                return Err(too_few(count, rule));
            }
        }
        Ok(())
    }

    /// Takes note of a file inside. What was revoked does not come back inside of something else.
    pub fn note_content(&mut self, name: &str, sha256: [u8; 32]) -> Result<()> {
        self.contents.push(sha256);
        if !self.revoked_contents.contains(&sha256) {
            return Ok(());
        }
        let name = shorten(name, 240);
        Err(refusal(ErrorCode::SignatureRevoked, format!("its file `{name}` was revoked")).with_detail("entry", name))
    }

    /// Compares with what was accepted before: an older release, or one with a weaker signature, is refused.
    pub fn check_history(&self, subject: &Subject<'_>, history: &History) -> Result<()> {
        match (&self.statement, history.sequence) {
            (Some(statement), Some(highest)) => self.check_sequence(statement.sequence, highest, history),
            (Some(_), None) => Ok(()),
            (None, Some(_)) => Err(refusal(
                ErrorCode::SignatureFormatDowngrade,
                format!("`{}` came with a .gksig file before, and must have one now", subject.name),
            )),
            // With what can't be compared, nothing can be.
            (None, None) if self.signers.is_empty() || Version::parse(&history.version).is_none() => Ok(()),
            (None, None) => check_newer(subject.version, &history.version),
        }
    }

    fn check_sequence(&self, sequence: u64, highest: u64, history: &History) -> Result<()> {
        let is_reused = sequence == highest && history.sha256 != hex::encode(&self.sha256);
        if sequence >= highest && !is_reused {
            return Ok(());
        }
        let problem = if is_reused { "was used for another file" } else { "is older than what was accepted before" };
        Err(refusal(ErrorCode::SignatureRollback, format!("sequence {sequence} {problem} (highest: {highest})"))
            .with_detail("highest_sequence", highest))
    }

    /// What to remember when the file was accepted.
    #[must_use]
    pub fn advanced(&self, subject: &Subject<'_>, history: &History) -> History {
        let mut next = history.clone();
        if let Some(statement) = &self.statement
            && history.sequence.is_none_or(|highest| statement.sequence >= highest)
        {
            next.sequence = Some(statement.sequence);
            next.sha256 = hex::encode(&self.sha256);
        }
        let is_first = Version::parse(&next.version).is_none();
        if !self.signers.is_empty()
            && Version::parse(subject.version).is_some()
            && (is_first || check_newer(subject.version, &next.version).is_ok())
        {
            next.version = subject.version.to_owned();
        }
        next
    }

    /// The verdict: verified by the first signer, or unsigned.
    #[must_use]
    pub fn status(&self) -> Status {
        match self.signers.first() {
            Some(key) => Status::Verified { key: key.id, label: key.entry.label.clone() },
            None => Status::Unsigned,
        }
    }

    /// Keys that signed it: (key id, label).
    #[must_use]
    pub fn signers(&self) -> Vec<(KeyId, String)> {
        self.signers.iter().map(|key| (key.id, key.entry.label.clone())).collect()
    }

    /// What the signers say, when they signed a note.
    #[must_use]
    pub fn statement(&self) -> Option<&Statement> {
        self.statement.as_ref()
    }

    /// SHA-256 of the file.
    #[must_use]
    pub fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }
}

fn check_binding(statement: &Statement, subject: &Subject<'_>) -> Result<()> {
    for (what, signed, is) in
        [("name", &statement.name, subject.name), ("version", &statement.version, subject.version)]
    {
        if signed != is {
            return Err(refusal(
                ErrorCode::SignatureNameMismatch,
                format!("the signature is for {what} `{signed}`, this is `{}`", shorten(is, 80)),
            ));
        }
    }
    match (statement.permissions_sha256, subject.permissions_sha256) {
        (Some(signed), Some(is)) if signed != is => Err(refusal(
            ErrorCode::SignaturePermissionsMismatch,
            "the signature is for other permissions than the manifest asks for",
        )),
        _ => Ok(()),
    }
}

/// Versions that can't be compared count as older: whoever signs without a sequence must keep to comparable ones.
fn check_newer(version: &str, highest: &str) -> Result<()> {
    let is_older = match (Version::parse(version), Version::parse(highest)) {
        (Some(version), Some(highest)) => version < highest,
        _ => version != highest,
    };
    if !is_older {
        return Ok(());
    }
    Err(refusal(
        ErrorCode::SignatureRollback,
        format!("version {} is older than {highest}, which was accepted before", shorten(version, 80)),
    ))
}

fn too_few(count: usize, rule: &Threshold) -> Error {
    let roles: Vec<&str> = rule.roles.iter().map(|role| role.name()).collect();
    refusal(
        ErrorCode::SignatureThreshold,
        format!(
            "{count} of {} needed keys with role {} signed it (threshold of `{}`)",
            rule.count,
            roles.join(" or "),
            rule.name
        ),
    )
    .with_detail("signed", count)
    .with_detail("needed", rule.count)
}

fn untrusted(why: &str) -> Error {
    refusal(ErrorCode::SignatureUntrustedKey, format!("{why} (add the signer's key to the trust store)"))
}

/// A refusal names its status.
fn refusal(code: ErrorCode, why: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    let error = Error::new(code, why);
    match Status::of(code) {
        Some(status) => error.with_detail("status", status.name()),
        None => error,
    }
}

#[cfg(test)]
mod tests;
