//! One plugin in four builds, which must not be told apart: a module, Go over gRPC, Go over net/rpc against GoatFlow's own
//! module, Python over gRPC. Where a protocol can't carry something, the table of builds says so.
//!
//! `scripts/plugins.sh` builds them; its profile must be that of the tests. `GOATFLOW_CONTRACT_BUILDS` names others.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use goatflow_plugin::error::ErrorCode;
use goatflow_plugin::manager::CallOptions;
use goatflow_plugin::plugin::Cancellation;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::{Guest, Host, cancellable, timeout};

const NAME: &str = "contract-suite";

/// How the plugin tells an error of its own.
#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Failing {
    /// As the document `{"error": …}`.
    InBand,
    /// With a field of the protocol, as GoatFlow's module does.
    OutOfBand,
}

/// A build, and what its protocol can't carry.
#[derive(Clone, Deserialize)]
struct Build {
    name: String,
    /// Where it is.
    directory: PathBuf,
    is_native: bool,
    failing: Failing,
    /// Whether the plugin learns codes of refused host calls: GoatFlow's answer has only a text.
    has_codes: bool,
    /// Whether it learns who calls: GoatFlow's request has no field for that.
    knows_callers: bool,
    /// Whether it learns its deadline: neither GoatFlow's request nor the module's contract has a field for that; the
    /// host ends such calls itself.
    knows_deadline: bool,
    /// Level of what it writes to standard error: programs write whatever they log there, modules what is wrong.
    stderr_level: String,
    /// What its policy says about the jail.
    #[serde(default)]
    isolation: Value,
}

/// Names a file with further builds, an array of [`Build`] in JSON, to hold plugins in other languages and of other times
/// against the module. They take the place of the native ones here.
const OTHERS: &str = "GOATFLOW_CONTRACT_BUILDS";

static BUILDS: LazyLock<Vec<Build>> = LazyLock::new(|| {
    let native = match std::env::var_os(OTHERS) {
        Some(path) => serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap(),
        None => native_builds(),
    };
    let module = Build { is_native: false, knows_deadline: false, stderr_level: "warn".into(), ..build("wasm") };
    std::iter::once(module).chain(native).collect()
});

fn native_builds() -> Vec<Build> {
    let netrpc = Build {
        failing: Failing::OutOfBand,
        has_codes: false,
        knows_callers: false,
        knows_deadline: false,
        ..build("netrpc")
    };
    vec![build("go"), netrpc, Build { isolation: python_isolation(), ..build("python") }]
}

/// A native build that `scripts/plugins.sh` made and whose protocol carries everything.
fn build(name: &str) -> Build {
    Build {
        name: name.into(),
        directory: target().join("plugins").join(format!("contract-{name}")),
        is_native: true,
        failing: Failing::InBand,
        has_codes: true,
        knows_callers: true,
        knows_deadline: true,
        stderr_level: "info".into(),
        isolation: Value::Null,
    }
}

fn python_isolation() -> Value {
    let site = target().join("python-site");
    json!({
        "interpreter": "/usr/bin/python3",
        "read_only": ["/usr/lib", "/lib", "/lib64", site],
        "environment": {"GOATFLOW_PLUGIN_SITE": site},
    })
}

/// A host with one build of the plugin.
struct Suite {
    build: Build,
    host: Host,
}

/// Where `scripts/plugins.sh` puts things: beside the directory of the profile.
fn target() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_goatflow-plugin")).ancestors().nth(2).unwrap().to_owned()
}

/// What every build is granted.
fn policy(build: &Build) -> Value {
    let mut policy = json!({"permissions": [
        {"type": "db", "access": "read", "scope": ["ticket"]},
        {"type": "cache", "access": "readwrite"},
        {"type": "plugin_call", "scope": ["*"]},
    ]});
    policy["memory_mb"] = json!(if build.is_native { 512 } else { 64 });
    policy["init_timeout"] = json!("60s");
    policy["instances"] = json!(12);
    policy["max_calls_per_second"] = json!(0);
    if !build.isolation.is_null() {
        policy["isolation"] = build.isolation.clone();
    }
    policy
}

impl Suite {
    fn new(build: &Build) -> Self {
        Self::with(build, &json!({}))
    }

    /// A suite whose policy has further fields.
    fn with(build: &Build, more: &Value) -> Self {
        let mut policy = policy(build);
        for (key, value) in more.as_object().unwrap() {
            policy[key] = value.clone();
        }
        let host = Host::new();
        host.set_policy(NAME, policy);
        let suite = Self { build: build.clone(), host };
        suite.load();
        suite
    }

    fn load(&self) {
        let Build { name, directory, .. } = &self.build;
        let loaded = self.host.manager.load(directory);
        let loaded = loaded.unwrap_or_else(|error| panic!("{name} (scripts/plugins.sh builds it): {error}"));
        assert_eq!(&*loaded, NAME);
    }

