//! Lines that are typed, or come through a pipe.

use std::collections::VecDeque;
use std::io::{self, BufRead, IsTerminal};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use goatflow_plugin::clock;
use goatflow_plugin::error::Result;
use goatflow_plugin::manager::{CallOptions, Manager};
use goatflow_plugin::plugin::Cancellation;
use rustix::fs::FileType;
use serde_json::{Value, json};

use super::Message;
use super::screen::{Screen, Tone};
use crate::policy_words;

/// Calls that `calls` shows.
const MAX_CALLS: usize = 20;

const HELP: &str = "\
call FUNCTION [JSON]   call the plugin
watch FUNCTION [JSON]  call it now and after every change; `watch` alone ends that
calls                  show the last calls
policy                 show the smallest policy that lets the plugin work, and why
help                   show this
quit                   end";

pub(super) struct Console {
    screen: Screen,
    /// Stops the call that runs.
    current: Arc<Mutex<Cancellation>>,
    calls: VecDeque<String>,
    watched: Option<(String, String)>,
    is_listening: bool,
}

impl Console {
    pub(super) fn new(screen: Screen, current: Arc<Mutex<Cancellation>>) -> Self {
        Self { screen, current, calls: VecDeque::new(), watched: None, is_listening: false }
    }

    /// Begins to read lines, if somebody can send any.
    pub(super) fn listen(&mut self, sender: Sender<Message>) {
        if std::mem::replace(&mut self.is_listening, true) || !can_send(&io::stdin()) {
            return;
        }
        std::thread::spawn(move || {
            for line in io::stdin().lock().lines() {
                let Ok(line) = line else { break };
                if sender.send(Message::Line(line)).is_err() {
                    return;
                }
            }
            let _ = sender.send(Message::Ended);
        });
    }

    /// Does what a line says; false when the program is to end.
    pub(super) fn obey(&mut self, manager: &Manager, plugin: Option<&str>, line: &str) -> bool {
        let (word, rest) = first_word(line);
        match (word, plugin) {
            ("", _) => {}
            ("quit" | "exit", _) => return false,
            ("help", _) => self.screen.say("help", json!({ "text": HELP }), Tone::Plain, HELP),
            ("calls", _) => {
                let calls: Vec<&String> = self.calls.iter().collect();
                let words = if calls.is_empty() { "no calls yet".to_owned() } else { joined(&calls) };
                self.screen.say("calls", json!({ "calls": calls }), Tone::Plain, &words);
            }
            ("watch", _) if rest.trim().is_empty() => self.watched = None,
            ("call" | "watch" | "policy", None) => {
                self.screen.say(
                    "error",
                    json!({ "what": "no plugin is loaded" }),
                    Tone::Bad,
                    "no plugin is loaded yet",
                );
            }
            ("policy", Some(plugin)) => self.suggest(manager, plugin),
            ("call", Some(plugin)) => self.call(manager, plugin, rest),
            ("watch", Some(plugin)) => {
                self.watched = Some((plugin.to_owned(), rest.to_owned()));
                self.call(manager, plugin, rest);
            }
            _ => {
                let words = format!("there is no command `{word}` (try `help`)");
                self.screen.say("error", json!({ "what": words }), Tone::Bad, &words);
            }
        }
        true
    }

    /// Makes the watched call again.
    pub(super) fn repeat(&mut self, manager: &Manager, plugin: &str) {
        if let Some((_, rest)) = self.watched.clone() {
            self.call(manager, plugin, &rest);
        }
    }

    fn call(&mut self, manager: &Manager, plugin: &str, rest: &str) {
        let (function, arguments) = first_word(rest);
        let cancellation = Cancellation::new();
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = cancellation.clone();
        let options = CallOptions { cancellation, ..CallOptions::default() };
        let (mut answer, started) = (None, clock::now());
        let outcome = manager.call(plugin, function, arguments.trim().as_bytes(), &options, &mut |bytes| {
            answer = Some(String::from_utf8_lossy(bytes).into_owned());
            Ok(())
        });
        let took_us = clock::now().saturating_sub(started) / 1_000;
        let words = match (&outcome, &answer) {
            (Ok(()), Some(answer)) => format!("{function}: {answer}"),
            (Ok(()), None) => format!("{function}: no answer"),
            (Err(error), _) => format!("{function} failed: {error} [{}]", error.code().slug()),
        };
        let facts = json!({
            "function": function,
            "arguments": arguments.trim(),
            "answer": answer,
            "error": outcome.as_ref().err().map(|error| error.to_json()),
            "took_us": took_us,
        });
        let tone = if outcome.is_ok() { Tone::Plain } else { Tone::Bad };
        self.screen.say("called", facts, tone, &format!("{words} ({} ms)", took_us / 1_000));
        if self.calls.len() == MAX_CALLS {
            self.calls.pop_front();
        }
        self.calls.push_back(words);
    }

    fn suggest(&self, manager: &Manager, plugin: &str) {
        let suggestion: Result<Value> = manager.policy_suggest(plugin, b"");
        match suggestion {
            Ok(suggestion) => {
                let words = policy_words::suggestion(&suggestion);
                self.screen.say("policy", suggestion, Tone::Plain, &words);
            }
            Err(error) => self.screen.error("no policy can be suggested", &error.to_json()),
        }
    }
}

/// The first word, and what follows it.
fn first_word(line: &str) -> (&str, &str) {
    let line = line.trim();
    line.split_once(char::is_whitespace).map_or((line, ""), |(word, rest)| (word, rest.trim()))
}

fn joined(lines: &[&String]) -> String {
    lines.iter().map(|line| line.as_str()).collect::<Vec<_>>().join("\n")
}

/// A terminal, a pipe or a file; not `/dev/null`, whose end is no wish to end.
fn can_send(input: &io::Stdin) -> bool {
    let is_device =
        rustix::fs::fstat(input).is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::CharacterDevice);
    input.is_terminal() || !is_device
}
