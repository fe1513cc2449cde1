//! The host's pointers: handed back to its callbacks, released by its finalizer exactly once.

use std::ffi::c_void;

/// Releases the `user_data` of a callback.
///
/// Runs exactly once, after the last callback has returned, also when the registration failed; on any thread.
pub type goatflow_plugin_finalizer_fn = Option<unsafe extern "C" fn(user_data: *mut c_void)>;

/// A pointer of the host with its finalizer.
pub(super) struct UserData {
    pointer: *mut c_void,
    finalizer: goatflow_plugin_finalizer_fn,
}

// SAFETY: the header says that callbacks and finalizers may run on any thread; the library never looks behind the pointer.
unsafe impl Send for UserData {}
// SAFETY: as for Send; callbacks may run on several threads at once, which the header says too.
unsafe impl Sync for UserData {}

impl UserData {
    pub(super) fn new(pointer: *mut c_void, finalizer: goatflow_plugin_finalizer_fn) -> Self {
        Self { pointer, finalizer }
    }

    pub(super) fn pointer(&self) -> *mut c_void {
        self.pointer
    }
}

impl Drop for UserData {
    fn drop(&mut self) {
        if let Some(finalizer) = self.finalizer.take() {
            // SAFETY: the host gave this function for this pointer, and it is called only here, once.
            unsafe { finalizer(self.pointer) };
        }
    }
}
