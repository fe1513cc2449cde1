//! What `policy` prints for people. Texts that came from plugins or files are made harmless: they end up in a terminal.

use goatflow_plugin::policy::wording::harmless;
use serde_json::Value;

use crate::policy::document_text;

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| harmless(&value.to_string()), harmless)
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// `{"plugin", "revision"}`
pub(crate) fn changed(value: &Value) -> String {
    match value["revision"].as_u64() {
        Some(0) => format!("{}: no policy is stored now, the default grant is in force", text(&value["plugin"])),
        _ => format!("{}: stored as revision {}", text(&value["plugin"]), value["revision"]),
    }
}

/// One stored policy, or a list of them.
pub(crate) fn policies(value: &Value) -> String {
    match value.as_array() {
        Some(all) if all.is_empty() => "no policies are stored".to_owned(),
        Some(all) => all.iter().map(one_line).collect::<Vec<_>>().join("\n"),
        None => one_policy(value),
    }
}

fn state(value: &Value) -> String {
    match (&value["stored"], value["report"]["valid"] == true) {
        (Value::Null, _) => "default grant".to_owned(),
        (_, false) => "BLOCKED: the stored policy can't be read".to_owned(),
        (stored, true) => stored["status"].as_str().map_or_else(|| "pending_review".to_owned(), harmless),
    }
}

fn one_line(value: &Value) -> String {
    let enabled = if value["enabled"] == true { "enabled" } else { "disabled" };
    format!("{:32} revision {:<6} {:9} {}", text(&value["plugin"]), value["revision"], enabled, state(value))
}

fn one_policy(value: &Value) -> String {
    let mut lines = vec![one_line(value)];
    if !value["stored"].is_null() {
        lines.push(document_text(&value["stored"]));
        lines.extend(findings(&value["report"]));
    }
    lines.join("\n")
}

fn findings(report: &Value) -> Vec<String> {
    let line = |kind: &'static str| {
        move |finding: &Value| {
            let path = text(&finding["path"]);
            let place = if path.is_empty() { "the document".to_owned() } else { path };
            format!("  {kind}: {place} {}", text(&finding["message"]))
        }
    };
    items(&report["problems"]).map(line("problem")).chain(items(&report["warnings"]).map(line("warning"))).collect()
}

/// What `validate` found.
pub(crate) fn report(report: &Value) -> String {
    let head = if report["valid"] == true { "the policy document is valid" } else { "the policy document is refused" };
    let mut lines = vec![head.to_owned()];
    lines.extend(findings(report));
    lines.join("\n")
}

/// A suggestion: what it adds and why, what it leaves out and why, and the document.
pub(crate) fn suggestion(value: &Value) -> String {
    let mut lines = Vec::new();
    let new: Vec<&Value> = items(&value["lines"]).filter(|line| line["new"] == true).collect();
    if new.is_empty() {
        lines.push(format!("{}: nothing to add, based on revision {}", text(&value["plugin"]), value["revision"]));
    } else {
        lines.push(format!("{}: to add, based on revision {}", text(&value["plugin"]), value["revision"]));
    }
    for line in new {
        let mark = if line["sensitive"] == true { "! sensitive" } else { "+" };
        lines.push(format!("  {mark} {}", harmless(&line["entry"].to_string())));
        lines.extend(items(&line["evidence"]).map(evidence));
    }
    if items(&value["left_out"]).next().is_some() {
        lines.push("left out".to_owned());
    }
    for line in items(&value["left_out"]) {
        lines.push(format!("  - {}", harmless(&line["entry"].to_string())));
        lines.push(format!("      {}", text(&line["reason"])));
        lines.extend(items(&line["evidence"]).map(evidence));
    }
    lines.push("document".to_owned());
    lines.push(document_text(&value["document"]));
    lines.join("\n")
}

fn evidence(line: &Value) -> String {
    let kind = text(&line["kind"]);
    match line["count"].as_u64() {
        Some(count) => {
            let (function, first, last) =
                (text(&line["function"]), text(&line["first_seen"]), text(&line["last_seen"]));
            format!("      {kind} {count} times by {function}, {first} to {last}")
        }
        None => format!("      {kind}"),
    }
}

/// The answer of `check`.
pub(crate) fn verdict(value: &Value) -> String {
    if value["allow"] == true {
        return "allowed".to_owned();
    }
    let mut lines = vec![format!("refused [{}] {}", text(&value["code"]), text(&value["reason"]))];
    for (name, title) in
        [("rule", "rule"), ("target", "target"), ("suggestion", "would allow it"), ("no_suggestion", "no way")]
    {
        if let Some(found) = value.get(name) {
            lines.push(format!("  {title}: {}", text(found)));
        }
    }
    lines.join("\n")
}

/// The record of changes.
pub(crate) fn history(value: &Value) -> String {
    let row = |row: &Value| {
        format!(
            "{:>6}  {}  {:24} {:9} revision {:<5} {}",
            row["seq"].to_string(),
            text(&row["time"]),
            text(&row["plugin"]),
            text(&row["action"]),
            row["revision"].to_string(),
            text(&row["actor"]),
        )
    };
    let mut lines: Vec<String> = items(&value["rows"]).map(row).collect();
    lines.push(match value["first_broken"].as_u64() {
        None => "the record is whole".to_owned(),
        Some(seq) => format!("THE RECORD IS BROKEN at row {seq}: it or the rows before it were changed or removed"),
    });
    lines.join("\n")
}
