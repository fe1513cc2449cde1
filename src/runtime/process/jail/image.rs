//! The bytes of a native program: looked at, then sealed, so that what was verified is what runs.

use crate::error::{Error, ErrorCode, Result};

/// Size of the fixed part at the start of a program file.
const HEADER_BYTES: usize = 64;
/// Most program headers that are looked through.
const MAX_SEGMENTS: usize = 512;
const LOADED_SEGMENT: u32 = 1;
const INTERPRETER_SEGMENT: u32 = 3;
const STACK_SEGMENT: u32 = 0x6474_E551;
/// Flags of a segment that is writable and executable.
const WRITE_AND_EXECUTE: u32 = 2 | 1;

#[cfg(target_arch = "x86_64")]
const MACHINE: (u16, &str) = (62, "x86_64");
#[cfg(target_arch = "aarch64")]
const MACHINE: (u16, &str) = (183, "aarch64");
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const MACHINE: (u16, &str) = (u16::MAX, "this machine");

/// What a program file says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    /// Loader of a dynamic program.
    pub(super) interpreter: Option<String>,
    /// It asks for memory that is writable and executable, which the kernel gives it before anybody can refuse.
    pub(super) writes_code: bool,
}

/// Looks at a program before anything is done with it.
pub(super) fn inspect(bytes: &[u8]) -> Result<Facts> {
    let refused = |reason: String| Error::new(ErrorCode::EnvironmentJailProgram, reason);
    if bytes.starts_with(b"#!") {
        return Err(refused(
            "the program is a script (run its interpreter, with the script as its argument and its libraries shown read-only)".into(),
        ));
    }
    if bytes.is_empty() {
        return Err(refused("the program is an empty file (build it)".into()));
    }
    if bytes.starts_with(b"\0asm") {
        return Err(refused("the program is a WebAssembly module (its manifest must say `runtime: wasm`)".into()));
    }
    if !bytes.starts_with(b"\x7FELF") || bytes.len() < HEADER_BYTES {
        return Err(refused("the program is not an ELF file (build it for Linux)".into()));
    }
    if (bytes[4], bytes[5]) != (2, 1) {
        return Err(refused("the program is not a 64-bit little-endian one (build it for this machine)".into()));
    }
    let (kind, machine) = (word16(bytes, 16)?, word16(bytes, 18)?);
    if !matches!(kind, 2 | 3) {
        return Err(refused(format!("the ELF file is of kind {kind}, not a program (link it as an executable)")));
    }
    if machine != MACHINE.0 {
        let other = machine_name(machine).map_or_else(|| machine.to_string(), str::to_owned);
        return Err(refused(format!("the program is for machine {other}, not {} (build it for that)", MACHINE.1)));
    }
    segments(bytes)
}

/// Names of machines that programs are built for.
fn machine_name(number: u16) -> Option<&'static str> {
    Some(match number {
        3 => "x86",
        21 => "ppc64",
        22 => "s390x",
        40 => "arm",
        62 => "x86_64",
        183 => "aarch64",
        243 => "riscv64",
        258 => "loongarch64",
        _ => return None,
    })
}

/// What the program headers ask for.
fn segments(bytes: &[u8]) -> Result<Facts> {
    let (start, size, count) = (word64(bytes, 32)?, word16(bytes, 54)?, word16(bytes, 56)?);
    let (start, size, count) = (place(start)?, usize::from(size), usize::from(count));
    if count == 0 || count > MAX_SEGMENTS || size < 56 {
        return Err(cut());
    }
    let mut facts = Facts { interpreter: None, writes_code: false };
    for index in 0..count {
        let segment = start.checked_add(index * size).ok_or_else(cut)?;
        match word32(bytes, segment)? {
            // The kernel takes the first one.
            INTERPRETER_SEGMENT if facts.interpreter.is_none() => {
                facts.interpreter = Some(interpreter(bytes, segment)?);
            }
            kind @ (LOADED_SEGMENT | STACK_SEGMENT) => {
                let (from, length) = (word64(bytes, segment + 8)?, word64(bytes, segment + 32)?);
                let end = from.checked_add(length).ok_or_else(cut)?;
                if kind == LOADED_SEGMENT && end > bytes.len() as u64 {
                    return Err(cut());
                }
                facts.writes_code |= word32(bytes, segment + 4)? & WRITE_AND_EXECUTE == WRITE_AND_EXECUTE;
            }
            _ => {}
        }
    }
    Ok(facts)
}

