//! Native plugins that speak gRPC: our services (`proto/`) under go-plugin's handshake, broker, controller and streams.
//!
//! - *client*: remote calls over the one connection to the plugin; *message*, *fault* are their parts
//! - *broker*, *stdio*: what go-plugin adds
//! - *host service*: where the plugin makes its host calls
//! - *fate*: how all of that ends

mod broker;
mod client;
mod fate;
mod fault;
mod host_service;
mod message;
mod metered;
mod stdio;
#[cfg(test)]
mod tests;
mod unsent;

use std::collections::BTreeMap;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;

use prost::Message;
use tokio::runtime::Handle;

use super::host_calls::{HostCalls, InFlight};
use super::session::{Ending, Lost, OnLost, Output, Session, wait};
use crate::error::{Error, ErrorCode, Result};
use crate::executor;
use crate::plugin::CallContext;
use crate::proto::goplugin::Empty;
use crate::proto::health::health_check_response::ServingStatus;
use crate::proto::health::{HealthCheckRequest, HealthCheckResponse};
use crate::proto::plugin::{
    CallRequest, CallResponse, HealthRequest, HealthResponse, InitRequest, InitResponse, RegisterRequest,
    RegisterResponse, ShutdownRequest, ShutdownResponse,
};
use broker::{Broker, HOST_SERVICE_ID};
use client::Client;
use fate::{Fate, Life};
use fault::{Fault, Status};
pub(super) use host_service::IsPeer;
use metered::Metered;

/// Room for what goes around a result, or stands in its place, in bytes.
const ENVELOPE: usize = 64 * 1024;

/// Longest answer of methods that have little to say, in bytes.
const SHORT: usize = 64 * 1024;

/// Name under which go-plugin's health service knows the plugin.
const HEALTH_SERVICE: &str = "plugin";

/// What a session needs from whoever started the process.
pub(super) struct Setup<'a> {
    /// Connection to the plugin, whose other end has been checked.
    pub stream: UnixStream,
    /// Where the plugin will reach the host; it has been listening since before the program started.
    pub listener: UnixListener,
    /// Path of `listener`, as the plugin sees it.
    pub address: &'a Path,
    /// Says whether a connection to `listener` was made by the plugin.
    pub is_peer: IsPeer,
    /// Serves the plugin's host calls.
    pub host_calls: Arc<HostCalls>,
    /// Takes what the plugin writes.
    pub output: Output,
    /// Called when the session can't go on.
    pub on_lost: OnLost,
}

/// A conversation in gRPC. Its sockets and tasks end when it is closed or dropped.
pub(super) struct GrpcSession {
    client: Client,
    broker: Broker,
    host_calls: Arc<HostCalls>,
    fate: Life,
}

/// Begins the conversation.
pub(super) fn connect(setup: Setup<'_>, context: &CallContext) -> Result<GrpcSession> {
    let io = executor::io()?;
    let Setup { stream, listener, address, is_peer, host_calls, output, on_lost } = setup;
    let address = address.to_str().ok_or_else(|| {
        Error::new(ErrorCode::EnvironmentIo, format!("the path of a socket is not UTF-8: {}", address.display()))
    })?;
    let (stream, listener) = {
        let _entered = io.enter();
        adopt(stream, listener).map_err(|error| {
            Error::new(ErrorCode::EnvironmentIo, "can't use the sockets of a native plugin").with_source(error)
        })?
    };
    let fate = Life::new(on_lost);
    let greeted = wait(context, client::connect(Metered::client(stream, &fate)))?;
    let (client, driver) = greeted.map_err(|fault| unusable(&fault))?;
    host_service::serve(listener, is_peer, Arc::clone(&host_calls), io, &fate);
    drive(driver, io, &fate);
    // What the plugin has done wrong already is what it is told, rather than that it can't go on.
    let lost = |fault: Fault| {
        fate.lose_if_broken(&fault);
        // How the process ended is found out by who started it.
        let _ = wait(context, fate.ends_now());
        fate.check().err().unwrap_or_else(|| unusable(&fault))
    };
    let broker = Broker::open(&client, io, &fate, address).map_err(lost)?;
    stdio::open(&client, io, &fate, output).map_err(lost)?;
    Ok(GrpcSession { client, broker, host_calls, fate })
}

