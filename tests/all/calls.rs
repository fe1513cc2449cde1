//! Calls against each other: deadlines, cancellation, re-entrance, circles, pools, and changes of service under load.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::time::Duration;

use goatflow_plugin::error::ErrorCode;
use goatflow_plugin::host::HostCall;
use goatflow_plugin::manager::{CallOptions, Outcome};
use goatflow_plugin::plugin::Cancellation;
use serde_json::{Value, json};

use crate::support::{
    Answer, Dice, Gate, Gates, Guest, Host, OpenOnDrop, PATIENCE, cancellable, code_of, split_error, timeout, until,
};

/// A plugin that may call every other one, with so many instances.
fn pooled(host: &Host, name: &str, instances: u32) -> Arc<str> {
    host.set_policy(
        name,
        json!({
            "instances": instances,
            "permissions": [{"type": "plugin_call", "scope": ["*"]}],
            "max_calls_per_second": 0,
        }),
    );
    host.load(&Guest::registered(&json!({"name": name, "resources": {"instances": "auto"}})))
}

fn single(host: &Host, name: &str) -> Arc<str> {
    pooled(host, name, 1)
}

/// Arguments of `plugin_call` that go from plugin to plugin and end with `function`; the outermost is called by the host.
fn nested(path: &[&str], function: &str, arguments: &Value) -> (String, Value) {
    let (last, callers) = path.split_last().unwrap();
    let mut call = (function.to_owned(), arguments.clone());
    let mut callee = last;
    for caller in callers.iter().rev() {
        call = ("plugin_call".into(), json!({"plugin": callee, "function": call.0, "args": call.1}));
        callee = caller;
    }
    call
}

/// Calls along a path of plugins; gives the answer of the last one, or the error that was handed through.
fn call_path(host: &Host, path: &[&str], function: &str, options: &CallOptions) -> Result<Value, Value> {
    let (function, arguments) = nested(path, function, &json!({"x": 1}));
    let answer = host.call_with(path[0], &function, arguments.to_string(), options).unwrap();
    split_error(serde_json::from_slice(&answer.unwrap()).unwrap())
}

// Deadlines

#[test]
fn the_shorter_of_option_and_policy_is_the_deadline() {
    let host = Host::new();
    for (name, policy, option) in [("a", "200ms", 0), ("b", "30s", 200), ("c", "200ms", 600_000), ("d", "0", 200)] {
        host.set_policy(name, json!({ "call_timeout": policy }));
        host.load(&Guest::named(name));
        assert_eq!(host.code(name, "spin", "", &timeout(option)), ErrorCode::PluginDeadline, "{policy} {option}");
        assert_eq!(host.text(name, "echo", "x"), "x");
    }
}

#[test]
fn nested_calls_inherit_the_shortest_deadline() {
    let host = Host::new();
    single(&host, "a");
    single(&host, "b");
    single(&host, "c");
    // The outermost deadline ends everything, wherever it is.
    let (function, arguments) = nested(&["a", "b", "c"], "spin", &json!({}));
    assert_eq!(host.code("a", &function, arguments.to_string(), &timeout(300)), ErrorCode::PluginDeadline);
    // The callee's own, shorter one ends the callee only: its caller goes on and says what happened.
    host.set_policy("c", json!({"call_timeout": "200ms"}));
    let error = call_path(&host, &["a", "b", "c"], "spin", &timeout(60_000)).unwrap_err();
    assert_eq!(error["code"], "plugin.deadline");
    for name in ["a", "b", "c"] {
        assert_eq!(host.text(name, "echo", "x"), "x");
    }
}

