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
    let session = include_str!("../../../../../tests/fixtures/netrpc/session.txt");
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
    answers: std::vec::IntoIter<std::result::Result<&'static str, &'static str>>,
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

#[test]
fn values_of_every_kind_are_read() {
    // struct{A int; B uint; C float64; D complex128; E []string; F [2]bool; G map[string]int; H any; I time.Time;
    // J struct{}}: made by Go 1.26.
    let stream = hex(include_str!("../../../../../tests/fixtures/netrpc/kinds.hex"));
    let values = decode(&stream).unwrap();
    let [Value::Struct(fields)] = &values[..] else { panic!("{values:?}") };
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    assert_eq!(
        fields,
        [
            "A=Int(-5)",
            "B=Uint(70000)",
            "C=Float(1.5)",
            "D=Complex(1.0, -2.0)",
            "E=List([Text(\"x\"), Text(\"\")])",
            "F=List([Bool(true), Bool(false)])",
            "G=Map([(Text(\"k\"), Int(7))])",
            "H=Null",
            "I=Bytes([1, 0, 0, 0, 14, 119, 145, 247, 0, 0, 0, 0, 0, 255, 255])",
            "K=Uint(9)",
        ]
    );
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

#[test]
fn types_that_are_bombs_are_refused() {
    let recursive = struct_type(65, &[("Next", 65)]);
    let deep = gob_message(&[&[0xff, 130][..], &[1; 100], &[0; 101]].concat());
    let list = gob_message(&[0xff, 129, 2, 1, 2, 0xff, 130, 0, 1, 2, 0, 0]);
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("recursion", [recursive, deep].concat(), "a gob value nests more than 32 deep"),
        (
            "a count without elements",
            [list.clone(), gob_message(&[0xff, 130, 0, 0xfc, 0x7f, 0xff, 0xff, 0xff])].concat(),
            "a gob message of 0 bytes says that 2147483647 elements follow",
        ),
        (
            "more values than are kept",
            [list, gob_message(&[&[0xff, 130, 0, 0xfd, 1, 0, 1][..], &[1; 65537]].concat())].concat(),
            "a gob message has more than 65536 values",
        ),
        (
            "more types than are kept",
            (64..400).flat_map(|id| struct_type(id, &[])).collect(),
            "more than 256 gob types are described",
        ),
        (
            "more fields than are kept",
            (64..300).flat_map(|id| struct_type(id, &[("A", 2); 64])).collect(),
            "the gob types have more than 4096 fields",
        ),
        (
            "a type twice",
            [struct_type(65, &[]), struct_type(65, &[])].concat(),
            "the gob type 65 is described a second time",
        ),
        ("a basic type", struct_type(6, &[]), "the gob type 6 is described a second time"),
        (
            "a field far away",
            [struct_type(65, &[("A", 2)]), gob_message(&[0xff, 130, 0xf8, 255, 255, 255, 255, 255, 255, 255, 255, 1])]
                .concat(),
            "a gob value has a field 18446744073709551615 places behind the one before",
        ),
        (
            "a field that the type does not have",
            [struct_type(65, &[("A", 2)]), gob_message(&[0xff, 130, 2, 1, 0])].concat(),
            "a gob struct of 1 fields has a field 2",
        ),
        ("an unknown type", gob_message(&[0xff, 130, 0, 0]), "a gob value has the type 65, which was not described"),
        ("a longer number", gob_message(&[0xf7, 1, 1, 1, 1, 1, 1, 1, 1, 1]), "a gob number has 9 bytes"),
        ("half a message", gob_message(&[12, 0, 9, 65]), "a gob message of 1 bytes says that 9 elements follow"),
        ("a message in a message", gob_message(&[12, 0, 1, 65, 66]), "1 bytes stand behind a gob value"),
        ("no message", vec![0], "a gob message has 0 bytes"),
        ("a length beyond all", hex("f87fffffffffffffff"), "a gob message has 9223372036854775807 bytes"),
        (
            "the smallest number as a type",
            gob_message(&hex("f8ffffffffffffffff00")),
            "the gob type 0 is described a second time",
        ),
    ];
    for (name, stream, clause) in cases {
        assert_eq!(decode(&stream), Err(text(clause)), "{name}");
    }
}

