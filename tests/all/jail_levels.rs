//! Machines that offer less, by real means: each level reports exactly what is missing, and refuses who needs more.

use std::collections::BTreeMap;

use serde_json::Value;

use super::jail_support::{Prefix, Tools, as_ordinary_user, assert_success, everybody, is_root, run, words};

fn report(tools: &Tools, prefix: &[String]) -> Value {
    let mut command = prefix.to_vec();
    command.extend([tools.text("goatflow-plugin"), "jail".into(), "report".into(), "--json".into()]);
    let output = run(&command);
    assert_success(&output);
    serde_json::from_slice(&output.stdout).unwrap()
}

fn in_state(report: &Value, state: &str) -> Vec<String> {
    let layers = report["layers"].as_array().unwrap();
    let mut names: Vec<String> = layers
        .iter()
        .filter(|layer| layer["state"] == state)
        .map(|layer| layer["name"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// Reason of each missing layer.
fn reasons(report: &Value) -> BTreeMap<String, String> {
    let layers = report["layers"].as_array().unwrap().iter();
    let missing = layers.filter(|layer| layer["state"] == "missing");
    let text = |layer: &Value, key: &str| layer[key].as_str().unwrap().to_owned();
    missing
        .map(|layer| {
            assert_ne!(text(layer, "remedy"), "see the step and the system's error", "{layer}");
            (text(layer, "name"), text(layer, "reason"))
        })
        .collect()
}

const GROUPS: [&str; 3] = ["cpu", "memory", "pids"];

/// What is expected of a machine: level, layers missing, layers reduced. An ordinary user has no groups and no other users.
fn assert_report(who: &str, what: &str, report: &Value, level: u32, missing: &[&str], reduced: &[&str]) {
    let mut expected: Vec<&str> = missing.to_vec();
    if who != "root" {
        expected.extend(GROUPS);
    }
    expected.sort_unstable();
    expected.dedup();
    assert_eq!(in_state(report, "missing"), expected, "{who}, {what}: {report:#}");
    let mut weaker: Vec<&str> = reduced.to_vec();
    if who != "root" {
        weaker.push("identity");
    }
    weaker.sort_unstable();
    assert_eq!(in_state(report, "reduced"), weaker, "{who}, {what}: {report:#}");
    assert_eq!(report["level"], level, "{who}, {what}: {report:#}");
    reasons(report);
}

fn restricted(tools: &Tools, prefix: &[String], what: &str) -> Prefix {
    let mut prefix = prefix.to_vec();
    prefix.extend([tools.text("restrict"), what.to_owned()]);
    prefix
}

#[test]
fn each_missing_part_is_reported_and_lowers_the_level() {
    let tools = Tools::new();
    for (who, prefix) in everybody() {
        let is_privileged = who == "root";
        let check = |what: &str, level: u32, missing: &[&str], reduced: &[&str]| {
            let prefix = if what.is_empty() { prefix.clone() } else { restricted(&tools, &prefix, what) };
            assert_report(who, what, &report(&tools, &prefix), level, missing, reduced);
        };
        let bare: &[&str] = if is_privileged { &["tmp"] } else { &["capabilities", "rlimits", "tmp"] };
        check("", if is_privileged { 4 } else { 3 }, &[], &[]);
        check("landlock", 3, &["landlock"], &[]);
        check("namespaces", 2, &["namespaces", "user_namespace"], bare);
        check("namespaces,landlock", 1, &["landlock", "namespaces", "user_namespace"], bare);
        check("seccomp", 0, &["seccomp"], &[]);
        if is_privileged {
            check("users", 3, &["user_namespace"], &[]);
        } else {
            check("users", 2, &["namespaces", "user_namespace"], bare);
        }
    }
}

#[test]
fn a_limit_on_user_namespaces_is_named() {
    let tools = Tools::new();
    let prefix: Prefix = words("unshare -Ur sh -c")
        .into_iter()
        .chain(["echo 0 > /proc/sys/user/max_user_namespaces; exec \"$@\"".to_owned(), "sh".to_owned()])
        .collect();
    let report = report(&tools, &prefix);
    assert_eq!(report["level"], 2);
    let reasons = reasons(&report);
    assert_eq!(reasons["namespaces"], "clone: No space left on device (os error 28)");
    assert_eq!(reasons["user_namespace"], reasons["namespaces"]);
}

#[test]
fn missing_control_groups_are_named() {
    let tools = Tools::new();
    if !is_root() {
        // Nobody else can take mounts away; they have no groups to write to in any case, which the test above covers.
        return;
    }
    let script = "umount -l /sys/fs/cgroup 2>/dev/null || umount -l /sys; exec \"$@\"";
    let prefix: Prefix = words("unshare -m sh -c").into_iter().chain([script.to_owned(), "sh".to_owned()]).collect();
    let report = report(&tools, &prefix);
    assert_report("root", "no groups", &report, 3, &GROUPS, &[]);
    assert_eq!(reasons(&report)["memory"], "no hierarchy of control groups has the controller `memory`");
}

#[test]
fn a_masked_proc_is_reported_and_no_protection_is_lost() {
    let tools = Tools::new();
    if !is_root() {
        return;
    }
    let script = "mount -t tmpfs none /proc/sys && exec \"$@\"";
    let mut prefix: Prefix =
        words("unshare -m sh -c").into_iter().chain([script.to_owned(), "sh".to_owned()]).collect();
    prefix.extend(as_ordinary_user());
    assert_report("ordinary user", "masked /proc", &report(&tools, &prefix), 3, &[], &["proc"]);
}

#[test]
fn a_program_does_not_run_below_the_level_it_needs() {
    let tools = Tools::new();
    let mut command = restricted(&tools, &as_ordinary_user(), "namespaces");
    let program = [tools.text("goatflow-plugin"), "jail".into(), "run".into()];
    command.extend(program.into_iter().chain(words("--level 3 --")).chain([tools.text("abuse"), "exit".into()]));
    let output = run(&command);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"", "the program ran");
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(error["code"], "environment.jail_level");
    let message = error["message"].as_str().unwrap();
    assert!(message.starts_with("this machine isolates native plugins at level 2, and 3 is needed: "), "{message}");
    assert!(message.contains("namespaces: clone: Operation not permitted"), "{message}");
    assert_eq!(error["detail"]["report"]["level"], 2);
}

#[test]
fn a_policy_asks_for_its_own_level() {
    let tools = Tools::new();
    std::fs::write(tools.path("policy.json"), r#"{"version": 1, "status": "approved", "isolation": {"minimum": 3}}"#)
        .unwrap();
    let run_at = |what: &str| {
        let mut command = restricted(&tools, &as_ordinary_user(), what);
        let program = [tools.text("goatflow-plugin"), "jail".into(), "run".into()];
        let policy = ["--policy".to_owned(), tools.text("policy.json"), "--".to_owned()];
        command.extend(program.into_iter().chain(policy).chain([tools.text("abuse"), "exit".into(), "7".into()]));
        run(&command).status.code()
    };
    assert_eq!(run_at("landlock"), Some(7));
    assert_eq!(run_at("namespaces"), Some(1));
}

#[test]
fn a_script_runs_with_the_interpreter_of_its_policy() {
    let tools = Tools::new();
    std::fs::write(tools.path("script.py"), "import sys\nsys.exit(len(sys.argv) + 4)\n").unwrap();
    let policy = r#"{"version": 1, "isolation": {
        "interpreter": "/usr/bin/python3", "read_only": ["/usr/lib", "/lib", "/lib64"]
    }}"#;
    std::fs::write(tools.path("policy.json"), policy).unwrap();
    let run_with = |options: &[String]| {
        let mut command = vec![tools.text("goatflow-plugin"), "jail".into(), "run".into()];
        command.extend_from_slice(options);
        command.extend(["--".to_owned(), tools.text("script.py"), "one".into()]);
        run(&command).status.code()
    };
    assert_eq!(run_with(&["--policy".to_owned(), tools.text("policy.json")]), Some(6));
    assert_eq!(run_with(&[]), Some(1), "nothing interprets it");
}
