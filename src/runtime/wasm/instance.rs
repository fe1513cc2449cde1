//! One instance of a module: a store of its own, used by one call at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use wasmtime::{AsContextMut, Instance as WasmInstance, InstancePre, Store, TypedFunc, UpdateDeadline};

use super::engine::WasmEngine;
use super::limits::Limiter;
use super::memory::{GuestMemory, Packed};
use super::outcome::{GuestExit, classify};
use super::wasi::{Output, flush_output};
use crate::error::{Error, ErrorCode, Result, bug};
use crate::host::HostApi;
use crate::plugin::{CallContext, Registration, ResultSink, RuntimeLimits};

/// What a store carries for the functions that the guest imports.
pub(super) struct GuestState {
    /// The host as this plugin sees it.
    pub(super) host: Arc<dyn HostApi>,
    /// Limits on what the guest hands over.
    pub(super) bounds: RuntimeLimits,
    /// Limits on what the guest holds.
    pub(super) limiter: Limiter,
    /// The call that is being served; during the start, the load.
    pub(super) context: CallContext,
    /// False until the plugin has registered: until then the host API answers nothing, as in the reference.
    pub(super) serving: bool,
    /// Memory and allocator of the guest, once it is instantiated.
    pub(super) memory: Option<GuestMemory>,
    /// Host calls of the call that is being served.
    pub(super) host_calls: u32,
    /// Host calls that are under way inside each other (through `gk_malloc`).
    pub(super) host_call_depth: u32,
    /// JSON of the error of the last host call.
    pub(super) last_error: Option<String>,
    /// Unfinished lines of stdout and stderr.
    pub(super) output: Output,
}

/// What all instances of a plugin have in common.
pub(super) struct Template {
    pub(super) engine: &'static WasmEngine,
    pub(super) pre: InstancePre<GuestState>,
    pub(super) host: Arc<dyn HostApi>,
    limits: ArcSwap<RuntimeLimits>,
    /// Bytes of linear memory that all instances hold.
    pub(super) memory_bytes: Arc<AtomicU64>,
}

impl Template {
    pub(super) fn new(
        engine: &'static WasmEngine,
        pre: InstancePre<GuestState>,
        host: Arc<dyn HostApi>,
        limits: RuntimeLimits,
    ) -> Self {
        Self { engine, pre, host, limits: ArcSwap::from_pointee(limits), memory_bytes: Arc::default() }
    }

    pub(super) fn limits(&self) -> RuntimeLimits {
        **self.limits.load()
    }

    pub(super) fn set_limits(&self, limits: RuntimeLimits) {
        self.limits.store(Arc::new(limits));
    }
}

/// A module that was instantiated, started and registered.
pub(super) struct Instance {
    store: Store<GuestState>,
    memory: GuestMemory,
    call: TypedFunc<(u32, u32, u32, u32), i64>,
    free: Option<TypedFunc<u32, ()>>,
    /// Bytes that all instances of the plugin hold, and how many of them this one counts for.
    gauge: Arc<AtomicU64>,
    counted_bytes: u64,
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.gauge.fetch_sub(self.counted_bytes, Ordering::Relaxed);
    }
}

impl Instance {
    /// Makes an instance: instantiate, `_initialize` or else `_start`, `gk_register`; all under the context's deadline.
    pub(super) fn start(template: &Template, context: &CallContext) -> Result<(Self, Registration)> {
        let _running = template.engine.run();
        let mut store = new_store(template, context);
        let instance = instantiate(&mut store, &template.pre)?;
        let memory = guest_memory(&mut store, &instance)?;
        store.data_mut().memory = Some(memory.clone());
        run_start_function(&mut store, &instance)?;
        let registration = register(&mut store, &instance, &memory)?;
        store.data_mut().serving = true;
        let call = typed(&mut store, &instance, "gk_call")?;
        let free = instance.get_typed_func(&mut store, "gk_free").ok();
        flush_output(store.data_mut());
        let gauge = Arc::clone(&template.memory_bytes);
        let mut instance = Self { store, memory, call, free, gauge, counted_bytes: 0 };
        instance.account_memory();
        Ok((instance, registration))
    }

    /// Serves one call (docs/contract.md 1.5, 1.6): the order of allocations and frees is what plugins rely on. After an error
    /// the instance must not be used again; the inner result is the sink's, which the guest has no part in.
    pub(super) fn call(
        &mut self,
        template: &Template,
        context: &CallContext,
        function: &str,
        arguments: &[u8],
        result: &mut ResultSink<'_>,
    ) -> Result<Result<()>> {
        let _running = template.engine.run();
        self.arm(template, context);
        let outcome =
            self.exchange(function, arguments, result).map_err(|error| classify(error, self.store.data(), "gk_call"));
        flush_output(self.store.data_mut());
        self.account_memory();
        outcome
    }

    /// Keeps the plugin's sum of memory in step with this instance.
    fn account_memory(&mut self) {
        let bytes = self.store.data().limiter.memory_bytes() as u64;
        if bytes != self.counted_bytes {
            self.gauge.fetch_add(bytes.wrapping_sub(self.counted_bytes), Ordering::Relaxed);
            self.counted_bytes = bytes;
        }
    }

    /// Puts another host in force: what a first instance needs once its name is known.
    pub(super) fn reseat(&mut self, template: &Template) {
        self.store.data_mut().host = Arc::clone(&template.host);
        self.gauge.fetch_sub(std::mem::take(&mut self.counted_bytes), Ordering::Relaxed);
        self.gauge = Arc::clone(&template.memory_bytes);
        self.account_memory();
    }

