//! Exchanged versions of native plugins: what becomes of the processes that they leave behind.

use goatflow_plugin::error::ErrorCode;
use goatflow_plugin::manager::ReplaceOptions;
use serde_json::json;

use super::native_support::{NativeHost, kill};
use super::support::{PATIENCE, until};

#[test]
fn a_call_outlives_two_exchanges_that_wait_for_none() {
    let host = NativeHost::new();
    host.load_life(json!({}));
    let first = host.pid().unwrap();
    let at_once = ReplaceOptions::parse(br#"{"drain_ms":0,"probation_ms":0}"#).unwrap();
    std::thread::scope(|scope| {
        let call = scope.spawn(|| host.call("sleep", &json!({"MS": 5000})));
        let filter = goatflow_plugin::host::log::LogFilter { plugin: Some("life".to_owned()), ..Default::default() };
        until("a call that sleeps", || host.manager.logs(&filter).to_string().contains("asleep"));
        for generation in [2, 3] {
            assert_eq!(host.manager.reload("life", &at_once).unwrap()["generation"], generation);
        }
        assert_ne!(host.pid().unwrap(), first, "new calls have another process");
        call.join().unwrap().unwrap();
    });
    until("the first process to end", || !std::path::Path::new(&format!("/proc/{first}")).exists());
    host.manager.unload("life", PATIENCE).unwrap();
    until("nothing to be left", || host.leftovers().is_empty());
}

#[test]
fn calls_of_both_versions_count_towards_the_limit() {
    let host = NativeHost::new();
    host.load_life(json!({"max_concurrent_calls": 2}));
    let first = host.pid().unwrap();
    let at_once = ReplaceOptions::parse(br#"{"drain_ms":0}"#).unwrap();
    std::thread::scope(|scope| {
        let calls = [0; 2].map(|_| scope.spawn(|| host.call("sleep", &json!({"MS": 600_000}))));
        until("two calls", || host.manager.stats(Some("life")).unwrap()["in_flight"] == 2);
        assert_eq!(host.manager.reload("life", &at_once).unwrap()["calls_running"], 2);
        let error = host.call("echo", &json!(1)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::LifecycleOverloaded, "{error}");
        kill(first);
        for call in calls {
            assert_eq!(call.join().unwrap().unwrap_err().code(), ErrorCode::PluginExited);
        }
        assert_eq!(host.call("echo", &json!(1)).unwrap(), json!(1));
    });
}
