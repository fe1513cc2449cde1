//! Our connection as the HTTP implementation wants it. It gets a connection that stands already, to an address that was
//! checked; it can neither look names up nor connect by itself.

use std::io::{Read, Write};
use std::sync::{Mutex, PoisonError};

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport};

use crate::providers::net::Stream;

/// Looks nothing up.
#[derive(Debug)]
pub(super) struct NoResolver;

impl Resolver for NoResolver {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        Ok(self.empty())
    }
}

/// Hands over the one connection.
#[derive(Debug)]
pub(super) struct Handover(Mutex<Option<Stream>>);

impl Handover {
    pub(super) fn new(stream: Stream) -> Self {
        Self(Mutex::new(Some(stream)))
    }
}

impl Connector<()> for Handover {
    type Out = Connection;

    fn connect(&self, details: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Connection>, Error> {
        let stream = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let buffers = LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(stream.map(|stream| Connection { stream, buffers }))
    }
}

/// The connection of one request. Time is looked after by the stream.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    buffers: LazyBuffers,
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), Error> {
        let output = &self.buffers.output()[..amount];
        self.stream.write_all(output)?;
        Ok(self.stream.flush()?)
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
        let amount = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    /// Never to be used again.
    fn is_open(&mut self) -> bool {
        false
    }

    fn is_tls(&self) -> bool {
        self.stream.is_encrypted()
    }
}
