//! The task that owns a connection: it moves bytes between the socket and the [`Stack`], calls from the threads that make
//! them, and host calls to worker threads.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Sleep, sleep_until};

use super::wire::{Argument, Event, Expected, HostCall, Limits, Outcome, Stack, Target, Waiter, Wired};
use crate::error::{Error, Result};
use crate::runtime::process::host_calls::{Answer, Held, HostCalls, HostRequest};
use crate::runtime::process::meter::{Meter, excess};
use crate::runtime::process::session::{Channel, Lost, OnLost, Output};

/// Bytes that are read from the socket at once.
const READ_BYTES: usize = 64 * 1024;

/// Frames with next to no content after which others have their turn.
const TURN: u64 = 4_000;

/// Longest text of an error that a plugin gets.
const MAX_ERROR_TEXT: usize = 4096;

/// What a thread asks the task to do; it waits for the answer.
pub(super) enum Command {
    /// Reach the plugin by the number that it is registered under.
    Dial(u32, Waiting),
    /// Make a call.
    Call {
        /// Whom it is for.
        target: Target,
        /// Name of the method.
        method: &'static str,
        /// What is sent.
        argument: Argument,
        /// What is answered.
        expected: Expected,
        /// Who waits.
        waiting: Waiting,
    },
}

/// What is told to the task; nobody waits.
pub(super) enum Notice {
    /// A host call came to an end.
    Answer {
        /// Stream of the call.
        stream: u32,
        /// Number of the call there.
        sequence: u64,
        /// What the host answers.
        answer: Result<Answer>,
    },
    /// The session is over.
    Close,
}

/// A thread that waits for an answer.
pub(super) struct Waiting(pub(super) oneshot::Sender<Outcome>);

impl Waiter for Waiting {
    fn is_gone(&self) -> bool {
        self.0.is_closed()
    }
}

/// The task of one session.
pub(super) struct Driver {
    /// The connection.
    pub(super) socket: UnixStream,
    /// What is said on it.
    pub(super) stack: Stack<Waiting>,
    /// Calls of the host. Bounded: the others wait with their threads, until their deadline.
    pub(super) commands: mpsc::Receiver<Command>,
    /// Answers of host calls. As many as calls are under way, which the stack bounds.
    pub(super) notices: mpsc::UnboundedReceiver<Notice>,
    /// What the answers count for that the plugin has not read.
    pub(super) unread: Vec<Held>,
    /// Where host calls leave their answers.
    pub(super) answers: mpsc::UnboundedSender<Notice>,
    /// The way to the host.
    pub(super) host_calls: Arc<HostCalls>,
    /// What the plugin writes goes there.
    pub(super) output: Output,
    /// Until when nothing more is taken of what the plugin writes.
    pub(super) pause: Option<Pin<Box<Sleep>>>,
    /// Counts frames.
    pub(super) meter: Meter,
    /// Frames with next to no content that came.
    pub(super) frames: u64,
    /// Told when the connection breaks.
    pub(super) on_lost: Option<OnLost>,
    /// Room for what is read.
    pub(super) buffer: Box<[u8]>,
    /// What came, until it is handed on.
    pub(super) events: Vec<Event<Waiting>>,
}

/// Room for what is read at once.
pub(super) fn read_buffer() -> Box<[u8]> {
    vec![0; READ_BYTES].into()
}

/// Bounds of messages, as they are at this moment.
pub(super) fn limits(host_calls: &HostCalls) -> Limits {
    let bounds = host_calls.bounds();
    Limits { argument_bytes: bounds.argument_bytes, result_bytes: bounds.result_bytes }
}

/// Why the task ends.
enum End {
    /// The session was closed.
    Closed,
    /// The connection can't go on.
    Lost(Lost),
}

/// What a step of the task did; `Pending` when it waits for something that wakes the task.
type Step = Poll<std::result::Result<(), End>>;

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let driver = &mut *self;
        let turn = driver.frames + TURN;
        loop {
            if driver.frames >= turn {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            match driver.step(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(end)) => {
                    driver.end(end);
                    return Poll::Ready(());
                }
            }
        }
    }
}

