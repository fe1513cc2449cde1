//! Calls of an `echo` over plain tonic: two processes and a Unix socket, with no jail, no policy and no accounting.
//!
//!     tonic CALLS     prints one line of JSON: microseconds per call

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use hyper_util::rt::TokioIo;
use rustix::time::{ClockId, clock_gettime};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Runtime;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::{Channel, Endpoint, Server, Uri};
use tonic::{Request, Response, Status};

use protocol::plugin_client::PluginClient;
use protocol::plugin_server::{Plugin, PluginServer};
use protocol::{
    CallRequest, CallResponse, HealthRequest, HealthResponse, InitRequest, InitResponse, RegisterRequest,
    RegisterResponse, ShutdownRequest, ShutdownResponse,
};

mod protocol {
    tonic::include_proto!("goatflow.plugin.v1");
}

/// First argument of the serving process.
const SERVE: &str = "serve";

struct Echo;

#[tonic::async_trait]
impl Plugin for Echo {
    async fn register(&self, _: Request<RegisterRequest>) -> Result<Response<RegisterResponse>, Status> {
        Ok(Response::new(Default::default()))
    }

    async fn init(&self, _: Request<InitRequest>) -> Result<Response<InitResponse>, Status> {
        Ok(Response::new(Default::default()))
    }

    async fn call(&self, request: Request<CallRequest>) -> Result<Response<CallResponse>, Status> {
        Ok(Response::new(CallResponse { result: request.into_inner().arguments, failure: None }))
    }

    async fn health(&self, _: Request<HealthRequest>) -> Result<Response<HealthResponse>, Status> {
        Ok(Response::new(Default::default()))
    }

    async fn shutdown(&self, _: Request<ShutdownRequest>) -> Result<Response<ShutdownResponse>, Status> {
        Ok(Response::new(Default::default()))
    }
}

/// The serving process; ended with this.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn serve(socket: &Path) -> Result<(), Box<dyn Error>> {
    let incoming = UnixListenerStream::new(UnixListener::bind(socket)?);
    Ok(Server::builder().add_service(PluginServer::new(Echo)).serve_with_incoming(incoming).await?)
}

async fn connect(socket: PathBuf) -> Result<PluginClient<Channel>, tonic::transport::Error> {
    let connector = tower::service_fn(move |_: Uri| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    Endpoint::from_static("http://localhost").connect_with_connector(connector).await.map(PluginClient::new)
}

/// Microseconds per call.
async fn per_call(client: &PluginClient<Channel>, size: usize, in_flight: usize, calls: usize) -> f64 {
    let arguments = format!("\"{}\"", "x".repeat(size - 2)).into_bytes();
    let began = Instant::now();
    let tasks: Vec<_> = (0..in_flight)
        .map(|_| {
            let (mut client, arguments) = (client.clone(), arguments.clone());
            tokio::spawn(async move {
                for _ in 0..calls / in_flight {
                    let request =
                        CallRequest { function: "echo".into(), arguments: arguments.clone(), ..Default::default() };
                    let answer = client.call(request).await.expect("an answer");
                    assert_eq!(answer.into_inner().result.len(), arguments.len());
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a task that ends");
    }
    microseconds(began.elapsed()) / (calls / in_flight * in_flight) as f64
}

fn microseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// Processor time of all threads of this process.
fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

async fn measure(socket: PathBuf, calls: usize) -> Result<(), Box<dyn Error>> {
    while !socket.exists() {
        std::thread::yield_now();
    }
    let client = connect(socket).await?;
    per_call(&client, 64, 1, calls / 10).await;
    let busy = processor_time();
    let sequential = per_call(&client, 64, 1, calls).await;
    let busy = microseconds(processor_time() - busy) / calls as f64;
    print!("{{\"64 B\":{sequential:.1},\"64 B, host's CPU\":{busy:.1}");
    for (name, size, in_flight, calls) in
        [("64 KiB", 65_536, 1, calls / 4), ("64 B, 16 in flight", 64, 16, calls), ("64 B, 64 in flight", 64, 64, calls)]
    {
        print!(",\"{name}\":{:.1}", per_call(&client, size, in_flight, calls).await);
    }
    println!("}}");
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [_, SERVE, socket] => Runtime::new()?.block_on(serve(Path::new(socket))),
        [program, calls] => {
            let socket = std::env::temp_dir().join(format!("goatflow-bench-tonic-{}", std::process::id()));
            let serving = Serving(Command::new(program).arg(SERVE).arg(&socket).spawn()?);
            let measured = Runtime::new()?.block_on(measure(socket.clone(), calls.parse()?));
            drop(serving);
            let _ = std::fs::remove_file(socket);
            measured
        }
        _ => Err("usage: tonic CALLS".into()),
    }
}
