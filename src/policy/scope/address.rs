//! Which network addresses count as public, and which networks an administrator may open besides.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;

use super::ScopeResult;

/// IPv4 networks that are not public: IANA's special-purpose registry plus one address that a large cloud uses for its
/// own services. The three documentation networks are left out: nothing is ever routed there, so nothing can be
/// reached, and tests everywhere use them as stand-ins for public addresses.
const NOT_PUBLIC_V4: &[([u8; 4], u8)] = &[
    ([0, 0, 0, 0], 8),        // "this network"; 0.0.0.0 reaches the machine itself on Linux
    ([10, 0, 0, 0], 8),       // private
    ([100, 64, 0, 0], 10),    // carrier-grade NAT, and metadata at 100.100.100.200
    ([127, 0, 0, 0], 8),      // loopback
    ([168, 63, 129, 16], 32), // Azure's host agent, a public address by number only
    ([169, 254, 0, 0], 16),   // link-local, and metadata at 169.254.169.254
    ([172, 16, 0, 0], 12),    // private
    ([192, 0, 0, 0], 24),     // protocol assignments, and metadata at 192.0.0.192
    ([192, 31, 196, 0], 24),  // AS112
    ([192, 52, 193, 0], 24),  // AMT
    ([192, 88, 99, 0], 24),   // 6to4 relays
    ([192, 168, 0, 0], 16),   // private
    ([192, 175, 48, 0], 24),  // AS112
    ([198, 18, 0, 0], 15),    // benchmarking
    ([224, 0, 0, 0], 4),      // multicast
    ([240, 0, 0, 0], 4),      // reserved, and broadcast
];

/// IPv6 networks inside 2000::/3 that are not public. Everything outside 2000::/3 is not public either.
const NOT_PUBLIC_V6: &[([u16; 8], u8)] = &[
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), // protocol assignments: Teredo, benchmarking, ORCHID
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), // 6to4: carries an IPv4 address
    ([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48), // AS112
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), // documentation, second block
];

/// Addresses of cloud metadata services. Only a network of exactly one address opens them.
const METADATA: &[IpAddr] = &[
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// Whether a plugin may reach `address` without further ado.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !NOT_PUBLIC_V4.iter().any(|(network, prefix)| {
            in_prefix(u128::from(v4.to_bits()), u128::from(Ipv4Addr::from(*network).to_bits()), 32, *prefix)
        }),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

/// Global unicast space without its special blocks. IPv4 in IPv6 clothes (mapped, NAT64, ISATAP) is outside or refused.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let bits = address.to_bits();
    let is_global_unicast = bits >> 125 == 0b001;
    let is_special =
        NOT_PUBLIC_V6.iter().any(|(network, prefix)| in_prefix(bits, Ipv6Addr::from(*network).to_bits(), 128, *prefix));
    is_global_unicast && !is_special && !is_isatap(address)
}

/// Whether the two addresses, of `width` bits, agree in their first `prefix` bits.
fn in_prefix(address: u128, network: u128, width: u8, prefix: u8) -> bool {
    (address ^ network) >> (width - prefix) == 0
}

/// ISATAP interface identifiers carry an IPv4 address under any prefix.
fn is_isatap(address: Ipv6Addr) -> bool {
    let [_, _, _, _, high, low, _, _] = address.segments();
    (high == 0 || high == 0x200) && low == 0x5efe
}

/// IPv4 address inside an IPv6 address that stands for it, if it is of such a kind.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let bits = address.to_bits();
    let is_mapped_or_compatible = bits >> 32 == 0 || bits >> 32 == 0xffff;
    let is_nat64 = bits >> 32 == 0x0064_ff9b_0000_0000_0000_0000 || bits >> 80 == 0x0064_ff9b_0001;
    let low = u32::try_from(bits & 0xffff_ffff).unwrap_or(0);
    match address.segments() {
        [0x2002, high, mid, ..] => Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(mid))),
        _ if is_mapped_or_compatible && bits > 0xffff => Some(Ipv4Addr::from_bits(low)),
        _ if is_nat64 || is_isatap(address) => Some(Ipv4Addr::from_bits(low)),
        _ => None,
    }
}

/// Whether `address` belongs to a cloud's metadata service.
#[must_use]
pub fn is_metadata(address: IpAddr) -> bool {
    METADATA.contains(&address)
}

/// Whether `address` is public or in a network that the administrator opened.
///
/// An IPv6 address that stands for an IPv4 address needs both: its own network opened, and the IPv4 address allowed.
#[must_use]
pub fn is_allowed(address: IpAddr, opened: &[Arc<[IpNet]>]) -> bool {
    if is_public(address) {
        return true;
    }
    let is_single = |network: &IpNet| network.prefix_len() == network.max_prefix_len();
    let is_open = opened
        .iter()
        .flat_map(|networks| networks.iter())
        .any(|network| network.contains(&address) && (!is_metadata(address) || is_single(network)));
    match address {
        IpAddr::V6(v6) if is_open => embedded_v4(v6).is_none_or(|v4| is_allowed(IpAddr::V4(v4), opened)),
        _ => is_open,
    }
}

/// A network as an administrator writes it: an address with a prefix length, or one address.
pub fn parse_network(text: &str) -> ScopeResult<IpNet> {
    let network =
        strict_network(text).ok_or_else(|| "it is not a network such as 10.0.0.0/8 or fd00::/8".to_owned())?;
    if network.trunc() != network {
        return Err(format!("it has bits set behind its prefix; write {}", network.trunc()));
    }
    let shortest = if network.addr().is_ipv4() { 8 } else { 7 };
    if network.prefix_len() < shortest {
        return Err(format!("it is too wide; the prefix has at least {shortest} bits"));
    }
    Ok(network)
}

/// The standard library's addresses, which have no leading zeros, and a plain prefix length.
fn strict_network(text: &str) -> Option<IpNet> {
    let Some((address, prefix)) = text.split_once('/') else {
        return text.parse::<IpAddr>().ok().map(IpNet::from);
    };
    let is_plain = prefix == "0" || (!prefix.starts_with('0') && prefix.bytes().all(|byte| byte.is_ascii_digit()));
    let prefix = prefix.parse().ok().filter(|_| is_plain)?;
    IpNet::new(address.parse().ok()?, prefix).ok()
}
