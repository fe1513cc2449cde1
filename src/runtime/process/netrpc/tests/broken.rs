//! Peers that break the protocol, or do not read.

use super::*;

/// A session with a peer that `act` plays, which starts once the host has asked for the plugin.
fn with_peer(act: impl FnOnce(&mut UnixStream) + Send + 'static) -> (Result<NetRpcSession>, Told<Lost>) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    std::thread::spawn(move || {
        // The opening frames and the request for the plugin.
        theirs.read_exact(&mut [0; 3 * 12 + 12 + 83]).unwrap();
        act(&mut theirs);
    });
    let (session, lost, _) = connect(ours, &host_calls());
    (session, lost)
}

/// Frames of the recorded conversation: up to the answer to the request for the plugin, and to the dialling.
fn recorded(frames: std::ops::Range<usize>) -> Vec<u8> {
    let session = include_str!("../../../../../tests/fixtures/netrpc/session.txt");
    let lines = session.lines().filter_map(|line| line.strip_prefix("< "));
    let digits: String = lines.skip(frames.start).take(frames.len()).collect();
    let digits: Vec<u8> = digits.bytes().map(|digit| (digit as char).to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[test]
fn a_peer_that_breaks_the_protocol_is_lost_with_the_reason() {
    let (session, lost) = with_peer(|peer| peer.write_all(&[1; 12]).unwrap());
    assert_eq!(session.err().unwrap().code(), ErrorCode::PluginProtocol);
    let reason = lost.next().unwrap();
    assert!(matches!(&reason, Lost::Protocol(text) if text == "a yamux frame has version 1 and kind 1"), "{reason:?}");
}

#[test]
fn floods_of_frames_without_content_end_the_session() {
    // Pings, windows that do not grow, and data of no length.
    let floods = [
        [0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7],
        [0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0],
    ];
    for flood in floods {
        let (session, lost) = with_peer(move |peer| {
            let mut answers = peer.try_clone().unwrap();
            std::thread::spawn(move || std::io::copy(&mut answers, &mut std::io::sink()));
            let flood = flood.repeat(1_000);
            let sent = (0..100_000).take_while(|_| peer.write_all(&flood).is_ok()).count();
            assert!(sent < 100_000, "the host hangs up");
        });
        assert_eq!(session.err().unwrap().code(), ErrorCode::PluginProtocol);
        let reason = lost.next().unwrap();
        assert!(
            matches!(&reason, Lost::Protocol(text) if *text == crate::runtime::process::meter::excess()),
            "{reason:?}"
        );
    }
}

#[test]
fn half_an_answer_is_no_answer() {
    let (session, lost) = with_peer(|peer| peer.write_all(&recorded(0..4)[..60]).unwrap());
    assert_eq!(session.err().unwrap().code(), ErrorCode::PluginProtocol);
    assert!(matches!(lost.next().unwrap(), Lost::Closed));
}

#[test]
fn calls_to_a_plugin_that_does_not_read_end_at_their_deadline() {
    let (finished, wait_until) = mpsc::channel::<()>();
    let (session, lost) = with_peer(move |peer| {
        peer.write_all(&recorded(0..4)).unwrap();
        // The dialling: opening, number.
        peer.read_exact(&mut [0; 12 + 12 + 4]).unwrap();
        peer.write_all(&recorded(4..6)).unwrap();
        wait_until.recv().ok();
    });
    let session = session.unwrap();
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                let (host_calls, context) = (host_calls(), soon());
                let call = host_calls.enter(&context).unwrap().unwrap();
                let error = session.call(&call, "f", &vec![b'1'; MIB]).unwrap_err();
                assert_eq!(error.code(), ErrorCode::PluginDeadline);
            });
        }
    });
    assert!(lost.next_if_there().is_none());
    drop(finished);
    assert!(matches!(lost.next().unwrap(), Lost::Closed));
}
