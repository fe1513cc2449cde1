//! The last lines of what a plugin wrote, for the day it crashes.

use std::collections::VecDeque;

/// Lines and bytes that are kept of the end.
const LINES: usize = 20;
const BYTES: usize = 4 * 1024;

/// Beginnings of lines that say why a program in Go ends; stacks of many goroutines may follow.
const CAUSES: [&str; 3] = ["panic: ", "fatal error: ", "SIGSEGV: "];

/// Bytes after such a line from which on it was not about the end.
const FAR: usize = 256 * 1024;

/// The end of what was written, and the line before it that tells the cause.
#[derive(Debug, Default)]
pub(super) struct Tail {
    lines: VecDeque<String>,
    cause: Option<Cause>,
}

#[derive(Debug)]
struct Cause {
    line: String,
    /// Lines and bytes that were written since.
    lines: usize,
    bytes: usize,
}

impl Tail {
    /// Keeps a line.
    pub(super) fn push(&mut self, line: &str) {
        let kept = crate::plugin::name::shorten(&line.replace('\t', "    "), BYTES / 4);
        match &mut self.cause {
            Some(cause) if cause.bytes < FAR => {
                (cause.lines, cause.bytes) = (cause.lines + 1, cause.bytes.saturating_add(line.len()));
            }
            _ => self.cause = is_cause(&kept).then(|| Cause { line: kept.clone(), lines: 0, bytes: 0 }),
        }
        self.lines.push_back(kept);
        while self.lines.len() > LINES || self.lines.iter().map(String::len).sum::<usize>() > BYTES {
            self.lines.pop_front();
        }
    }

    /// The lines, after the one that tells the cause.
    pub(super) fn text(&self) -> String {
        let far = self.cause.as_ref().filter(|cause| cause.bytes < FAR && cause.lines >= self.lines.len());
        let cause = far.iter().flat_map(|cause| [cause.line.as_str(), "…"]);
        cause.chain(self.lines.iter().map(String::as_str)).collect::<Vec<_>>().join("\n")
    }
}

/// The line in a tail that says why a program ended: what Go writes before it lists its goroutines, else the last one.
pub(super) fn telling(tail: &str) -> Option<&str> {
    tail.lines().find(|line| is_cause(line)).or_else(|| tail.lines().last()).map(str::trim)
}

fn is_cause(line: &str) -> bool {
    CAUSES.iter().any(|cause| line.starts_with(cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_why_a_program_ended_is_found() {
        for (tail, expected) in [
            ("", None),
            ("one\ntwo", Some("two")),
            (
                "ready\npanic: oh no\n\ngoroutine 7 [running]:\nmain.main()\n    /x/main.go:85 +0xbac",
                Some("panic: oh no"),
            ),
            ("fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [select]:", {
                Some("fatal error: all goroutines are asleep - deadlock!")
            }),
            ("Traceback (most recent call last):\n  File \"x\", line 1\nValueError: no", Some("ValueError: no")),
        ] {
            assert_eq!(telling(tail), expected, "{tail}");
        }
    }

    #[test]
    fn the_cause_is_kept_before_stacks_of_any_length_that_belong_to_it() {
        let mut tail = Tail::default();
        tail.push("fatal error: out of memory");
        (0..LINES - 1).for_each(|number| tail.push(&format!("\t{number}")));
        assert!(tail.text().starts_with("fatal error: out of memory\n    0\n    1\n"), "{}", tail.text());
        tail.push("panic: inside of it");
        assert!(tail.text().starts_with("fatal error: out of memory\n…\n    0\n"), "{}", tail.text());
        let line = "x".repeat(1_000);
        (0..300).for_each(|_| tail.push(&line));
        assert!(!tail.text().contains("fatal"), "{}", tail.text());
        tail.push("panic: another");
        assert_eq!(telling(&tail.text()), Some("panic: another"));
    }

    #[test]
    fn lines_and_bytes_are_bounded() {
        let mut tail = Tail::default();
        (0..100).for_each(|number| tail.push(&number.to_string()));
        assert_eq!(
            tail.text().lines().map(str::to_owned).collect::<Vec<_>>(),
            (80..100).map(|n| n.to_string()).collect::<Vec<_>>()
        );
        (0..10).for_each(|_| tail.push(&"y".repeat(100_000)));
        assert!(tail.text().len() <= BYTES + LINES, "{}", tail.text().len());
    }
}
