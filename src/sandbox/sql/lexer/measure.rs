//! How large a statement is in the ways that cost the parser stack and time.

use super::{Kind, Token};
use crate::error::Result;
use crate::sandbox::sql::{keywords, not_understood, too_large};

/// Most operators, keywords that act as operators, and set operations: bounds the height of the parser's tree.
const MAX_OPERATORS: usize = 2_000;
/// Most joins: without ON the parser nests them to the right, which takes stack for each. MySQL itself allows 61 tables.
const MAX_JOINS: usize = 128;
/// Deepest nesting of parentheses, brackets and CASE.
const MAX_DEPTH: usize = 60;
/// Most commas directly inside one pair of parentheses or at the top: the parser's cost per element grows.
const MAX_LIST: usize = 4_000;
/// What decides how much stack the analysis needs.
#[derive(Debug, Clone, Copy)]
pub(in crate::sandbox::sql) struct Size {
    operators: usize,
    joins: usize,
    depth: usize,
}

impl Size {
    /// True if the analysis fits a stack of 512 KiB (measured in the tests). The parser's frames are some ten times
    /// larger in debug builds.
    pub(in crate::sandbox::sql) fn is_small(self) -> bool {
        let (operators, joins, depth) = if cfg!(debug_assertions) { (8, 0, 1) } else { (48, 8, 8) };
        self.operators <= operators && self.joins <= joins && self.depth <= depth
    }
}

/// Size of the statement, within the limits.
pub(super) fn measure(tokens: &[Token<'_>]) -> Result<Size> {
    let mut operators = 0_usize;
    let mut joins = 0_usize;
    let mut nesting = Nesting::default();
    for token in tokens {
        match token.kind {
            Kind::LParen | Kind::LBracket => nesting.open(false),
            Kind::RParen | Kind::RBracket => nesting.close()?,
            Kind::Comma => nesting.comma()?,
            Kind::Operator => operators += 1,
            Kind::Word if token.is_word("case") => nesting.open(true),
            Kind::Word if token.is_word("end") => nesting.end(),
            Kind::Word if keywords::acts_as_operator(token.text) => {
                operators += 1;
                joins += usize::from(token.is_word("join") || token.is_word("straight_join"));
            }
            _ => {}
        }
    }
    if operators > MAX_OPERATORS {
        return Err(too_large(format!("statement has more than {MAX_OPERATORS} operators")));
    }
    if joins > MAX_JOINS {
        return Err(too_large(format!("statement has more than {MAX_JOINS} joins")));
    }
    if nesting.deepest > MAX_DEPTH {
        return Err(too_large(format!("statement is nested deeper than {MAX_DEPTH} levels")));
    }
    Ok(Size { operators, joins, depth: nesting.deepest })
}

/// Open parentheses and CASEs (true), each with the commas directly inside.
#[derive(Default)]
struct Nesting {
    open: Vec<(bool, usize)>,
    outside: usize,
    deepest: usize,
}

impl Nesting {
    fn open(&mut self, is_case: bool) {
        self.open.push((is_case, 0));
        self.deepest = self.deepest.max(self.open.len());
    }

    fn close(&mut self) -> Result<()> {
        while let Some((is_case, _)) = self.open.pop() {
            if !is_case {
                return Ok(());
            }
        }
        Err(not_understood("a parenthesis is closed that was never opened"))
    }

    fn end(&mut self) {
        if self.open.last().is_some_and(|(is_case, _)| *is_case) {
            self.open.pop();
        }
    }

    fn comma(&mut self) -> Result<()> {
        let count = self.open.last_mut().map_or(&mut self.outside, |(_, commas)| commas);
        *count += 1;
        if *count > MAX_LIST {
            return Err(too_large(format!("a list has more than {MAX_LIST} elements")));
        }
        Ok(())
    }
}
