//! Frames give the same events and the same answers however the bytes are cut into pieces, and what waits stays bounded.
#![no_main]

use goatflow_plugin_fuzz::wire::yamux::{Event, Yamux};
use goatflow_plugin_fuzz::wire::{Violation, Wired};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Default, PartialEq)]
struct Seen {
    data: Vec<u8>,
    opened: Vec<u32>,
    ended: Vec<u32>,
    sent: Vec<u8>,
    broken: Option<Violation>,
}

fuzz_target!(|bytes: &[u8]| {
    assert_eq!(read(bytes.chunks(usize::MAX)), read(bytes.chunks(1)));
});

fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Seen {
    let (mut yamux, mut seen) = (Yamux::default(), Seen::default());
    yamux.open();
    yamux.open();
    for piece in pieces {
        if let Err(violation) = step(&mut yamux, &mut seen, piece) {
            seen.broken = Some(violation);
            break;
        }
    }
    let output = yamux.output().to_vec();
    yamux.sent(output.len());
    seen.sent.extend(output);
    seen
}

fn step(yamux: &mut Yamux, seen: &mut Seen, mut piece: &[u8]) -> Wired<()> {
    while let Some(event) = yamux.receive(&mut piece)? {
        match event {
            Event::Opened(id) => {
                seen.opened.push(id);
                if id % 4 == 0 {
                    yamux.cut(id);
                }
            }
            Event::Data(id, data) => {
                seen.data.extend(data);
                yamux.give_back(id, data.len());
            }
            Event::Finished(id) | Event::Cut(id) => {
                seen.ended.push(id);
                yamux.finish(id);
                assert!(yamux.queue(id).is_none());
            }
        }
    }
    Ok(())
}
