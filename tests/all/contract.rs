//! What existing plugins rely on ; docs/contract.md says which test holds which sentence.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use goatflow_plugin::error::{Error, ErrorCode};
use goatflow_plugin::host::log::LogFilter;
use goatflow_plugin::manager::CallOptions;
use serde_json::{Value, json};

use crate::support::{
    Answer, FREE, Gates, Guest, Host, MALLOC, REFERENCE, WASI, code_of, request_id, timeout, wasi_import, wasi_imports,
};

/// Page 1.5 of the template: nothing else lies there.
const SCRATCH: i32 = 98_304;

/// A guest whose `gk_call` runs `body` and then answers `length` bytes from `SCRATCH`.
fn scratch(name: &str, body: &str, length: u32) -> Guest {
    Guest::named(name).call(&format!("{body} (call $copy (i32.const {SCRATCH}) (i32.const {length}))"))
}

/// A guest that answers what `host_call` returned, as 8 bytes.
fn raw_host_call(name: &str) -> Guest {
    let call = "(call $host_call (local.get $fn) (local.get $fn_len) (local.get $args) (local.get $args_len))";
    scratch(name, &format!("(i64.store (i32.const {SCRATCH}) {call})"), 8)
}

fn words(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect()
}

#[test]
fn every_test_that_the_page_names_exists() {
    let page = include_str!("../../docs/contract.md");
    let sources = [
        ("calls", include_str!("calls.rs")),
        ("contract", include_str!("contract.rs")),
        ("hostile", include_str!("hostile.rs")),
        ("identity", include_str!("identity.rs")),
        ("sandbox", include_str!("sandbox.rs")),
    ];
    let mut named = 0;
    for reference in page.split('`').filter(|code| code.contains("::")) {
        let (file, test) = reference.split_once("::").unwrap();
        let Some((_, source)) = sources.iter().find(|(name, _)| *name == file) else { panic!("{reference}") };
        assert!(source.contains(&format!("#[test]\nfn {test}()")), "{reference} does not exist");
        named += 1;
    }
    assert!(named > 70, "{named}");
}

// 1.1

#[test]
fn every_core_v2_feature_is_accepted() {
    let host = Host::new();
    let features = [
        "(func (param i32 i32 i32) (memory.fill (local.get 0) (local.get 1) (local.get 2)))",
        "(func (result i32 i64) (i32.const 1) (i64.const 2))",
        "(global (export \"g\") (mut i32) (i32.const 0))",
        "(func (param f32) (result i32) (i32.trunc_sat_f32_s (local.get 0)))",
        "(func (result funcref) (ref.null func)) (func (param externref)) (table 1 externref)",
        "(func (param i32) (result i32) (i32.extend8_s (local.get 0)))",
        "(func (result v128) (v128.const i32x4 1 2 3 4))",
        "(table 1 funcref) (elem declare func $t) (func $t (drop (table.size 0)))",
    ];
    for (index, feature) in features.iter().enumerate() {
        let name = host.load(&Guest::named(&format!("f{index}")).more(feature));
        assert_eq!(host.text(&name, "echo", "x"), "x", "{feature}");
    }
}

#[test]
fn features_beyond_core_v2_are_refused() {
    let host = Host::new();
    let features = [
        ("threads", "(func (param i32) (result i32) (i32.atomic.load (local.get 0)))"),
        ("tail calls", "(func $r (return_call $r))"),
        ("exceptions", "(tag $t) (func (throw $t))"),
        ("gc", "(type (struct (field i32)))"),
        ("extended const", "(global i32 (i32.add (i32.const 1) (i32.const 2)))"),
        ("multi memory", "(memory 1)"),
        ("relaxed simd", "(func (param v128 v128) (result v128) (i8x16.relaxed_swizzle (local.get 0) (local.get 1)))"),
        ("function references", "(type $f (func)) (func (param (ref $f)))"),
    ];
    for (what, feature) in features {
        let error = host.load_wat(&Guest::named("a").more(feature).wat()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::PackageModuleInvalid, "{what}: {error}");
    }
    let mut shared = Guest::named("a");
    shared.memory = "4 4 shared".into();
    assert_eq!(code_of(host.load_wat(&shared.wat())), ErrorCode::PackageModuleInvalid);
    let mut wide = Guest::named("a");
    wide.memory = "i64 4".into();
    assert_eq!(code_of(host.load_wat(&wide.wat())), ErrorCode::PackageModuleInvalid);
}