    /// The answer of a function, as JSON; nothing is null.
    fn json(&self, function: &str, arguments: &Value) -> Value {
        let text = self.host.text(NAME, function, arguments.to_string());
        if text == "-" { Value::Null } else { serde_json::from_str(&text).unwrap() }
    }

    fn code(&self, function: &str, arguments: &Value, options: &CallOptions) -> ErrorCode {
        self.host.code(NAME, function, arguments.to_string(), options)
    }

    /// What a host call of the plugin gives: the result, or the code, which is the text where there are none.
    fn ask(&self, function: &str, arguments: &Value) -> Result<Value, Value> {
        let answer = self.json("host", &json!({"function": function, "arguments": arguments}));
        match &answer["ok"] {
            Value::Bool(true) => Ok(answer["result"].clone()),
            _ if self.build.has_codes => Err(answer["code"].clone()),
            _ => Err(answer["error"].clone()),
        }
    }
}

/// Runs a test with every build; the name of the build is in its thread's name, and so in what it panics with.
fn each(test: impl Fn(Suite) + Sync) {
    each_with(&json!({}), test);
}

fn each_with(more: &Value, test: impl Fn(Suite) + Sync) {
    std::thread::scope(|scope| {
        for build in &*BUILDS {
            let test = &test;
            let thread = std::thread::Builder::new().name(build.name.clone());
            thread.spawn_scoped(scope, move || test(Suite::with(build, more))).unwrap();
        }
    });
}

#[test]
fn registrations_are_the_same_document() {
    let document = |build: &Build| Suite::new(build).host.manager.registration(NAME).unwrap();
    let documents: Vec<(&str, Value)> = BUILDS.iter().map(|build| (&*build.name, document(build))).collect();
    let (_, first) = &documents[0];
    assert_eq!(first["i18n"]["translations"]["de"]["menu"], "Vertrag <ä>");
    assert_eq!(first["menu_items"][0]["children"][0]["path"], "/contract/below");
    for (build, document) in &documents {
        assert_eq!(document, first, "{build}");
    }
}

#[test]
fn arguments_and_answers_pass_verbatim() {
    each(|suite| {
        for text in ["{}", r#" { "a" : [1, 2.50, null, "ä\u0000<" ] } "#, "[9007199254740993]", "null", ""] {
            let expected = if text.is_empty() { "-" } else { text };
            assert_eq!(suite.host.text(NAME, "echo", text), expected);
        }
        assert_eq!(suite.host.text(NAME, "nothing", "{}"), "-");
        let big = suite.json("big", &json!({"bytes": 3_000_000}));
        assert_eq!(big.as_str().map(str::len), Some(3_000_000));
    });
}

#[test]
fn errors_of_the_plugin_itself_reach_the_caller() {
    each(|suite| {
        for (function, text) in [("fail", "boom"), ("no_such", "unknown function: no_such")] {
            match suite.build.failing {
                Failing::InBand => assert_eq!(suite.json(function, &json!({})), json!({"error": text})),
                Failing::OutOfBand => {
                    let error = suite.host.call(NAME, function, "{}").unwrap_err();
                    assert_eq!((error.code(), error.to_string().as_str()), (ErrorCode::PluginFailed, text));
                }
            }
        }
    });
}

#[test]
fn results_beyond_the_limit_are_errors() {
    each_with(&json!({"max_result_bytes": 1_000_000}), |suite| {
        let within = suite.json("big", &json!({"bytes": 900_000}));
        assert_eq!(within.as_str().map(str::len), Some(900_000));
        let code = suite.code("big", &json!({"bytes": 1_100_000}), &CallOptions::default());
        assert_eq!(code, ErrorCode::PluginResultTooLarge);
        assert_eq!(suite.json("state", &json!({})), json!({"count": 1}), "the plugin serves on");
    });
}

#[test]
fn calls_end_at_their_deadline() {
    each(|suite| {
        for function in ["spin", "sleep"] {
            let code = suite.code(function, &json!({"ms": 600_000}), &timeout(300));
            assert_eq!(code, ErrorCode::PluginDeadline, "{function}");
        }
        assert_eq!(suite.host.text(NAME, "echo", "1"), "1");
        let limited = suite.json("deadline", &json!({}));
        assert_eq!(limited, json!({"limited": suite.build.knows_deadline}));
    });
}

#[test]
fn calls_end_when_they_are_cancelled() {
    each(|suite| {
        let cancellation = Cancellation::new();
        std::thread::scope(|scope| {
            let call = scope.spawn(|| suite.code("sleep", &json!({"ms": 600_000}), &cancellable(&cancellation)));
            suite.host.await_in_flight(NAME, 1);
            cancellation.cancel();
            assert_eq!(call.join().unwrap(), ErrorCode::PluginCancelled);
        });
        assert_eq!(suite.host.text(NAME, "echo", "1"), "1");
    });
}

