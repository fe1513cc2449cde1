//! PostgreSQL constructs in FROM and USING that sqlparser doesn't know.

use sqlparser::tokenizer::Token;

use super::{Change, View, keyword};
use crate::sandbox::sql::facts::Dialect;

/// Name that `ROWS FROM` has for the parser; it can't be written in SQL.
pub(in crate::sandbox::sql) const ROWS_FROM_FUNCTION: &str = "rows from(,)";

/// `ROWS FROM (f(…), g(…)) AS t(a, b)`: for the parser a function of these calls. Only with an alias: without one, the name
/// under which the rest of the statement refers to it is not certain.
pub(super) fn rows_from(view: &View<'_>, at: usize) -> Option<Change> {
    let in_place = view.one_of_before(at, &["from", "join", "lateral"]) || view.before(at) == Some(&Token::Comma);
    let calls = view.words(at, &["rows", "from"])
        && view.get(at + 2) == Some(&Token::LParen)
        && view.is_any_word(at + 3)
        && matches!(view.get(at + 4), Some(Token::LParen | Token::Period));
    if !in_place || !calls {
        return None;
    }
    let behind = view.closing(at + 2)? + 1;
    let alias = if view.words(behind, &["with", "ordinality"]) { behind + 2 } else { behind };
    let named = view.words(alias, &["as"]) || view.is_name(Dialect::Postgres, alias);
    named.then(|| Change::replace_judged(2, vec![keyword(ROWS_FROM_FUNCTION)]))?
}

/// `FROM t*` is `FROM t`, with its descendants, as without the star. What follows must make a product impossible.
pub(super) fn descendants(view: &View<'_>, at: usize) -> Option<Change> {
    if view.get(at) != Some(&Token::Mul) || !at.checked_sub(1).is_some_and(|name| view.is_name(Dialect::Postgres, name))
    {
        return None;
    }
    let qualified = at.checked_sub(2).and_then(|dot| view.get(dot)) == Some(&Token::Period);
    let name = at.checked_sub(if qualified { 3 } else { 1 })?;
    let behind = ["where", "order", "group", "having", "union", "limit", "join", "left", "inner", "cross", "on", "set"];
    let ends = matches!(view.get(at + 1), None | Some(Token::RParen | Token::Comma)) || view.one_of(at + 1, &behind);
    (view.one_of_before(name, &["from", "join", "update"]) && ends).then(|| Change::drop(1))?
}

/// `MERGE … USING a JOIN b ON … ON …`: the parser wants the join in parentheses.
pub(super) fn merge_source(view: &View<'_>, at: usize) -> Option<Change> {
    if !view.one_of(0, &["merge", "with"]) {
        return None;
    }
    if at.checked_sub(1).is_some_and(|using| is_merge_using(view, using)) && source_end(view, at).is_some() {
        return Change::replace(0, vec![Token::LParen]);
    }
    if !view.words(at, &["on"]) {
        return None;
    }
    let using = (0..at).rev().find(|using| is_merge_using(view, *using))?;
    (source_end(view, using + 1) == Some(at)).then(|| Change::replace(0, vec![Token::RParen]))?
}

/// True for the USING of a MERGE: only the name and alias of the target stand between the two.
fn is_merge_using(view: &View<'_>, at: usize) -> bool {
    view.words(at, &["using"])
        && (2..8).filter_map(|back| at.checked_sub(back)).any(|merge| {
            view.words(merge, &["merge"])
                && (merge + 1..at).all(|between| view.is_any_word(between) || view.get(between) == Some(&Token::Period))
        })
}

/// Position of the ON that ends the source which starts at `from`, if that is a join without parentheses.
fn source_end(view: &View<'_>, from: usize) -> Option<usize> {
    let (mut at, mut joins, mut last_on) = (from, false, None);
    while !view.words(at, &["when"]) {
        if view.get(at)? == &Token::LParen {
            at = view.closing(at)?;
        }
        joins |= view.words(at, &["join"]);
        if view.words(at, &["on"]) {
            last_on = Some(at);
        }
        at += 1;
    }
    last_on.filter(|_| joins)
}
