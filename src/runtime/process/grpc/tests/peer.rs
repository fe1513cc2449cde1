//! A plugin as others write it: tonic's server and client, on threads of its own.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::sync::watch;
use tonic::codegen::tokio_stream::{self, Stream, StreamExt};
use tonic::transport::{Channel, Endpoint, Server, Uri};
use tonic::{Request, Response, Status, Streaming};

use super::super::super::session;
use crate::proto::goplugin::grpc_broker_server::{GrpcBroker, GrpcBrokerServer};
use crate::proto::goplugin::grpc_controller_server::{GrpcController, GrpcControllerServer};
use crate::proto::goplugin::grpc_stdio_server::{GrpcStdio, GrpcStdioServer};
use crate::proto::goplugin::{ConnInfo, Empty, StdioData};
use crate::proto::health::health_check_response::ServingStatus;
use crate::proto::health::health_server::{Health, HealthServer};
use crate::proto::health::{HealthCheckRequest, HealthCheckResponse};
use crate::proto::plugin::host_client::HostClient;
use crate::proto::plugin::plugin_server::{Plugin, PluginServer};
use crate::proto::plugin::*;

/// What the plugin does, and what was done to it.
#[derive(Default)]
pub(super) struct Peer {
    /// Has no broker.
    pub lacks_broker: bool,
    /// Has no health method of our own.
    pub lacks_health: bool,
    /// Has no health service of gRPC either.
    pub lacks_health_service: bool,
    /// Says that it is not well.
    pub is_ill: bool,
    /// Says what comes as a last word.
    pub told: Mutex<Vec<&'static str>>,
    /// The last call and its timeout as the headers said it.
    pub last_call: Mutex<Option<(CallRequest, String)>>,
    /// Calls whose futures were dropped before their end.
    pub cancelled: Arc<Mutex<u32>>,
    /// Where the host listens.
    pub announced: watch::Sender<Option<PathBuf>>,
    /// The way there, once there is one.
    pub host: Mutex<Option<HostClient<Channel>>>,
}

/// Serves `peer` on a thread of its own; answers the other end of the connection.
pub(super) fn serve(peer: Arc<Peer>) -> UnixStream {
    let (ours, theirs) = UnixStream::pair().unwrap();
    serve_on(theirs, peer);
    ours
}

/// Serves `peer` on a connection, on a thread of its own.
pub(super) fn serve_on(theirs: UnixStream, peer: Arc<Peer>) {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            theirs.set_nonblocking(true).unwrap();
            let stream = tokio::net::UnixStream::from_std(theirs).unwrap();
            let ended = Arc::new(tokio::sync::Notify::new());
            let stream = Watched { stream, ended: Arc::clone(&ended) };
            let incoming = tokio_stream::once(Ok::<_, std::io::Error>(stream)).chain(tokio_stream::pending());
            let service = Routes { peer };
            let serving = Server::builder().serve_with_incoming(service, incoming);
            tokio::spawn(serving);
            ended.notified().await;
        });
    });
}

/// Tells when the connection has been dropped.
struct Watched {
    stream: tokio::net::UnixStream,
    ended: Arc<tokio::sync::Notify>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.ended.notify_one();
    }
}

impl tonic::transport::server::Connected for Watched {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl tokio::io::AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl tokio::io::AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Picks the service by the path.
#[derive(Clone)]
struct Routes {
    peer: Arc<Peer>,
}

impl tower::Service<http::Request<tonic::body::Body>> for Routes {
    type Response = http::Response<tonic::body::Body>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let peer = Arc::clone(&self.peer);
        let service = request.uri().path().split('/').nth(1).unwrap_or_default();
        match service {
            "goatflow.plugin.v1.Plugin" => {
                PluginServer::from_arc(peer).max_decoding_message_size(1 << 24).call(request)
            }
            "plugin.GRPCBroker" if !peer.lacks_broker => GrpcBrokerServer::from_arc(peer).call(request),
            "plugin.GRPCController" => GrpcControllerServer::from_arc(peer).call(request),
            "plugin.GRPCStdio" => GrpcStdioServer::from_arc(peer).call(request),
            "grpc.health.v1.Health" if !peer.lacks_health_service => HealthServer::from_arc(peer).call(request),
            _ => Box::pin(async { Ok(Status::unimplemented("no such service").into_http()) }),
        }
    }
}

impl Peer {
    /// The host's service, where the broker said that it is.
    async fn host(&self) -> HostClient<Channel> {
        let known = self.host.lock().unwrap().clone();
        if let Some(host) = known {
            return host;
        }
        let path = self.announced.subscribe().wait_for(Option::is_some).await.unwrap().clone().unwrap();
        let connector = tower::service_fn(move |_: Uri| {
            let path = path.clone();
            async move { tokio::net::UnixStream::connect(path).await.map(TokioIo::new) }
        });
        let channel = Endpoint::from_static("http://localhost").connect_with_connector(connector).await.unwrap();
        let host = HostClient::new(channel).max_decoding_message_size(1 << 24).max_encoding_message_size(1 << 24);
        self.host.lock().unwrap().insert(host).clone()
    }

    async fn call_host(&self, function: &str, call: CallRequest) -> CallResponse {
        let request =
            HostCallRequest { function: function.to_owned(), arguments: call.arguments, call_token: call.call_token };
        match self.host().await.call(request).await {
            Ok(answer) => {
                let HostCallResponse { result, failure } = answer.into_inner();
                CallResponse { result, failure }
            }
            Err(status) => CallResponse { result: format!("{status:?}").into_bytes(), failure: None },
        }
    }
}