impl GrpcSession {
    /// Calls a method of the plugin and waits for its answer.
    fn ask<A: Message + Default>(
        &self,
        context: &CallContext,
        path: &'static str,
        request: &impl Message,
        limit: usize,
    ) -> Result<std::result::Result<A, Fault>> {
        self.fate.check()?;
        let answer = self.client.unary(executor::io()?, path, request, context.remaining(), limit);
        let outcome = wait(context, answer)?;
        if let Err(fault @ (Fault::Malformed(_) | Fault::Broken(_) | Fault::Gone)) = &outcome {
            self.fate.lose_if_broken(fault);
        }
        Ok(outcome)
    }

    /// The error of a call to `method` that ended with `fault`.
    fn explain(&self, context: &CallContext, method: &str, fault: &Fault) -> Error {
        // Calls are reset, too, when the connection ends under them.
        let is_over = matches!(fault, Fault::Reset(_)) && wait(context, self.fate.ends_now()).unwrap_or_default();
        match fault.error(method, context).filter(|_| !is_over) {
            Some(error) => error,
            None => wait(context, self.fate.error()).unwrap_or_else(|error| error),
        }
    }

    fn health(&self, context: &CallContext) -> Result<()> {
        let request = HealthCheckRequest { service: HEALTH_SERVICE.to_owned() };
        match self.ask::<HealthCheckResponse>(context, "/grpc.health.v1.Health/Check", &request, SHORT)? {
            Ok(answer) if answer.status() == ServingStatus::Serving => Ok(()),
            Ok(answer) => Err(unhealthy(answer.status().as_str_name())),
            // It answered.
            Err(Fault::Status(status)) if status.code == Status::UNIMPLEMENTED => Ok(()),
            Err(fault) => Err(self.explain(context, "Check", &fault)),
        }
    }
}

impl Session for GrpcSession {
    fn register(&self, context: &CallContext) -> Result<Vec<u8>> {
        let request = RegisterRequest { host_version: env!("CARGO_PKG_VERSION").to_owned() };
        let limit = self.host_calls.bounds().result_bytes;
        let answer = self.ask::<RegisterResponse>(
            context,
            "/goatflow.plugin.v1.Plugin/Register",
            &request,
            limit.saturating_add(ENVELOPE),
        )?;
        let registration = answer.map_err(|fault| self.explain(context, "Register", &fault))?.registration;
        check_length(registration.len(), limit)?;
        Ok(registration)
    }

    fn init(&self, context: &CallContext, config: &BTreeMap<String, String>) -> Result<()> {
        self.fate.check()?;
        self.host_calls.open();
        self.broker.announce().map_err(|fault| self.explain(context, "StartStream", &fault))?;
        let config = config.clone().into_iter().collect();
        let request = InitRequest { config, host_service_id: HOST_SERVICE_ID };
        let answer = self.ask::<InitResponse>(context, "/goatflow.plugin.v1.Plugin/Init", &request, SHORT)?;
        answer.map_err(|fault| self.explain(context, "Init", &fault))?;
        // A plugin without a broker may have said so just now.
        self.fate.check()
    }

    fn call(&self, call: &InFlight<'_>, function: &str, arguments: &[u8]) -> Result<Vec<u8>> {
        let context = call.context;
        let request = call_request(call, function, arguments);
        let limit = self.host_calls.bounds().result_bytes;
        let answer = self.ask::<CallResponse>(
            context,
            "/goatflow.plugin.v1.Plugin/Call",
            &request,
            limit.saturating_add(ENVELOPE),
        )?;
        let answer = answer.map_err(|fault| self.explain(context, "Call", &fault))?;
        if let Some(failure) = &answer.failure {
            return Err(fault::failed(failure));
        }
        check_length(answer.result.len(), limit)?;
        Ok(answer.result)
    }

