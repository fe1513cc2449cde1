//! Every access to guest memory. Pointers and lengths come from the guest: each range is checked, none is trusted.

use std::ops::Range;

use wasmtime::{AsContextMut, Memory, TypedFunc};

use super::instance::GuestState;
use crate::error::{Error, ErrorCode, Result};

/// A range of guest memory packed into one value, `(pointer << 32) | length` (docs/contract.md 1.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packed {
    pub(super) pointer: u32,
    pub(super) length: u32,
}

impl Packed {
    #[expect(clippy::cast_possible_truncation, reason = "takes the two halves apart")]
    #[expect(clippy::cast_sign_loss, reason = "the guest's i64 is a bit pattern")]
    pub(super) fn from_guest(value: i64) -> Self {
        let bits = value as u64;
        Self { pointer: (bits >> 32) as u32, length: bits as u32 }
    }

    #[expect(clippy::cast_possible_wrap, reason = "the guest's i64 is a bit pattern")]
    pub(super) fn to_guest(self) -> i64 {
        ((u64::from(self.pointer) << 32) | u64::from(self.length)) as i64
    }

    /// True for the contract's "nothing": no pointer or no length.
    pub(super) fn is_nothing(self) -> bool {
        self.pointer == 0 || self.length == 0
    }

    /// The range inside a memory of `size` bytes.
    pub(super) fn range(self, size: usize) -> Result<Range<usize>> {
        let start = self.pointer as usize;
        match start.checked_add(self.length as usize) {
            Some(end) if end <= size => Ok(start..end),
            _ => Err(Error::new(
                ErrorCode::PluginBadPointer,
                format!(
                    "the plugin handed over {} bytes at {:#x}, outside its memory of {size} bytes",
                    self.length, self.pointer
                ),
            )),
        }
    }
}

/// What the host needs of the guest to hand bytes over.
#[derive(Clone)]
pub(super) struct GuestMemory {
    pub(super) memory: Memory,
    pub(super) malloc: TypedFunc<u32, u32>,
}

impl GuestMemory {
    /// Allocates in the guest and writes `bytes`. Never asks for 0 bytes: TinyGo guests trap on that.
    pub(super) fn place(
        &self,
        mut store: impl AsContextMut<Data = GuestState>,
        bytes: &[u8],
    ) -> std::result::Result<Packed, wasmtime::Error> {
        let Ok(length) = u32::try_from(bytes.len()) else { return Err(wasmtime::Error::new(no_memory(bytes.len()))) };
        let pointer = self.malloc.call(store.as_context_mut(), length)?;
        if pointer == 0 {
            return Err(wasmtime::Error::new(no_memory(bytes.len())));
        }
        let packed = Packed { pointer, length };
        // The allocation may have grown the memory: look at it only now.
        let data = self.memory.data_mut(&mut store);
        let range = packed.range(data.len()).map_err(wasmtime::Error::new)?;
        if let Some(target) = data.get_mut(range) {
            target.copy_from_slice(bytes);
        }
        Ok(packed)
    }
}

fn no_memory(length: usize) -> Error {
    Error::new(ErrorCode::PluginAllocation, format!("the plugin's gk_malloc gave no memory for {length} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_is_pointer_then_length() {
        let packed = Packed::from_guest(-1);
        assert_eq!(packed, Packed { pointer: u32::MAX, length: u32::MAX });
        assert_eq!(packed.to_guest(), -1);
        assert_eq!(Packed::from_guest(0x0000_0010_0000_0003), Packed { pointer: 16, length: 3 });
    }

    #[test]
    fn ranges_end_inside_the_memory() {
        let range = |pointer, length, size| Packed { pointer, length }.range(size).ok();
        assert_eq!(range(0, 10, 10), Some(0..10));
        assert_eq!(range(1, 10, 10), None);
        assert_eq!(range(10, 0, 10), Some(10..10));
        assert_eq!(range(u32::MAX, u32::MAX, 65_536), None);
    }
}
