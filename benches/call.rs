//! The call path beside raw wasmtime: the same guest, the same steps (malloc, write, call, read, free), in turn within each
//! round, so that the ratio of a round holds when the machine's speed drifts. Prints medians and their spread.
//!
//! `cargo bench` measures; `cargo bench -- --count N PATH` makes N calls on one path and nothing else, for counting
//! instructions: `valgrind --tool=callgrind target/release/deps/call-… --count 2000 echo64`.

use std::hint::black_box;
use std::time::Instant;

use goatflow_plugin::manager::{CallOptions, Config, Manager};
use wasmtime::{Caller, Config as EngineConfig, Engine, Instance, Linker, Memory, Module, Store, TypedFunc};

const ROUNDS: usize = 9;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// What is measured: a function of the guest and its arguments.
struct Path {
    name: &'static str,
    function: &'static str,
    arguments: Vec<u8>,
    calls: u32,
}

fn paths() -> Vec<Path> {
    let path = |name, function, arguments: Vec<u8>, calls| Path { name, function, arguments, calls };
    vec![
        path("noop", "noop", Vec::new(), 20_000),
        path("echo 64 B", "echo", vec![b'x'; 64], 20_000),
        path("echo 4 KiB", "echo", vec![b'x'; 4096], 10_000),
        path("echo 64 KiB", "echo", vec![b'x'; 65_536], 2_000),
        path("1 host call", "host:config_get", br#"{"key":"app.name"}"#.to_vec(), 10_000),
    ]
}

/// The floor: what nobody who uses wasmtime safely on this contract can go below with the same steps.
struct Raw {
    store: Store<Option<TypedFunc<u32, u32>>>,
    memory: Memory,
    malloc: TypedFunc<u32, u32>,
    free: TypedFunc<u32, ()>,
    call: TypedFunc<(u32, u32, u32, u32), u64>,
}

impl Raw {
    fn new(module: &[u8]) -> Result<Self> {
        let mut config = EngineConfig::new();
        config.epoch_interruption(true);
        let engine = Engine::new(&config)?;
        let module = Module::new(&engine, module)?;
        let mut linker = Linker::new(&engine);
        linker.func_wrap("gk", "host_call", raw_host_call)?;
        linker.func_wrap("gk", "log", |_: i32, _: u32, _: u32| {})?;
        for import in module.imports().filter(|import| import.module().starts_with("wasi")) {
            let function = import.ty().unwrap_func().clone();
            linker.func_new(import.module(), import.name(), function, |_, _, _| Ok(()))?;
        }
        let mut store = Store::new(&engine, None);
        store.set_epoch_deadline(u64::MAX / 2);
        let instance = linker.instantiate(&mut store, &module)?;
        start(&mut store, &instance)?;
        let malloc = instance.get_typed_func(&mut store, "gk_malloc")?;
        *store.data_mut() = Some(malloc.clone());
        Ok(Self {
            memory: instance.get_memory(&mut store, "memory").ok_or("no memory")?,
            malloc,
            free: instance.get_typed_func(&mut store, "gk_free")?,
            call: instance.get_typed_func(&mut store, "gk_call")?,
            store,
        })
    }

    fn place(&mut self, bytes: &[u8]) -> Result<(u32, u32)> {
        if bytes.is_empty() {
            return Ok((0, 0));
        }
        let length = u32::try_from(bytes.len())?;
        let pointer = self.malloc.call(&mut self.store, length)?;
        self.memory.write(&mut self.store, pointer as usize, bytes)?;
        Ok((pointer, length))
    }

    fn run(&mut self, path: &Path) -> Result<Vec<u8>> {
        let name = self.place(path.function.as_bytes())?;
        let arguments = self.place(&path.arguments)?;
        let packed = self.call.call(&mut self.store, (name.0, name.1, arguments.0, arguments.1))?;
        let (pointer, length) = ((packed >> 32) as usize, (packed & 0xffff_ffff) as usize);
        let answer = self.memory.data(&self.store)[pointer..pointer + length].to_vec();
        if length > 0 {
            self.free.call(&mut self.store, u32::try_from(pointer)?)?;
        }
        if arguments.1 > 0 {
            self.free.call(&mut self.store, arguments.0)?;
        }
        self.free.call(&mut self.store, name.0)?;
        Ok(answer)
    }
}

/// Answers every host call with the same bytes: no JSON, no policy.
fn raw_host_call(
    mut guest: Caller<'_, Option<TypedFunc<u32, u32>>>,
    _name: u32,
    _name_len: u32,
    _arguments: u32,
    _arguments_len: u32,
) -> wasmtime::Result<u64> {
    const ANSWER: &[u8] = br#"{"value":"GoatFlow"}"#;
    let malloc = guest.data().clone().ok_or_else(|| wasmtime::Error::msg("no allocator"))?;
    let memory = guest.get_export("memory").and_then(wasmtime::Extern::into_memory);
    let memory = memory.ok_or_else(|| wasmtime::Error::msg("no memory"))?;
    let pointer = malloc.call(&mut guest, u32::try_from(ANSWER.len())?)?;
    memory.write(&mut guest, pointer as usize, ANSWER)?;
    Ok(u64::from(pointer) << 32 | ANSWER.len() as u64)
}

fn start<T>(store: &mut Store<T>, instance: &Instance) -> Result<()> {
    if let Ok(start) = instance.get_typed_func::<(), ()>(&mut *store, "_start") {
        start.call(&mut *store, ())?;
    }
    instance.get_typed_func::<(), u64>(&mut *store, "gk_register")?.call(store, ())?;
    Ok(())
}

/// The library, through a function handle as a host uses it.
struct Ours {
    function: Vec<goatflow_plugin::manager::Function>,
}

impl Ours {
    fn new(module: &[u8], paths: &[Path]) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("reference.wasm");
        std::fs::write(&file, module)?;
        let manager = Manager::new(Config::parse(br#"{"config":{"values":{"app.name":"GoatFlow"}}}"#)?)?;
        let name = manager.load(&file)?;
        let policy = br#"{"version":1,"status":"approved","permissions":[{"type":"config","access":"read","scope":["app.name"]}]}"#;
        manager.set_policy(&name, policy, None)?;
        let function =
            paths.iter().map(|path| manager.function(&name, path.function)).collect::<std::result::Result<_, _>>()?;
        Ok(Self { function })
    }

    fn run(&self, index: usize, path: &Path) -> Result<Vec<u8>> {
        let mut answer = Vec::new();
        self.function[index].call(&path.arguments, &CallOptions::default(), &mut |bytes| {
            answer = bytes.to_vec();
            Ok(())
        })?;
        Ok(answer)
    }
}

/// Nanoseconds per call.
fn time(calls: u32, mut call: impl FnMut() -> Result<Vec<u8>>) -> Result<f64> {
    let started = Instant::now();
    for _ in 0..calls {
        black_box(call()?);
    }
    Ok(started.elapsed().as_nanos() as f64 / f64::from(calls))
}

fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[values.len() / 2], values[0], values[values.len() - 1])
}

