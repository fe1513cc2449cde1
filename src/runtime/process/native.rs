//! A native plugin: one process at a time, started again when it dies.
//!
//! States: *serving* has a process. *Starting* waits for one, and calls wait with it. *Pausing* lets some time pass after a
//! crash, and calls fail. *Given up* waits for an operator. *Resting* has none until somebody calls. *Stopped* is the end.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::Thread;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use serde_json::{Value, json};

use super::directory::PluginDirectory;
use super::jail::Image;
use super::session::Ending;
use super::start::{OnEnd, Process, Recipe, longest};
use super::terms::Terms;
use crate::clock::{self, Nanos};
use crate::error::{Error, ErrorCode, Result};
use crate::executor;
use crate::host::HostApi;
use crate::plugin::recovery::Verdict;
use crate::plugin::{
    CallContext, Cancellation, Origin, Plugin, Recovery, Registration, ResultSink, RuntimeLimits, RuntimeUsage,
};
use crate::runtime::check_arguments;

/// A native program with what its package brought besides.
pub struct NativeProgram {
    /// Bytes of the program: the very bytes that run.
    pub code: Vec<u8>,
    /// Its file name.
    pub binary: String,
    /// Further files, which the plugin can read: names with `/`, and contents.
    pub files: Vec<(String, Vec<u8>)>,
}

/// What a native plugin runs with.
pub struct NativeSeat {
    /// The host as the plugin sees it.
    pub host: Arc<dyn HostApi>,
    /// Limits at the start.
    pub limits: RuntimeLimits,
    /// What the policy grants the first process.
    pub first_terms: Terms,
    /// What the policy grants at the moment it is asked; asked for every further process.
    pub terms: Box<dyn Fn() -> Terms + Send + Sync>,
    /// Settings that the plugin is told.
    pub config: BTreeMap<String, String>,
    /// Where directories of plugins are made; the system's own place when absent.
    pub directory: Option<PathBuf>,
    /// Crashes under this name.
    pub recovery: Arc<Recovery>,
    /// Is told what happens to the process, on worker threads.
    pub observer: Box<dyn Fn(ProcessEvent) + Send + Sync>,
}

/// What happened to a plugin's process.
#[derive(Debug, Clone)]
pub enum ProcessEvent {
    /// It ended by itself.
    Crashed(Arc<Error>),
    /// A new one serves.
    Restarted,
    /// It is not started any more.
    GaveUp,
}

/// A native plugin in service.
pub struct NativePlugin(Arc<Inner>);

struct Inner {
    recipe: Recipe,
    registration: Registration,
    serving: ArcSwapOption<Process>,
    state: Mutex<State>,
    recovery: Arc<Recovery>,
    observer: Box<dyn Fn(ProcessEvent) + Send + Sync>,
    processes: AtomicU64,
}

struct State {
    phase: Phase,
    limits: RuntimeLimits,
    waiting: Vec<Thread>,
    /// How the last process ended.
    last: Option<Ending>,
    /// Processes that serve their last calls.
    leaving: Vec<Weak<Process>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Serving,
    Starting,
    Pausing(Nanos),
    GivenUp,
    Resting,
    Stopped,
}

impl NativePlugin {
    /// Starts a first process; `admit` looks at what it registers before it may do anything.
    pub fn start(
        program: NativeProgram,
        seat: NativeSeat,
        admit: impl FnOnce(&Registration) -> Result<()>,
        context: &CallContext,
    ) -> Result<Self> {
        let directory = PluginDirectory::new(seat.directory.as_deref())?;
        for (name, content) in &program.files {
            directory.add_file(name, content)?;
        }
        let image = if program.code.starts_with(b"#!") || !is_binary(&program.code) {
            directory.add_file(&program.binary, &program.code)?;
            None
        } else {
            Some(Image::seal(&program.code)?)
        };
        let mut config = seat.config;
        config.insert("plugin_dir".into(), directory.files().to_string_lossy().into_owned());
        config.insert("work_dir".into(), "/tmp".into());
        let NativeSeat { host, limits, first_terms, terms, recovery, observer, .. } = seat;
        let recipe = Recipe { image, binary: program.binary, directory, terms, host, config };
        let (inner, on_end) = Late::new();
        let (process, registration) = recipe.start(first_terms, limits, admit, on_end, context)?;
        let plugin = Arc::new(Inner {
            recipe,
            registration,
            serving: ArcSwapOption::from(Some(process)),
            state: Mutex::new(State {
                phase: Phase::Serving,
                limits,
                waiting: Vec::new(),
                last: None,
                leaving: Vec::new(),
            }),
            recovery,
            observer,
            processes: AtomicU64::new(1),
        });
        inner.arrive(&plugin);
        Ok(Self(plugin))
    }
}