#[test]
fn a_plugin_that_ends_itself_fails_the_call_and_serves_again() {
    each(|suite| {
        assert_eq!(suite.json("state", &json!({})), json!({"count": 1}));
        assert_eq!(suite.json("state", &json!({})), json!({"count": 2}));
        assert_eq!(suite.code("crash", &json!({}), &CallOptions::default()), ErrorCode::PluginExited);
        crate::support::until("the plugin to serve again", || suite.host.call(NAME, "nothing", "{}").is_ok());
        assert_eq!(suite.json("state", &json!({})), json!({"count": 1}), "nothing is left of the old one");
    });
}

#[test]
fn host_calls_answer_the_same() {
    each(|suite| {
        let query = json!({"query": "SELECT id, title FROM ticket ORDER BY id", "args": []});
        let rows = json!([{"id": 1, "title": "Printer <on> fire & \"smoke\""}, {"id": 2, "title": null}]);
        assert_eq!(suite.ask("db_query", &query), Ok(rows));
        let one = json!({"query": "SELECT title FROM ticket WHERE id = ?", "args": [2]});
        assert_eq!(suite.ask("db_query", &one), Ok(json!([{"title": null}])));
        assert_eq!(suite.ask("cache_set", &json!({"key": "k", "value": "aGk=", "ttl": 0})), Ok(json!({"ok": true})));
        assert_eq!(suite.ask("cache_get", &json!({"key": "k"})), Ok(json!({"found": true, "value": "aGk="})));
        assert_eq!(suite.json("hosts", &json!({"n": 40})), json!({"answered": 40}));
        assert_eq!(suite.host.stats(NAME)["cache_ops"], 42);
    });
}

#[test]
fn host_calls_are_refused_alike() {
    each(|suite| {
        let secret = json!({"query": "SELECT login, pw FROM users", "args": []});
        let refusal = suite.ask("db_query", &secret).unwrap_err();
        if suite.build.has_codes {
            assert_eq!(refusal, "policy.sql.table_denied");
        } else {
            assert!(refusal.as_str().unwrap().contains("table `users`"), "{refusal}");
        }
        let message = suite.json("host", &json!({"function": "db_query", "arguments": secret}))["error"].clone();
        let mut less = policy(&suite.build);
        less["permissions"] = json!([]);
        suite.host.set_policy(NAME, less);
        let cache = suite.json("host", &json!({"function": "cache_get", "arguments": {"key": "k"}}));
        assert_eq!(cache["ok"], false);
        assert!(!cache["error"].as_str().unwrap().is_empty() && message != cache["error"]);
        assert_eq!(suite.host.stats(NAME)["denials"], 3);
    });
}

/// Function and arguments that go along a path, each plugin calling the next one, and end with `echo`.
fn along(path: &[&str]) -> (String, Value) {
    let (first, rest) = path.split_first().unwrap();
    let Some(next) = rest.first() else { return ("echo".into(), json!({"x": 1})) };
    let (function, arguments) = along(rest);
    let call = json!({"plugin": next, "function": function, "args": arguments});
    match *first {
        NAME => ("host".into(), json!({"function": "plugin_call", "arguments": call})),
        _ => ("plugin_call".into(), call),
    }
}

/// What came back along a path: the innermost answer.
fn innermost(mut answer: Value) -> Value {
    while answer["ok"] == true {
        answer = answer["result"].take();
    }
    answer
}

#[test]
fn ten_nested_calls_pass_and_the_eleventh_fails_across_runtimes() {
    each(|suite| {
        suite.host.set_policy(
            "module",
            json!({
                "instances": 12, "max_calls_per_second": 0, "permissions": [{"type": "plugin_call", "scope": ["*"]}],
            }),
        );
        suite.host.load(&Guest::registered(&json!({"name": "module", "resources": {"instances": "auto"}})));
        for turns in [[NAME, "module"], ["module", NAME]] {
            let path: Vec<&str> = turns.into_iter().cycle().take(12).collect();
            let call = |path: &[&str]| {
                let (function, arguments) = along(path);
                let answer = suite.host.call(path[0], &function, arguments.to_string()).unwrap().unwrap();
                innermost(serde_json::from_slice(&answer).unwrap())
            };
            assert_eq!(call(&path[..11]), json!({"x": 1}));
            let refusal = call(&path);
            let text = refusal.get("error").or_else(|| refusal.get("message")).unwrap().as_str().unwrap();
            assert!(text.starts_with("plugin call depth exceeded (max 10): "), "{refusal}");
            if suite.build.has_codes || turns[0] == "module" {
                assert_eq!(refusal["code"], "policy.call_depth");
            }
        }
    });
}