#[test]
fn a_call_that_waits_for_an_instance_waits_until_its_deadline() {
    let host = Host::new();
    let gate = Gate::new();
    Gates::install(&host, [("stop", &gate)]);
    single(&host, "a");
    std::thread::scope(|scope| {
        let _open = OpenOnDrop(&[&gate]);
        let first = scope.spawn(|| host.call("a", "translate", r#"{"key":"stop"}"#).map(drop));
        gate.await_entered(1);
        assert_eq!(host.code("a", "echo", "x", &timeout(100)), ErrorCode::PluginDeadline);
        let cancellation = Cancellation::new();
        let (host, options) = (&host, cancellable(&cancellation));
        let second = scope.spawn(move || code_of(host.call_with("a", "echo", "x", &options)));
        host.await_in_flight("a", 2);
        cancellation.cancel();
        assert_eq!(second.join().unwrap(), ErrorCode::PluginCancelled);
        gate.open();
        first.join().unwrap().unwrap();
    });
    assert_eq!(host.text("a", "tick", ""), "1");
    assert_eq!(host.stats("a")["runtime"]["instances_discarded"], 0);
}

// Cancellation

#[test]
fn a_call_can_be_cancelled_before_it_begins() {
    let host = Host::new();
    single(&host, "a");
    let cancellation = Cancellation::new();
    cancellation.cancel();
    assert_eq!(host.code("a", "spin", "", &cancellable(&cancellation)), ErrorCode::PluginCancelled);
    assert_eq!(host.code("a", "tick", "", &cancellable(&cancellation)), ErrorCode::PluginCancelled);
    assert_eq!(host.text("a", "tick", ""), "1", "the cancelled call was never made");
}

#[test]
fn a_call_can_be_cancelled_while_it_computes() {
    let host = Host::new();
    single(&host, "a");
    single(&host, "b");
    for path in [&["a"][..], &["a", "b"]] {
        let cancellation = Cancellation::new();
        let options = cancellable(&cancellation);
        let (function, arguments) = nested(path, "spin", &json!({}));
        std::thread::scope(|scope| {
            let call = scope.spawn(|| code_of(host.call_with("a", &function, arguments.to_string(), &options)));
            host.await_in_flight(path.last().unwrap(), 1);
            cancellation.cancel();
            assert_eq!(call.join().unwrap(), ErrorCode::PluginCancelled);
        });
        assert_eq!(host.text("a", "echo", "x"), "x");
    }
}

#[test]
fn cancelling_after_the_end_does_nothing() {
    let host = Host::new();
    single(&host, "a");
    let cancellation = Cancellation::new();
    assert!(host.call_with("a", "tick", "", &cancellable(&cancellation)).is_ok());
    cancellation.cancel();
    cancellation.cancel();
    assert_eq!(host.text("a", "tick", ""), "2");
}

#[test]
fn an_end_of_one_call_never_touches_another() {
    let host = Host::new();
    let gate = Gate::new();
    Gates::install(&host, [("stop", &gate)]);
    pooled(&host, "a", 4);
    single(&host, "b");
    let stop = AtomicBool::new(false);
    let calls = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let _open = OpenOnDrop(&[&gate]);
        // One call that is under way all the time in each plugin, and short ones beside it.
        let long: Vec<_> =
            ["a", "b"].map(|name| scope.spawn(|| host.call(name, "translate", r#"{"key":"stop"}"#).unwrap())).into();
        gate.await_entered(2);
        let short = scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                assert_eq!(host.text("a", "echo", "x"), "x");
                calls.fetch_add(1, Ordering::SeqCst);
            }
        });
        for _ in 0..5 {
            assert_eq!(host.code("a", "spin", "", &timeout(50)), ErrorCode::PluginDeadline);
            let cancellation = Cancellation::new();
            let (host, options) = (&host, cancellable(&cancellation));
            let call = scope.spawn(move || code_of(host.call_with("a", "spin", "", &options)));
            cancellation.cancel();
            assert_eq!(call.join().unwrap(), ErrorCode::PluginCancelled);
            assert_eq!(host.code("a", "trap", "", &CallOptions::default()), ErrorCode::PluginTrap);
        }
        stop.store(true, Ordering::SeqCst);
        short.join().unwrap();
        assert!(calls.load(Ordering::SeqCst) > 0);
        gate.open();
        for call in long {
            assert_eq!(call.join().unwrap().unwrap(), br#"{"value":"stop"}"#);
        }
    });
}

#[test]
fn a_slow_statement_of_one_plugin_does_not_hold_the_deadline_of_another() {
    let host = Host::new();
    let db = json!({"permissions": [{"type": "db", "access": "read", "scope": ["ticket"]}]});
    for name in ["slow", "quick"] {
        host.set_policy(name, db.clone());
        host.load(&Guest::named(name));
    }
    let endless =
        json!({"query": "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"});
    let cancellation = Cancellation::new();
    let options = cancellable(&cancellation);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let code = code_of(host.call_with("slow", "db_query", endless.to_string(), &options));
            is_over.store(true, Ordering::SeqCst);
            assert_eq!(code, ErrorCode::PluginCancelled);
        });
        // The statement has begun when it was counted, or is about to.
        until("the slow statement", || host.stats("slow")["db_queries"] == 1);
        let query = json!({"query": "SELECT id FROM ticket"}).to_string();
        for _ in 0..3 {
            let outcome = host.call_with("quick", "db_query", &query, &timeout(200));
            if let Err(error) = outcome {
                assert_eq!(error.code(), ErrorCode::PluginDeadline);
            }
        }
        assert!(!is_over.load(Ordering::SeqCst), "the quick plugin waited for the end of the slow one");
        cancellation.cancel();
    });
}

