//! `package`: installed packages.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use goatflow_plugin::error::{Error, ErrorCode, Result};
use goatflow_plugin::manager::{Config, Manager};
use goatflow_plugin::package::store::Step;
use goatflow_plugin::plugin::name::shorten;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use crate::verify::Signers;
use crate::{conclude, pretty};

/// How often the progress indicator moves.
const TICK: Duration = Duration::from_millis(100);

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Tell what a package holds and whether it would be accepted; changes nothing.
    Inspect {
        /// Package.
        file: PathBuf,
        #[command(flatten)]
        signers: Signers,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Install a package; runs nothing of it.
    Install {
        /// Package.
        file: PathBuf,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        signers: Signers,
        /// Take a release that is older, or worse signed, than one that was accepted before.
        #[arg(long)]
        allow_downgrade: bool,
        /// Approve what it asks for beyond what was approved.
        #[arg(long)]
        approve: bool,
    },
    /// List installed packages.
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Go back to the previous version.
    Rollback {
        /// Name of the package.
        name: String,
        #[command(flatten)]
        place: Place,
    },
    /// Remove a package, or one version of it.
    Remove {
        /// Name of the package.
        name: String,
        /// Version to remove.
        #[arg(long, value_name = "VERSION")]
        version: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Approve what the waiting version asks for.
    Approve {
        /// Name of the package.
        name: String,
        /// Approve this version, and no other that came since.
        #[arg(long, value_name = "VERSION")]
        only: Option<String>,
        #[command(flatten)]
        place: Place,
    },
}

/// Where packages are, and how to answer.
#[derive(clap::Args)]
pub(crate) struct Place {
    /// Directory of installed packages.
    #[arg(long, value_name = "DIR", default_value = "plugins")]
    dir: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// A sign of life on a terminal, while something takes long.
pub(crate) struct Progress(Option<ProgressBar>);

impl Progress {
    pub(crate) fn start(what: &'static str) -> Self {
        if !io::stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::new_spinner().with_message(what);
        bar.enable_steady_tick(TICK);
        Self(Some(bar))
    }

    fn step(&self, what: &'static str) {
        if let Some(bar) = &self.0 {
            bar.set_message(what);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

pub(crate) fn run(command: &Command) -> Result<ExitCode> {
    match command {
        Command::Inspect { file, signers, json } => {
            let manager = manager(None, Some(signers))?;
            let _progress = Progress::start("checking");
            conclude(manager.inspect_package(file), *json, pretty)
        }
        Command::Install { file, place, signers, allow_downgrade, approve } => {
            let options = json!({ "allow_downgrade": allow_downgrade, "approve": approve }).to_string();
            let manager = manager(Some(place), Some(signers))?;
            let progress = Progress::start("checking");
            let report = |step| {
                progress.step(match step {
                    Step::Checking => "checking",
                    Step::Writing => "writing files",
                    Step::Recording => "recording",
                });
            };
            let result = manager.install_package(file, options.as_bytes(), &report);
            drop(progress);
            conclude(result, place.json, |report| in_words(report, &place.dir))
        }
        Command::List { place } => conclude(manager(Some(place), None)?.packages(), place.json, list_in_words),
        Command::Rollback { name, place } => {
            conclude(manager(Some(place), None)?.roll_back_package(name), place.json, |report| {
                in_words(report, &place.dir)
            })
        }
        Command::Remove { name, version, place } => {
            let removed = manager(Some(place), None)?.remove_package(name, version.as_deref());
            conclude(removed, place.json, |report| in_words(report, &place.dir))
        }
        Command::Approve { name, only, place } => {
            let approved = manager(Some(place), None)?.approve_package(name, only.as_deref());
            conclude(approved, place.json, |report| in_words(report, &place.dir))
        }
    }
}

fn manager(place: Option<&Place>, signers: Option<&Signers>) -> Result<Arc<Manager>> {
    let mut packages = json!({});
    if let Some(place) = place {
        packages["directory"] = path(&place.dir)?;
    }
    if let Some(signers) = signers {
        packages["keys"] = json!(signers.key);
        packages["signatures"] = json!(if signers.require_signature { "required" } else { "optional" });
        if let Some(trust) = &signers.trust {
            packages["trust_file"] = path(trust)?;
        }
    }
    Manager::new(Config::parse(json!({ "packages": packages }).to_string().as_bytes())?)
}

fn path(path: &Path) -> Result<Value> {
    path.to_str().map(Value::from).ok_or_else(|| Error::new(ErrorCode::ArgumentUtf8, "a path is not UTF-8"))
}

fn in_words(report: &Value, directory: &Path) -> String {
    let name = report["name"].as_str().unwrap_or_default();
    let change = report["change"].as_str().unwrap_or_default().replace('_', " ");
    let current = report["current"].as_str().map_or_else(String::new, |version| format!(", current version {version}"));
    let mut lines = vec![format!("{name}: {change}{current}")];
    let beyond: Vec<&str> =
        report["needs_approval"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if !beyond.is_empty() {
        let version = report["pending"].as_str().unwrap_or_default();
        lines.push(format!("version {version} waits: it asks for more"));
        lines.extend(beyond.into_iter().map(|line| format!("  {}", shorten(line, 600))));
        let (key, directory) = (report["installed"].as_str().unwrap_or(version), directory.display());
        lines.push(format!("approve it with: goatflow-plugin package approve {name} --only {key} --dir {directory}"));
    }
    lines.join("\n")
}

fn list_in_words(report: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let line = |package: &Value| {
        let [name, current, previous, pending] =
            ["name", "current", "previous", "pending"].map(|field| text(&package[field]));
        format!("{name} {current} (previous {previous}, waiting {pending})")
    };
    let lines: Vec<String> = report.as_array().into_iter().flatten().map(line).collect();
    if lines.is_empty() { "nothing is installed".to_owned() } else { lines.join("\n") }
}