impl Plugin for NativePlugin {
    fn registration(&self) -> &Registration {
        &self.0.registration
    }

    fn call(&self, context: &CallContext, function: &str, arguments: &[u8], result: &mut ResultSink<'_>) -> Result<()> {
        check_arguments(function, arguments, &self.0.state().limits)?;
        loop {
            let process = self.0.process(context)?;
            let Some(call) = process.host_calls.enter(context)? else {
                // It has ended or is being replaced, and the next one is not there yet.
                context.check_alive()?;
                std::thread::park_timeout(Duration::from_millis(1));
                continue;
            };
            let answer = process.session.call(&call, function, arguments)?;
            drop(call);
            return if answer.is_empty() { Ok(()) } else { result(&answer) };
        }
    }

    fn set_limits(&self, limits: &RuntimeLimits) {
        let mut state = self.0.state();
        state.limits = *limits;
        drop(state);
        let Some(process) = self.0.serving.load_full() else { return };
        process.host_calls.set_limits(*limits);
        // What the kernel holds a process to was settled when it was started.
        if (self.0.recipe.terms)() != process.terms {
            let inner = Arc::clone(&self.0);
            let restart = move || {
                if let Err(error) = inner.restart() {
                    inner.refuse(&process, &error);
                }
            };
            // Without a thread the old terms stay until the next start.
            let _ = executor::spawn(restart);
        }
    }

    fn stop(&self, patience: Duration) -> Result<()> {
        let process = self.0.leave(Phase::Stopped);
        if let Some(process) = process.filter(|_| !patience.is_zero()) {
            process.stop(&within(patience));
        }
        self.0.kill_leaving();
        Ok(())
    }

    fn probe(&self, context: &CallContext) -> Result<()> {
        self.0.process(context)?.session.probe(context)
    }

    fn restart(&self) -> Result<()> {
        self.0.restart()
    }

    fn rest(&self) -> Result<()> {
        let Some(process) = self.0.leave(Phase::Resting) else { return Ok(()) };
        executor::spawn(move || process.stop_after_calls())
    }

    fn retire(&self) -> Result<()> {
        // A process that rests already, or was exchanged, ends by itself after its last call.
        let Some(process) = self.0.leave(Phase::Stopped) else { return Ok(()) };
        let unheard = Arc::clone(&process);
        executor::spawn(move || process.stop_after_calls()).inspect_err(|_| unheard.kill())
    }

    fn process(&self) -> Option<Value> {
        let process = self.0.serving.load_full();
        let phase = self.0.state().phase;
        Some(json!({
            "state": phase.name(),
            "pid": process.as_ref().and_then(|process| process.pid()),
            "protocol": process.as_ref().map(|process| process.protocol.name()),
            "processes": self.0.processes.load(Ordering::Relaxed),
            "isolation": process.as_ref().map(|process| process.report().to_json()),
        }))
    }

    fn usage(&self) -> RuntimeUsage {
        let process = self.0.serving.load();
        let pid = process.as_ref().and_then(|process| process.pid());
        RuntimeUsage {
            instances: u32::from(pid.is_some()),
            instances_discarded: self.0.processes.load(Ordering::Relaxed).saturating_sub(1),
            calls_relayed: 0,
            memory_bytes: pid.and_then(resident_bytes).unwrap_or(0),
        }
    }
}

impl Inner {
    /// The process that serves; waits for one that is being started.
    fn process(self: &Arc<Self>, context: &CallContext) -> Result<Arc<Process>> {
        if let Some(process) = self.serving.load_full() {
            return Ok(process);
        }
        context.block_until(|| self.ready().transpose()).flatten()
    }

    /// A process, or why none will come; `None` while one is being started.
    fn ready(self: &Arc<Self>) -> Result<Option<Arc<Process>>> {
        let mut state = self.state();
        if let Some(process) = self.serving.load_full() {
            return Ok(Some(process));
        }
        match state.phase {
            Phase::Serving | Phase::Starting => {}
            Phase::Resting => {
                state.phase = Phase::Starting;
                let inner = Arc::clone(self);
                executor::spawn(move || inner.start_again())?;
            }
            Phase::Pausing(until) => return Err(state.failed(restarting(until))),
            Phase::GivenUp => return Err(state.failed(given_up())),
            Phase::Stopped => {
                return Err(Error::new(ErrorCode::LifecycleStopped, "the plugin was stopped"));
            }
        }
        let me = std::thread::current();
        if !state.waiting.iter().any(|thread| thread.id() == me.id()) {
            state.waiting.push(me);
        }
        Ok(None)
    }