#[test]
fn a_locked_database_does_not_hold_a_deadline() {
    let host = Host::on_file();
    host.set_policy("w", json!({"permissions": [{"type": "db", "access": "readwrite", "scope": ["notes"]}]}));
    host.load(&Guest::named("w"));
    let other = rusqlite::Connection::open(host.database_path()).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let start = std::time::Instant::now();
    let insert = json!({"query": "INSERT INTO notes (body) VALUES ('x')"}).to_string();
    assert_eq!(host.code("w", "db_exec", &insert, &timeout(200)), ErrorCode::PluginDeadline);
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(host.text("w", "db_exec", &insert), r#"{"affected":1}"#);
}

// Re-entrance and circles

#[test]
fn coming_back_to_a_single_instance_is_an_error_that_names_the_chain() {
    let host = Host::new();
    single(&host, "a");
    single(&host, "b");
    for (path, chain) in
        [(&["a", "b", "a"][..], "a -> b -> a"), (&["a", "a"], "a -> a"), (&["b", "a", "a"], "b -> a -> a")]
    {
        let error = call_path(&host, path, "echo", &CallOptions::default()).unwrap_err();
        assert_eq!(error["code"], "lifecycle.reentrant");
        assert!(error["message"].as_str().unwrap().contains(chain), "{error}");
    }
    // The instances were not harmed.
    assert_eq!(host.text("a", "tick", ""), "1");
}

#[test]
fn coming_back_to_a_pool_works_even_when_it_is_full() {
    let host = Host::new();
    pooled(&host, "a", 2);
    single(&host, "b");
    assert_eq!(call_path(&host, &["a", "b", "a"], "echo", &CallOptions::default()), Ok(json!({"x": 1})));
    let gate = Gate::new();
    Gates::install(&host, [("stop", &gate)]);
    std::thread::scope(|scope| {
        let _open = OpenOnDrop(&[&gate]);
        scope.spawn(|| host.call("a", "translate", r#"{"key":"stop"}"#).unwrap());
        gate.await_entered(1);
        // One instance is at the gate, the other one comes back twice.
        assert_eq!(call_path(&host, &["a", "b", "a"], "echo", &CallOptions::default()), Ok(json!({"x": 1})));
        assert_eq!(call_path(&host, &["a", "a", "a", "a"], "echo", &CallOptions::default()), Ok(json!({"x": 1})));
        assert_eq!(host.stats("a")["runtime"]["instances"], 2, "extra instances do not stay");
    });
}

#[test]
fn memory_is_accounted_over_extra_instances() {
    let host = Host::new();
    pooled(&host, "a", 2);
    let bytes_of_one = host.stats("a")["runtime"]["memory_bytes"].as_u64().unwrap();
    assert_eq!(bytes_of_one, 4 * 65_536);
    for _ in 0..20 {
        call_path(&host, &["a", "a", "a", "a"], "echo", &CallOptions::default()).unwrap();
    }
    let runtime = &host.stats("a")["runtime"];
    assert_eq!((&runtime["instances"], &runtime["memory_bytes"]), (&json!(2), &json!(2 * bytes_of_one)));
    assert_eq!(host.code("a", "trap", "", &CallOptions::default()), ErrorCode::PluginTrap);
    let runtime = &host.stats("a")["runtime"];
    assert_eq!((&runtime["instances"], &runtime["memory_bytes"]), (&json!(1), &json!(bytes_of_one)));
}

#[test]
fn calls_that_wait_for_each_other_fail_at_once() {
    for plugins in [&["a", "b"][..], &["a", "b", "c"]] {
        let host = Host::new();
        for name in plugins {
            single(&host, name);
        }
        // Everybody holds their own plugin before anybody goes on to the next one.
        let barrier = Barrier::new(plugins.len());
        let barrier = Arc::new(barrier);
        let at_barrier = Arc::clone(&barrier);
        let answer = Answer(move |_: &HostCall<'_>| {
            at_barrier.wait();
            Ok(br#"{"value":"met"}"#.as_slice().into())
        });
        host.manager.provide("translate", Some(Box::new(answer))).unwrap();
        let outcomes: Vec<Result<Value, Value>> = std::thread::scope(|scope| {
            let calls: Vec<_> = (0..plugins.len())
                .map(|index| {
                    let (host, next) = (&host, plugins[(index + 1) % plugins.len()]);
                    let arguments = json!({"key": "meet", "plugin": next, "function": "echo", "args": [1]});
                    scope.spawn(move || {
                        let answer =
                            host.call(plugins[index], "then:plugin_call", arguments.to_string()).unwrap().unwrap();
                        split_error(serde_json::from_slice(&answer).unwrap())
                    })
                })
                .collect();
            calls.into_iter().map(|call| call.join().unwrap()).collect()
        });
        let failed: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
        assert_eq!(failed.len(), 1, "{outcomes:?}");
        assert_eq!(failed[0]["code"], "lifecycle.deadlock");
        assert!(outcomes.iter().flatten().all(|answer| *answer == json!([1])));
        for name in plugins {
            assert_eq!(host.stats(name)["runtime"]["instances_discarded"], 0);
        }
    }
}

#[test]
fn a_circle_that_a_shrinking_pool_closes_is_found() {
    let host = Host::new();
    pooled(&host, "a", 2);
    single(&host, "b");
    let (first, second, third) = (Gate::new(), Gate::new(), Gate::new());
    Gates::install(&host, [("first", &first), ("second", &second), ("third", &third)]);
    let onwards = |from: &str, gate: &str, to: &str| {
        let arguments = json!({"key": gate, "plugin": to, "function": "echo", "args": [1]});
        split_error(
            serde_json::from_slice(&host.call(from, "then:plugin_call", arguments.to_string()).unwrap().unwrap())
                .unwrap(),
        )
    };
    std::thread::scope(|scope| {
        let _open = OpenOnDrop(&[&first, &second, &third]);
        let a_to_b = scope.spawn(|| onwards("a", "first", "b"));
        let b_to_a = scope.spawn(|| onwards("b", "second", "a"));
        let bystander = scope.spawn(|| host.call("a", "translate", r#"{"key":"third"}"#).unwrap());
        for gate in [&first, &second, &third] {
            gate.await_entered(1);
        }
        first.open();
        second.open();
        // Both wait now; the one for `a` could go on when the bystander ends. Then its instance goes away instead.
        host.await_in_flight("b", 2);
        host.await_in_flight("a", 3);
        host.set_policy("a", json!({"instances": 1, "permissions": [{"type": "plugin_call", "scope": ["*"]}]}));
        third.open();
        bystander.join().unwrap();
        assert_eq!(b_to_a.join().unwrap().unwrap_err()["code"], "lifecycle.deadlock");
        assert_eq!(a_to_b.join().unwrap(), Ok(json!([1])));
    });
    assert_eq!(host.stats("a")["runtime"]["instances"], 1);
}

#[test]
fn ten_nested_calls_pass_and_the_eleventh_fails() {
    let host = Host::new();
    let names: Vec<String> = (0..12).map(|index| format!("p{index}")).collect();
    for name in &names {
        single(&host, name);
    }
    let path: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(call_path(&host, &path[..11], "echo", &CallOptions::default()), Ok(json!({"x": 1})));
    let error = call_path(&host, &path, "echo", &CallOptions::default()).unwrap_err();
    assert_eq!(error["code"], "policy.call_depth");
    assert_eq!(
        error["message"],
        "plugin call depth exceeded (max 10): p0 -> p1 -> p2 -> p3 -> p4 -> p5 -> p6 -> p7 -> p8 -> p9"
    );
    // The same with one plugin that calls itself.
    pooled(&host, "pool", 2);
    assert_eq!(call_path(&host, &["pool"; 11], "echo", &CallOptions::default()), Ok(json!({"x": 1})));
    assert_eq!(
        call_path(&host, &["pool"; 12], "echo", &CallOptions::default()).unwrap_err()["code"],
        "policy.call_depth"
    );
}

#[test]
fn a_provider_that_calls_back_is_nested() {
    let host = Arc::new(Host::new());
    single(&host, "a");
    single(&host, "b");
    let inner = Arc::clone(&host);
    let answer = Answer(move |call: &HostCall<'_>| {
        let target = if call.plugin.as_ref() == "a" { "b" } else { "a" };
        let mut bytes = Vec::new();
        inner.manager.call(target, "translate", br#"{"key":"k"}"#, &timeout(2_000), &mut |answer| {
            bytes = answer.to_vec();
            Ok(())
        })?;
        Ok(bytes.into())
    });
    host.manager.provide("translate", Some(Box::new(answer))).unwrap();
    // a → provider → b → provider → a: a waits for itself.
    let answer = host.text("a", "translate", r#"{"key":"k"}"#);
    host.manager.provide("translate", None).unwrap();
    assert!(answer.contains("lifecycle.reentrant"), "{answer}");
}

#[test]
fn a_provider_may_manage_plugins() {
    let host = Arc::new(Host::new());
    single(&host, "a");
    let inner = Arc::clone(&host);
    let codes = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&codes);
    let answer = Answer(move |_: &HostCall<'_>| {
        let manager = &inner.manager;
        let results = [
            manager.unload("a", PATIENCE),
            manager.disable("a", PATIENCE),
            manager.shut_down(PATIENCE).map(drop),
            manager.set_policy("a", b"", None).map(drop),
            inner.load_wat(&Guest::named("b").wat()).map(drop),
            inner.call("b", "echo", "x").map(drop),
            manager.unload("b", PATIENCE),
            manager.disable("a", Duration::ZERO),
            manager.unload("a", Duration::ZERO),
        ];
        seen.lock().unwrap().extend(results.map(|result| result.map_err(|error| error.code())));
        Ok(br#"{"value":"done"}"#.as_slice().into())
    });
    host.manager.provide("translate", Some(Box::new(answer))).unwrap();
    assert_eq!(host.text("a", "translate", r#"{"key":"k"}"#), r#"{"value":"done"}"#);
    host.manager.provide("translate", None).unwrap();
    let (inside, busy) = (Err(ErrorCode::LifecycleInCallback), Err(ErrorCode::LifecycleBusy));
    assert_eq!(*codes.lock().unwrap(), [inside, inside, inside, Ok(()), Ok(()), Ok(()), Ok(()), busy, busy]);
    assert_eq!(code_of(host.call("a", "echo", "x")), ErrorCode::LifecyclePluginNotFound);
}

#[test]
fn a_provider_that_panics_takes_nothing_along() {
    let host = Host::new();
    single(&host, "a");
    host.manager.provide("translate", Some(Box::new(Answer(|_: &HostCall<'_>| panic!("on purpose"))))).unwrap();
    let call = || host.call("a", "translate", r#"{"key":"k"}"#).map(drop);
    // A Rust host gets its own panic back, or an error; either way the plugin goes on.
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call));
    std::thread::scope(|scope| {
        let small = std::thread::Builder::new().stack_size(256 * 1024).spawn_scoped(scope, call).unwrap().join();
        assert!(small.is_err() || small.unwrap().is_err());
    });
    assert_eq!(host.stats("a")["in_flight"], 0);
    assert_eq!(host.text("a", "tick", ""), "1");
    // A started call still tells its outcome, and those behind it are made.
    let (to, from) = mpsc::channel();
    start(&host, "a", "translate", r#"{"key":"k"}"#, CallOptions::default(), 1, &to);
    start(&host, "a", "tick", "", CallOptions::default(), 2, &to);
    let mut outcomes = [receive(&from), receive(&from)];
    outcomes.sort_by_key(|(number, _)| *number);
    assert_eq!(outcomes[0].0, 1);
    assert!(outcomes[0].1.is_err());
    assert!(outcomes[1].1.is_ok());
}

#[test]
fn of_several_loads_of_one_name_one_succeeds() {
    let host = Host::new();
    let code = Guest::named("a").wasm();
    for _ in 0..10 {
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let loads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| host.load_bytes(&code).map_err(|error| error.code()))).collect();
            loads.into_iter().map(|load| load.join().unwrap()).collect()
        });
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
        assert!(
            outcomes
                .iter()
                .flat_map(|outcome| outcome.as_ref().err())
                .all(|code| *code == ErrorCode::LifecycleAlreadyLoaded)
        );
        assert_eq!(host.text("a", "tick", ""), "1");
        host.manager.unload("a", PATIENCE).unwrap();
    }
}

#[test]
fn calls_in_all_directions_all_end() {
    let host = Host::new();
    let instances = [("a", 1), ("b", 1), ("c", 2), ("d", 3)];
    for (name, count) in instances {
        pooled(&host, name, count);
    }
    let tally = [const { AtomicU64::new(0) }; 3];
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (host, tally) = (&host, &tally);
            scope.spawn(move || {
                let mut dice = Dice::new(0x1234_5678 + thread);
                for _ in 0..400 {
                    let path: Vec<&str> = (0..=dice.roll(4)).map(|_| instances[dice.roll(4)].0).collect();
                    // Far from any deadline: a call that meets one was lost.
                    let kind = match call_path(host, &path, "echo", &timeout(50_000)) {
                        Ok(answer) => {
                            assert_eq!(answer, json!({"x": 1}));
                            0
                        }
                        Err(error) if error["code"] == "lifecycle.reentrant" => 1,
                        Err(error) if error["code"] == "lifecycle.deadlock" => 2,
                        Err(error) => panic!("{path:?}: {error}"),
                    };
                    tally[kind].fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    assert!(tally[0].load(Ordering::SeqCst) > 1_000 && tally[1].load(Ordering::SeqCst) > 10, "{tally:?}");
    for (name, _) in instances {
        let stats = host.stats(name);
        assert_eq!((&stats["in_flight"], &stats["runtime"]["instances_discarded"]), (&json!(0), &json!(0)));
        assert_eq!(host.text(name, "echo", "x"), "x");
    }
}

#[test]
fn outcomes_come_even_when_the_manager_is_let_go() {
    let host = Host::new();
    let gate = Gate::new();
    Gates::install(&host, [("stop", &gate)]);
    let _open = OpenOnDrop(&[&gate]);
    single(&host, "a");
    let (to, from) = mpsc::channel();
    start(&host, "a", "translate", r#"{"key":"stop"}"#, CallOptions::default(), 1, &to);
    gate.await_entered(1);
    for number in 2..=4 {
        start(&host, "a", "tick", "", CallOptions::default(), number, &to);
    }
    drop(host);
    gate.open();
    let mut outcomes: Vec<_> = (0..4).map(|_| receive(&from)).collect();
    outcomes.sort_by_key(|(number, _)| *number);
    assert_eq!(outcomes[0], (1, Ok(Some(r#"{"value":"stop"}"#.into()))));
    assert!(
        outcomes[1..].iter().all(|(_, outcome)| *outcome == Err(ErrorCode::LifecyclePluginNotFound)),
        "{outcomes:?}"
    );
}

// Pools

#[test]
fn a_pool_that_shrinks_lets_idle_instances_go() {
    let host = Host::new();
    let gate = Gate::new();
    Gates::install(&host, [("stop", &gate)]);
    pooled(&host, "a", 4);
    std::thread::scope(|scope| {
        let _open = OpenOnDrop(&[&gate]);
        for _ in 0..4 {
            scope.spawn(|| host.call("a", "translate", r#"{"key":"stop"}"#).unwrap());
        }
        gate.await_entered(4);
    });
    assert_eq!(host.stats("a")["runtime"]["instances"], 4);
    host.set_policy("a", json!({"instances": 1}));
    assert_eq!(host.text("a", "echo", "x"), "x");
    let runtime = &host.stats("a")["runtime"];
    assert_eq!((&runtime["instances"], &runtime["memory_bytes"]), (&json!(1), &json!(4 * 65_536)));
}

#[test]
fn a_pool_serves_so_many_calls_at_once_and_no_more() {
    let host = Host::new();
    let gate = Gate::new();
    Gates::install(&host, [("stop", &gate)]);
    pooled(&host, "a", 4);
    std::thread::scope(|scope| {
        let _open = OpenOnDrop(&[&gate]);
        let calls: Vec<_> =
            (0..4).map(|_| scope.spawn(|| host.call("a", "translate", r#"{"key":"stop"}"#).map(drop))).collect();
        gate.await_entered(4);
        assert_eq!(host.stats("a")["runtime"]["instances"], 4);
        assert_eq!(host.code("a", "echo", "x", &timeout(100)), ErrorCode::PluginDeadline);
        assert_eq!(host.stats("a")["runtime"]["instances"], 4);
        gate.open();
        for call in calls {
            call.join().unwrap().unwrap();
        }
    });
    assert_eq!(host.text("a", "echo", "x"), "x");
}

#[test]
fn instances_are_what_is_asked_for_and_granted() {
    let host = Host::new();
    for (name, asked, granted, instances) in [
        ("a", json!(8), json!(2), 2_usize),
        ("b", json!(2), json!(8), 2),
        ("c", json!("auto"), json!(3), 3),
        ("d", json!(null), json!(8), 1),
    ] {
        host.set_policy(name, json!({ "instances": granted }));
        host.load(&Guest::registered(&json!({"name": name, "resources": {"instances": asked}})));
        let gate = Gate::new();
        Gates::install(&host, [("stop", &gate)]);
        std::thread::scope(|scope| {
            let _open = OpenOnDrop(&[&gate]);
            for _ in 0..instances {
                scope.spawn(|| host.call(name, "translate", r#"{"key":"stop"}"#).unwrap());
            }
            gate.await_entered(instances);
            assert_eq!(host.code(name, "echo", "x", &timeout(50)), ErrorCode::PluginDeadline, "{name}");
        });
    }
}

/// True when the kernel has put the thread, a path below `/proc`, to sleep.
fn is_asleep(thread: &Path) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(thread).join("stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('S'))
}

#[test]
fn waiting_calls_are_served_in_the_order_they_came() {
    let host = Host::new();
    let gate = Gate::new();
    single(&host, "a");
    let order = Arc::new(Mutex::new(Vec::new()));
    let (seen, at_gate) = (Arc::clone(&order), Arc::clone(&gate));
    let gates = Gates([("stop", at_gate)].into());
    let answer = Answer(move |call: &HostCall<'_>| {
        let key = call.request.to_json()["key"].as_str().unwrap().to_owned();
        seen.lock().unwrap().push(key);
        goatflow_plugin::host::Provider::serve(&gates, call)
    });
    host.manager.provide("translate", Some(Box::new(answer))).unwrap();
    std::thread::scope(|scope| {
        let _open = OpenOnDrop(&[&gate]);
        scope.spawn(|| host.call("a", "translate", r#"{"key":"stop"}"#).unwrap());
        gate.await_entered(1);
        for number in 1..=5 {
            let (sender, receiver) = mpsc::channel();
            let host = &host;
            scope.spawn(move || {
                sender.send(std::fs::read_link("/proc/thread-self").unwrap()).unwrap();
                host.call("a", "translate", json!({"key": number.to_string()}).to_string()).unwrap()
            });
            let thread = receiver.recv().unwrap();
            host.await_in_flight("a", number + 1);
            until("the call to wait", || is_asleep(&thread));
        }
        gate.open();
    });
    assert_eq!(*order.lock().unwrap(), ["stop", "1", "2", "3", "4", "5"]);
}

#[test]
fn a_waiter_is_not_lost_when_the_pool_shrinks() {
    for _ in 0..5 {
        let host = Host::new();
        let (first, second) = (Gate::new(), Gate::new());
        Gates::install(&host, [("first", &first), ("second", &second)]);
        pooled(&host, "a", 2);
        std::thread::scope(|scope| {
            let _open = OpenOnDrop(&[&first, &second]);
            scope.spawn(|| host.call("a", "translate", r#"{"key":"first"}"#).unwrap());
            scope.spawn(|| host.call("a", "translate", r#"{"key":"second"}"#).unwrap());
            first.await_entered(1);
            second.await_entered(1);
            let (sender, receiver) = mpsc::channel();
            let host = &host;
            let third = scope.spawn(move || {
                sender.send(std::fs::read_link("/proc/thread-self").unwrap()).unwrap();
                host.call_with("a", "echo", "x", &timeout(10_000)).map_err(|error| error.code())
            });
            let thread = receiver.recv().unwrap();
            host.await_in_flight("a", 3);
            until("the call to wait", || is_asleep(&thread));
            host.set_policy("a", json!({"instances": 1}));
            first.open();
            host.await_in_flight("a", 2);
            second.open();
            assert_eq!(third.join().unwrap(), Ok(Some(b"x".to_vec())));
        });
        assert_eq!(host.stats("a")["runtime"]["instances"], 1);
    }
}

#[test]
fn waiters_are_served_when_the_pool_grows() {
    let host = Host::new();
    let gate = Gate::new();
    Gates::install(&host, [("stop", &gate)]);
    host.load(&Guest::registered(&json!({"name": "a", "resources": {"instances": 4}})));
    std::thread::scope(|scope| {
        let _open = OpenOnDrop(&[&gate]);
        scope.spawn(|| host.call("a", "translate", r#"{"key":"stop"}"#).unwrap());
        gate.await_entered(1);
        let second = scope.spawn(|| host.call_with("a", "echo", "x", &timeout(10_000)).map_err(|error| error.code()));
        host.await_in_flight("a", 2);
        host.set_policy("a", json!({"instances": 2}));
        assert_eq!(second.join().unwrap(), Ok(Some(b"x".to_vec())));
    });
}

#[test]
fn calls_in_flight_are_limited() {
    let host = Host::new();
    let gate = Gate::new();
    Gates::install(&host, [("stop", &gate)]);
    host.set_policy("a", json!({"max_concurrent_calls": 2}));
    host.load(&Guest::named("a"));
    std::thread::scope(|scope| {
        let _open = OpenOnDrop(&[&gate]);
        scope.spawn(|| host.call("a", "translate", r#"{"key":"stop"}"#).unwrap());
        gate.await_entered(1);
        let waiting = scope.spawn(|| host.call("a", "echo", "x").map(drop));
        host.await_in_flight("a", 2);
        assert_eq!(host.code("a", "echo", "x", &timeout(2_000)), ErrorCode::LifecycleOverloaded);
        gate.open();
        waiting.join().unwrap().unwrap();
    });
}

// Changes of service under load

/// Calls `plugin` from four threads while `change` runs; every failure is one of `allowed`.
fn under_load(host: &Host, plugin: &str, allowed: &[ErrorCode], change: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    let succeeded = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    match host.call(plugin, "echo", "x") {
                        Ok(answer) => {
                            assert_eq!(answer.as_deref(), Some(&b"x"[..]));
                            succeeded.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(error) => assert!(allowed.contains(&error.code()), "{error} {:?}", error.code()),
                    }
                }
            });
        }
        until("the first calls", || succeeded.load(Ordering::SeqCst) > 10);
        change();
        stop.store(true, Ordering::SeqCst);
    });
}

#[test]
fn plugins_come_and_go_under_load() {
    let host = Host::new();
    let guest = Guest::named("a");
    host.load(&guest);
    under_load(&host, "a", &[ErrorCode::LifecyclePluginNotFound], || {
        for _ in 0..30 {
            host.manager.unload("a", PATIENCE).unwrap();
            assert_eq!(host.manager.list(), json!([]));
            host.load(&guest);
        }
    });
    assert_eq!(host.text("a", "echo", "x"), "x");
    let stats = host.stats("a");
    assert_eq!((&stats["in_flight"], &stats["failed"]), (&json!(0), &stats["failed"]));
}

#[test]
fn a_disabled_plugin_takes_no_calls_until_it_is_enabled() {
    let host = Host::new();
    host.load(&Guest::named("a"));
    under_load(&host, "a", &[ErrorCode::LifecycleDisabled], || {
        for _ in 0..50 {
            host.manager.disable("a", PATIENCE).unwrap();
            let before = host.stats("a")["served"].clone();
            assert_eq!(host.code("a", "echo", "x", &CallOptions::default()), ErrorCode::LifecycleDisabled);
            assert_eq!(host.stats("a")["served"], before, "nothing is served any more");
            host.manager.enable("a").unwrap();
            assert_eq!(host.text("a", "echo", "x"), "x");
        }
    });
    // The state survives a reload.
    host.manager.disable("a", PATIENCE).unwrap();
    host.manager.unload("a", PATIENCE).unwrap();
    host.load(&Guest::named("a"));
    assert_eq!(host.manager.list()[0]["enabled"], false);
    assert_eq!(host.code("a", "echo", "x", &CallOptions::default()), ErrorCode::LifecycleDisabled);
}

#[test]
fn a_call_under_way_is_waited_for_and_reported_when_it_takes_too_long() {
    let host = Host::new();
    let gate = Gate::new();
    Gates::install(&host, [("stop", &gate)]);
    single(&host, "a");
    std::thread::scope(|scope| {
        let _open = OpenOnDrop(&[&gate]);
        let call = scope.spawn(|| host.call("a", "translate", r#"{"key":"stop"}"#).unwrap().unwrap());
        gate.await_entered(1);
        let waiting = scope.spawn(|| code_of(host.call("a", "echo", "x")));
        host.await_in_flight("a", 2);
        let error = host.manager.disable("a", Duration::from_millis(20)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::LifecycleBusy);
        let error = host.manager.unload("a", Duration::from_millis(20)).unwrap_err();
        assert_eq!((error.code(), &error.detail()["calls_running"]), (ErrorCode::LifecycleBusy, &json!(2)));
        // Gone all the same: the waiting call ends at once, the name is free, the call under way ends well.
        assert_eq!(waiting.join().unwrap(), ErrorCode::LifecyclePluginNotFound);
        assert_eq!(code_of(host.call("a", "echo", "x")), ErrorCode::LifecyclePluginNotFound);
        host.manager.set_policy("a", b"", None).unwrap();
        single(&host, "a");
        host.manager.enable("a").unwrap();
        assert_eq!(host.text("a", "tick", ""), "1");
        gate.open();
        assert_eq!(call.join().unwrap(), br#"{"value":"stop"}"#);
    });
}

#[test]
fn a_function_handle_survives_a_reload() {
    let host = Host::new();
    host.load(&Guest::named("a"));
    let function = host.manager.function("a", "tick").unwrap();
    let call = || {
        let mut answer = Vec::new();
        function.call(b"", &CallOptions::default(), &mut |bytes| {
            answer = bytes.to_vec();
            Ok(())
        })?;
        Ok::<_, goatflow_plugin::error::Error>(String::from_utf8(answer).unwrap())
    };
    assert_eq!((call().unwrap(), call().unwrap()), ("1".into(), "2".into()));
    host.manager.unload("a", PATIENCE).unwrap();
    assert_eq!(code_of(call()), ErrorCode::LifecyclePluginNotFound);
    host.load(&Guest::named("a"));
    assert_eq!(call().unwrap(), "1");
    assert_eq!(code_of(host.manager.function("zzz", "tick")), ErrorCode::LifecyclePluginNotFound);
}

#[test]
fn a_shutdown_under_load_lets_calls_end_and_refuses_new_ones() {
    let host = Host::new();
    for name in ["a", "b", "c"] {
        single(&host, name);
    }
    under_load(&host, "a", &[ErrorCode::LifecycleShutDown, ErrorCode::LifecyclePluginNotFound], || {
        let report = host.manager.shut_down(PATIENCE).unwrap();
        assert_eq!(report["drained"], true);
        let names: Vec<_> =
            report["plugins"].as_array().unwrap().iter().map(|plugin| plugin["plugin"].clone()).collect();
        assert_eq!(names, ["a", "b", "c"]);
    });
    assert!(host.manager.is_shut_down());
    assert_eq!(code_of(host.call("a", "echo", "x")), ErrorCode::LifecycleShutDown);
    assert_eq!(code_of(host.load_wat(&Guest::named("d").wat())), ErrorCode::LifecycleShutDown);
    assert_eq!(code_of(host.manager.shut_down(PATIENCE)), ErrorCode::LifecycleShutDown);
    assert_eq!(code_of(host.manager.set_policy("a", b"", None)), ErrorCode::LifecycleShutDown);
    assert_eq!(code_of(host.manager.function("a", "x")), ErrorCode::LifecycleShutDown);
}

#[test]
fn a_shutdown_reports_calls_that_did_not_end() {
    let host = Host::new();
    let gate = Gate::new();
    Gates::install(&host, [("stop", &gate)]);
    single(&host, "a");
    single(&host, "b");
    std::thread::scope(|scope| {
        let _open = OpenOnDrop(&[&gate]);
        let call = scope.spawn(|| host.call("a", "translate", r#"{"key":"stop"}"#).unwrap());
        gate.await_entered(1);
        let report = host.manager.shut_down(Duration::from_millis(20)).unwrap();
        assert_eq!(
            report,
            json!({"drained": false, "plugins": [
                {"plugin": "a", "outcome": "still_busy", "drained": false, "calls_running": 1, "error": null},
                {"plugin": "b", "outcome": "stopped", "drained": true, "calls_running": 0, "error": null},
            ]})
        );
        gate.open();
        assert!(call.join().unwrap().is_some());
    });
}

// Asynchronous calls

/// Starts a call; its outcome comes to the channel with its number.
fn start(
    host: &Host,
    plugin: &str,
    function: &str,
    arguments: &str,
    options: CallOptions,
    number: u32,
    to: &mpsc::Sender<(u32, Outcome)>,
) -> Arc<goatflow_plugin::manager::Operation> {
    let to = to.clone();
    let done = Box::new(move |outcome| drop(to.send((number, outcome))));
    host.manager.start_call(plugin, function, arguments.as_bytes(), options, done).unwrap()
}

fn receive(from: &mpsc::Receiver<(u32, Outcome)>) -> (u32, Result<Option<String>, ErrorCode>) {
    let (number, outcome) = from.recv_timeout(PATIENCE).unwrap();
    let text = outcome.map(|bytes| bytes.map(|bytes| String::from_utf8(bytes).unwrap()));
    (number, text.map_err(|error| error.code()))
}

#[test]
fn started_calls_are_made_in_their_order() {
    let host = Host::new();
    single(&host, "a");
    let (to, from) = mpsc::channel();
    for number in 0..200 {
        start(&host, "a", "tick", "", CallOptions::default(), number, &to);
    }
    let mut answers: Vec<_> = (0..200).map(|_| receive(&from)).collect();
    answers.sort_by_key(|(number, _)| *number);
    for (number, answer) in answers {
        assert_eq!(answer, Ok(Some((number + 1).to_string())));
    }
    start(&host, "a", "noop", "", CallOptions::default(), 7, &to);
    assert_eq!(receive(&from), (7, Ok(None)));
    start(&host, "a", "trap", "", CallOptions::default(), 8, &to);
    assert_eq!(receive(&from), (8, Err(ErrorCode::PluginTrap)));
    let absent = host.manager.start_call("zzz", "x", b"", CallOptions::default(), Box::new(|_| panic!("never called")));
    assert_eq!(absent.map(drop).unwrap_err().code(), ErrorCode::LifecyclePluginNotFound);
}

#[test]
fn queued_calls_end_when_they_are_cancelled_or_their_time_is_up() {
    let host = Host::new();
    let gate = Gate::new();
    Gates::install(&host, [("stop", &gate)]);
    let _open = OpenOnDrop(&[&gate]);
    single(&host, "a");
    let (to, from) = mpsc::channel();
    let first = start(&host, "a", "translate", r#"{"key":"stop"}"#, CallOptions::default(), 1, &to);
    gate.await_entered(1);
    let second = start(&host, "a", "tick", "", CallOptions::default(), 2, &to);
    start(&host, "a", "tick", "", timeout(50), 3, &to);
    start(&host, "a", "tick", "", CallOptions::default(), 4, &to);
    assert_eq!(receive(&from), (3, Err(ErrorCode::PluginDeadline)));
    second.cancel();
    assert_eq!(receive(&from), (2, Err(ErrorCode::PluginCancelled)));
    second.cancel();
    gate.open();
    // The lane is passed on before the host is told: these two may come in either order.
    let mut rest = [receive(&from), receive(&from)];
    rest.sort_by_key(|(number, _)| *number);
    let expected = [(1, Ok(Some(r#"{"value":"stop"}"#.into()))), (4, Ok(Some("1".into())))];
    assert_eq!(rest, expected, "the ended ones were never made");
    first.cancel();
    assert!(from.try_recv().is_err(), "each outcome comes once");
}

#[test]
fn a_running_call_that_was_started_can_be_cancelled() {
    let host = Host::new();
    single(&host, "a");
    let (to, from) = mpsc::channel();
    let operation = start(&host, "a", "spin", "", CallOptions::default(), 1, &to);
    host.await_in_flight("a", 1);
    operation.cancel();
    assert_eq!(receive(&from), (1, Err(ErrorCode::PluginCancelled)));
    // Through the switch of the options as well.
    let cancellation = Cancellation::new();
    start(&host, "a", "spin", "", cancellable(&cancellation), 2, &to);
    host.await_in_flight("a", 1);
    cancellation.cancel();
    assert_eq!(receive(&from), (2, Err(ErrorCode::PluginCancelled)));
}

#[test]
fn more_than_ten_thousand_waiting_calls_are_refused() {
    let host = Host::new();
    let gate = Gate::new();
    Gates::install(&host, [("stop", &gate)]);
    let _open = OpenOnDrop(&[&gate]);
    single(&host, "a");
    single(&host, "b");
    let (to, from) = mpsc::channel();
    start(&host, "a", "translate", r#"{"key":"stop"}"#, CallOptions::default(), 0, &to);
    gate.await_entered(1);
    for _ in 0..10_000 {
        start(&host, "a", "noop", "", CallOptions::default(), 1, &to);
    }
    let refused =
        host.manager.start_call("a", "noop", b"", CallOptions::default(), Box::new(|_| panic!("never called")));
    assert_eq!(refused.map(drop).unwrap_err().code(), ErrorCode::LifecycleOverloaded);
    start(&host, "b", "echo", "x", CallOptions::default(), 2, &to);
    assert_eq!(receive(&from), (2, Ok(Some("x".into()))), "another plugin is not affected");
    gate.open();
    for _ in 0..10_001 {
        assert!(receive(&from).1.is_ok());
    }
}

#[test]
fn cancelled_operations_do_not_fill_the_queue() {
    let host = Host::new();
    let gate = Gate::new();
    Gates::install(&host, [("stop", &gate)]);
    let _open = OpenOnDrop(&[&gate]);
    single(&host, "a");
    let (to, from) = mpsc::channel();
    start(&host, "a", "translate", r#"{"key":"stop"}"#, CallOptions::default(), 0, &to);
    gate.await_entered(1);
    for _ in 0..10_000 {
        start(&host, "a", "noop", "", CallOptions::default(), 1, &to).cancel();
        assert_eq!(receive(&from), (1, Err(ErrorCode::PluginCancelled)));
    }
    start(&host, "a", "echo", "x", CallOptions::default(), 2, &to);
    gate.open();
    let mut rest = [receive(&from), receive(&from)];
    rest.sort_by_key(|(number, _)| *number);
    assert_eq!((rest[0].0, &rest[1]), (0, &(2, Ok(Some("x".into())))));
}

#[test]
fn a_completion_may_start_and_make_further_calls() {
    let host = Arc::new(Host::new());
    single(&host, "a");
    let (to, from) = mpsc::channel();
    let inner = Arc::clone(&host);
    let done = Box::new(move |outcome: Outcome| {
        assert_eq!(outcome.unwrap().unwrap(), b"1");
        // Into the same plugin, with its only instance.
        assert_eq!(inner.text("a", "tick", ""), "2");
        start(&inner, "a", "tick", "", CallOptions::default(), 3, &to);
    });
    host.manager.start_call("a", "tick", b"", CallOptions::default(), done).unwrap();
    assert_eq!(receive(&from), (3, Ok(Some("3".into()))));
    // A completion that panics takes nothing along.
    host.manager.start_call("a", "noop", b"", CallOptions::default(), Box::new(|_| panic!("on purpose"))).unwrap();
    let (to, from) = mpsc::channel();
    start(&host, "a", "tick", "", CallOptions::default(), 4, &to);
    assert_eq!(receive(&from), (4, Ok(Some("4".into()))));
}

#[test]
fn a_completion_may_wait_for_another_started_call() {
    let host = Arc::new(Host::new());
    single(&host, "a");
    let (to, from) = mpsc::channel();
    let inner = Arc::clone(&host);
    let done = Box::new(move |_| {
        let (to_here, here) = mpsc::channel();
        start(&inner, "a", "tick", "", timeout(10_000), 2, &to_here);
        to.send(receive(&here)).unwrap();
    });
    host.manager.start_call("a", "tick", b"", CallOptions::default(), done).unwrap();
    assert_eq!(from.recv_timeout(PATIENCE).unwrap(), (2, Ok(Some("2".into()))));
}

#[test]
fn slow_started_calls_of_one_plugin_leave_workers_for_others() {
    let host = Host::new();
    let gate = Gate::new();
    Gates::install(&host, [("stop", &gate)]);
    let _open = OpenOnDrop(&[&gate]);
    single(&host, "a");
    single(&host, "b");
    let (to, from) = mpsc::channel();
    for _ in 0..2_000 {
        start(&host, "a", "translate", r#"{"key":"stop"}"#, CallOptions::default(), 1, &to);
    }
    gate.await_entered(1);
    for _ in 0..100 {
        start(&host, "b", "echo", "x", CallOptions::default(), 2, &to);
    }
    for _ in 0..100 {
        assert_eq!(receive(&from), (2, Ok(Some("x".into()))));
    }
    assert_eq!(gate.entered(), 1);
}
