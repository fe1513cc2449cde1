mod calls;
mod gob;
mod streams;

use super::gob::{Decoder, Frame, Framer, Wanted, put_uint};
use super::messages::{NUMBERS, Writer};
use super::*;

const LIMITS: Limits = Limits { argument_bytes: 1 << 20, result_bytes: 1 << 20 };

/// A call by its number; odd ones were given up.
#[derive(Debug, PartialEq)]
struct Call(u32);

impl Waiter for Call {
    fn is_gone(&self) -> bool {
        self.0 % 2 == 1
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn text(clause: &str) -> Violation {
    Violation(clause.to_owned())
}

/// Frames of one direction of the recorded conversation.
fn recorded(direction: &str) -> Vec<Vec<u8>> {
    let session = include_str!("../../../../../../tests/fixtures/netrpc/session.txt");
    session.lines().filter_map(|line| line.strip_prefix(direction)).map(hex).collect()
}

fn frame(kind: u8, flags: u8, stream: u32, number: u32, data: &[u8]) -> Vec<u8> {
    [&[0, kind, 0, flags][..], &stream.to_be_bytes(), &number.to_be_bytes(), data].concat()
}

fn data(stream: u32, data: &[u8]) -> Vec<u8> {
    frame(0, 0, stream, data.len() as u32, data)
}

/// What frames carry on a stream.
fn on_stream(stream: u32, frames: &[u8]) -> Vec<u8> {
    let (mut carried, mut rest) = (Vec::new(), frames);
    while let Some((header, behind)) = rest.split_first_chunk::<12>() {
        let number = u32::from_be_bytes(header[8..].try_into().unwrap()) as usize;
        let length = if header[1] == 0 { number } else { 0 };
        if header[4..8] == stream.to_be_bytes() {
            carried.extend(&behind[..length]);
        }
        rest = &behind[length..];
    }
    carried
}

fn typed(of: &Result<Vec<Event<Call>>, Violation>) -> Vec<String> {
    of.as_ref().unwrap().iter().map(|event| format!("{event:?}")).collect()
}

/// A host that makes the recorded calls, one after the other.
struct Host {
    stack: Stack<Call>,
    calls: std::vec::IntoIter<(Target, &'static str, Argument, Expected)>,
    answers: std::vec::IntoIter<Result<&'static str, &'static str>>,
    sent: Vec<u8>,
    seen: Vec<String>,
}

impl Host {
    fn new() -> Self {
        let call = |function: &str, arguments: &str| {
            let (function, arguments) = (function.to_owned(), arguments.as_bytes().to_vec());
            let argument = Argument::Call { function, arguments, token: String::new() };
            (Target::Plugin, "Plugin.Call", argument, Expected::CallResponse)
        };
        let config = [("plugin_name".to_owned(), "p".to_owned())].into();
        let calls = vec![
            (Target::Plugin, "Plugin.GKRegister", Argument::Nil, Expected::Registration),
            (Target::Plugin, "Plugin.Init", Argument::Init { config, host_api: HOST_API }, Expected::Nothing),
            call("cfg", "{}"),
            call("tr", "{}"),
            call("cdel", "{}"),
            call("q", "{}"),
            call("nil", "{}"),
            call("err", "{}"),
            call("z", ""),
            (Target::Control, "Control.Ping", Argument::True, Expected::Nothing),
            (Target::Plugin, "Plugin.Shutdown", Argument::Nil, Expected::Nothing),
            (Target::Control, "Control.Quit", Argument::True, Expected::Nothing),
        ];
        let value = Ok(r#"{"value":"v"}"#);
        let answers = vec![value, value, Err("unknown host API method: cache_delete"), Ok(r#"[{"a":1}]"#)];
        let mut stack = Stack::new(LIMITS);
        let argument = Argument::Text("gkplugin");
        stack.call(Target::Control, "Dispenser.Dispense", &argument, Expected::Number, Call(0)).unwrap();
        let (calls, answers) = (calls.into_iter(), answers.into_iter());
        Self { stack, calls, answers, sent: Vec::new(), seen: Vec::new() }
    }

    fn take(&mut self, bytes: &[u8]) {
        let mut events = Vec::new();
        self.stack.receive(bytes, &mut events).unwrap();
        for event in events {
            self.seen.push(format!("{event:?}"));
            match event {
                Event::Answered(_, Outcome::Number(number)) => {
                    self.stack.dial(u32::try_from(number).unwrap(), Call(2)).unwrap();
                }
                Event::Answered(..) => {
                    if let Some((target, method, argument, expected)) = self.calls.next() {
                        self.stack.call(target, method, &argument, expected, Call(4)).unwrap();
                    }
                }
                Event::HostCall(call) => {
                    let answer = self.answers.next().unwrap().map(str::as_bytes);
                    self.stack.answer(call.stream, call.sequence, answer);
                }
                _ => {}
            }
        }
        let output = self.stack.output().to_vec();
        self.stack.sent(output.len());
        self.sent.extend(output);
    }
}

#[test]
fn a_recorded_conversation_is_repeated_byte_by_byte() {
    let mut host = Host::new();
    recorded("< ").iter().for_each(|frame| host.take(frame));
    let theirs = recorded("> ").concat();
    // The recorded host's calls had no tokens yet: its description of the type has one field less.
    let before =
        hex("2fff850301010b43616c6c5265717565737401ff86000102010846756e6374696f6e010c00010441726773010a000000");
    let after = hex("3dff850301010b43616c6c5265717565737401ff86000103010846756e6374696f6e010c00010441726773010a000109\
         43616c6c546f6b656e010c000000");
    for stream in [1, 2, 7] {
        let mut expected = on_stream(stream, &theirs);
        if let Some(at) = expected.windows(before.len()).position(|bytes| bytes == before) {
            expected.splice(at..at + before.len(), after.iter().copied());
        }
        assert_eq!(on_stream(stream, &host.sent), expected, "stream {stream}");
    }
    let registration = r#"{"name":"p","version":"1","description":"","author":"","license":"","homepage":""}"#;
    let value = Value::Bytes(registration.into());
    let answer = |outcome: Outcome| format!("{:?}", Event::Answered(Call(4), outcome));
    let result = |json: &str| answer(Outcome::Result(json.into()));
    let host_call = |sequence, function: &str, arguments: &str| {
        let (function, arguments) = (function.to_owned(), arguments.into());
        let call = HostCall { stream: 2, sequence, function, arguments, token: String::new() };
        format!("{:?}", Event::<Call>::HostCall(call))
    };
    let expected = [
        format!("{:?}", Event::Answered(Call(0), Outcome::Number(1))),
        format!("{:?}", Event::Answered(Call(2), Outcome::Done)),
        answer(Outcome::Registration(value)),
        answer(Outcome::Done),
        host_call(0, "config_get", r#"{"key":"app.name"}"#),
        result(r#"{"err":"json: cannot unmarshal object into Go value of type string","v":""}"#),
        host_call(1, "translate", r#"{"args":null,"key":"k"}"#),
        result(r#""k""#),
        host_call(2, "cache_delete", r#"{"key":"k"}"#),
        result(r#""host: unknown host API method: cache_delete""#),
        host_call(3, "db_query", r#"{"args":[1,"x"],"query":"SELECT 1"}"#),
        result(r#"{"err":"\u003cnil\u003e","r":[{"a":1}]}"#),
        result(""),
        answer(Outcome::Failed("boom".to_owned())),
        result(r#"{"ok":true}"#),
        answer(Outcome::Done),
        answer(Outcome::Done),
        answer(Outcome::Done),
    ];
    assert_eq!(host.seen, expected);
}

/// Numbers that look random and are the same every time.
fn pieces(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move |limit| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        1 + (state % limit.max(1) as u64) as usize
    }
}

#[test]
fn how_bytes_are_cut_into_pieces_changes_nothing() {
    let bytes = recorded("< ").concat();
    let mut whole = Host::new();
    recorded("< ").iter().for_each(|frame| whole.take(frame));
    for seed in 0..300 {
        let (mut host, mut rest, mut length) = (Host::new(), &bytes[..], pieces(seed));
        // Shorter than a header: the host must have answered one frame before the next one can come.
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(length(11).min(rest.len()));
            host.take(piece);
            rest = behind;
        }
        assert_eq!(host.seen, whole.seen, "seed {seed}");
        for stream in [1, 2, 7] {
            assert_eq!(on_stream(stream, &host.sent), on_stream(stream, &whole.sent), "seed {seed}");
        }
    }
}

#[test]
fn messages_are_written_as_go_writes_them() {
    let (mut writer, mut out) = (Writer::default(), Vec::new());
    writer.refusal("Plugin.X", 300, "no", &mut out);
    writer.refusal("Plugin.X", 0, "no", &mut out);
    // Made by Go 1.26 with the same numbers of types.
    let expected =
        hex("3aff8703010108526573706f6e736501ff88000103010d536572766963654d6574686f64010c0001035365710106000105457272\
         6f72010c00000015ff880108506c7567696e2e5801fe012c01026e6f000aff8b030102ff8c00000003ff8c0011ff880108506c75\
         67696e2e5802026e6f0003ff8c00");
    assert_eq!(out, expected);
    let mut numbers = NUMBERS.to_vec();
    numbers.dedup();
    assert_eq!(numbers, (64..=70).collect::<Vec<_>>());
}

fn gob_message(body: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    put_uint(&mut message, body.len() as u64);
    message.extend(body);
    message
}

/// What a stream of gob comes to, each message by what it gives.
fn decode(stream: &[u8]) -> Wired<Vec<Value>> {
    let (mut framer, mut decoder, mut values) = (Framer::default(), Decoder::default(), Vec::new());
    framer.push(stream);
    while let Some(frame) = framer.next(1 << 20)? {
        let Frame::Message(body) = frame else { panic!("{frame:?}") };
        values.extend(decoder.message(&body, Wanted::All)?);
    }
    Ok(values)
}

/// A description of a struct with these fields.
fn struct_type(id: i64, fields: &[(&str, i64)]) -> Vec<u8> {
    let number = |number: i64| {
        let mut bytes = Vec::new();
        put_uint(&mut bytes, (if number < 0 { !number << 1 | 1 } else { number << 1 }) as u64);
        bytes
    };
    let mut body = [number(-id), vec![3, 1, 2], number(id), vec![0, 1]].concat();
    put_uint(&mut body, fields.len() as u64);
    for (name, of) in fields {
        body.push(1);
        put_uint(&mut body, name.len() as u64);
        body.extend(name.as_bytes());
        body.push(1);
        body.extend(number(*of));
        body.push(0);
    }
    body.extend([0, 0]);
    gob_message(&body)
}

/// A stack whose plugin was dialled, with one call waiting on each stream.
fn connected() -> Stack<Call> {
    let mut stack = Stack::new(LIMITS);
    stack.call(Target::Control, "Control.Ping", &Argument::True, Expected::Nothing, Call(0)).unwrap();
    stack.dial(1, Call(2)).unwrap();
    stack.call(Target::Plugin, "Plugin.Call", &Argument::Nil, Expected::CallResponse, Call(4)).unwrap();
    stack
}

fn receive(stack: &mut Stack<Call>, bytes: &[u8]) -> Result<Vec<Event<Call>>, Violation> {
    let mut events = Vec::new();
    stack.receive(bytes, &mut events).map(|()| events)
}
