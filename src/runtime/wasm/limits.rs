//! How much a guest may hold.

use wasmtime::ResourceLimiter;

/// Elements of all tables of an instance together; Go's linker emits tables of some ten thousand functions.
const MAX_TABLE_ELEMENTS: usize = 200_000;

/// Counts what the store of one instance holds.
#[derive(Debug)]
pub(super) struct Limiter {
    memory_limit: usize,
    memory_bytes: usize,
    memory_before: usize,
    table_elements: usize,
    tables_before: usize,
    /// What was refused since `forget_refusal`: explains a later trap.
    refusal: Option<&'static str>,
}

impl Limiter {
    pub(super) fn new(memory_limit: usize) -> Self {
        Self { memory_limit, memory_bytes: 0, memory_before: 0, table_elements: 0, tables_before: 0, refusal: None }
    }

    /// Puts another limit in force; memory that the guest already has stays.
    pub(super) fn set_memory_limit(&mut self, bytes: usize) {
        self.memory_limit = bytes;
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    pub(super) fn refusal(&self) -> Option<String> {
        self.refusal.map(|what| match what {
            "memory" => format!("the memory limit of {} bytes was reached", self.memory_limit),
            _ => format!("the limit of {MAX_TABLE_ELEMENTS} table elements was reached"),
        })
    }

    pub(super) fn forget_refusal(&mut self) {
        self.refusal = None;
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        if desired > self.memory_limit {
            self.refusal = Some("memory");
            return Ok(false);
        }
        // A store has one memory.
        self.memory_before = current;
        self.memory_bytes = desired;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.memory_bytes = self.memory_before;
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let total = self.table_elements.saturating_add(desired.saturating_sub(current));
        if total > MAX_TABLE_ELEMENTS {
            self.refusal = Some("table");
            return Ok(false);
        }
        self.tables_before = self.table_elements;
        self.table_elements = total;
        Ok(true)
    }

    fn table_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.table_elements = self.tables_before;
        Ok(())
    }

    fn instances(&self) -> usize {
        1
    }

    fn memories(&self) -> usize {
        1
    }

    fn tables(&self) -> usize {
        100
    }
}
