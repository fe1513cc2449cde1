//! Outbound HTTP: one strict reading of a URL, and entries of hosts, ports, schemes, methods and paths.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr as _;
use std::sync::Arc;

use ipnet::IpNet;
use url::{Host, Url};

use super::ScopeResult;
use super::domain::{self, Labels};
use super::glob::Glob;

/// Longest URL.
const MAX_URL_BYTES: usize = 8 * 1024;
/// Ports that an entry without a port means.
const DEFAULT_PORTS: [u16; 2] = [80, 443];
/// Methods a plugin may use. CONNECT and TRACE make a server a relay or a mirror; unknown ones are unknown.
pub const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

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
    fn parse(text: &str) -> ScopeResult<Self> {
        if let Some(inner) = text.strip_prefix('[') {
            return Self::parse_v6(inner);
        }
        if let Ok(address) = Ipv4Addr::from_str(text) {
            return Ok(Self::Address(IpAddr::V4(address)));
        }
        let name = domain::canonical(text, Labels::WithUnderscore).map_err(|problem| format!("in the host, {problem}"))?;
        Ok(Self::Name(name.into()))
    }

    fn parse_v6(inner: &str) -> ScopeResult<Self> {
        let inner = inner.strip_suffix(']').ok_or_else(|| "the IPv6 address has no closing bracket".to_owned())?;
        let address =
            Ipv6Addr::from_str(inner).map_err(|problem| format!("between its brackets is {problem}"))?;
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
fn split_port(authority: &str) -> ScopeResult<(&str, Option<u16>)> {
    let colon_at = match authority.rfind(']') {
        Some(bracket) => authority[bracket..].find(':').map(|at| bracket + at),
        None => authority.find(':'),
    };
    let Some(at) = colon_at else { return Ok((authority, None)) };
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

/// A host, or the hosts, that an entry names.
#[derive(Debug, Clone, PartialEq, Eq)]
enum HostPattern {
    /// Every domain name; no address.
    Everything,
    /// A domain and everything below it.
    Below(Box<str>),
    /// One host.
    Exact(StrictHost),
}

/// One element of an `http` scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostEntry {
    host: HostPattern,
    port: Option<u16>,
}

impl HostEntry {
    /// Reads `host[:port]`, `*.domain[:port]` or `*`.
    pub fn parse(entry: &str) -> ScopeResult<Self> {
        if entry == "*" {
            return Ok(Self { host: HostPattern::Everything, port: None });
        }
        if entry.contains("://") || entry.contains(['/', '?', '#', '@', '%', '\\']) {
            return Err("write `host`, `host:port` or `*.domain`; schemes and paths have fields of their own".to_owned());
        }
        let (host, port) = split_port(entry)?;
        let host = match host.strip_prefix("*.") {
            Some(domain) => HostPattern::Below(parent_domain(domain)?),
            None if host.contains('*') => return Err("`*` stands alone or before the first dot".to_owned()),
            None => HostPattern::Exact(StrictHost::parse(host)?),
        };
        Ok(Self { host, port })
    }

    fn covers(&self, target: &StrictUrl) -> bool {
        let is_port = match self.port {
            Some(port) => target.port == port,
            None => DEFAULT_PORTS.contains(&target.port),
        };
        is_port && self.host.covers(&target.host)
    }

    /// As [`Self::covers`], read as widely as it can be meant: an entry that takes away, without a port, takes all.
    fn touches(&self, target: &StrictUrl) -> bool {
        self.port.is_none_or(|port| port == target.port)
            && self.host.touches(&target.host)
    }
}

impl HostPattern {
    fn covers(&self, host: &StrictHost) -> bool {
        match (self, host) {
            (Self::Exact(exact), _) => exact == host,
            (Self::Everything, StrictHost::Name(name)) => !domain::is_special_use(name),
            (Self::Below(parent), StrictHost::Name(name)) => is_under(name, parent),
            (_, StrictHost::Address(_)) => false,
        }
    }

    fn touches(&self, host: &StrictHost) -> bool {
        match (self, host) {
            (Self::Everything, _) => true,
            (Self::Exact(exact), _) => exact == host,
            (Self::Below(parent), StrictHost::Name(name)) => **name == **parent || domain::is_below(name, parent),
            (Self::Below(_), StrictHost::Address(_)) => false,
        }
    }
}

/// Below the wildcard's domain, or the domain itself, without reaching over a public suffix on the way.
fn is_under(name: &str, parent: &str) -> bool {
    (name == parent || domain::is_below(name, parent))
        && !domain::is_special_use(name)
        && domain::public_suffix_len(name) < parent.len()
}

/// The domain of a wildcard: never a public suffix.
fn parent_domain(text: &str) -> ScopeResult<Box<str>> {
    let name = domain::canonical(text, Labels::WithUnderscore)?;
    if domain::is_public_suffix(&name) {
        return Err(format!("`{name}` is a public suffix: anybody can have a name below it; name the domains"));
    }
    Ok(name.into())
}

/// A path pattern: exact, or with stars.
#[derive(Debug, Clone, PartialEq, Eq)]
enum PathPattern {
    Exact(Box<str>),
    Pattern(Glob),
}

impl PathPattern {
    fn parse(text: &str) -> ScopeResult<Self> {
        if !text.starts_with('/') || text.contains(['?', '#', '\\']) {
            return Err("a path begins with `/` and has no query".to_owned());
        }
        match text.contains('*') {
            true => Glob::parse(text).map(Self::Pattern),
            false => Ok(Self::Exact(text.into())),
        }
    }

    fn covers(&self, path: &str) -> bool {
        match self {
            Self::Exact(exact) => **exact == *path,
            Self::Pattern(pattern) => pattern.matches(path.as_bytes()),
        }
    }
}

/// One `http` permission: a request must agree with every field of one and the same permission.
#[derive(Debug, Clone, Default)]
pub struct HttpEntry {
    hosts: Vec<HostEntry>,
    schemes: Option<Vec<Box<str>>>,
    methods: Option<Vec<Box<str>>>,
    paths: Option<Vec<PathPattern>>,
    allow_private: Option<Arc<[IpNet]>>,
}

impl HttpEntry {
    /// Adds an element of `scope`.
    pub fn add_host(&mut self, entry: &str) -> ScopeResult<()> {
        self.hosts.push(HostEntry::parse(entry)?);
        Ok(())
    }

    /// Limits the entry to `schemes`.
    pub fn add_scheme(&mut self, scheme: &str) -> ScopeResult<()> {
        if !["http", "https"].contains(&scheme) {
            return Err("a scheme is `http` or `https`".to_owned());
        }
        self.schemes.get_or_insert_default().push(scheme.into());
        Ok(())
    }

    /// Limits the entry to `methods`.
    pub fn add_method(&mut self, method: &str) -> ScopeResult<()> {
        if !METHODS.contains(&method) {
            return Err(format!("a method is one of {}", METHODS.join(", ")));
        }
        self.methods.get_or_insert_default().push(method.into());
        Ok(())
    }

    /// Limits the entry to `paths`.
    pub fn add_path(&mut self, path: &str) -> ScopeResult<()> {
        let path = PathPattern::parse(path)?;
        self.paths.get_or_insert_default().push(path);
        Ok(())
    }

    /// Opens networks besides the public ones.
    pub fn set_allow_private(&mut self, networks: Vec<IpNet>) {
        self.allow_private = (!networks.is_empty()).then(|| networks.into());
    }

    /// Whether the entry names any host.
    #[must_use]
    pub fn has_hosts(&self) -> bool {
        !self.hosts.is_empty()
    }

    /// Networks opened besides the public ones.
    #[must_use]
    pub fn allow_private(&self) -> Option<&Arc<[IpNet]>> {
        self.allow_private.as_ref()
    }

    /// Whether the entry grants the request.
    #[must_use]
    pub fn covers(&self, method: &str, target: &StrictUrl) -> bool {
        let path = target.url.path();
        self.hosts.iter().any(|host| host.covers(target))
            && self.agrees(method, target)
            && self.has_path(path)
            && (self.paths.is_none() || !is_ambiguous_path(path))
    }

    /// Whether the entry, as a denial, takes the request away.
    #[must_use]
    pub fn touches(&self, method: &str, target: &StrictUrl) -> bool {
        let path = target.url.path();
        self.hosts.iter().any(|host| host.touches(target))
            && self.agrees(method, target)
            && (self.has_path(path) || is_ambiguous_path(path))
    }

    fn agrees(&self, method: &str, target: &StrictUrl) -> bool {
        is_listed(self.schemes.as_deref(), target.url.scheme())
            && is_listed(self.methods.as_deref(), method)
    }

    fn has_path(&self, path: &str) -> bool {
        self.paths.as_ref().is_none_or(|paths| paths.iter().any(|pattern| pattern.covers(path)))
    }
}

/// No list means no limit.
fn is_listed(list: Option<&[Box<str>]>, value: &str) -> bool {
    list.is_none_or(|list| list.iter().any(|known| **known == *value))
}

/// Paths that servers take apart differently: encoded separators and dots, doubled slashes, dots before parameters.
fn is_ambiguous_path(path: &str) -> bool {
    const ENCODED: [&[u8]; 5] = [b"%2f", b"%5c", b"%2e", b"%00", b"%25"];
    let bytes = path.as_bytes();
    let has_encoded =
        bytes.windows(3).any(|window| ENCODED.iter().any(|encoded| window.eq_ignore_ascii_case(encoded)));
    let has_dots = path.split('/').any(|part| [".", ".."].contains(&part.split(';').next().unwrap_or_default()));
    has_encoded || has_dots || path.contains("//")
}

/// The method in the spelling that is sent; an empty one means GET, as in Go.
pub fn canonical_method(method: &str) -> ScopeResult<&'static str> {
    if method.is_empty() {
        return Ok("GET");
    }
    let known = METHODS.iter().find(|known| known.eq_ignore_ascii_case(method));
    known.copied().ok_or_else(|| format!("plugins may use the methods {}", METHODS.join(", ")))
}
