//! Modules that want harm: an error for that load or that call, the host and all other plugins unaffected.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use goatflow_plugin::error::ErrorCode;
use goatflow_plugin::host::log::LogFilter;
use goatflow_plugin::manager::CallOptions;
use goatflow_plugin::plugin::Cancellation;
use serde_json::json;

use crate::support::{
    Dice, FREE, Guest, Host, MALLOC, REFERENCE, WASI, assemble, cancellable, code_of, timeout, wasi_import,
    wasi_imports,
};

const ENDLESS: &str = "(loop $endless (br $endless))";

/// `malloc` that does something first.
fn malloc_after(action: &str) -> String {
    MALLOC.replacen(
        "(local.set $block (global.get $top))",
        &format!("{action} (local.set $block (global.get $top))"),
        1,
    )
}

/// Runs `attack` while another plugin is called without pause; not one of those calls may fail.
fn beside_a_bystander(host: &Host, attack: impl FnOnce()) {
    host.load(&Guest::named("bystander"));
    let stop = AtomicBool::new(false);
    let calls = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let bystander = scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                let expected = (calls.fetch_add(1, Ordering::SeqCst) + 1).to_string();
                assert_eq!(host.text("bystander", "tick", ""), expected);
            }
        });
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(attack));
        stop.store(true, Ordering::SeqCst);
        bystander.join().unwrap();
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
    assert!(calls.load(Ordering::SeqCst) > 10);
    host.manager.unload("bystander", Duration::ZERO).unwrap();
}

/// A host with short times for the start of the plugin `evil`.
fn short_host() -> Host {
    let host = Host::new();
    host.set_policy("evil", json!({"init_timeout": "300ms"}));
    host
}

// Endless code

#[test]
fn endless_code_in_a_load_ends_at_the_deadline() {
    let host = short_host();
    let base = Guest::named("evil");
    let register = Guest { register: Some(format!("{ENDLESS} (i64.const 0)")), ..Guest::named("evil") };
    let sleep = Guest::named("evil").imports(&wasi_import("poll_oneoff")).more(
        "(func (export \"_start\")
           (i32.store (i32.const 70016) (i32.const 1)) (i64.store (i32.const 70024) (i64.const -1))
           (drop (call $poll_oneoff (i32.const 70000) (i32.const 71000) (i32.const 1) (i32.const 72000))))",
    );
    let modules = [
        base.wat().replacen("(global $top", &format!("(func $s {ENDLESS}) (start $s) (global $top"), 1),
        Guest::named("evil").more(&format!("(func (export \"_start\") {ENDLESS})")).wat(),
        Guest::named("evil").more(&format!("(func (export \"_initialize\") {ENDLESS})")).wat(),
        register.wat(),
        sleep.wat(),
        Guest::named("evil")
            .more("(func (export \"_start\") (loop $f (call $log (i32.const 1) (i32.const 64) (i32.const 9)) (br $f)))")
            .wat(),
        Guest::named("evil")
            .more("(func (export \"_start\") (loop $f (drop (call $host_call (i32.const 64) (i32.const 9) (i32.const 0) (i32.const 0))) (br $f)))")
            .wat(),
        Guest::named("evil").more("(func (export \"_start\") (loop $f (memory.fill (i32.const 0) (i32.const 1) (i32.const 262144)) (br $f)))").wat(),
    ];
    beside_a_bystander(&host, || {
        for module in modules {
            let error = host.load_package("evil", &assemble(&module)).unwrap_err();
            assert_eq!(error.code(), ErrorCode::PluginDeadline, "{module}");
        }
    });
    assert_eq!(host.manager.list(), json!([]));
    // The name is not used up.
    assert!(host.load_package("evil", &base.wasm()).is_ok());
    assert_eq!(host.text("evil", "echo", "x"), "x");
}