impl Driver {
    /// One round; `Pending` when it found nothing to do.
    fn step(&mut self, context: &mut Context<'_>) -> Step {
        let mut is_waiting = true;
        // What there is to say goes out together, in one system call and for one wake-up of the other side.
        for take in [Self::take_notice, Self::take_command] {
            while let Poll::Ready(taken) = take(self, context) {
                taken?;
                is_waiting = false;
            }
        }
        for transfer in [Self::let_print, Self::write, Self::read] {
            if let Poll::Ready(transferred) = transfer(self, context) {
                transferred?;
                is_waiting = false;
            }
        }
        if is_waiting { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    fn take_notice(&mut self, context: &mut Context<'_>) -> Step {
        match ready!(self.notices.poll_recv(context)) {
            Some(Notice::Answer { stream, sequence, answer }) => {
                match answer {
                    Ok(Answer { reply, held }) => {
                        self.stack.answer(stream, sequence, Ok(&reply));
                        self.unread.push(held);
                        self.let_go();
                    }
                    Err(error) => self.stack.answer(stream, sequence, Err(&error_text(&error))),
                }
                Poll::Ready(self.advance(|stack, events| stack.resume(events)))
            }
            Some(Notice::Close) | None => Poll::Ready(Err(End::Closed)),
        }
    }

    /// Answers that are as good as sent no longer count.
    fn let_go(&mut self) {
        if self.stack.has_sent_answers() {
            self.unread.clear();
        }
    }

    fn take_command(&mut self, context: &mut Context<'_>) -> Step {
        if !self.stack.has_room() {
            return Poll::Pending;
        }
        let Some(command) = ready!(self.commands.poll_recv(context)) else {
            return Poll::Ready(Err(End::Closed));
        };
        Poll::Ready(self.advance(|stack, _| match command {
            Command::Dial(number, waiting) => stack.dial(number, waiting),
            // A call that was given up before it was sent.
            Command::Call { waiting, .. } if waiting.is_gone() => Ok(()),
            Command::Call { target, method, argument, expected, waiting } => {
                stack.call(target, method, &argument, expected, waiting)
            }
        }))
    }

    fn write(&mut self, context: &mut Context<'_>) -> Step {
        if self.stack.output().is_empty() {
            return Poll::Pending;
        }
        loop {
            ready!(self.socket.poll_write_ready(context)).map_err(lost)?;
            match self.socket.try_write(self.stack.output()) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(lost(error))),
                Ok(count) => {
                    self.stack.sent(count);
                    self.let_go();
                    return Poll::Ready(self.advance(|stack, events| stack.resume(events)));
                }
            }
        }
    }

    fn read(&mut self, context: &mut Context<'_>) -> Step {
        if !self.stack.wants_input() {
            return Poll::Pending;
        }
        loop {
            ready!(self.socket.poll_read_ready(context)).map_err(lost)?;
            match self.socket.try_read(&mut self.buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(lost(error))),
                Ok(0) => return Poll::Ready(Err(End::Lost(Lost::Closed))),
                Ok(count) => {
                    self.stack.set_limits(limits(&self.host_calls));
                    let buffer = std::mem::take(&mut self.buffer);
                    let received = buffer.get(..count).unwrap_or_default();
                    let step = self.advance(|stack, events| stack.receive(received, events));
                    self.buffer = buffer;
                    return Poll::Ready(step.and_then(|()| self.count()));
                }
            }
        }
    }

    /// Counts the frames that passed.
    fn count(&mut self) -> std::result::Result<(), End> {
        let traffic = self.stack.traffic();
        self.meter.sent(traffic.sent);
        self.frames = self.frames.saturating_add(traffic.idle);
        if self.meter.received(traffic.idle) {
            return Ok(());
        }
        Err(End::Lost(Lost::Protocol(excess())))
    }

    /// Lets the plugin write more, once it may.
    fn let_print(&mut self, context: &mut Context<'_>) -> Step {
        while let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(context));
            // What was printed at once may be worth several pauses.
            self.pause = (self.output)(Channel::Stdout, &[]).map(|until| Box::pin(sleep_until(until)));
        }
        self.stack.go_on_printing();
        Poll::Pending
    }

    /// Lets the stack go on, and hands on what comes of it, also when the stack breaks afterwards.
    fn advance(
        &mut self,
        change: impl FnOnce(&mut Stack<Waiting>, &mut Vec<Event<Waiting>>) -> Wired<()>,
    ) -> std::result::Result<(), End> {
        let mut events = std::mem::take(&mut self.events);
        let changed = change(&mut self.stack, &mut events);
        let handed_on = events.drain(..).try_for_each(|event| self.hand_on(event));
        self.events = events;
        changed.map_err(|violation| End::Lost(Lost::Protocol(violation.0)))?;
        handed_on
    }

    fn hand_on(&mut self, event: Event<Waiting>) -> std::result::Result<(), End> {
        match event {
            // Whoever gave the call up does not want the answer.
            Event::Answered(waiting, outcome) => drop(waiting.0.send(outcome)),
            Event::HostCall(call) => self.serve(call),
            Event::Stdout(bytes) => self.print(Channel::Stdout, &bytes),
            Event::Stderr(bytes) => self.print(Channel::Stderr, &bytes),
            Event::Ended => return Err(End::Lost(Lost::Closed)),
        }
        Ok(())
    }

    fn print(&mut self, channel: Channel, bytes: &[u8]) {
        if let Some(pause) = (self.output)(channel, bytes) {
            self.pause = Some(Box::pin(sleep_until(pause)));
        }
    }

    fn serve(&self, call: HostCall) {
        let HostCall { stream, sequence, function, arguments, token } = call;
        let answers = self.answers.clone();
        self.host_calls.serve(HostRequest { function, arguments, token }, move |answer| {
            // The session may be over.
            drop(answers.send(Notice::Answer { stream, sequence, answer }));
        });
    }

    fn end(&mut self, end: End) {
        self.commands.close();
        if let (End::Lost(lost), Some(on_lost)) = (end, self.on_lost.take()) {
            on_lost(lost);
        }
    }
}

/// What a plugin reads about a host call that failed.
fn error_text(error: &Error) -> String {
    let text = error.to_string();
    if text.is_empty() { error.code().slug().to_owned() } else { crate::plugin::name::shorten(&text, MAX_ERROR_TEXT) }
}

/// A socket fails when the other side is gone.
fn lost(error: io::Error) -> End {
    match error.kind() {
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::NotConnected => End::Lost(Lost::Closed),
        _ => End::Lost(Lost::Protocol(format!("the connection failed: {error}"))),
    }
}
