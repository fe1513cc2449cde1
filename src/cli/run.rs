//! `run`: loads a plugin and calls one of its functions.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use goatflow_plugin::error::{Error, ErrorCode, Result};
use goatflow_plugin::host::log::LogFilter;
use goatflow_plugin::manager::{CallOptions, Config, Manager};
use serde_json::{Value, json};

use crate::HostOptions;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Plugin directory, package or .wasm file.
    plugin: PathBuf,
    /// Function to call.
    function: String,
    /// Arguments for the function, JSON by convention.
    arguments: Option<String>,
    #[command(flatten)]
    host: HostOptions,
    /// Longest time for the call in milliseconds; the plugin's policy may be stricter.
    #[arg(long, default_value_t = 0)]
    timeout_ms: u64,
    /// Do not show the plugin's log on standard error.
    #[arg(long)]
    quiet: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let (manager, name) = load(&arguments.plugin, &arguments.host)?;
    let options = CallOptions { timeout_ms: arguments.timeout_ms, ..CallOptions::default() };
    let input = arguments.arguments.as_deref().unwrap_or_default();
    let mut answer = Vec::new();
    let outcome = manager.call(&name, &arguments.function, input.as_bytes(), &options, &mut |bytes| {
        answer = bytes.to_vec();
        Ok(())
    });
    if !arguments.quiet {
        show_log(&manager);
    }
    outcome?;
    manager.shut_down(Duration::from_secs(5))?;
    answer.push(b'\n');
    io::stdout().write_all(&answer).or_else(crate::ignore_closed_pipe)
}

/// A manager with the database and policy of the options, and the plugin loaded into it.
pub(crate) fn load(plugin: &Path, host: &HostOptions) -> Result<(Arc<Manager>, Arc<str>)> {
    let mut config = json!({});
    if let Some(path) = &host.database {
        if !path.exists() {
            return Err(Error::new(ErrorCode::ArgumentInvalid, format!("there is no database `{}`", path.display())));
        }
        config["database"] = json!({ "sqlite": { "path": path } });
    }
    if let Some(path) = &host.trust {
        config["packages"] = json!({ "trust_file": path });
    }
    let manager = Manager::new(Config::parse(config.to_string().as_bytes())?)?;
    let policy = host.policy.as_deref().map(read_policy).transpose()?;
    // What a native plugin starts with must be known before it does.
    let named = policy.as_deref().and_then(plugin_name);
    if let (Some(text), Some(name)) = (&policy, &named) {
        manager.set_policy(name, text, None)?;
    }
    let name = manager.load(plugin)?;
    if let Some(text) = policy.filter(|_| named.as_deref() != Some(&*name)) {
        manager.set_policy(&name, &text, None)?;
    }
    Ok((manager, name))
}

fn read_policy(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| {
        Error::new(ErrorCode::EnvironmentIo, format!("can't read `{}`", path.display())).with_source(error)
    })
}

/// The plugin that a policy document is for, if it says so.
pub(crate) fn plugin_name(document: &[u8]) -> Option<String> {
    let document: Value = serde_json::from_slice(document).ok()?;
    Some(document.get("plugin_name")?.as_str()?.to_owned())
}

fn show_log(manager: &Manager) {
    let lines = manager.logs(&LogFilter::default());
    for line in lines.as_array().into_iter().flatten().rev() {
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        // The log is a service to people; a closed standard error must not fail the call.
        let _ =
            writeln!(io::stderr(), "{} {:5} {}: {}", text("timestamp"), text("level"), text("plugin"), text("message"));
    }
}
