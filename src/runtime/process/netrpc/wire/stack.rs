//! The whole conversation: which stream is what, and what is said on it.
//!
//! This side opens a stream for control, one for the plugin's standard output and one for its standard error, in that
//! order. It asks on the first one for the plugin, gets a number, and dials it: calls go there. The plugin dials the
//! number that it is told for the host API, if it wants one.

use std::collections::BTreeMap;

use super::messages::Argument;
use super::rpc::{Client, Expected, HostCall, Outcome, Server, Waiter};
use super::yamux::{self, Traffic, Yamux};
use super::{Violation, Wired, broken};

/// What the plugin dials for the host API.
pub const HOST_API: u32 = 1;

/// Bytes that wait to be sent. While there are more, no further call is made; while the answers of host calls are more, no
/// further host call is read.
const MAX_QUEUED: usize = 1024 * 1024;

/// Length of the number that is said when a stream is dialled.
const DIAL_BYTES: usize = size_of::<u32>();

/// What came of what was received.
#[derive(Debug, PartialEq)]
pub enum Event<T> {
    /// A call was answered.
    Answered(T, Outcome),
    /// The plugin makes a host call.
    HostCall(HostCall),
    /// The plugin wrote to its standard output.
    Stdout(Vec<u8>),
    /// The plugin wrote to its standard error.
    Stderr(Vec<u8>),
    /// The plugin ended the conversation.
    Ended,
}

/// Whom a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// go-plugin itself.
    Control,
    /// GoatFlow's plugin.
    Plugin,
}

/// Bounds on messages that are read.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Longest arguments of a host call.
    pub argument_bytes: usize,
    /// Longest result of a call.
    pub result_bytes: usize,
}

/// One conversation.
#[derive(Debug)]
pub struct Stack<T> {
    yamux: Yamux,
    limits: Limits,
    streams: Fixed,
    control: Client<T>,
    plugin: Client<T>,
    dialling: Option<Dialling<T>>,
    /// Streams of the plugin that have not yet said what they are for.
    arriving: BTreeMap<u32, Vec<u8>>,
    serving: BTreeMap<u32, Serving>,
    /// Bytes of standard output and standard error that were not given back to their windows.
    printed: [usize; 2],
}

/// Streams that this side opened.
#[derive(Debug)]
struct Fixed {
    control: u32,
    stdout: u32,
    stderr: u32,
    plugin: Option<u32>,
}

/// A stream that was dialled, until the other side says the number back.
#[derive(Debug)]
struct Dialling<T> {
    number: u32,
    answer: Vec<u8>,
    waiter: T,
}

/// A stream on which the plugin makes host calls.
#[derive(Debug, Default)]
struct Serving {
    server: Server,
    /// Bytes that were read and not given back to the window, as long as there is no room for further calls.
    withheld: usize,
}

impl<T: Waiter> Stack<T> {
    /// Opens the streams that go-plugin expects first.
    pub fn new(limits: Limits) -> Self {
        let mut yamux = Yamux::default();
        let (control, stdout, stderr) = (yamux.open(), yamux.open(), yamux.open());
        Self {
            yamux,
            limits,
            streams: Fixed { control, stdout, stderr, plugin: None },
            control: Client::default(),
            plugin: Client::default(),
            dialling: None,
            arriving: BTreeMap::new(),
            serving: BTreeMap::new(),
            printed: [0; 2],
        }
    }

    /// Puts other bounds in force.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// True when a call may be added.
    pub fn has_room(&self) -> bool {
        let queued = |id| self.yamux.queued(id);
        queued(self.streams.control) + self.streams.plugin.map_or(0, queued) < MAX_QUEUED
    }

