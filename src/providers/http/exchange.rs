//! One request and its answer, over a connection of its own.

use std::io::Read;
use std::sync::Arc;

use rustls::ClientConfig;
use ureq::config::Config;
use ureq::http::{Request, Response, Uri, header};
use ureq::{Agent, Body};
use url::Position;

use super::HttpOptions;
use super::redirect::Hop;
use super::transport::{Handover, NoResolver};
use crate::error::{Error, ErrorCode, Result};
use crate::host::HttpTarget;
use crate::providers::net::places::Place;
use crate::providers::net::stream::{broken, too_large};
use crate::providers::net::{Resolver, Stream, Watch, resolve};

/// Longest status line and headers of an answer.
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// What may come besides the body: headers, interim answers, the framing of chunks.
const EXTRA_BYTES: u64 = 1024 * 1024;

/// What the requests of one call have in common.
pub(super) struct Exchange<'a> {
    pub(super) options: &'a HttpOptions,
    pub(super) resolver: &'a Arc<dyn Resolver>,
    pub(super) tls: &'a Arc<ClientConfig>,
    pub(super) watch: &'a Watch,
    /// Held by look-ups that outlive the call, too.
    pub(super) place: &'a Arc<Place>,
    pub(super) stamps: Vec<(&'static str, String)>,
}

/// An answer whose body was not read yet.
pub(super) struct Answer {
    pub(super) status: u16,
    /// Values of `Location`; `None` for what is not plain text.
    pub(super) locations: Vec<Option<String>>,
    response: Response<Body>,
}

impl Exchange<'_> {
    /// Sends the request and reads the head of the answer.
    pub(super) fn run(&self, hop: &Hop) -> Result<Answer> {
        let request = self.request(hop)?;
        let agent = Agent::with_parts(config(), Handover::new(self.connect(&hop.target)?), NoResolver);
        let response = match request {
            (request, Some(body)) => agent.run(request.map(|()| body)),
            (request, None) => agent.run(request),
        };
        let response = response.map_err(|error| self.watch.reason(|| failed(&error)))?;
        let locations = response.headers().get_all(header::LOCATION).iter();
        Ok(Answer {
            status: response.status().as_u16(),
            locations: locations.map(|value| value.to_str().ok().map(str::to_owned)).collect(),
            response,
        })
    }

    /// Reads the body; what counts is its size after decompression.
    pub(super) fn read(&self, answer: Answer) -> Result<(u16, Vec<u8>)> {
        let mut body = Vec::new();
        let most = self.options.max_response_bytes.saturating_add(1);
        let mut reader = answer.response.into_body().into_with_config().limit(u64::MAX).reader().take(most);
        if let Err(error) = reader.read_to_end(&mut body) {
            return Err(self.watch.reason(|| failed(&ureq::Error::from(error))));
        }
        if u64::try_from(body.len()).unwrap_or(u64::MAX) > self.options.max_response_bytes {
            return Err(too_large());
        }
        Ok((answer.status, body))
    }

    /// The request as the HTTP implementation takes it, and the body if there is one to send.
    fn request<'h>(&self, hop: &'h Hop) -> Result<(Request<()>, Option<&'h [u8]>)> {
        let stamps = self.stamps.iter().map(|(name, value)| (*name, value.as_str()));
        let own = hop.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut builder = Request::builder().method(hop.method).uri(uri(&*hop.target)?);
        for (name, value) in own.chain(stamps) {
            builder = builder.header(name, value);
        }
        let request = builder.body(()).map_err(|error| not_sendable().with_source(error))?;
        let has_body = !hop.body.is_empty() || matches!(hop.method, "POST" | "PUT" | "PATCH");
        Ok((request, has_body.then_some(hop.body.as_slice())))
    }

    /// Looks the host up, checks every address, connects to one of them.
    fn connect(&self, target: &Arc<dyn HttpTarget>) -> Result<Stream> {
        let (theirs, watch) = (Arc::clone(target), self.watch.clone());
        let (resolver, place) = (Arc::clone(self.resolver), Arc::clone(self.place));
        let connected = self.watch.wait_for(move || {
            let _place = place;
            let addresses = match theirs.literal_address() {
                Some(address) => vec![address],
                None => resolve::addresses(&*resolver, theirs.url().host_str().unwrap_or_default())?,
            };
            theirs.check_addresses(&addresses)?;
            resolve::connect(&watch, &addresses, theirs.port())
        })?;
        // Decompression only makes more of what comes; chunks of one byte cost six.
        let most = self.options.max_response_bytes.saturating_mul(2).saturating_add(EXTRA_BYTES);
        let mut stream = Stream::new(connected, self.watch, most)?;
        if target.url().scheme() == "https" {
            let host = target.url().host_str().unwrap_or_default();
            stream.encrypt(self.tls, host.trim_start_matches('[').trim_end_matches(']'))?;
        }
        Ok(stream)
    }
}

/// No proxy from the environment, no redirects, nothing kept; statuses are answers, not errors.
fn config() -> Config {
    Config::builder()
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .max_idle_connections(0)
        .max_idle_connections_per_host(0)
        .max_response_header_size(MAX_HEADER_BYTES)
        .build()
}

/// The checked URL as the HTTP implementation has it: put together from the parts that were checked, and held against
/// them, as it reads them.
fn uri(target: &dyn HttpTarget) -> Result<Uri> {
    let url = target.url();
    let (authority, path) =
        (&url[Position::BeforeHost..Position::AfterPort], &url[Position::BeforePath..Position::AfterQuery]);
    let built = Uri::builder().scheme(url.scheme()).authority(authority).path_and_query(path).build();
    let uri = built.map_err(|error| not_sendable().with_source(error))?;
    let is_same = uri.host() == url.host_str()
        && uri.port_u16() == url.port()
        && uri.scheme_str() == Some(url.scheme())
        && uri.path_and_query().is_some_and(|seen| seen.as_str() == path);
    if is_same { Ok(uri) } else { Err(not_sendable()) }
}

fn not_sendable() -> Error {
    Error::new(
        ErrorCode::PolicyHttpInvalid,
        "the URL or a header can't be sent as it is (percent-encode what is unusual)",
    )
}

/// What the HTTP implementation stumbled over, without its words where they could quote a request.
fn failed(error: &ureq::Error) -> Error {
    match error {
        ureq::Error::Io(error) => broken(error),
        ureq::Error::LargeResponseHeader(..) => Error::new(
            ErrorCode::HostAnswerTooLarge,
            format!("the headers of the server's answer have more than {MAX_HEADER_BYTES} bytes"),
        ),
        ureq::Error::Protocol(problem) => protocol(&problem.to_string()),
        ureq::Error::Decompress(..) => protocol("the body can't be decompressed"),
        ureq::Error::Http(_) | ureq::Error::BadUri(_) => not_sendable(),
        other => protocol(&other.to_string()),
    }
}

fn protocol(problem: &str) -> Error {
    let problem = crate::plugin::name::shorten(problem, 200);
    Error::new(ErrorCode::HostProtocol, format!("the server's answer is not proper HTTP: {problem}"))
}
