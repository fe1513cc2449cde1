//! Plugins that speak go-plugin's older protocol, which is what existing GoatFlow plugins speak: net/rpc with gob, on
//! streams of yamux.
//!
//! [`wire`] is the protocol, without I/O; [`driver`] the one task of a session, which owns the connection; a session hands
//! calls to it and waits for the answers.

mod driver;
mod registration;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use self::driver::{Command, Driver, Notice, Waiting, limits, read_buffer};
use self::wire::{Argument, Expected, HOST_API, Outcome, Stack, Target};
use super::host_calls::{HostCalls, InFlight};
use super::meter::Meter;
use super::running::END_PATIENCE;
use super::session::{Ending, OnLost, Output, Session, wait};
use crate::error::{Error, ErrorCode, Result};
use crate::executor;
use crate::plugin::CallContext;
use crate::plugin::name::shorten;

/// Name that GoatFlow plugins are registered under at go-plugin.
const PLUGIN: &str = "gkplugin";

/// Calls that are handed to the task ahead of time; callers beyond that are woken once more.
const COMMANDS: usize = 128;

/// Longest text of an error that a plugin gives.
const MAX_ERROR_TEXT: usize = 4096;

/// Time in which a call whose connection broke learns how the process ended: longer than a process may take to end before it
/// is made to.
const ENDING_PATIENCE: Duration = END_PATIENCE.saturating_add(Duration::from_secs(2));

/// A conversation over net/rpc.
pub(super) struct NetRpcSession {
    commands: mpsc::Sender<Command>,
    notices: mpsc::UnboundedSender<Notice>,
    host_calls: Arc<HostCalls>,
    ending: watch::Sender<Option<Ending>>,
}

impl NetRpcSession {
    /// Starts to talk over a connection to a program that has introduced itself: asks for the plugin and dials it. Blocks
    /// until the plugin is there.
    ///
    /// `on_lost` may be called before this returns.
    pub(super) fn connect(
        stream: UnixStream,
        host_calls: Arc<HostCalls>,
        output: Output,
        on_lost: OnLost,
        context: &CallContext,
    ) -> Result<Self> {
        let io = executor::io()?;
        let socket = {
            let _entered = io.enter();
            stream.set_nonblocking(true).and_then(|()| tokio::net::UnixStream::from_std(stream))
        };
        let socket = socket.map_err(|error| {
            Error::new(ErrorCode::EnvironmentIo, format!("can't use the connection to the plugin: {error}"))
        })?;
        let (commands, command_queue) = mpsc::channel(COMMANDS);
        let (notices, notice_queue) = mpsc::unbounded_channel();
        io.spawn(Driver {
            socket,
            stack: Stack::new(limits(&host_calls)),
            commands: command_queue,
            notices: notice_queue,
            unread: Vec::new(),
            answers: notices.clone(),
            host_calls: Arc::clone(&host_calls),
            output,
            pause: None,
            meter: Meter::new(),
            frames: 0,
            on_lost: Some(on_lost),
            buffer: read_buffer(),
            events: Vec::new(),
        });
        let session = Self { commands, notices, host_calls, ending: watch::Sender::new(None) };
        session.dial(context)?;
        Ok(session)
    }

    fn dial(&self, context: &CallContext) -> Result<()> {
        // How the process ended is found out by who started it, not here.
        let answer = self.ask_unless_over(context, |waiting| Command::Call {
            target: Target::Control,
            method: "Dispenser.Dispense",
            argument: Argument::Text(PLUGIN),
            expected: Expected::Number,
            waiting,
        })?;
        let number = match answer.ok_or_else(broke)? {
            Outcome::Number(number) => u32::try_from(number).ok(),
            Outcome::Failed(reason) => return Err(failed(&reason)),
            _ => None,
        };
        let Some(number) = number else {
            return Err(unexpected("Dispenser.Dispense"));
        };
        match self.ask_unless_over(context, |waiting| Command::Dial(number, waiting))? {
            Some(_) => Ok(()),
            None => Err(broke()),
        }
    }

    fn control(
        &self,
        context: &CallContext,
        method: &'static str,
        argument: Argument,
        expected: Expected,
    ) -> Result<Outcome> {
        self.ask(context, |waiting| Command::Call { target: Target::Control, method, argument, expected, waiting })
    }

    fn plugin(
        &self,
        context: &CallContext,
        method: &'static str,
        argument: Argument,
        expected: Expected,
    ) -> Result<Outcome> {
        self.ask(context, |waiting| Command::Call { target: Target::Plugin, method, argument, expected, waiting })
    }

    /// Hands a command to the task and waits for its outcome; both end with the call.
    fn ask(&self, context: &CallContext, command: impl FnOnce(Waiting) -> Command) -> Result<Outcome> {
        match self.ask_unless_over(context, command)? {
            Some(outcome) => Ok(outcome),
            None => Err(wait(context, self.why_over())?),
        }
    }