    /// Dials the plugin; `waiter` is told once it is there.
    pub fn dial(&mut self, number: u32, waiter: T) -> Wired<()> {
        if self.streams.plugin.is_some() {
            return broken("the plugin is dialled a second time");
        }
        let id = self.yamux.open();
        self.streams.plugin = Some(id);
        if let Some(queue) = self.yamux.queue(id) {
            queue.extend(number.to_le_bytes());
        }
        self.dialling = Some(Dialling { number, answer: Vec::new(), waiter });
        Ok(())
    }

    /// True when so few answers of host calls wait to be sent that further ones are read.
    pub fn has_sent_answers(&self) -> bool {
        self.yamux.queued_on_incoming() < MAX_QUEUED
    }

    /// Makes a call.
    pub fn call(
        &mut self,
        target: Target,
        method: &str,
        argument: &Argument,
        expected: Expected,
        waiter: T,
    ) -> Wired<()> {
        let (client, id) = match target {
            Target::Control => (&mut self.control, Some(self.streams.control)),
            Target::Plugin => (&mut self.plugin, self.streams.plugin),
        };
        match id.and_then(|id| self.yamux.queue(id)) {
            Some(queue) => client.call(method, argument, expected, waiter, queue),
            None => broken("the plugin is called before it was dialled"),
        }
    }

    /// Answers a host call.
    pub fn answer(&mut self, stream: u32, sequence: u64, answer: Result<&[u8], &str>) {
        if let Some(serving) = self.serving.get_mut(&stream)
            && let Some(queue) = self.yamux.queue(stream)
        {
            serving.server.answer(sequence, answer, queue);
        }
    }

    /// Reads what came.
    pub fn receive(&mut self, mut input: &[u8], events: &mut Vec<Event<T>>) -> Wired<()> {
        while let Some(event) = self.yamux.receive(&mut input)? {
            match event {
                yamux::Event::Opened(id) => {
                    self.arriving.insert(id, Vec::new());
                }
                yamux::Event::Data(id, data) => self.read(id, data, events)?,
                yamux::Event::Finished(id) | yamux::Event::Cut(id) => self.end(id, events),
            }
        }
        Ok(())
    }

    /// Reads host calls that had to wait for room.
    pub fn resume(&mut self, events: &mut Vec<Event<T>>) -> Wired<()> {
        let waiting = self.serving.iter().filter(|(_, serving)| serving.withheld > 0);
        let waiting: Vec<u32> = waiting.map(|(id, _)| *id).collect();
        waiting.into_iter().try_for_each(|id| self.serve(id, events))
    }

    /// Lets the plugin print more: what it printed has been taken.
    pub fn go_on_printing(&mut self) {
        let [stdout, stderr] = std::mem::take(&mut self.printed);
        self.yamux.give_back(self.streams.stdout, stdout);
        self.yamux.give_back(self.streams.stderr, stderr);
    }

    /// What passed since this was asked the last time.
    pub fn traffic(&mut self) -> Traffic {
        self.yamux.traffic()
    }

    /// What is to be sent.
    pub fn output(&mut self) -> &[u8] {
        self.yamux.output()
    }

    /// Takes from the output what was sent.
    pub fn sent(&mut self, count: usize) {
        self.yamux.sent(count);
    }

    /// True when more may be received.
    pub fn wants_input(&self) -> bool {
        self.yamux.wants_input()
    }

    fn read(&mut self, id: u32, data: &[u8], events: &mut Vec<Event<T>>) -> Wired<()> {
        if let Some(serving) = self.serving.get_mut(&id) {
            serving.server.push(data);
            serving.withheld += data.len();
            return self.serve(id, events);
        }
        if self.arriving.contains_key(&id) {
            return self.arrive(id, data, events);
        }
        let [stdout, stderr] = &mut self.printed;
        if id == self.streams.stdout {
            *stdout += data.len();
            events.push(Event::Stdout(data.to_vec()));
            return Ok(());
        }
        if id == self.streams.stderr {
            *stderr += data.len();
            events.push(Event::Stderr(data.to_vec()));
            return Ok(());
        }
        self.yamux.give_back(id, data.len());
        if id == self.streams.control {
            self.control.push(data);
        } else if Some(id) == self.streams.plugin {
            let rest = self.finish_dialling(data, events)?;
            self.plugin.push(rest);
        }
        self.take_answers(events)
    }

