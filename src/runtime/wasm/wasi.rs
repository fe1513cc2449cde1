//! WASI preview 1, as small as the contract allows: every name links; arguments and environment are empty, nothing is
//! preopened, clocks and randomness are real, sleeping ends with the call's deadline, output goes to the plugin's log,
//! everything else answers ENOSYS. Names and layouts: WASI snapshot preview 1.

use wasmtime::{Caller, FuncType, Linker, Val, ValType};

use super::instance::GuestState;
use super::memory::Packed;
use super::outcome::GuestExit;
use crate::clock;
use crate::host::LogLevel;
use crate::host::log::MAX_MESSAGE_BYTES;
use crate::plugin::CallContext;

type Guest<'a> = Caller<'a, GuestState>;
type GuestResult<T> = Result<T, wasmtime::Error>;
/// A WASI error number.
type Errno = i32;

const SUCCESS: Errno = 0;
const BADF: Errno = 8;
const FAULT: Errno = 21;
const INVAL: Errno = 28;
const NOSYS: Errno = 52;
const SPIPE: Errno = 70;

const STDIN: u32 = 0;
const STDERR: u32 = 2;

/// Vectors of one read or write, and subscriptions of one poll.
const MAX_VECTORS: u32 = 1024;

/// Bytes that one `fd_write` takes.
const MAX_WRITE: u32 = 64 * 1024;

const MODULE: &str = "wasi_snapshot_preview1";

pub(super) fn link(linker: &mut Linker<GuestState>) -> GuestResult<()> {
    linker.func_wrap(MODULE, "args_get", |_: u32, _: u32| SUCCESS)?;
    linker.func_wrap(MODULE, "args_sizes_get", two_zeros)?;
    linker.func_wrap(MODULE, "environ_get", |_: u32, _: u32| SUCCESS)?;
    linker.func_wrap(MODULE, "environ_sizes_get", two_zeros)?;
    linker.func_wrap(MODULE, "clock_res_get", clock_resolution)?;
    linker.func_wrap(MODULE, "clock_time_get", clock_time)?;
    linker.func_wrap(MODULE, "fd_close", |fd: u32| if fd <= STDERR { SUCCESS } else { BADF })?;
    linker.func_wrap(MODULE, "fd_fdstat_get", fd_status)?;
    linker.func_wrap(MODULE, "fd_fdstat_set_flags", |fd: u32, _: u32| if fd <= STDERR { SUCCESS } else { BADF })?;
    linker.func_wrap(MODULE, "fd_prestat_get", |_: u32, _: u32| BADF)?;
    linker.func_wrap(MODULE, "fd_prestat_dir_name", |_: u32, _: u32, _: u32| BADF)?;
    linker.func_wrap(MODULE, "fd_read", fd_read)?;
    linker.func_wrap(MODULE, "fd_seek", |fd: u32, _: i64, _: u32, _: u32| if fd <= STDERR { SPIPE } else { BADF })?;
    linker.func_wrap(MODULE, "fd_write", fd_write)?;
    linker.func_wrap(MODULE, "poll_oneoff", poll)?;
    linker.func_wrap(MODULE, "proc_exit", |code: i32| Err::<(), _>(wasmtime::Error::new(GuestExit(code))))?;
    linker.func_wrap(MODULE, "random_get", random)?;
    linker.func_wrap(MODULE, "sched_yield", || SUCCESS)?;
    link_absent(linker)
}

