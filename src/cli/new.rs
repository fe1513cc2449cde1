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
}

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
    ("internal/goatflow/abi_native.go", include_str!("../../bindings/plugin-go/abi_native.go")),
    ("internal/goatflow/abi_wasip1.go", include_str!("../../bindings/plugin-go/abi_wasip1.go")),
    ("internal/goatflow/error.go", include_str!("../../bindings/plugin-go/error.go")),
    ("internal/goatflow/host.go", include_str!("../../bindings/plugin-go/host.go")),
    ("internal/goatflow/plugin.go", include_str!("../../bindings/plugin-go/plugin.go")),
    ("internal/goatflow/registration.go", include_str!("../../bindings/plugin-go/registration.go")),
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
    let files = match arguments.lang {
        Language::Go => GO,
        Language::C => C,
    };
    for (path, text) in files {
        write(&root.join(path), &text.replace("{{name}}", &arguments.name))?;
    }
    print_line(&format!(
        "made {0}\nnext: make -C {0} && goatflow-plugin run {0} hello '{{\"name\":\"Ada\"}}'",
        root.display()
    ))
}

fn write(path: &Path, text: &str) -> Result<()> {
    let written = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(path, text));
    written.map_err(|error| {
        Error::new(ErrorCode::EnvironmentIo, format!("can't write `{}`", path.display())).with_source(error)
    })
}