#[test]
fn endless_code_in_a_call_ends_at_the_deadline() {
    let host = Host::new();
    let mut in_malloc = Guest::named("malloc");
    in_malloc.malloc = malloc_after(&format!("(if (i32.eq (local.get $size) (i32.const 77)) (then {ENDLESS}))"));
    let mut in_free = Guest::named("free");
    // Functions of six letters arm `gk_free`.
    in_free.free = format!("(if (i32.eq (global.get $ticks) (i32.const 666)) (then {ENDLESS})) {FREE}");
    in_free.call = format!(
        "{} {}",
        "(if (i32.eq (local.get $fn_len) (i32.const 6)) (then (global.set $ticks (i32.const 666)) (return (i64.const 0))))",
        "(call $copy (local.get $args) (local.get $args_len))"
    );
    let host_calls = Guest::named("asker").call(
        "(if (i32.eq (local.get $fn_len) (i32.const 4)) (then (return (call $copy (local.get $args) (local.get $args_len)))))
         (loop $f (drop (call $host_call (i32.const 64) (i32.const 9) (local.get $args) (local.get $args_len))) (br $f)) (i64.const 0)",
    );
    let logs = Guest::named("logger").call(
        "(if (i32.eq (local.get $fn_len) (i32.const 4)) (then (return (call $copy (local.get $args) (local.get $args_len)))))
         (loop $f (call $log (i32.const 3) (i32.const 0) (i32.const 65536)) (br $f)) (i64.const 0)",
    );
    let yields = Guest::named("yielder").imports(&wasi_import("sched_yield")).call(
        "(if (i32.eq (local.get $fn_len) (i32.const 4)) (then (return (call $copy (local.get $args) (local.get $args_len)))))
         (loop $f (drop (call $sched_yield)) (br $f)) (i64.const 0)",
    );
    let long = "x".repeat(77);
    let cases = [
        (Guest::named("call"), "spin", ""),
        (in_malloc, "echo", long.as_str()),
        (in_free, "attack", ""),
        (host_calls, "attack", r#"{"key":"k"}"#),
        (logs, "attack", ""),
        (yields, "attack", ""),
    ];
    beside_a_bystander(&host, || {
        for (guest, function, arguments) in &cases {
            let name = host.load(guest);
            for round in 1..=2 {
                assert_eq!(host.code(&name, function, arguments, &timeout(200)), ErrorCode::PluginDeadline, "{name}");
                assert_eq!(host.text(&name, "echo", "x"), "x", "{name} stays usable");
                assert_eq!(host.stats(&name)["runtime"]["instances_discarded"], round, "{name}");
            }
        }
    });
}

#[test]
fn sleeping_for_ever_ends_at_the_deadline_and_on_cancellation() {
    let host = Host::new();
    // Absolute and relative, on both clocks, alone and many at a time.
    let subscriptions = "
      (local $at i32)
      (local.set $at (i32.const 70000))
      (loop $next
        (i64.store (local.get $at) (i64.extend_i32_u (local.get $at)))
        (i32.store (i32.add (local.get $at) (i32.const 16)) (i32.rem_u (local.get $at) (i32.const 2)))
        (i64.store (i32.add (local.get $at) (i32.const 24)) (i64.const -1))
        (i32.store16 (i32.add (local.get $at) (i32.const 40)) (local.get $args_len))
        (local.set $at (i32.add (local.get $at) (i32.const 48)))
        (br_if $next (i32.lt_u (local.get $at) (i32.const 75000))))
      (if (i32.eq (local.get $fn_len) (i32.const 4)) (then (return (call $copy (local.get $args) (local.get $args_len)))))
      (drop (call $poll_oneoff (i32.const 70000) (i32.const 98304) (i32.const 100) (i32.const 72)))
      (i64.const 0)";
    let name = host.load(&Guest::named("sleeper").imports(&wasi_import("poll_oneoff")).call(subscriptions));
    for arguments in ["", "a"] {
        assert_eq!(host.code(&name, "sleep!", arguments, &timeout(200)), ErrorCode::PluginDeadline);
        let cancellation = Cancellation::new();
        let options = cancellable(&cancellation);
        std::thread::scope(|scope| {
            let call = scope.spawn(|| code_of(host.call_with(&name, "sleep!", arguments, &options)));
            host.await_in_flight(&name, 1);
            cancellation.cancel();
            assert_eq!(call.join().unwrap(), ErrorCode::PluginCancelled);
        });
        assert_eq!(host.text(&name, "echo", "x"), "x");
    }
}

#[test]
fn a_stdout_flood_ends_at_the_deadline() {
    let host = Host::new();
    // 40 vectors over the same 15 MiB of newlines: 600 million lines in one call of fd_write.
    let body = "
      (local $at i32)
      (drop (memory.grow (i32.const 242)))
      (memory.fill (i32.const 200000) (i32.const 10) (i32.const 15728640))
      (local.set $at (i32.const 70000))
      (loop $next
        (i32.store (local.get $at) (i32.const 200000))
        (i32.store (i32.add (local.get $at) (i32.const 4)) (i32.const 15728640))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (br_if $next (i32.lt_u (local.get $at) (i32.const 70320))))
      (loop $for_ever
        (drop (call $fd_write (i32.const 1) (i32.const 70000) (i32.const 40) (i32.const 72)))
        (br $for_ever))
      (i64.const 0)";
    let name = host.load(&Guest::named("flood").imports(&wasi_import("fd_write")).call(body));
    beside_a_bystander(&host, || {
        let start = Instant::now();
        assert_eq!(host.code(&name, "x", "", &timeout(300)), ErrorCode::PluginDeadline);
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    });
}

#[test]
fn log_floods_are_bounded_and_counted() {
    let host = Host::new();
    host.set_policy("flood", json!({"max_log_lines_per_second": 5}));
    let body = "
      (local $left i32)
      (local.set $left (i32.const 20000))
      (loop $next
        (call $log (i32.const 1) (i32.const 64) (i32.const 9))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br_if $next (local.get $left)))
      (i64.const 0)";
    let name = host.load(&Guest::named("flood").call(body));
    let start = Instant::now();
    host.call(&name, "x", "").unwrap();
    let kept = host.log_lines("flood").len() as u64;
    let seconds = start.elapsed().as_secs() + 1;
    assert!((5..=5 * (seconds + 1)).contains(&kept), "{kept} lines in {seconds} s");
    assert_eq!(host.stats("flood")["dropped_log_lines"], 20_000 - kept);
}

#[test]
fn log_floods_before_registration_are_bounded() {
    let host = Host::new();
    host.load(&Guest::named("quiet").call("(call $log (i32.const 1) (i32.const 64) (i32.const 9)) (i64.const 0)"));
    host.call("quiet", "x", "").unwrap();
    let flood = "(func (export \"_start\")
      (local $left i32)
      (local.set $left (i32.const 20000))
      (loop $next
        (call $log (i32.const 1) (i32.const 64) (i32.const 9))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br_if $next (local.get $left))))";
    host.load(&Guest::named("flood").more(flood));
    let all = host.manager.logs(&LogFilter::default());
    let of_flood = all.as_array().unwrap().iter().filter(|record| record["plugin"] != "quiet").count();
    assert!(of_flood < 1_000, "{of_flood} lines");
    assert_eq!(host.log_lines("quiet"), ["translate"], "another plugin's line was pushed out");
}

// Limits

#[test]
fn memory_can_not_grow_beyond_the_limit() {
    let host = Host::new();
    let name = host.load(&Guest::named("a").call("(call $number (memory.grow (i32.const 65536)))"));
    assert_eq!(host.text(&name, "x", ""), "4294967295");
    for (name, memory) in [("b", "257"), ("c", "65536"), ("d", "257 257")] {
        let guest = Guest { memory: memory.into(), ..Guest::named(name) };
        assert_eq!(code_of(host.load_wat(&guest.wat())), ErrorCode::PluginMemoryLimit, "{memory}");
    }
    let guest = Guest { memory: "256".into(), ..Guest::named("e") };
    assert_eq!(host.text(&host.load(&guest), "echo", "x"), "x");
}

