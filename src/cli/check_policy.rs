//! `goatflow-plugin check policy`: one request per line in, one verdict per line out, in the same order.

use std::io::{self, BufRead, Read as _, Write};

use goatflow_plugin::policy::dry_run;

/// Longest line that is read; the rest of a longer one is skipped.
const MAX_LINE_BYTES: u64 = 1 << 20;

/// Answers every line of `input`, malformed ones too.
pub(crate) fn run(input: impl BufRead, output: impl Write) -> io::Result<()> {
    answer_lines(input, output, |line| line.map_or_else(dry_run::answer_too_long, dry_run::answer).to_string())
}

/// Answers line by line; `None` stands for a line that is too long.
pub(crate) fn answer_lines(
    mut input: impl BufRead,
    mut output: impl Write,
    answer: impl Fn(Option<&[u8]>) -> String,
) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        if input.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let is_cut = !line.ends_with(b"\n") && skip_line(&mut input)?;
        writeln!(output, "{}", answer(Some(line.as_slice()).filter(|_| !is_cut)))?;
        output.flush()?;
    }
}

/// Skips to the end of the line; whether anything was skipped.
fn skip_line(input: &mut impl BufRead) -> io::Result<bool> {
    let mut skipped = 0;
    loop {
        let buffer = input.fill_buf()?;
        let (used, is_end) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        input.consume(used);
        skipped += used;
        if is_end {
            return Ok(skipped > 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(input: &[u8]) -> Vec<bool> {
        let mut output = Vec::new();
        run(input, &mut output).expect("memory can be read and written");
        let text = String::from_utf8(output).expect("answers are UTF-8");
        text.lines().map(|line| line.starts_with("{\"allow\":true,")).collect()
    }

    #[test]
    fn every_line_is_answered_in_order() {
        let input = b"{\"kind\":\"config\",\"scope\":null,\"key\":\"a\"}\n\nnonsense\n\xff\n{\"kind\":\"config\",\"scope\":null,\"key\":\"b\"}";
        assert_eq!(verdicts(input), [true, false, false, false, true]);
        assert_eq!(verdicts(b""), [false; 0]);
    }

    #[test]
    fn a_line_that_is_too_long_is_refused_and_the_next_one_read() {
        let good = "{\"kind\":\"config\",\"scope\":null,\"key\":\"a\"}";
        let long = format!("{good}{}\n{good}\n", " ".repeat(3 << 20));
        assert_eq!(verdicts(long.as_bytes()), [false, true]);
    }
}
