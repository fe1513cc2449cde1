//! What a plugin writes: lines for its log, the last ones kept for the day it crashes, and the line it introduces itself with.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::handshake::{MAX_LINE_BYTES, wrong};
use super::session::{Channel, Output};
use super::tail::Tail;
use crate::error::{Error, ErrorCode, Result};
use crate::executor;
use crate::host::{HostApi, LogLevel};

/// Longest line for the log, in bytes; the rest of it becomes further lines.
const MAX_LOG_LINE: usize = 16 * 1024;
/// How long the last lines of a process that has ended are waited for. Nobody can hold its pipes open any more.
pub(super) const TAIL_PATIENCE: Duration = Duration::from_millis(200);
/// Bytes that are read from one stream in [`PERIOD`]; a plugin that writes faster waits.
const BYTES_PER_PERIOD: usize = 256 * 1024;
const PERIOD: Duration = Duration::from_millis(250);
/// Periods that are waited for at most, whatever came at once: an honest plugin that prints much for a moment goes on soon.
const MAX_DEBT_PERIODS: usize = 32;
/// Bytes that a line counts for besides its own: each is work for the thread that all plugins share.
const LINE_COST: usize = 256;

/// The log of one process.
pub(super) struct ProcessLog {
    host: Arc<dyn HostApi>,
    tail: Mutex<Tail>,
    lines: [Mutex<Lines>; 2],
    /// What a session may still bring.
    session: Mutex<Budget>,
    /// Streams that have ended, of the two.
    ended: watch::Sender<usize>,
}

impl ProcessLog {
    /// A log that hands its lines to `host`.
    pub(super) fn new(host: Arc<dyn HostApi>) -> Arc<Self> {
        let (tail, lines, session) = (Mutex::default(), Default::default(), Mutex::new(Budget::new()));
        Arc::new(Self { host, tail, lines, session, ended: watch::channel(0).0 })
    }

    /// Takes what a stream brought.
    pub(super) fn write(&self, channel: Channel, bytes: &[u8]) {
        let lines = &self.lines[channel as usize];
        let complete = lock(lines).push(bytes, MAX_LOG_LINE);
        complete.iter().for_each(|line| self.line(line));
    }

    /// Takes what a stream brought before it ended, without an end of line.
    fn finish(&self, channel: Channel) {
        let rest = std::mem::take(&mut lock(&self.lines[channel as usize]).rest);
        if !rest.is_empty() {
            self.line(&rest);
        }
        self.ended.send_modify(|ended| *ended += 1);
    }

    /// Waits until everything that the process wrote has been read, at most for `patience`.
    pub(super) async fn ended(&self, patience: Duration) {
        let mut ended = self.ended.subscribe();
        let _ = tokio::time::timeout(patience, ended.wait_for(|ended| *ended >= 2)).await;
    }

    /// The last lines.
    pub(super) fn tail(&self) -> String {
        lock(&self.tail).text()
    }

    /// The way into it for a session.
    pub(super) fn output(self: &Arc<Self>) -> Output {
        let log = Arc::clone(self);
        Arc::new(move |channel, bytes| {
            log.write(channel, bytes);
            let mut budget = lock(&log.session);
            budget.spend(bytes);
            budget.pause()
        })
    }

    fn line(&self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end();
        if text.is_empty() {
            return;
        }
        let (level, message) = structured(text).unwrap_or_else(|| (LogLevel::Info, text.to_owned()));
        // What go-plugin says about its own work is no last word.
        if level != LogLevel::Debug {
            lock(&self.tail).push(&message);
        }
        self.host.log(None, level, &message);
    }
}

/// A line as go-plugin's logger writes it: JSON with `@level` and `@message`; other members follow the message.
fn structured(line: &str) -> Option<(LogLevel, String)> {
    let Value::Object(mut fields) = serde_json::from_str(line).ok()? else { return None };
    let mut take = |name: &str| match fields.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let (mut message, level) = (take("@message")?, take("@level")?);
    let level = match level.as_str() {
        "trace" | "debug" => LogLevel::Debug,
        "warn" => LogLevel::Warn,
        "error" => LogLevel::Error,
        _ => LogLevel::Info,
    };
    for (name, value) in fields.iter().filter(|(name, _)| *name != "@timestamp") {
        message.push_str(&format!(" {name}={value}"));
    }
    Some((level, message))
}

/// Bytes on their way to being lines.
#[derive(Debug, Default)]
struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// Lines that are complete with these bytes, or as long as a line may be.
    fn push(&mut self, bytes: &[u8], max_bytes: usize) -> Vec<Vec<u8>> {
        let mut complete = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let mut part = part;
            while self.rest.len() + part.len() > max_bytes {
                let (fits, more) = part.split_at(max_bytes - self.rest.len());
                self.rest.extend_from_slice(fits);
                complete.push(std::mem::take(&mut self.rest));
                part = more;
            }
            self.rest.extend_from_slice(part);
            if part.ends_with(b"\n") {
                complete.push(std::mem::take(&mut self.rest));
            }
        }
        complete
    }
}

/// Reads both streams of a process until they end. Answers its first line on standard output, or why there is none.
pub(super) fn pump(
    (stdout, stderr): (OwnedFd, OwnedFd),
    log: &Arc<ProcessLog>,
) -> Result<oneshot::Receiver<Result<Vec<u8>>>> {
    let io = executor::io()?;
    let _entered = io.enter();
    let open = |pipe| {
        Receiver::from_owned_fd(pipe).map_err(|error| {
            Error::new(ErrorCode::EnvironmentResources, "can't read what a native plugin writes").with_source(error)
        })
    };
    let (stdout, stderr) = (open(stdout)?, open(stderr)?);
    let (first_line, handshake) = oneshot::channel();
    let (of_stdout, of_stderr) = (Arc::clone(log), Arc::clone(log));
    io.spawn(async move {
        let mut stream = Throttled::new(stdout);
        let _ = first_line.send(read_first_line(&mut stream, &of_stdout).await);
        drain(stream, &of_stdout, Channel::Stdout).await;
    });
    io.spawn(async move { drain(Throttled::new(stderr), &of_stderr, Channel::Stderr).await });
    Ok(handshake)
}