#[test]
fn failed_growth_is_not_counted() {
    let host = Host::new();
    // The module itself allows 5 pages only: growing by 100 fails, growing by 1 works.
    let body = "
      (local $turn i32)
      (local.set $turn (i32.const 10))
      (loop $next
        (if (i32.ne (i32.const -1) (memory.grow (i32.const 100))) (then (unreachable)))
        (local.set $turn (i32.sub (local.get $turn) (i32.const 1)))
        (br_if $next (local.get $turn)))
      (call $number (memory.grow (i32.const 1)))";
    let guest = Guest { memory: "4 5".into(), ..Guest::named("a").call(body) };
    let name = host.load(&guest);
    assert_eq!(host.text(&name, "x", ""), "4");
    assert_eq!(host.stats(&name)["runtime"]["memory_bytes"], 5 * 65_536);
    // And a trap afterwards is a trap.
    let guest =
        Guest { memory: "4 5".into(), ..Guest::named("b").call("(drop (memory.grow (i32.const 100))) (unreachable)") };
    let name = host.load(&guest);
    assert_eq!(host.code(&name, "x", "", &CallOptions::default()), ErrorCode::PluginTrap);
}

#[test]
fn a_trap_after_a_refused_growth_is_a_memory_limit() {
    let host = Host::new();
    let name = host.load(&Guest::named("a").call("(drop (memory.grow (i32.const 1000))) (unreachable)"));
    assert_eq!(host.code(&name, "x", "", &CallOptions::default()), ErrorCode::PluginMemoryLimit);
}

#[test]
fn tables_can_not_grow_beyond_the_limit() {
    let host = Host::new();
    let grow = |table: &str| {
        format!(
            "(block $full (loop $more (br_if $full (i32.eq (i32.const -1) (table.grow {table} (ref.null func) (i32.const 10000)))) (br $more)))"
        )
    };
    let body = format!("{} {} (call $number (i32.add (table.size $a) (table.size $b)))", grow("$a"), grow("$b"));
    let name = host.load(&Guest::named("a").call(&body).more("(table $a 1 funcref) (table $b 1 funcref)"));
    assert_eq!(host.text(&name, "x", ""), "190002");
    for table in
        ["(table 200001 funcref)", "(table 4294967295 funcref)", "(table 150000 funcref) (table 150000 externref)"]
    {
        let error = host.load_wat(&Guest::named("b").more(table).wat()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::PluginMemoryLimit, "{table}: {error}");
    }
    let many = "(table 1 funcref)".repeat(101);
    assert_eq!(code_of(host.load_wat(&Guest::named("b").more(&many).wat())), ErrorCode::PackageModuleLimits);
}

#[test]
fn results_and_arguments_are_limited() {
    let host = Host::new();
    let name = host.load_wat(REFERENCE).unwrap();
    assert_eq!(host.code(&name, "huge_result", "", &CallOptions::default()), ErrorCode::PluginResultTooLarge);
    assert_eq!(host.stats(&name)["runtime"]["instances_discarded"], 1);
    host.set_policy("reference", json!({"max_result_bytes": 9_000_000, "max_argument_bytes": 100}));
    assert_eq!(host.call(&name, "huge_result", "").unwrap().unwrap().len(), 8 * 1024 * 1024);
    assert_eq!(host.text(&name, "counter", ""), "1");
    assert_eq!(host.text(&name, "echo", "x".repeat(100)).len(), 100);
    assert_eq!(host.code(&name, "echo", "x".repeat(101), &CallOptions::default()), ErrorCode::ArgumentTooLarge);
    assert_eq!(host.code(&name, &"f".repeat(1_025), "", &CallOptions::default()), ErrorCode::ArgumentTooLarge);
    assert!(host.call(&name, &"f".repeat(1_024), "").is_ok());
    assert_eq!(host.text(&name, "counter", ""), "2", "what never reached the plugin costs it nothing");
    host.manager.set_policy("reference", b"", None).unwrap();
    assert_eq!(
        host.code(&name, "echo", "x".repeat((1 << 20) + 1), &CallOptions::default()),
        ErrorCode::ArgumentTooLarge
    );
    // Bounds of the host that no policy exceeds.
    let host = Host::with(json!({"limits": {"max_message_bytes": 50}}));
    host.set_policy("reference", json!({"max_result_bytes": 0, "max_argument_bytes": 0}));
    let name = host.load_wat(REFERENCE).unwrap();
    assert_eq!(host.text(&name, "echo", "x".repeat(50)).len(), 50);
    assert_eq!(host.code(&name, "echo", "x".repeat(51), &CallOptions::default()), ErrorCode::ArgumentTooLarge);
}

#[test]
fn a_broken_call_costs_the_instance_and_nothing_more() {
    let host = Host::new();
    let name = host.load_wat(REFERENCE).unwrap();
    let cases = [
        ("trap", ErrorCode::PluginTrap),
        ("spin", ErrorCode::PluginDeadline),
        ("recurse", ErrorCode::PluginStackExhausted),
        ("exit", ErrorCode::PluginExited),
        ("bad_pointer", ErrorCode::PluginBadPointer),
        ("huge_result", ErrorCode::PluginResultTooLarge),
    ];
    beside_a_bystander(&host, || {
        for (round, (function, code)) in cases.into_iter().enumerate() {
            assert_eq!(host.text(&name, "counter", ""), "1");
            assert_eq!(host.text(&name, "counter", ""), "2", "state lasts over calls that end well");
            assert_eq!(host.code(&name, function, "", &timeout(2_000)), code, "{function}");
            let stats = host.stats(&name);
            assert_eq!(stats["runtime"]["instances_discarded"], round + 1);
            assert_eq!((&stats["runtime"]["instances"], &stats["in_flight"]), (&json!(0), &json!(0)));
        }
    });
    assert_eq!(host.text(&name, "counter", ""), "1");
    assert_eq!(host.stats(&name)["failed"], cases.len());
}

