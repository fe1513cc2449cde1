//! `check sql`: dry run of the SQL gate. One JSON object per line in, one verdict per line out, in the same order.

use std::io::{self, BufRead, Read as _, Write};

use goatflow_plugin::error::{Error, ErrorCode, Result};
use goatflow_plugin::sandbox::sql::{Call, Dialect, Facts, SqlProfile, Table, TableScope, analyse, check};
use serde::{Deserialize, Serialize};

/// Longest line that is parsed: a statement of the gate's limit, escaped, with generous lists.
const MAX_LINE_BYTES: u64 = 1024 * 1024;

/// One line of input.
#[derive(Debug, Deserialize)]
struct Request {
    dialect: String,
    sql: String,
    #[serde(default)]
    whitelist_read: Vec<String>,
    #[serde(default)]
    whitelist_write: Vec<String>,
    #[serde(default)]
    default_schema: Option<String>,
    /// Functions granted beyond the built-in list.
    #[serde(default)]
    functions: Vec<String>,
    /// Also show the text that would run and the order of its arguments.
    #[serde(default)]
    explain: bool,
}

/// One line of output.
#[derive(Debug, Default, Serialize)]
struct Verdict {
    accept: bool,
    reason: String,
    code: &'static str,
    tables_read: Vec<String>,
    tables_written: Vec<String>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    explanation: Option<Explanation>,
}

/// What `explain` adds.
#[derive(Debug, Serialize)]
struct Explanation {
    canonical: String,
    /// For each argument of the canonical text, the index of the plugin's argument.
    arguments: Vec<usize>,
    functions: Vec<String>,
    tables_locked: Vec<String>,
}

/// Answers every line of `input` on `output`. Statements are judged as `db_exec` judges them; tables that are locked
/// count as written. A line that is no request gets a refusal with `argument.json`.
///
/// # Errors
/// When `input` can't be read or `output` not be written.
pub fn run(mut input: impl BufRead, mut output: impl Write) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        // One byte more than allowed tells a line that is too long; only that much of it is kept.
        if input.by_ref().take(MAX_LINE_BYTES + 1).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if !line.ends_with(b"\n") {
            skip_line(&mut input)?;
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        serde_json::to_writer(&mut output, &judge(&line))?;
        output.write_all(b"\n")?;
        output.flush()?;
    }
}

/// Skips what is left of the line.
fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        let (used, is_end) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        input.consume(used);
        if is_end {
            return Ok(());
        }
    }
}

fn judge(line: &[u8]) -> Verdict {
    let (profile, request) = match read(line) {
        Ok(read) => read,
        Err(error) => return Verdict::refusal(&error),
    };
    let facts = match analyse(&profile, &request.sql) {
        Ok(facts) => facts,
        Err(error) => return Verdict::refusal(&error),
    };
    let scope = TableScope::new(&profile, &request.whitelist_read, &request.whitelist_write);
    let verdict = match check(&facts, &scope, Call::Exec) {
        Ok(()) => Verdict { accept: true, code: "ok", ..Verdict::default() },
        Err(error) => Verdict::refusal(&error),
    };
    let explanation = request.explain.then(|| Explanation::new(&facts));
    Verdict { tables_read: names(&facts.reads), tables_written: written(&facts), explanation, ..verdict }
}

fn read(line: &[u8]) -> Result<(SqlProfile, Request)> {
    if line.len() as u64 > MAX_LINE_BYTES {
        return Err(Error::new(ErrorCode::ArgumentJson, format!("line is longer than {MAX_LINE_BYTES} bytes")));
    }
    let mut request: Request = serde_json::from_slice(line)
        .map_err(|error| Error::new(ErrorCode::ArgumentJson, "line is no request").with_source(error))?;
    let dialect: Dialect = request.dialect.parse()?;
    let profile = SqlProfile {
        dialect,
        default_schema: request.default_schema.take(),
        extra_functions: std::mem::take(&mut request.functions),
    };
    Ok((profile, request))
}

impl Verdict {
    fn refusal(error: &Error) -> Self {
        Self { reason: error.to_string(), code: error.code().slug(), ..Self::default() }
    }
}

impl Explanation {
    fn new(facts: &Facts) -> Self {
        let indices: Vec<usize> = (0..facts.arguments.arity()).collect();
        Self {
            canonical: facts.canonical.to_string(),
            arguments: facts.arguments.apply(&indices).unwrap_or_default(),
            functions: facts.functions.clone(),
            tables_locked: names(&facts.locks),
        }
    }
}

fn names(tables: &[Table]) -> Vec<String> {
    tables.iter().map(Table::to_string).collect()
}

/// Written and locked tables: both need the write grant.
fn written(facts: &Facts) -> Vec<String> {
    let mut written = names(&facts.writes);
    written.extend(names(&facts.locks));
    written.sort();
    written.dedup();
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(input: &str) -> Vec<serde_json::Value> {
        let mut output = vec![];
        run(input.as_bytes(), &mut output).unwrap();
        String::from_utf8(output).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn verdicts_come_in_order() {
        let input = concat!(
            r#"{"dialect":"sqlite","sql":"SELECT a FROM t","whitelist_read":["t"],"whitelist_write":[]}"#,
            "\n",
            r#"{"dialect":"sqlite","sql":"DELETE FROM t","whitelist_read":["t"],"whitelist_write":[]}"#,
            "\n",
        );
        let answers = answer(input);
        assert_eq!(
            answers,
            [
                serde_json::json!({"accept": true, "reason": "", "code": "ok", "tables_read": ["t"], "tables_written": []}),
                serde_json::json!({
                    "accept": false,
                    "reason": "statement needs write access to table `t`, which is not granted (grant db write on it in the plugin's policy)",
                    "code": "policy.sql.table_denied",
                    "tables_read": [],
                    "tables_written": ["t"],
                }),
            ]
        );
    }

    #[test]
    fn overlong_lines_are_refused_and_skipped() {
        let long = format!("{{\"dialect\":\"sqlite\",\"sql\":\"SELECT '{}'\"}}\n", "x".repeat(3 << 20));
        let answers = answer(&format!("{long}{{\"dialect\":\"sqlite\",\"sql\":\"SELECT 1\"}}\n"));
        assert_eq!(answers.len(), 2);
        assert_eq!(answers.first().and_then(|answer| answer["code"].as_str()), Some("argument.json"));
        assert_eq!(answers.last().and_then(|answer| answer["accept"].as_bool()), Some(true));
    }

    #[test]
    fn malformed_lines_are_refused_and_do_not_stop_the_run() {
        let answers = answer("nonsense\n{}\n\u{fffd}\n{\"dialect\":\"oracle\",\"sql\":\"\"}\n");
        let codes: Vec<_> = answers.iter().map(|answer| answer["code"].as_str().unwrap()).collect();
        assert_eq!(codes, ["argument.json", "argument.json", "argument.json", "argument.enum"]);
        assert!(answers.iter().all(|answer| answer["accept"] == false));
    }
}
