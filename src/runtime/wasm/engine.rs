//! Compiles modules and keeps time for them. One engine per signal mode and process: an engine owns process-wide signal
//! handlers and a ticker thread, and compiled code can be shared by all managers.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::sync::{Mutex, OnceLock, PoisonError};

use sha2::{Digest, Sha256};
use wasmtime::{Config, Engine, Linker, Module, WasmBacktraceDetails};

use super::instance::GuestState;
use super::prescan::{self, ScanLimits};
use super::ticker::{Running, Ticker};
use super::{host_functions, wasi};
use crate::bounded::WeightedLru;
use crate::error::{Error, ErrorCode, Result};
use crate::executor::with_thread_mask;
use crate::plugin::CallContext;

/// Stack that a guest may use on top of its caller's.
pub(super) const MAX_WASM_STACK: usize = 512 * 1024;

/// Machine code of modules that is kept for another load of the same bytes.
const CACHE_BYTES: u64 = 128 * 1024 * 1024;

/// What a small module counts for: each holds memory mappings, of which a process has a limited number.
const LEAST_WEIGHT: u64 = 1024 * 1024;

/// Stack of a thread that compiles: the compiler recurses with the nesting of the code.
const COMPILER_STACK_BYTES: usize = 16 * 1024 * 1024;

/// How memory faults of guests are noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Signals {
    /// By the processor, through process-wide signal handlers (fast; handlers installed later must chain).
    #[default]
    On,
    /// By checks in the code (slower memory access; no signal handlers at all).
    Off,
}

/// A compiler with its linker, clock and cache.
pub struct WasmEngine {
    engine: Engine,
    linker: Linker<GuestState>,
    ticker: Ticker,
    modules: Mutex<WeightedLru<[u8; 32], Module>>,
}

impl WasmEngine {
    /// The engine for a signal mode; made at the first request, then the same for the life of the process.
    pub fn shared(signals: Signals) -> Result<&'static Self> {
        static WITH: OnceLock<WasmEngine> = OnceLock::new();
        static WITHOUT: OnceLock<WasmEngine> = OnceLock::new();
        static MAKING: Mutex<()> = Mutex::new(());
        let place = match signals {
            Signals::On => &WITH,
            Signals::Off => &WITHOUT,
        };
        if let Some(engine) = place.get() {
            return Ok(engine);
        }
        let _one_at_a_time = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        if place.get().is_none() {
            // Nobody else sets it: the lock is held.
            let _ = place.set(Self::new(signals)?);
        }
        place.get().ok_or_else(|| crate::error::bug!("the engine vanished"))
    }

    fn new(signals: Signals) -> Result<Self> {
        let unusable = |error: wasmtime::Error| {
            Error::new(ErrorCode::EnvironmentUnsupported, "the WebAssembly engine can't run on this machine")
                .with_source(error.into_boxed_dyn_error())
        };
        let engine = Engine::new(&configuration(signals)).map_err(unusable)?;
        let mut linker = Linker::new(&engine);
        host_functions::link(&mut linker).map_err(unusable)?;
        wasi::link(&mut linker).map_err(unusable)?;
        Ok(Self { ticker: Ticker::start(engine.clone())?, engine, linker, modules: Mutex::default() })
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(super) fn linker(&self) -> &Linker<GuestState> {
        &self.linker
    }

    pub(super) fn run(&self) -> Running<'_> {
        self.ticker.run()
    }

    /// Checks and compiles a module. A compilation that outlives the context's deadline ends behind it; its result is
    /// then kept for the next attempt.
    pub(super) fn compile(&'static self, code: Vec<u8>, limits: &ScanLimits, context: &CallContext) -> Result<Module> {
        prescan::scan(&code, limits)?;
        let key: [u8; 32] = Sha256::digest(&code).into();
        if let Some(module) = self.known(&key) {
            return Ok(module);
        }
        let (sender, receiver) = mpsc::sync_channel(1);
        let waiter = std::thread::current();
        compilers()?.spawn(move || {
            let compiled = catch_unwind(AssertUnwindSafe(|| Module::new(&self.engine, &code).map_err(refused)))
                .unwrap_or_else(|_| Err(compiler_failed()));
            if let Ok(module) = &compiled {
                self.keep(key, module.clone());
            }
            // The waiter may have given up.
            let _ = sender.send(compiled);
            waiter.unpark();
        });
        context.block_until(|| match receiver.try_recv() {
            Ok(compiled) => Some(compiled),
            Err(mpsc::TryRecvError::Empty) => None,
            Err(mpsc::TryRecvError::Disconnected) => Some(Err(compiler_failed())),
        })?
    }

    fn known(&self, key: &[u8; 32]) -> Option<Module> {
        self.modules.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn keep(&self, key: [u8; 32], module: Module) {
        let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        let weight = machine_code_bytes(&module).max(LEAST_WEIGHT);
        modules.insert(key, module, weight);
        while modules.weight() > CACHE_BYTES && modules.len() > 1 {
            modules.evict_one();
        }
    }
}

fn machine_code_bytes(module: &Module) -> u64 {
    let image = module.image_range();
    (image.end.addr() - image.start.addr()) as u64
}

fn configuration(signals: Signals) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(MAX_WASM_STACK)
        .signals_based_traps(signals == Signals::On)
        .parallel_compilation(true)
        .generate_address_map(false)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .wasm_backtrace_max_frames(NonZeroUsize::new(16));
    // Exactly the reference's feature set (docs/contract.md 1.1): what a plugin may use there, and nothing more.
    config
        .wasm_bulk_memory(true)
        .wasm_multi_value(true)
        .wasm_reference_types(true)
        .wasm_simd(true)
        .wasm_relaxed_simd(false)
        .wasm_tail_call(false)
        .wasm_multi_memory(false)
        .wasm_memory64(false)
        .wasm_extended_const(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false)
        .wasm_function_references(false)
        .wasm_gc(false)
        .wasm_exceptions(false);
    if signals == Signals::Off {
        // Without guard pages there is no reason to reserve 4 GiB of addresses for each memory.
        config.memory_reservation(0).memory_guard_size(0).memory_reservation_for_growth(1024 * 1024);
    }
    config
}

/// The threads that compile; at most two, so that a load never takes a whole machine.
fn compilers() -> Result<&'static rayon::ThreadPool> {
    static POOL: OnceLock<std::result::Result<rayon::ThreadPool, String>> = OnceLock::new();
    let pool = POOL.get_or_init(|| {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(cores.clamp(1, 2))
            .stack_size(COMPILER_STACK_BYTES)
            .panic_handler(|_| {})
            .thread_name(|index| format!("goatflow-compile{index}"));
        with_thread_mask(|| pool.build()).map_err(|error| error.to_string())
    });
    pool.as_ref().map_err(|reason| {
        Error::new(ErrorCode::EnvironmentResources, format!("can't start the compiler threads: {reason}"))
    })
}

fn compiler_failed() -> Error {
    Error::new(ErrorCode::PackageModuleInvalid, "the compiler failed on this module (please report it)")
}

fn refused(error: wasmtime::Error) -> Error {
    Error::new(ErrorCode::PackageModuleInvalid, "the module is not valid, or uses a feature that plugins may not use")
        .with_source(error.into_boxed_dyn_error())
}
