//! Go's net/rpc: on one stream a client numbers its calls, and the server answers them in any order.

use std::collections::BTreeMap;

use super::gob::{Decoder, Frame, Framer, Value, Wanted};
use super::messages::{Argument, Writer};
use super::{Wired, broken};

/// Room for what stands around arguments and results in a message.
const ENVELOPE_BYTES: usize = 64 * 1024;

/// Longest header of a call or an answer; it carries the text of an error.
const MAX_HEADER_BYTES: usize = 1024 * 1024;

/// Calls that nobody waits for any more and that the plugin still has not answered.
const MAX_FORGOTTEN: usize = 256;

/// Longest name of a method, in bytes.
const MAX_METHOD_NAME: usize = 256;

/// Host calls of one stream that are under way; further ones are not read until some were answered. As many as a plugin may
/// make at the same time, so that one with a single stream waits and is not refused.
const MAX_UNDER_WAY: usize = 64;

/// Who waits for the answer of a call.
pub trait Waiter {
    /// True once the answer would be thrown away.
    fn is_gone(&self) -> bool;
}

/// What a call is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Nothing that matters.
    Nothing,
    /// An unsigned number.
    Number,
    /// A registration: JSON, or a struct.
    Registration,
    /// The result of a plugin's function.
    CallResponse,
}

/// What a call came to.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    /// It was made; there is no answer.
    Done,
    /// A number.
    Number(u64),
    /// A registration.
    Registration(Value),
    /// The plugin's function came to a result.
    Result(Vec<u8>),
    /// The plugin failed, and says why.
    Failed(String),
    /// The answer was a message of so many bytes, which is more than is read.
    TooLarge(u64),
}

/// What comes next on a stream.
#[derive(Debug, Default)]
struct Inbox {
    framer: Framer,
    decoder: Decoder,
}

/// What an inbox gives.
enum Received {
    Value(Value),
    TooLarge(u64),
}

impl Inbox {
    /// The next value, passing over the descriptions of types.
    fn next(&mut self, limit: usize, wanted: Wanted) -> Wired<Option<Received>> {
        while let Some(frame) = self.framer.next(limit)? {
            match frame {
                Frame::TooLarge(length) => return Ok(Some(Received::TooLarge(length))),
                Frame::Message(body) => {
                    if let Some(value) = self.decoder.message(&body, wanted)? {
                        return Ok(Some(Received::Value(value)));
                    }
                }
            }
        }
        Ok(None)
    }

    fn header(&mut self, fields: &'static [&'static str]) -> Wired<Option<Value>> {
        match self.next(MAX_HEADER_BYTES, Wanted::Fields(fields))? {
            None => Ok(None),
            Some(Received::Value(header)) => Ok(Some(header)),
            Some(Received::TooLarge(length)) => broken(format!("a net/rpc header has {length} bytes")),
        }
    }
}

/// Calls that the host makes on one stream.
#[derive(Debug)]
pub struct Client<T> {
    inbox: Inbox,
    writer: Writer,
    next: u64,
    waiting: BTreeMap<u64, Call<T>>,
    answered: Option<Answered<T>>,
}

#[derive(Debug)]
struct Call<T> {
    expected: Expected,
    waiter: T,
}

/// A call whose answer's header was read.
#[derive(Debug)]
struct Answered<T> {
    call: Call<T>,
    error: String,
}

impl<T> Default for Client<T> {
    fn default() -> Self {
        Self { inbox: Inbox::default(), writer: Writer::default(), next: 0, waiting: BTreeMap::new(), answered: None }
    }
}

impl<T: Waiter> Client<T> {
    /// Makes a call: appends it to `out`.
    pub fn call(
        &mut self,
        method: &str,
        argument: &Argument,
        expected: Expected,
        waiter: T,
        out: &mut Vec<u8>,
    ) -> Wired<()> {
        if self.waiting.len() >= MAX_FORGOTTEN
            && self.waiting.values().filter(|call| call.waiter.is_gone()).count() >= MAX_FORGOTTEN
        {
            return broken(format!("{MAX_FORGOTTEN} calls were given up, and never answered"));
        }
        self.writer.request(method, self.next, argument, out);
        self.waiting.insert(self.next, Call { expected, waiter });
        self.next += 1;
        Ok(())
    }

    /// Takes what came on the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.inbox.framer.push(bytes);
    }

    /// The next call that is answered.
    pub fn next(&mut self, result_bytes: usize) -> Wired<Option<(T, Outcome)>> {
        if self.answered.is_none() {
            let Some(header) = self.inbox.header(&["Seq", "Error"])? else { return Ok(None) };
            self.answered = Some(self.match_call(header)?);
        }
        let Some(answered) = self.answered.as_ref() else { return Ok(None) };
        let wanted = answered.wanted();
        let Some(body) = self.inbox.next(result_bytes.saturating_add(ENVELOPE_BYTES), wanted)? else {
            return Ok(None);
        };
        let Some(Answered { call, error }) = self.answered.take() else { return Ok(None) };
        let outcome = match body {
            _ if !error.is_empty() => Outcome::Failed(error),
            Received::TooLarge(length) => Outcome::TooLarge(length),
            Received::Value(value) => call.expected.outcome(value)?,
        };
        Ok(Some((call.waiter, outcome)))
    }

    fn match_call(&mut self, mut header: Value) -> Wired<Answered<T>> {
        let sequence = header.take_uint("Seq")?;
        let error = header.take_text("Error")?;
        match self.waiting.remove(&sequence) {
            Some(call) => Ok(Answered { call, error }),
            None => broken(format!("call {sequence} is answered, which does not wait for an answer")),
        }
    }
}