    /// The same; answers nothing when the session is over, or ends meanwhile.
    fn ask_unless_over(
        &self,
        context: &CallContext,
        command: impl FnOnce(Waiting) -> Command,
    ) -> Result<Option<Outcome>> {
        context.check_alive()?;
        let (sender, receiver) = oneshot::channel();
        wait(context, async {
            // Fails when the task has ended; the sender of the answer is gone then, too.
            drop(self.commands.send(command(Waiting(sender))).await);
            receiver.await.ok()
        })
    }

    /// How the session came to its end. Whoever learns that the connection broke finds out soon how the process ended.
    async fn why_over(&self) -> Error {
        let mut ending = self.ending.subscribe();
        let ended = tokio::time::timeout(ENDING_PATIENCE, ending.wait_for(Option::is_some)).await;
        match ended {
            Ok(Ok(ending)) => ending.as_ref().map(Ending::error),
            _ => None,
        }
        .unwrap_or_else(broke)
    }
}

impl Session for NetRpcSession {
    fn register(&self, context: &CallContext) -> Result<Vec<u8>> {
        match self.plugin(context, "Plugin.GKRegister", Argument::Nil, Expected::Registration)? {
            Outcome::Registration(value) => registration::document(value),
            Outcome::TooLarge(length) => Err(Error::new(
                ErrorCode::PackageRegistrationInvalid,
                format!("the plugin's registration has {length} bytes, which is too many"),
            )),
            outcome => Err(failure(outcome, "Plugin.GKRegister")),
        }
    }

    fn init(&self, context: &CallContext, config: &BTreeMap<String, String>) -> Result<()> {
        let argument = Argument::Init { config: config.clone(), host_api: HOST_API };
        done(self.plugin(context, "Plugin.Init", argument, Expected::Nothing)?, "Plugin.Init")
    }

    fn call(&self, call: &InFlight<'_>, function: &str, arguments: &[u8]) -> Result<Vec<u8>> {
        let argument =
            Argument::Call { function: function.to_owned(), arguments: arguments.to_vec(), token: call.token() };
        let limit = self.host_calls.bounds().result_bytes;
        match self.plugin(call.context, "Plugin.Call", argument, Expected::CallResponse)? {
            Outcome::Result(result) if result.len() <= limit => Ok(result),
            Outcome::Result(result) => Err(too_large(result.len() as u64, limit)),
            Outcome::TooLarge(length) => Err(too_large(length, limit)),
            outcome => Err(failure(outcome, "Plugin.Call")),
        }
    }

    fn probe(&self, context: &CallContext) -> Result<()> {
        done(self.control(context, "Control.Ping", Argument::True, Expected::Nothing)?, "Control.Ping")
    }

    fn shutdown(&self, context: &CallContext) -> Result<()> {
        let shut_down = self.plugin(context, "Plugin.Shutdown", Argument::Nil, Expected::Nothing);
        let shut_down = shut_down.and_then(|outcome| done(outcome, "Plugin.Shutdown"));
        // go-plugin ends the program on this, also when the plugin failed to shut down; often before it has answered.
        let quit = self.ask_unless_over(context, |waiting| Command::Call {
            target: Target::Control,
            method: "Control.Quit",
            argument: Argument::True,
            expected: Expected::Nothing,
            waiting,
        })?;
        quit.map_or(Ok(()), |outcome| done(outcome, "Control.Quit"))?;
        shut_down
    }

    fn close(&self, ending: Ending) {
        self.ending.send_if_modified(|known| {
            let is_first = known.is_none();
            known.get_or_insert(ending);
            is_first
        });
        // The task may have ended.
        drop(self.notices.send(Notice::Close));
    }
}

impl Drop for NetRpcSession {
    fn drop(&mut self) {
        drop(self.notices.send(Notice::Close));
    }
}

fn done(outcome: Outcome, method: &str) -> Result<()> {
    match outcome {
        Outcome::Done | Outcome::TooLarge(_) => Ok(()),
        outcome => Err(failure(outcome, method)),
    }
}

fn failure(outcome: Outcome, method: &str) -> Error {
    match outcome {
        Outcome::Failed(reason) => failed(&reason),
        _ => unexpected(method),
    }
}

fn failed(reason: &str) -> Error {
    Error::new(ErrorCode::PluginFailed, shorten(reason, MAX_ERROR_TEXT))
}

fn too_large(length: u64, limit: usize) -> Error {
    Error::new(ErrorCode::PluginResultTooLarge, format!("the plugin's answer has {length} bytes, the limit is {limit}"))
}

fn broke() -> Error {
    Error::new(ErrorCode::PluginProtocol, "the connection to the plugin broke")
}

fn unexpected(method: &str) -> Error {
    Error::new(ErrorCode::PluginProtocol, format!("the plugin answers {method} with something else than agreed"))
}
