//! What to ask next when a server redirects, as browsers do it.

use std::sync::Arc;

use super::exchange::Answer;
use crate::error::{Error, ErrorCode, Result};
use crate::host::{HttpRequest, HttpTarget};

/// Headers that the host sets itself.
const STAMPED: [&str; 3] = ["user-agent", "x-goatflow-plugin", "x-request-id"];

/// Headers that describe a body, and go with it.
const OF_BODY: [&str; 5] =
    ["content-type", "content-encoding", "content-language", "content-location", "content-disposition"];

/// Words in the names of headers that carry credentials. Another server does not get them.
const OF_CREDENTIALS: [&str; 9] =
    ["auth", "cookie", "token", "key", "secret", "session", "credential", "password", "signature"];

/// One request of a chain of redirects.
#[derive(Debug)]
pub(super) struct Hop {
    pub(super) target: Arc<dyn HttpTarget>,
    pub(super) method: &'static str,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Hop {
    /// What the plugin asked for.
    pub(super) fn first(target: &Arc<dyn HttpTarget>, request: &HttpRequest) -> Self {
        let is_own = |name: &str| !STAMPED.iter().any(|stamped| name.eq_ignore_ascii_case(stamped));
        Self {
            target: Arc::clone(target),
            method: target.method(),
            headers: request.headers.iter().filter(|(name, _)| is_own(name)).cloned().collect(),
            body: request.body.clone(),
        }
    }

    /// The request that follows `answer`; none when `answer` is the last one.
    pub(super) fn next(&self, answer: &Answer) -> Result<Option<Self>> {
        if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
            return Ok(None);
        }
        let location = match answer.locations.as_slice() {
            [] => return Ok(None),
            [Some(location)] => location,
            _ => return Err(refused("the redirect names several places, or one that is not plain text")),
        };
        let method = method_after(answer.status, self.method);
        let target = self.target.redirected(method, location)?;
        let mut next = Self { method: target.method(), target, headers: self.headers.clone(), body: Vec::new() };
        if method == self.method {
            next.body.clone_from(&self.body);
        } else {
            next.headers.retain(|(name, _)| !OF_BODY.iter().any(|of_body| name.eq_ignore_ascii_case(of_body)));
        }
        if next.target.url().origin() != self.target.url().origin() {
            next.headers.retain(|(name, _)| !is_of_credentials(name));
        }
        Ok(Some(next))
    }
}

/// 301 and 302 turn POST into GET, which is wrong and what everybody does; 303 turns everything into GET but HEAD.
fn method_after(status: u16, method: &'static str) -> &'static str {
    match (status, method) {
        (301 | 302, "POST") => "GET",
        (303, "GET" | "HEAD") => method,
        (303, _) => "GET",
        _ => method,
    }
}

fn is_of_credentials(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    OF_CREDENTIALS.iter().any(|word| name.contains(word))
}

fn refused(problem: &'static str) -> Error {
    Error::new(ErrorCode::PolicyHttpInvalid, problem).with_detail("rule", "http.redirect")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_change_as_in_browsers() {
        let after = |status| ["GET", "HEAD", "POST", "PUT", "DELETE"].map(|method| method_after(status, method));
        assert_eq!(after(301), ["GET", "HEAD", "GET", "PUT", "DELETE"]);
        assert_eq!(after(302), ["GET", "HEAD", "GET", "PUT", "DELETE"]);
        assert_eq!(after(303), ["GET", "HEAD", "GET", "GET", "GET"]);
        assert_eq!(after(307), ["GET", "HEAD", "POST", "PUT", "DELETE"]);
        assert_eq!(after(308), ["GET", "HEAD", "POST", "PUT", "DELETE"]);
    }

    #[test]
    fn credentials_are_known_by_name() {
        for name in ["Authorization", "COOKIE", "X-Api-Key", "Private-Token", "X-Amz-Signature", "X-Auth"] {
            assert!(is_of_credentials(name), "{name}");
        }
        for name in ["Accept", "Content-Type", "If-None-Match", "Accept-Language"] {
            assert!(!is_of_credentials(name), "{name}");
        }
    }
}
