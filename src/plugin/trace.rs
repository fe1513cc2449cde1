//! W3C trace context: two headers that tie a call to the trace of a request.

use crate::error::{Error, ErrorCode, Result};

/// Longest `traceparent`; version 00 has 55 bytes, later ones may have more.
const MAX_PARENT: usize = 256;

/// Longest `tracestate`.
const MAX_STATE: usize = 4096;

/// Most members of a `tracestate`, and longest key and value of one.
const MAX_MEMBERS: usize = 32;
const MAX_PART: usize = 256;

/// W3C trace context, as the two headers say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// `traceparent`.
    pub parent: String,
    /// `tracestate`; may be empty.
    pub state: String,
}

impl TraceContext {
    /// Reads the two headers; two empty texts are none.
    pub fn parse(parent: &str, state: &str) -> Result<Option<Self>> {
        if parent.is_empty() && state.is_empty() {
            return Ok(None);
        }
        if !is_parent(parent) {
            return Err(Error::new(
                ErrorCode::ArgumentInvalid,
                "`traceparent` is not one of W3C trace context (version-trace id-parent id-flags in lower-case hexadecimal)",
            ));
        }
        if !is_state(state) {
            return Err(Error::new(
                ErrorCode::ArgumentInvalid,
                "`tracestate` is not one of W3C trace context (at most 32 members key=value, separated by commas)",
            ));
        }
        Ok(Some(Self { parent: parent.to_owned(), state: state.to_owned() }))
    }
}

fn is_parent(text: &str) -> bool {
    if text.len() > MAX_PARENT || !text.is_ascii() {
        return false;
    }
    let mut parts = text.splitn(5, '-');
    let mut part = |len: usize| parts.next().filter(|part| part.len() == len && part.bytes().all(is_hex));
    let (Some(version), Some(trace), Some(parent), Some(_flags)) = (part(2), part(32), part(16), part(2)) else {
        return false;
    };
    let has_more = parts.next().is_some();
    let is_zero = |part: &str| part.bytes().all(|byte| byte == b'0');
    let is_version = version != "ff" && (version != "00" || !has_more);
    is_version && !is_zero(trace) && !is_zero(parent)
}

fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

fn is_state(text: &str) -> bool {
    if text.len() > MAX_STATE {
        return false;
    }
    let members: Vec<&str> = text.split(',').map(|member| member.trim_matches([' ', '\t'])).collect();
    let mut keys: Vec<&str> = Vec::new();
    for member in members.into_iter().filter(|member| !member.is_empty()) {
        let Some((key, value)) = member.split_once('=') else { return false };
        if !is_key(key) || !is_value(value) || keys.contains(&key) {
            return false;
        }
        keys.push(key);
    }
    keys.len() <= MAX_MEMBERS
}

fn is_key(key: &str) -> bool {
    let begins = key.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit());
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@');
    begins && key.len() <= MAX_PART && key.bytes().all(allowed)
}

/// A value does not end in a space; `is_state` has cut those off, as the standard wants.
fn is_value(value: &str) -> bool {
    let allowed = |byte: u8| matches!(byte, 0x20..=0x2B | 0x2D..=0x3C | 0x3E..=0x7E);
    !value.is_empty() && value.len() <= MAX_PART && value.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn is_refused(parent: &str, state: &str) -> bool {
        TraceContext::parse(parent, state).is_err_and(|error| error.code() == ErrorCode::ArgumentInvalid)
    }

    #[test]
    fn what_the_standard_allows_is_taken_as_it_is() {
        assert!(TraceContext::parse("", "").unwrap().is_none());
        let later = format!("cc{}-what-ever", &PARENT[2..]);
        for (parent, state) in [
            (PARENT, ""),
            (PARENT, "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
            (PARENT, "tenant@system=1 , ,b= spaces are fine"),
            (later.as_str(), "0a=x"),
        ] {
            let trace = TraceContext::parse(parent, state).unwrap().unwrap();
            assert_eq!((trace.parent.as_str(), trace.state.as_str()), (parent, state));
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let upper = PARENT.to_uppercase();
        let version = format!("ff{}", &PARENT[2..]);
        let longer = format!("{PARENT}-00");
        let long = format!("cc{}-{}", &PARENT[2..], "x".repeat(MAX_PARENT));
        let no_trace = format!("00-{}-b7ad6b7169203331-01", "0".repeat(32));
        let no_parent = format!("00-0af7651916cd43dd8448eb211c80319c-{}-01", "0".repeat(16));
        for parent in ["", "x", &PARENT[..54], &upper, &version, &longer, &long, &no_trace, &no_parent, "00-\u{e9}"] {
            assert!(is_refused(parent, "a=b"), "{parent}");
        }
        let many: Vec<String> = (0..=MAX_MEMBERS).map(|n| format!("k{n}=v")).collect();
        let (many, key) = (many.join(","), format!("{}=v", "k".repeat(257)));
        let value = format!("k={}", "v".repeat(257));
        for state in
            ["a", "=b", "a=", "A=b", "a=b=c", "a=b,a=c", "a=\u{7f}", "a=\nb", "\u{e9}=b", "-a=b", &many, &key, &value]
        {
            assert!(is_refused(PARENT, state), "{state}");
        }
        assert!(is_refused(PARENT, &"a=b,".repeat(MAX_STATE)));
    }
}
