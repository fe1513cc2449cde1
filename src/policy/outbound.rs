//! What leaves the host under a policy: a URL that passed, its addresses and redirects; headers; e-mails.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use serde_json::{Value, json};
use url::Url;

use super::Policy;
use super::scope::email::check_subject;
use super::scope::http::{StrictHost, StrictUrl, canonical_method};
use super::scope::{address, headers, path};
use super::wording::{DENIED, Denial, quoted, suggestible};
use crate::error::{Error, ErrorCode, Result};

/// Redirects that one request may follow.
pub const MAX_REDIRECTS: u8 = 5;

/// Most header fields of one request.
const MAX_HEADERS: usize = 64;

/// Longest header block of one request, in bytes; servers commonly take 8 KiB for a field and 16 for all.
const MAX_HEADER_BYTES: usize = 16 * 1024;

/// Most recipients of one e-mail, which is what every mail server takes in one go (RFC 5321).
const MAX_RECIPIENTS: usize = 100;

/// Longest body of an e-mail, in bytes; after encoding it still passes where the usual 25 MiB do.
const MAX_MAIL_BYTES: usize = 10 * 1024 * 1024;

/// A URL that a policy allows. The request is made from this value; nothing is parsed a second time.
#[derive(Debug, Clone)]
pub struct CheckedUrl {
    target: StrictUrl,
    method: &'static str,
    opened: Vec<Arc<[IpNet]>>,
    /// An administrator limited what the host may be asked for: suggestions name the path too.
    is_path_limited: bool,
    redirects: u8,
}

impl Policy {
    /// Whether the plugin may send a request. What the host name resolves to is checked by
    /// [`CheckedUrl::check_address`], each redirect by [`CheckedUrl::check_redirect`].
    pub fn check_url(&self, method: &str, url: &str) -> Result<CheckedUrl> {
        self.check_hop(method, url, 0)
    }

    fn check_hop(&self, method: &str, url: &str, redirects: u8) -> Result<CheckedUrl> {
        self.check_not_blocked()?;
        let method = canonical_method(method).map_err(|problem| invalid("method", method, problem))?;
        let target = StrictUrl::parse(url).map_err(|problem| invalid("url", url, problem))?;
        let is_taken = self.denied.http.iter().any(|entry| entry.touches(method, &target));
        let granting: Vec<_> = self.granted.http.iter().filter(|entry| entry.covers(method, &target)).collect();
        let is_path_limited = self.granted.http.iter().any(|entry| entry.limits_paths_of(&target));
        if is_taken || granting.is_empty() {
            return Err(url_denied(method, &target, is_taken, is_path_limited));
        }
        let opened = granting.iter().filter_map(|entry| entry.allow_private().cloned()).collect();
        let checked = CheckedUrl { target, method, opened, is_path_limited, redirects };
        if let StrictHost::Address(address) = checked.target.host() {
            checked.check_address(*address)?;
        }
        Ok(checked)
    }
}

impl Policy {
    /// Refuses an e-mail that is malformed or goes to anybody outside the scope. Gives the bare addresses that were
    /// checked, each once: mail goes to those, not to the texts.
    pub fn checked_mail(&self, to: &[String], subject: &str, body: &str) -> Result<Vec<String>> {
        if to.len() > MAX_RECIPIENTS {
            return Err(mail_too_large(format!("the e-mail has {} recipients (at most {MAX_RECIPIENTS})", to.len())));
        }
        let mut recipients: Vec<String> = Vec::with_capacity(to.len());
        for address in to {
            let address = self.checked_recipient(address)?.to_ascii();
            if !recipients.contains(&address) {
                recipients.push(address);
            }
        }
        check_subject(subject).map_err(|problem| Error::new(ErrorCode::PolicyEmailInvalid, problem))?;
        if body.contains('\0') {
            return Err(Error::new(ErrorCode::PolicyEmailInvalid, "the body has a NUL character"));
        }
        if body.len() > MAX_MAIL_BYTES {
            let context = format!("the body of the e-mail has {} bytes (at most {MAX_MAIL_BYTES})", body.len());
            return Err(mail_too_large(context));
        }
        Ok(recipients)
    }
}

