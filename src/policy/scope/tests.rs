//! The matchers, each against a slower and simpler one, and against texts that hostile authors would try.

use std::net::IpAddr;

use super::address::{is_public, parse_network};
use super::config::{ConfigScope, KeyVerdict};
use super::domain::{self, Labels};
use super::glob::Glob;
use super::http::{StrictHost, StrictUrl};
use super::tables::{NameRules, TableSet, is_system};

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % bound
    }

    fn text(&mut self, alphabet: &[&str], longest: usize) -> String {
        (0..=self.below(longest)).map(|_| alphabet[self.below(alphabet.len())]).collect()
    }
}

fn matches_slowly(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|at| matches_slowly(rest, &text[at..])),
        Some((first, rest)) => {
            text.split_first().is_some_and(|(head, tail)| head == first && matches_slowly(rest, tail))
        }
    }
}

#[test]
fn globs_agree_with_the_definition() {
    let mut dice = Dice(1);
    for _ in 0..50_000 {
        let pattern = dice.text(&["a", "b", "*", "a", "b"], 7);
        let text = dice.text(&["a", "b"], 9);
        let Ok(glob) = Glob::parse(&pattern) else { continue };
        assert_eq!(
            glob.matches(text.as_bytes()),
            matches_slowly(pattern.as_bytes(), text.as_bytes()),
            "{pattern} {text}"
        );
    }
}

#[test]
fn globs_are_ascii_and_bounded() {
    assert!(
        Glob::parse("a").is_err()
            && Glob::parse("\u{e4}*").is_err()
            && Glob::parse("a\n*").is_err()
            && Glob::parse("*********").is_err()
    );
    assert!(!Glob::parse("*").expect("a pattern").matches("\u{e4}".as_bytes()));
    let slow = Glob::parse("a*a*a*a*a*a*a*a*b").expect("a pattern");
    assert!(!slow.matches("a".repeat(100_000).as_bytes()));
}

fn tables(entries: &[&str]) -> TableSet {
    let mut set = TableSet::default();
    entries.iter().for_each(|entry| set.add(entry, &NameRules::default()).expect("an entry"));
    set
}

#[test]
fn patterns_never_cover_catalogues() {
    let set = tables(&[
        "*",
        "pg_*",
        "sqlite_*",
        "information_schema.*",
        "pg_catalog.*",
        "mysql.*",
        "sys.*",
        "performance_schema.*",
        "PG_*",
        "app.*",
    ]);
    let system = [
        (None, "pg_shadow"),
        (None, "PG_SHADOW"),
        (None, "sqlite_master"),
        (None, "SQLite_Schema"),
        (Some("pg_catalog"), "x"),
        (Some("pg_toast"), "x"),
        (Some("PG_TEMP_1"), "x"),
        (Some("information_schema"), "tables"),
        (Some("INFORMATION_SCHEMA"), "tables"),
        (Some("mysql"), "user"),
        (Some("MySQL"), "user"),
        (Some("sys"), "x"),
        (Some("performance_schema"), "x"),
        (Some("app"), "sqlite_master"),
        (Some("app"), "pg_class"),
    ];
    for (schema, table) in system {
        assert!(!set.contains(schema, table) && is_system(schema, table), "{schema:?} {table}");
    }
    assert!(set.contains(None, "users") && set.contains(Some("app"), "x") && !set.contains(Some("other"), "x"));
    assert!(!set.contains(None, "t\u{e4}") && !set.contains(None, "to\u{212a}en"));
    let exact = tables(&["pg_catalog.pg_class", "sqlite_master", "t\u{e4}"]);
    assert!(
        exact.contains(Some("pg_catalog"), "pg_class")
            && exact.contains(None, "sqlite_master")
            && exact.contains(None, "t\u{e4}")
    );
    assert!(!exact.contains(None, "pg_class") && !exact.contains(None, "T\u{e4}"));
}

#[test]
fn table_entries_have_one_reading() {
    let mut set = TableSet::default();
    for entry in [
        "",
        ".",
        "a.",
        ".a",
        "a.b.c",
        "*.a",
        "a*.b",
        "\"a\"",
        "`a`",
        "[a]",
        "a b",
        "a;b",
        "a\n",
        "a%",
        "a?",
        "t\u{e4}*",
        &"a".repeat(129),
        "a*b*c*d*e*f*g*h*i*j",
    ] {
        assert!(set.add(entry, &NameRules::default()).is_err(), "{entry}");
    }
    assert!(set.is_empty());
    let set = tables(&["gk_*_log", "ticket", "hr.*"]);
    for (table, expected) in [
        ("gk__log", true),
        ("gk_a_b_log", true),
        ("gk_log", false),
        ("xgk_a_log", false),
        ("gk_a_logs", false),
        ("ticket", true),
        ("tickets", false),
        ("TICKET", false),
    ] {
        assert_eq!(set.contains(None, table), expected, "{table}");
        assert!(!set.contains(Some("public"), table), "{table}");
    }
}

#[test]
fn public_suffixes_are_known_in_both_spellings() {
    for suffix in [
        "com",
        "test",
        "co.uk",
        "github.io",
        "s3.amazonaws.com",
        "xn--p1ai",
        "xn--55qx5d.cn",
        "foo.ck",
        "eu-west-1.compute.amazonaws.com",
    ] {
        assert!(domain::is_public_suffix(suffix), "{suffix}");
    }
    for name in ["corp.test", "example.com", "a.co.uk", "www.ck", "amazonaws.com", "a.xn--55qx5d.cn"] {
        assert!(!domain::is_public_suffix(name), "{name}");
    }
}

