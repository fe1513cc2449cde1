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
    let exec = Rule {
        number: libc::SYS_execveat,
        checks: vec![Check::Exactly(0, descriptor), Check::Exactly(4, flags)],
        otherwise: libc::EPERM,
    };
    // First, because the kernel remembers which calls always pass, and asks the program about the others only.
    for rule in syscalls::rules(request, setting, sys::own_pid()).iter().chain([&exec]) {
        program.extend(block(rule));
    }
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    /// What the kernel would answer to a call.
    fn answer_to(program: &[sock_filter], machine: u32, number: libc::c_long, arguments: [u64; 6]) -> u32 {
        let word = |offset: u32| match offset {
            NUMBER => low(number.cast_unsigned()),
            MACHINE => machine,
            offset => {
                let argument = arguments[(offset as usize - 16) / 8];
                low(if offset % 8 == 0 { argument } else { argument >> 32 })
            }
        };
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let step = program[at];
            at += 1;
            match step.code {
                LOAD => accumulator = word(step.k),
                AND => accumulator &= step.k,
                ANSWER => return step.k,
                JUMP_EQUAL if accumulator == step.k => at += usize::from(step.jt),
                JUMP_GREATER_EQUAL if accumulator >= step.k => at += usize::from(step.jt),
                _ => at += usize::from(step.jf),
            }
        }
    }

    fn ask(setting: Setting, request: &Request, number: libc::c_long, arguments: &[u64]) -> u32 {
        let input = std::io::stdin();
        let program = program(request, setting, 0x1111_2222_3333_4444, input.as_fd());
        let mut all = [0; 6];
        all[..arguments.len()].copy_from_slice(arguments);
        answer_to(&program, THIS_MACHINE, number, all)
    }

    fn inside(number: libc::c_long, arguments: &[u64]) -> u32 {
        ask(Setting::OwnUsers, &Request::default(), number, arguments)
    }

    const fn fails(errno: i32) -> u32 {
        FAIL | errno as u32
    }

    #[test]
    fn calls_pass_fail_or_end_the_process() {
        assert_eq!(inside(libc::SYS_read, &[]), ALLOW);
        assert_eq!(inside(libc::SYS_fork, &[]), fails(libc::EPERM));
        assert_eq!(inside(libc::SYS_execve, &[]), fails(libc::EPERM));
        assert_eq!(inside(libc::SYS_clone3, &[]), fails(libc::ENOSYS));
        assert_eq!(inside(libc::SYS_ptrace, &[]), END_PROCESS);
        assert_eq!(inside(9999, &[]), fails(libc::EPERM));
        assert_eq!(inside(0x4000_0000, &[]), END_PROCESS);
        let input = std::io::stdin();
        let program = program(&Request::default(), Setting::OwnUsers, 0, input.as_fd());
        assert_eq!(answer_to(&program, 0x4000_0003, libc::SYS_read, [0; 6]), END_PROCESS);
        assert!(program.len() < 4096);
    }

    #[test]
    fn only_the_one_execution_with_the_secret_passes() {
        let (descriptor, flags) = exec_arguments(0, 0x1111_2222_3333_4444);
        assert_eq!(descriptor & 0xFFFF_FFFF, 0);
        assert_eq!(flags & 0xFFFF_FFFF, 0x1000);
        let ask = |descriptor, flags| inside(libc::SYS_execveat, &[descriptor, 0, 0, 0, flags]);
        assert_eq!(ask(descriptor, flags), ALLOW);
        for (descriptor, flags) in [(0, 0x1000), (descriptor, 0x1000), (0, flags), (descriptor ^ 1 << 40, flags)] {
            assert_eq!(ask(descriptor, flags), fails(libc::EPERM));
        }
    }

    #[test]
    fn arguments_decide() {
        let thread = 0x3D_0F00;
        assert_eq!(inside(libc::SYS_clone, &[thread]), ALLOW);
        assert_eq!(inside(libc::SYS_clone, &[thread | 0x1000_0000]), fails(libc::EPERM));
        assert_eq!(inside(libc::SYS_clone, &[thread & !0x400]), fails(libc::EPERM));
        assert_eq!(inside(libc::SYS_close_range, &[3, 9, 4]), ALLOW);
        assert_eq!(inside(libc::SYS_close_range, &[3, 9, 2]), fails(libc::EPERM));
        assert_eq!(inside(libc::SYS_clone, &[17]), fails(libc::EPERM));
        assert_eq!(inside(libc::SYS_socket, &[1, 2]), ALLOW);
        assert_eq!(inside(libc::SYS_socket, &[2, 1]), fails(libc::EAFNOSUPPORT));
        assert_eq!(inside(libc::SYS_ioctl, &[0, 0x5413]), ALLOW);
        assert_eq!(inside(libc::SYS_ioctl, &[0, 0x5412]), fails(libc::ENOTTY));
        assert_eq!(inside(libc::SYS_ioctl, &[0, 1 << 32 | 0x5412]), fails(libc::ENOTTY));
        for (command, answer) in
            [(1, ALLOW), (6, fails(libc::EPERM)), (8, fails(libc::EPERM)), (37, fails(libc::EPERM))]
        {
            assert_eq!(inside(libc::SYS_fcntl, &[0, command, 1]), answer, "{command}");
        }
        for (option, answer) in
            [(7, fails(libc::ENOPROTOOPT)), (8, ALLOW), (26, fails(libc::ENOPROTOOPT)), (52, fails(libc::ENOPROTOOPT))]
        {
            assert_eq!(inside(libc::SYS_setsockopt, &[0, 1, option]), answer, "{option}");
        }
        assert_eq!(inside(libc::SYS_getsockopt, &[0, 1, 17]), ALLOW);
        assert_eq!(inside(libc::SYS_getsockopt, &[0, 1, 77]), fails(libc::ENOPROTOOPT));
        assert_eq!(inside(libc::SYS_sendmsg, &[0, 0, 0x4000]), ALLOW);
        assert_eq!(inside(libc::SYS_sendmsg, &[0, 0, 0x4001]), fails(libc::EOPNOTSUPP));
        assert_eq!(inside(libc::SYS_sendto, &[0, 0, 0, 1]), fails(libc::EOPNOTSUPP));
        assert_eq!(inside(libc::SYS_prlimit64, &[1]), fails(libc::EPERM));
        assert_eq!(inside(libc::SYS_mprotect, &[0, 0, 3]), ALLOW);
        assert_eq!(inside(libc::SYS_mprotect, &[0, 0, 5]), fails(libc::EPERM));
        assert_eq!(inside(libc::SYS_mmap, &[0, 0, 3, 2]), ALLOW);
        assert_eq!(inside(libc::SYS_mmap, &[0, 0, 5, 2]), fails(libc::EPERM));
        assert_eq!(inside(libc::SYS_mmap, &[0, 0, 3, 0x4_0022]), fails(libc::EPERM));
        assert_eq!(inside(libc::SYS_mmap, &[0, 0, 7, 2]), fails(libc::EPERM));
        assert_eq!(inside(libc::SYS_mmap, &[0, 0, 3, 0x21]), fails(libc::EPERM));
        let dynamic = Request { is_dynamic: true, ..Request::default() };
        assert_eq!(ask(Setting::OwnUsers, &dynamic, libc::SYS_mmap, &[0, 0, 5, 2]), ALLOW);
        assert_eq!(ask(Setting::OwnUsers, &dynamic, libc::SYS_mmap, &[0, 0, 7, 2]), fails(libc::EPERM));
        let counted = Request { is_memory_counted: true, may_jit: true, ..Request::default() };
        assert_eq!(ask(Setting::OwnUsers, &counted, libc::SYS_mmap, &[0, 0, 7, 0x21]), ALLOW);
        assert_eq!(ask(Setting::OwnUsers, &counted, libc::SYS_mprotect, &[0, 0, 7]), ALLOW);
        assert_eq!(ask(Setting::OwnUsers, &counted, libc::SYS_setsockopt, &[0, 1, 7]), ALLOW);
    }

    #[test]
    fn without_namespaces_less_passes() {
        let request = Request::default();
        let ask = |number, arguments: &[u64]| ask(Setting::NoNamespaces, &request, number, arguments);
        let own = u64::from(sys::own_pid().cast_unsigned());
        assert_eq!(ask(libc::SYS_kill, &[own]), ALLOW);
        assert_eq!(ask(libc::SYS_kill, &[own + 1]), fails(libc::EPERM));
        assert_eq!(ask(libc::SYS_tkill, &[own]), fails(libc::EPERM));
        assert_eq!(ask(libc::SYS_connect, &[]), fails(libc::EPERM));
        for number in [libc::SYS_socket, libc::SYS_socketpair] {
            assert_eq!(ask(number, &[1, 2]), fails(libc::EAFNOSUPPORT));
            assert_eq!(ask(number, &[1, 0x80801]), ALLOW);
        }
        let connects = Request { may_connect: true, ..Request::default() };
        assert_eq!(super::tests::ask(Setting::NoNamespaces, &connects, libc::SYS_connect, &[]), ALLOW);
    }
}