#[test]
fn a_message_that_is_too_large_is_passed_over() {
    let (mut framer, mut seen) = (Framer::default(), Vec::new());
    let large = gob_message(&vec![7; 100_000]);
    for piece in [large, gob_message(b"abc")].concat().chunks(999) {
        framer.push(piece);
        while let Some(frame) = framer.next(1000).unwrap() {
            seen.push(frame);
        }
    }
    assert_eq!(seen, [Frame::TooLarge(100_000), Frame::Message(b"abc".to_vec())]);
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

#[test]
fn frames_that_break_the_rules_end_the_session() {
    let response = struct_type(65, &[("ServiceMethod", 6), ("Seq", 3), ("Error", 6)]);
    let nothing = struct_type(66, &[]);
    let answer = |sequence: u8| [gob_message(&[0xff, 130, 2, sequence, 0]), gob_message(&[0xff, 132, 0])].concat();
    let window = 256 * 1024;
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("version", vec![1; 12], "a yamux frame has version 1 and kind 1"),
        ("kind", frame(4, 0, 1, 0, &[]), "a yamux frame has version 0 and kind 4"),
        ("a stream of ours", frame(1, 1, 9, 0, &[]), "the plugin opens the stream 9, which is not its to open"),
        ("stream 0", frame(1, 1, 0, 0, &[]), "the plugin opens the stream 0, which is not its to open"),
        (
            "a stream twice",
            [frame(1, 1, 2, 0, &[]), frame(1, 1, 2, 0, &[])].concat(),
            "the plugin opens the stream 2, which is not its to open",
        ),
        ("too many streams", frame(1, 1, 8194, 0, &[]), "the plugin opened more than 4096 streams"),
        ("data for no stream", data(2, b"x"), "a frame is for the stream 2, which was never opened"),
        ("a window for no stream", frame(1, 0, 11, 1, &[]), "a frame is for the stream 11, which was never opened"),
        (
            "a window that overflows",
            frame(1, 0, 1, u32::MAX, &[]),
            "the window of stream 1 grows beyond what a number can say",
        ),
        (
            "more data than the window",
            frame(0, 0, 3, window + 1, &[]),
            "262145 bytes come on stream 3, whose window has 262144",
        ),
        (
            "data after the end",
            [frame(1, 4, 3, 0, &[]), data(3, b"x")].concat(),
            "data comes on stream 3, which was finished",
        ),
        ("an end after the end", [frame(1, 4, 3, 0, &[]), frame(1, 4, 3, 0, &[])].concat(), ""),
        ("giving up", frame(3, 0, 0, 2, &[]), "the plugin gave up the connection with code 2"),
        ("another plugin", data(7, &[2, 0, 0, 0]), "the plugin was dialled as 1 and answers as 2"),
        (
            "an answer to nothing",
            data(1, &[response.clone(), nothing.clone(), answer(5)].concat()),
            "call 5 is answered, which does not wait for an answer",
        ),
        (
            "an answer given twice",
            data(
                1,
                &[response.clone(), nothing, gob_message(&[0xff, 130, 0]), gob_message(&[0xff, 132, 0]), answer(0)]
                    .concat(),
            ),
            "call 0 is answered, which does not wait for an answer",
        ),
        (
            "an answer of the wrong type",
            data(7, &[vec![1, 0, 0, 0], response, gob_message(&[0xff, 130, 0]), gob_message(&[12, 0, 0])].concat()),
            "a call is answered with text",
        ),
    ];
    for (name, bytes, clause) in cases {
        if clause.is_empty() {
            // The stream is gone once both sides have finished it; what comes then is passed over, as in Go.
            assert_eq!(receive(&mut connected(), &bytes), Err(text("stream 3 is finished a second time")), "{name}");
            continue;
        }
        assert_eq!(receive(&mut connected(), &bytes), Err(text(clause)), "{name}");
    }
}

#[test]
fn streams_that_nobody_waits_for_are_cut_off() {
    let mut stack = connected();
    let length = stack.output().len();
    stack.sent(length);
    let bytes = [frame(1, 1, 4, 0, &[]), data(4, &[9, 0, 0, 0]), data(4, b"more")].concat();
    assert_eq!(receive(&mut stack, &bytes), Ok(vec![]));
    assert_eq!(stack.output(), [frame(1, 2, 4, 0, &[]), frame(1, 8, 4, 0, &[])].concat());
}

