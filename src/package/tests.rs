//! What is read as a plugin, and what is not.

use super::*;

fn gate() -> Gate {
    Gate { max_code_bytes: 1_000, ..Gate::default() }
}

fn code(path: &Path) -> ErrorCode {
    open(&gate(), None, path).unwrap_err().code()
}

#[test]
fn a_directory_is_read_as_its_manifest_says() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    assert_eq!(code(path), ErrorCode::PackageManifestMissing);
    std::fs::write(path.join("manifest.json"), r#"{"name":"a","runtime":"wasm"}"#).unwrap();
    assert_eq!(code(path), ErrorCode::PackageModuleMissing);
    std::fs::write(path.join("manifest.json"), r#"{"name":"a"}"#).unwrap();
    assert_eq!(open(&gate(), None, path).unwrap().runtime, RuntimeKind::Template);
    std::fs::write(path.join("x.wasm"), b"code").unwrap();
    assert_eq!(open(&gate(), None, path).unwrap().artifact.code, b"code");
    std::fs::write(path.join("y.wasm"), b"other").unwrap();
    assert_eq!(code(path), ErrorCode::PackageModuleMissing);
    std::fs::write(path.join("manifest.json"), r#"{"name":"a","wasm":"y.wasm"}"#).unwrap();
    assert_eq!(open(&gate(), None, path).unwrap().artifact.code, b"other");
    std::fs::write(path.join("plugin.yaml"), "name: a").unwrap();
    assert_eq!(code(path), ErrorCode::PackageManifestMissing);
}

#[test]
fn no_file_outside_the_directory_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let plugin = dir.path().join("p");
    std::fs::create_dir(&plugin).unwrap();
    std::fs::write(dir.path().join("secret.wasm"), b"secret").unwrap();
    std::os::unix::fs::symlink("../secret.wasm", plugin.join("link.wasm")).unwrap();
    for name in ["../secret.wasm", "/etc/passwd", "link.wasm", "./../secret.wasm", "a\\b"] {
        let manifest = serde_json::json!({"name": "a", "wasm": name}).to_string();
        std::fs::write(plugin.join("manifest.json"), manifest).unwrap();
        assert_eq!(code(&plugin), ErrorCode::PackageManifestInvalid, "{name}");
    }
}

#[test]
fn what_is_too_large_missing_or_no_plugin_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let big = dir.path().join("big.wasm");
    std::fs::write(&big, [0; 1_001]).unwrap();
    assert_eq!(code(&big), ErrorCode::PackageModuleLimits);
    assert_eq!(code(&dir.path().join("none")), ErrorCode::PackageNotFound);
    let text = dir.path().join("readme.txt");
    std::fs::write(&text, "x").unwrap();
    assert_eq!(code(&text), ErrorCode::PackageModuleInvalid);
    assert_eq!(code(Path::new("/dev/null")), ErrorCode::PackageModuleInvalid);
}
