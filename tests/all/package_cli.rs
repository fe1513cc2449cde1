//! Packages from the command line: exit codes, JSON, and the whole way from a key to a roll-back.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Guest, assemble};

const PROGRAM: &str = env!("CARGO_BIN_EXE_goatflow-plugin");

struct Cli(tempfile::TempDir);

impl Cli {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Runs the program in its directory: exit code and standard output.
    fn run(&self, line: &str) -> (i32, String) {
        let output = Command::new(PROGRAM).args(line.split(' ')).current_dir(self.0.path()).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    }

    fn json(&self, line: &str) -> Value {
        let (code, text) = self.run(line);
        assert_eq!(code, 0, "{line}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Code of a refusal, which has exit code 3 and three fields.
    fn refusal(&self, line: &str) -> String {
        let (code, text) = self.run(line);
        assert_eq!(code, 3, "{line}: {text}");
        let refusal: Value = serde_json::from_str(&text).unwrap();
        let fields: Vec<&String> = refusal.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["code", "entry", "reason"]);
        refusal["code"].as_str().unwrap().to_owned()
    }

    fn source(&self, version: &str, more: &Value) {
        let directory = self.0.path().join("source");
        std::fs::create_dir_all(directory.join("assets")).unwrap();
        let mut manifest = json!({"name": "stats", "version": version});
        manifest.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        std::fs::write(directory.join("manifest.json"), manifest.to_string()).unwrap();
        let code = assemble(&Guest::registered(&json!({"name": "stats", "version": version})).wat());
        std::fs::write(directory.join("stats.wasm"), code).unwrap();
        std::fs::write(directory.join("assets/a.txt"), "a").unwrap();
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }
}

fn field(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap().to_owned()
}

#[test]
fn the_way_from_a_key_to_a_roll_back() {
    let cli = Cli::new();
    let key = field(&cli.json("keygen release.key --json"), "public_key");
    let other = field(&cli.json("keygen other.key --json"), "public_key");
    cli.source("1.0.0", &json!({}));
    cli.json("pack source -o one.zip --json");
    let first = std::fs::read(cli.path("one.zip")).unwrap();
    cli.json("pack source -o again.zip --json");
    assert_eq!(std::fs::read(cli.path("again.zip")).unwrap(), first, "the same files give the same bytes");
    assert_eq!(field(&cli.json("verify one.zip --json"), "status"), "unsigned");
    assert_eq!(cli.refusal(&format!("verify one.zip --key {key} --require-signature --json")), "signature.unsigned");
    assert_eq!(field(&cli.json("sign one.zip --key release.key --json"), "public_key"), key);
    assert_eq!(std::fs::read(cli.path("one.zip.sig")).unwrap().len(), 128);
    let verdict = cli.json(&format!("verify one.zip --key {other} {key} --require-signature --json"));
    assert_eq!((field(&verdict, "status"), field(&verdict, "name")), ("verified".into(), "stats".into()));
    assert_eq!(cli.refusal(&format!("verify one.zip --key {other} --json")), "signature.bad_signature");
    assert_eq!(cli.refusal("verify one.zip --json"), "signature.untrusted_key");
    std::fs::rename(cli.path("one.zip.sig"), cli.path("elsewhere.sig")).unwrap();
    assert_eq!(cli.json(&format!("verify one.zip --sig elsewhere.sig --key {key} --json"))["accepted"], true);
    cli.json("sign one.zip --key release.key --sequence 1 --json");
    cli.json("sign one.zip --key other.key --cosign --label second --json");
    let verdict = cli.json(&format!("verify one.zip --key {key},{other} --json"));
    assert_eq!(verdict["signed_by"].as_array().unwrap().len(), 2);

    let install = format!("package install one.zip --dir plugins --key {key} --require-signature --json");
    assert_eq!(field(&cli.json(&install), "change"), "installed");
    cli.source(
        "2.0.0",
        &json!({"resources": {"permissions": [{"type": "db", "access": "read", "scope": ["ticket"]}]}}),
    );
    cli.json("pack source -o two.zip --json");
    cli.json("sign two.zip --key release.key --sequence 2 --json");
    let waiting = cli.json(&install.replace("one.zip", "two.zip"));
    assert_eq!((field(&waiting, "change"), field(&waiting, "current")), ("pending".into(), "1.0.0".into()));
    assert_eq!(field(&cli.json("package approve stats --dir plugins --json"), "current"), "2.0.0");
    assert_eq!(cli.refusal(&install), "signature.rollback");
    assert_eq!(field(&cli.json("package rollback stats --dir plugins --json"), "current"), "1.0.0");
    assert_eq!(cli.json("package list --dir plugins --json")[0]["versions"].as_array().unwrap().len(), 2);
    cli.json("package remove stats --dir plugins --json");
    assert_eq!(cli.json("package list --dir plugins --json"), json!([]));
}

#[test]
fn refusals_usage_and_environment_have_their_own_exit_codes() {
    let cli = Cli::new();
    std::fs::write(cli.path("text.zip"), "PK no archive").unwrap();
    assert!(cli.refusal("package inspect text.zip --json").starts_with("package.archive."));
    assert!(cli.refusal("package install text.zip --dir plugins --json").starts_with("package.archive."));
    assert!(!Path::new(&cli.path("plugins")).exists(), "nothing was made");
    assert_eq!(cli.run("package inspect none.zip --json").0, 1);
    assert_eq!(cli.run("package inspect --json").0, 2);
    assert_eq!(cli.run("package inspect . --json").0, 1, "a directory is no package that is refused");
    assert_eq!(cli.run("verify text.zip --sig . --json").0, 1);
    assert_eq!(cli.run("package rollback stats --dir mistyped").0, 1);
    assert!(!cli.path("mistyped").exists());
    assert_eq!(cli.run("verify text.zip --key 00 --json").0, 1);
    assert_eq!(cli.run("package rollback stats --dir plugins").0, 1);
    std::fs::write(cli.path("loose.key"), "00".repeat(32)).unwrap();
    assert_eq!(cli.run("sign text.zip --key loose.key").0, 1, "others may read the key");
    assert_eq!(cli.run("keygen loose.key").0, 1, "never over an existing file");
}

#[test]
fn the_trust_store_decides_whose_signatures_count() {
    let cli = Cli::new();
    let key = field(&cli.json("keygen release.key --json"), "public_key");
    cli.source("1.0.0", &json!({}));
    cli.json("pack source -o one.zip --json");
    cli.json("sign one.zip --key release.key --json");
    assert_eq!(cli.run("verify one.zip --trust trust.json --json").0, 1, "a missing store is an error");
    cli.json(&format!("trust add {key} --label release --name other --trust trust.json"));
    assert_eq!(cli.refusal("verify one.zip --trust trust.json --json"), "signature.untrusted_key");
    std::fs::remove_file(cli.path("trust.json")).unwrap();
    cli.json(&format!("trust add {key} --label release --name st* --trust trust.json"));
    assert_eq!(cli.json("verify one.zip --trust trust.json --json")["signed_by"][0]["label"], "release");
    assert_eq!(cli.run(&format!("trust add {key} --label again --name * --trust trust.json")).0, 1);
    let listed = cli.json("trust revoke release --reason lost --trust trust.json");
    assert_eq!(listed["keys"][0]["revoked"]["reason"], "lost");
    assert_eq!(cli.refusal("verify one.zip --trust trust.json --json"), "signature.revoked");
}

#[test]
fn raw_signatures_get_the_published_verdicts() {
    use std::io::Write as _;
    let vectors = include_str!("../fixtures/signature/ed25519.jsonl");
    let mut child = Command::new(PROGRAM)
        .args(["check", "ed25519"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(vectors.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let answers: Vec<Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), 163);
    for (vector, answer) in vectors.lines().zip(answers) {
        let vector: Value = serde_json::from_str(vector).unwrap();
        if vector["expected"] != "either" {
            assert_eq!(answer["accept"], vector["expected"] == "accept", "{}", vector["id"]);
        }
    }
}

#[test]
fn what_is_no_package_is_not_accepted_by_any_command() {
    let cli = Cli::new();
    cli.source("1.0.0", &json!({}));
    cli.json("pack source -o one.zip --json");
    let mut prepended = b"#!/bin/sh\n".to_vec();
    prepended.extend(std::fs::read(cli.path("one.zip")).unwrap());
    for bytes in [&prepended[..], b"junk", b"", b"\0asm\x01\0\0\0"] {
        std::fs::write(cli.path("no.zip"), bytes).unwrap();
        for command in ["verify", "package inspect"] {
            assert!(cli.refusal(&format!("{command} no.zip --json")).starts_with("package.archive."));
        }
    }
    std::fs::write(cli.path("no.wasm"), "junk").unwrap();
    assert_eq!(cli.refusal("verify no.wasm --json"), "package.module_invalid");
    assert_eq!(cli.json("verify source/stats.wasm --json")["accepted"], true);
    cli.source("../../x", &json!({}));
    assert_eq!(cli.run("pack source -o bad.zip --json").0, 1);
    assert!(!cli.path("bad.zip").exists());
    let files = [("manifest.json", r#"{"name":"stats","version":"../../x"}"#), ("assets/a", "a")];
    let limits = goatflow_plugin::package::archive::Limits::default();
    let bytes = goatflow_plugin::package::archive::write(files, &limits).unwrap();
    std::fs::write(cli.path("bad.zip"), bytes).unwrap();
    for command in ["verify", "package inspect", "package install"] {
        assert_eq!(cli.refusal(&format!("{command} bad.zip --json")), "package.version_invalid", "{command}");
    }
}

#[test]
fn a_package_never_holds_a_private_key() {
    let cli = Cli::new();
    cli.source("1.0.0", &json!({}));
    std::fs::write(cli.path("source/assets/tls.PEM"), "x").unwrap();
    cli.json("keygen source/goatflow-plugin.key --json");
    cli.json("pack source -o one.zip --json");
    let listed = cli.json("package inspect one.zip --json")["entries"].to_string();
    assert!(!listed.contains("key") && !listed.contains("PEM") && listed.contains("assets/a.txt"), "{listed}");
    std::fs::rename(cli.path("source/goatflow-plugin.key"), cli.path("source/assets/notes.txt")).unwrap();
    assert_eq!(cli.run("pack source -o two.zip --json").0, 1);
    assert!(!cli.path("two.zip").exists());
}

#[test]
fn whoever_adds_a_signature_signs_what_the_package_says() {
    let cli = Cli::new();
    cli.json("keygen a.key --json");
    cli.json("keygen b.key --json");
    cli.source("1.0.0", &json!({}));
    cli.json("pack source -o one.zip --json");
    let said = cli.json("sign one.zip --key a.key --sequence 7 --json")["statement"].clone();
    assert_eq!((&said["name"], &said["version"], &said["sequence"]), (&json!("stats"), &json!("1.0.0"), &json!(7)));
    assert_eq!(cli.json("sign one.zip --key b.key --cosign --json")["statement"], said);
    for lie in
        ["--name evil --plugin-version 1.0.0", "--name stats --plugin-version 9", "--name stats --plugin-version 1.0.0"]
    {
        // The last one leaves out what the package may ask for.
        cli.json(&format!("sign one.zip --key a.key --sequence 8 {lie} --json"));
        let before = std::fs::read(cli.path("one.zip.gksig")).unwrap();
        assert_eq!(cli.run("sign one.zip --key b.key --cosign --json").0, 1, "{lie}");
        assert_eq!(std::fs::read(cli.path("one.zip.gksig")).unwrap(), before);
    }
    assert_eq!(cli.run("sign one.zip --key b.key --cosign --days 3").0, 2, "it would be ignored");
    for days in ["4000000", "18446744073709551615", "0"] {
        assert_eq!(cli.run(&format!("sign one.zip --key a.key --sequence 9 --days {days}")).0, 2, "{days}");
    }
}

#[test]
fn what_is_to_be_approved_is_printed_as_it_is_and_nothing_else() {
    let cli = Cli::new();
    let pack = |version: &str, scope: &[&str]| {
        cli.source(version, &json!({"resources": {"permissions": [{"type": "db", "access": "read", "scope": scope}]}}));
        cli.json("pack source -o one.zip --json");
    };
    pack("1.0.0", &[]);
    cli.json("package install one.zip --dir plugins --json");
    pack("2.0.0", &["ticket", "a\r\u{1b}[2K\u{1b}[1A", "b\u{202e}c"]);
    let (code, text) = cli.run("package install one.zip --dir plugins");
    assert_eq!(code, 0);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[2], "  db read on ticket");
    let command = lines[3].strip_prefix("approve it with: goatflow-plugin ").unwrap();
    assert!(
        command.starts_with("package approve stats --only 2.0.0-") && command.ends_with(" --dir plugins"),
        "{command}"
    );
    assert_eq!(lines.len(), 4);
    assert_eq!(cli.run("package approve stats --only 3.0.0 --dir plugins").0, 1);
    assert_eq!(field(&cli.json(&format!("{command} --json")), "current"), "2.0.0");
}
