//! Request headers that a plugin may set on outbound HTTP.

use super::ScopeResult;

/// Headers that belong to the connection, to the host, or to intermediaries; a plugin sets none of them.
const REFUSED: &[&str] = &[
    // The connection's.
    "alt-used",
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    // Of intermediaries: whom the request comes from, and through what.
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "client-ip",
    "fastly-client-ip",
    "forwarded",
    "front-end-https",
    "remote-addr",
    "remote-user",
    "true-client-ip",
    "via",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-real-ip",
    "x-remote-addr",
    "x-remote-ip",
    "x-remote-user",
    // Another method, host or path than the checked ones.
    "base-url",
    "request-uri",
    "x-host",
    "x-http-destinationurl",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-http-path-override",
    "x-method-override",
    "x-override-url",
    "x-proxy-url",
    "x-request-uri",
    "x-script-name",
    "x-url-scheme",
    // What metadata services of clouds ask for as a sign that no proxy was tricked into the request.
    "metadata",
    "metadata-flavor",
    "x-aliyun-ecs-metadata-token",
    "x-aliyun-ecs-metadata-token-ttl-seconds",
    "x-aws-ec2-metadata-token",
    "x-aws-ec2-metadata-token-ttl-seconds",
    "x-google-metadata-request",
];
/// Beginnings of header names that are refused: proxies, what they rewrite, and our own that say who is calling.
const REFUSED_PREFIXES: &[&str] = &[
    "proxy-",
    "sec-websocket-",
    "x-envoy-",
    "x-forwarded-",
    "x-goatflow-",
    "x-middleware-",
    "x-original-",
    "x-rewrite-",
];

/// Longest header name.
const MAX_NAME_BYTES: usize = 128;
/// Longest header value.
const MAX_VALUE_BYTES: usize = 8 * 1024;

/// Whether a plugin may send the header.
pub fn check_header(name: &str, value: &str) -> ScopeResult<()> {
    if !(1..=MAX_NAME_BYTES).contains(&name.len()) || !name.bytes().all(is_token_byte) {
        return Err("the name of a header is not an HTTP token".to_owned());
    }
    if is_refused(name) {
        return Err(format!("the header {} is set by the host only", name.to_ascii_lowercase()));
    }
    if value.len() > MAX_VALUE_BYTES {
        return Err(format!("the value of a header has more than {MAX_VALUE_BYTES} bytes"));
    }
    if !value.bytes().all(|byte| byte == b'\t' || matches!(byte, b' '..=b'~')) {
        return Err("the value of a header has characters other than printable ASCII".to_owned());
    }
    Ok(())
}

/// `_` and `-` are the same to many servers behind a gateway (CGI names), so they are here.
fn is_refused(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('_', "-");
    REFUSED.contains(&name.as_str()) || REFUSED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Characters of a token (RFC 9110).
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
