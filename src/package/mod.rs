//! Finds a plugin's code and manifest on disk and reads them, once: what was read is what is checked and runs.

pub mod files;
pub mod hex;
pub mod lock;
pub mod moment;
pub mod request;
pub mod signature;
pub mod trust;
pub mod version;

use std::io::Read;
use std::path::{Component, Path, PathBuf};

use crate::error::{Error, ErrorCode, Result};
use crate::plugin::manifest::MAX_MANIFEST_BYTES;
use crate::plugin::name::shorten;
use crate::plugin::{Artifact, Manifest, RuntimeKind};

/// Names of manifests; a directory has exactly one of them.
const MANIFESTS: [&str; 2] = ["plugin.yaml", "manifest.json"];

/// Reads the plugin at `path`: a `.wasm` file, or a directory with a manifest. A file larger than `max_code_bytes` is
/// refused before it is read.
pub fn open(path: &Path, max_code_bytes: usize) -> Result<Artifact> {
    let metadata = std::fs::metadata(path).map_err(|error| {
        let code = if error.kind() == std::io::ErrorKind::NotFound {
            ErrorCode::PackageNotFound
        } else {
            ErrorCode::EnvironmentIo
        };
        Error::new(code, format!("can't open the plugin `{}`", shown(path))).with_source(error)
    })?;
    if metadata.is_dir() {
        return open_directory(path, max_code_bytes);
    }
    let is_module = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("wasm"));
    if !is_module {
        return Err(Error::new(
            ErrorCode::PackageModuleInvalid,
            format!("`{}` is neither a directory nor a .wasm file", shown(path)),
        ));
    }
    Ok(Artifact { manifest: None, code: read(path, max_code_bytes)?, origin: shown(path) })
}

fn open_directory(directory: &Path, max_code_bytes: usize) -> Result<Artifact> {
    let manifest = read_manifest(directory)?;
    match manifest.runtime_kind()? {
        None | Some(RuntimeKind::Wasm) => {}
        Some(RuntimeKind::Process) => return Err(unsupported("native plugins (`runtime: grpc`)")),
        Some(RuntimeKind::Template) => return Err(unsupported("plugins without code (`runtime: template`)")),
    }
    let module = module_path(directory, &manifest)?;
    let code = read(&module, max_code_bytes)?;
    Ok(Artifact { manifest: Some(manifest), code, origin: shown(directory) })
}

fn read_manifest(directory: &Path) -> Result<Manifest> {
    let present: Vec<&str> = MANIFESTS.into_iter().filter(|name| directory.join(name).exists()).collect();
    let [name] = present[..] else {
        let problem = if present.is_empty() { "has no manifest" } else { "has two manifests" };
        return Err(Error::new(
            ErrorCode::PackageManifestMissing,
            format!("`{}` {problem} (exactly one of plugin.yaml and manifest.json)", shown(directory)),
        ));
    };
    let text = read(&directory.join(name), MAX_MANIFEST_BYTES)?;
    let manifest = if name.ends_with(".json") { Manifest::from_json(&text) } else { Manifest::from_yaml(&text) };
    manifest.map_err(|error| error.prefixed(&shown(&directory.join(name))))
}

/// The module that the manifest names, or the only `.wasm` file beside it.
fn module_path(directory: &Path, manifest: &Manifest) -> Result<PathBuf> {
    if !manifest.wasm.is_empty() {
        return inside(directory, &manifest.wasm);
    }
    let is_module = |path: &PathBuf| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("wasm"));
    let entries = std::fs::read_dir(directory).map_err(|error| io(directory, error))?;
    let mut modules: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_module).collect();
    match (modules.pop(), modules.is_empty()) {
        (Some(module), true) => Ok(module),
        (found, _) => Err(Error::new(
            ErrorCode::PackageModuleMissing,
            format!(
                "`{}` has {} .wasm file (name it in the manifest: `wasm: FILE`)",
                shown(directory),
                if found.is_none() { "no" } else { "more than one" }
            ),
        )),
    }
}

/// A path below `directory`; what would lead out of it is refused.
fn inside(directory: &Path, relative: &str) -> Result<PathBuf> {
    let plain = Path::new(relative).components().all(|component| matches!(component, Component::Normal(_)));
    if !plain || relative.contains(['\0', '\\']) {
        return Err(Error::new(
            ErrorCode::PackageManifestInvalid,
            format!("the manifest names the file `{}` outside the plugin's directory", shorten(relative, 100)),
        ));
    }
    let path = directory.join(relative);
    let (root, real) = (directory.canonicalize(), path.canonicalize());
    match (root, real) {
        (Ok(root), Ok(real)) if real.starts_with(&root) => Ok(real),
        (Ok(_), Ok(_)) => Err(Error::new(
            ErrorCode::PackageManifestInvalid,
            format!("`{}` is a link that leads out of the plugin's directory", shorten(relative, 100)),
        )),
        _ => Err(Error::new(
            ErrorCode::PackageModuleMissing,
            format!("the manifest names `{}`, which is not there (build the plugin?)", shorten(relative, 100)),
        )),
    }
}

/// Reads a regular file of bounded size. Anything else (a pipe, a device) could block or never end.
fn read(path: &Path, max_bytes: usize) -> Result<Vec<u8>> {
    let metadata = std::fs::metadata(path).map_err(|error| io(path, error))?;
    if !metadata.is_file() {
        return Err(Error::new(ErrorCode::PackageModuleInvalid, format!("`{}` is not a regular file", shown(path))));
    }
    let file = std::fs::File::open(path).map_err(|error| io(path, error))?;
    let mut bytes = Vec::new();
    file.take(max_bytes as u64 + 1).read_to_end(&mut bytes).map_err(|error| io(path, error))?;
    if bytes.len() > max_bytes {
        return Err(Error::new(
            ErrorCode::PackageModuleLimits,
            format!("`{}` is larger than {max_bytes} bytes", shown(path)),
        ));
    }
    Ok(bytes)
}

fn io(path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorCode::EnvironmentIo, format!("can't read `{}`", shown(path))).with_source(error)
}

/// A path for a message; paths come from outside and may be long.
fn shown(path: &Path) -> String {
    shorten(&path.display().to_string(), 300)
}

fn unsupported(what: &str) -> Error {
    Error::new(ErrorCode::PackageRuntimeUnsupported, format!("this version does not run {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(path: &Path) -> ErrorCode {
        open(path, 1_000).unwrap_err().code()
    }

    #[test]
    fn a_directory_is_read_as_its_manifest_says() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        assert_eq!(code(path), ErrorCode::PackageManifestMissing);
        std::fs::write(path.join("manifest.json"), r#"{"name":"a"}"#).unwrap();
        assert_eq!(code(path), ErrorCode::PackageModuleMissing);
        std::fs::write(path.join("x.wasm"), b"code").unwrap();
        assert_eq!(open(path, 1_000).unwrap().code, b"code");
        std::fs::write(path.join("y.wasm"), b"other").unwrap();
        assert_eq!(code(path), ErrorCode::PackageModuleMissing);
        std::fs::write(path.join("manifest.json"), r#"{"name":"a","wasm":"y.wasm"}"#).unwrap();
        assert_eq!(open(path, 1_000).unwrap().code, b"other");
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
}
