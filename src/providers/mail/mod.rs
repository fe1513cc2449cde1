//! The built-in mailer: one SMTP session for each e-mail. A plugin chooses recipients that its policy allows, the subject
//! and the body; everything else is the host's.

mod message;
mod session;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;

use self::session::Session;
use super::net::{Places, Resolver, Stream, SystemResolver, Watch, resolve, tls};
use crate::error::{Error, ErrorCode, Result, bug};
use crate::host::{HostCall, Mail, Provider, Reply, Request, provider};

/// Bytes that a mail server may say in one session.
const MAX_ANSWER_BYTES: u64 = 256 * 1024;

/// When the connection to the mail server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// After `STARTTLS`, which the server must offer.
    Starttls,
    /// From the first byte.
    Tls,
    /// Never.
    Plain,
}

/// Name and password for the mail server. Not shown by `Debug`.
#[derive(Clone)]
pub struct Credentials {
    /// Name.
    pub user: String,
    /// Password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

/// Where mail goes and from whom.
#[derive(Debug, Clone)]
pub struct MailOptions {
    /// Name or address of the mail server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether and when the connection is encrypted.
    pub encryption: Encryption,
    /// Credentials, if the server asks for any. Never sent over a plain connection.
    pub credentials: Option<Credentials>,
    /// Sender of all e-mails: `address` or `Name <address>`.
    pub from: String,
    /// Where answers go, if not to the sender.
    pub reply_to: Option<String>,
    /// Name that the host greets the server with.
    pub hello_name: String,
    /// Longest time for one e-mail; the call's own deadline may be sooner.
    pub timeout: Duration,
    /// E-mails that one plugin may have under way.
    pub max_concurrent_per_plugin: u32,
    /// Certificates to trust besides those of the operating system, in PEM.
    pub ca_file: Option<PathBuf>,
}

/// Answers `send_email`.
#[derive(Debug)]
pub struct Mailer {
    options: MailOptions,
    letterhead: message::Letterhead,
    resolver: Arc<dyn Resolver>,
    tls: Option<Arc<ClientConfig>>,
    places: Arc<Places>,
}

impl Mailer {
    /// A mailer with these options.
    pub fn new(options: MailOptions) -> Result<Self> {
        if options.encryption == Encryption::Plain && options.credentials.is_some() {
            return Err(Error::new(
                ErrorCode::ArgumentConfig,
                "`mail.username` needs an encrypted connection (`mail.encryption` is `plain`)",
            ));
        }
        session::check_hello_name(&options.hello_name)?;
        let tls = match options.encryption {
            Encryption::Plain => None,
            Encryption::Starttls | Encryption::Tls => Some(tls::client_config(options.ca_file.as_deref())?),
        };
        let letterhead = message::Letterhead::new(&options.from, options.reply_to.as_deref())?;
        let places = Places::new(options.max_concurrent_per_plugin);
        Ok(Self { options, letterhead, resolver: Arc::new(SystemResolver), tls, places })
    }

    fn send(&self, call: &HostCall<'_>, mail: &Mail) -> Result<()> {
        let message = self.letterhead.write(mail, call.plugin)?;
        let place = self.places.take(call.plugin)?;
        let watch = Watch::new(call.context, self.options.timeout);
        let mut session = Session::greet(self.connect(&watch, place)?, &watch, &self.options.hello_name)?;
        if self.options.encryption == Encryption::Starttls {
            session.start_tls(self.tls()?, &self.options.host)?;
        }
        if let Some(credentials) = &self.options.credentials {
            session.log_in(credentials)?;
        }
        session.deliver(&self.letterhead.sender, &mail.to, &message)
    }

    fn connect(&self, watch: &Watch, place: super::net::places::Place) -> Result<Stream> {
        let (theirs, resolver) = (watch.clone(), Arc::clone(&self.resolver));
        let (host, port) = (self.options.host.clone(), self.options.port);
        let connected = watch.wait_for(move || {
            let addresses = resolve::addresses(&*resolver, &host)?;
            Ok((resolve::connect(&theirs, &addresses, port)?, place))
        });
        let (connected, place) = connected?;
        let mut stream = Stream::new(connected, watch, MAX_ANSWER_BYTES)?.holding(place);
        if self.options.encryption == Encryption::Tls {
            stream.encrypt(self.tls()?, &self.options.host)?;
        }
        Ok(stream)
    }

    fn tls(&self) -> Result<&Arc<ClientConfig>> {
        self.tls.as_ref().ok_or_else(|| bug!("a mailer without TLS encrypts"))
    }
}

impl Provider for Mailer {
    fn serve(&self, call: &HostCall<'_>) -> Result<Reply> {
        let Request::Email(mail) = call.request else {
            return Err(bug!("the mailer was asked for {}", call.function));
        };
        self.send(call, mail)?;
        Ok(provider::OK)
    }
}