#[test]
fn bad_results_are_refused() {
    let host = Host::new();
    for (index, packed) in
        ["-1", "0xffffffff00000001", "0x0004000000000001", "0x0003ffff00000002", "0x0000000100100000"]
            .into_iter()
            .enumerate()
    {
        let name = host.load(&Guest::named(&format!("p{index}")).call(&format!("(i64.const {packed})")));
        let code = host.code(&name, "x", "", &CallOptions::default());
        let too_large = packed == "-1";
        assert_eq!(
            code,
            if too_large { ErrorCode::PluginResultTooLarge } else { ErrorCode::PluginBadPointer },
            "{packed}"
        );
    }
    // Up to the very last byte.
    let name = host.load(
        &Guest::named("last").call("(i32.store8 (i32.const 262143) (i32.const 65)) (i64.const 0x0003ffff00000001)"),
    );
    let text = host.call(&name, "x", "");
    // The template's `gk_free` takes any pointer.
    assert_eq!(text.unwrap().unwrap(), b"A");
}

// Stack

#[test]
fn stack_exhaustion_is_an_error_on_threads_of_every_size() {
    let host = Host::new();
    let name = host.load(&Guest::named("deep"));
    for kib in [64, 128, 256, 512, 1024, 1100, 1280, 1536, 2048, 8192] {
        let outcome = std::thread::scope(|scope| {
            let call = || {
                let code = host.code(&name, "deep", "", &CallOptions::default());
                (code, host.text(&name, "tick", ""), host.text(&name, "echo", "x".repeat(100_000)).len())
            };
            std::thread::Builder::new().stack_size(kib * 1024).spawn_scoped(scope, call).unwrap().join().unwrap()
        });
        assert_eq!(outcome, (ErrorCode::PluginStackExhausted, "1".into(), 100_000), "{kib} KiB");
    }
    // Not all: the C library may give a thread a larger stack that it has kept.
    assert!(host.stats(&name)["runtime"]["calls_relayed"].as_u64().unwrap() > 0);
}

#[test]
fn loading_works_on_small_threads() {
    let host = Host::new();
    for kib in [64, 256, 1024] {
        std::thread::scope(|scope| {
            let load = || {
                let name = host.load(&Guest::named("small").more("(func (export \"_start\") (drop (call $deeper (i32.const 2000)))) (func $deeper (param i32) (result i32) (if (i32.eqz (local.get 0)) (then (return (i32.const 0)))) (i32.add (i32.const 1) (call $deeper (i32.sub (local.get 0) (i32.const 1)))))"));
                assert_eq!(host.text(&name, "echo", "x"), "x");
                host.manager.unload(&name, Duration::ZERO).unwrap();
            };
            std::thread::Builder::new().stack_size(kib * 1024).spawn_scoped(scope, load).unwrap().join().unwrap();
        });
    }
}

/// A guest that recurses as often as `setn` said before it calls the host.
fn diver() -> Guest {
    Guest::named("diver")
        .call(
            "(if (i32.eq (local.get $fn_len) (i32.const 4)) (then
               (global.set $ticks (i32.load (local.get $args))) (return (i64.const 0))))
             (call $dive (global.get $ticks) (local.get $fn) (local.get $fn_len) (local.get $args) (local.get $args_len))",
        )
        .more(
            "(func $dive (param $left i32) (param i32 i32 i32 i32) (result i64)
               (local $answer i64)
               (if (i32.eqz (local.get $left)) (then
                 (local.set $answer (call $host_call (local.get 1) (local.get 2) (local.get 3) (local.get 4)))
                 (if (i64.eqz (local.get $answer)) (then (return (call $last_error))))
                 (return (local.get $answer))))
               (i64.add (i64.const 0)
                 (call $dive (i32.sub (local.get $left) (i32.const 1)) (local.get 1) (local.get 2) (local.get 3) (local.get 4))))",
        )
}