#[test]
fn plugins_can_not_import_from_each_other() {
    let host = Host::new();
    host.load(&Guest::named("a"));
    let guest = Guest::named("b").imports(r#"(import "a" "gk_call" (func (param i32 i32 i32 i32) (result i64)))"#);
    assert_eq!(code_of(host.load_wat(&guest.wat())), ErrorCode::PackageContract);
}

// 1.2

#[test]
fn every_wasi_function_links() {
    let host = Host::new();
    assert_eq!(WASI.len() + 1, 46, "proc_exit is in the template");
    let names: Vec<&str> = WASI.iter().map(|(name, _)| *name).collect();
    let name = host.load(&Guest::named("all").imports(&wasi_imports(&names)));
    assert_eq!(host.text(&name, "echo", "x"), "x");
}

#[test]
fn imports_of_other_modules_and_names_are_refused() {
    let host = Host::new();
    for import in [
        r#"(import "env" "abort" (func))"#,
        r#"(import "host" "call" (func))"#,
        r#"(import "wasi_unstable" "fd_write" (func (param i32 i32 i32 i32) (result i32)))"#,
        r#"(import "wasi_snapshot_preview1" "fd_write2" (func))"#,
        r#"(import "gk" "gk_host_call" (func (param i32 i32 i32 i32) (result i64)))"#,
        r#"(import "gk" "memory" (memory 1))"#,
        r#"(import "gk" "log" (func (param i64 i32 i32)))"#,
        r#"(import "gk" "host_call" (func (param i32 i32 i32 i32) (result i32)))"#,
        r#"(import "gk" "g" (global i32))"#,
        r#"(import "gk" "t" (table 1 funcref))"#,
    ] {
        let mut guest = Guest::named("a").imports(import);
        if import.contains("(memory") {
            // Only one memory is allowed: import it instead.
            let text = guest.wat().replace("(memory (export \"memory\") 4)", "(export \"memory\" (memory 0))");
            assert_eq!(code_of(host.load_wat(&text)), ErrorCode::PackageContract, "{import}");
            continue;
        }
        guest.memory = "4".into();
        assert_eq!(code_of(host.load_wat(&guest.wat())), ErrorCode::PackageContract, "{import}");
    }
}

#[test]
fn log_levels_follow_the_number_and_unknown_ones_are_info() {
    let host = Host::new();
    let log = |level: &str| format!("(call $log (i32.const {level}) (i32.const 64) (i32.const 9))");
    let body: String = ["0", "1", "2", "3", "4", "-1", "2147483647", "-2147483648"].map(log).concat();
    let name = host.load(&Guest::named("logger").call(&format!("{body} (i64.const 0)")));
    host.call(&name, "x", "").unwrap();
    let records = host.log_records("logger");
    let levels: Vec<&str> = records.iter().map(|record| record["level"].as_str().unwrap()).collect();
    assert_eq!(levels, ["debug", "info", "warn", "error", "info", "info", "info", "info"]);
    assert!(records.iter().all(|record| record["message"] == "translate" && record["plugin"] == "logger"));
}

#[test]
fn log_of_an_unreadable_range_is_ignored() {
    let host = Host::new();
    let wild =
        [("0", "-1"), ("-1", "1"), ("262143", "2"), ("262144", "1"), ("-16", "64"), ("2147483647", "2147483647")];
    let body: String =
        wild.iter().map(|(at, len)| format!("(call $log (i32.const 1) (i32.const {at}) (i32.const {len}))")).collect();
    let name = host.load(&Guest::named("wild").call(&format!("{body} (i64.const 0)")));
    assert_eq!(host.text(&name, "x", ""), "-");
    assert_eq!(host.log_lines("wild"), Vec::<String>::new());
}

#[test]
fn log_before_registration_never_appears_under_a_plugins_name() {
    let host = Host::new();
    let line = "(call $log (i32.const 1) (i32.const 64) (i32.const 9))";
    let guest = Guest::named("early").more(&format!("(func (export \"_start\") {line})"));
    let name = host.load(&guest);
    assert_eq!(host.log_lines(&name), Vec::<String>::new());
    let all = host.manager.logs(&LogFilter::default());
    assert_eq!(all.as_array().unwrap().len(), 1, "it is kept under the file's name: {all}");
}

#[test]
fn arguments_environment_and_directories_are_empty_and_stdin_is_at_its_end() {
    let host = Host::new();
    let imports =
        wasi_imports(&["args_sizes_get", "environ_sizes_get", "fd_prestat_get", "fd_read", "path_open", "args_get"]);
    let at = |offset: i32| SCRATCH + offset;
    let body = format!(
        "(memory.fill (i32.const {SCRATCH}) (i32.const 255) (i32.const 64))
         (drop (call $args_sizes_get (i32.const {}) (i32.const {})))
         (drop (call $environ_sizes_get (i32.const {}) (i32.const {})))
         (i32.store (i32.const {}) (call $fd_prestat_get (i32.const 3) (i32.const {})))
         (i32.store (i32.const 70000) (i32.const 70016)) (i32.store (i32.const 70004) (i32.const 8))
         (i32.store (i32.const {}) (call $fd_read (i32.const 0) (i32.const 70000) (i32.const 1) (i32.const {})))
         (i32.store (i32.const {}) (call $path_open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 9) (i32.const 0)
           (i64.const 0) (i64.const 0) (i32.const 0) (i32.const {})))
         (i32.store (i32.const {}) (call $args_get (i32.const {}) (i32.const {})))",
        at(0), at(4), at(8), at(12), at(16), at(40), at(20), at(24), at(28), at(44), at(32), at(48), at(52)
    );
    let name = host.load(&scratch("empty", &body, 36).imports(&imports));
    let answer = words(&host.call(&name, "x", "").unwrap().unwrap());
    // Sizes, then EBADF, then end of file without error, then ENOSYS, then success.
    assert_eq!(answer, [0, 0, 0, 0, 8, 0, 0, 52, 0]);
}

#[test]
fn clocks_are_real() {
    let host = Host::new();
    let body = format!(
        "(drop (call $clock_time_get (i32.const 0) (i64.const 1) (i32.const {SCRATCH})))
         (drop (call $clock_time_get (i32.const 1) (i64.const 1) (i32.const {})))
         (drop (call $clock_time_get (i32.const 1) (i64.const 1) (i32.const {})))
         (i64.store32 (i32.const {}) (i64.extend_i32_u (call $clock_time_get (i32.const 9) (i64.const 1) (i32.const {SCRATCH}))))",
        SCRATCH + 8, SCRATCH + 16, SCRATCH + 24
    );
    let name = host.load(&scratch("clock", &body, 28).imports(&wasi_import("clock_time_get")));
    let answer = host.call(&name, "x", "").unwrap().unwrap();
    let long = |at: usize| u64::from_le_bytes(answer[at..at + 8].try_into().unwrap());
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    assert!(now.abs_diff(Duration::from_nanos(long(0))) < Duration::from_secs(60));
    assert!(long(16) >= long(8));
    assert_eq!(words(&answer[24..]), [28], "an unknown clock is EINVAL");
}

#[test]
fn sleeping_takes_its_time() {
    let host = Host::new();
    // A relative subscription to the monotonic clock, 30 ms from now.
    let body = format!(
        "(memory.fill (i32.const 70000) (i32.const 0) (i32.const 48))
         (i64.store (i32.const 70000) (i64.const 77))
         (i32.store (i32.const 70016) (i32.const 1))
         (i64.store (i32.const 70024) (i64.const 30000000))
         (drop (call $clock_time_get (i32.const 1) (i64.const 1) (i32.const {SCRATCH})))
         (i32.store (i32.const {}) (call $poll_oneoff (i32.const 70000) (i32.const 71000) (i32.const 1) (i32.const {})))
         (drop (call $clock_time_get (i32.const 1) (i64.const 1) (i32.const {})))
         (i64.store (i32.const {}) (i64.load (i32.const 71000)))",
        SCRATCH + 16,
        SCRATCH + 20,
        SCRATCH + 8,
        SCRATCH + 24
    );
    let guest = scratch("sleeper", &body, 32).imports(&wasi_imports(&["clock_time_get", "poll_oneoff"]));
    let name = host.load(&guest);
    let answer = host.call(&name, "x", "").unwrap().unwrap();
    let long = |at: usize| u64::from_le_bytes(answer[at..at + 8].try_into().unwrap());
    assert!(long(8) - long(0) >= 30_000_000);
    assert_eq!((words(&answer[16..24]), long(24)), (vec![0, 1], 77), "success, one event, with its user data");
}

