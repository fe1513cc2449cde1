use super::*;

/// Frames that open stream 2 for host calls.
fn host_stream() -> Vec<u8> {
    host_stream_at(2)
}

fn host_stream_at(stream: u32) -> Vec<u8> {
    let request = struct_type(70, &[("ServiceMethod", 6), ("Seq", 3)]);
    let arguments =
        struct_type(71, &[("Method", 6), ("Args", 5), ("CallerPlugin", 6), ("CallToken", 6), ("Extra", 71)]);
    [frame(1, 1, stream, 0, &[]), data(stream, &[1, 0, 0, 0]), data(stream, &[request, arguments].concat())].concat()
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
    assert_eq!(told.len(), 64);
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
    // Nor on another stream, as long as they wait.
    let mut elsewhere = host_request("Plugin.Call", 1, b"x");
    elsewhere[7] = 4;
    assert_eq!(receive(&mut stack, &[host_stream_at(4), elsewhere].concat()), Ok(vec![]));
    let mut told = Vec::new();
    stack.resume(&mut told).unwrap();
    assert_eq!(told, []);
    assert_eq!(receive(&mut stack, &frame(1, 4, 2, 0, &[])), Ok(vec![]));
    stack.resume(&mut told).unwrap();
    assert_eq!(told.len(), 1, "the answers went with their stream");
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
