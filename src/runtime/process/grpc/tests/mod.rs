//! Sessions with peers of both kinds: a plugin as others write it, and peers that do what no plugin should.

mod connections;
mod host;
mod hostile;
mod hostile_host_service;
mod latency;
mod leaks;
mod peer;
mod raw;
mod sessions;

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::clock;
use crate::plugin::{Cancellation, Origin, RuntimeLimits};
use host::Recorder;

/// Longer than any of this takes; a test that waits for so long fails.
const LONG: Duration = Duration::from_secs(60);

pub(super) const LIMITS: RuntimeLimits = RuntimeLimits {
    memory_bytes: 1 << 26,
    instances: 8,
    argument_bytes: 1 << 20,
    result_bytes: 1 << 20,
    host_calls: 0,
};

/// Output that the host takes its time for.
const SLOW: &[u8] = b"slow\n";

fn context() -> CallContext {
    context_for(LONG)
}

fn context_for(time: Duration) -> CallContext {
    let deadline = clock::now().saturating_add(clock::saturating_nanos(time));
    CallContext::from_host(deadline, Cancellation::new(), Origin::default())
}

/// What belongs to one session under test.
struct Stage {
    session: GrpcSession,
    host_calls: Arc<HostCalls>,
    host: Arc<Recorder>,
    lost: Mutex<Receiver<Lost>>,
    output: Arc<Mutex<Vec<(super::super::session::Channel, Vec<u8>)>>>,
    address: PathBuf,
    _directory: tempfile::TempDir,
}

impl Stage {
    /// A session over `stream`.
    fn new(stream: UnixStream) -> Self {
        Self::with_peers(stream, Arc::new(|_| true)).unwrap()
    }

    fn with_peers(stream: UnixStream, is_peer: IsPeer) -> Result<Self> {
        let directory = tempfile::tempdir().unwrap();
        let address = directory.path().join("host");
        let listener = UnixListener::bind(&address).unwrap();
        let host = Arc::new(Recorder::default());
        let api = Arc::clone(&host) as Arc<dyn crate::host::HostApi>;
        let host_calls = HostCalls::new(api, Arc::default(), LIMITS, LONG);
        let (sender, lost) = channel();
        let output = Arc::new(Mutex::new(Vec::new()));
        let setup = Setup {
            stream,
            listener,
            address: &address,
            is_peer,
            host_calls: Arc::clone(&host_calls),
            output: {
                let output = Arc::clone(&output);
                Arc::new(move |channel, bytes: &[u8]| {
                    if !bytes.is_empty() {
                        output.lock().unwrap().push((channel, bytes.to_vec()));
                    }
                    (bytes == SLOW).then(|| tokio::time::Instant::now() + Duration::from_millis(200))
                })
            },
            on_lost: Box::new(move |lost| drop(sender.send(lost))),
        };
        let session = connect(setup, &context())?;
        Ok(Self { session, host_calls, host, lost: Mutex::new(lost), output, address, _directory: directory })
    }

    fn call(&self, function: &str, arguments: &[u8]) -> Result<Vec<u8>> {
        self.call_in(&context(), function, arguments)
    }

    fn call_in(&self, context: &CallContext, function: &str, arguments: &[u8]) -> Result<Vec<u8>> {
        let call = self.host_calls.enter(context)?.unwrap();
        self.session.call(&call, function, arguments)
    }

    fn init(&self) -> Result<()> {
        self.session.init(&context(), &BTreeMap::from([("plugin_name".to_owned(), "peer".to_owned())]))
    }

    fn lost(&self) -> Lost {
        self.lost.lock().unwrap().recv_timeout(LONG).unwrap()
    }
}

/// Waits until `is_so`, with whatever other threads do in between.
fn eventually(is_so: impl Fn() -> bool) {
    let end = clock::now().saturating_add(clock::saturating_nanos(LONG));
    while !is_so() {
        assert!(clock::now() < end, "it never came to that");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}
