//! MySQL and MariaDB constructs that sqlparser doesn't know.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::sandbox::sql::facts::Dialect;

use super::{Change, Rule, View, added_span, keyword, rules, unquoted};

pub(super) const RULES: &[Rule] = &[
    rules::trim_side,
    rules::frame_exclusion,
    rules::subquery_in_list,
    share_lock,
    lock_wait,
    modulo,
    interval_function,
    interval_unit,
    sounds_like,
    modifiers,
    distinct_row,
    character_set,
    single_parenthesised,
    bare_match,
    introduced_bits,
];

/// Units of two parts, all of them reserved words.
const UNITS: &[&str] = &[
    "day_hour",
    "day_microsecond",
    "day_minute",
    "day_second",
    "hour_microsecond",
    "hour_minute",
    "hour_second",
    "minute_microsecond",
    "minute_second",
    "second_microsecond",
    "year_month",
];

/// Name that the INTERVAL function has for the parser; it can't be written in SQL.
pub(in crate::sandbox::sql) const INTERVAL_FUNCTION: &str = "interval(,)";

/// `LOCK IN SHARE MODE` is the older spelling of `FOR SHARE`.
fn share_lock(view: &View<'_>, at: usize) -> Option<Change> {
    view.words(at, &["lock", "in", "share", "mode"])
        .then(|| Change::replace(4, vec![keyword("FOR"), keyword("SHARE")]))?
}

/// `FOR UPDATE WAIT n` limits how long the lock is waited for.
fn lock_wait(view: &View<'_>, at: usize) -> Option<Change> {
    let applies = view.one_of_before(at, &["update", "mode", "share"])
        && view.words(at, &["wait"])
        && matches!(view.get(at + 1), Some(Token::Number(..)));
    applies.then(|| Change::drop(2))?
}

/// `a MOD b` is `a % b`. `MOD` is reserved, so it is an operator whenever an operand ends before it.
fn modulo(view: &View<'_>, at: usize) -> Option<Change> {
    (view.words(at, &["mod"]) && view.operand_before(at)).then(|| Change::replace(1, vec![Token::Mod]))?
}

/// `INTERVAL(a, b, …)` with a list is the function, not the start of an interval.
fn interval_function(view: &View<'_>, at: usize) -> Option<Change> {
    if !view.words(at, &["interval"]) || view.get(at + 1) != Some(&Token::LParen) {
        return None;
    }
    let end = view.closing(at + 1)?;
    let mut position = at + 2;
    while position < end {
        match view.get(position)? {
            Token::LParen => position = view.closing(position)? + 1,
            Token::Comma => return Change::replace(1, vec![keyword(INTERVAL_FUNCTION)]),
            _ => position += 1,
        }
    }
    None
}

/// `INTERVAL '1 2' DAY_HOUR` and `EXTRACT(DAY_HOUR FROM …)`: one unit is as good as another for the facts.
fn interval_unit(view: &View<'_>, at: usize) -> Option<Change> {
    let unit = view.word(at).is_some_and(|word| crate::sandbox::sql::keywords::contains(UNITS, word));
    (unit && view.before(at) != Some(&Token::Period)).then(|| Change::replace(1, vec![keyword("DAY")]))?
}

/// `CAST(x AS CHAR CHARACTER SET utf8mb4)`: the name of a character set.
fn character_set(view: &View<'_>, at: usize) -> Option<Change> {
    let length = if view.words(at, &["character", "set"]) { 3 } else { 2 };
    let applies = (view.words(at, &["character", "set"]) || view.words(at, &["charset"]))
        && view.is_name(Dialect::MySql, at + length - 1)
        && view.get(at + length) == Some(&Token::RParen)
        && (view.one_of_before(at, &["char"]) || view.before(at) == Some(&Token::RParen));
    applies.then(|| Change::drop(length))?
}

/// `a SOUNDS LIKE b` has the operands of `LIKE`.
fn sounds_like(view: &View<'_>, at: usize) -> Option<Change> {
    view.words(at, &["sounds", "like"]).then(|| Change::drop(1))?
}

/// `LOW_PRIORITY`, `QUICK`, `IGNORE` directly behind the first word of UPDATE and DELETE.
fn modifiers(view: &View<'_>, at: usize) -> Option<Change> {
    let words = ["low_priority", "quick", "ignore"];
    let first = (0..at)
        .all(|before| if before == 0 { view.one_of(0, &["update", "delete"]) } else { view.one_of(before, &words) });
    let quick_names_table = view.one_of(at, &["quick"]) && !view.one_of(0, &["delete"]);
    (at > 0 && at < 4 && first && view.one_of(at, &words) && !quick_names_table).then(|| Change::drop(1))?
}

/// `_ucs2 b'01'`: a literal of bits, whatever character set they are in. The parser knows hexadecimal ones only. A word that starts
/// with an underscore can't be anything else before a literal.
fn introduced_bits(view: &View<'_>, at: usize) -> Option<Change> {
    let bits = matches!(
        view.get(at + 1),
        Some(Token::SingleQuotedByteStringLiteral(digits)) if digits.bytes().all(|digit| matches!(digit, b'0' | b'1'))
    );
    let introduced = view.word(at).is_some_and(|word| word.starts_with('_'));
    let alone = !matches!(view.before(at), Some(Token::Period)) && !view.operand_before(at);
    (bits && introduced && alone).then(|| Change::drop(1))?
}

