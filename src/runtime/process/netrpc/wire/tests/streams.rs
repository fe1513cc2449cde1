use super::*;

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

#[test]
fn what_was_read_is_given_back_to_the_window() {
    let mut stack = connected();
    let length = stack.output().len();
    stack.sent(length);
    let half = data(3, &[b'x'; 128 * 1024]);
    for _ in 0..10 {
        assert_eq!(receive(&mut stack, &half).map(|events| events.len()), Ok(1));
        assert_eq!(stack.output(), b"", "not before it was taken");
        stack.go_on_printing();
        let output = stack.output().to_vec();
        assert_eq!(output, frame(1, 0, 3, 128 * 1024, &[]));
        stack.sent(output.len());
    }
    assert_eq!(receive(&mut stack, &data(3, &[b'x'; 128 * 1024 - 1])).map(|events| events.len()), Ok(1));
    stack.go_on_printing();
    assert_eq!(stack.output(), b"");
}
