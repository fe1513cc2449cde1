//! A loaded WASM plugin: what was compiled, and the pool of its instances.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use wasmtime::{ExternType, Module};

use super::engine::{MAX_WASM_STACK, WasmEngine};
use super::instance::{Instance, Template};
use super::pool::Pool;
use super::prescan::ScanLimits;
use super::wait_graph::WaitGraph;
use crate::error::{Error, ErrorCode, Result, bug};
use crate::executor;
use crate::host::HostApi;
use crate::plugin::call::thread_is_ending;
use crate::plugin::{CallContext, Plugin, Registration, ResultSink, RuntimeLimits, RuntimeUsage};
use crate::runtime::check_arguments;

/// Stack that a call needs: what the guest may use, and as much again for the host functions below it.
const NEEDED_STACK: usize = 2 * MAX_WASM_STACK;

/// What a probe calls; the reference's name. Plugins that don't know it answer so, which is an answer.
const PROBE: &str = "__health_ping__";

/// Exports every plugin has, in the order they are missed.
const REQUIRED_EXPORTS: [&str; 3] = ["gk_register", "gk_call", "gk_malloc"];

/// A compiled module that does not run yet. Making it runs no code of the plugin.
pub struct CompiledModule {
    engine: &'static WasmEngine,
    module: Module,
}

/// What a plugin gets to see and to use.
pub struct Seat {
    /// The host as the plugin sees it.
    pub host: Arc<dyn HostApi>,
    /// What it may hold.
    pub limits: RuntimeLimits,
}

/// A WASM plugin that runs.
pub struct WasmPlugin(Arc<Inner>);

struct Inner {
    template: Arc<Template>,
    registration: Registration,
    pool: Pool,
    discarded: AtomicU64,
    relayed: AtomicU64,
}

impl CompiledModule {
    /// Checks and compiles `code` under the context's deadline.
    pub fn compile(
        engine: &'static WasmEngine,
        code: Vec<u8>,
        limits: &ScanLimits,
        context: &CallContext,
    ) -> Result<Self> {
        let module = engine.compile(code, limits, context)?;
        check_exports(&module)?;
        Ok(Self { engine, module })
    }

    /// Starts a first instance in the seat `first` and asks it to register, all under the context's deadline. `admit`
    /// then says, knowing who registered, in which seat the plugin serves.
    pub fn start(
        self,
        first: Seat,
        admit: impl FnOnce(&Registration) -> Result<Seat>,
        graph: &Arc<WaitGraph>,
        context: &CallContext,
    ) -> Result<WasmPlugin> {
        let pre = self.engine.linker().instantiate_pre(&self.module).map_err(|error| {
            Error::new(
                ErrorCode::PackageContract,
                "the module imports what no host offers (plugins may import `gk` and `wasi_snapshot_preview1`)",
            )
            .with_source(error.into_boxed_dyn_error())
        })?;
        let starting = Arc::new(Template::new(self.engine, pre.clone(), first.host, first.limits));
        let (mut instance, registration) = if can_run_here() {
            Instance::start(&starting, context)?
        } else {
            let context = context.clone();
            relay(move || Instance::start(&starting, &context))??
        };
        let seat = admit(&registration)?;
        let pool = Pool::new(registration.name().into(), seat.limits.instances, Arc::clone(graph));
        let template = Arc::new(Template::new(self.engine, pre, seat.host, seat.limits));
        instance.reseat(&template);
        pool.adopt(instance);
        let (discarded, relayed) = (AtomicU64::default(), AtomicU64::default());
        Ok(WasmPlugin(Arc::new(Inner { template, registration, pool, discarded, relayed })))
    }
}

impl Plugin for WasmPlugin {
    fn registration(&self) -> &Registration {
        &self.0.registration
    }

    fn call(&self, context: &CallContext, function: &str, arguments: &[u8], result: &mut ResultSink<'_>) -> Result<()> {
        check_arguments(function, arguments, &self.0.template.limits())?;
        if can_run_here() {
            return self.0.call(context, function, arguments, result);
        }
        self.0.relayed.fetch_add(1, Ordering::Relaxed);
        let (inner, context) = (Arc::clone(&self.0), context.clone());
        let (function, arguments) = (function.to_owned(), arguments.to_vec());
        let answer = relay(move || {
            let mut answer = None;
            inner.call(&context, &function, &arguments, &mut |bytes| {
                answer = Some(bytes.to_vec());
                Ok(())
            })?;
            Ok::<_, Error>(answer)
        })??;
        answer.map_or(Ok(()), |bytes| result(&bytes))
    }

