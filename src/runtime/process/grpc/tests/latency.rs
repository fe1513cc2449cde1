//! How long a call takes beside what it stands on: a socket without a protocol, and tonic's own client. The peer is a
//! process of its own; the paths take turns in each round, so that their ratios hold when the machine's speed drifts.
//!
//! `cargo test --release --lib -- --ignored --nocapture grpc::tests::latency`

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};

use hyper_util::rt::TokioIo;
use tonic::transport::{Endpoint, Uri};

use super::peer;
use super::*;
use crate::proto::plugin::plugin_client::PluginClient;

const ROUNDS: usize = 9;

/// Where the serving process listens, in its environment.
const DIRECTORY: &str = "GOATFLOW_TEST_LATENCY";

/// The serving process; ended with this.
struct Server {
    child: Child,
    directory: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let name = std::thread::current().name().unwrap().to_owned();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([&name, "--exact", "--nocapture", "--ignored"]).env(DIRECTORY, directory.path());
        let child = command.stdout(Stdio::null()).spawn().unwrap();
        eventually(|| directory.path().join("grpc").exists());
        Self { child, directory }
    }

    fn connect(&self, name: &str) -> UnixStream {
        UnixStream::connect(self.directory.path().join(name)).unwrap()
    }
}

/// Listens for as long as the process lives: bytes without a protocol, and a plugin.
fn listen(directory: &Path) {
    let raw = UnixListener::bind(directory.join("raw")).unwrap();
    std::thread::spawn(move || {
        for stream in raw.incoming() {
            std::thread::spawn(move || echo(stream.unwrap()));
        }
    });
    for stream in UnixListener::bind(directory.join("grpc")).unwrap().incoming() {
        peer::serve_on(stream.unwrap(), Arc::default());
    }
}

fn echo(mut stream: UnixStream) {
    let mut length = [0; 4];
    while stream.read_exact(&mut length).is_ok() {
        let mut bytes = vec![0; u32::from_be_bytes(length).try_into().unwrap()];
        stream.read_exact(&mut bytes).unwrap();
        stream.write_all(&bytes).unwrap();
    }
}

/// One way to get an echo.
type Way<'a> = (&'a str, Box<dyn FnMut(&[u8]) -> Vec<u8> + 'a>);

fn raw(mut stream: UnixStream) -> Way<'static> {
    let call = move |bytes: &[u8]| {
        let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
        stream.write_all(&[&length[..], bytes].concat()).unwrap();
        let mut answer = vec![0; bytes.len()];
        stream.read_exact(&mut answer).unwrap();
        answer
    };
    ("raw socket", Box::new(call))
}

fn tonic(name: &'static str, runtime: tokio::runtime::Runtime, stream: UnixStream) -> Way<'static> {
    stream.set_nonblocking(true).unwrap();
    let mut stream = Some(stream);
    let connector = tower::service_fn(move |_: Uri| {
        let stream = tokio::net::UnixStream::from_std(stream.take().unwrap());
        async move { stream.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_static("http://localhost");
    let connecting = endpoint.connect_with_connector(connector);
    let client = PluginClient::new(runtime.block_on(connecting).unwrap());
    let call = move |bytes: &[u8]| {
        let request = CallRequest { function: "echo".into(), arguments: bytes.to_vec(), ..CallRequest::default() };
        let mut client = client.clone();
        runtime.block_on(async move { client.call(request).await.unwrap().into_inner().result })
    };
    (name, Box::new(call))
}

#[test]
#[ignore = "measures"]
fn echoes() {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        return listen(Path::new(&directory));
    }
    let server = Server::start();
    let stage = Stage::new(server.connect("grpc"));
    let current = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let multi = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut paths = [
        raw(server.connect("raw")),
        ("session", Box::new(|bytes: &[u8]| stage.call("echo", bytes).unwrap())),
        tonic("tonic, current thread", current, server.connect("grpc")),
        tonic("tonic, one worker", multi, server.connect("grpc")),
    ];
    for (length, calls) in [(64, 2_000), (65_536, 500)] {
        let arguments = vec![b'x'; length];
        let mut times = vec![Vec::new(); paths.len()];
        for _ in 0..ROUNDS {
            for ((_, call), times) in paths.iter_mut().zip(&mut times) {
                let start = clock::now();
                for _ in 0..calls {
                    assert_eq!(call(&arguments).len(), length);
                }
                times.push((clock::now() - start) / calls);
            }
        }
        for ((name, _), times) in paths.iter().zip(&mut times) {
            times.sort_unstable();
            let micros = |nanos: u64| nanos as f64 / 1_000.0;
            let (low, median, high) = (times[0], times[ROUNDS / 2], times[ROUNDS - 1]);
            println!("{length:6} B  {name:22} {:7.1} us ({:.1}-{:.1})", micros(median), micros(low), micros(high));
        }
    }
}