#[test]
fn host_calls_have_stack_even_when_the_guest_has_used_up_its_own() {
    let host = Host::new();
    host.set_policy("diver", json!({
        "permissions": [{"type": "db", "access": "read", "scope": ["ticket"]}, {"type": "plugin_call", "scope": ["deep"]}],
        "max_db_queries_per_min": 0,
    }));
    let name = host.load(&diver());
    host.load(&Guest::named("deep"));
    let dive = |depth: u32, function: &str, arguments: &str| {
        host.call(&name, "setn", depth.to_le_bytes()).unwrap();
        host.call(&name, function, arguments).map(|answer| String::from_utf8(answer.unwrap_or_default()).unwrap())
    };
    let statements = [
        format!("SELECT {} AS n", vec!["1"; 950].join("+")),
        format!("SELECT {} AS n", vec!["id"; 40].join("+")) + " FROM ticket",
        vec!["SELECT 1 AS n, 2"; 400].join(" UNION ALL ").replacen(", 2", "", 1),
        vec!["SELECT 1 AS n, 2"; 40].join(" UNION ALL ").replacen(", 2", "", 1),
        format!("{}1{} AS n", "SELECT (".repeat(50), ")".repeat(50)),
        format!("SELECT {}id{} AS n FROM ticket", "abs(".repeat(50), ")".repeat(50)),
        format!("SELECT id FROM ticket WHERE {}", vec!["id = 1"; 900].join(" OR ")),
        format!(
            "SELECT t0.id FROM {}",
            (0..60).map(|i| format!("ticket t{i}")).collect::<Vec<_>>().join(" CROSS JOIN ") + " LIMIT 1"
        ),
    ];
    for kib in [1_100, 1_200, 1_400, 2_048] {
        std::thread::scope(|scope| {
            let attack = || {
                let relayed = host.stats(&name)["runtime"]["calls_relayed"].clone();
                // The deepest dive that the guest survives.
                let (mut low, mut high) = (0, 200_000);
                while low + 1 < high {
                    let middle = u32::midpoint(low, high);
                    if dive(middle, "translate", r#"{"key":"k"}"#).is_ok() { low = middle } else { high = middle }
                }
                assert!(low > 1_000, "{low}");
                for (number, statement) in statements.iter().enumerate() {
                    // A text of its own, so that nothing was prepared before.
                    let query = json!({ "query": statement.replacen("SELECT", &format!("SELECT {kib} AS own,"), 1) })
                        .to_string();
                    for depth in [low - 50, low / 2, 0] {
                        match dive(depth, "db_query", &query) {
                            // Rows, or SQLite's own limits.
                            Ok(answer) => assert!(
                                answer.starts_with('[') || answer.contains("host.database"),
                                "{number}: {answer}"
                            ),
                            Err(error) => {
                                assert_eq!(error.code(), ErrorCode::PluginStackExhausted, "{number}: {error}")
                            }
                        }
                    }
                }
                let deep = json!({"plugin": "deep", "function": "deep", "args": {}}).to_string();
                let answer = dive(low - 50, "plugin_call", &deep).unwrap();
                assert!(answer.contains("plugin.stack_exhausted"), "{answer}");
                assert_eq!(host.stats(&name)["runtime"]["calls_relayed"], relayed, "it ran on this thread");
            };
            std::thread::Builder::new().stack_size(kib * 1024).spawn_scoped(scope, attack).unwrap().join().unwrap();
        });
    }
}

#[test]
fn patterns_of_the_database_do_not_use_up_the_stack() {
    let host = Host::new();
    host.set_policy(
        "a",
        json!({"permissions": [{"type": "db", "access": "read", "scope": ["ticket"]}], "max_db_queries_per_min": 0}),
    );
    let name = host.load(&Guest::named("a"));
    for (operator, star) in [("LIKE", "%"), ("GLOB", "*")] {
        for length in [100, 24_990] {
            let (text, pattern) = ("a".repeat(length), format!("{star}a").repeat(length));
            let query = json!({"query": format!("SELECT ? {operator} ? AS n"), "args": [text, pattern]}).to_string();
            std::thread::scope(|scope| {
                let ask = || host.ask_raw(&name, "db_query", &query);
                let answer = std::thread::Builder::new()
                    .stack_size(1_100 * 1024)
                    .spawn_scoped(scope, ask)
                    .unwrap()
                    .join()
                    .unwrap();
                match answer {
                    Ok(rows) => assert_eq!(rows, json!([{"n": 1}])),
                    Err(error) => assert_eq!((&error["code"], length), (&json!("host.database"), 24_990), "{error}"),
                }
            });
        }
    }
}

#[test]
fn all_of_this_holds_without_signal_handlers() {
    let host = Host::with(json!({"signals": "off"}));
    let name = host.load_wat(REFERENCE).unwrap();
    let cases = [
        ("trap", ErrorCode::PluginTrap),
        ("spin", ErrorCode::PluginDeadline),
        ("recurse", ErrorCode::PluginStackExhausted),
        ("exit", ErrorCode::PluginExited),
        ("bad_pointer", ErrorCode::PluginBadPointer),
        ("huge_result", ErrorCode::PluginResultTooLarge),
    ];
    for (function, code) in cases {
        assert_eq!(host.code(&name, function, "", &timeout(1_000)), code, "{function}");
        assert_eq!(host.text(&name, "counter", ""), "1");
    }
    assert_eq!(host.text(&name, "grow", ""), "254");
    for (index, access) in
        ["(i32.load (i32.const -4))", "(i32.load (i32.const 262141))", "(i32.load offset=0xffffffff (i32.const -1))"]
            .iter()
            .enumerate()
    {
        let guest = Guest::named(&format!("o{index}")).call(&format!("(drop {access}) (i64.const 0)"));
        for host in [&host, &Host::new()] {
            let name = host.load(&guest);
            assert_eq!(host.code(&name, "x", "", &CallOptions::default()), ErrorCode::PluginTrap, "{access}");
        }
    }
}

#[test]
fn an_allocator_that_calls_the_host_does_not_recurse_without_end() {
    let host = Host::new();
    let ask = "(drop (call $host_call (i32.const 64) (i32.const 9) (i32.const 76000) (i32.const 11)))";
    let fail = "(drop (call $host_call (i32.const 64) (i32.const 9) (i32.const 0) (i32.const 0)))";
    let data = "(data (i32.const 76000) \"{\\22key\\22:\\22k\\22}\")";
    let cases = [
        ("asks", ask.to_owned()),
        ("fails", fail.to_owned()),
        ("both", format!("{fail} (drop (call $last_error)) {ask} (drop (call $last_error))")),
        ("errors", format!("{fail} (drop (call $last_error))")),
    ];
    for (name, action) in cases {
        let mut guest = Guest::named(name).more(data);
        guest.malloc = malloc_after(&action);
        let name = host.load(&guest);
        for kib in [64, 1_100, 2_048] {
            let outcome = std::thread::scope(|scope| {
                let call = || host.call_with(&name, "echo", "xyz", &timeout(5_000));
                std::thread::Builder::new().stack_size(kib * 1024).spawn_scoped(scope, call).unwrap().join().unwrap()
            });
            match outcome {
                Ok(answer) => assert_eq!(answer.unwrap(), b"xyz"),
                Err(error) => assert!(
                    [ErrorCode::PluginStackExhausted, ErrorCode::PluginDeadline, ErrorCode::PluginAllocation]
                        .contains(&error.code()),
                    "{name}: {error}"
                ),
            }
        }
    }
}

// Leaving

#[test]
fn proc_exit_anywhere_is_an_error_of_that_load_or_call() {
    let host = Host::new();
    let exit = "(call $proc_exit (i32.const 5))";
    let section =
        Guest::named("a").wat().replacen("(global $top", &format!("(func $s {exit}) (start $s) (global $top"), 1);
    let register = Guest { register: Some(format!("{exit} (i64.const 0)")), ..Guest::named("a") };
    for module in [
        section,
        register.wat(),
        Guest::named("a").more(&format!("(func (export \"_start\") {exit})")).wat(),
        Guest::named("a").more(&format!("(func (export \"_initialize\") {exit})")).wat(),
    ] {
        assert_eq!(code_of(host.load_wat(&module)), ErrorCode::PluginExited);
    }
    let zero = Guest { register: Some("(call $proc_exit (i32.const 0)) (i64.const 0)".into()), ..Guest::named("a") };
    assert_eq!(code_of(host.load_wat(&zero.wat())), ErrorCode::PluginExited, "only a start function may end with 0");
    let when = |size: u32| format!("(if (i32.eq (local.get $size) (i32.const {size})) (then {exit}))");
    let mut malloc = Guest::named("malloc");
    malloc.malloc = malloc_after(&when(77));
    let mut free = Guest::named("free");
    free.free = format!("(if (i32.eq (global.get $ticks) (i32.const 2)) (then {exit})) {FREE}");
    let (malloc, free) = (host.load(&malloc), host.load(&free));
    assert_eq!(host.code(&malloc, "echo", "x".repeat(77), &CallOptions::default()), ErrorCode::PluginExited);
    assert_eq!(host.text(&free, "tick", ""), "1");
    assert_eq!(host.code(&free, "tick", "", &CallOptions::default()), ErrorCode::PluginExited);
    let caller = host.load(&Guest::named("call"));
    assert_eq!(host.code(&caller, "exit", "", &CallOptions::default()), ErrorCode::PluginExited);
    for name in [malloc, free, caller] {
        assert_eq!(host.text(&name, "echo", "x"), "x");
    }
}

// Modules

#[test]
fn mistyped_exports_are_refused() {
    let host = Host::new();
    let text = Guest::named("a").wat();
    let swap = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    };
    let extra = |name: &str, field: &str| {
        text.replacen(&format!("(export \"{name}\")"), "", 1).replacen(
            "(global $top",
            &format!("{field} (global $top"),
            1,
        )
    };
    for module in [
        swap("(export \"gk_register\") (result i64)", "(export \"gk_register\") (param i32) (result i64)"),
        extra("gk_register", "(func (export \"gk_register\") (result i32) (i32.const 0))"),
        extra("gk_register", "(func (export \"gk_register\"))"),
        extra("gk_register", "(global (export \"gk_register\") i32 (i32.const 0))"),
        extra("gk_call", "(func (export \"gk_call\") (param i32 i32) (result i64) (i64.const 0))"),
        extra("gk_call", "(memory (export \"gk_call\") 1)").replacen("(memory (export \"memory\") 4)", "", 1),
        extra("gk_malloc", "(func (export \"gk_malloc\") (param i64) (result i32) (i32.const 0))"),
        extra("gk_malloc", "(func (export \"gk_malloc\") (param i32) (result i64) (i64.const 0))"),
        extra("memory", "(func (export \"memory\"))"),
        swap("(global $top", "(func (export \"_start\") (param i32)) (global $top"),
        swap("(global $top", "(func (export \"_initialize\") (result i32) (i32.const 0)) (global $top"),
    ] {
        let Ok(code) = wat::parse_str(&module) else { continue };
        let error = host.load_bytes(&code).unwrap_err();
        assert!(
            [ErrorCode::PackageContract, ErrorCode::PackageModuleInvalid].contains(&error.code()),
            "{error}\n{module}"
        );
    }
    assert_eq!(host.manager.list(), json!([]));
}

