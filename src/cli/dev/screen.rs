//! What `dev` prints: sentences for people, or one JSON object per line for programs.

use std::io::{self, IsTerminal, Write};

use goatflow_plugin::plugin::name::is_unprintable;
use serde_json::{Map, Value, json};

/// Characters of a line that are shown to people.
const MAX_LINE_CHARS: usize = 4_000;

/// Where and how to print.
#[derive(Clone, Copy)]
pub(super) struct Screen {
    is_json: bool,
    has_colours: bool,
}

/// How a line looks.
#[derive(Clone, Copy)]
pub(super) enum Tone {
    Plain,
    Good,
    Bad,
    Faint,
}

impl Screen {
    pub(super) fn new(is_json: bool) -> Self {
        let is_wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { is_json, has_colours: is_wanted && !is_json && io::stdout().is_terminal() }
    }

    pub(super) fn is_json(self) -> bool {
        self.is_json
    }

    /// Prints a message: `kind` and `facts` for programs, `words` for people.
    pub(super) fn say(self, kind: &str, facts: Value, tone: Tone, words: &str) {
        let line = if self.is_json {
            let mut object = if let Value::Object(fields) = facts { fields } else { Map::new() };
            object.insert("kind".into(), kind.into());
            Value::Object(object).to_string()
        } else {
            let words = words.lines().map(harmless).collect::<Vec<_>>().join("\n");
            match (self.has_colours, tone) {
                (true, Tone::Good) => format!("\x1b[32m{words}\x1b[0m"),
                (true, Tone::Bad) => format!("\x1b[31m{words}\x1b[0m"),
                (true, Tone::Faint) => format!("\x1b[2m{words}\x1b[0m"),
                _ => words,
            }
        };
        // Whoever reads may have gone away; plugins are worked on all the same.
        let _ = writeln!(io::stdout(), "{line}");
    }

    pub(super) fn error(self, what: &str, error: &Value) {
        let message = error["message"].as_str().unwrap_or_default();
        let code = error["code"].as_str().unwrap_or_default();
        self.say("error", json!({ "what": what, "error": error }), Tone::Bad, &format!("{what}: {message} [{code}]"));
    }
}

/// A line as a terminal may have it: nothing in it moves the cursor or changes the direction of text.
fn harmless(line: &str) -> String {
    let mut out = String::new();
    for (index, character) in line.chars().enumerate() {
        match character {
            _ if index == MAX_LINE_CHARS => {
                out.push('…');
                break;
            }
            '\t' => out.push_str("    "),
            _ if is_unprintable(character) => out.extend(character.escape_default()),
            _ => out.push(character),
        }
    }
    out
}

/// What differs between two registrations, a line each.
pub(super) fn differences(before: &Value, after: &Value) -> Vec<String> {
    let keys = |value: &Value| value.as_object().map(|fields| fields.keys().cloned().collect()).unwrap_or_default();
    let mut names: Vec<String> = keys(before);
    names.extend(keys(after));
    names.sort();
    names.dedup();
    let mut lines = Vec::new();
    for name in names.iter().filter(|name| *name != "version") {
        match (&before[name.as_str()], &after[name.as_str()]) {
            (one, other) if one == other => {}
            (Value::Array(one), Value::Array(other)) => {
                lines.extend(one.iter().filter(|item| !other.contains(item)).map(|item| format!("- {name} {item}")));
                lines.extend(other.iter().filter(|item| !one.contains(item)).map(|item| format!("+ {name} {item}")));
            }
            (Value::Null, new) => lines.push(format!("+ {name} {new}")),
            (old, Value::Null) => lines.push(format!("- {name} {old}")),
            (old, new) => lines.push(format!("~ {name} {old} -> {new}")),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_shown_as_they_are_unless_they_do_harm() {
        assert_eq!(harmless("`Grüße`\t\u{1b}[2J\u{202e}"), "`Grüße`    \\u{1b}[2J\\u{202e}");
        let long = harmless(&"ä".repeat(5_000));
        assert_eq!((long.chars().count(), long.ends_with("ä…")), (MAX_LINE_CHARS + 1, true));
    }

    #[test]
    fn differences_name_what_came_and_went() {
        let before =
            json!({"version": "1", "routes": [{"path": "/a"}, {"path": "/b"}], "description": "x", "jobs": []});
        let after =
            json!({"version": "2", "routes": [{"path": "/b"}, {"path": "/c"}], "description": "y", "icon": "z"});
        assert_eq!(
            differences(&before, &after),
            [
                "~ description \"x\" -> \"y\"",
                "+ icon \"z\"",
                "- jobs []",
                "- routes {\"path\":\"/a\"}",
                "+ routes {\"path\":\"/c\"}"
            ]
        );
        assert_eq!(differences(&before, &before), Vec::<String>::new());
    }
}