struct Counted(Arc<Mutex<u32>>);

impl Drop for Counted {
    fn drop(&mut self) {
        *self.0.lock().unwrap() += 1;
    }
}

#[tonic::async_trait]
impl Plugin for Peer {
    async fn register(&self, request: Request<RegisterRequest>) -> Result<Response<RegisterResponse>, Status> {
        let registration = format!(r#"{{"name":"peer","version":"{}"}}"#, request.into_inner().host_version);
        Ok(Response::new(RegisterResponse { registration: registration.into_bytes() }))
    }

    async fn init(&self, request: Request<InitRequest>) -> Result<Response<InitResponse>, Status> {
        let request = request.into_inner();
        assert_eq!((request.host_service_id, request.config["plugin_name"].as_str()), (1, "peer"));
        if !self.lacks_broker {
            let mut host = self.host().await;
            let answer = host.call(HostCallRequest { function: "echo".into(), ..HostCallRequest::default() }).await?;
            assert_eq!(answer.into_inner(), HostCallResponse::default());
        }
        Ok(Response::new(InitResponse {}))
    }

    async fn call(&self, request: Request<CallRequest>) -> Result<Response<CallResponse>, Status> {
        let timeout = request.metadata().get("grpc-timeout").map(|value| value.to_str().unwrap().to_owned());
        let call = request.into_inner();
        *self.last_call.lock().unwrap() = Some((call.clone(), timeout.unwrap_or_default()));
        let answer = |result| Ok(Response::new(CallResponse { result, failure: None }));
        match call.function.as_str() {
            "echo" => answer(call.arguments),
            "nothing" => answer(Vec::new()),
            "big" => answer(vec![b'x'; String::from_utf8_lossy(&call.arguments).parse().unwrap()]),
            "fail" => Ok(Response::new(CallResponse {
                result: b"ignored".to_vec(),
                failure: Some(Failure {
                    code: "peer.boom".into(),
                    message: "boom\n\u{1b}[31m".into(),
                    retryable: true,
                    detail: br#"{"why":"test"}"#.to_vec(),
                }),
            })),
            "status" => Err(Status::internal("it broke: ä\n")),
            "deadline" => Err(Status::deadline_exceeded("")),
            "unimplemented" => Err(Status::unimplemented("")),
            "never" => {
                let _counted = Counted(Arc::clone(&self.cancelled));
                std::future::pending().await
            }
            "sleep" => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                answer(Vec::new())
            }
            function => match function.split_once(':') {
                Some(("host", function)) => Ok(Response::new(self.call_host(function, call.clone()).await)),
                _ => Err(Status::not_found("no such function")),
            },
        }
    }

    async fn health(&self, _: Request<HealthRequest>) -> Result<Response<HealthResponse>, Status> {
        if self.lacks_health {
            return Err(Status::unimplemented(""));
        }
        Ok(Response::new(HealthResponse { healthy: !self.is_ill, reason: "the disk\u{7} is full".into() }))
    }

    async fn shutdown(&self, _: Request<ShutdownRequest>) -> Result<Response<ShutdownResponse>, Status> {
        self.told.lock().unwrap().push("shutdown");
        Ok(Response::new(ShutdownResponse {}))
    }
}

type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl GrpcBroker for Peer {
    type StartStreamStream = Streamed<ConnInfo>;

    async fn start_stream(
        &self,
        request: Request<Streaming<ConnInfo>>,
    ) -> Result<Response<Self::StartStreamStream>, Status> {
        let mut announcements = request.into_inner();
        let announced = self.announced.clone();
        tokio::spawn(async move {
            while let Ok(Some(announcement)) = announcements.message().await {
                assert_eq!((announcement.service_id, announcement.network.as_str()), (1, "unix"));
                announced.send_replace(Some(announcement.address.into()));
            }
        });
        // What a plugin announces for itself is of no use to the host.
        let own = ConnInfo { service_id: 7, network: "unix".into(), address: "/nowhere".into(), knock: None };
        Ok(Response::new(Box::pin(tokio_stream::once(Ok(own)).chain(tokio_stream::pending()))))
    }
}

#[tonic::async_trait]
impl GrpcController for Peer {
    async fn shutdown(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        self.told.lock().unwrap().push("controller");
        Ok(Response::new(Empty {}))
    }
}

#[tonic::async_trait]
impl GrpcStdio for Peer {
    type StreamStdioStream = Streamed<StdioData>;

    async fn stream_stdio(&self, _: Request<()>) -> Result<Response<Self::StreamStdioStream>, Status> {
        let data = |channel, data: Vec<u8>| Ok(StdioData { channel, data });
        let data = vec![data(1, b"out".to_vec()), data(0, b"nowhere".to_vec()), data(2, vec![b'e'; 20_000])];
        Ok(Response::new(Box::pin(tokio_stream::iter(data).chain(tokio_stream::pending()))))
    }
}

#[tonic::async_trait]
impl Health for Peer {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        assert_eq!(request.into_inner().service, "plugin");
        let status = if self.is_ill { ServingStatus::NotServing } else { ServingStatus::Serving };
        Ok(Response::new(HealthCheckResponse { status: status.into() }))
    }
}

/// The output that the peer writes, as the host gets it.
pub(super) fn output() -> Vec<(session::Channel, usize)> {
    vec![(session::Channel::Stdout, 3), (session::Channel::Stderr, 16_384), (session::Channel::Stderr, 20_000 - 16_384)]
}
