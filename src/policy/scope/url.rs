//! One strict reading of a URL, agreed on with the WHATWG parser.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr as _;

use url::{Host, Url};

use super::ScopeResult;
use super::domain::{self, Labels};

/// Longest URL.
const MAX_URL_BYTES: usize = 8 * 1024;

/// A URL that has one reading only, taken apart once; the request is made from this very value.
#[derive(Debug, Clone)]
pub struct StrictUrl {
    url: Url,
    host: StrictHost,
    port: u16,
}

/// Where a URL points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StrictHost {
    /// A domain name in canonical form.
    Name(Box<str>),
    /// An address that was written out.
    Address(IpAddr),
}

impl StrictUrl {
    /// Reads `text` strictly, then with the WHATWG parser, and refuses when the two disagree.
    pub fn parse(text: &str) -> ScopeResult<Self> {
        let authority = raw_authority(text)?;
        let (host, port) = split_port(authority)?;
        let host = StrictHost::parse(host)?;
        let url = Url::parse(text).map_err(|problem| format!("it is not a URL: {problem}"))?;
        let default_port = if url.scheme() == "https" { 443 } else { 80 };
        let strict = Self { port: port.unwrap_or(default_port), host, url };
        strict.check_agreement()?;
        Ok(strict)
    }

    /// The two parsers must see the same host and port, and no credentials.
    fn check_agreement(&self) -> ScopeResult<()> {
        let is_same_host = match (self.url.host(), &self.host) {
            (Some(Host::Domain(seen)), StrictHost::Name(name)) => seen == &**name,
            (Some(Host::Ipv4(seen)), StrictHost::Address(address)) => IpAddr::V4(seen) == *address,
            (Some(Host::Ipv6(seen)), StrictHost::Address(address)) => IpAddr::V6(seen) == *address,
            _ => false,
        };
        let is_same_port = self.url.port_or_known_default() == Some(self.port);
        let has_credentials = !self.url.username().is_empty() || self.url.password().is_some();
        if !is_same_host || !is_same_port || has_credentials {
            return Err("it can be read in more than one way".to_owned());
        }
        Ok(())
    }

    /// The parsed URL.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Where it points.
    #[must_use]
    pub fn host(&self) -> &StrictHost {
        &self.host
    }

    /// Port, given or implied by the scheme.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Takes the parsed URL out.
    #[must_use]
    pub fn into_url(self) -> Url {
        self.url
    }
}

impl StrictHost {
    /// Reads a host as a URL, or an element of a scope, has it.
    pub(super) fn parse(text: &str) -> ScopeResult<Self> {
        if let Some(inner) = text.strip_prefix('[') {
            return Self::parse_v6(inner);
        }
        if let Ok(address) = Ipv4Addr::from_str(text) {
            return Ok(Self::Address(IpAddr::V4(address)));
        }
        let name =
            domain::canonical(text, Labels::WithUnderscore).map_err(|problem| format!("in the host, {problem}"))?;
        Ok(Self::Name(name.into()))
    }

    fn parse_v6(inner: &str) -> ScopeResult<Self> {
        let inner = inner.strip_suffix(']').ok_or_else(|| "the IPv6 address has no closing bracket".to_owned())?;
        let address = Ipv6Addr::from_str(inner).map_err(|problem| format!("between its brackets is {problem}"))?;
        if inner.contains('.') || address.to_ipv4().is_some_and(|v4| v4.to_bits() > 0xffff) {
            return Err("an IPv6 address that stands for an IPv4 address is written as that".to_owned());
        }
        Ok(Self::Address(IpAddr::V6(address)))
    }
}

/// The part between `//` and the path, after the checks that need the raw text.
fn raw_authority(text: &str) -> ScopeResult<&str> {
    if text.len() > MAX_URL_BYTES {
        return Err(format!("it has more than {MAX_URL_BYTES} bytes"));
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace() || is_invisible(c)) {
        return Err("it has control characters, blanks or invisible characters".to_owned());
    }
    if text.contains('\\') {
        return Err("it has a backslash".to_owned());
    }
    let rest = strip_scheme(text).ok_or_else(|| "it does not begin with http:// or https://".to_owned())?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err("it has credentials".to_owned());
    }
    if authority.contains('%') {
        return Err("its host is percent-encoded".to_owned());
    }
    Ok(authority)
}

/// Characters that take no room on a screen: they make two URLs look the same.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn strip_scheme(text: &str) -> Option<&str> {
    ["http://", "https://"].iter().find_map(|scheme| {
        let head = text.get(..scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then(|| &text[scheme.len()..])
    })
}

/// Takes an authority, or an entry of a scope, apart into host and port.
pub(super) fn split_port(authority: &str) -> ScopeResult<(&str, Option<u16>)> {
    let colon_at = match authority.rfind(']') {
        Some(bracket) => authority[bracket..].find(':').map(|at| bracket + at),
        None => authority.find(':'),
    };
    let Some(at) = colon_at else {
        return Ok((authority, None));
    };
    let port = parse_port(&authority[at + 1..])?;
    Ok((&authority[..at], Some(port)))
}

/// Digits without leading zeros, 1 to 65535.
fn parse_port(text: &str) -> ScopeResult<u16> {
    let is_plain = (1..=5).contains(&text.len()) && !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(port) if is_plain => Ok(port),
        _ => Err("its port is not a number from 1 to 65535".to_owned()),
    }
}
