//! `goatflow-plugin check policy`: one request per line in, one verdict per line out, in the same order.

use std::io::{self, BufRead, Read as _, Write};

use goatflow_plugin::policy::dry_run;

/// Longest line that is read; the rest of a longer one is skipped.
const MAX_LINE_BYTES: u64 = 1 << 20;

/// Answers every line of `input`, malformed ones too.
pub(crate) fn run(mut input: impl BufRead, mut output: impl Write) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        if input.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let is_cut = !line.ends_with(b"\n") && skip_line(&mut input)?;
        let answer = if is_cut { dry_run::answer_too_long() } else { dry_run::answer(&line) };
        writeln!(output, "{answer}")?;
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
