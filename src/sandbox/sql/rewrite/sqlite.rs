//! SQLite constructs that sqlparser doesn't know.

use sqlparser::tokenizer::Token;

use super::{Change, Rule, View, keyword, rules};
use crate::sandbox::sql::facts::Dialect;

pub(super) const RULES: &[Rule] = &[
    rules::isnull,
    rules::frame_exclusion,
    rules::subquery_in_list,
    conflict_target,
    indexed_by,
    general_is,
    in_table,
    negated_match,
    insert_alias,
    materialized,
    comma_join,
];

fn conflict_target(view: &View<'_>, at: usize) -> Option<Change> {
    rules::conflict_target(Dialect::Sqlite, view, at)
}

/// `INDEXED BY i` and `NOT INDEXED` after a table choose an index. `INDEXED` never names a table here: it is on the
/// list of reserved words.
fn indexed_by(view: &View<'_>, at: usize) -> Option<Change> {
    let after_table = at.checked_sub(1).is_some_and(|before| view.is_name(Dialect::Sqlite, before));
    if after_table && view.words(at, &["indexed", "by"]) && view.is_name(Dialect::Sqlite, at + 2) {
        return Change::drop(3);
    }
    (after_table && view.words(at, &["not", "indexed"])).then(|| Change::drop(2))?
}

/// `a IS b` and `a IS NOT b` compare two operands like `=` and `<>`; both operands stay.
fn general_is(view: &View<'_>, at: usize) -> Option<Change> {
    if !view.words(at, &["is"]) {
        return None;
    }
    let negated = view.words(at + 1, &["not"]);
    let operand = at + 1 + usize::from(negated);
    if view.one_of(operand, &["null", "distinct", "true", "false"]) {
        return None;
    }
    Change::replace(operand - at, vec![if negated { Token::Neq } else { Token::Eq }])
}

/// `x IN t` is documented as `x IN (SELECT * FROM t)`.
fn in_table(view: &View<'_>, at: usize) -> Option<Change> {
    if !view.words(at, &["in"]) || !view.is_any_word(at + 1) {
        return None;
    }
    let qualified = view.get(at + 2) == Some(&Token::Period) && view.is_any_word(at + 3);
    let name = if qualified { 3 } else { 1 };
    if view.get(at + 1 + name) == Some(&Token::LParen) {
        return None;
    }
    let mut put =
        vec![keyword("IN"), Token::LParen, keyword("SELECT"), Token::Number("1".into(), false), keyword("FROM")];
    put.extend((1..=name).filter_map(|offset| view.get(at + offset).cloned()));
    put.push(Token::RParen);
    Change::replace(1 + name, put)
}

/// `NOT GLOB`, `NOT MATCH`, `NOT REGEXP` have the operands of the operator without `NOT`.
fn negated_match(view: &View<'_>, at: usize) -> Option<Change> {
    let applies =
        view.words(at, &["not"]) && view.one_of(at + 1, &["glob", "match", "regexp"]) && view.operand_before(at);
    applies.then(|| Change::drop(1))?
}

/// `INSERT INTO t AS a`: another name for the written table, for use in `ON CONFLICT`.
fn insert_alias(view: &View<'_>, at: usize) -> Option<Change> {
    if !view.words(at, &["as"]) || !view.is_name(Dialect::Sqlite, at + 1) {
        return None;
    }
    let qualified = at.checked_sub(2).and_then(|dot| view.get(dot)) == Some(&Token::Period);
    let into = at.checked_sub(if qualified { 4 } else { 2 })?;
    (view.words(into, &["into"]) && view.is_any_word(into + 1)).then(|| Change::drop(2))?
}

/// `AS MATERIALIZED (` and `AS NOT MATERIALIZED (` are hints for a CTE.
fn materialized(view: &View<'_>, at: usize) -> Option<Change> {
    let length = if view.words(at, &["not", "materialized"]) {
        2
    } else if view.words(at, &["materialized"]) {
        1
    } else {
        return None;
    };
    (view.one_of_before(at, &["as"]) && view.get(at + length) == Some(&Token::LParen)).then(|| Change::drop(length))?
}

/// `FROM a, b ON …` joins like `FROM a JOIN b ON …`. A table that the parser meets behind `JOIN` is one for the walk too.
fn comma_join(view: &View<'_>, at: usize) -> Option<Change> {
    if view.get(at) != Some(&Token::Comma) || !view.is_name(Dialect::Sqlite, at + 1) {
        return None;
    }
    let mut end = at + 2;
    if view.get(end) == Some(&Token::Period) {
        end += 2;
    }
    if view.words(end, &["as"]) {
        end += 1;
    }
    if view.is_name(Dialect::Sqlite, end) {
        end += 1;
    }
    let constrained = view.words(end, &["on"]) && !view.words(end + 1, &["conflict"]);
    let using = view.words(end, &["using"]) && view.get(end + 1) == Some(&Token::LParen);
    (constrained || using).then(|| Change::replace(1, vec![keyword("JOIN")]))?
}
