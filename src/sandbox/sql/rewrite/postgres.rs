//! PostgreSQL constructs that sqlparser doesn't know.

use sqlparser::tokenizer::Token;

use super::{Change, Rule, View, keyword, postgres_from, rules, xml};
use crate::sandbox::sql::facts::Dialect;
use crate::sandbox::sql::types;

pub(super) const RULES: &[Rule] = &[
    rules::isnull,
    rules::frame_exclusion,
    rules::subquery_in_list,
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
    search_clause,
    cycle_clause,
    postgres_from::rows_from,
    postgres_from::descendants,
    postgres_from::merge_source,
    xml::element_name,
    xml::passing,
    xml::document_kind,
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

/// A subscript of numbers and strings holds no tables; targets of UPDATE and INSERT can't have one in sqlparser. Where a
/// dot follows, it stays: `a[1].f` may be the call `f(a[1])`, and `a.f` would be a column.
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
    let constant = (1..length).all(|offset| {
        matches!(
            view.get(at + offset),
            Some(Token::Number(..) | Token::Colon | Token::Minus | Token::SingleQuotedString(_))
        )
    });
    (constant && length > 1 && !view.dot_follows_subscripts(at + length + 1)).then(|| Change::drop(length + 1))?
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

/// `SEARCH DEPTH FIRST BY a, b SET c` behind a WITH item names columns of it.
fn search_clause(view: &View<'_>, at: usize) -> Option<Change> {
    let starts = view.words(at, &["search"])
        && follows_with_item(view, at)
        && view.one_of(at + 1, &["depth", "breadth"])
        && view.words(at + 2, &["first", "by"]);
    let end = if starts { columns_end(view, at + 4)? } else { return None };
    (view.words(end, &["set"]) && is_column(view, end + 1)).then(|| Change::drop(end + 2 - at))?
}

/// `CYCLE a, b SET c [TO x DEFAULT y] USING d` behind a WITH item names columns of it and two constants; the word behind USING
/// is the name of a column, and no table can follow there.
fn cycle_clause(view: &View<'_>, at: usize) -> Option<Change> {
    if !view.words(at, &["cycle"]) || !follows_with_item(view, at) {
        return None;
    }
    let set = columns_end(view, at + 1)?;
    let mut end = set + 2;
    if view.words(end, &["to"]) {
        let constants = is_constant(view, end + 1) && view.words(end + 2, &["default"]) && is_constant(view, end + 3);
        end = if constants { end + 4 } else { return None };
    }
    let complete = view.words(set, &["set"])
        && is_column(view, set + 1)
        && view.words(end, &["using"])
        && is_column(view, end + 1);
    complete.then(|| Change::replace_judged(end + 2 - at, vec![]))?
}

/// True if the query of a WITH item ends before `at`, or its SEARCH clause.
fn follows_with_item(view: &View<'_>, at: usize) -> bool {
    let end = (0..at).rev().find(|before| view.get(*before) == Some(&Token::RParen));
    let Some(end) = end else { return false };
    let direct = end + 1 == at || view.words(end + 1, &["search"]);
    direct && view.opening(end).is_some_and(|opening| view.one_of_before(opening, &["as", "materialized"]))
}

/// Position behind a list of columns.
fn columns_end(view: &View<'_>, from: usize) -> Option<usize> {
    let mut at = from;
    while is_column(view, at) {
        match view.get(at + 1)? {
            Token::Comma => at += 2,
            _ => return Some(at + 1),
        }
    }
    None
}

fn is_column(view: &View<'_>, at: usize) -> bool {
    view.is_name(Dialect::Postgres, at)
}

fn is_constant(view: &View<'_>, at: usize) -> bool {
    matches!(view.get(at), Some(Token::SingleQuotedString(_) | Token::Number(..)))
        || view.one_of(at, &["true", "false"])
}
