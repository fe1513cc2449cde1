//! A stream of gob gives the same values however it is cut into pieces, and what is checked without being kept is what is
//! kept.
#![no_main]

use goatflow_plugin_fuzz::wire::Violation;
use goatflow_plugin_fuzz::wire::gob::{Decoder, Frame, Framer, Value, Wanted};
use libfuzzer_sys::fuzz_target;

const LIMIT: usize = 1 << 16;

#[derive(Debug, PartialEq)]
enum Seen {
    Value(Option<Value>),
    TooLarge(u64),
    Broken(Violation),
}

fuzz_target!(|bytes: &[u8]| {
    let whole = read(bytes.chunks(usize::MAX), Wanted::All);
    // Compared as text, because a number may be none.
    assert_eq!(format!("{whole:?}"), format!("{:?}", read(bytes.chunks(1), Wanted::All)));
    let passed_over = read(bytes.chunks(7), Wanted::Nothing);
    if !matches!(whole.last(), Some(Seen::Broken(_))) {
        assert_eq!(whole.len(), passed_over.len());
    }
});

fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>, wanted: Wanted) -> Vec<Seen> {
    let (mut framer, mut decoder, mut seen) = (Framer::default(), Decoder::default(), Vec::new());
    for piece in pieces {
        framer.push(piece);
        loop {
            match framer.next(LIMIT) {
                Ok(None) => break,
                Ok(Some(Frame::TooLarge(length))) => seen.push(Seen::TooLarge(length)),
                Ok(Some(Frame::Message(body))) => match decoder.message(&body, wanted) {
                    Ok(value) => seen.push(Seen::Value(value)),
                    Err(violation) => {
                        seen.push(Seen::Broken(violation));
                        return seen;
                    }
                },
                Err(violation) => {
                    seen.push(Seen::Broken(violation));
                    return seen;
                }
            }
        }
    }
    seen
}
