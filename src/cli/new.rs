//! `new`: a plugin that builds and runs, with its SDK beside it.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use goatflow_plugin::error::{Error, ErrorCode, Result};
use goatflow_plugin::plugin::name::check_name;

use crate::print_line;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Name of the plugin, and of the directory that is made for it.
    name: String,
    /// Language to write it in.
    #[arg(long, value_enum, default_value_t = Language::Go)]
    lang: Language,
    /// Make a program of its own that runs in a jail, not a WebAssembly module.
    #[arg(long)]
    native: bool,
    /// Directory to make it in.
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Language {
    /// Go 1.26 or newer.
    Go,
    /// C, with clang and lld.
    C,
    /// Python 3.9 or newer; native only.
    Python,
}

/// Where the SDK for Go says it is, and where a new plugin has its copy.
///
/// With the quotation mark of an import: generated code has the path elsewhere, too, as part of what is measured.
const GO_SDK_PATH: &str = "\"github.com/goatkit/goatflow-plugin/bindings/plugin-go";
const GO_COPY_PATH: &str = "\"example.com/plugin/internal/goatflow";

/// A file of a new plugin: its path and its text, in which `{{name}}` stands for the plugin's name.
type File = (&'static str, &'static str);

const GO: &[File] = &[
    (".gitignore", include_str!("templates/go/.gitignore")),
    ("Makefile", include_str!("templates/go/Makefile")),
    ("README.md", include_str!("templates/go/README.md")),
    ("go.mod", include_str!("templates/go/go.mod")),
    ("main.go", include_str!("templates/go/main.go")),
    ("main_test.go", include_str!("templates/go/main_test.go")),
    ("plugin.yaml", include_str!("templates/go/plugin.yaml")),
];

const GO_NATIVE: &[File] = &[
    (".gitignore", include_str!("templates/go-native/.gitignore")),
    ("Makefile", include_str!("templates/go-native/Makefile")),
    ("README.md", include_str!("templates/go-native/README.md")),
    ("go.mod", include_str!("templates/go-native/go.mod")),
    ("main.go", include_str!("templates/go-native/main.go")),
    ("main_test.go", include_str!("templates/go-native/main_test.go")),
    ("plugin.yaml", include_str!("templates/go-native/plugin.yaml")),
];

const PYTHON: &[File] = &[
    (".gitignore", include_str!("templates/python/.gitignore")),
    ("Makefile", include_str!("templates/python/Makefile")),
    ("README.md", include_str!("templates/python/README.md")),
    ("main.py", include_str!("templates/python/main.py")),
    ("plugin.yaml", include_str!("templates/python/plugin.yaml")),
    ("policy.json.in", include_str!("templates/python/policy.json.in")),
    ("requirements.txt", include_str!("../../bindings/plugin-python/requirements.txt")),
    ("goatflow_plugin_sdk/__init__.py", include_str!("../../bindings/plugin-python/goatflow_plugin_sdk/__init__.py")),
    ("goatflow_plugin_sdk/_messages.py", include_str!("../../bindings/plugin-python/goatflow_plugin_sdk/_messages.py")),
    ("goatflow_plugin_sdk/_plugin.py", include_str!("../../bindings/plugin-python/goatflow_plugin_sdk/_plugin.py")),
    ("goatflow_plugin_sdk/_serve.py", include_str!("../../bindings/plugin-python/goatflow_plugin_sdk/_serve.py")),
    ("goatflow_plugin_sdk/_services.py", include_str!("../../bindings/plugin-python/goatflow_plugin_sdk/_services.py")),
    ("goatflow_plugin_sdk/_wire.py", include_str!("../../bindings/plugin-python/goatflow_plugin_sdk/_wire.py")),
];

