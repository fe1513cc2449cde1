//! The built-in HTTP client. A URL is parsed once, by the gate; a name is looked up once and every address of the answer
//! is checked; the connection goes to a checked address and to no other; redirects are followed here, each checked under
//! the policy of its moment. Connections are never shared or kept.

mod exchange;
mod redirect;
mod transport;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use rustls::ClientConfig;
use serde_json::json;

use self::exchange::Exchange;
use self::redirect::Hop;
use super::net::{Places, Resolver, SystemResolver, Watch, tls};
use crate::error::{Error, ErrorCode, Result, bug};
use crate::host::{HostCall, HttpRequest, Provider, Reply, Request};

/// How the client behaves.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Longest time for a request with all its redirects; the call's own deadline may be sooner.
    pub timeout: Duration,
    /// Longest body that a plugin may send, in bytes.
    pub max_request_bytes: usize,
    /// Longest body that is taken from a server, in bytes, after decompression.
    pub max_response_bytes: u64,
    /// Requests that one plugin may have under way.
    pub max_concurrent_per_plugin: u32,
    /// Certificates to trust besides those of the operating system, in PEM.
    pub ca_file: Option<PathBuf>,
    /// `User-Agent` of all requests.
    pub user_agent: String,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            max_request_bytes: 10 * 1024 * 1024,
            max_response_bytes: 10 * 1024 * 1024,
            max_concurrent_per_plugin: 8,
            ca_file: None,
            user_agent: concat!("goatflow-plugin/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// Answers `http_request`.
#[derive(Debug)]
pub struct HttpClient {
    options: HttpOptions,
    resolver: Arc<dyn Resolver>,
    tls: Arc<ClientConfig>,
    places: Arc<Places>,
}

impl HttpClient {
    /// A client that looks names up as the operating system does.
    pub fn new(options: HttpOptions) -> Result<Self> {
        Self::with_resolver(options, Arc::new(SystemResolver))
    }

    /// A client with a resolver of the host's.
    pub fn with_resolver(options: HttpOptions, resolver: Arc<dyn Resolver>) -> Result<Self> {
        let tls = tls::client_config(options.ca_file.as_deref())?;
        let places = Places::new(options.max_concurrent_per_plugin);
        Ok(Self { options, resolver, tls, places })
    }

    fn check_size(&self, request: &HttpRequest) -> Result<()> {
        if request.body.len() <= self.options.max_request_bytes {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::PolicyHttpTooLarge,
            format!(
                "the body of the request has {} bytes, the host allows {} (`http.max_request_bytes`)",
                request.body.len(),
                self.options.max_request_bytes
            ),
        ))
    }

    fn send(&self, call: &HostCall<'_>, request: &HttpRequest) -> Result<(u16, Vec<u8>)> {
        let Some(target) = &request.target else { return Err(bug!("a request passed the gate unchecked")) };
        self.check_size(request)?;
        let place = Arc::new(self.places.take(call.plugin)?);
        let watch = Watch::new(call.context, self.options.timeout);
        let exchange = Exchange {
            options: &self.options,
            resolver: &self.resolver,
            tls: &self.tls,
            watch: &watch,
            place: &place,
            stamps: self.stamps(call),
        };
        let mut hop = Hop::first(target, request);
        loop {
            let answer = exchange.run(&hop)?;
            hop = match hop.next(&answer)? {
                Some(next) => next,
                None => return exchange.read(answer),
            };
        }
    }

    /// Headers that say who is calling; a plugin has no say in them.
    fn stamps(&self, call: &HostCall<'_>) -> Vec<(&'static str, String)> {
        let mut stamps =
            vec![("user-agent", self.options.user_agent.clone()), ("x-goatflow-plugin", call.plugin.to_string())];
        // The host's text may be anything; what is no header value is left out.
        let request_id = call.context.origin.request_id.as_deref();
        if let Some(id) = request_id.filter(|id| id.len() <= 200 && id.bytes().all(|byte| byte.is_ascii_graphic())) {
            stamps.push(("x-request-id", id.to_owned()));
        }
        stamps
    }
}

impl Provider for HttpClient {
    fn serve(&self, call: &HostCall<'_>) -> Result<Reply> {
        let Request::Http(request) = call.request else {
            return Err(bug!("the HTTP client was asked for {}", call.function));
        };
        let (status, body) = self.send(call, request).map_err(|error| error.prefixed("request failed"))?;
        let body = base64::engine::general_purpose::STANDARD.encode(body);
        Ok(json!({"status": status, "body": body}).to_string().into_bytes().into())
    }
}