#[test]
fn every_unicode_host_that_passes_compares_as_ascii() {
    let ranges = [
        0x80..=0x30ff_u32,
        0xa640..=0xa7ff,
        0xab30..=0xab6f,
        0xf900..=0xffff,
        0x1_d400..=0x1_d7ff,
        0x1_f100..=0x1_f2ff,
        0xe_0000..=0xe_01ff,
    ];
    for c in ranges.into_iter().flatten().filter_map(char::from_u32) {
        for name in [format!("cor{c}.test"), format!("corp{c}test")] {
            if let Ok(canonical) = domain::canonical(&name, Labels::Strict) {
                assert!(canonical.is_ascii() && canonical.contains("xn--"), "{} gives {canonical}", c.escape_unicode());
            }
        }
    }
}

#[test]
fn labels_of_plain_ascii_never_hide_in_punycode() {
    for name in [
        "xn--corp-",
        "xn--a",
        "xn--",
        "xn--corp",
        "xn--www-hia.",
        "XN--A.test",
        "xn--ls8h=.la",
        "xn--0.pt",
        "xn--a-.test",
        "xn--\u{e4}.test",
        "xn--xn--a-.test",
    ] {
        assert!(domain::canonical(name, Labels::Strict).is_err(), "{name}");
    }
    assert_eq!(domain::canonical("XN--Bcher-KVA.Test", Labels::Strict).as_deref(), Ok("xn--bcher-kva.test"));
}

/// Host as the reference found it: text after `://` up to the first `/`, then up to the first `:`.
fn host_as_simple_programs_see_it(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.starts_with('[') {
        authority.split_inclusive(']').next().unwrap_or_default()
    } else {
        authority.split(':').next().unwrap_or_default()
    }
}

/// What hostile URLs are made of.
const PIECES: &[&str] = &[
    "http",
    "https",
    ":",
    "/",
    "//",
    "://",
    "a.test",
    "b.test",
    "@",
    "\\",
    "%",
    "%40",
    "%2f",
    "#",
    "?",
    ".",
    "..",
    "[",
    "]",
    "::1",
    "127.0.0.1",
    "0x7f.1",
    "127.1",
    "2130706433",
    "0177.0.0.1",
    "443",
    "80",
    "65536",
    "\t",
    " ",
    "\u{3002}",
    "\u{ff0f}",
    "\u{200b}",
    "\u{e4}",
    "\u{df}",
    "\u{17f}",
    "xn--",
    "-",
    "_",
    "*",
    "&",
    ";",
    ",",
    "\0",
    "0",
    "1e3",
];

#[test]
fn accepted_urls_have_one_host_for_every_parser() {
    let mut dice = Dice(7);
    let mut accepted = 0;
    for _ in 0..60_000 {
        let text = format!("{}{}", ["http://", "https://", "", "HTTP://"][dice.below(4)], dice.text(PIECES, 6));
        let Ok(url) = StrictUrl::parse(&text) else { continue };
        accepted += 1;
        let seen = host_as_simple_programs_see_it(&text);
        match url.host() {
            StrictHost::Name(name) if seen.is_ascii() => assert!(name.eq_ignore_ascii_case(seen), "{text}"),
            StrictHost::Name(name) => assert!(name.contains("xn--"), "{text}"),
            StrictHost::Address(address) => assert_eq!(seen.trim_matches(['[', ']']).parse(), Ok(*address), "{text}"),
        }
        assert!(url.url().username().is_empty() && url.url().password().is_none(), "{text}");
    }
    assert!(accepted > 500, "only {accepted} were accepted: the test tests nothing");
}

#[test]
fn public_addresses_agree_with_the_standard_library_where_it_speaks() {
    let mut dice = Dice(3);
    for _ in 0..100_000 {
        let octets = [dice.below(256), dice.below(256), dice.below(256), dice.below(256)]
            .map(|octet| u8::try_from(octet).unwrap_or(0));
        let address = std::net::Ipv4Addr::from(octets);
        let is_refused = address.is_private()
            || address.is_loopback()
            || address.is_link_local()
            || address.is_multicast()
            || address.is_broadcast()
            || octets[0] == 0
            || octets[0] >= 240;
        assert!(!is_refused || !is_public(IpAddr::V4(address)), "{address}");
        assert!(
            !is_public(IpAddr::V6(address.to_ipv6_mapped())) && !is_public(IpAddr::V6(address.to_ipv6_compatible())),
            "{address}"
        );
    }
}

#[test]
fn networks_have_one_reading() {
    for text in [
        "",
        "10",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/7",
        "0.0.0.0/0",
        "::/0",
        "::/6",
        "10.0.0.1/8",
        "fd00::1/8",
        "010.0.0.0/8",
        "10.0.0.0/08",
        "10.0.0.0/+8",
        "10.0.0.0/8/8",
        "localhost",
        "10.0.0.0-10.0.0.9",
        " 10.0.0.0/8",
    ] {
        assert!(parse_network(text).is_err(), "{text}");
    }
    for text in ["10.0.0.0/8", "127.0.0.1", "fd00::/8", "fc00::/7", "::1", "10.0.0.0/32"] {
        assert!(parse_network(text).is_ok(), "{text}");
    }
}

#[test]
fn only_a_spelled_key_lifts_the_deny_list() {
    let mut scope = ConfigScope::default();
    for entry in ["*", "ldap.*", "*.secret", "crm.api_token"] {
        scope.add(entry).expect("an entry");
    }
    assert_eq!(scope.verdict("ldap.secret"), KeyVerdict::OnDenyList);
    assert_eq!(scope.verdict("crm.api_token"), KeyVerdict::Allowed);
    assert_eq!(scope.verdict("CRM.api_token"), KeyVerdict::OnDenyList);
    assert_eq!(scope.verdict("app.color"), KeyVerdict::Allowed);
    assert_eq!(ConfigScope::default().verdict("app.color"), KeyVerdict::OutsideScope);
}
