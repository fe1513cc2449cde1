//! `check sql`: dry run of the SQL gate. One JSON object per line in, one verdict per line out, in the same order.

use std::io::{self, BufRead, Write};

use goatflow_plugin::error::{Error, ErrorCode, Result};
use goatflow_plugin::sandbox::sql::{Call, Dialect, Facts, SqlProfile, Table, TableScope, analyse, check};
use serde::{Deserialize, Serialize};

/// Longest line that is parsed: a statement of the gate's limit, escaped, with generous lists.
const MAX_LINE_BYTES: usize = 1024 * 1024;

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
}

/// One line of output.
#[derive(Debug, Serialize)]
struct Verdict {
    accept: bool,
    reason: String,
    code: &'static str,
    tables_read: Vec<String>,
    tables_written: Vec<String>,
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
        if input.read_until(b'\n', &mut line)? == 0 {
            return output.flush();
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        serde_json::to_writer(&mut output, &judge(&line))?;
        output.write_all(b"\n")?;
    }
}

fn judge(line: &[u8]) -> Verdict {
    let (profile, request) = match read(line) {
        Ok(read) => read,
        Err(error) => return refusal(&error, None),
    };
    let facts = match analyse(&profile, &request.sql) {
        Ok(facts) => facts,
        Err(error) => return refusal(&error, None),
    };
    let scope = TableScope::new(&profile, &request.whitelist_read, &request.whitelist_write);
    match check(&facts, &scope, Call::Exec) {
        Ok(()) => verdict(true, String::new(), "ok", Some(&facts)),
        Err(error) => refusal(&error, Some(&facts)),
    }
}

fn read(line: &[u8]) -> Result<(SqlProfile, Request)> {
    if line.len() > MAX_LINE_BYTES {
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

fn refusal(error: &Error, facts: Option<&Facts>) -> Verdict {
    verdict(false, error.to_string(), error.code().slug(), facts)
}

fn verdict(accept: bool, reason: String, code: &'static str, facts: Option<&Facts>) -> Verdict {
    let names = |tables: &[Table]| tables.iter().map(Table::to_string).collect::<Vec<_>>();
    let mut written = facts.map(|facts| names(&facts.writes)).unwrap_or_default();
    written.extend(facts.map(|facts| names(&facts.locks)).unwrap_or_default());
    written.sort();
    written.dedup();
    Verdict { accept, reason, code, tables_read: facts.map(|facts| names(&facts.reads)).unwrap_or_default(), tables_written: written }
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
    fn malformed_lines_are_refused_and_do_not_stop_the_run() {
        let answers = answer("nonsense\n{}\n\u{fffd}\n{\"dialect\":\"oracle\",\"sql\":\"\"}\n");
        let codes: Vec<_> = answers.iter().map(|answer| answer["code"].as_str().unwrap()).collect();
        assert_eq!(codes, ["argument.json", "argument.json", "argument.json", "argument.enum"]);
        assert!(answers.iter().all(|answer| answer["accept"] == false));
    }
}
