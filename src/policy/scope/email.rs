//! E-mail recipients: our own strict address grammar, and scopes of mailboxes and domains.

use std::borrow::Cow;

use super::ScopeResult;
use super::domain::{self, Labels};

/// Longest part before the `@` (RFC 5321).
const MAX_LOCAL_BYTES: usize = 64;
/// Longest subject, in bytes: many times what a person reads, and no way to fill a mail queue.
const MAX_SUBJECT_BYTES: usize = 2_000;

/// One bare address that passed the grammar, with its domain in canonical form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailAddress<'a> {
    local: &'a str,
    domain: Cow<'a, str>,
}

impl<'a> MailAddress<'a> {
    /// Reads exactly one bare address. No display names, comments, quoting, lists, routing or literals.
    pub fn parse(text: &'a str) -> ScopeResult<Self> {
        let (local, domain) = match text.split_once('@') {
            Some((local, domain)) if !domain.contains('@') => (local, domain),
            Some(_) => return Err("it has more than one @".to_owned()),
            None => return Err("it has no @".to_owned()),
        };
        check_local(local)?;
        let domain = mail_domain(domain)?;
        Ok(Self { local, domain })
    }

    /// The address to hand to a mailer: ASCII only, domain in lower case.
    #[must_use]
    pub fn to_ascii(&self) -> String {
        format!("{}@{}", self.local, self.domain)
    }

    /// Domain in canonical form.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }
}

/// The part before the `@`: a dot-atom without the characters that mean routing or quoting somewhere.
fn check_local(local: &str) -> ScopeResult<()> {
    if local.is_empty() {
        return Err("the part before the @ is empty".to_owned());
    }
    if local.len() > MAX_LOCAL_BYTES {
        return Err(format!("the part before the @ has more than {MAX_LOCAL_BYTES} bytes"));
    }
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"#$&'*+-/=?^_`{|}~.".contains(&byte);
    if !local.bytes().all(is_legal) {
        return Err("it is not one bare address in plain ASCII".to_owned());
    }
    if local.starts_with(['.', '-', '|', '/']) || local.ends_with('.') || local.contains("..") {
        return Err("the part before the @ begins, ends or repeats a character in a way that mailers read differently"
            .to_owned());
    }
    if local.contains("=?") || local.contains("?=") {
        return Err("it has an encoded word".to_owned());
    }
    Ok(())
}

/// A mail domain: canonical, of two labels at least.
fn mail_domain(name: &str) -> ScopeResult<Cow<'_, str>> {
    let name = domain::canonical(name, Labels::Strict)?;
    if !name.contains('.') {
        return Err("the domain has only one label".to_owned());
    }
    Ok(name)
}

/// Entries of an `email` scope.
#[derive(Debug, Clone, Default)]
pub struct MailScope {
    everyone: bool,
    mailboxes: Vec<(Box<str>, Box<str>)>,
    domains: Vec<Box<str>>,
    parents: Vec<Box<str>>,
}

impl MailScope {
    /// Adds an entry: `@d` (exactly that domain), `@*.d` (its sub-domains), a bare mailbox, or `*`.
    pub fn add(&mut self, entry: &str) -> ScopeResult<()> {
        if entry == "*" {
            self.everyone = true;
        } else if let Some(parent) = entry.strip_prefix("@*.") {
            self.parents.push(domain::canonical(parent, Labels::Strict)?.into());
        } else if let Some(domain) = entry.strip_prefix('@') {
            self.domains.push(mail_domain(domain)?.into());
        } else {
            let address = mailbox(entry)?;
            self.mailboxes.push((address.local.into(), address.domain.into()));
        }
        Ok(())
    }

    /// Whether the scope names the address.
    #[must_use]
    pub fn contains(&self, address: &MailAddress<'_>) -> bool {
        self.everyone
            || self.domains.iter().any(|domain| **domain == *address.domain)
            || self.parents.iter().any(|parent| domain::is_below(&address.domain, parent))
            || self
                .mailboxes
                .iter()
                .any(|(local, domain)| local.eq_ignore_ascii_case(address.local) && **domain == *address.domain)
    }

    /// Whether nothing is in the scope.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.everyone && self.mailboxes.is_empty() && self.domains.is_empty() && self.parents.is_empty()
    }
}

/// A mailbox as a scope names it: no wildcards, which the grammar of addresses would take for characters.
fn mailbox(entry: &str) -> ScopeResult<MailAddress<'_>> {
    if entry.contains('*') {
        return Err(
            "write `@domain` for a domain, `@*.domain` for its sub-domains, or a mailbox without `*`".to_owned()
        );
    }
    MailAddress::parse(entry).map_err(|problem| format!("it is neither `@domain` nor a bare mailbox: {problem}"))
}

/// A subject must not be able to end its header line. Every control character is refused, and so are the Unicode
/// line ends that some mailers convert.
pub fn check_subject(subject: &str) -> ScopeResult<()> {
    if subject.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
        return Err("the subject has control characters".to_owned());
    }
    if subject.len() > MAX_SUBJECT_BYTES {
        return Err(format!("the subject has more than {MAX_SUBJECT_BYTES} bytes"));
    }
    Ok(())
}