    fn take_answers(&mut self, events: &mut Vec<Event<T>>) -> Wired<()> {
        for client in [&mut self.control, &mut self.plugin] {
            while let Some((waiter, outcome)) = client.next(self.limits.result_bytes)? {
                events.push(Event::Answered(waiter, outcome));
            }
        }
        Ok(())
    }

    /// Reads the number that the plugin says back; answers what follows it.
    fn finish_dialling<'a>(&mut self, data: &'a [u8], events: &mut Vec<Event<T>>) -> Wired<&'a [u8]> {
        let Some(mut dialling) = self.dialling.take() else { return Ok(data) };
        let rest = complete(&mut dialling.answer, data);
        match parse_number(&dialling.answer) {
            None => self.dialling = Some(dialling),
            Some(number) if number == dialling.number => {
                events.push(Event::Answered(dialling.waiter, Outcome::Done));
            }
            Some(number) => {
                return broken(format!("the plugin was dialled as {} and answers as {number}", dialling.number));
            }
        }
        Ok(rest)
    }

    /// Reads what a stream of the plugin is for.
    fn arrive(&mut self, id: u32, data: &[u8], events: &mut Vec<Event<T>>) -> Wired<()> {
        let Some(said) = self.arriving.get_mut(&id) else { return Ok(()) };
        let rest = complete(said, data);
        self.yamux.give_back(id, data.len() - rest.len());
        let Some(number) = parse_number(said) else { return Ok(()) };
        self.arriving.remove(&id);
        if number != HOST_API {
            // Nobody waits for it; go-plugin closes such a stream as well.
            self.yamux.cut(id);
            return Ok(());
        }
        if let Some(queue) = self.yamux.queue(id) {
            queue.extend(number.to_le_bytes());
        }
        let mut serving = Serving { withheld: rest.len(), ..Serving::default() };
        serving.server.push(rest);
        self.serving.insert(id, serving);
        self.serve(id, events)
    }

    /// Reads host calls, as long as there is room for them and for their answers.
    fn serve(&mut self, id: u32, events: &mut Vec<Event<T>>) -> Wired<()> {
        let Some(serving) = self.serving.get_mut(&id) else { return Ok(()) };
        while serving.server.has_room() && self.yamux.queued_on_incoming() < MAX_QUEUED {
            let Some(queue) = self.yamux.queue(id) else { break };
            match serving.server.next(id, self.limits.argument_bytes, queue)? {
                Some(call) => events.push(Event::HostCall(call)),
                None if !serving.server.has_room() => break,
                None => {
                    self.yamux.give_back(id, std::mem::take(&mut serving.withheld));
                    break;
                }
            }
        }
        Ok(())
    }

    fn end(&mut self, id: u32, events: &mut Vec<Event<T>>) {
        if id == self.streams.control || Some(id) == self.streams.plugin {
            events.push(Event::Ended);
        }
        self.arriving.remove(&id);
        if self.serving.remove(&id).is_some() {
            // Nobody reads the answers that wait.
            self.yamux.cut(id);
        }
        self.yamux.finish(id);
    }
}

/// Adds to `said` until it is a whole number; answers what follows.
fn complete<'a>(said: &mut Vec<u8>, data: &'a [u8]) -> &'a [u8] {
    let missing = DIAL_BYTES.saturating_sub(said.len()).min(data.len());
    let (number, rest) = data.split_at_checked(missing).unwrap_or((data, &[]));
    said.extend_from_slice(number);
    rest
}

fn parse_number(said: &[u8]) -> Option<u32> {
    said.try_into().ok().map(u32::from_le_bytes)
}

impl From<Violation> for String {
    fn from(violation: Violation) -> Self {
        violation.0
    }
}
