//! `inspect`: what a plugin registers, what it asks for in words, and what it would get.

use std::path::PathBuf;

use goatflow_plugin::error::Result;
use serde_json::{Value, json};

use crate::{HostOptions, pretty, print_line, run};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Plugin directory, package or .wasm file.
    plugin: PathBuf,
    #[command(flatten)]
    host: HostOptions,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let (manager, name) = run::load(&arguments.plugin, &arguments.host)?;
    let report = json!({
        "plugin": manager.list()[0],
        "registration": manager.registration(&name)?,
        "requested": manager.requested(&name)?,
        "policy": manager.policy(&name)?,
    });
    if arguments.json {
        return print_line(&report.to_string());
    }
    print_line(&in_words(&report))
}

fn in_words(report: &Value) -> String {
    let plugin = &report["plugin"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut lines = vec![
        format!("{} {}", text(&plugin["name"]), text(&plugin["version"])),
        format!("  {}", text(&plugin["description"])),
    ];
    lines.extend(program(&plugin["process"]));
    lines.extend([String::new(), "Registers".to_owned()]);
    for (what, title) in [
        ("routes", "path"),
        ("widgets", "title"),
        ("menu_items", "label"),
        ("jobs", "schedule"),
        ("templates", "name"),
        ("error_codes", "code"),
    ] {
        for item in report["registration"][what].as_array().into_iter().flatten() {
            let handler = item["handler"].as_str().map_or_else(String::new, |handler| format!(" → {handler}"));
            lines.push(format!("  {:12} {}{handler}", what.trim_end_matches('s'), text(&item[title])));
        }
    }
    lines.extend([String::new(), "Asks for".to_owned()]);
    lines.extend(requests(&report["requested"]));
    lines.extend([String::new(), "Warnings".to_owned()]);
    let warnings: Vec<String> =
        plugin["warnings"].as_array().into_iter().flatten().map(|w| format!("  {}", text(w))).collect();
    lines.extend(if warnings.is_empty() { vec!["  none".to_owned()] } else { warnings });
    lines.extend([String::new(), "In force".to_owned(), indent(&pretty(&report["policy"]["effective"]))]);
    lines.join("\n")
}

/// What a native plugin is, in one line, and what its isolation lacks; nothing for a module.
fn program(process: &Value) -> Vec<String> {
    let isolation = &process["isolation"];
    let (Some(protocol), Some(layers)) = (process["protocol"].as_str(), isolation["layers"].as_array()) else {
        return Vec::new();
    };
    let image = layers.iter().find(|layer| layer["name"] == "image");
    let kind = image.and_then(|layer| layer["fact"].as_str()).unwrap_or("dynamic");
    let level = &isolation["level"];
    let mut lines = vec![format!("  a program ({kind}) that speaks {protocol}, isolated at level {level} of 4")];
    for layer in layers.iter().filter(|layer| layer["state"] != "ok") {
        let text = |key: &str| layer[key].as_str().unwrap_or_default();
        lines.push(format!("    {} {}: {}", text("name"), text("state"), text("reason")));
        lines.extend(layer["remedy"].as_str().map(|remedy| format!("      to do: {remedy}")));
    }
    lines
}

fn requests(requested: &Value) -> Vec<String> {
    let permissions: Vec<String> = requested["permissions"].as_array().into_iter().flatten().map(sentence).collect();
    let mut lines = if permissions.is_empty() { vec!["  no permissions".to_owned()] } else { permissions };
    if let Some(memory) = requested["memory_mb"].as_u64() {
        lines.push(format!("  {memory} MiB of memory"));
    }
    lines
}

/// A permission as an administrator would say it.
fn sentence(permission: &Value) -> String {
    let kind = permission["type"].as_str().unwrap_or_default();
    let access = permission["access"].as_str().unwrap_or_default();
    let scope: Vec<&str> = permission["scope"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let verb = match access {
        "read" => "read",
        "write" => "write",
        "readwrite" => "read and write",
        _ => "use",
    };
    let targets = if scope.is_empty() { "nothing named".to_owned() } else { scope.join(", ") };
    match kind {
        "db" => format!("  {verb} database tables: {targets}"),
        "cache" => format!("  {verb} its own cache"),
        "http" => format!("  send HTTP requests to: {targets}"),
        "email" => format!("  send e-mail to: {targets}"),
        "config" => format!("  read configuration: {targets}"),
        "plugin_call" => format!("  call plugins: {targets}"),
        other => format!("  {verb} {other}: {targets}"),
    }
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_isolation_lacks_is_told() {
        let layers = json!([
            {"name": "image", "state": "ok", "fact": "static, sealed"},
            {"name": "memory", "state": "missing", "reason": "no group", "remedy": "delegate one"},
            {"name": "landlock", "state": "reduced", "reason": "version 3"},
        ]);
        let process = json!({"protocol": "grpc", "isolation": {"level": 3, "layers": layers}});
        let expected = [
            "  a program (static, sealed) that speaks grpc, isolated at level 3 of 4",
            "    memory missing: no group",
            "      to do: delegate one",
            "    landlock reduced: version 3",
        ];
        assert_eq!(program(&process), expected);
        assert_eq!(program(&Value::Null), Vec::<String>::new());
    }
}