/// The SDK for Go, which a new plugin gets a copy of.
const GO_SDK: &[File] = &[
    ("internal/goatflow/abi_native.go", include_str!("../../bindings/plugin-go/abi_native.go")),
    ("internal/goatflow/abi_wasip1.go", include_str!("../../bindings/plugin-go/abi_wasip1.go")),
    ("internal/goatflow/error.go", include_str!("../../bindings/plugin-go/error.go")),
    ("internal/goatflow/host.go", include_str!("../../bindings/plugin-go/host.go")),
    ("internal/goatflow/plugin.go", include_str!("../../bindings/plugin-go/plugin.go")),
    ("internal/goatflow/registration.go", include_str!("../../bindings/plugin-go/registration.go")),
    ("internal/goatflow/internal/bridge/bridge.go", include_str!("../../bindings/plugin-go/internal/bridge/bridge.go")),
];

/// The half of it that native plugins need besides.
const GO_NATIVE_SDK: &[File] = &[
    ("go.sum", include_str!("../../bindings/plugin-go/native/go.sum")),
    ("internal/goatflow/native/doc.go", include_str!("../../bindings/plugin-go/native/doc.go")),
    ("internal/goatflow/native/options.go", include_str!("../../bindings/plugin-go/native/options.go")),
    ("internal/goatflow/native/serve.go", include_str!("../../bindings/plugin-go/native/serve.go")),
    ("internal/goatflow/native/serve_wasip1.go", include_str!("../../bindings/plugin-go/native/serve_wasip1.go")),
    ("internal/goatflow/native/server.go", include_str!("../../bindings/plugin-go/native/server.go")),
    (
        "internal/goatflow/native/pluginv1/plugin.pb.go",
        include_str!("../../bindings/plugin-go/native/pluginv1/plugin.pb.go"),
    ),
    (
        "internal/goatflow/native/pluginv1/plugin_grpc.pb.go",
        include_str!("../../bindings/plugin-go/native/pluginv1/plugin_grpc.pb.go"),
    ),
];

const C: &[File] = &[
    (".gitignore", include_str!("templates/c/.gitignore")),
    ("Makefile", include_str!("templates/c/Makefile")),
    ("README.md", include_str!("templates/c/README.md")),
    ("plugin.c", include_str!("templates/c/plugin.c")),
    ("plugin.yaml", include_str!("templates/c/plugin.yaml")),
    ("goatflow_guest.h", include_str!("../../bindings/plugin-c/goatflow_guest.h")),
];

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    check_name(&arguments.name)?;
    let root = arguments.dir.join(&arguments.name);
    if root.exists() {
        return Err(Error::new(ErrorCode::ArgumentInvalid, format!("`{}` exists already", root.display())));
    }
    for (path, text) in files(arguments.lang, arguments.native)?.iter().copied().flatten() {
        write(&root.join(path), &text.replace("{{name}}", &arguments.name).replace(GO_SDK_PATH, GO_COPY_PATH))?;
    }
    let policy = if matches!(arguments.lang, Language::Python) {
        format!("--policy {}/policy.json ", root.display())
    } else {
        String::new()
    };
    print_line(&format!(
        "made {0}\nnext: make -C {0} && goatflow-plugin run {policy}{0} hello '{{\"name\":\"Ada\"}}'",
        root.display()
    ))
}

fn files(language: Language, native: bool) -> Result<&'static [&'static [File]]> {
    match (language, native) {
        (Language::Go, false) => Ok(&[GO, GO_SDK]),
        (Language::Go, true) => Ok(&[GO_NATIVE, GO_SDK, GO_NATIVE_SDK]),
        (Language::C, false) => Ok(&[C]),
        (Language::Python, _) => Ok(&[PYTHON]),
        (Language::C, true) => Err(Error::new(
            ErrorCode::ArgumentInvalid,
            "there is no template for native plugins in C (use Go or Python)",
        )),
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    let written = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(path, text));
    written.map_err(|error| {
        Error::new(ErrorCode::EnvironmentIo, format!("can't write `{}`", path.display())).with_source(error)
    })
}