#[test]
fn randomness_is_random() {
    let host = Host::new();
    let body =
        format!("(i32.store (i32.const {}) (call $random_get (i32.const {SCRATCH}) (i32.const 16)))", SCRATCH + 16);
    let guest = scratch("dice", &body, 20).imports(&wasi_import("random_get"));
    let draw = |name: &str| {
        let answer = host.call(name, "x", "").unwrap().unwrap();
        assert_eq!(words(&answer[16..]), [0]);
        answer[..16].to_vec()
    };
    let name = host.load(&guest);
    let (first, second) = (draw(&name), draw(&name));
    host.manager.unload(&name, Duration::ZERO).unwrap();
    host.load(&guest);
    let third = draw(&name);
    assert!(first != second && second != third && first != third && first != [0; 16]);
}

#[test]
fn output_becomes_log_lines() {
    let host = Host::new();
    let vector = |at: i32, text: i32, len: i32| {
        format!("(i32.store (i32.const {at}) (i32.const {text})) (i32.store (i32.const {}) (i32.const {len}))", at + 4)
    };
    let write = |fd: i32, vectors: i32, count: i32| {
        format!(
            "(drop (call $fd_write (i32.const {fd}) (i32.const {vectors}) (i32.const {count}) (i32.const {SCRATCH})))"
        )
    };
    let body = [
        vector(70000, 73000, 4),
        vector(70008, 73004, 6),
        vector(70016, 73010, 5),
        write(1, 70000, 2),
        write(2, 70016, 1),
        write(1, 70008, 1),
        write(7, 70000, 1),
    ]
    .concat();
    let guest = scratch("printer", &body, 4)
        .imports(&wasi_import("fd_write"))
        .more(r#"(data (i32.const 73000) "one\nmore\nxoops\n")"#);
    let name = host.load(&guest);
    // The last successful write had 6 bytes.
    assert_eq!(words(&host.call(&name, "x", "").unwrap().unwrap()), [6]);
    let records = host.log_records("printer");
    let lines: Vec<_> =
        records.iter().map(|record| (record["level"].as_str().unwrap(), record["message"].as_str().unwrap())).collect();
    assert_eq!(
        lines,
        [("info", "one"), ("info", "more"), ("warn", "oops"), ("info", "xmore"), ("info", "x")],
        "the unfinished line comes at the end of the call"
    );
}

// 1.3

#[test]
fn missing_exports_are_named_in_the_order_they_are_missed() {
    let host = Host::new();
    let module = |exports: &[&str]| {
        let function = |name: &&str| match *name {
            "gk_register" => r#"(func (export "gk_register") (result i64) (i64.const 0))"#,
            "gk_call" => r#"(func (export "gk_call") (param i32 i32 i32 i32) (result i64) (i64.const 0))"#,
            "gk_malloc" => r#"(func (export "gk_malloc") (param i32) (result i32) (i32.const 8))"#,
            _ => r#"(memory (export "memory") 1)"#,
        };
        format!("(module {})", exports.iter().map(function).collect::<String>())
    };
    for (exports, missing) in [
        (&[][..], "plugin missing gk_register export"),
        (&["gk_call", "gk_malloc", "memory"], "plugin missing gk_register export"),
        (&["gk_register"], "plugin missing gk_call export"),
        (&["gk_register", "gk_malloc", "memory"], "plugin missing gk_call export"),
        (&["gk_register", "gk_call", "memory"], "plugin missing gk_malloc export"),
        (&["gk_register", "gk_call", "gk_malloc"], "plugin missing memory export"),
    ] {
        let error = host.load_wat(&module(exports)).unwrap_err();
        assert_eq!((error.code(), error.to_string().as_str()), (ErrorCode::PackageContract, missing), "{exports:?}");
    }
}

#[test]
fn gk_free_is_optional() {
    let host = Host::new();
    let text = Guest::named("leaky").wat().replace("(export \"gk_free\")", "");
    let name = host.load_wat(&text).unwrap();
    assert_eq!(host.text(&name, "echo", "x"), "x");
    assert_eq!(host.text(&name, "tick", ""), "1");
}

// 1.4

#[test]
fn start_runs_before_registration() {
    let host = Host::new();
    // Its allocator traps before `_start` ran.
    let name = host.load_wat(REFERENCE).unwrap();
    assert_eq!((&*name, host.text(&name, "echo", "x").as_str()), ("reference", "x"));
}

#[test]
fn a_reactor_is_initialised_and_its_start_is_not_run() {
    let host = Host::new();
    let guest = Guest::named("reactor").more(
        "(func (export \"_initialize\") (global.set $ticks (i32.const 41)))
         (func (export \"_start\") (unreachable))",
    );
    let name = host.load(&guest);
    assert_eq!(host.text(&name, "tick", ""), "42");
}

#[test]
fn a_start_that_exits_with_zero_has_ended_well() {
    let host = Host::new();
    let guest = Guest::named("command")
        .more("(func (export \"_start\") (global.set $ticks (i32.const 6)) (call $proc_exit (i32.const 0)))");
    let name = host.load(&guest);
    assert_eq!(host.text(&name, "tick", ""), "7");
}

#[test]
fn a_start_that_exits_with_an_error_fails_the_load() {
    let host = Host::new();
    for (function, code) in [("_start", 1), ("_initialize", -1), ("_start", 255)] {
        let start = format!("(func (export \"{function}\") (call $proc_exit (i32.const {code})))");
        let error = host.load_wat(&Guest::named("command").more(&start).wat()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::PluginExited);
        assert!(error.to_string().contains(&format!("exit code {code} in `{function}`")), "{error}");
    }
    assert_eq!(host.manager.list(), json!([]));
}

#[test]
fn host_calls_before_registration_answer_nothing() {
    let host = Host::new();
    let ask = |at: i32| {
        format!(
            "(i64.store (i32.const {at}) (call $host_call (i32.const 64) (i32.const 9) (i32.const 76000) (i32.const 11)))"
        )
    };
    let mut guest = scratch("eager", "", 24);
    guest.more = format!(
        "(data (i32.const 76000) \"{{\\22key\\22:\\22k\\22}}\") (func (export \"_start\")
           (memory.fill (i32.const {SCRATCH}) (i32.const 7) (i32.const 24)) {})",
        ask(SCRATCH)
    );
    let length = guest.registration.len();
    guest.register = Some(format!("{} (call $pack (i32.const 1024) (i32.const {length}))", ask(SCRATCH + 8)));
    // Then, while it serves, the same call answers something.
    guest.call = format!("{} (call $copy (i32.const {SCRATCH}) (i32.const 24))", ask(SCRATCH + 16));
    let name = host.load(&guest);
    let answer = host.call(&name, "x", "").unwrap().unwrap();
    assert_eq!(answer[..16], [0; 16]);
    assert_ne!(answer[16..], [0; 8]);
}

// 1.5

/// A guest that writes down what happens to it: 1 = malloc(size), 2 = free(block), 3 = call. `trace` answers it.
fn recorder(call: &str) -> Guest {
    let mut guest = Guest::named("recorder");
    guest.malloc = MALLOC.replacen(
        "(local.set $block (global.get $top))",
        "(call $record (i32.const 1) (local.get $size)) (local.set $block (global.get $top))",
        1,
    );
    guest.free = format!("(call $record (i32.const 2) (local.get $block)) {FREE}");
    guest.more = format!(
        "(global $end (mut i32) (i32.const {SCRATCH}))
         (func $record (param $what i32) (param $value i32)
           (i32.store (global.get $end) (local.get $what))
           (i32.store (i32.add (global.get $end) (i32.const 4)) (local.get $value))
           (global.set $end (i32.add (global.get $end) (i32.const 8))))"
    );
    guest.call = format!(
        "(if (i32.eq (local.get $fn_len) (i32.const 5)) (then
           (return (call $copy (i32.const {SCRATCH}) (i32.sub (global.get $end) (i32.const {SCRATCH}))))))
         (call $record (i32.const 3) (local.get $args_len))
         {call}"
    );
    guest
}