/// What links but does nothing: `i` is an i32 parameter, `l` an i64.
const ABSENT: &[(&str, &str)] = &[
    ("fd_advise", "illi"),
    ("fd_allocate", "ill"),
    ("fd_datasync", "i"),
    ("fd_fdstat_set_rights", "ill"),
    ("fd_filestat_get", "ii"),
    ("fd_filestat_set_size", "il"),
    ("fd_filestat_set_times", "illi"),
    ("fd_pread", "iiili"),
    ("fd_pwrite", "iiili"),
    ("fd_readdir", "iiili"),
    ("fd_renumber", "ii"),
    ("fd_sync", "i"),
    ("fd_tell", "ii"),
    ("path_create_directory", "iii"),
    ("path_filestat_get", "iiiii"),
    ("path_filestat_set_times", "iiiilli"),
    ("path_link", "iiiiiii"),
    ("path_open", "iiiiillii"),
    ("path_readlink", "iiiiii"),
    ("path_remove_directory", "iii"),
    ("path_rename", "iiiiii"),
    ("path_symlink", "iiiii"),
    ("path_unlink_file", "iii"),
    ("proc_raise", "i"),
    ("sock_accept", "iii"),
    ("sock_recv", "iiiiii"),
    ("sock_send", "iiiii"),
    ("sock_shutdown", "ii"),
];