impl<T: Waiter> Answered<T> {
    fn wanted(&self) -> Wanted {
        if !self.error.is_empty() || self.call.waiter.is_gone() {
            return Wanted::Nothing;
        }
        match self.call.expected {
            Expected::Nothing => Wanted::Nothing,
            Expected::Number | Expected::Registration => Wanted::All,
            Expected::CallResponse => Wanted::Fields(&["Result", "Error"]),
        }
    }
}

impl Expected {
    fn outcome(self, value: Value) -> Wired<Outcome> {
        match (self, value) {
            // Nobody waits any more, or nothing is expected.
            (_, Value::Null) | (Self::Nothing, _) => Ok(Outcome::Done),
            (Self::Number, Value::Uint(number)) => Ok(Outcome::Number(number)),
            (Self::Registration, value @ (Value::Bytes(_) | Value::Struct(_))) => Ok(Outcome::Registration(value)),
            (Self::CallResponse, mut value @ Value::Struct(_)) => {
                let error = value.take_text("Error")?;
                if !error.is_empty() {
                    return Ok(Outcome::Failed(error));
                }
                Ok(Outcome::Result(value.take_bytes("Result")?))
            }
            (_, value) => broken(format!("a call is answered with {}", value.kind())),
        }
    }
}

/// A call that the plugin makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostCall {
    /// The stream that it came on.
    pub stream: u32,
    /// Its number there.
    pub sequence: u64,
    /// Name of the host function.
    pub function: String,
    /// Arguments, JSON.
    pub arguments: Vec<u8>,
    /// Token of the plugin's call that it is made for.
    pub token: String,
}

/// The service that plugins call, on one stream.
#[derive(Debug, Default)]
pub struct Server {
    inbox: Inbox,
    writer: Writer,
    request: Option<Request>,
    under_way: usize,
}

/// A call whose header was read.
#[derive(Debug)]
struct Request {
    method: String,
    sequence: u64,
}

/// The one method of the service.
const HOST_METHOD: &str = "Plugin.Call";

impl Server {
    /// Takes what came on the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.inbox.framer.push(bytes);
    }

    /// True when further calls may be read.
    pub fn has_room(&self) -> bool {
        self.under_way < MAX_UNDER_WAY
    }

    /// The next call, as long as there is room; what is no call of the service is answered at once, to `out`.
    pub fn next(&mut self, stream: u32, argument_bytes: usize, out: &mut Vec<u8>) -> Wired<Option<HostCall>> {
        while self.has_room() {
            if self.request.is_none() {
                let Some(header) = self.inbox.header(&["ServiceMethod", "Seq"])? else { return Ok(None) };
                self.request = Some(Request::read(header)?);
            }
            let is_known = self.request.as_ref().is_some_and(|request| request.method == HOST_METHOD);
            let wanted = if is_known { Wanted::Fields(&["Method", "Args", "CallToken"]) } else { Wanted::Nothing };
            let Some(body) = self.inbox.next(argument_bytes.saturating_add(ENVELOPE_BYTES), wanted)? else {
                return Ok(None);
            };
            let Some(Request { method, sequence }) = self.request.take() else { return Ok(None) };
            if !is_known {
                self.writer.refusal(&method, sequence, &unknown(&method), out);
                continue;
            }
            match body {
                Received::TooLarge(length) => {
                    let reason = format!("the arguments have {length} bytes, the limit is {argument_bytes}");
                    self.writer.answer(HOST_METHOD, sequence, Err(&reason), out);
                }
                Received::Value(mut value) => {
                    self.under_way += 1;
                    return Ok(Some(HostCall {
                        stream,
                        sequence,
                        function: value.take_text("Method")?,
                        arguments: value.take_bytes("Args")?,
                        token: value.take_text("CallToken")?,
                    }));
                }
            }
        }
        Ok(None)
    }

    /// Answers a call.
    pub fn answer(&mut self, sequence: u64, answer: Result<&[u8], &str>, out: &mut Vec<u8>) {
        self.under_way = self.under_way.saturating_sub(1);
        self.writer.answer(HOST_METHOD, sequence, answer, out);
    }
}

impl Request {
    fn read(mut header: Value) -> Wired<Self> {
        let method = header.take_text("ServiceMethod")?;
        if method.len() > MAX_METHOD_NAME {
            return broken(format!("the name of a method has {} bytes", method.len()));
        }
        Ok(Self { method, sequence: header.take_uint("Seq")? })
    }
}

/// What Go's server says about a method that it does not have.
fn unknown(method: &str) -> String {
    match method.rsplit_once('.') {
        None => format!("rpc: service/method request ill-formed: {method}"),
        Some(("Plugin", _)) => format!("rpc: can't find method {method}"),
        Some(_) => format!("rpc: can't find service {method}"),
    }
}