    /// Starts a process for calls that wait for it.
    fn start_again(self: &Arc<Self>) {
        match self.new_process() {
            Ok(process) => {
                if !self.put_into_service(&process) {
                    process.kill();
                    return;
                }
                self.recovery.restarted();
                (self.observer)(ProcessEvent::Restarted);
            }
            Err(error) => self.failed(Ending::of(&error)),
        }
    }

    fn new_process(self: &Arc<Self>) -> Result<Arc<Process>> {
        let limits = self.state().limits;
        let terms = (self.recipe.terms)();
        let context = within(longest(terms.init_timeout_ms));
        let (late, on_end) = Late::new();
        let same = |registration: &Registration| self.check_same(registration);
        let (process, _) = self.recipe.start(terms, limits, same, on_end, &context)?;
        self.processes.fetch_add(1, Ordering::Relaxed);
        late.arrive(self);
        Ok(process)
    }

    fn check_same(&self, registration: &Registration) -> Result<()> {
        if registration.name() == self.registration.name() {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::PackageNameMismatch,
            format!("a new process of `{}` registered as `{}`", self.registration.name(), registration.name()),
        ))
    }

    /// False when the plugin was stopped, or put to rest, meanwhile.
    fn put_into_service(&self, process: &Arc<Process>) -> bool {
        let mut state = self.state();
        if matches!(state.phase, Phase::Stopped | Phase::Resting) {
            return false;
        }
        process.host_calls.set_limits(state.limits);
        self.serving.store(Some(Arc::clone(process)));
        state.move_to(Phase::Serving);
        true
    }

    fn restart(self: &Arc<Self>) -> Result<()> {
        let process = self.new_process()?;
        let old = self.serving.load_full();
        if !self.put_into_service(&process) {
            process.kill();
            return Ok(());
        }
        self.recovery.restarted();
        (self.observer)(ProcessEvent::Restarted);
        if let Some(old) = old {
            self.state().let_leave(&old);
            old.stop_after_calls();
        }
        Ok(())
    }

    /// Ends a process whose terms no longer hold, when none can be started under the new ones.
    fn refuse(self: &Arc<Self>, process: &Arc<Process>, error: &Error) {
        let mut state = self.state();
        if state.phase == Phase::Serving {
            self.serving.store(None);
            state.last = Some(Ending::of(error));
            state.move_to(Phase::Resting);
        }
        drop(state);
        process.kill();
    }

    /// Takes the process out of service.
    fn leave(&self, phase: Phase) -> Option<Arc<Process>> {
        let mut state = self.state();
        if state.phase != Phase::Stopped {
            state.move_to(phase);
        }
        let process = self.serving.swap(None);
        if let Some(process) = &process {
            state.let_leave(process);
        }
        process
    }

    /// Ends what still serves its last calls.
    fn kill_leaving(&self) {
        let leaving = std::mem::take(&mut self.state().leaving);
        for process in leaving.iter().filter_map(Weak::upgrade) {
            process.kill();
        }
    }

    /// A process has ended.
    fn ended(self: &Arc<Self>, ending: &Ending, was_meant: bool) {
        let serves_another = self.serving.load().as_ref().is_some_and(|process| !process.has_ended());
        if !was_meant && !serves_another {
            self.failed(ending.clone());
        }
    }

    /// A process has crashed, or could not be started: what comes next.
    fn failed(self: &Arc<Self>, ending: Ending) {
        let verdict = self.recovery.failed(clock::now(), chance());
        let crashed = ProcessEvent::Crashed(Arc::new(ending.error()));
        let mut state = self.state();
        if matches!(state.phase, Phase::Stopped | Phase::Resting) {
            return;
        }
        self.serving.store(None);
        state.last = Some(ending);
        match verdict {
            Verdict::GiveUp => state.move_to(Phase::GivenUp),
            Verdict::RestartAfter(Duration::ZERO) => state.move_to(Phase::Starting),
            Verdict::RestartAfter(pause) => {
                state.move_to(Phase::Pausing(clock::now().saturating_add(clock::saturating_nanos(pause))));
            }
        }
        drop(state);
        (self.observer)(crashed);
        match verdict {
            Verdict::GiveUp => (self.observer)(ProcessEvent::GaveUp),
            Verdict::RestartAfter(pause) => self.start_later(pause),
        }
    }

    fn start_later(self: &Arc<Self>, pause: Duration) {
        let plugin = Arc::downgrade(self);
        let start = move || {
            // On the timer's thread, which must not be held up.
            let _ = executor::spawn(move || {
                if let Some(inner) = plugin.upgrade().filter(|inner| inner.begin_start()) {
                    inner.start_again();
                }
            });
        };
        let due = clock::now().saturating_add(clock::saturating_nanos(pause));
        if executor::at(due, start).is_err() {
            // No timer to be had: the next call starts it.
            self.state().move_to(Phase::Resting);
        }
    }

    /// False when somebody else decided otherwise meanwhile.
    fn begin_start(&self) -> bool {
        let mut state = self.state();
        let may_start = matches!(state.phase, Phase::Starting | Phase::Pausing(_));
        if may_start {
            state.move_to(Phase::Starting);
        }
        may_start
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn move_to(&mut self, phase: Phase) {
        self.phase = phase;
        for thread in self.waiting.drain(..) {
            thread.unpark();
        }
    }

    fn let_leave(&mut self, process: &Arc<Process>) {
        self.leaving.retain(|leaving| leaving.strong_count() > 0);
        self.leaving.push(Arc::downgrade(process));
    }

    /// The error of a call that finds no process, with the reason why there is none.
    fn failed(&self, error: Error) -> Error {
        match &self.last {
            Some(last) => error.with_detail("last_failure", last.error().to_json()),
            None => error,
        }
    }
}