    fn arm(&mut self, template: &Template, context: &CallContext) {
        self.store.set_epoch_deadline(1);
        let limits = template.limits();
        let state = self.store.data_mut();
        state.bounds = limits;
        state.limiter.set_memory_limit(limits.memory_bytes);
        state.context = context.clone();
        state.last_error = None;
        state.host_call_depth = 0;
        state.host_calls = 0;
        state.limiter.forget_refusal();
    }

    fn exchange(
        &mut self,
        function: &str,
        arguments: &[u8],
        result: &mut ResultSink<'_>,
    ) -> std::result::Result<Result<()>, wasmtime::Error> {
        let name = self.memory.place(&mut self.store, function.as_bytes())?;
        let nothing = Packed { pointer: 0, length: 0 };
        let passed = if arguments.is_empty() { nothing } else { self.memory.place(&mut self.store, arguments)? };
        let parameters = (name.pointer, name.length, passed.pointer, passed.length);
        let answer = Packed::from_guest(self.call.call(&mut self.store, parameters)?);
        let mut handed_out = Ok(());
        if !answer.is_nothing() {
            handed_out = result(self.answer(answer).map_err(wasmtime::Error::new)?);
            self.free(answer)?;
        }
        if !passed.is_nothing() {
            self.free(passed)?;
        }
        self.free(name)?;
        Ok(handed_out)
    }

    fn answer(&self, answer: Packed) -> Result<&[u8]> {
        let limit = self.store.data().bounds.result_bytes;
        if answer.length as usize > limit {
            return Err(Error::new(
                ErrorCode::PluginResultTooLarge,
                format!("the plugin answered {} bytes, the limit is {limit}", answer.length),
            ));
        }
        let data = self.memory.memory.data(&self.store);
        let range = answer.range(data.len())?;
        data.get(range).ok_or_else(|| bug!("a checked range is outside the memory"))
    }

    fn free(&mut self, range: Packed) -> std::result::Result<(), wasmtime::Error> {
        match &self.free {
            Some(free) => free.call(&mut self.store, range.pointer),
            None => Ok(()),
        }
    }
}

fn new_store(template: &Template, context: &CallContext) -> Store<GuestState> {
    let limits = template.limits();
    let state = GuestState {
        host: Arc::clone(&template.host),
        bounds: limits,
        limiter: Limiter::new(limits.memory_bytes),
        context: context.clone(),
        serving: false,
        memory: None,
        host_calls: 0,
        host_call_depth: 0,
        last_error: None,
        output: Output::default(),
    };
    let mut store = Store::new(template.engine.engine(), state);
    store.limiter(|state| &mut state.limiter);
    store.epoch_deadline_callback(|guest| match guest.data().context.check_alive() {
        Ok(()) => Ok(UpdateDeadline::Continue(1)),
        Err(error) => Err(wasmtime::Error::new(error)),
    });
    store.set_epoch_deadline(1);
    store
}

fn instantiate(store: &mut Store<GuestState>, pre: &InstancePre<GuestState>) -> Result<WasmInstance> {
    pre.instantiate(store.as_context_mut()).map_err(|error| {
        let refusal = store.data().limiter.refusal();
        match refusal {
            Some(refusal) => Error::new(
                ErrorCode::PluginMemoryLimit,
                format!("the module can't be instantiated: {refusal} (ask for more in `resources.memory_mb`)"),
            ),
            None => classify(error, store.data(), "start section"),
        }
    })
}

fn guest_memory(store: &mut Store<GuestState>, instance: &WasmInstance) -> Result<GuestMemory> {
    let memory = instance
        .get_memory(&mut *store, "memory")
        .ok_or_else(|| Error::new(ErrorCode::PackageContract, "plugin missing memory export"))?;
    Ok(GuestMemory { memory, malloc: typed(store, instance, "gk_malloc")? })
}

fn typed<P: wasmtime::WasmParams, R: wasmtime::WasmResults>(
    store: &mut Store<GuestState>,
    instance: &WasmInstance,
    name: &str,
) -> Result<TypedFunc<P, R>> {
    instance.get_typed_func(store, name).map_err(|error| {
        Error::new(ErrorCode::PackageContract, format!("plugin export {name} is missing or has another type"))
            .with_source(error.into_boxed_dyn_error())
    })
}

/// Reactors export `_initialize`, commands `_start`; a start function that ends in `proc_exit(0)` has ended well.
fn run_start_function(store: &mut Store<GuestState>, instance: &WasmInstance) -> Result<()> {
    let exports_function = |store: &mut Store<GuestState>, name| instance.get_func(store, name).is_some();
    let Some(name) = ["_initialize", "_start"].into_iter().find(|name| exports_function(store, name)) else {
        return Ok(());
    };
    let start: TypedFunc<(), ()> = typed(store, instance, name)?;
    match start.call(&mut *store, ()) {
        Ok(()) => Ok(()),
        Err(error) if error.downcast_ref::<GuestExit>().is_some_and(|exit| exit.0 == 0) => Ok(()),
        Err(error) => Err(classify(error, store.data(), name)),
    }
}

/// Asks the guest who it is. The answer stays the guest's: it is never freed (docs/contract.md 1.5).
fn register(store: &mut Store<GuestState>, instance: &WasmInstance, memory: &GuestMemory) -> Result<Registration> {
    let register: TypedFunc<(), i64> = typed(store, instance, "gk_register")?;
    let answer = register.call(&mut *store, ()).map_err(|error| classify(error, store.data(), "gk_register"))?;
    let data = memory.memory.data(&*store);
    let range = Packed::from_guest(answer).range(data.len())?;
    Registration::parse(data.get(range).unwrap_or_default())
}