    fn probe(&self, context: &CallContext) -> Result<()> {
        let asked =
            self.ask::<HealthResponse>(context, "/goatflow.plugin.v1.Plugin/Health", &HealthRequest {}, SHORT)?;
        match asked {
            Ok(answer) if answer.healthy => Ok(()),
            Ok(answer) => Err(unhealthy(&answer.reason)),
            Err(Fault::Status(status)) if status.code == Status::UNIMPLEMENTED => self.health(context),
            Err(fault) => Err(self.explain(context, "Health", &fault)),
        }
    }

    fn shutdown(&self, context: &CallContext) -> Result<()> {
        let outcome =
            self.ask::<ShutdownResponse>(context, "/goatflow.plugin.v1.Plugin/Shutdown", &ShutdownRequest {}, SHORT)?;
        let told = match outcome {
            Err(Fault::Gone) => return Ok(()),
            Err(Fault::Status(status)) if status.code == Status::UNIMPLEMENTED => Ok(()),
            Err(fault) => Err(self.explain(context, "Shutdown", &fault)),
            Ok(ShutdownResponse {}) => Ok(()),
        };
        // go-plugin's server ends at once, often without an answer.
        let _ = self.ask::<Empty>(context, "/plugin.GRPCController/Shutdown", &Empty {}, SHORT)?;
        told
    }

    fn close(&self, ending: Ending) {
        self.fate.close(Some(ending));
    }
}

fn adopt(
    stream: UnixStream,
    listener: UnixListener,
) -> std::io::Result<(tokio::net::UnixStream, tokio::net::UnixListener)> {
    stream.set_nonblocking(true)?;
    listener.set_nonblocking(true)?;
    Ok((tokio::net::UnixStream::from_std(stream)?, tokio::net::UnixListener::from_std(listener)?))
}

/// Moves the connection's bytes until it ends.
fn drive(driver: client::Driver, io: &Handle, fate: &Arc<Fate>) {
    fate.spawn(io, {
        let fate = Arc::clone(fate);
        async move {
            match driver.run().await {
                Ok(()) => fate.lose(Lost::Closed),
                Err(error) => fate.lose_if_broken(&Fault::from(error)),
            }
        }
    });
}

fn call_request(call: &InFlight<'_>, function: &str, arguments: &[u8]) -> CallRequest {
    let context = call.context;
    let origin = &context.origin;
    let text = |text: &Option<Arc<str>>| text.as_deref().unwrap_or_default().to_owned();
    let (traceparent, tracestate) =
        origin.trace.as_deref().map(|trace| (trace.parent.clone(), trace.state.clone())).unwrap_or_default();
    CallRequest {
        function: function.to_owned(),
        arguments: arguments.to_vec(),
        call_token: call.token(),
        timeout_ms: u64::try_from(context.remaining().as_millis()).unwrap_or(u64::MAX).max(1),
        traceparent,
        tracestate,
        request_id: text(&origin.request_id),
        language: text(&origin.language),
        callers: context.chain.names().into_iter().map(str::to_owned).collect(),
    }
}

fn check_length(length: usize, limit: usize) -> Result<()> {
    if length <= limit {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::PluginResultTooLarge,
        format!("the plugin answered {length} bytes, the limit is {limit}"),
    ))
}

fn unhealthy(reason: &str) -> Error {
    let reason = match fault::printable(reason, 200) {
        reason if reason.is_empty() => "it gave no reason".to_owned(),
        reason => reason,
    };
    Error::new(ErrorCode::PluginUnhealthy, format!("the plugin says that it can't serve calls: {reason}"))
}

fn unusable(fault: &Fault) -> Error {
    Error::new(ErrorCode::PluginProtocol, fault.to_string())
}
