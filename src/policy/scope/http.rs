//! Outbound HTTP: entries of hosts, ports, schemes, methods and paths.

use std::sync::Arc;

use ipnet::IpNet;

use super::ScopeResult;
use super::domain::{self, Labels};
use super::path::{self, PathPattern};
use super::url::split_port;
pub use super::url::{StrictHost, StrictUrl};

/// Ports that an entry without a port means.
const DEFAULT_PORTS: [u16; 2] = [80, 443];
/// Methods a plugin may use. CONNECT and TRACE make a server a relay or a mirror; unknown ones are unknown.
pub const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

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
            return Err(
                "write `host`, `host:port` or `*.domain`; schemes and paths have fields of their own".to_owned()
            );
        }
        let (host, port) = split_port(entry)?;
        let host = match host.strip_prefix("*.") {
            Some(domain) => HostPattern::Below(parent_domain(domain)?),
            None if host.contains('*') => return Err("`*` stands alone or before the first dot".to_owned()),
            None => HostPattern::Exact(StrictHost::parse(host)?),
        };
        Ok(Self { host, port })
    }

    /// Whether it names an address, or a name that means the machine itself or a network around it.
    #[must_use]
    pub fn is_inside(&self) -> bool {
        match &self.host {
            HostPattern::Exact(StrictHost::Name(name)) => domain::is_special_use(name),
            HostPattern::Exact(StrictHost::Address(_)) => true,
            HostPattern::Everything | HostPattern::Below(_) => false,
        }
    }

    fn covers(&self, target: &StrictUrl) -> bool {
        let is_port = match self.port {
            Some(port) => target.port() == port,
            None => DEFAULT_PORTS.contains(&target.port()),
        };
        is_port && self.host.covers(target.host())
    }

    /// As [`Self::covers`], read as widely as it can be meant: an entry that takes away, without a port, takes all.
    fn touches(&self, target: &StrictUrl) -> bool {
        self.port.is_none_or(|port| port == target.port()) && self.host.touches(target.host())
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

    /// Whether the entry names the host and port, whatever its other fields say.
    fn names(&self, target: &StrictUrl) -> bool {
        self.hosts.iter().any(|host| host.covers(target))
    }

    /// Whether the entry names the host, with whatever port, and limits what it may be asked for.
    #[must_use]
    pub fn limits_paths_of(&self, target: &StrictUrl) -> bool {
        self.paths.is_some() && self.hosts.iter().any(|host| host.host.touches(target.host()))
    }

    /// Whether the entry grants the request.
    #[must_use]
    pub fn covers(&self, method: &str, target: &StrictUrl) -> bool {
        let path = target.url().path();
        let grants =
            |paths: &[PathPattern]| !path::is_ambiguous(path) && paths.iter().any(|pattern| pattern.covers(path));
        self.names(target) && self.agrees(method, target) && self.paths.as_deref().is_none_or(grants)
    }

    /// Whether the entry, as a denial, takes the request away. Of a path that servers may read as another one, nobody
    /// knows that it is none of those denied.
    #[must_use]
    pub fn touches(&self, method: &str, target: &StrictUrl) -> bool {
        let path = target.url().path();
        let takes = |paths: &[PathPattern]| path::is_unclear(path) || paths.iter().any(|pattern| pattern.touches(path));
        self.hosts.iter().any(|host| host.touches(target))
            && self.agrees(method, target)
            && self.paths.as_deref().is_none_or(takes)
    }

    fn agrees(&self, method: &str, target: &StrictUrl) -> bool {
        is_listed(self.schemes.as_deref(), target.url().scheme()) && is_listed(self.methods.as_deref(), method)
    }
}

/// No list means no limit.
fn is_listed(list: Option<&[Box<str>]>, value: &str) -> bool {
    list.is_none_or(|list| list.iter().any(|known| **known == *value))
}

/// The method in the spelling that is sent; an empty one means GET, as in Go.
pub fn canonical_method(method: &str) -> ScopeResult<&'static str> {
    if method.is_empty() {
        return Ok("GET");
    }
    let known = METHODS.iter().find(|known| known.eq_ignore_ascii_case(method));
    known.copied().ok_or_else(|| format!("plugins may use the methods {}", METHODS.join(", ")))
}
