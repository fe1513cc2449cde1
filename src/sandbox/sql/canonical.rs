//! Writes the tokens as the text that runs: fixed spacing, no comments, literals byte for byte.

use std::ops::Range;

use super::arguments::{ArgumentMap, MAX_ARGUMENTS};
use super::facts::Dialect;
use super::lexer::{Kind, Token};
use super::{functions, keywords};
use crate::error::{Error, ErrorCode, Result};

/// Canonical text of `tokens`, with its placeholders in the style of the dialect.
pub(super) fn write(dialect: Dialect, tokens: &[Token<'_>]) -> Result<(String, ArgumentMap)> {
    write_placed(dialect, tokens, |_| ())
}

/// As [`write`]; tells `placed` where each token lies in the text.
pub(super) fn write_placed(
    dialect: Dialect,
    tokens: &[Token<'_>],
    mut placed: impl FnMut(Range<usize>),
) -> Result<(String, ArgumentMap)> {
    let mut numbering = Numbering::default();
    let mut text = String::with_capacity(tokens.iter().map(|token| token.text.len() + 1).sum());
    let mut previous: Option<&Token<'_>> = None;
    for token in tokens {
        if previous.is_some_and(|previous| needs_space(dialect, previous, token)) {
            text.push(' ');
        }
        let start = text.len();
        if token.kind == Kind::Placeholder {
            text.push_str(&numbering.place(dialect, token.text)?);
        } else {
            text.push_str(token.text);
        }
        placed(start..text.len());
        previous = Some(token);
    }
    Ok((text, numbering.finish(dialect)?))
}

/// One space everywhere, except
/// - around the dot of a qualified name, where every database reads a keyword as a name;
/// - in MySQL between a word that is not reserved and its parenthesis: `COUNT (` would be a stored function there;
/// - where the author wrote none and nothing can join with its neighbour ([`stay_apart`]): SQLite and MySQL name the columns of
///   a result after the text, so that `SUM(a+b)` must stay `SUM(a+b)`.
fn needs_space(dialect: Dialect, left: &Token<'_>, right: &Token<'_>) -> bool {
    match (left.kind, right.kind) {
        (Kind::Dot, _) | (_, Kind::Dot) => false,
        (Kind::Word, Kind::LParen) if dialect == Dialect::MySql => {
            keywords::is_reserved(dialect, left.text)
                && !functions::is_allowed(dialect, left.text)
                && !are_adjacent(left, right)
        }
        _ => !(stay_apart(dialect, left, right) && are_adjacent(left, right)),
    }
}

/// True for two tokens that no database reads otherwise when nothing stands between them: parentheses and commas join with
/// nothing; in MySQL and SQLite, an operator joins with other operators only, never with an operand. (In PostgreSQL operators
/// end where they end by rules of their own, and the text names no columns.)
fn stay_apart(dialect: Dialect, left: &Token<'_>, right: &Token<'_>) -> bool {
    match (left.kind, right.kind) {
        (Kind::LParen | Kind::Comma, _) | (_, Kind::RParen | Kind::Comma) | (Kind::Word, Kind::LParen) => true,
        (Kind::Operator, operand) | (operand, Kind::Operator) => {
            dialect != Dialect::Postgres
                && matches!(
                    operand,
                    Kind::Word | Kind::QuotedName | Kind::String | Kind::Number | Kind::LParen | Kind::RParen
                )
        }
        _ => false,
    }
}

/// True when nothing stood between the two in the plugin's text.
fn are_adjacent(left: &Token<'_>, right: &Token<'_>) -> bool {
    left.text.as_ptr().addr() + left.text.len() == right.text.as_ptr().addr()
}

/// Placeholders met so far.
#[derive(Default)]
struct Numbering {
    anonymous: usize,
    numbered: Vec<usize>,
}

impl Numbering {
    /// Text of a placeholder in the canonical text.
    fn place(&mut self, dialect: Dialect, text: &str) -> Result<String> {
        if let Some(digits) = text.strip_prefix('$') {
            let number = digits.parse::<usize>().ok().filter(|number| (1..=MAX_ARGUMENTS).contains(number));
            let number = number
                .ok_or_else(|| arguments(format!("placeholder `{text}` is out of range (1 to {MAX_ARGUMENTS})")))?;
            self.numbered.push(number - 1);
        } else {
            self.anonymous += 1;
        }
        if self.anonymous > 0 && !self.numbered.is_empty() {
            return Err(arguments("statement mixes `?` and `$n` placeholders; use one style"));
        }
        if self.anonymous.max(self.numbered.len()) > MAX_ARGUMENTS {
            return Err(arguments(format!("statement has more than {MAX_ARGUMENTS} placeholders")));
        }
        Ok(match (dialect, self.numbered.last()) {
            (Dialect::Postgres, Some(index)) => format!("${}", index + 1),
            (Dialect::Postgres, None) => format!("${}", self.anonymous),
            (Dialect::MySql | Dialect::Sqlite, _) => "?".to_owned(),
        })
    }

    fn finish(self, dialect: Dialect) -> Result<ArgumentMap> {
        if self.numbered.is_empty() {
            return Ok(ArgumentMap::in_order(self.anonymous));
        }
        let arity = self.numbered.iter().max().map_or(0, |highest| highest + 1);
        let mut used = vec![false; arity];
        for &index in &self.numbered {
            if let Some(slot) = used.get_mut(index) {
                *slot = true;
            }
        }
        if let Some(gap) = used.iter().position(|used| !used) {
            return Err(arguments(format!("placeholder `${}` is never used although higher ones are", gap + 1)));
        }
        Ok(match dialect {
            Dialect::Postgres => ArgumentMap::in_order(arity),
            Dialect::MySql | Dialect::Sqlite => ArgumentMap::reordered(arity, self.numbered),
        })
    }
}

fn arguments(context: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorCode::PolicySqlArguments, context)
}