fn link_absent(linker: &mut Linker<GuestState>) -> GuestResult<()> {
    for (name, parameters) in ABSENT {
        let parameters = parameters.chars().map(|kind| if kind == 'l' { ValType::I64 } else { ValType::I32 });
        let signature = FuncType::new(linker.engine(), parameters, [ValType::I32]);
        linker.func_new(MODULE, name, signature, |_, _, results| {
            if let Some(result) = results.first_mut() {
                *result = Val::I32(NOSYS);
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn two_zeros(mut guest: Guest<'_>, count: u32, size: u32) -> Errno {
    errno(write(&mut guest, count, &[0; 4]).and_then(|()| write(&mut guest, size, &[0; 4])))
}

fn clock_resolution(mut guest: Guest<'_>, clock: u32, out: u32) -> Errno {
    if clock > 3 {
        return INVAL;
    }
    errno(write(&mut guest, out, &1_u64.to_le_bytes()))
}

fn clock_time(mut guest: Guest<'_>, clock: u32, _precision: i64, out: u32) -> Errno {
    match time_of(clock) {
        Some(nanos) => errno(write(&mut guest, out, &nanos.to_le_bytes())),
        None => INVAL,
    }
}

/// 0 is the calendar, 1 the monotonic clock; 2 and 3, processor time, are answered with the monotonic clock.
fn time_of(clock: u32) -> Option<u64> {
    match clock {
        0 => Some(clock::wall().duration_since(std::time::UNIX_EPOCH).map_or(0, clock::saturating_nanos)),
        1..=3 => Some(clock::now()),
        _ => None,
    }
}

/// Standard input, output and error are character devices that can be read or written.
fn fd_status(mut guest: Guest<'_>, fd: u32, out: u32) -> Errno {
    if fd > STDERR {
        return BADF;
    }
    let mut status = [0_u8; 24];
    status[0] = 2;
    // fd_read is right 1, fd_write right 6.
    status[8..16].copy_from_slice(&(if fd == STDIN { 1_u64 << 1 } else { 1 << 6 }).to_le_bytes());
    errno(write(&mut guest, out, &status))
}

/// Standard input is at its end.
fn fd_read(mut guest: Guest<'_>, fd: u32, _vectors: u32, _count: u32, out: u32) -> Errno {
    if fd != STDIN {
        return BADF;
    }
    errno(write(&mut guest, out, &[0; 4]))
}

fn fd_write(mut guest: Guest<'_>, fd: u32, vectors: u32, count: u32, out: u32) -> Errno {
    if fd == STDIN || fd > STDERR {
        return BADF;
    }
    if count > MAX_VECTORS {
        return INVAL;
    }
    let mut written = 0;
    for index in 0..count {
        let Some(vector) = vectors.checked_add(index * 8).and_then(|vector| read::<8>(&mut guest, vector)) else {
            return FAULT;
        };
        let [pointer, length] = halves(vector);
        // A short write is legal, and keeps one call of this function short.
        let length = length.min(MAX_WRITE - written);
        if output(&mut guest, fd, Packed { pointer, length }).is_none() {
            return FAULT;
        }
        written += length;
    }
    errno(write(&mut guest, out, &written.to_le_bytes()))
}

fn output(guest: &mut Guest<'_>, fd: u32, text: Packed) -> Option<()> {
    let memory = exported_memory(guest)?;
    let (data, state) = memory.data_and_store_mut(&mut *guest);
    let bytes = data.get(text.range(data.len()).ok()?)?;
    let context = state.serving.then_some(&state.context);
    let host = &state.host;
    state.output.push(fd == STDERR, bytes, |line| host.log(context, level_of(fd == STDERR), line));
    Some(())
}

fn level_of(is_error: bool) -> LogLevel {
    if is_error { LogLevel::Warn } else { LogLevel::Info }
}

/// Hands what a guest wrote without an end of line to its log: at the end of a call nobody else would.
pub(super) fn flush_output(state: &mut GuestState) {
    let context = state.serving.then_some(&state.context);
    let host = &state.host;
    state.output.flush(|is_error, line| host.log(context, level_of(is_error), line));
}

/// Unfinished lines of the two output streams.
#[derive(Default)]
pub(super) struct Output {
    lines: [Vec<u8>; 2],
}

impl Output {
    /// Hands unfinished lines to `take`, with whether they were written to stderr.
    pub(super) fn flush(&mut self, take: impl Fn(bool, &str)) {
        for (line, is_error) in self.lines.iter_mut().zip([false, true]) {
            if !line.is_empty() {
                take(is_error, &String::from_utf8_lossy(line));
                line.clear();
            }
        }
    }

    /// Hands finished lines to `take`; what is longer than a log message is cut into several.
    fn push(&mut self, is_error: bool, bytes: &[u8], take: impl Fn(&str)) {
        let line = &mut self.lines[usize::from(is_error)];
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            for part in piece.chunks(MAX_MESSAGE_BYTES) {
                if line.len() + part.len() > MAX_MESSAGE_BYTES {
                    take(&String::from_utf8_lossy(line));
                    line.clear();
                }
                line.extend_from_slice(part);
            }
            if line.last() == Some(&b'\n') {
                line.pop();
                take(&String::from_utf8_lossy(line));
                line.clear();
            }
        }
    }
}

/// Serves clock subscriptions, within the deadline of the call; descriptors are always ready.
fn poll(mut guest: Guest<'_>, subscriptions: u32, events: u32, count: u32, out: u32) -> GuestResult<Errno> {
    if count == 0 || count > MAX_VECTORS {
        return Ok(INVAL);
    }
    let Some(all) = (0..count)
        .map(|index| Subscription::decode(&read::<48>(&mut guest, subscriptions.checked_add(index * 48)?)?))
        .collect::<Option<Vec<_>>>()
    else {
        return Ok(FAULT);
    };
    let wake = all.iter().map(|subscription| subscription.due).min().unwrap_or(0);
    sleep_until(&guest, wake)?;
    let now = clock::now();
    let mut ready = 0_u32;
    for subscription in all.iter().filter(|subscription| subscription.due <= now) {
        let place = ready.checked_mul(32).and_then(|offset| events.checked_add(offset));
        if place.and_then(|place| write(&mut guest, place, &subscription.event())).is_none() {
            return Ok(FAULT);
        }
        ready += 1;
    }
    Ok(errno(write(&mut guest, out, &ready.to_le_bytes())))
}

/// Waits on the monotonic clock; an error when the call ends first.
fn sleep_until(guest: &Guest<'_>, wake: u64) -> GuestResult<()> {
    let context = &guest.data().context;
    let sleeping = CallContext { deadline: context.deadline.min(wake), ..context.clone() };
    match sleeping.block_until(|| (clock::now() >= wake).then_some(())) {
        Ok(()) => Ok(()),
        Err(_) => context.check_alive().map_err(wasmtime::Error::new),
    }
}

struct Subscription {
    user_data: [u8; 8],
    kind: u8,
    /// When it is ready, on the monotonic clock.
    due: u64,
}

impl Subscription {
    /// Layout: user data 0..8, tag 8, then for clocks id 16..20, time 24..32, flags 40..42 (bit 0: absolute).
    fn decode(bytes: &[u8; 48]) -> Option<Self> {
        let user_data = bytes[..8].try_into().ok()?;
        let kind = bytes[8];
        if kind != 0 {
            return (kind <= 2).then_some(Self { user_data, kind, due: 0 });
        }
        let clock = u32::from_le_bytes(bytes[16..20].try_into().ok()?);
        let time = u64::from_le_bytes(bytes[24..32].try_into().ok()?);
        let absolute = bytes[40] & 1 == 1;
        let wait = if absolute { time.saturating_sub(time_of(clock)?) } else { time };
        Some(Self { user_data, kind, due: clock::now().saturating_add(wait) })
    }

    /// Layout: user data 0..8, error 8..10, type 10.
    fn event(&self) -> [u8; 32] {
        let mut event = [0; 32];
        event[..8].copy_from_slice(&self.user_data);
        event[10] = self.kind;
        event
    }
}

fn random(mut guest: Guest<'_>, pointer: u32, length: u32) -> Errno {
    let filled = exported_memory(&mut guest).and_then(|memory| {
        let data = memory.data_mut(&mut guest);
        let range = Packed { pointer, length }.range(data.len()).ok()?;
        getrandom::fill(data.get_mut(range)?).ok()
    });
    errno(filled)
}

fn errno(done: Option<()>) -> Errno {
    if done.is_some() { SUCCESS } else { FAULT }
}

fn halves(bytes: [u8; 8]) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = bytes;
    [u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])]
}

/// WASI is used before the instance's memory is known to the state (by start sections): look it up by name.
fn exported_memory(guest: &mut Guest<'_>) -> Option<wasmtime::Memory> {
    match &guest.data().memory {
        Some(memory) => Some(memory.memory),
        None => guest.get_export("memory")?.into_memory(),
    }
}

fn read<const N: usize>(guest: &mut Guest<'_>, pointer: u32) -> Option<[u8; N]> {
    let memory = exported_memory(guest)?;
    let data = memory.data(&*guest);
    let start = pointer as usize;
    data.get(start..start.checked_add(N)?)?.try_into().ok()
}

fn write(guest: &mut Guest<'_>, pointer: u32, bytes: &[u8]) -> Option<()> {
    let memory = exported_memory(guest)?;
    let data = memory.data_mut(guest);
    let start = pointer as usize;
    data.get_mut(start..start.checked_add(bytes.len())?)?.copy_from_slice(bytes);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn output_becomes_lines_of_bounded_length() {
        let lines = RefCell::new(Vec::new());
        let take = |line: &str| lines.borrow_mut().push(line.to_owned());
        let mut output = Output::default();
        output.push(false, b"a", take);
        output.push(true, b"oops\n", take);
        output.push(false, b"b\n\nc", take);
        output.push(false, &[b'x'; MAX_MESSAGE_BYTES], take);
        assert_eq!(*lines.borrow(), ["oops", "ab", "", "c"]);
    }

    #[test]
    fn subscriptions_decode_their_layout() {
        let mut bytes = [0; 48];
        bytes[..8].copy_from_slice(&7_u64.to_le_bytes());
        bytes[16] = 1;
        bytes[24..32].copy_from_slice(&1_000_u64.to_le_bytes());
        let subscription = Subscription::decode(&bytes).unwrap();
        assert_eq!((subscription.kind, subscription.user_data[0]), (0, 7));
        assert!(subscription.due <= clock::now() + 1_000);
        bytes[8] = 3;
        assert!(Subscription::decode(&bytes).is_none());
    }
}