fn main() -> Result<()> {
    let module = wat::parse_file(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/wat/reference.wat"))?;
    let paths = paths();
    let (mut raw, ours) = (Raw::new(&module)?, Ours::new(&module, &paths)?);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, calls, wanted] = &arguments[..]
        && flag == "--count"
    {
        return count(&mut raw, &ours, &paths, calls.parse()?, wanted);
    }
    println!("{:12} {:>26} {:>26} {:>22}", "path", "raw wasmtime ns", "goatflow-plugin ns", "ratio");
    for (index, path) in paths.iter().enumerate() {
        assert_eq!(raw.run(path)?, ours.run(index, path)?, "{}", path.name);
        let (mut floor, mut own, mut ratio) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let raw_ns = time(path.calls, || raw.run(path))?;
            let own_ns = time(path.calls, || ours.run(index, path))?;
            floor.push(raw_ns);
            own.push(own_ns);
            ratio.push(own_ns / raw_ns);
        }
        let show = |(median, least, most): (f64, f64, f64), digits: usize| {
            format!("{median:.digits$} ({least:.digits$}-{most:.digits$})")
        };
        println!(
            "{:12} {:>26} {:>26} {:>22}",
            path.name,
            show(spread(floor), 0),
            show(spread(own), 0),
            show(spread(ratio), 2)
        );
    }
    Ok(())
}

/// Makes calls on one path only: `raw:NAME` or `NAME`.
fn count(raw: &mut Raw, ours: &Ours, paths: &[Path], calls: u32, wanted: &str) -> Result<()> {
    let name = wanted.trim_start_matches("raw:");
    let index = paths.iter().position(|path| path.name.replace(' ', "") == name).ok_or("no such path")?;
    if wanted.starts_with("raw:") {
        time(calls, || raw.run(&paths[index]))?;
    } else {
        time(calls, || ours.run(index, &paths[index]))?;
    }
    Ok(())
}
