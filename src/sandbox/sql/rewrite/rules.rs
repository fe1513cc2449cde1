//! Rules that more than one dialect needs.

use sqlparser::tokenizer::Token;

use super::{Change, View, keyword};
use crate::sandbox::sql::facts::Dialect;
use crate::sandbox::sql::{functions, keywords};

/// `a ISNULL` is `a IS NULL`: no tables involved.
pub(super) fn isnull(view: &View<'_>, at: usize) -> Option<Change> {
    let applies = view.one_of(at, &["isnull"]) && view.operand_before(at) && view.get(at + 1) != Some(&Token::LParen);
    applies.then(|| Change::replace(1, vec![keyword("IS"), keyword("NULL")]))?
}

/// `EXCLUDE TIES` and the like at the end of a window frame: a fixed set of words.
pub(super) fn frame_exclusion(view: &View<'_>, at: usize) -> Option<Change> {
    let lengths: &[(&[&str], usize)] = &[
        (&["exclude", "no", "others"], 3),
        (&["exclude", "current", "row"], 3),
        (&["exclude", "group"], 2),
        (&["exclude", "ties"], 2),
    ];
    let (_, length) = lengths
        .iter()
        .find(|(words, length)| view.words(at, words) && view.get(at + length) == Some(&Token::RParen))?;
    Change::drop(*length)
}

/// `TRIM(LEADING FROM x)` removes blanks; the parser wants them spelled out.
pub(super) fn trim_side(view: &View<'_>, at: usize) -> Option<Change> {
    let applies = view.words(at, &["from"])
        && view.one_of_before(at, &["leading", "trailing", "both"])
        && at
            .checked_sub(3)
            .is_some_and(|trim| view.words(trim, &["trim"]) && view.get(trim + 1) == Some(&Token::LParen));
    applies.then(|| Change::replace(1, vec![Token::SingleQuotedString(" ".into()), keyword("FROM")]))?
}

/// `x IN ((SELECT …), y)`: a list whose first element is a subquery, which the parser takes for a query in parentheses. With a
/// sign before it, it is an expression for the parser too.
pub(super) fn subquery_in_list(view: &View<'_>, at: usize) -> Option<Change> {
    let opens_list = view.before(at) == Some(&Token::LParen)
        && at.checked_sub(2).is_some_and(|word| view.one_of(word, &["in"]))
        && view.get(at) == Some(&Token::LParen)
        && view.one_of(at + 1, &["select", "with", "values"]);
    let more_follows = opens_list && view.get(view.closing(at)? + 1) == Some(&Token::Comma);
    more_follows.then(|| Change::replace(0, vec![Token::Plus]))?
}

/// `ON CONFLICT (…) [WHERE …] DO` names an index. Its expressions can't hold subqueries; what could be one, or calls a
/// function that is not allowed, is left to the parser, which refuses it.
pub(super) fn conflict_target(dialect: Dialect, view: &View<'_>, at: usize) -> Option<Change> {
    let inside_clause = at.checked_sub(2).is_some_and(|on| view.words(on, &["on", "conflict"]));
    if !inside_clause || view.get(at) != Some(&Token::LParen) {
        return None;
    }
    let closing = view.closing(at)?;
    let end = if view.words(closing + 1, &["where"]) { predicate_end(view, closing + 2)? } else { closing + 1 };
    let harmless = (at..end).all(|position| harmless_in_target(dialect, view, position));
    (view.words(end, &["do"]) && harmless).then(|| Change::drop(end - at))?
}

/// Position of the first `DO` outside parentheses.
fn predicate_end(view: &View<'_>, from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        match view.get(at)? {
            Token::LParen => at = view.closing(at)? + 1,
            _ if view.one_of(at, &["do"]) => return Some(at),
            _ => at += 1,
        }
    }
}

fn harmless_in_target(dialect: Dialect, view: &View<'_>, at: usize) -> bool {
    match view.get(at) {
        Some(Token::Word(word)) if word.quote_style.is_some() => view.get(at + 1) != Some(&Token::LParen),
        Some(Token::Word(word)) if view.get(at + 1) == Some(&Token::LParen) => {
            view.one_of(at, &["where", "and", "or", "not", "in"]) || functions::is_allowed(dialect, &word.value)
        }
        Some(Token::Word(word)) => {
            let operators = [
                "where", "and", "or", "not", "is", "null", "like", "between", "collate", "asc", "desc", "true", "false",
            ];
            !keywords::is_reserved(dialect, &word.value) || view.one_of(at, &operators)
        }
        Some(
            Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::Comma
            | Token::LParen
            | Token::RParen
            | Token::Eq
            | Token::Neq
            | Token::Lt
            | Token::Gt
            | Token::LtEq
            | Token::GtEq
            | Token::StringConcat
            | Token::Plus
            | Token::Minus,
        ) => true,
        _ => false,
    }
}