#[test]
fn only_so_many_streams_are_open_at_a_time() {
    let mut stack = connected();
    let length = stack.output().len();
    stack.sent(length);
    let streams: Vec<u8> = (1..=17).flat_map(|id| frame(1, 1, id * 2, 0, &[])).collect();
    assert_eq!(receive(&mut stack, &streams), Ok(vec![]));
    let last = stack.output().rchunks(12).next().unwrap().to_vec();
    assert_eq!(last, frame(1, 8, 34, 0, &[]));
}

#[test]
fn pings_are_answered_and_a_flood_of_them_is_not_read() {
    let mut stack = connected();
    let length = stack.output().len();
    stack.sent(length);
    assert_eq!(receive(&mut stack, &frame(2, 1, 0, 77, &[])), Ok(vec![]));
    assert_eq!(stack.output(), frame(2, 2, 0, 77, &[]));
    let flood = frame(2, 1, 0, 1, &[]).repeat(1000);
    let mut floods = 0;
    while stack.wants_input() {
        assert_eq!(receive(&mut stack, &flood), Ok(vec![]));
        floods += 1;
    }
    assert_eq!(floods, 44);
}

#[test]
fn nothing_is_sent_beyond_the_window_and_nothing_queued_beyond_the_bound() {
    let mut stack = connected();
    let mut calls = 0;
    while stack.has_room() {
        let argument = Argument::Call { function: "f".into(), arguments: vec![b'1'; 100_000], token: String::new() };
        stack.call(Target::Plugin, "Plugin.Call", &argument, Expected::CallResponse, Call(6)).unwrap();
        calls += 1;
    }
    assert_eq!(calls, 11);
    let mut sent = Vec::new();
    while !stack.output().is_empty() {
        let output = stack.output().to_vec();
        stack.sent(output.len());
        sent.extend(output);
    }
    assert_eq!(on_stream(7, &sent).len(), 256 * 1024);
    assert_eq!(receive(&mut stack, &frame(1, 0, 7, 1000, &[])), Ok(vec![]));
    assert_eq!(on_stream(7, &stack.output().to_vec()).len(), 1000);
}

/// Frames that open stream 2 for host calls.
fn host_stream() -> Vec<u8> {
    let request = struct_type(70, &[("ServiceMethod", 6), ("Seq", 3)]);
    let arguments =
        struct_type(71, &[("Method", 6), ("Args", 5), ("CallerPlugin", 6), ("CallToken", 6), ("Extra", 71)]);
    [frame(1, 1, 2, 0, &[]), data(2, &[1, 0, 0, 0]), data(2, &[request, arguments].concat())].concat()
}

fn host_request(method: &str, sequence: u8, arguments: &[u8]) -> Vec<u8> {
    let mut header = vec![0xff, 140, 1];
    put_uint(&mut header, method.len() as u64);
    header.extend(method.as_bytes());
    header.extend([1, sequence, 0]);
    let mut body = vec![0xff, 142, 1, 1, b'm', 1];
    put_uint(&mut body, arguments.len() as u64);
    body.extend(arguments);
    // A field that the host does not know is passed over.
    body.extend([3, 1, 1, b'n', 0, 0]);
    data(2, &[gob_message(&header), gob_message(&body)].concat())
}

#[test]
fn host_calls_are_told_and_answered_in_any_order() {
    let mut stack = connected();
    let calls = [host_stream(), host_request("Plugin.Call", 1, b"a"), host_request("Plugin.Call", 1, b"b")].concat();
    let call = |arguments: &[u8]| {
        let (function, arguments) = ("m".to_owned(), arguments.to_vec());
        Event::HostCall(HostCall { stream: 2, sequence: 1, function, arguments, token: String::new() })
    };
    // A number that is used twice is the plugin's own trouble.
    assert_eq!(receive(&mut stack, &calls), Ok(vec![call(b"a"), call(b"b")]));
    stack.answer(2, 1, Ok(b"yes"));
    stack.answer(2, 1, Err("no"));
    stack.answer(4, 1, Ok(b"to nobody"));
    let answers = decode(&on_stream(2, &stack.output().to_vec())[4..]).unwrap();
    let [_, mut first, _, mut second] = <[Value; 4]>::try_from(answers).unwrap();
    assert_eq!(first.take_bytes("Result"), Ok(b"yes".to_vec()));
    assert_eq!(second.take_text("Error"), Ok("no".to_owned()));
}

