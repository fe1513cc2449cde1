//! The line with which a plugin introduces itself, as go-plugin defines it:
//! `CORE|APP|network|address|protocol|certificate|multiplexed`.

use std::path::{Component, Path, PathBuf};

use crate::error::{Error, ErrorCode, Result};

/// Longest line that is read. Certificates, the longest part, have about 1,000 bytes, and are not wanted here.
pub(super) const MAX_LINE_BYTES: usize = 4 * 1024;

/// The variable that tells a plugin that a host started it, and its value.
pub(super) const COOKIE: (&str, &str) = ("GOATKIT_PLUGIN", "goatkit-v1");

/// Version of go-plugin's handshake, and of the interface behind it.
const CORE_VERSION: &str = "1";
pub(super) const APP_VERSION: &str = "1";

/// What a plugin speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// go-plugin's net/rpc: gob over yamux.
    NetRpc,
    /// gRPC.
    Grpc,
}

impl Protocol {
    /// Name in reports.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::NetRpc => "netrpc",
            Self::Grpc => "grpc",
        }
    }
}

/// What a plugin said about itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Handshake {
    /// What it speaks.
    pub protocol: Protocol,
    /// Socket that it listens on: a file in the directory it was given.
    pub socket: PathBuf,
}

/// Reads a line. `directory` is where the plugin's socket must be.
pub(super) fn parse(line: &[u8], directory: &Path) -> Result<Handshake> {
    let text = std::str::from_utf8(line).map_err(|error| wrong("is not text", line).with_source(error))?.trim();
    let fields: Vec<&str> = text.splitn(7, '|').map(str::trim).collect();
    let &[core, app, network, address, ref rest @ ..] = fields.as_slice() else {
        return Err(wrong(
            "is not go-plugin's, as in `1|1|unix|SOCKET|grpc|` (write to standard error until that line is out)",
            line,
        ));
    };
    if core != CORE_VERSION {
        return Err(wrong("is of another version of go-plugin's handshake than 1", line));
    }
    if app != APP_VERSION {
        return Err(wrong("says another version of the plugin interface than 1", line));
    }
    if network != "unix" {
        return Err(wrong("names a network other than `unix`, which a jailed plugin has not", line));
    }
    let protocol = match rest.first() {
        None | Some(&("" | "netrpc")) => Protocol::NetRpc,
        Some(&"grpc") => Protocol::Grpc,
        Some(_) => return Err(wrong("names a protocol other than `grpc` and `netrpc`", line)),
    };
    if rest.get(1).is_some_and(|certificate| !certificate.is_empty()) {
        return Err(wrong("brings a certificate, but no TLS was asked for", line));
    }
    let socket = PathBuf::from(address);
    if !is_directly_in(&socket, directory) {
        return Err(wrong("names a socket outside of PLUGIN_UNIX_SOCKET_DIR (use go-plugin 1.5 or newer)", line));
    }
    Ok(Handshake { protocol, socket })
}

fn is_directly_in(path: &Path, directory: &Path) -> bool {
    let is_plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    is_plain && path.parent() == Some(directory) && !path.as_os_str().as_encoded_bytes().contains(&0)
}

/// Error of a line that is not a handshake; tells the line, harmless and shortened.
pub(super) fn wrong(problem: &str, line: &[u8]) -> Error {
    let shown: String = String::from_utf8_lossy(line).chars().take(200).flat_map(char::escape_debug).collect();
    Error::new(ErrorCode::PluginHandshake, format!("the plugin's first line {problem}: `{shown}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Handshake> {
        parse(line.as_bytes(), Path::new("/run/x"))
    }

    #[test]
    fn lines_of_real_plugins_are_understood() {
        let socket = PathBuf::from("/run/x/plugin3125405059");
        for (line, protocol) in [
            ("1|1|unix|/run/x/plugin3125405059|netrpc|\n", Protocol::NetRpc),
            ("1|1|unix|/run/x/plugin3125405059\n", Protocol::NetRpc),
            ("1|1|unix|/run/x/plugin3125405059|grpc|\n", Protocol::Grpc),
            ("1|1|unix|/run/x/plugin3125405059|grpc||false\r\n", Protocol::Grpc),
            ("  1|1|unix|/run/x/plugin3125405059|grpc||true", Protocol::Grpc),
        ] {
            assert_eq!(parsed(line).unwrap(), Handshake { protocol, socket: socket.clone() }, "{line:?}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_what_it_said() {
        for (line, problem) in [
            ("", "is not go-plugin's"),
            ("hello\n", "(write to standard error until"),
            ("2|1|unix|/run/x/a|grpc|", "another version of go-plugin"),
            ("1|2|unix|/run/x/a|grpc|", "another version of the plugin"),
            ("1|1|tcp|127.0.0.1:80|grpc|", "network other than"),
            ("1|1|unix|/run/x/a|http|", "protocol other than"),
            ("1|1|unix|/run/x/a|grpc|MIIB", "certificate"),
            ("1|1|unix|/run/a|grpc|", "outside"),
            ("1|1|unix|/run/x/../y|grpc|", "outside"),
            ("1|1|unix|/run/x/y/z|grpc|", "outside"),
            ("1|1|unix|a|grpc|", "outside"),
            ("1|1|unix||grpc|", "outside"),
            ("1|1|unix|/run/x/a\0b|grpc|", "outside"),
        ] {
            let error = parsed(line).unwrap_err();
            assert_eq!(error.code(), ErrorCode::PluginHandshake, "{line:?}");
            assert!(error.to_string().contains(problem), "{line:?}: {error}");
        }
        let error = parse(b"\xff\x1b[2J", Path::new("/run/x")).unwrap_err();
        assert!(error.to_string().contains("\\u{1b}[2J"), "{error}");
    }
}
