//! What leaves the host: HTTP requests and e-mails, as they were checked.

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use url::{Host, Url};

use super::request::base64_text;
use crate::error::Result;

/// Where a checked HTTP request goes. A provider makes the request from this value and parses nothing a second time.
pub trait HttpTarget: std::fmt::Debug + Send + Sync {
    /// The URL that was checked.
    fn url(&self) -> &Url;

    /// Method in the spelling to send.
    fn method(&self) -> &'static str;

    /// Port, given or implied by the scheme.
    fn port(&self) -> u16;

    /// Refuses when one of the addresses that the host's name resolved to must not be reached, and when there is none.
    /// Connections go to addresses that were checked, and to no other.
    fn check_addresses(&self, addresses: &[IpAddr]) -> Result<()>;

    /// The target of a redirect, checked under the policy in force now, which may have changed since the call began.
    fn redirected(&self, method: &str, location: &str) -> Result<Arc<dyn HttpTarget>>;

    /// Host of the URL as an address, when it is written as one.
    fn literal_address(&self) -> Option<IpAddr> {
        match self.url().host()? {
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
            Host::Domain(_) => None,
        }
    }
}

/// An HTTP request.
#[derive(Debug, Clone)]
pub struct HttpRequest {
    /// Method; after the gate in the spelling to send.
    pub method: String,
    /// URL as written; after the gate the URL that was checked, without fragment.
    pub url: String,
    /// Header fields; after the gate only those that a plugin may set, each name once.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
    /// What the gate checked; `None` before the gate.
    pub target: Option<Arc<dyn HttpTarget>>,
}

impl HttpRequest {
    pub(super) fn to_json(&self) -> Value {
        let headers: Map<String, Value> =
            self.headers.iter().cloned().map(|(name, value)| (name, value.into())).collect();
        json!({"method": self.method, "url": self.url, "headers": headers, "body": base64_text(&self.body)})
    }
}

/// An e-mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Recipients; after the gate bare ASCII addresses, each once.
    pub to: Vec<String>,
    /// Subject.
    pub subject: String,
    /// Text or HTML.
    pub body: String,
    /// True when `body` is HTML.
    pub html: bool,
}

impl Mail {
    /// One recipient is a text, as plugins and hosts have always written it; several are an array.
    pub(super) fn to_json(&self) -> Value {
        let to = match self.to.as_slice() {
            [single] => json!(single),
            several => json!(several),
        };
        json!({"to": to, "subject": self.subject, "body": self.body, "html": self.html})
    }
}