    /// Healthy is a plugin that has an instance, or can make one, and whose instance answers: what it answers does not
    /// matter. A plugin whose instances all serve calls is healthy: those end at their deadlines.
    fn probe(&self, context: &CallContext) -> Result<()> {
        if can_run_here() {
            return self.0.probe(context);
        }
        let (inner, context) = (Arc::clone(&self.0), context.clone());
        relay(move || inner.probe(&context))?
    }

    fn restart(&self) -> Result<()> {
        self.0.pool.renew();
        Ok(())
    }

    fn rest(&self) -> Result<()> {
        self.0.pool.renew();
        Ok(())
    }

    fn set_limits(&self, limits: &RuntimeLimits) {
        self.0.template.set_limits(*limits);
        self.0.pool.set_capacity(limits.instances);
    }

    fn stop(&self, _patience: Duration) -> Result<()> {
        self.0.pool.close();
        Ok(())
    }

    fn usage(&self) -> RuntimeUsage {
        RuntimeUsage {
            instances: self.0.pool.live(),
            instances_discarded: self.0.discarded.load(Ordering::Relaxed),
            calls_relayed: self.0.relayed.load(Ordering::Relaxed),
            memory_bytes: self.0.template.memory_bytes.load(Ordering::Relaxed),
        }
    }
}

impl Inner {
    fn probe(&self, context: &CallContext) -> Result<()> {
        let Some(mut lease) = self.pool.lease_now(context, || self.make_instance(context))? else { return Ok(()) };
        match lease.instance()?.call(&self.template, context, PROBE, &[], &mut |_| Ok(())) {
            Ok(_) => {
                lease.finish();
                Ok(())
            }
            Err(error) => {
                self.discarded.fetch_add(1, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    /// Runs on this thread. An instance that failed is thrown away; the next call gets a new one.
    fn call(&self, context: &CallContext, function: &str, arguments: &[u8], result: &mut ResultSink<'_>) -> Result<()> {
        let mut lease = self.pool.lease(context, || self.make_instance(context))?;
        match lease.instance()?.call(&self.template, context, function, arguments, result) {
            Ok(handed_out) => {
                lease.finish();
                handed_out
            }
            Err(error) => {
                self.discarded.fetch_add(1, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    fn make_instance(&self, context: &CallContext) -> Result<Instance> {
        let (instance, registration) = Instance::start(&self.template, context)?;
        if registration.name() != self.registration.name() {
            return Err(Error::new(
                ErrorCode::PackageNameMismatch,
                format!("a new instance of `{}` registered as `{}`", self.registration.name(), registration.name()),
            ));
        }
        Ok(instance)
    }
}

/// True when this thread has the stack that a guest may need, and is not about to end.
fn can_run_here() -> bool {
    executor::remaining_stack() >= NEEDED_STACK && !thread_is_ending()
}

/// Runs `job` on a worker thread, which has enough stack, and waits for it. The job ends with its own deadline.
fn relay<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let (sender, receiver) = mpsc::sync_channel(1);
    executor::spawn(move || {
        // The receiver waits for as long as it takes.
        let _ = sender.send(job());
    })?;
    receiver.recv().map_err(|error| bug!("a relayed call panicked: {error}"))
}

fn check_exports(module: &Module) -> Result<()> {
    let is_function = |name| matches!(module.get_export(name), Some(ExternType::Func(_)));
    if let Some(missing) = REQUIRED_EXPORTS.into_iter().find(|name| !is_function(name)) {
        return Err(Error::new(ErrorCode::PackageContract, format!("plugin missing {missing} export")));
    }
    if !matches!(module.get_export("memory"), Some(ExternType::Memory(_))) {
        return Err(Error::new(ErrorCode::PackageContract, "plugin missing memory export"));
    }
    Ok(())
}

impl std::fmt::Debug for WasmPlugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WasmPlugin").field("name", &self.0.registration.name()).finish_non_exhaustive()
    }
}