#[test]
fn calls_of_other_services_are_refused_as_go_refuses_them() {
    let mut stack = connected();
    let calls = [host_stream(), host_request("Plugin.Nope", 1, b""), host_request("Other.Call", 2, b"")];
    assert_eq!(receive(&mut stack, &calls.concat()), Ok(vec![]));
    assert_eq!(receive(&mut stack, &host_request("x", 3, b"")), Ok(vec![]));
    let answers = decode(&on_stream(2, &stack.output().to_vec())[4..]).unwrap();
    let errors: Vec<_> = answers.into_iter().step_by(2).map(|mut header| header.take_text("Error").unwrap()).collect();
    let expected = [
        "rpc: can't find method Plugin.Nope",
        "rpc: can't find service Other.Call",
        "rpc: service/method request ill-formed: x",
    ];
    assert_eq!(errors, expected);
}

#[test]
fn a_flood_of_host_calls_waits_until_some_are_answered() {
    let mut stack = connected();
    let mut told = receive(&mut stack, &host_stream()).unwrap();
    for _ in 0..1000 {
        told.extend(receive(&mut stack, &host_request("Plugin.Call", 1, b"x")).unwrap());
    }
    assert_eq!(told.len(), 256);
    // What was not read is not given back to the window either.
    let big = host_request("Plugin.Call", 1, &[b'x'; 100_000]);
    let error = (0..3).map(|_| receive(&mut stack, &big)).find_map(Result::err).unwrap();
    assert!(error.0.contains("come on stream 2, whose window has"), "{error:?}");

    let mut stack = connected();
    let mut told = receive(&mut stack, &host_stream()).unwrap();
    for _ in 0..1000 {
        told.extend(receive(&mut stack, &host_request("Plugin.Call", 1, b"x")).unwrap());
    }
    let mut answered = 0;
    while answered < told.len() {
        stack.answer(2, 1, Ok(b"y"));
        answered += 1;
        stack.resume(&mut told).unwrap();
    }
    assert_eq!(told.len(), 1000);
}

#[test]
fn a_plugin_that_does_not_read_its_answers_gets_no_further_ones() {
    let mut stack = connected();
    let mut told = receive(&mut stack, &host_stream()).unwrap();
    for _ in 0..40 {
        told.extend(receive(&mut stack, &host_request("Plugin.Call", 1, b"x")).unwrap());
        for _ in told.drain(..) {
            stack.answer(2, 1, Ok(&[b'y'; 100_000]));
        }
    }
    assert_eq!(receive(&mut stack, &host_request("Plugin.Call", 1, b"x")), Ok(vec![]));
}

#[test]
fn arguments_that_are_too_large_fail_and_the_session_goes_on() {
    let mut stack = connected();
    stack.set_limits(Limits { argument_bytes: 10, result_bytes: 10 });
    assert_eq!(receive(&mut stack, &host_stream()), Ok(vec![]));
    assert_eq!(receive(&mut stack, &host_request("Plugin.Call", 1, &[b'x'; 70_000])), Ok(vec![]));
    assert_eq!(typed(&receive(&mut stack, &host_request("Plugin.Call", 2, b"x"))).len(), 1);
    let answers = decode(&on_stream(2, &stack.output().to_vec())[4..]).unwrap();
    let error = answers.into_iter().nth(1).unwrap().take_text("Error").unwrap();
    assert_eq!(error, "the arguments have 70016 bytes, the limit is 10");
}

#[test]
fn calls_that_were_given_up_are_bounded() {
    let mut stack = connected();
    let mut call =
        |number| stack.call(Target::Control, "Control.Ping", &Argument::True, Expected::Nothing, Call(number)).err();
    assert_eq!((0..256).find_map(|_| call(1)), None);
    assert_eq!(call(0), Some(text("256 calls were given up, and never answered")));
}

#[test]
fn the_end_of_a_main_stream_ends_the_conversation() {
    for stream in [1, 7] {
        assert_eq!(receive(&mut connected(), &frame(1, 4, stream, 0, &[])), Ok(vec![Event::Ended]));
        assert_eq!(receive(&mut connected(), &frame(1, 8, stream, 0, &[])), Ok(vec![Event::Ended]));
    }
    assert_eq!(receive(&mut connected(), &frame(1, 4, 3, 0, &[])), Ok(vec![]));
    let output = vec![Event::Stdout(b"out".to_vec()), Event::Stderr(b"err".to_vec())];
    assert_eq!(receive(&mut connected(), &[data(3, b"out"), data(5, b"err")].concat()), Ok(output));
}