/// Refuses header fields that a plugin may not set, that are too many, or that name one field twice: which of the two
/// counts differs from server to server. `url` is where the request goes.
pub fn check_headers(url: &str, fields: &[(String, String)]) -> Result<()> {
    if fields.len() > MAX_HEADERS {
        return Err(header_refused(url, format!("it has {} header fields (at most {MAX_HEADERS})", fields.len())));
    }
    let bytes: usize = fields.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    if bytes > MAX_HEADER_BYTES {
        return Err(header_refused(url, format!("its header fields have {bytes} bytes (at most {MAX_HEADER_BYTES})")));
    }
    for (index, (name, value)) in fields.iter().enumerate() {
        headers::check_header(name, value).map_err(|problem| header_refused(name, problem))?;
        if fields[..index].iter().any(|(earlier, _)| earlier.eq_ignore_ascii_case(name)) {
            return Err(header_refused(name, format!("the header {} is given twice", quoted(name))));
        }
    }
    Ok(())
}

fn header_refused(target: &str, problem: String) -> Error {
    let context = format!("the request is refused: {problem}");
    Denial { code: ErrorCode::PolicyHttpInvalid, rule: "http.header", target, context, suggestion: None }.into()
}

fn mail_too_large(context: String) -> Error {
    Error::new(ErrorCode::PolicyEmailTooLarge, context)
}

impl CheckedUrl {
    /// The parsed URL.
    #[must_use]
    pub fn url(&self) -> &Url {
        self.target.url()
    }

    /// Where it points, in canonical form.
    #[must_use]
    pub fn host(&self) -> &StrictHost {
        self.target.host()
    }

    /// Port, given or implied by the scheme.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.target.port()
    }

    /// Method in the spelling to send.
    #[must_use]
    pub fn method(&self) -> &'static str {
        self.method
    }

    /// Redirects that led here.
    #[must_use]
    pub fn redirects(&self) -> u8 {
        self.redirects
    }

    /// Takes the parsed URL out.
    #[must_use]
    pub fn into_url(self) -> Url {
        self.target.into_url()
    }

    /// Whether the request may go to `address`: it is public, or the policy's `allow_private` names its network.
    /// Call it for **every** address that the name resolved to, and connect to one of those only.
    pub fn check_address(&self, address: IpAddr) -> Result<()> {
        if address::is_allowed(address, &self.opened) {
            return Ok(());
        }
        let suggestion = suggestion(self.method, &self.target, self.is_path_limited).map(|mut entry| {
            entry["allow_private"] = json!([IpNet::from(address).to_string()]);
            entry
        });
        Err(Denial {
            code: ErrorCode::PolicyHttpAddressDenied,
            rule: "http.address",
            target: self.url().as_str(),
            context: format!("the host of the URL has the address {address}, which is not public"),
            suggestion: suggestion.filter(|_| !address::is_metadata(address)),
        }
        .into())
    }

    /// Checks all addresses of one look-up; none at all is a refusal too.
    pub fn check_addresses(&self, addresses: &[IpAddr]) -> Result<()> {
        if addresses.is_empty() {
            let problem = "the host of the URL has no address".to_owned();
            return Err(invalid("http.address", self.url().as_str(), problem));
        }
        addresses.iter().try_for_each(|address| self.check_address(*address))
    }

    /// Checks the next hop as if the plugin had asked for it: at most five, never from https to http.
    /// `policy` is the one in force now, which may have changed since the request began.
    pub fn check_redirect(&self, policy: &Policy, method: &str, location: &str) -> Result<Self> {
        let refuse = |problem: &str| Err(invalid("http.redirect", location, problem.to_owned()));
        if self.redirects >= MAX_REDIRECTS {
            return refuse("the server redirects too often");
        }
        let Some(next) = self.absolute(location) else {
            return refuse("the redirect has no single meaning");
        };
        let next = policy.check_hop(method, &next, self.redirects + 1)?;
        if self.url().scheme() == "https" && next.url().scheme() != "https" {
            return refuse("the server redirects from https to http");
        }
        Ok(next)
    }

    /// The text of a `Location`, made absolute without giving a second reading a chance.
    fn absolute(&self, location: &str) -> Option<String> {
        let is_plain = !location.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\');
        let before_path = location.split(['/', '?', '#']).next().unwrap_or_default();
        match location {
            _ if !is_plain || location.is_empty() => None,
            _ if before_path.contains(':') => Some(location.to_owned()),
            _ if location.starts_with("//") => Some(format!("{}:{location}", self.url().scheme())),
            _ => self.url().join(location).ok().map(String::from),
        }
    }
}

