//! Pointers from C become values: NULL, lengths and UTF-8 are checked here and nowhere else.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::sync::Arc;

use super::handle::Table;
use crate::error::{Error, ErrorCode, Result};

/// Largest `struct_size` that is believed.
const MAX_STRUCT_SIZE: usize = 4096;

/// Proof that the caller of the exported function promised what its documentation asks for; borrows end with the call.
#[derive(Clone, Copy)]
pub(super) struct Args<'call>(PhantomData<&'call ()>);

/// A place for a result.
pub(super) struct Out<'call, T>(&'call mut MaybeUninit<T>);

impl<T> Out<'_, T> {
    pub(super) fn set(self, value: T) {
        self.0.write(value);
    }
}

/// A struct from C that begins with its size. Implemented for plain data whose all-zero value is valid.
///
/// # Safety
/// The type is `repr(C)`, valid for any bit pattern of its fields, begins with a `u32` size and is at least `MIN` long.
pub(super) unsafe trait Sized32: Sized {
    /// Smallest size that ever existed.
    const MIN: usize;
}

impl<'call> Args<'call> {
    /// Believes the documentation of the exported function.
    ///
    /// # Safety
    /// For `'call`, every (pointer, length) that is handed to the methods is readable, every `out_` pointer is writable
    /// and not aliased, or they are NULL.
    pub(super) unsafe fn trusted() -> Self {
        Self(PhantomData)
    }

    /// The object behind a handle.
    pub(super) fn handle<T, H>(self, table: &Table<T>, handle: *const H, name: &str) -> Result<Arc<T>> {
        table.resolve(handle.addr(), name)
    }

    /// The object behind a handle that may be NULL.
    pub(super) fn optional_handle<T, H>(
        self,
        table: &Table<T>,
        handle: *const H,
        name: &str,
    ) -> Result<Option<Arc<T>>> {
        if handle.is_null() { Ok(None) } else { self.handle(table, handle, name).map(Some) }
    }

    /// Bytes; `(NULL, 0)` is empty.
    pub(super) fn bytes<B>(self, data: *const B, len: usize, name: &str) -> Result<&'call [u8]> {
        if len == 0 {
            return Ok(&[]);
        }
        if data.is_null() {
            return Err(null(name));
        }
        if len > isize::MAX.unsigned_abs() {
            return Err(Error::new(ErrorCode::ArgumentTooLarge, format!("the length of `{name}` is impossible")));
        }
        // SAFETY: not NULL and of possible length; readable for 'call by the promise behind `trusted`.
        Ok(unsafe { std::slice::from_raw_parts(data.cast(), len) })
    }

    /// UTF-8 text; `(NULL, 0)` is empty.
    pub(super) fn text<B>(self, data: *const B, len: usize, name: &str) -> Result<&'call str> {
        std::str::from_utf8(self.bytes(data, len, name)?)
            .map_err(|error| Error::new(ErrorCode::ArgumentUtf8, format!("`{name}` is not UTF-8")).with_source(error))
    }

    /// A place for a result, zeroed.
    pub(super) fn out<T>(self, place: *mut T, name: &str) -> Result<Out<'call, T>> {
        self.optional_out(place).ok_or_else(|| null(name))
    }

    /// A place for a result that may be NULL.
    pub(super) fn optional_out<T>(self, place: *mut T) -> Option<Out<'call, T>> {
        // SAFETY: writable and not aliased for 'call by the promise behind `trusted`; NULL becomes None.
        let place = unsafe { place.cast::<MaybeUninit<T>>().as_mut() }?;
        *place = MaybeUninit::zeroed();
        Some(Out(place))
    }

    /// Writable bytes; `(NULL, 0)` is empty.
    pub(super) fn destination(self, data: *mut u8, len: usize, name: &str) -> Result<&'call mut [u8]> {
        if len == 0 {
            return Ok(&mut []);
        }
        if data.is_null() {
            return Err(null(name));
        }
        if len > isize::MAX.unsigned_abs() {
            return Err(Error::new(ErrorCode::ArgumentTooLarge, format!("the length of `{name}` is impossible")));
        }
        // SAFETY: not NULL and of possible length; writable and not aliased for 'call by the promise behind `trusted`.
        Ok(unsafe { std::slice::from_raw_parts_mut(data, len) })
    }

    /// Places for an array of results, zeroed.
    pub(super) fn out_array<T>(self, places: *mut T, len: usize, name: &str) -> Result<&'call mut [MaybeUninit<T>]> {
        if len == 0 {
            return Ok(&mut []);
        }
        if places.is_null() {
            return Err(null(name));
        }
        if len > isize::MAX.unsigned_abs() / size_of::<T>().max(1) {
            return Err(Error::new(ErrorCode::ArgumentTooLarge, format!("the length of `{name}` is impossible")));
        }
        // SAFETY: as for `destination`; MaybeUninit does not ask for initialised memory.
        let places = unsafe { std::slice::from_raw_parts_mut(places.cast::<MaybeUninit<T>>(), len) };
        places.fill_with(MaybeUninit::zeroed);
        Ok(places)
    }

    /// A struct that begins with its size; NULL is all zero. Fields that a shorter, older struct lacks are zero; bytes that
    /// this library does not know must be zero.
    pub(super) fn sized<T: Sized32>(self, given: *const T, name: &str) -> Result<T> {
        let mut known = MaybeUninit::<T>::zeroed();
        if !given.is_null() {
            // SAFETY: the struct begins with a readable u32 by the promise behind `trusted` and that of `Sized32`.
            let size = unsafe { given.cast::<u32>().read_unaligned() } as usize;
            if !(T::MIN..=MAX_STRUCT_SIZE).contains(&size) {
                return Err(Error::new(
                    ErrorCode::ArgumentStructSize,
                    format!("`{name}->struct_size` is {size} (set it to sizeof the struct)"),
                ));
            }
            // SAFETY: the caller says that `size` bytes are there.
            let bytes = unsafe { std::slice::from_raw_parts(given.cast::<u8>(), size) };
            let (head, tail) = bytes.split_at(size.min(size_of::<T>()));
            if tail.iter().any(|byte| *byte != 0) {
                return Err(Error::new(
                    ErrorCode::ArgumentUnsupportedOption,
                    format!("`{name}` has options that this version of the library does not know"),
                ));
            }
            // SAFETY: `head` is at most as long as T; the two do not overlap.
            unsafe { std::ptr::copy_nonoverlapping(head.as_ptr(), known.as_mut_ptr().cast(), head.len()) };
        }
        // SAFETY: zeroed or copied fields are valid by the promise of `Sized32`.
        Ok(unsafe { known.assume_init() })
    }
}

fn null(name: &str) -> Error {
    Error::new(ErrorCode::ArgumentNull, format!("`{name}` is NULL"))
}
