//! `pack`: makes a package of a directory.

use std::path::PathBuf;

use goatflow_plugin::error::{Error, ErrorCode, Result};
use goatflow_plugin::package::archive::{self, Limits};
use goatflow_plugin::package::{Gate, files, hex};
use serde_json::json;

use crate::package::Progress;
use crate::print_line;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Directory with plugin.yaml or manifest.json.
    directory: PathBuf,
    /// Package to write; otherwise NAME-VERSION.zip in the current directory.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if !arguments.directory.is_dir() {
        let directory = arguments.directory.display();
        return Err(Error::new(ErrorCode::PackageNotFound, format!("`{directory}` is not a directory")));
    }
    let progress = Progress::start("packing");
    let bytes = archive::pack(&arguments.directory, &Limits::default())?;
    // What would be refused is not handed out.
    let gate = Gate::default();
    let package = gate.checked_package(gate.admit_bytes(bytes, None, None)?, &arguments.directory)?;
    let manifest = &package.contents.manifest;
    let output =
        arguments.output.clone().unwrap_or_else(|| format!("{}-{}.zip", manifest.name, manifest.version).into());
    files::replace(&output, &package.admitted.bytes, 0o644)?;
    drop(progress);
    let (file, sha256) = (output.display().to_string(), hex::encode(package.admitted.verified.sha256()));
    if arguments.json {
        let report = json!({
            "package": file, "name": manifest.name, "version": manifest.version, "sha256": sha256,
            "size": package.admitted.bytes.len(), "entries": package.archive.entries().len(),
        });
        return print_line(&report.to_string());
    }
    print_line(&format!("{file}: {} {}, sha256 {sha256}", manifest.name, manifest.version))
}
