//! Result bytes that the library owns.

use super::guard::guard_value;

/// Result bytes owned by the library; release them with `goatflow_plugin_buffer_free`. All zero is the empty buffer.
///
/// `data` is not NUL-terminated. Copying the struct does not copy the bytes: release one copy only.
#[repr(C)]
#[derive(Debug)]
pub struct goatflow_plugin_buffer {
    /// First byte; NULL when empty.
    pub data: *mut u8,
    /// Number of bytes.
    pub len: usize,
    /// For the library.
    pub capacity: usize,
}

impl From<Vec<u8>> for goatflow_plugin_buffer {
    fn from(bytes: Vec<u8>) -> Self {
        if bytes.is_empty() {
            return Self { data: std::ptr::null_mut(), len: 0, capacity: 0 };
        }
        let mut bytes = std::mem::ManuallyDrop::new(bytes);
        Self { data: bytes.as_mut_ptr(), len: bytes.len(), capacity: bytes.capacity() }
    }
}

impl From<serde_json::Value> for goatflow_plugin_buffer {
    fn from(document: serde_json::Value) -> Self {
        document.to_string().into_bytes().into()
    }
}

/// Release the bytes of a buffer and make it empty.
///
/// An empty buffer stays empty, so that releasing twice does no harm.
///
/// Parameters:
/// - `buffer`: buffer that the library filled, or an empty one; may be NULL.
///
/// Threads: any; one thread at a time for one buffer.
/// Errors: none.
/// Since: ABI 1.
///
/// # Safety
/// `buffer` is NULL, or points to a buffer that the library filled and nobody released, or to an empty one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn goatflow_plugin_buffer_free(buffer: *mut goatflow_plugin_buffer) {
    guard_value((), || {
        // SAFETY: NULL or a valid buffer, by this function's contract.
        let Some(buffer) = (unsafe { buffer.as_mut() }) else { return };
        let taken = std::mem::replace(buffer, Vec::new().into());
        if !taken.data.is_null() {
            // SAFETY: the three values come from one Vec<u8> (see `From`) and were replaced, so this happens once.
            drop(unsafe { Vec::from_raw_parts(taken.data, taken.len, taken.capacity) });
        }
    });
}
