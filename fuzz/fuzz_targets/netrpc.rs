//! What a plugin may send in the middle of a conversation, through all layers.
#![no_main]

use goatflow_plugin_fuzz::wire::{Argument, Event, Expected, HOST_API, Limits, Outcome, Stack, Target, Waiter};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Clone, PartialEq)]
struct Call(u32);

impl Waiter for Call {
    fn is_gone(&self) -> bool {
        self.0 % 4 == 3
    }
}

fuzz_target!(|bytes: &[u8]| {
    talk(bytes, usize::MAX);
    talk(bytes, 5);
});

fn talk(bytes: &[u8], piece: usize) {
    let limits = Limits { argument_bytes: 4096, result_bytes: 4096 };
    let mut stack = Stack::new(limits);
    let control = |stack: &mut Stack<Call>, method, argument, expected| {
        stack.call(Target::Control, method, &argument, expected, Call(0)).unwrap();
    };
    control(&mut stack, "Dispenser.Dispense", Argument::Text("gkplugin"), Expected::Number);
    control(&mut stack, "Control.Ping", Argument::True, Expected::Nothing);
    stack.dial(1, Call(1)).unwrap();
    let plugin = |stack: &mut Stack<Call>, number, method, argument, expected| {
        stack.call(Target::Plugin, method, &argument, expected, Call(number))
    };
    plugin(&mut stack, 2, "Plugin.GKRegister", Argument::Nil, Expected::Registration).unwrap();
    let init = Argument::Init { config: [("plugin_name".into(), "p".into())].into(), host_api: HOST_API };
    plugin(&mut stack, 4, "Plugin.Init", init, Expected::Nothing).unwrap();
    for number in 5..12 {
        let argument = Argument::Call { function: "f".into(), arguments: b"{}".to_vec(), token: String::new() };
        plugin(&mut stack, number, "Plugin.Call", argument, Expected::CallResponse).unwrap();
    }
    let mut events = Vec::new();
    for piece in bytes.chunks(piece) {
        if !stack.wants_input() || stack.receive(piece, &mut events).is_err() {
            return;
        }
        for event in events.drain(..) {
            match event {
                Event::HostCall(call) if call.function.starts_with('x') => {
                    stack.answer(call.stream, call.sequence, Err("no"));
                }
                Event::HostCall(call) => {
                    assert!(call.arguments.len() <= limits.argument_bytes + 65536);
                    stack.answer(call.stream, call.sequence, Ok(&call.arguments));
                }
                Event::Answered(_, Outcome::Result(result)) => assert!(result.len() <= limits.result_bytes + 65536),
                _ => {}
            }
        }
        if stack.resume(&mut events).is_err() {
            return;
        }
        let length = stack.output().len();
        stack.sent(length / 2 + 1);
    }
}
