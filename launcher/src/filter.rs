//! Compiles the list of system calls into the program that the kernel runs at each of them.
//!
//! Every call that the list does not name gets `EPERM`. A call of another machine, which has other numbers, ends the
//! process.

use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use libc::sock_filter;

use crate::init::Setting;
use crate::job::Request;
use crate::sys;
use crate::syscalls::{self, Check, Rule};

const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER_EQUAL: u16 = 0x35;
const ANSWER: u16 = 0x06;

const ALLOW: u32 = 0x7FFF_0000;
const END_PROCESS: u32 = 0x8000_0000;
const FAIL: u32 = 0x0005_0000;

/// Offsets in what the kernel shows of a call.
const NUMBER: u32 = 0;
const MACHINE: u32 = 4;

#[cfg(target_arch = "x86_64")]
const THIS_MACHINE: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const THIS_MACHINE: u32 = 0xC000_00B7;

/// Numbers from here on are calls of the x32 interface, which no program of ours needs.
#[cfg(target_arch = "x86_64")]
const FOREIGN_FROM: u32 = 0x4000_0000;
#[cfg(target_arch = "aarch64")]
const FOREIGN_FROM: u32 = u32::MAX;

/// Arguments for the one execveat that passes.
///
/// The kernel looks at the lower halves of descriptor and flags only. The filter compares all 64 bits, and the upper
/// halves are random: whoever runs after the exec can't know them, so that there is no second exec, of nothing.
pub(crate) fn exec_arguments(image: RawFd, secret: u64) -> (u64, u64) {
    let flags = u64::from(libc::AT_EMPTY_PATH.cast_unsigned());
    (secret & !0xFFFF_FFFF | u64::from(image.cast_unsigned()), secret << 32 | flags)
}

/// The filter for one start.
pub(crate) fn program(request: &Request, setting: Setting, secret: u64, image: BorrowedFd<'_>) -> Vec<sock_filter> {
    let (descriptor, flags) = exec_arguments(image.as_raw_fd(), secret);
    let mut program = vec![
        load(MACHINE),
        jump(JUMP_EQUAL, THIS_MACHINE, 1, 0),
        answer(END_PROCESS),
        load(NUMBER),
        jump(JUMP_GREATER_EQUAL, FOREIGN_FROM, 0, 1),
        answer(END_PROCESS),
    ];
    let mut add = |numbers: &[libc::c_long], then: u32| {
        for number in numbers {
            program.extend([jump(JUMP_EQUAL, low(number.cast_unsigned()), 0, 1), answer(then)]);
        }
    };
    add(&syscalls::ALWAYS, ALLOW);
    if setting != Setting::NoNamespaces {
        add(&syscalls::INSIDE_NAMESPACES, ALLOW);
    }
    if setting != Setting::NoNamespaces || request.may_connect {
        add(&[libc::SYS_connect], ALLOW);
    }
    add(&syscalls::FALLBACK, FAIL | libc::ENOSYS.cast_unsigned());
    add(&syscalls::HOSTILE, END_PROCESS);
    let exec = Rule {
        number: libc::SYS_execveat,
        checks: vec![Check::Exactly(0, descriptor), Check::Exactly(4, flags)],
        otherwise: libc::EPERM,
    };
    for rule in syscalls::rules(request, setting, sys::own_pid()).iter().chain([&exec]) {
        program.extend(block(rule));
    }
    program.push(answer(FAIL | libc::EPERM.cast_unsigned()));
    program
}

/// Instructions of one rule: skipped when the number is another, else they end with an answer.
fn block(rule: &Rule) -> Vec<sock_filter> {
    let mut body = Vec::new();
    // Places whose false branch goes to the refusal.
    let mut refusals = Vec::new();
    for check in &rule.checks {
        match check {
            Check::Exactly(argument, value) => {
                for (half, part) in [(0, low(*value)), (4, low(*value >> 32))] {
                    body.push(load(offset(*argument) + half));
                    refusals.push(body.len());
                    body.push(jump(JUMP_EQUAL, part, 0, 0));
                }
            }
            Check::Masked(argument, mask, value) => {
                body.extend([load(offset(*argument)), instruction(AND, 0, 0, *mask)]);
                refusals.push(body.len());
                body.push(jump(JUMP_EQUAL, *value, 0, 0));
            }
            Check::Not(argument, mask, value) => {
                body.extend([load(offset(*argument)), instruction(AND, 0, 0, *mask)]);
                // The false branch, another value, goes past the jump to the refusal.
                body.push(jump(JUMP_EQUAL, *value, 0, 1));
                refusals.push(body.len());
                body.push(jump(JUMP_EQUAL, !*value, 0, 0));
            }
            Check::OneOf(argument, values) => {
                body.push(load(offset(*argument)));
                let count = values.len();
                for (index, value) in values.iter().enumerate() {
                    if index + 1 == count {
                        refusals.push(body.len());
                        body.push(jump(JUMP_EQUAL, *value, 0, 0));
                    } else {
                        body.push(jump(JUMP_EQUAL, *value, short(count - index - 1), 0));
                    }
                }
            }
        }
    }
    body.push(answer(ALLOW));
    let end = body.len();
    for place in refusals {
        if let Some(instruction) = body.get_mut(place) {
            instruction.jf = short(end - place - 1);
        }
    }
    body.push(answer(FAIL | rule.otherwise.cast_unsigned()));
    let mut block = vec![jump(JUMP_EQUAL, low(rule.number.cast_unsigned()), 0, short(body.len()))];
    block.extend(body);
    block.push(load(NUMBER));
    block
}

/// Offset of the lower half of an argument; both machines put it first.
fn offset(argument: u32) -> u32 {
    16 + 8 * argument
}

/// Lower half of a number.
#[expect(clippy::cast_possible_truncation, reason = "the point of it")]
fn low(value: u64) -> u32 {
    value as u32
}

/// Distance of a jump; a rule that is too long for one would refuse more than it says, never less.
fn short(distance: usize) -> u8 {
    u8::try_from(distance).unwrap_or(u8::MAX)
}

fn load(offset: u32) -> sock_filter {
    instruction(LOAD, 0, 0, offset)
}

fn jump(code: u16, value: u32, if_true: u8, if_false: u8) -> sock_filter {
    instruction(code, if_true, if_false, value)
}

fn answer(value: u32) -> sock_filter {
    instruction(ANSWER, 0, 0, value)
}

fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code, jt, jf, k }
}