#[test]
fn the_plugin_learns_who_calls_from_the_host() {
    each(|suite| {
        suite.host.approve("asker", json!([{"type": "plugin_call", "scope": ["*"]}]));
        suite.host.load(&Guest::named("asker"));
        if !suite.build.knows_callers {
            return;
        }
        let ask = json!({"plugin": NAME, "function": "callers", "args": {"caller": "forged"}});
        assert_eq!(suite.host.ask("asker", "plugin_call", &ask), Ok(json!({"callers": ["asker"]})));
        assert_eq!(suite.json("callers", &json!({})), json!({"callers": []}));
    });
}

#[test]
fn lines_reach_the_plugins_log() {
    each(|suite| {
        for level in ["debug", "info", "warn", "error"] {
            suite.json("log", &json!({"level": level, "message": format!("a line at {level}")}));
        }
        suite.json("stdout", &json!({"text": "to stdout"}));
        suite.json("stderr", &json!({"text": "to stderr"}));
        for line in ["to stdout", "to stderr"] {
            crate::support::until(line, || suite.host.log_lines(NAME).iter().any(|known| known == line));
        }
        let records = suite.host.log_records(NAME);
        let level_of = |line: &str| {
            let record = records.iter().find(|record| record["message"] == line);
            record.unwrap_or_else(|| panic!("{line}: {records:?}"))["level"].as_str().unwrap().to_owned()
        };
        for level in ["debug", "info", "warn", "error"] {
            assert_eq!(level_of(&format!("a line at {level}")), level);
        }
        assert_eq!(level_of("to stdout"), "info");
        assert_eq!(level_of("to stderr"), suite.build.stderr_level);
    });
}

#[test]
fn nothing_of_the_hosts_environment_is_seen() {
    each(|suite| {
        let variables = suite.json("env", &json!({}));
        let names: Vec<&String> = variables.as_object().unwrap().keys().collect();
        for name in names {
            let known = name.starts_with("PLUGIN_") || name.starts_with("GOAT") || name.starts_with("LC_");
            let granted = suite.build.isolation.pointer(&format!("/environment/{name}")).is_some();
            assert!(known || granted || ["PATH", "LANG", "HOME", "TMPDIR"].contains(&name.as_str()), "{name}");
        }
        assert_eq!(variables.get("PATH").is_some(), suite.build.is_native);
        if let Some(path) = variables.get("PATH") {
            assert_eq!(path, "/nonexistent");
        }
    });
}

#[test]
fn unloading_ends_it_and_a_new_one_starts_from_scratch() {
    each(|suite| {
        assert_eq!(suite.json("state", &json!({})), json!({"count": 1}));
        suite.host.manager.unload(NAME, Duration::from_secs(10)).unwrap();
        let gone = suite.code("state", &json!({}), &CallOptions::default());
        assert_eq!(gone, ErrorCode::LifecyclePluginNotFound);
        suite.load();
        assert_eq!(suite.json("state", &json!({})), json!({"count": 1}));
    });
}

#[test]
fn the_examples_give_the_answers_of_the_module() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples-sql/tickets.sql");
    let host = Host::with(json!({"database": {"sqlite": {"path": ":memory:", "init_script": script}}}));
    let mut granted = policy(&Build { isolation: python_isolation(), ..build("python") });
    granted["permissions"] = json!([
        {"type": "db", "access": "read", "scope": ["ticket", "queue", "ticket_state"]},
        {"type": "cache", "access": "readwrite"},
    ]);
    let answers = ["ticket-stats-go", "ticket-stats-native", "ticket-stats-python"].map(|name| {
        let mut policy = granted.clone();
        if name != "ticket-stats-python" {
            policy.as_object_mut().unwrap().remove("isolation");
        }
        host.set_policy(name, policy);
        host.manager.load(&target().join("plugins").join(name)).unwrap();
        let json = |function: &str, arguments: &str| -> Value {
            serde_json::from_str(&host.text(name, function, arguments)).unwrap()
        };
        assert_eq!(host.text(name, "refresh", ""), "-");
        let one = json("ticket", r#"{"id": "1"}"#);
        (json("overview", ""), one["tn"].clone(), json("ticket", r#"{"id": 987654}"#), json("ticket", "{}"))
    });
    assert!(answers[0].0["total"].as_u64().unwrap() > 0 && answers[0].1.is_string());
    assert_eq!(answers[0].2, json!({"error": "no such ticket"}));
    assert_eq!(answers[0].3, json!({"error": "id must be a whole number"}));
    assert_eq!(answers[1], answers[0]);
    assert_eq!(answers[2], answers[0]);
}
