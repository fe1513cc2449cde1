//! PostgreSQL constructs that sqlparser doesn't know.

use sqlparser::tokenizer::Token;

use super::{Change, Rule, View, keyword, rules};
use crate::sandbox::sql::facts::Dialect;
use crate::sandbox::sql::types;

pub(super) const RULES: &[Rule] = &[
    rules::isnull,
    rules::frame_exclusion,
    rules::trim_side,
    conflict_target,
    between_symmetric,
    overriding,
    row_lock,
    only,
    table_statement,
    constant_subscript,
    typed_literal,
    variadic,
    column_definitions,
    composite_star,
    frame_literal,
];

fn conflict_target(view: &View<'_>, at: usize) -> Option<Change> {
    rules::conflict_target(Dialect::Postgres, view, at)
}

/// `BETWEEN SYMMETRIC`: both bounds stay.
fn between_symmetric(view: &View<'_>, at: usize) -> Option<Change> {
    let applies = view.one_of(at, &["symmetric", "asymmetric"]) && view.one_of_before(at, &["between"]);
    applies.then(|| Change::drop(1))?
}

/// `OVERRIDING SYSTEM VALUE` between the columns and the rows of an INSERT: fixed words.
fn overriding(view: &View<'_>, at: usize) -> Option<Change> {
    let applies =
        view.words(at, &["overriding", "system", "value"]) || view.words(at, &["overriding", "user", "value"]);
    applies.then(|| Change::drop(3))?
}

/// The weaker row locks count like the stronger ones.
fn row_lock(view: &View<'_>, at: usize) -> Option<Change> {
    if view.words(at, &["for", "no", "key", "update"]) {
        return Change::replace(4, vec![keyword("FOR"), keyword("UPDATE")]);
    }
    view.words(at, &["for", "key", "share"]).then(|| Change::replace(3, vec![keyword("FOR"), keyword("SHARE")]))?
}

/// `ONLY t` is `t` without its inheritance children. `ONLY` is reserved, so it can't be a name.
fn only(view: &View<'_>, at: usize) -> Option<Change> {
    let in_place = view.one_of_before(at, &["from", "join", "update", "using", "into", "table"])
        || view.before(at) == Some(&Token::Comma);
    (in_place && view.words(at, &["only"]) && view.is_any_word(at + 1)).then(|| Change::drop(1))?
}

/// `TABLE t` is documented as `SELECT * FROM t`.
fn table_statement(view: &View<'_>, at: usize) -> Option<Change> {
    let query = view.one_of(0, &["select", "with", "insert", "table", "values"]) || view.get(0) == Some(&Token::LParen);
    let applies = query && view.words(at, &["table"]) && view.is_any_word(at + 1);
    applies.then(|| Change::replace(1, vec![keyword("SELECT"), Token::Mul, keyword("FROM")]))?
}

/// A subscript of numbers and placeholders holds no tables; targets of UPDATE and INSERT can't have one in sqlparser.
fn constant_subscript(view: &View<'_>, at: usize) -> Option<Change> {
    let after_value = match view.before(at)? {
        Token::Word(word) => word.quote_style.is_some() || !word.value.eq_ignore_ascii_case("array"),
        Token::RBracket | Token::RParen => true,
        _ => false,
    };
    if !after_value || view.get(at) != Some(&Token::LBracket) {
        return None;
    }
    let length = (1..8).find(|offset| view.get(at + offset) == Some(&Token::RBracket))?;
    let constant = (1..length)
        .all(|offset| matches!(view.get(at + offset), Some(Token::Number(..) | Token::Colon | Token::Minus)));
    (constant && length > 1).then(|| Change::drop(length + 1))?
}

/// `inet '…'`: a literal of a type that reads nothing. A word can't be anything else before a string.
fn typed_literal(view: &View<'_>, at: usize) -> Option<Change> {
    let literal = matches!(view.get(at + 1), Some(Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_)));
    let typed = view.word(at).is_some_and(types::is_postgres_literal_type);
    let alone = view.before(at) != Some(&Token::Period);
    (literal && typed && alone).then(|| Change::drop(1))?
}

/// `VARIADIC` before the last argument of a call; the argument stays.
fn variadic(view: &View<'_>, at: usize) -> Option<Change> {
    let in_place = matches!(view.before(at), Some(Token::LParen | Token::Comma));
    (in_place && view.words(at, &["variadic"])).then(|| Change::drop(1))?
}

/// `f(…) AS (a int)` declares the columns without a name for the table; the parser wants one.
fn column_definitions(view: &View<'_>, at: usize) -> Option<Change> {
    let in_place = view.get(at) == Some(&Token::LParen)
        && view.one_of_before(at, &["as"])
        && at.checked_sub(2).and_then(|before| view.get(before)) == Some(&Token::RParen);
    let queries = ["select", "with", "values", "insert", "update", "delete", "merge", "table"];
    let defines = view.is_any_word(at + 1) && !view.one_of(at + 1, &queries) && view.is_any_word(at + 2);
    (in_place && defines).then(|| Change::replace(0, vec![keyword("anonymous_columns")]))?
}

/// `(x).*` shows all fields of the value in parentheses, which stays.
fn composite_star(view: &View<'_>, at: usize) -> Option<Change> {
    let applies = view.get(at) == Some(&Token::Period)
        && view.get(at + 1) == Some(&Token::Mul)
        && view.before(at) == Some(&Token::RParen);
    applies.then(|| Change::drop(2))?
}

/// `RANGE '1 day'::interval PRECEDING`: the cast of a literal to a type that reads nothing.
fn frame_literal(view: &View<'_>, at: usize) -> Option<Change> {
    let cast = view.get(at) == Some(&Token::DoubleColon)
        && matches!(view.before(at), Some(Token::SingleQuotedString(_)))
        && view.word(at + 1).is_some_and(|word| types::is_postgres_literal_type(word) || word == "interval");
    (cast && view.one_of(at + 2, &["preceding", "following"])).then(|| Change::drop(2))?
}