/// A request that no policy could allow.
fn invalid(rule: &'static str, target: &str, problem: String) -> Error {
    let code = ErrorCode::PolicyHttpInvalid;
    let context = format!("the request to {} is refused: {problem}", quoted(target));
    Denial { code, rule, target, context, suggestion: None }.into()
}

/// A request outside the grants, or one that a denial takes away.
fn url_denied(method: &str, target: &StrictUrl, is_taken: bool, is_path_limited: bool) -> Error {
    let url = target.url().as_str();
    let (rule, problem) = match is_taken {
        true => (DENIED, "is taken away by the policy's `denied` list"),
        false => ("http.scope", "is outside the plugin's `http` permissions"),
    };
    Denial {
        code: ErrorCode::PolicyHttpUrlDenied,
        rule,
        target: url,
        context: format!("{method} {} {problem}", quoted(url)),
        suggestion: suggestion(method, target, is_path_limited).filter(|_| !is_taken),
    }
    .into()
}

/// The smallest permission that covers the request: its host and port, method and scheme and, where an administrator
/// limits the paths of the host, its path. None for a path that a list would not grant, or as a pattern.
fn suggestion(method: &str, target: &StrictUrl, is_path_limited: bool) -> Option<Value> {
    let url = target.url();
    let mut entry =
        json!({"type": "http", "scope": [scope_element(target)], "methods": [method], "schemes": [url.scheme()]});
    if is_path_limited {
        entry["paths"] = json!([suggestible(url.path()).filter(|path| !path::is_ambiguous(path))?]);
    }
    Some(entry)
}

/// The element of a scope that names exactly this host and port.
fn scope_element(target: &StrictUrl) -> String {
    let host = target.url().host_str().unwrap_or_default();
    match (target.url().scheme(), target.port()) {
        ("http", 80) | ("https", 443) => host.to_owned(),
        (_, port) => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{DefaultRules, ResourceRequest, document};

    fn policy() -> Policy {
        let text = br#"{"version":1,"status":"approved","permissions":[{"type":"email","scope":["@example.com"]}]}"#;
        let (document, _) = document::parse(text).unwrap();
        Policy::from_document(&document, &ResourceRequest::default(), &DefaultRules::default())
    }

    #[test]
    fn mails_are_bounded_and_go_to_each_address_once() {
        let to = |count: usize| (0..count).map(|n| format!("u{n}@example.com")).collect::<Vec<_>>();
        let code = |to: &[String], body: &str| policy().checked_mail(to, "s", body).map_err(|error| error.code());
        assert_eq!(code(&to(MAX_RECIPIENTS), "").map(|to| to.len()), Ok(MAX_RECIPIENTS));
        assert_eq!(code(&to(MAX_RECIPIENTS + 1), ""), Err(ErrorCode::PolicyEmailTooLarge));
        assert_eq!(code(&to(1), &"x".repeat(MAX_MAIL_BYTES)).map(|to| to.len()), Ok(1));
        assert_eq!(code(&to(1), &"x".repeat(MAX_MAIL_BYTES + 1)), Err(ErrorCode::PolicyEmailTooLarge));
        let twice = ["A@example.com", "A@EXAMPLE.com", "a@example.com"].map(str::to_owned);
        assert_eq!(code(&twice, ""), Ok(vec!["A@example.com".to_owned(), "a@example.com".to_owned()]));
    }

    #[test]
    fn headers_are_bounded() {
        let fields = |count: usize, length: usize| {
            (0..count).map(|n| (format!("x-{n}"), "v".repeat(length))).collect::<Vec<_>>()
        };
        assert!(check_headers("https://a.test/", &fields(MAX_HEADERS, 1)).is_ok());
        assert!(check_headers("https://a.test/", &fields(MAX_HEADERS + 1, 1)).is_err());
        assert!(check_headers("https://a.test/", &fields(2, 8_000)).is_ok());
        assert!(check_headers("https://a.test/", &fields(3, 8_000)).is_err());
    }
}
