//! Dry run: would a policy allow this e-mail, URL or configuration key? No plugin, no network, no clock.
//!
//! One JSON object in, one out. In: `kind` (`email`, `url`, `config`), `scope` as an administrator writes it, and by kind
//! `to` and `subject`; `url`, `method`, `headers`, `resolve`, `redirect` and the further fields of an `http` permission;
//! or `key`. Out: `{"allow", "code", "reason"}`. Without a scope mails and URLs are refused, and a configuration key is
//! held against the deny-list only. Other members are ignored, so that lists of cases can carry what they expect.

mod lookup;

use serde_json::{Value, json};

use self::lookup::Lookup;
use super::document::{self, problems_to_error};
use super::json::Node;
use super::request::ResourceRequest;
use super::scope::{email, headers};
use super::wording::quoted;
use super::{CheckedUrl, DefaultRules, Policy};
use crate::error::{Error, ErrorCode, Result};

/// Most recipients and redirects that one request is read for.
const MAX_ITEMS: usize = 1_000;

/// Answers one request. Whatever is malformed is refused, with the reason.
#[must_use]
pub fn answer(line: &[u8]) -> Value {
    match judge(line) {
        Ok(reason) => json!({"allow": true, "code": "ok", "reason": reason}),
        Err(error) => refusal(&error),
    }
}

/// The answer to a request that is too long to be read.
#[must_use]
pub fn answer_too_long() -> Value {
    refusal(&Error::new(ErrorCode::ArgumentTooLarge, "the line is too long"))
}

fn refusal(error: &Error) -> Value {
    json!({"allow": false, "code": error.code().slug(), "reason": error.to_string()})
}

fn judge(line: &[u8]) -> Result<&'static str> {
    let request = Node::parse(line).map_err(|problem| malformed(format!("the line is not JSON: {problem}")))?;
    if let Some(name) = request.duplicate() {
        return Err(malformed(format!("the member {} is given twice", quoted(name))));
    }
    match text(&request, "kind")? {
        "email" => judge_email(&request),
        "url" => judge_url(&request),
        "config" => judge_config(&request),
        other => Err(Error::new(
            ErrorCode::ArgumentInvalid,
            format!("the kind {} is not email, url or config", quoted(other)),
        )),
    }
}

fn judge_email(request: &Node) -> Result<&'static str> {
    let policy = policy_for(request, "email", &[])?;
    let recipients = texts(request, "to")?;
    if recipients.is_empty() {
        return Err(malformed("the mail has no recipient".to_owned()));
    }
    recipients.into_iter().try_for_each(|recipient| policy.check_recipient(recipient))?;
    if let Some(subject) = optional_text(request, "subject")? {
        email::check_subject(subject).map_err(|problem| Error::new(ErrorCode::PolicyEmailInvalid, problem))?;
    }
    Ok("the recipient is in scope")
}

fn judge_config(request: &Node) -> Result<&'static str> {
    let policy = policy_for(request, "config", &[])?;
    policy.check_config_key(text(request, "key")?)?;
    Ok("the key is in scope and not on the deny-list")
}

fn judge_url(request: &Node) -> Result<&'static str> {
    let policy = policy_for(request, "http", &["schemes", "methods", "paths", "allow_private"])?;
    let method = optional_text(request, "method")?.unwrap_or_default();
    let mut lookup = Lookup::new(request.member("resolve"));
    check_headers(request)?;
    let mut hop = policy.check_url(method, text(request, "url")?)?;
    check_addresses(&hop, &mut lookup)?;
    for location in optional_texts(request, "redirect")? {
        hop = hop.check_redirect(&policy, method, location)?;
        check_addresses(&hop, &mut lookup)?;
    }
    Ok("the URL is in scope and its addresses are allowed")
}

fn check_addresses(hop: &CheckedUrl, lookup: &mut Lookup<'_>) -> Result<()> {
    match lookup.addresses(hop.host()).map_err(malformed)? {
        Some(addresses) => hop.check_addresses(&addresses),
        None => Ok(()),
    }
}

/// A policy with one permission, read as strictly as any that an administrator writes.
fn policy_for(request: &Node, kind: &str, further: &[&str]) -> Result<Policy> {
    let scope = match request.member("scope") {
        None | Some(Node::Null) if kind == "config" => json!(["*"]),
        scope => json!(scope),
    };
    let mut permission = json!({"type": kind, "access": "read", "scope": scope});
    for name in further {
        if let Some(value) = request.member(name).filter(|value| **value != Node::Null) {
            permission[name] = json!(value);
        }
    }
    let text = json!({"version": 1, "status": "approved", "permissions": [permission]}).to_string();
    let (document, _) = document::parse(text.as_bytes()).map_err(|problems| problems_to_error(&problems))?;
    Ok(Policy::from_document(&document, &ResourceRequest::default(), &DefaultRules::default()))
}

/// Headers as an object of names and values (or lists of values), or as a list of pairs.
fn check_headers(request: &Node) -> Result<()> {
    let wrong = || malformed("`headers` must be an object of strings, or a list of pairs".to_owned());
    let mut pairs: Vec<(&str, &Node)> = Vec::new();
    match request.member("headers") {
        None | Some(Node::Null) => {}
        Some(Node::Object(members)) => pairs.extend(members.iter().map(|(name, value)| (name.as_str(), value))),
        Some(Node::List(items)) => {
            for item in items {
                match item {
                    Node::List(pair) if pair.len() == 2 => pairs.push((pair[0].text().ok_or_else(wrong)?, &pair[1])),
                    _ => return Err(wrong()),
                }
            }
        }
        Some(_) => return Err(wrong()),
    }
    for (name, value) in pairs {
        for value in text_or_list(value).ok_or_else(wrong)? {
            headers::check_header(name, value).map_err(|problem| Error::new(ErrorCode::PolicyHttpInvalid, problem))?;
        }
    }
    Ok(())
}

fn malformed(problem: String) -> Error {
    Error::new(ErrorCode::ArgumentJson, problem)
}

/// A member that must be a string.
fn text<'n>(request: &'n Node, name: &str) -> Result<&'n str> {
    optional_text(request, name)?.ok_or_else(|| malformed(format!("`{name}` is missing")))
}

/// A member that may be a string.
fn optional_text<'n>(request: &'n Node, name: &str) -> Result<Option<&'n str>> {
    match request.member(name) {
        None | Some(Node::Null) => Ok(None),
        Some(Node::Text(text)) => Ok(Some(text)),
        Some(other) => Err(malformed(format!("`{name}` must be a string, not {}", other.kind()))),
    }
}

/// A member that must be a string or a list of strings.
fn texts<'n>(request: &'n Node, name: &str) -> Result<Vec<&'n str>> {
    let wrong = || malformed(format!("`{name}` must be a string or a list of at most {MAX_ITEMS} strings"));
    request.member(name).and_then(text_or_list).ok_or_else(wrong)
}

/// A member that may be a string or a list of strings.
fn optional_texts<'n>(request: &'n Node, name: &str) -> Result<Vec<&'n str>> {
    match request.member(name) {
        None | Some(Node::Null) => Ok(Vec::new()),
        Some(_) => texts(request, name),
    }
}

fn text_or_list(node: &Node) -> Option<Vec<&str>> {
    match node {
        Node::Text(text) => Some(vec![text]),
        Node::List(items) if items.len() <= MAX_ITEMS => items.iter().map(Node::text).collect(),
        _ => None,
    }
}