async fn read_first_line(stream: &mut Throttled, log: &ProcessLog) -> Result<Vec<u8>> {
    let mut line = Vec::new();
    loop {
        let Some(bytes) = stream.read().await else {
            return Err(Error::new(
                ErrorCode::PluginHandshake,
                "the plugin ended, or closed its standard output, before it introduced itself (where the environment says \
                 GOATKIT_PLUGIN=goatkit-v1, it has to print `1|1|unix|SOCKET|grpc|` and to serve)",
            ));
        };
        let (head, tail) = match bytes.iter().position(|byte| *byte == b'\n') {
            Some(end) => (&bytes[..end], Some(&bytes[end + 1..])),
            None => (bytes, None),
        };
        if line.len() + head.len() > MAX_LINE_BYTES {
            line.extend_from_slice(&head[..head.len().min(200)]);
            return Err(wrong(&format!("has more than {MAX_LINE_BYTES} bytes"), &line));
        }
        line.extend_from_slice(head);
        if let Some(tail) = tail {
            log.write(Channel::Stdout, tail);
            return Ok(line);
        }
    }
}

async fn drain(mut stream: Throttled, log: &ProcessLog, channel: Channel) {
    while let Some(bytes) = stream.read().await {
        log.write(channel, bytes);
    }
    log.finish(channel);
}

/// How much of what a plugin writes is taken.
struct Budget {
    period: Instant,
    left: usize,
    /// What was taken beyond the budget of a period is owed to later ones.
    debt: usize,
}

impl Budget {
    fn new() -> Self {
        Self { period: Instant::now(), left: BYTES_PER_PERIOD, debt: 0 }
    }

    /// When something may be taken again, if that is not now.
    fn pause(&mut self) -> Option<Instant> {
        while self.left == 0 {
            let next = self.period + PERIOD;
            if Instant::now() < next {
                return Some(next);
            }
            self.period = next;
            let paid = self.debt.min(BYTES_PER_PERIOD);
            (self.debt, self.left) = (self.debt - paid, BYTES_PER_PERIOD - paid);
        }
        if self.period.elapsed() >= PERIOD {
            (self.period, self.left) = (Instant::now(), BYTES_PER_PERIOD);
        }
        None
    }

    fn spend(&mut self, bytes: &[u8]) {
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
        let cost = bytes.len().saturating_add(lines.saturating_mul(LINE_COST));
        let debt = self.debt.saturating_add(cost.saturating_sub(self.left));
        self.debt = debt.min(MAX_DEBT_PERIODS * BYTES_PER_PERIOD);
        self.left = self.left.saturating_sub(cost);
    }
}

/// A pipe that is read no faster than a log can be of use.
struct Throttled {
    pipe: Receiver,
    buffer: Box<[u8]>,
    budget: Budget,
}

impl Throttled {
    fn new(pipe: Receiver) -> Self {
        let buffer = vec![0; 16 * 1024].into_boxed_slice();
        Self { pipe, buffer, budget: Budget::new() }
    }

    /// The next bytes; `None` at the end, and when reading fails, which a pipe does for no other reason.
    async fn read(&mut self) -> Option<&[u8]> {
        while let Some(pause) = self.budget.pause() {
            tokio::time::sleep_until(pause).await;
        }
        let length = self.pipe.read(&mut self.buffer).await.ok().filter(|length| *length > 0)?;
        let bytes = self.buffer.get(..length)?;
        self.budget.spend(bytes);
        Some(bytes)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_lines_however_they_arrive() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(b"a\nbc", 10), [b"a\n"]);
        assert_eq!(lines.push(b"d\n\n", 10), [b"bcd\n".as_slice(), b"\n"]);
        assert_eq!(lines.push(b"0123456789012", 10), [b"0123456789"]);
        assert_eq!(lines.push(b"\n", 10), [b"012\n"]);
    }

    #[test]
    fn short_lines_are_paid_for_and_debts_too() {
        let mut budget = Budget::new();
        assert_eq!(budget.pause(), None);
        budget.spend(&b"\n".repeat(16 * 1024));
        // They cost as much as sixteen periods allow.
        assert!(budget.pause().is_some());
        assert!(budget.debt > 15 * BYTES_PER_PERIOD);
        budget.period -= 15 * PERIOD;
        assert!(budget.pause().is_some(), "not paid yet");
        budget.period -= 10 * PERIOD;
        assert_eq!((budget.pause(), budget.debt), (None, 0));
        let mut budget = Budget::new();
        for _ in 0..16 {
            assert_eq!(budget.pause(), None);
            budget.spend(&[b'x'; 16 * 1024]);
        }
        assert!(budget.pause().is_some(), "a long line costs its bytes");
    }

    #[test]
    fn lines_of_go_plugins_logger_are_taken_apart() {
        let line = r#"{"@level":"warn","@message":"slow","@timestamp":"x","took":3,"what":"a b"}"#;
        let (level, message) = structured(line).unwrap();
        assert_eq!((level, message.as_str()), (LogLevel::Warn, r#"slow took=3 what="a b""#));
        assert!(structured("{}").is_none() && structured("panic: x").is_none());
    }
}