/// Name in the segment that asks for a loader.
fn interpreter(bytes: &[u8], segment: usize) -> Result<String> {
    let (from, length) = (place(word64(bytes, segment + 8)?)?, place(word64(bytes, segment + 32)?)?);
    let name = from.checked_add(length).and_then(|to| bytes.get(from..to)).ok_or_else(cut)?;
    let name = name.strip_suffix(b"\0").filter(|name| name.len() < 4096).ok_or_else(cut)?;
    std::str::from_utf8(name).map(str::to_owned).map_err(|error| cut().with_source(error))
}

fn cut() -> Error {
    Error::new(
        ErrorCode::EnvironmentJailProgram,
        "the program's ELF headers are damaged, or its end is missing (copy or build it anew)",
    )
}

fn place(number: u64) -> Result<usize> {
    usize::try_from(number).map_err(|error| cut().with_source(error))
}

fn word16(bytes: &[u8], at: usize) -> Result<u16> {
    take(bytes, at).map(u16::from_le_bytes)
}

fn word32(bytes: &[u8], at: usize) -> Result<u32> {
    take(bytes, at).map(u32::from_le_bytes)
}

fn word64(bytes: &[u8], at: usize) -> Result<u64> {
    take(bytes, at).map(u64::from_le_bytes)
}

fn take<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N]> {
    let end = at.checked_add(N).ok_or_else(cut)?;
    bytes.get(at..end).and_then(|part| part.try_into().ok()).ok_or_else(cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program with one segment of `kind` whose content is `content`.
    fn program(kind: u32, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES + 56];
        bytes[..6].copy_from_slice(b"\x7FELF\x02\x01");
        bytes[16] = 3;
        bytes[18..20].copy_from_slice(&MACHINE.0.to_le_bytes());
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = 1;
        bytes[64..68].copy_from_slice(&kind.to_le_bytes());
        bytes[72] = 120;
        bytes[96..104].copy_from_slice(&(content.len() as u64).to_le_bytes());
        bytes.extend_from_slice(content);
        bytes
    }

    fn refusal(bytes: &[u8]) -> String {
        inspect(bytes).unwrap_err().to_string()
    }

    #[test]
    fn static_and_dynamic_programs_are_told_apart() {
        assert_eq!(inspect(&program(1, b"")).unwrap(), Facts { interpreter: None, writes_code: false });
        let dynamic = inspect(&program(3, b"/lib64/ld.so\0")).unwrap();
        assert_eq!(dynamic.interpreter.as_deref(), Some("/lib64/ld.so"));
    }

    #[test]
    fn memory_to_write_code_into_is_seen() {
        for (kind, flags, writes_code) in
            [(1, 5, false), (1, 6, false), (1, 7, true), (STACK_SEGMENT, 7, true), (4, 7, false)]
        {
            let mut bytes = program(kind, b"");
            bytes[68] = flags;
            assert_eq!(inspect(&bytes).unwrap().writes_code, writes_code, "{kind} {flags}");
        }
    }

    #[test]
    fn what_is_no_program_for_this_machine_is_named() {
        assert!(refusal(b"#!/bin/sh\n").starts_with("the program is a script"));
        assert!(refusal(b"\0asm\x01\0\0\0").starts_with("the program is a WebAssembly module"));
        assert!(refusal(b"").starts_with("the program is an empty file"));
        assert!(refusal(b"MZ").starts_with("the program is not an ELF file"));
        let mut foreign = program(1, b"");
        foreign[18] = 8;
        assert!(refusal(&foreign).starts_with("the program is for machine 8, not"), "{}", refusal(&foreign));
        foreign[18] = 22;
        assert!(refusal(&foreign).starts_with("the program is for machine s390x, not"), "{}", refusal(&foreign));
        let mut narrow = program(1, b"");
        narrow[4] = 1;
        assert!(refusal(&narrow).starts_with("the program is not a 64-bit"));
        let mut object = program(1, b"");
        object[16] = 1;
        assert!(refusal(&object).starts_with("the ELF file is of kind 1"));
    }

    #[test]
    fn headers_that_point_outside_the_file_are_refused() {
        let whole = program(3, b"/lib64/ld.so\0");
        for length in HEADER_BYTES..whole.len() {
            assert!(inspect(&whole[..length]).is_err(), "{length}");
        }
        let loaded = program(1, b"code");
        assert!(inspect(&loaded).is_ok());
        assert!(refusal(&loaded[..loaded.len() - 1]).contains("its end is missing"));
        let mut far = whole.clone();
        far[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(refusal(&far).contains("damaged"));
        let mut long = whole;
        long[96..104].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(refusal(&long).contains("damaged"));
    }
}