#[test]
fn duplicate_imports_are_harmless() {
    let host = Host::new();
    let twice = r#"(import "gk" "host_call" (func (param i32 i32 i32 i32) (result i64)))
                   (import "gk" "host_call" (func (param i32 i32 i32 i32) (result i64)))"#;
    let name = host.load(&Guest::named("twice").imports(twice));
    assert_eq!(host.text(&name, "echo", "x"), "x");
}

#[test]
fn hostile_registrations_are_refused() {
    let host = Host::new();
    let registering = |body: &str| {
        let guest = Guest { register: Some(body.into()), memory: "200".into(), ..Guest::named("a") };
        code_of(host.load_wat(&guest.wat()))
    };
    for wild in [
        "(i64.const -1)",
        "(i64.const 0xffffffff00000001)",
        "(i64.const 0x0000000100c80000)",
        "(i64.const 0x00c8000000000001)",
    ] {
        assert_eq!(registering(wild), ErrorCode::PluginBadPointer, "{wild}");
    }
    // 13 MB of blanks around nothing; of brackets.
    let filled = |byte: u32, len: u32| {
        format!(
            "(memory.fill (i32.const 65536) (i32.const {byte}) (i32.const {len})) (call $pack (i32.const 65536) (i32.const {len}))"
        )
    };
    for byte in [0, 0x20, 0x5b, 0x7b, 0x22, 0xff] {
        assert_eq!(registering(&filled(byte, 13_000_000)), ErrorCode::PackageRegistrationInvalid);
        assert_eq!(registering(&filled(byte, 1_048_576)), ErrorCode::PackageRegistrationInvalid);
    }
    let nested = |open: &str, close: &str, depth: usize| {
        let guest = Guest {
            registration: format!("{{\"name\":\"a\",\"x\":{}1{}}}", open.repeat(depth), close.repeat(depth)),
            ..Guest::named("a")
        };
        host.load_wat(&guest.wat()).map_err(|error| error.code())
    };
    assert_eq!(nested("[", "]", 20_000), Err(ErrorCode::PackageRegistrationInvalid));
    assert_eq!(nested("{\"a\":", "}", 10_000), Err(ErrorCode::PackageRegistrationInvalid));
    assert!(nested("[", "]", 100).is_ok());
}