fn trace(host: &Host, name: &str, function: &str, arguments: &str) -> Vec<(u32, u32)> {
    host.call(name, function, arguments).unwrap();
    let trace = words(&host.call(name, "trace", "").unwrap().unwrap());
    let mut pairs: Vec<_> = trace.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    // The allocation for the name "trace" and the one for the answer.
    assert_eq!(pairs.split_off(pairs.len() - 1), [(1, 5)]);
    pairs
}

const FIRST_BLOCK: u32 = 131_072;

#[test]
fn buffers_are_allocated_and_freed_in_the_contracts_order() {
    let host = Host::new();
    let name = host.load(&recorder("(call $copy (local.get $args) (local.get $args_len))"));
    assert_eq!(
        trace(&host, &name, "echo", "xy"),
        [(1, 4), (1, 2), (3, 2), (1, 2), (2, FIRST_BLOCK + 16), (2, FIRST_BLOCK + 8), (2, FIRST_BLOCK)]
    );
}

#[test]
fn nothing_of_size_zero_is_ever_allocated_or_freed() {
    let host = Host::new();
    let name = host.load(&recorder("(call $copy (local.get $args) (local.get $args_len))"));
    assert_eq!(trace(&host, &name, "echo", ""), [(1, 4), (3, 0), (2, FIRST_BLOCK)]);
}

