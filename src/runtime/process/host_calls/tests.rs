use std::sync::atomic::AtomicU32;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::*;
use crate::host::LogLevel;

const LIMITS: RuntimeLimits =
    RuntimeLimits { memory_bytes: 1 << 20, instances: 1, argument_bytes: 1024, result_bytes: 1024, host_calls: 0 };

/// A host whose calls and whose log take as long as the test wants.
struct Slow {
    calls: Mutex<Receiver<()>>,
    notes: Mutex<Receiver<()>>,
    noted: Sender<(std::thread::ThreadId, ErrorCode)>,
}

impl HostApi for Slow {
    fn call(&self, _: &CallContext, _: &str, _: &[u8]) -> Result<Reply> {
        let _ = self.calls.lock().unwrap().recv();
        Ok(Reply::Borrowed(b"{}"))
    }

    fn failed(&self, _: &CallContext, _: &str, error: &Error) {
        self.noted.send((std::thread::current().id(), error.code())).unwrap();
        let _ = self.notes.lock().unwrap().recv();
    }

    fn log(&self, _: Option<&CallContext>, _: LogLevel, _: &str) {}
}

#[test]
fn calls_beyond_the_bound_are_refused_at_once_however_slow_the_log_is() {
    let ((release, calls), (go_on, notes), (noted, seen)) = (channel(), channel(), channel());
    let host = Arc::new(Slow { calls: calls.into(), notes: notes.into(), noted });
    let host_calls = HostCalls::new(host, Arc::default(), LIMITS, Duration::from_secs(60));
    host_calls.open();
    let request = || HostRequest { function: "hold".into(), arguments: b"{}".to_vec(), token: String::new() };
    let (served, answers) = channel();
    for _ in 0..places::MAX_CONCURRENT {
        let served = served.clone();
        host_calls.serve(request(), move |answer| served.send(answer.map(drop)).unwrap());
    }
    // The first of these keeps the log busy; were it noted here, this thread would not come back.
    for _ in 0..100 {
        let (refused, answer) = channel();
        host_calls.serve(request(), move |answer| refused.send(answer.map(drop)).unwrap());
        let error = answer.try_recv().unwrap().unwrap_err();
        assert_eq!(error.code(), ErrorCode::LifecycleOverloaded);
    }
    let (thread, code) = seen.recv().unwrap();
    assert_eq!(code, ErrorCode::LifecycleOverloaded);
    assert_ne!(thread, std::thread::current().id());
    assert!(seen.try_recv().is_err(), "one at a time");
    // A plugin that is refused again and again waits for it.
    let mut late = Vec::new();
    for _ in 0..100_000 {
        let (refused, answer) = channel();
        host_calls.serve(request(), move |answer| refused.send(answer.map(drop)).unwrap());
        late.extend(answer.try_recv().is_err().then_some(answer));
        if late.len() == 3 {
            break;
        }
    }
    assert_eq!(late.len(), 3);
    for answer in late {
        assert_eq!(answer.recv().unwrap().unwrap_err().code(), ErrorCode::LifecycleOverloaded);
    }
    drop((go_on, release));
    for _ in 0..places::MAX_CONCURRENT {
        assert!(answers.recv().unwrap().is_ok());
    }
}

#[test]
fn all_processes_together_leave_threads_for_others() {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let ((release, calls), (_go_on, notes), (noted, _seen)) = (channel(), channel(), channel());
    let host = Arc::new(Slow { calls: calls.into(), notes: notes.into(), noted });
    let processes: Vec<_> = (0..8)
        .map(|_| {
            let host = Arc::clone(&host) as Arc<dyn HostApi>;
            let calls = HostCalls::new(host, Arc::new(Places::among(&TAKEN)), LIMITS, Duration::from_secs(60));
            calls.open();
            calls
        })
        .collect();
    let (served, answers) = channel();
    for calls in processes.iter().cycle().take(8 * 64) {
        let served = served.clone();
        let request = HostRequest { function: "hold".into(), arguments: b"{}".to_vec(), token: String::new() };
        calls.serve(request, move |answer| served.send(answer.map(drop)).unwrap());
    }
    // What was refused is answered already. Eight plugins in turns leave a ninth part of the common places.
    let refused = answers.try_iter().filter(std::result::Result::is_err).count();
    assert_eq!(refused, 8 * 64 - 8 * 8 - 285);
    let (done, finished) = channel();
    executor::spawn(move || done.send(()).unwrap()).unwrap();
    assert_eq!(finished.recv_timeout(Duration::from_secs(60)), Ok(()));
    drop(release);
    for _ in refused..8 * 64 {
        assert!(answers.recv().unwrap().is_ok());
    }
}
