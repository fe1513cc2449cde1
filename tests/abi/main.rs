//! The ABI: the header is what the code says, and its functions are documented.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use goatflow_plugin::capi::version::ABI_VERSION;
use goatflow_plugin::error::ErrorCode;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The header's beginning: what the generator can't know.
fn preamble() -> String {
    String::from(
        "/* The C API of goatflow-plugin. Generated from src/capi by `make header`: do not edit.
 *
 * Conventions
 * - Inputs are (pointer, length) in bytes; (NULL, 0) is empty. Text is UTF-8 and need not end in NUL.
 * - Functions that can fail return a status, 0 = success, and take `out_error` last, which may be NULL.
 * - Outputs are zeroed first and set on success only, so that releasing them is always right.
 * - Handles are values that the library looks up and never dereferences: a handle that was released, is of another type or
 *   never was one gives GOATFLOW_PLUGIN_STATUS_ARGUMENT_HANDLE. Every handle may be used from any thread.
 * - What the library hands out is released with the function that its documentation names; releasing NULL or twice does no
 *   harm. Objects may be released in any order.
 * - Callbacks run on the thread that made the call, or on a thread of the library; no lock is held while they run, and they
 *   may call the library. They must not unwind (C++ exceptions, longjmp).
 * - After fork(), the child can't use the library: everything gives GOATFLOW_PLUGIN_STATUS_ENVIRONMENT_FORKED.
 * - The library installs handlers for SIGSEGV, SIGILL and SIGFPE when the first plugin is loaded, which pass on what is not
 *   theirs; a program that installs its own handlers later must pass on what is not its own, or configure \"signals\": \"off\".
 *   It never changes the signal mask, the locale or the working directory, and stays mapped after dlclose().
 *
 * In short:
 *
 * ```c
 * const goatflow_plugin_manager *manager = NULL;
 * const goatflow_plugin_error *error = NULL;
 * goatflow_plugin_buffer name = {NULL, 0, 0}, answer = {NULL, 0, 0};
 *
 * if (goatflow_plugin_abi_check(GOATFLOW_PLUGIN_ABI_VERSION, &error) == GOATFLOW_PLUGIN_STATUS_OK &&
 *     goatflow_plugin_manager_new(NULL, 0, &manager, &error) == GOATFLOW_PLUGIN_STATUS_OK &&
 *     goatflow_plugin_manager_load(manager, \"plugin.wasm\", 11, NULL, 0, &name, &error) == GOATFLOW_PLUGIN_STATUS_OK &&
 *     goatflow_plugin_manager_call(manager, (const char *)name.data, name.len, \"hello\", 5, NULL, 0, NULL, &answer,
 *                                  &error) == GOATFLOW_PLUGIN_STATUS_OK) {
 *     fwrite(answer.data, 1, answer.len, stdout);
 * } else {
 *     fprintf(stderr, \"%s: %s\\n\", goatflow_plugin_error_code(error), goatflow_plugin_error_message(error));
 * }
 * goatflow_plugin_buffer_free(&answer);
 * goatflow_plugin_buffer_free(&name);
 * goatflow_plugin_error_free(error);
 * goatflow_plugin_manager_free(manager);
 * ```
 */",
    )
}

fn versions_and_statuses() -> String {
    let mut text = format!(
        "\n/** Version of the ABI that this header describes; hand it to goatflow_plugin_abi_check. */\n#define GOATFLOW_PLUGIN_ABI_VERSION {ABI_VERSION}\n/** Version of the library that this header came with. */\n#define GOATFLOW_PLUGIN_VERSION \"{}\"\n\n",
        env!("CARGO_PKG_VERSION")
    );
    text.push_str(
        "/**\n * Status numbers. Never changed, never reused; later versions may add some.\n */\nenum goatflow_plugin_status {\n    GOATFLOW_PLUGIN_STATUS_OK = 0,\n",
    );
    for code in ErrorCode::ALL {
        writeln!(text, "    GOATFLOW_PLUGIN_STATUS_{} = {},", code.constant_name(), code.number()).unwrap();
    }
    text.push_str("};\n");
    text
}

fn generated_header() -> String {
    let mut config = cbindgen::Config::from_file(root().join("cbindgen.toml")).unwrap();
    config.header = Some(preamble());
    config.after_includes = Some(versions_and_statuses());
    // The other files follow from the `mod` lines.
    let builder = cbindgen::Builder::new().with_config(config).with_src(root().join("src/capi/mod.rs"));
    let mut text = Vec::new();
    builder.generate().unwrap().write(&mut text);
    String::from_utf8(text).unwrap()
}

fn capi_files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(root().join("src/capi")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "rs") && !file.ends_with("tests.rs"));
    files.sort();
    files
}

fn compare_or_update(path: &Path, expected: &str) {
    if std::env::var_os("UPDATE_HEADER").is_some() {
        std::fs::write(path, expected).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(committed == expected, "{} is not current: run `make header`", path.display());
}

#[test]
fn header_is_current() {
    compare_or_update(&root().join("include/goatflow_plugin.h"), &generated_header());
}

#[test]
fn every_function_of_the_header_is_documented_in_full() {
    let mut functions = 0;
    for file in capi_files() {
        let text = std::fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            if !line.contains("extern \"C\" fn goatflow_plugin_") {
                continue;
            }
            functions += 1;
            let doc: Vec<&str> = lines[..index]
                .iter()
                .rev()
                .take_while(|line| line.starts_with("///") || line.starts_with("#["))
                .copied()
                .collect();
            for part in ["/// Parameters:", "/// Threads:", "/// Errors:", "/// Since: ABI 1."] {
                assert!(doc.iter().any(|line| line.starts_with(part)), "{}:{}: no `{part}`", file.display(), index + 1);
            }
            assert!(
                !line.contains("unsafe extern") || doc.contains(&"/// # Safety"),
                "{}:{}",
                file.display(),
                index + 1
            );
        }
    }
    assert_eq!(functions, exported_symbols().len());
}

/// Names of the exported functions, as committed.
fn exported_symbols() -> Vec<String> {
    std::fs::read_to_string(root().join("tests/abi/symbols.txt")).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn schemas_are_current() {
    let pretty = |schema| serde_json::to_string_pretty(&schema).unwrap() + "\n";
    compare_or_update(&root().join("schemas/config.schema.json"), &pretty(goatflow_plugin::manager::Config::schema()));
    compare_or_update(&root().join("schemas/policy.schema.json"), &pretty(goatflow_plugin::policy::document::schema()));
    let trust = goatflow_plugin::package::trust::TrustDocument::schema();
    compare_or_update(&root().join("schemas/trust.schema.json"), &pretty(trust));
}

#[test]
fn the_library_exports_its_functions_and_nothing_else() {
    let library = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root().join("target"), PathBuf::from)
        .join("dist/libgoatflow_plugin.so.1");
    let listed = std::process::Command::new("nm").args(["-D", "--defined-only"]).arg(&library).output().unwrap();
    assert!(listed.status.success(), "run `make build` first: {}", String::from_utf8_lossy(&listed.stderr));
    let listed = String::from_utf8(listed.stdout).unwrap();
    let mut symbols: Vec<&str> =
        listed.lines().filter_map(|line| line.split(' ').nth(2)).filter(|name| *name != "GOATFLOW_PLUGIN_1").collect();
    symbols.sort_unstable();
    let expected: Vec<String> = exported_symbols().iter().map(|name| format!("{name}@@GOATFLOW_PLUGIN_1")).collect();
    assert_eq!(symbols, expected);
}