#[test]
fn modules_beyond_each_limit_are_refused_before_they_are_compiled() {
    let host = Host::new();
    let module = |fields: &str| assemble(&format!("(module {fields})"));
    let deep = |depth: usize| format!("(func {} {})", "block ".repeat(depth), "end ".repeat(depth));
    let imports: String = (0..1_001).map(|index| format!("(import \"a\" \"f{index}\" (func))")).collect();
    let exports: String = (0..1_001).map(|index| format!("(export \"f{index}\" (func 0))")).collect();
    let types: String = (0..50_001).map(|_| "(type (func))").collect();
    for (what, fields) in [
        ("nested blocks", deep(2_001)),
        ("nested blocks", deep(100_000)),
        ("functions", "(func)".repeat(50_001)),
        ("local variables", format!("(func (local {}))", "i32 ".repeat(50_001))),
        ("bytes in one function", format!("(func {})", "nop ".repeat(1 << 20))),
        ("imports", imports),
        ("exports", format!("(func) {exports}")),
        ("data segments", format!("(memory 1) {}", "(data (i32.const 0) \"\")".repeat(100_001))),
        ("globals", "(global i32 (i32.const 0))".repeat(50_001)),
        ("types", types),
        ("tables", "(table 1 funcref)".repeat(101)),
    ] {
        let error = host.load_bytes(&module(&fields)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::PackageModuleLimits, "{what}: {error}");
        assert!(error.to_string().contains(what), "{what}: {error}");
    }
    let mut large = module("");
    large.resize(16 * 1024 * 1024 + 1, 0);
    assert_eq!(code_of(host.load_bytes(&large)), ErrorCode::PackageModuleLimits);
    // A section that says how many locals there are costs few bytes.
    let bomb =
        [b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x0a\x0a\x01\x08\x01\xff\xff\xff\xff\x0f\x7f\x0b"
            .as_slice()]
        .concat();
    let error = host.load_bytes(&bomb).unwrap_err();
    assert!([ErrorCode::PackageModuleLimits, ErrorCode::PackageModuleInvalid].contains(&error.code()), "{error}");
}

#[test]
fn limits_of_modules_can_be_configured() {
    let host = Host::with(
        json!({"limits": {"module": {"functions": 8, "nesting": 8, "function_bytes": 2_000, "data_segments": 2}}}),
    );
    let guest = |more: &str| Guest::named("a").more(more).wat();
    assert!(host.load_wat(&guest("")).is_ok());
    host.manager.unload("a", Duration::ZERO).unwrap();
    for more in ["(func)", "(data (i32.const 0) \"\")"] {
        assert_eq!(code_of(host.load_wat(&guest(more))), ErrorCode::PackageModuleLimits, "{more}");
    }
}

#[test]
fn a_module_that_takes_too_long_to_compile_fails_at_the_deadline() {
    let host = Host::with(json!({"limits": {"load_timeout_ms": 1}}));
    let function = |index: usize| {
        format!(
            "(func (param i32) (result i32) {})",
            format!("(i32.add (local.get 0) (i32.const {index}))").to_string()
        )
    };
    let many: String = (0..5_000).map(function).collect();
    let module = Guest::named("slow").more(&many).wasm();
    assert_eq!(code_of(host.load_bytes(&module)), ErrorCode::PluginDeadline);
    // The work was not in vain: another manager gets it sooner or later, and this one keeps working.
    let patient = Host::new();
    let name = patient.load_bytes(&module).unwrap();
    assert_eq!(patient.text(&name, "echo", "x"), "x");
}

#[test]
fn what_a_manifest_says_must_be_what_runs() {
    let host = Host::new();
    let code = Guest::named("real").wasm();
    assert_eq!(code_of(host.load_package("other", &code)), ErrorCode::PackageNameMismatch);
    let version = json!({"name": "real", "version": "2.0.0"});
    assert_eq!(code_of(host.load_directory(&version, &code)), ErrorCode::PackageNameMismatch);
    assert_eq!(host.manager.list(), json!([]));
    assert!(host.load_directory(&json!({"name": "real", "version": "1.0.0"}), &code).is_ok());
    assert_eq!(code_of(host.load_bytes(&code)), ErrorCode::LifecycleAlreadyLoaded);
    assert_eq!(host.text("real", "echo", "x"), "x");
}

#[test]
fn a_failed_load_does_not_occupy_the_name() {
    let host = Host::new();
    assert_eq!(code_of(host.load_package("a_b", b"\0asm")), ErrorCode::PackageModuleInvalid);
    let trap = Guest::named("c_d").more("(func (export \"_start\") (unreachable))");
    assert_eq!(code_of(host.load_package("c_d", &trap.wasm())), ErrorCode::PluginTrap);
    assert_eq!(&*host.load(&Guest::named("a-b")), "a-b");
    assert_eq!(&*host.load(&Guest::named("c-d")), "c-d");
    // Two that both serve must not be confused.
    assert_eq!(code_of(host.load_wat(&Guest::named("a_b").wat())), ErrorCode::PackageNameInvalid);
}

// WASI