/// `DISTINCTROW` is `DISTINCT`.
fn distinct_row(view: &View<'_>, at: usize) -> Option<Change> {
    (view.words(at, &["distinctrow"]) && view.one_of_before(at, &["select"]))
        .then(|| Change::replace(1, vec![keyword("DISTINCT")]))?
}

/// `FROM (t)`: parentheses around one table, any number of them; the parser wants a join in them. Handled token by token: the
/// opening one goes here, the closing one when it is reached.
fn single_parenthesised(view: &View<'_>, at: usize) -> Option<Change> {
    let opening = match view.get(at)? {
        Token::LParen => at,
        Token::RParen => opening_of(view, at)?,
        _ => return None,
    };
    let closing = view.closing(opening)?;
    let names = (opening + 1..closing).all(|position| match view.get(position) {
        Some(Token::Period | Token::LParen | Token::RParen) => true,
        _ => {
            view.is_any_word(position)
                && !view.one_of(position, &["select", "values", "join", "with", "table"])
                && view.get(position + 1) != Some(&Token::LParen)
        }
    });
    (names && closing - opening < MAX_PARENTHESISED && follows_from(view, opening)).then(|| Change::drop(1))?
}

/// Tokens of a table in parentheses, with its alias.
const MAX_PARENTHESISED: usize = 12;

/// Position of the parenthesis that the one at `at` closes, if it is near.
fn opening_of(view: &View<'_>, at: usize) -> Option<usize> {
    (1..MAX_PARENTHESISED)
        .filter_map(|back| at.checked_sub(back))
        .find(|position| view.get(*position) == Some(&Token::LParen) && view.closing(*position) == Some(at))
}

/// True if the parenthesis at `at` stands behind FROM or JOIN, with nothing but more of its kind between.
fn follows_from(view: &View<'_>, at: usize) -> bool {
    let mut first = at;
    while view.before(first) == Some(&Token::LParen) {
        first -= 1;
    }
    view.one_of_before(first, &["from", "join"])
}

/// `MATCH t.a AGAINST (…)`: the parser wants the columns in parentheses.
fn bare_match(view: &View<'_>, at: usize) -> Option<Change> {
    if !view.words(at, &["match"]) || !view.is_name(Dialect::MySql, at + 1) {
        return None;
    }
    let length = if view.get(at + 2) == Some(&Token::Period) { 3 } else { 1 };
    let mut put = vec![keyword("MATCH"), Token::LParen];
    put.extend((1..=length).filter_map(|offset| view.get(at + offset).cloned()));
    put.push(Token::RParen);
    view.words(at + 1 + length, &["against"]).then(|| Change::replace(1 + length, put))?
}

/// Most commas that become joins: these joins come after the limit on joins was checked.
const MAX_COMMAS: usize = 8;

/// Commas between tables that sqlparser doesn't accept become `CROSS JOIN`, which names the same tables:
/// `UPDATE a, b SET` and `FROM (a, b)`.
pub(super) fn join_commas(tokens: &mut Vec<TokenWithSpan>) {
    let commas = {
        let view = View { tokens };
        let mut commas = update_commas(&view);
        commas.extend(parenthesised_commas(&view));
        commas
    };
    if commas.is_empty() || commas.len() > MAX_COMMAS {
        return;
    }
    let mut output = Vec::with_capacity(tokens.len() + commas.len());
    for (position, token) in tokens.drain(..).enumerate() {
        if commas.contains(&position) {
            for word in ["CROSS", "JOIN"] {
                output.push(TokenWithSpan { token: keyword(word), span: added_span() });
            }
        } else {
            output.push(token);
        }
    }
    *tokens = output;
}

/// Commas of `UPDATE a, b SET`, outside parentheses.
fn update_commas(view: &View<'_>) -> Vec<usize> {
    if !view.words(0, &["update"]) {
        return vec![];
    }
    let mut commas = vec![];
    let mut at = 1;
    while let Some(token) = view.get(at) {
        match token {
            Token::LParen => at = view.closing(at).unwrap_or(usize::MAX - 1),
            Token::Comma => commas.push(at),
            _ if unquoted(token).is_some_and(|word| word.eq_ignore_ascii_case("set")) => break,
            _ => {}
        }
        at += 1;
    }
    commas
}

/// Commas directly inside `FROM (…)` and `JOIN (…)` that hold no query.
fn parenthesised_commas(view: &View<'_>) -> Vec<usize> {
    let mut commas = vec![];
    for at in 1..view.tokens.len() {
        let opens = view.get(at) == Some(&Token::LParen) && follows_from(view, at);
        if !opens || view.one_of(at + 1, &["select", "with", "values", "table"]) {
            continue;
        }
        let Some(end) = view.closing(at) else { continue };
        let mut position = at + 1;
        while position < end {
            match view.get(position) {
                Some(Token::LParen) => position = view.closing(position).unwrap_or(end),
                Some(Token::Comma) => commas.push(position),
                _ => {}
            }
            position += 1;
        }
    }
    commas
}
