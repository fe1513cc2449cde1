//! PostgreSQL's XML functions, whose arguments sqlparser doesn't read.

use sqlparser::tokenizer::Token;

use super::{Change, View};

/// `XMLELEMENT(NAME a, …)` and `XMLPI(NAME a)`: a name of the document, none of the database.
pub(super) fn element_name(view: &View<'_>, at: usize) -> Option<Change> {
    let names = opens_call(view, at, &["xmlelement", "xmlpi"]) && view.words(at, &["name"]) && view.is_any_word(at + 1);
    match view.get(at + 2) {
        Some(Token::Comma) if names => Change::drop(3),
        Some(Token::RParen) if names => Change::drop(2),
        _ => None,
    }
}

/// `XMLEXISTS('path' PASSING [BY REF] x)`: two arguments.
pub(super) fn passing(view: &View<'_>, at: usize) -> Option<Change> {
    let path = at.checked_sub(1)?;
    if !opens_call(view, path, &["xmlexists"]) || !view.words(at, &["passing"]) {
        return None;
    }
    let by = view.words(at + 1, &["by", "ref"]) || view.words(at + 1, &["by", "value"]);
    Change::replace(if by { 3 } else { 1 }, vec![Token::Comma])
}

/// `XMLPARSE(DOCUMENT x)` and `XMLSERIALIZE(CONTENT x AS text)`: the word before the argument.
pub(super) fn document_kind(view: &View<'_>, at: usize) -> Option<Change> {
    let kind = opens_call(view, at, &["xmlparse", "xmlserialize"]) && view.one_of(at, &["document", "content"]);
    let argument_follows = !matches!(view.get(at + 1), None | Some(Token::RParen | Token::Comma | Token::Period));
    (kind && argument_follows).then(|| Change::drop(1))?
}

/// True if the first argument of one of these functions starts at `at`.
fn opens_call(view: &View<'_>, at: usize, functions: &[&str]) -> bool {
    view.before(at) == Some(&Token::LParen)
        && at.checked_sub(2).is_some_and(|function| view.one_of(function, functions))
        && at.checked_sub(3).and_then(|dot| view.get(dot)) != Some(&Token::Period)
}