#[test]
fn every_wasi_function_survives_wild_pointers() {
    let host = Host::new();
    // random_get comes last: it overwrites what others read.
    let mut functions: Vec<_> = WASI.to_vec();
    functions.sort_by_key(|(name, _)| *name == "random_get");
    let values = [0_i64, 1, 3, 65_535, 262_140, 262_144, 0x7fff_ffff, -16, -1];
    let mut calls = String::new();
    for (name, parameters) in &functions {
        for value in values {
            let constants: String = parameters
                .chars()
                .map(|kind| format!("({}.const {value})", if kind == 'l' { "i64" } else { "i32" }))
                .collect();
            calls.push_str(&format!("(drop (call ${name} {constants}))"));
            // Output descriptors with everything else wild.
            if name.starts_with("fd_") {
                let rest: String = constants.split_once(')').unwrap().1.to_owned();
                calls.push_str(&format!(
                    "(drop (call ${name} (i32.const 1) {rest})) (drop (call ${name} (i32.const 0) {rest}))"
                ));
            }
        }
    }
    let names: Vec<&str> = functions.iter().map(|(name, _)| *name).collect();
    let guest = Guest::named("wild")
        .imports(&wasi_imports(&names))
        .call(&format!("{calls} (call $copy (local.get $fn) (local.get $fn_len))"));
    let name = host.load(&guest);
    assert_eq!(host.text(&name, "alive", ""), "alive");
    assert_eq!(host.stats(&name)["runtime"]["instances_discarded"], 0);
    // The same before anything is registered.
    let guest = Guest::named("early").imports(&wasi_imports(&names)).more(&format!(
        "(func $all (export \"_start\") (if (i32.eqz (i32.load (i32.const 1024))) (then (unreachable))) {})",
        calls.split("(drop (call $random_get").next().unwrap()
    ));
    assert!(host.load_wat(&guest.wat()).is_ok());
    // And before the instance exists.
    let text = Guest::named("section").imports(&wasi_imports(&names)).wat().replacen(
        "(global $top",
        &format!("(func $s {}) (start $s) (global $top", calls.split("(drop (call $random_get").next().unwrap()),
        1,
    );
    assert!(host.load_wat(&text).is_ok());
}

#[test]
fn overlapping_wasi_vectors_are_harmless() {
    let host = Host::new();
    // The count of bytes is written over the vectors; vectors that reach to the very end, and one byte beyond.
    let body = "
      (i32.store (i32.const 70000) (i32.const 262140)) (i32.store (i32.const 70004) (i32.const 4))
      (i32.store (i32.const 70008) (i32.const 262140)) (i32.store (i32.const 70012) (i32.const 5))
      (i32.store (i32.const 98304) (call $fd_write (i32.const 1) (i32.const 70000) (i32.const 1) (i32.const 70000)))
      (i32.store (i32.const 98308) (call $fd_write (i32.const 1) (i32.const 70008) (i32.const 1) (i32.const 70000)))
      (i32.store (i32.const 98312) (call $fd_write (i32.const 1) (i32.const 262136) (i32.const 2) (i32.const 70000)))
      (i32.store (i32.const 98316) (call $fd_write (i32.const 1) (i32.const 70008) (i32.const 1025) (i32.const 70000)))
      (call $copy (i32.const 98304) (i32.const 16))";
    let name = host.load(&Guest::named("a").imports(&wasi_import("fd_write")).call(body));
    let answer = host.call(&name, "x", "").unwrap().unwrap();
    let codes: Vec<u8> = answer.chunks(4).map(|code| code[0]).collect();
    assert_eq!(codes, [0, 21, 21, 28]);
}

// Anything at all

#[test]
fn broken_modules_are_refused() {
    let host = Host::new();
    let code = assemble(REFERENCE);
    for length in (0..code.len()).step_by(7) {
        match host.load_bytes(&code[..length]) {
            Err(error) => assert!(
                [ErrorCode::PackageModuleInvalid, ErrorCode::PackageContract].contains(&error.code()),
                "{length} bytes: {error}"
            ),
            // Only the names of functions are missing.
            Ok(name) => {
                assert!(length > code.len() / 2, "{length} bytes");
                assert_eq!(host.text(&name, "echo", "x"), "x");
                host.manager.unload(&name, Duration::ZERO).unwrap();
            }
        }
    }
    let component = b"\0asm\x0d\0\x01\0";
    assert_eq!(code_of(host.load_bytes(component)), ErrorCode::PackageModuleInvalid);
    assert_eq!(code_of(host.load_bytes(b"(module)")), ErrorCode::PackageModuleInvalid);
    assert_eq!(code_of(host.load_bytes(&vec![0xff; 100_000])), ErrorCode::PackageModuleInvalid);
}

#[test]
fn mutated_modules_never_do_harm() {
    let host = Host::new();
    host.set_policy("reference", json!({"init_timeout": "250ms", "call_timeout": "250ms"}));
    let original = assemble(REFERENCE);
    let mut dice = Dice::new(0x9e37_79b9_7f4a_7c15);
    let directory = host.fresh_path("mutant");
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(directory.join("manifest.json"), r#"{"name":"reference"}"#).unwrap();
    let (mut loaded, mut refused) = (0, 0);
    beside_a_bystander(&host, || {
        for turn in 0..3_000 {
            let mut code = original.clone();
            for _ in 0..=dice.roll(3) {
                let at = dice.roll(code.len());
                match dice.roll(5) {
                    0 => code[at] ^= 1 << dice.roll(8),
                    1 => code[at] = u8::try_from(dice.roll(256)).unwrap(),
                    2 => drop(code.remove(at)),
                    3 => code.insert(at, u8::try_from(dice.roll(256)).unwrap()),
                    _ => {
                        let from = dice.roll(code.len());
                        let length = dice.roll(16).min(code.len() - from.max(at));
                        code.copy_within(from..from + length, at);
                    }
                }
            }
            std::fs::write(directory.join("plugin.wasm"), &code).unwrap();
            match host.manager.load(&directory) {
                Ok(name) => {
                    loaded += 1;
                    for function in
                        ["echo", "hello", "counter", "log", "recurse", "grow", "bad_pointer", "host:translate"]
                    {
                        if let Err(error) = host.call(&name, function, r#"{"key":"k"}"#) {
                            let number = error.code().number();
                            assert!((500..600).contains(&number), "turn {turn}, {function}: {error}");
                        }
                    }
                    host.manager.unload(&name, Duration::ZERO).unwrap();
                }
                Err(error) => {
                    refused += 1;
                    let number = error.code().number();
                    assert!((200..300).contains(&number) || (500..600).contains(&number), "turn {turn}: {error}");
                }
            }
        }
    });
    assert!(loaded > 300 && refused > 300, "{loaded} loaded, {refused} refused");
}
