//! A connection, plain or encrypted, whose waits end with the call and whose bytes are counted.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::places::Place;
use super::watch::Watch;
use crate::error::{Error, ErrorCode, Result};

/// A TCP connection that looks after its call while it waits.
#[derive(Debug)]
struct Watched {
    stream: TcpStream,
    watch: Watch,
    /// Bytes that may still come.
    left: u64,
}

/// A connection to a server.
#[derive(Debug)]
pub struct Stream {
    inner: Inner,
    /// Given back when the connection ends.
    _place: Option<Place>,
}

#[derive(Debug)]
enum Inner {
    Plain(Watched),
    Tls(Box<StreamOwned<ClientConnection, Watched>>),
    /// While one turns into the other.
    Gone,
}

impl Stream {
    /// A plain connection that takes at most `max_bytes` from the server.
    pub fn new(stream: TcpStream, watch: &Watch, max_bytes: u64) -> Result<Self> {
        stream.set_nodelay(true).map_err(|error| broken(&error))?;
        let plain = Watched { stream, watch: watch.clone(), left: max_bytes };
        Ok(Self { inner: Inner::Plain(plain), _place: None })
    }

    /// Keeps `place` as long as the connection lasts.
    #[must_use]
    pub fn holding(self, place: Place) -> Self {
        Self { _place: Some(place), ..self }
    }

    /// Encrypts the connection; the server must prove to be `name`.
    pub fn encrypt(&mut self, config: &Arc<ClientConfig>, name: &str) -> Result<()> {
        let Inner::Plain(mut plain) = std::mem::replace(&mut self.inner, Inner::Gone) else {
            return Err(crate::error::bug!("a connection is encrypted twice"));
        };
        let watch = plain.watch.clone();
        let server = ServerName::try_from(name.to_owned()).map_err(|error| untrusted().with_source(error))?;
        let mut tls =
            ClientConnection::new(Arc::clone(config), server).map_err(|error| untrusted().with_source(error))?;
        while tls.is_handshaking() {
            if let Err(error) = tls.complete_io(&mut plain) {
                return Err(watch.reason(|| handshake_failed(error)));
            }
        }
        self.inner = Inner::Tls(Box::new(StreamOwned::new(tls, plain)));
        Ok(())
    }

    /// True once the connection is encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        matches!(self.inner, Inner::Tls(_))
    }
}

/// A connection that broke.
pub fn broken(error: &io::Error) -> Error {
    Error::new(ErrorCode::HostConnection, format!("the connection to the server broke ({})", error.kind()))
}

fn untrusted() -> Error {
    Error::new(ErrorCode::HostTls, "the connection to the server can't be encrypted")
}

/// What rustls says about certificates comes as an error of the connection.
fn handshake_failed(error: io::Error) -> Error {
    let is_of_tls = error.get_ref().is_some_and(|cause| cause.is::<rustls::Error>());
    if is_of_tls || error.kind() == io::ErrorKind::UnexpectedEof {
        untrusted().with_source(error)
    } else {
        broken(&error)
    }
}

impl Watched {
    /// Repeats `attempt`, which waits a little, until it gives something or the transfer must end.
    fn persist<T>(
        &mut self,
        set_timeout: impl Fn(&TcpStream, Option<std::time::Duration>) -> io::Result<()>,
        mut attempt: impl FnMut(&mut TcpStream) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            set_timeout(&self.stream, Some(self.watch.slice()?))?;
            match attempt(&mut self.stream) {
                Err(error) if is_pause(&error) => {}
                result => return result,
            }
        }
    }
}

fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !buffer.is_empty() {
            return Err(self.watch.end(too_large()));
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.persist(TcpStream::set_read_timeout, |stream| stream.read(&mut buffer[..most]))?;
        self.left -= u64::try_from(read).unwrap_or(u64::MAX).min(self.left);
        Ok(read)
    }
}

impl Write for Watched {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.persist(TcpStream::set_write_timeout, |stream| stream.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An answer that goes on and on.
pub fn too_large() -> Error {
    Error::new(
        ErrorCode::HostAnswerTooLarge,
        "the server's answer is larger than the host's configuration allows (`max_response_bytes`)",
    )
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.inner {
            Inner::Plain(plain) => plain.read(buffer),
            Inner::Tls(tls) => tls.read(buffer),
            Inner::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.inner {
            Inner::Plain(plain) => plain.write(bytes),
            Inner::Tls(tls) => tls.write(bytes),
            Inner::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.inner {
            Inner::Plain(plain) => plain.flush(),
            Inner::Tls(tls) => tls.flush(),
            Inner::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}
