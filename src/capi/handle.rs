//! Handles: values of type, generation and slot, looked up without a lock and never dereferenced. A handle that was
//! freed, was never issued or is of another type is an error, not undefined behaviour.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arc_swap::ArcSwapOption;

use crate::error::{Error, ErrorCode, Result};

#[cfg(not(target_pointer_width = "64"))]
compile_error!("a handle packs type, generation and slot into 64 bits");

/// Layout of a handle: type in the top byte, so that no pointer to user memory ever looks like one.
const TYPE_SHIFT: u32 = 56;
const GENERATION_SHIFT: u32 = 32;
const MAX_GENERATION: u32 = (1 << (TYPE_SHIFT - GENERATION_SHIFT)) - 1;

/// Chunk `n` has `FIRST_CHUNK << n` slots.
const FIRST_CHUNK: u32 = 64;
const CHUNKS: usize = 20;

/// All live objects of one type.
pub(super) struct Table<T> {
    type_tag: u8,
    type_name: &'static str,
    chunks: [OnceLock<Box<[Slot<T>]>>; CHUNKS],
    next: AtomicU32,
    free: Mutex<Vec<u32>>,
}

struct Slot<T> {
    entry: ArcSwapOption<Entry<T>>,
    generation: AtomicU32,
}

struct Entry<T> {
    generation: u32,
    value: Arc<T>,
}

impl<T> Table<T> {
    /// An empty table. Tags start at 0xA0 and differ between tables.
    pub(super) const fn new(type_tag: u8, type_name: &'static str) -> Self {
        Self {
            type_tag,
            type_name,
            chunks: [const { OnceLock::new() }; CHUNKS],
            next: AtomicU32::new(0),
            free: Mutex::new(Vec::new()),
        }
    }

    /// Issues a handle for `value`.
    pub(super) fn insert(&self, value: Arc<T>) -> Result<usize> {
        super::guard::watch_forks();
        let reused = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let index = match reused {
            Some(index) => index,
            None => self.next.fetch_add(1, Ordering::Relaxed),
        };
        let slot = self.slot_or_grow(index).ok_or_else(|| {
            Error::new(ErrorCode::EnvironmentResources, format!("too many {} handles are in use", self.type_name))
        })?;
        let generation = slot.generation.fetch_add(1, Ordering::Relaxed) + 1;
        slot.entry.store(Some(Arc::new(Entry { generation, value })));
        Ok(usize::from(self.type_tag) << TYPE_SHIFT | (generation as usize) << GENERATION_SHIFT | index as usize)
    }

    /// The object behind a handle; `argument` names the parameter in the error.
    pub(super) fn resolve(&self, handle: usize, argument: &str) -> Result<Arc<T>> {
        let found = self.decode(handle).and_then(|(generation, index)| {
            let entry = self.slot(index)?.entry.load();
            let entry = entry.as_ref().filter(|entry| entry.generation == generation)?;
            Some(Arc::clone(&entry.value))
        });
        found.ok_or_else(|| self.unusable(handle, argument))
    }

    /// Takes the object out; `None` when the handle is not live (any more).
    pub(super) fn remove(&self, handle: usize) -> Option<Arc<T>> {
        let (generation, index) = self.decode(handle)?;
        let slot = self.slot(index)?;
        let entry = slot.entry.load_full().filter(|entry| entry.generation == generation)?;
        let before = slot.entry.compare_and_swap(&Some(Arc::clone(&entry)), None);
        if !before.as_ref().is_some_and(|before| Arc::ptr_eq(before, &entry)) {
            return None;
        }
        // A slot whose generations are used up is never issued again.
        if generation < MAX_GENERATION {
            self.free.lock().unwrap_or_else(PoisonError::into_inner).push(index);
        }
        Some(Arc::clone(&entry.value))
    }

    fn decode(&self, handle: usize) -> Option<(u32, u32)> {
        if handle >> TYPE_SHIFT != usize::from(self.type_tag) {
            return None;
        }
        let generation = u32::try_from(handle >> GENERATION_SHIFT & MAX_GENERATION as usize).ok()?;
        let index = u32::try_from(handle & u32::MAX as usize).ok()?;
        Some((generation, index))
    }

    fn unusable(&self, handle: usize, argument: &str) -> Error {
        if handle == 0 {
            return Error::new(ErrorCode::ArgumentNull, format!("`{argument}` is NULL"));
        }
        Error::new(
            ErrorCode::ArgumentHandle,
            format!("`{argument}` is not a live {} handle (it was freed, or never was one)", self.type_name),
        )
    }

    fn slot(&self, index: u32) -> Option<&Slot<T>> {
        let (chunk, offset) = place(index);
        self.chunks.get(chunk)?.get()?.get(offset)
    }

    fn slot_or_grow(&self, index: u32) -> Option<&Slot<T>> {
        let (chunk, offset) = place(index);
        let size = (FIRST_CHUNK as usize) << chunk;
        let empty = || Slot { entry: ArcSwapOption::empty(), generation: AtomicU32::new(0) };
        self.chunks.get(chunk)?.get_or_init(|| (0..size).map(|_| empty()).collect()).get(offset)
    }
}

/// Chunk and offset of a slot.
fn place(index: u32) -> (usize, usize) {
    let shifted = u64::from(index) + u64::from(FIRST_CHUNK);
    let chunk = shifted.ilog2() - FIRST_CHUNK.ilog2();
    let offset = shifted - (u64::from(FIRST_CHUNK) << chunk);
    (chunk as usize, usize::try_from(offset).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    static TABLE: Table<u32> = Table::new(0xF0, "number");

    fn code(result: Result<Arc<u32>>) -> ErrorCode {
        result.unwrap_err().code()
    }

    #[test]
    fn places_fill_chunk_after_chunk() {
        assert_eq!(
            [place(0), place(63), place(64), place(191), place(192)],
            [(0, 0), (0, 63), (1, 0), (1, 127), (2, 0)]
        );
        assert!(place(u32::MAX).0 >= CHUNKS);
    }

    #[test]
    fn only_live_handles_resolve() {
        let handle = TABLE.insert(Arc::new(7)).unwrap();
        assert_eq!(*TABLE.resolve(handle, "x").unwrap(), 7);
        assert_eq!(TABLE.remove(handle).as_deref(), Some(&7));
        assert_eq!(TABLE.remove(handle), None);
        assert_eq!(code(TABLE.resolve(handle, "x")), ErrorCode::ArgumentHandle);
        assert_eq!(code(TABLE.resolve(0, "x")), ErrorCode::ArgumentNull);
        for foreign in [1, 0x7fff_1234_5678, usize::MAX, handle ^ 1 << TYPE_SHIFT, handle | 0xffff_ffff] {
            assert_eq!(code(TABLE.resolve(foreign, "x")), ErrorCode::ArgumentHandle, "{foreign:#x}");
            assert_eq!(TABLE.remove(foreign), None);
        }
        let again = TABLE.insert(Arc::new(8)).unwrap();
        assert_ne!(again, handle);
    }

    #[test]
    fn a_handle_is_freed_by_exactly_one_of_many_threads() {
        static RACE: Table<u32> = Table::new(0xF1, "number");
        for _ in 0..200 {
            let handle = RACE.insert(Arc::new(1)).unwrap();
            let wins: usize = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| RACE.remove(handle).is_some())).collect();
                threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum()
            });
            assert_eq!(wins, 1);
        }
    }
}
