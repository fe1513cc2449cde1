//! Outbound HTTP under a policy: a URL that passed, its addresses, and its redirects.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use serde_json::{Value, json};
use url::Url;

use super::Policy;
use super::scope::address;
use super::scope::http::{StrictHost, StrictUrl, canonical_method};
use super::wording::{Denial, quoted};
use crate::error::{Error, ErrorCode, Result};

/// Redirects that one request may follow.
pub const MAX_REDIRECTS: u8 = 5;

/// A URL that a policy allows. The request is made from this value; nothing is parsed a second time.
#[derive(Debug, Clone)]
pub struct CheckedUrl {
    target: StrictUrl,
    method: &'static str,
    opened: Vec<Arc<[IpNet]>>,
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
        if is_taken || granting.is_empty() {
            let is_host_named = self.granted.http.iter().any(|entry| entry.names(&target));
            let suggestion = (!is_taken).then(|| suggestion(method, &target, is_host_named));
            return Err(url_denied(method, &target, suggestion));
        }
        let opened = granting.iter().filter_map(|entry| entry.allow_private().cloned()).collect();
        let checked = CheckedUrl { target, method, opened, redirects };
        if let StrictHost::Address(address) = checked.target.host() {
            checked.check_address(*address)?;
        }
        Ok(checked)
    }
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
        Err(Denial {
            code: ErrorCode::PolicyHttpAddressDenied,
            rule: "http.address",
            target: self.url().as_str(),
            context: format!("the host of the URL has the address {address}, which is not public"),
            suggestion: (!address::is_metadata(address)).then(|| {
                json!({
                    "type": "http",
                    "scope": [scope_element(&self.target)],
                    "allow_private": [IpNet::from(address).to_string()],
                })
            }),
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

/// A request outside the grants; without a suggestion, one that a denial takes away.
fn url_denied(method: &str, target: &StrictUrl, suggestion: Option<Value>) -> Error {
    let url = target.url().as_str();
    let (rule, problem) = match suggestion {
        None => ("denied", "is taken away by the policy's `denied` list"),
        Some(_) => ("http.scope", "is outside the plugin's `http` permissions"),
    };
    Denial {
        code: ErrorCode::PolicyHttpUrlDenied,
        rule,
        target: url,
        context: format!("{method} {} {problem}", quoted(url)),
        suggestion,
    }
    .into()
}

/// The smallest permission that covers the host and port. Where the policy names the host already and limits what may be
/// done there, only the method and scheme that were refused.
fn suggestion(method: &str, target: &StrictUrl, is_host_named: bool) -> Value {
    let mut entry = json!({"type": "http", "scope": [scope_element(target)]});
    if is_host_named {
        entry["methods"] = json!([method]);
        entry["schemes"] = json!([target.url().scheme()]);
    }
    entry
}

/// The element of a scope that names exactly this host and port.
fn scope_element(target: &StrictUrl) -> String {
    let host = target.url().host_str().unwrap_or_default();
    match target.port() {
        80 | 443 => host.to_owned(),
        port => format!("{host}:{port}"),
    }
}