#[test]
fn the_guest_owns_the_answers_of_host_calls() {
    let host = Host::new();
    let name = host.load(&recorder(
        "(drop (call $host_call (local.get $fn) (local.get $fn_len) (local.get $args) (local.get $args_len))) (i64.const 0)",
    ));
    let expected_reply = r#"{"value":"k"}"#.len();
    assert_eq!(
        trace(&host, &name, "translate", r#"{"key":"k"}"#),
        [
            (1, 9),
            (1, 11),
            (3, 11),
            (1, u32::try_from(expected_reply).unwrap()),
            (2, FIRST_BLOCK + 16),
            (2, FIRST_BLOCK)
        ]
    );
}

#[test]
fn the_registration_is_never_freed() {
    let host = Host::new();
    let mut guest = recorder("(i64.const 0)");
    // A registration in a block of its own.
    let length = guest.registration.len();
    guest.register = Some(format!("(call $copy (i32.const 1024) (i32.const {length}))"));
    let name = host.load(&guest);
    let block = FIRST_BLOCK + u32::try_from(length.next_multiple_of(8)).unwrap();
    assert_eq!(trace(&host, &name, "noop", ""), [(1, u32::try_from(length).unwrap()), (1, 4), (3, 0), (2, block)]);
}

#[test]
fn an_allocation_failure_is_an_error_of_the_call() {
    let host = Host::new();
    // Fails for everything above 100 bytes, in three ways.
    for (name, failure, code) in [
        ("null", "(return (i32.const 0))", ErrorCode::PluginAllocation),
        ("outside", "(return (i32.const 262100))", ErrorCode::PluginBadPointer),
        ("end", "(return (i32.const -1))", ErrorCode::PluginBadPointer),
        ("traps", "(unreachable)", ErrorCode::PluginTrap),
    ] {
        let mut guest = Guest::named(name);
        let body = format!(
            "(if (i32.gt_u (local.get $size) (i32.const 100)) (then {failure})) (local.set $block (global.get $top))"
        );
        guest.malloc = MALLOC.replacen("(local.set $block (global.get $top))", &body, 1);
        let name = host.load(&guest);
        assert_eq!(host.code(&name, "echo", "x".repeat(101), &CallOptions::default()), code, "{name}");
        assert_eq!(host.text(&name, "echo", "x".repeat(100)), "x".repeat(100), "{name}");
    }
}

#[test]
fn a_reply_that_the_guest_has_no_memory_for_is_a_failed_host_call() {
    let host = Host::new();
    let mut guest = raw_host_call("tight");
    let body = "(if (i32.gt_u (local.get $size) (i32.const 100)) (then (return (i32.const 0)))) (local.set $block (global.get $top))";
    guest.malloc = MALLOC.replacen("(local.set $block (global.get $top))", body, 1);
    let name = host.load(&guest);
    Gates::install(&host, []);
    let key = "k".repeat(89);
    assert_eq!(host.call(&name, "translate", json!({ "key": key }).to_string()).unwrap().unwrap(), [0; 8]);
    assert_ne!(host.call(&name, "translate", r#"{"key":"k"}"#).unwrap().unwrap(), [0; 8]);
}

#[test]
fn the_answer_is_copied_before_it_is_freed() {
    let host = Host::new();
    let mut guest = Guest::named("wiper");
    guest.free = format!("(memory.fill (local.get $block) (i32.const 33) (i32.const 8)) {FREE}");
    let name = host.load(&guest);
    assert_eq!(host.text(&name, "echo", "original"), "original");
}

#[test]
fn calls_do_not_use_up_memory() {
    let host = Host::new();
    let name = host.load_wat(REFERENCE).unwrap();
    let arguments = "y".repeat(60_000);
    for _ in 0..500 {
        assert_eq!(host.text(&name, "echo", &arguments).len(), arguments.len());
    }
    let usage = &host.stats(&name)["runtime"];
    assert_eq!(usage["instances"], 1);
    assert!(usage["memory_bytes"].as_u64().unwrap() <= 5 * 65_536, "{usage}");
}

// 1.6

#[test]
fn registrations_are_read_leniently() {
    let host = Host::new();
    for (registration, name) in [
        (json!({"name": "l1", "i18n": {"en": {"title": "x"}}, "zzz": [1, {}]}), "l1"),
        (json!({"NAME": "l2", "Version": null, "routes": null}), "l2"),
        (json!({"name": "l3", "version": "", "description": "ä\u{2028}\u{0}", "resources": "no object"}), "l3"),
        (
            json!({"name": "l4", "resources": {"permissions": [7, {"type": 1}], "instances": "lots", "memory_mb": -3}}),
            "l4",
        ),
    ] {
        assert_eq!(&*host.load(&Guest::registered(&registration)), name);
        assert_eq!(host.manager.registration(name).unwrap(), registration);
        assert_eq!(host.text(name, "echo", "x"), "x");
    }
}

#[test]
fn registrations_that_can_not_be_used_are_refused() {
    let host = Host::new();
    let registered = |text: &str| {
        let mut guest = Guest::named("unused");
        guest.registration = text.into();
        code_of(host.load_wat(&guest.wat()))
    };
    for text in ["", "x", "[]", "null", "{}", r#"{"name":null}"#, r#"{"name":""}"#, r#"{"name":5}"#, r#"{"name":"a"}}"#]
    {
        assert_eq!(registered(text), ErrorCode::PackageRegistrationInvalid, "{text}");
    }
    for name in ["A", "a b", "../a", "a\n", "host", &"a".repeat(65)] {
        assert_eq!(registered(&json!({ "name": name }).to_string()), ErrorCode::PackageNameInvalid, "{name:?}");
    }
    let mut nothing = Guest::named("unused");
    nothing.register = Some("(i64.const 0)".into());
    assert_eq!(code_of(host.load_wat(&nothing.wat())), ErrorCode::PackageRegistrationInvalid);
    assert_eq!(host.manager.list(), json!([]));
}

#[test]
fn an_empty_function_name_is_an_error() {
    let host = Host::new();
    let name = host.load(&Guest::named("a"));
    assert_eq!(host.code(&name, "", "{}", &CallOptions::default()), ErrorCode::ArgumentInvalid);
    assert_eq!(code_of(host.manager.function(&name, "")), ErrorCode::ArgumentInvalid);
    assert_eq!(host.stats(&name)["runtime"]["instances_discarded"], 0);
}

#[test]
fn empty_arguments_are_passed_as_zero_and_zero() {
    let host = Host::new();
    let body = format!(
        "(i32.store (i32.const {SCRATCH}) (local.get $args)) (i32.store (i32.const {}) (local.get $args_len))",
        SCRATCH + 4
    );
    let name = host.load(&scratch("args", &body, 8));
    assert_eq!(words(&host.call(&name, "job", "").unwrap().unwrap()), [0, 0]);
    assert_eq!(words(&host.call(&name, "job", "{}").unwrap().unwrap())[1], 2);
}

#[test]
fn a_result_without_pointer_or_length_is_nothing() {
    let host = Host::new();
    for (index, packed) in ["0", "0x0000000000000010", "0x0000040000000000", "0xffffffff00000000"].iter().enumerate() {
        let name = host.load(&Guest::named(&format!("n{index}")).call(&format!("(i64.const {packed})")));
        assert_eq!(host.call(&name, "x", "").unwrap(), None, "{packed}");
    }
}

#[test]
fn errors_of_the_plugin_itself_pass_as_answers() {
    let host = Host::new();
    let name = host.load_wat(REFERENCE).unwrap();
    assert_eq!(host.text(&name, "nope", ""), r#"{"error":"unknown function: nope"}"#);
    assert_eq!(host.text(&name, "__health_ping__", ""), r#"{"error":"unknown function: __health_ping__"}"#);
}

#[test]
fn a_trap_is_an_error_that_says_where() {
    let host = Host::new();
    let name = host.load_wat(REFERENCE).unwrap();
    let error = host.call(&name, "trap", "").unwrap_err();
    assert_eq!(error.code(), ErrorCode::PluginTrap);
    assert!(error.to_string().contains("the plugin trapped in `gk_call`"), "{error}");
    assert_eq!(error.plugin(), Some("reference"));
}

#[test]
fn host_call_answers_zero_on_every_failure() {
    let host = Host::new();
    host.set_policy("raw", json!({"permissions": [{"type": "plugin_call", "scope": ["silent", "absent"]}, {"type": "db", "access": "read", "scope": ["ticket"]}]}));
    let name = host.load(&raw_host_call("raw"));
    host.load(&Guest::named("silent"));
    let fails = |function: &str, arguments: &str| {
        assert_eq!(host.call(&name, function, arguments).unwrap().unwrap(), [0; 8], "{function} {arguments}");
    };
    fails("surely_not", "{}");
    fails("secure_config_get", r#"{"key":"k"}"#);
    fails("translate", "{");
    fails("translate", "");
    fails("translate", "[]");
    fails("config_get", r#"{"key":"app.name"}"#);
    fails("db_query", r#"{"query":"SELECT * FROM users"}"#);
    fails("db_query", r#"{"query":"SELECT nope FROM ticket"}"#);
    fails("send_email", r#"{"to":"a@example.com"}"#);
    fails("plugin_call", r#"{"plugin":"absent","function":"x"}"#);
    // Not a failure, but there is nothing to hand over.
    fails("plugin_call", r#"{"plugin":"silent","function":"noop"}"#);
    assert_ne!(host.call(&name, "translate", r#"{"key":"k"}"#).unwrap().unwrap(), [0; 8]);
}

#[test]
fn host_call_with_wild_pointers_answers_zero() {
    let host = Host::new();
    // (pointer, length) of name and arguments; the memory has 4 pages.
    let wild = [
        "0xffffffff 1 0 0",
        "0x7fffffff 0x7fffffff 0 0",
        "262143 2 0 0",
        "64 9 0xffffffff 1",
        "64 9 262144 1",
        "64 9 1 0xffffffff",
        "0 0xffffffff 0 0",
        "64 9 0xfffffff0 0x20",
        "0 0 0 0",
        "64 262080 0 0",
        "64 9 64 262080",
    ];
    for (index, parameters) in wild.iter().enumerate() {
        let constants: String = parameters.split(' ').map(|number| format!("(i32.const {number})")).collect();
        let body = format!("(i64.store (i32.const {SCRATCH}) (call $host_call {constants}))");
        let name = host.load(&scratch(&format!("w{index}"), &body, 8));
        assert_eq!(host.call(&name, "x", "").unwrap().unwrap(), [0; 8], "{parameters}");
        assert_eq!(host.stats(&name)["runtime"]["instances_discarded"], 0, "{parameters}");
    }
}

#[test]
fn every_failed_host_call_is_in_the_log() {
    let host = Host::new();
    let name = host.load(&Guest::named("a"));
    host.call(&name, "config_get", r#"{"key":"app.name"}"#).unwrap();
    host.call(&name, "nonsense", "{}").unwrap();
    host.call(&name, "translate", "{").unwrap();
    let starts = [
        "host_call config_get failed: ",
        "host_call nonsense failed: unknown host function: nonsense",
        "host_call translate failed: ",
    ];
    let records = host.log_records("a");
    assert_eq!(records.len(), starts.len(), "{records:?}");
    for (record, start) in records.iter().zip(starts) {
        assert!(record["message"].as_str().unwrap().starts_with(start), "{record}");
        assert_eq!((&record["level"], &record["fields"]["caller"]), (&json!("error"), &json!("a")));
    }
    // Failures that are noticed before the sandbox: unreadable name, unreadable arguments, a name that is no text.
    let wild = [("0xfffffff0", "9", "0", "0"), ("64", "9", "0xfffffff0", "1"), ("76000", "2", "0", "0")];
    let calls: String = wild
        .iter()
        .map(|(a, b, c, d)| {
            format!("(drop (call $host_call (i32.const {a}) (i32.const {b}) (i32.const {c}) (i32.const {d})))")
        })
        .collect();
    let guest = Guest::named("b").call(&format!("{calls} (i64.const 0)")).more(r#"(data (i32.const 76000) "\ff\fe")"#);
    let name = host.load(&guest);
    host.call(&name, "x", "").unwrap();
    let lines = host.log_lines("b");
    assert_eq!(lines.len(), wild.len(), "{lines:?}");
    assert!(lines.iter().all(|line| line.starts_with("host_call ")), "{lines:?}");
    assert_eq!(host.stats("b")["errors"], wild.len());
}

#[test]
fn last_error_tells_what_a_zero_can_not() {
    let host = Host::new();
    let name = host.load(&Guest::named("curious"));
    let error = host.ask_raw(&name, "nonsense", "{}").unwrap_err();
    assert_eq!(error["code"], "policy.function_unknown");
    assert_eq!(error["message"], "unknown host function: nonsense");
    assert_eq!(error.get("plugin"), None);
    // After a success there is no error: nothing is answered.
    let body = "(drop (call $host_call (local.get $fn) (local.get $fn_len) (local.get $args) (local.get $args_len))) (call $last_error)";
    let name = host.load(&Guest::named("content").call(body));
    assert_eq!(host.text(&name, "translate", r#"{"key":"k"}"#), "-");
    assert_ne!(host.text(&name, "nonsense", r#"{"key":"k"}"#), "-");
    assert_eq!(host.text(&name, "translate", r#"{"key":"k"}"#), "-");
}

#[test]
fn the_caller_of_a_host_function_is_stamped_by_the_host() {
    let host = Host::new();
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    let answer = Answer(move |call: &goatflow_plugin::host::HostCall<'_>| {
        let chain = call.context.chain.to_string();
        let id = call.context.origin.request_id.as_deref().unwrap_or_default().to_owned();
        sink.lock().unwrap().push((call.plugin.to_string(), chain, id));
        Ok(br#"{"value":"v"}"#.as_slice().into())
    });
    host.manager.provide("translate", Some(Box::new(answer))).unwrap();
    host.approve("outer", json!([{"type": "plugin_call", "scope": ["inner"]}]));
    let outer = host.load(&Guest::named("outer"));
    host.load(&Guest::named("inner"));
    let arguments = json!({"plugin": "inner", "function": "translate", "args": {"key": "k", "plugin": "forged", "caller": "forged"}});
    host.call_with(&outer, "plugin_call", arguments.to_string(), &request_id("r-1")).unwrap();
    host.call(&outer, "translate", r#"{"key":"k","_caller":"inner"}"#).unwrap();
    assert_eq!(
        *seen.lock().unwrap(),
        [("inner".into(), "outer".into(), "r-1".into()), ("outer".into(), String::new(), String::new())]
    );
}

#[test]
fn a_sink_that_fails_does_not_cost_the_instance() {
    let host = Host::new();
    let name = host.load(&Guest::named("a"));
    assert_eq!(host.text(&name, "tick", ""), "1");
    let outcome = host.manager.call(&name, "tick", b"", &CallOptions::default(), &mut |_| {
        Err(Error::new(ErrorCode::ArgumentBufferTooSmall, "no room"))
    });
    assert_eq!(code_of(outcome), ErrorCode::ArgumentBufferTooSmall);
    assert_eq!(host.text(&name, "tick", ""), "3");
}

// 1.7

#[test]
fn memory_is_limited_to_16_mib_unless_more_is_granted() {
    let host = Host::new();
    host.set_policy("large", json!({"memory_mb": 20}));
    host.set_policy("small", json!({"memory_mb": 1}));
    for (name, pages) in [("usual", "256"), ("large", "320"), ("small", "16")] {
        host.load(&Guest::named(name));
        assert_eq!(host.text(name, "grow", ""), pages, "{name}");
    }
}

#[test]
fn a_call_timeout_really_stops_the_plugin() {
    let host = Host::new();
    host.set_policy("loop", json!({"call_timeout": "200ms"}));
    let name = host.load(&Guest::named("loop"));
    assert_eq!(host.code(&name, "spin", "", &CallOptions::default()), ErrorCode::PluginDeadline);
    assert_eq!(host.text(&name, "echo", "x"), "x");
}

#[test]
fn host_calls_end_with_the_call_around_them() {
    let host = Host::new();
    host.set_policy("query", json!({"permissions": [{"type": "db", "access": "read", "scope": ["ticket"]}]}));
    let name = host.load(&Guest::named("query"));
    let endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n";
    let query = json!({ "query": endless }).to_string();
    assert_eq!(host.code(&name, "db_query", query, &timeout(300)), ErrorCode::PluginDeadline);
    assert!(host.ask(&name, "db_query", &json!({"query": "SELECT id FROM ticket"})).is_ok());
}

#[test]
fn calls_into_one_plugin_run_one_after_the_other() {
    let host = Host::new();
    let inside = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let (counter, maximum) = (Arc::clone(&inside), Arc::clone(&most));
    let answer = Answer(move |_: &goatflow_plugin::host::HostCall<'_>| {
        maximum.fetch_max(counter.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::yield_now();
        counter.fetch_sub(1, Ordering::SeqCst);
        Ok(br#"{"value":"v"}"#.as_slice().into())
    });
    host.manager.provide("translate", Some(Box::new(answer))).unwrap();
    let name = host.load(&Guest::named("serial"));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..100 {
                    host.call(&name, "translate", r#"{"key":"k"}"#).unwrap();
                }
            });
        }
    });
    assert_eq!(most.load(Ordering::SeqCst), 1);
}

// 1.8

#[test]
fn functions_and_arguments_pass_verbatim() {
    let host = Host::new();
    // Answers the name of the function and the arguments, one after the other.
    let body = "
      (local $block i32)
      (local.set $block (call $malloc (i32.add (i32.add (local.get $fn_len) (i32.const 1)) (local.get $args_len))))
      (memory.copy (local.get $block) (local.get $fn) (local.get $fn_len))
      (i32.store8 (i32.add (local.get $block) (local.get $fn_len)) (i32.const 32))
      (memory.copy (i32.add (i32.add (local.get $block) (local.get $fn_len)) (i32.const 1)) (local.get $args) (local.get $args_len))
      (call $pack (local.get $block) (i32.add (i32.add (local.get $fn_len) (i32.const 1)) (local.get $args_len)))";
    let name = host.load(&Guest::named("mirror").call(body));
    for (function, arguments) in [
        ("widget", "{}"),
        ("dashboard", r#"{"is_queue_admin":true,"accessible_queue_ids":[1,2]}"#),
        ("template_base_html", r#"{"template":"base.html","data":{"a":"<b>"}}"#),
        ("job", ""),
        ("__health_ping__", ""),
        ("ümläut/ß .-\n", "not JSON at all \u{0} \u{fffd}"),
    ] {
        assert_eq!(host.text(&name, function, arguments), format!("{function} {arguments}"));
    }
    let bytes = [0, 255, 128, 10];
    assert_eq!(host.call(&name, "f", bytes).unwrap().unwrap(), [b"f ".as_slice(), &bytes].concat());
}

// 1.9

#[test]
fn the_reference_plugin_behaves_as_recorded() {
    let host = Host::new();
    let name = host.load_wat(REFERENCE).unwrap();
    assert_eq!(
        host.text(&name, "hello", r#"{"name":"GoatKit"}"#),
        r#"{"message":"Hello from WASM, GoatKit!","runtime":"tinygo-wasm"}"#
    );
    assert_eq!(host.text(&name, "hello", ""), r#"{"message":"Hello from WASM, World!","runtime":"tinygo-wasm"}"#);
    assert_eq!(host.text(&name, "log", ""), r#"{"logged":4}"#);
    let records = host.log_records("reference");
    let lines: Vec<_> =
        records.iter().map(|record| (record["level"].as_str().unwrap(), record["message"].as_str().unwrap())).collect();
    assert_eq!(
        lines,
        [
            ("debug", "Debug from WASM"),
            ("info", "Info from WASM"),
            ("warn", "Warn from WASM"),
            ("error", "Error from WASM")
        ]
    );
    for bytes in [&b""[..], b"\0asm", b"\0asm\x01\0\0\0\x01", b"random text"] {
        assert_eq!(code_of(host.load_bytes(bytes)), ErrorCode::PackageModuleInvalid, "{bytes:?}");
    }
    assert_eq!(code_of(host.manager.load("/nowhere/x.wasm".as_ref())), ErrorCode::PackageNotFound);
}

// 2.1-2.4: through a plugin that may do everything that has a provider.

fn open_host() -> (Host, Arc<str>) {
    let host = Host::with(json!({
        "config": {"values": {"app.name": "GoatFlow <&>"}, "database": true},
        "translations": {"en": {"greeting": "Hello %s"}, "de": {"greeting": "Hallo %s"}},
    }));
    host.approve(
        "open",
        json!([
            {"type": "db", "access": "readwrite", "scope": ["ticket", "queue", "notes"]},
            {"type": "cache", "access": "readwrite"},
            {"type": "config", "access": "read", "scope": ["*"]},
            {"type": "plugin_call", "scope": ["*"]},
            {"type": "http", "scope": ["example.com"]},
            {"type": "email", "scope": ["a@example.com"]},
        ]),
    );
    let name = host.load(&Guest::named("open"));
    (host, name)
}

#[test]
fn unknown_keys_are_ignored_missing_ones_are_zero_and_wrong_types_are_errors() {
    let (host, name) = open_host();
    let ask = |function: &str, arguments: Value| host.ask(&name, function, &arguments);
    assert_eq!(ask("translate", json!({"key": "zzz", "extra": {"a": [1]}, "args": null})), Ok(json!({"value": "zzz"})));
    assert_eq!(ask("translate", json!({})), Ok(json!({"value": ""})));
    assert_eq!(ask("cache_set", json!({"key": "k", "value": null})), Ok(json!({"ok": true})));
    assert_eq!(ask("cache_get", json!({"KEY": "k"})), Ok(json!({"found": true, "value": ""})));
    for (function, arguments) in [
        ("translate", json!({"key": 7})),
        ("translate", json!({"key": "k", "args": "x"})),
        ("cache_set", json!({"key": "k", "value": "not base64!"})),
        ("cache_set", json!({"key": "k", "value": "dGVzdA"})),
        ("cache_set", json!({"key": "k", "ttl": "1"})),
        ("cache_set", json!({"key": "k", "ttl": 1.5})),
        ("db_query", json!({"query": ["SELECT 1"]})),
        ("db_query", json!({"query": "SELECT ?", "args": {"a": 1}})),
        ("db_query", json!({"query": "SELECT ?", "args": [[1]]})),
        ("send_email", json!({"to": "a@example.com", "html": "yes"})),
        ("log", json!({"message": "m", "fields": []})),
        ("plugin_call", json!({"plugin": "x"})),
    ] {
        assert_eq!(ask(function, arguments.clone()), Err("policy.arguments".into()), "{function} {arguments}");
    }
}

#[test]
fn rows_have_the_shape_that_plugins_expect() {
    let (host, name) = open_host();
    let query = |sql: &str| host.text(&name, "db_query", json!({ "query": sql }).to_string());
    assert_eq!(query("SELECT id FROM ticket WHERE id = 99"), "null");
    assert_eq!(query("SELECT title, id FROM ticket WHERE id = 2"), r#"[{"id":2,"title":null}]"#);
    assert_eq!(
        query("SELECT weight, body FROM ticket WHERE id = 2"),
        r#"[{"body":"text","weight":9007199254740992.0}]"#
    );
    assert_eq!(query("SELECT id, title AS id FROM ticket WHERE id = 1"), r#"[{"id":"Printer <on> fire & \"smoke\""}]"#);
    assert_eq!(query("SELECT name FROM queue ORDER BY id DESC"), r#"[{"name":"Junk"},{"name":"Raw"}]"#);
    // Bytes that are no text would be destroyed by the reference's conversion; they are base64 here.
    assert_eq!(query("SELECT body FROM ticket WHERE id = 1"), r#"[{"body":"AP8="}]"#);
    assert_eq!(query("SELECT 9007199254740993 AS n"), r#"[{"n":9007199254740993}]"#);
}

#[test]
fn every_function_of_the_table_answers_in_its_shape() {
    let (host, name) = open_host();
    let ask = |function: &str, arguments: Value| host.ask(&name, function, &arguments);
    let ok = |value: Value| Ok::<_, String>(value);
    assert_eq!(
        ask("db_exec", json!({"query": "INSERT INTO notes (body) VALUES (?), (?)", "args": ["a", null]})),
        ok(json!({"affected": 2}))
    );
    assert_eq!(ask("db_query", json!({"query": "SELECT count(*) AS n FROM notes"})), ok(json!([{"n": 2}])));
    assert_eq!(ask("cache_get", json!({"key": "k"})), ok(json!({"found": false, "value": null})));
    assert_eq!(ask("cache_set", json!({"key": "k", "value": "dGVzdA==", "ttl": 60})), ok(json!({"ok": true})));
    assert_eq!(ask("cache_get", json!({"key": "k"})), ok(json!({"found": true, "value": "dGVzdA=="})));
    assert_eq!(ask("cache_delete", json!({"key": "k"})), ok(json!({"ok": true})));
    assert_eq!(ask("cache_get", json!({"key": "k"})), ok(json!({"found": false, "value": null})));
    assert_eq!(ask("config_get", json!({"key": "app.name"})), ok(json!({"value": "GoatFlow <&>"})));
    assert_eq!(ask("config_get", json!({"key": "Ticket::Hook"})), ok(json!({"value": "Case#"})));
    assert_eq!(ask("config_get", json!({"key": "Invalid::Key"})), Err("host.not_found".into()));
    assert_eq!(ask("translate", json!({"key": "greeting", "args": ["Ann"]})), ok(json!({"value": "Hello Ann"})));
    assert_eq!(ask("translate", json!({"key": "no.such.key", "args": ["Ann"]})), ok(json!({"value": "no.such.key"})));
    assert_eq!(ask("publish_event", json!({"event_type": "t", "data": [1]})), ok(json!({"status": "ok"})));
    assert_eq!(
        ask("publish_event", json!({"channel": "c", "event_type": "t", "data": null})),
        ok(json!({"status": "ok"}))
    );
    assert_eq!(ask("log", json!({"level": "warn", "message": "m", "fields": {"a": 1}})), ok(json!({"ok": true})));
    assert_eq!(
        ask("http_request", json!({"method": "GET", "url": "https://example.com/"})),
        Err("host.no_provider".into())
    );
    assert_eq!(
        ask("send_email", json!({"to": "a@example.com", "subject": "s", "body": "b"})),
        Err("host.no_provider".into())
    );
}

#[test]
fn plugin_calls_hand_arguments_and_answers_through_as_they_are() {
    let (host, name) = open_host();
    host.load(&Guest::named("other"));
    let call = |args: &str| {
        host.text(&name, "plugin_call", format!(r#"{{"plugin":"other","function":"echo","args":{args}}}"#))
    };
    for raw in [r#"{"b":1,  "a":[1.0,1e2]}"#, "[]", "7", r#""text""#, "true", r#"{"<>":"\u00e4&"}"#] {
        assert_eq!(call(raw), raw);
    }
    // No arguments and null are nothing, and nothing is answered.
    assert_eq!(call("null"), "-");
    assert_eq!(host.text(&name, "plugin_call", r#"{"plugin":"other","function":"echo"}"#), "-");
}

#[test]
fn functions_of_newer_versions_are_unknown() {
    let (host, name) = open_host();
    for function in [
        "secure_config_get",
        "secure_config_set",
        "entity_soft_delete",
        "entity_restore",
        "entity_hard_delete",
        "recycle_bin_list",
        "org_id",
        "custom_fields_get",
        "custom_fields_set",
        "custom_fields_query",
        "store_file",
        "get_file",
        "delete_file",
        "list_files",
        "generate_thumbnail",
        "create_article",
        "change_ticket_status",
        "list_ticket_states",
        "list_ticket_views",
        "render_markdown_to_pdf",
        "time_now",
        "DB_QUERY",
        "db_query ",
        "db_query\0",
    ] {
        let error = host.ask_raw(&name, function, "{}").unwrap_err();
        assert_eq!(error["code"], "policy.function_unknown", "{function}");
    }
}

#[test]
fn database_prefixes_select_a_database() {
    let (host, name) = open_host();
    let query = |sql: &str| host.ask_raw(&name, "db_query", json!({ "query": sql }).to_string());
    let error = query("@reporting:SELECT 1").unwrap_err();
    assert_eq!(
        (&error["code"], &error["message"]),
        (&json!("host.not_found"), &json!("database \"reporting\" not found"))
    );
    assert_eq!(query("@:SELECT 1").unwrap_err()["code"], "policy.sql.not_understood");
    assert_eq!(query("SELECT '@x:y' AS a").unwrap(), json!([{"a": "@x:y"}]));
}

#[test]
fn errors_of_the_database_are_prefixed_as_in_the_reference() {
    let (host, name) = open_host();
    let message = |function: &str, sql: &str| {
        let error = host.ask_raw(&name, function, json!({ "query": sql }).to_string()).unwrap_err();
        assert_eq!(error["code"], "host.database");
        error["message"].as_str().unwrap().to_owned()
    };
    assert!(message("db_query", "SELECT nope FROM ticket").starts_with("query failed: "));
    assert!(message("db_exec", "INSERT INTO queue (id) VALUES (1)").starts_with("exec failed: "));
}

#[test]
fn without_a_database_there_is_a_clear_error() {
    let config = goatflow_plugin::manager::Config::parse(b"").unwrap();
    let manager = goatflow_plugin::manager::Manager::new(config).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("p.wasm");
    std::fs::write(&path, Guest::named("p").wasm()).unwrap();
    let policy =
        br#"{"version":1,"status":"approved","permissions":[{"type":"db","access":"read","scope":["ticket"]}]}"#;
    manager.set_policy("p", policy, None).unwrap();
    let name = manager.load(&path).unwrap();
    let mut answer = Vec::new();
    let query = br#"{"query":"SELECT id FROM ticket"}"#;
    manager
        .call(&name, "db_query", query, &CallOptions::default(), &mut |bytes| {
            answer = bytes.to_vec();
            Ok(())
        })
        .unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["code"], "host.no_provider");
}
