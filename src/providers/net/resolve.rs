//! Names to addresses, and connections to addresses that were checked.

use std::fmt::Debug;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};

use super::watch::Watch;
use crate::error::{Error, ErrorCode, Result};
use crate::plugin::name::shorten;

/// Most addresses of one name that are tried.
const MAX_ADDRESSES: usize = 16;

/// Looks names up. The host's own choice: nothing that a plugin says selects it.
pub trait Resolver: Debug + Send + Sync {
    /// Addresses of `name`. May block.
    fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The operating system's resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
    }
}

/// Addresses of `name`, each once, none invented.
pub fn addresses(resolver: &dyn Resolver, name: &str) -> Result<Vec<IpAddr>> {
    let found = resolver.resolve(name).map_err(|error| {
        Error::new(ErrorCode::HostNameUnresolved, format!("the name {} can't be looked up", shorten(name, 100)))
            .with_source(error)
    })?;
    let mut unique: Vec<IpAddr> = Vec::new();
    for address in found {
        if !unique.contains(&address) {
            unique.push(address);
        }
    }
    if unique.is_empty() {
        let context = format!("the name {} has no address", shorten(name, 100));
        return Err(Error::new(ErrorCode::HostNameUnresolved, context));
    }
    Ok(unique)
}

/// Connects to the first of the addresses that takes it. Each has its share of the time that is left.
pub fn connect(watch: &Watch, addresses: &[IpAddr], port: u16) -> Result<TcpStream> {
    let mut refusal = None;
    let tried = &addresses[..addresses.len().min(MAX_ADDRESSES)];
    for (index, address) in tried.iter().enumerate() {
        let left = u32::try_from(tried.len() - index).unwrap_or(1);
        match TcpStream::connect_timeout(&SocketAddr::new(*address, port), watch.remaining()? / left) {
            Ok(stream) => return Ok(stream),
            Err(error) => refusal = Some(error),
        }
    }
    watch.check()?;
    let error = Error::new(ErrorCode::HostConnection, format!("can't connect to port {port} of the server"));
    Err(match refusal {
        Some(cause) => error.with_source(cause),
        None => error,
    })
}
