//! A host of native plugins over hours: calls from many threads while processes are killed at random.
//!
//! `GOATFLOW_SOAK_SECONDS=1800 cargo test --release --test all -- --ignored --exact native_soak::soak --nocapture`

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use goatflow_plugin::error::ErrorCode;
use serde_json::json;

use super::native_support::{Held, NativeHost, kill, resident_kilobytes};
use super::support::{timeout, until};

const CALLERS: u64 = 8;
const CALL_MS: u64 = 2_000;

/// Numbers that differ from run to run are not wanted here: a failure is to be had again.
fn random(state: &mut u64, below: u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state % below
}

#[derive(Default)]
struct Counts {
    served: AtomicU64,
    refused: AtomicU64,
    slowest_us: AtomicU64,
}

fn calls(host: &NativeHost, counts: &Counts, done: &AtomicBool, seed: u64) {
    let mut state = seed;
    while !done.load(Ordering::SeqCst) {
        let ms = random(&mut state, 200);
        let began = Instant::now();
        match host.call_with("sleep", &json!({"MS": ms}), &timeout(CALL_MS)) {
            Ok(answer) => {
                assert_eq!(answer, json!(ms));
                counts.served.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                counts.refused.fetch_add(1, Ordering::Relaxed);
                let expected = [
                    ErrorCode::PluginExited,
                    ErrorCode::PluginRestarting,
                    ErrorCode::PluginCrashLoop,
                    ErrorCode::PluginDeadline,
                ];
                assert!(expected.contains(&error.code()), "{:?} {error}", error.code());
                std::thread::yield_now();
            }
        }
        let took = began.elapsed();
        counts.slowest_us.fetch_max(u64::try_from(took.as_micros()).unwrap(), Ordering::Relaxed);
        assert!(took < Duration::from_millis(CALL_MS + 1_000), "a call took {took:?}");
    }
}

#[test]
#[ignore = "takes as long as it is told to"]
fn soak() {
    let seconds = std::env::var("GOATFLOW_SOAK_SECONDS").map_or(60, |text| text.parse().unwrap());
    let host = NativeHost::new();
    host.load_life(json!({}));
    let alone = Held::now();
    let (counts, done) = (Counts::default(), AtomicBool::new(false));
    let (mut kills, mut state) = (0_u64, 88_172_645_463_325_252);
    // Threads and memory that stay for good are there after some seconds.
    let mut start = None;
    let began = Instant::now();
    let report = |when: &str| {
        let held = Held::now();
        println!("{when}: {} kB resident, {held:?}", resident_kilobytes());
        (held, resident_kilobytes())
    };
    std::thread::scope(|scope| {
        (0..CALLERS).for_each(|seed| {
            drop(scope.spawn({
                let (host, counts, done) = (&host, &counts, &done);
                move || calls(host, counts, done, seed + 1)
            }))
        });
        while began.elapsed() < Duration::from_secs(seconds) {
            std::thread::sleep(Duration::from_millis(random(&mut state, 1_000)));
            if let Some(pid) = host.pid() {
                kill(pid);
                kills += 1;
            }
            host.manager.reset_crash_loop("life").unwrap();
            if start.is_none() && began.elapsed() > Duration::from_secs(seconds.min(100) / 4) {
                start = Some(report("early"));
            }
        }
        done.store(true, Ordering::SeqCst);
    });
    let (early, early_kilobytes) = start.expect("too short");
    until("a process", || host.call("echo", &json!(1)).is_ok());
    until("old processes are gone", || Held::now().children == 1);
    let (late, late_kilobytes) = report("late");
    assert_eq!(late.groups, alone.groups);
    println!(
        "{kills} kills, {} calls served, {} refused, slowest {} ms, processes {}",
        counts.served.load(Ordering::Relaxed),
        counts.refused.load(Ordering::Relaxed),
        counts.slowest_us.load(Ordering::Relaxed) / 1_000,
        host.process()["processes"],
    );
    assert!(late.descriptors <= early.descriptors + 16 && late.threads <= early.threads + 16, "{early:?} {late:?}");
    assert_eq!(late.mounts, early.mounts);
    assert!(late_kilobytes < early_kilobytes + 64 * 1024, "{early_kilobytes} {late_kilobytes}");
    host.manager.unload("life", Duration::from_secs(5)).unwrap();
    until("everything ends", || Held::now().children == 0 && host.leftovers().is_empty());
    assert_eq!(Held::now().groups, 0);
}
