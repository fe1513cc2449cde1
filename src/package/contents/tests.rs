//! Rules of packages, over archives.

use super::*;
use crate::package::archive::{self, Limits};

fn contents(files: &[(&str, &str)]) -> Result<Contents> {
    let bytes = archive::write(files.iter().map(|(name, text)| (*name, text.as_bytes())), &Limits::default()).unwrap();
    let archive = Arc::new(Archive::read(bytes, &Limits::default()).unwrap());
    Contents::of(Arc::new(ArchiveFiles { archive, path: "test.zip".into() }))
}

fn refused(files: &[(&str, &str)]) -> &'static str {
    contents(files).unwrap_err().code().slug()
}

const MANIFEST: (&str, &str) = ("manifest.json", r#"{"name":"a","version":"1"}"#);

#[test]
fn a_minimal_package_is_a_manifest_and_a_module() {
    let package = contents(&[MANIFEST, ("x.wasm", "code"), ("lib/y.wasm", "other")]).unwrap();
    assert_eq!((package.runtime, package.module.as_deref()), (RuntimeKind::Wasm, Some("x.wasm")));
    assert_eq!(package.code(100).unwrap(), b"code");
    assert_eq!(package.code(3).unwrap_err().code(), ErrorCode::PackageModuleLimits);
    let named = [("plugin.yaml", "name: a\nwasm: lib/y.wasm"), ("x.wasm", "code"), ("lib/y.wasm", "other")];
    assert_eq!(contents(&named).unwrap().code(100).unwrap(), b"other");
}

#[test]
fn packages_that_leave_open_what_runs_are_refused() {
    for (files, slug) in [
        (&[("x.wasm", "")][..], "package.manifest_missing"),
        (&[("sub/plugin.yaml", "name: a"), ("x.wasm", "")], "package.manifest_missing"),
        (&[MANIFEST, ("plugin.yaml", "name: a"), ("x.wasm", "")], "package.manifest_missing"),
        (&[MANIFEST, ("x.wasm", ""), ("y.wasm", "")], "package.module_missing"),
        (&[MANIFEST, ("x.wasm", ""), ("Y.WASM", "")], "package.module_missing"),
        (&[("plugin.yaml", "name: a\nruntime: wasm"), ("lib/x.wasm", "")], "package.module_missing"),
        (&[("plugin.yaml", "name: a\nwasm: x.wasm")], "package.module_missing"),
        (&[("plugin.yaml", "name: a\nwasm: lib"), ("lib/x.wasm", "")], "package.module_missing"),
        (&[("plugin.yaml", "name: A")], "package.name_invalid"),
        (&[("plugin.yaml", "version: 1")], "package.manifest_invalid"),
        (
            &[("manifest.json", r#"{"name":"a","resources":{"permissions":[],"permissions":[]}}"#)],
            "package.manifest_invalid",
        ),
        (&[("manifest.json", r#"{"name":"a","resources":[{"x":1,"x":2}]}"#)], "package.manifest_invalid"),
        (&[("plugin.yaml", "name: a\nresources:\n  memory_mb: 1\n  memory_mb: 2")], "package.manifest_invalid"),
        (&[("plugin.yaml", "name: a\nruntime: template"), ("x.wasm", "")], "package.unexpected_code"),
        (&[("plugin.yaml", "name: a\nruntime: template"), ("assets/x.so", "")], "package.unexpected_code"),
        (&[("plugin.yaml", "name: a\nruntime: template\nwasm: x"), ("x", "")], "package.unexpected_code"),
        (&[("plugin.yaml", "name: a"), ("lib/x.wasm", "")], "package.unexpected_code"),
    ] {
        assert_eq!(refused(files), slug, "{files:?}");
    }
    let large = format!("name: a\n# {}", "x".repeat(MAX_MANIFEST_BYTES));
    assert_eq!(refused(&[("plugin.yaml", &large)]), "package.manifest_invalid");
}

#[test]
fn a_package_without_code_has_files_only() {
    let package =
        contents(&[MANIFEST, ("templates/a.html", "<p>"), ("assets/x/y.css", "p{}"), ("README", "")]).unwrap();
    assert_eq!((package.runtime, package.module.as_deref()), (RuntimeKind::Template, None));
    assert_eq!(package.code(0).unwrap(), b"");
    let assets = package.assets(100).unwrap();
    assert_eq!(assets.names().collect::<Vec<_>>(), ["assets/x/y.css", "templates/a.html"]);
    assert_eq!(assets.read("templates/a.html", 3).unwrap(), b"<p>");
    assert_eq!(assets.read("templates/a.html", 2).unwrap_err().code(), ErrorCode::PackageAssetTooLarge);
    for unknown in ["README", "manifest.json", "templates", "templates/../README", "/etc/passwd", ""] {
        assert_eq!(assets.read(unknown, 100).unwrap_err().code(), ErrorCode::PackageAssetNotFound, "{unknown}");
    }
}

#[test]
fn a_file_that_changed_since_is_not_handed_out() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("manifest.json"), MANIFEST.1).unwrap();
    std::fs::create_dir(path("assets")).unwrap();
    std::fs::write(path("assets/a"), "first").unwrap();
    let package = Contents::of(Arc::new(DirectoryFiles { root: directory.path().to_owned() })).unwrap();
    let assets = package.assets(100).unwrap();
    assert_eq!(assets.read("assets/a", 100).unwrap(), b"first");
    for other in ["other", "firs", "first and more"] {
        std::fs::write(path("assets/a"), other).unwrap();
        assert_eq!(assets.read("assets/a", 100).unwrap_err().code(), ErrorCode::PackageChanged, "{other}");
    }
    std::fs::remove_file(path("assets/a")).unwrap();
    assert_eq!(assets.read("assets/a", 100).unwrap_err().code(), ErrorCode::PackageChanged);
}