impl Phase {
    fn name(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Starting => "starting",
            Self::Pausing(_) => "pausing",
            Self::GivenUp => "crash_loop",
            Self::Resting => "resting",
            Self::Stopped => "stopped",
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(process) = self.serving.swap(None) {
            process.kill();
        }
        self.kill_leaving();
    }
}

/// The plugin that a process belongs to, which is not there yet when its first process is started.
struct Late(Arc<Mutex<Arrival>>);

#[derive(Default)]
struct Arrival {
    plugin: Option<Weak<Inner>>,
    /// The process ended before.
    ended: Option<(Ending, bool)>,
}

impl Late {
    fn new() -> (Self, OnEnd) {
        let late = Arc::new(Mutex::new(Arrival::default()));
        let told = Arc::clone(&late);
        let on_end = Box::new(move |ending: &Ending, was_meant| {
            let mut arrival = told.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(plugin) = &arrival.plugin else {
                arrival.ended = Some((ending.clone(), was_meant));
                return;
            };
            let plugin = plugin.upgrade();
            drop(arrival);
            if let Some(plugin) = plugin {
                plugin.ended(ending, was_meant);
            }
        });
        (Self(late), on_end)
    }

    fn arrive(&self, plugin: &Arc<Inner>) {
        let mut arrival = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        arrival.plugin = Some(Arc::downgrade(plugin));
        let ended = arrival.ended.take();
        drop(arrival);
        if let Some((ending, was_meant)) = ended {
            let plugin = Arc::clone(plugin);
            // Without a thread to be had, the next call finds a closed session and says so.
            let _ = executor::spawn(move || plugin.ended(&ending, was_meant));
        }
    }
}

impl Ending {
    /// An error of the start as the end of a process.
    fn of(error: &Error) -> Self {
        let details = [("start", error.to_json())];
        Self { code: error.code(), reason: error.to_string(), details: Arc::new(details) }
    }
}

fn restarting(until: Nanos) -> Error {
    let left_ms = until.saturating_sub(clock::now()) / 1_000_000;
    Error::new(
        ErrorCode::PluginRestarting,
        format!("the plugin's process ended and is started again in {left_ms} ms (call again then)"),
    )
    .with_detail("retry_after_ms", left_ms)
}

fn given_up() -> Error {
    Error::new(
        ErrorCode::PluginCrashLoop,
        "the plugin's process ended too often and is not started any more (look at its log, then reset the crash loop or replace \
         the plugin)",
    )
}

fn is_binary(code: &[u8]) -> bool {
    code.starts_with(b"\x7fELF") || code.contains(&0)
}

fn within(patience: Duration) -> CallContext {
    let deadline = clock::now().saturating_add(clock::saturating_nanos(patience));
    CallContext::from_host(deadline, Cancellation::default(), Origin::default())
}

/// From 0 up to 1; the middle when the system has no random bytes.
fn chance() -> f64 {
    let mut bytes = [0; 4];
    match getrandom::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 0.5,
    }
}

/// Memory of a process that is in use, in bytes.
fn resident_bytes(pid: u32) -> Option<u64> {
    let facts = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = facts.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * u64::try_from(rustix::param::page_size()).ok()?)
}

impl std::fmt::Debug for NativePlugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NativePlugin").field("name", &self.0.registration.name()).finish_non_exhaustive()
    }
}
