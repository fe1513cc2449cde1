//! Names that a statement could declare as WITH items, for the second wall: found without the gate's lexer and parser, so
//! that a fault there is none here. What is found too much only makes the wall refuse what a view or trigger of the same
//! name would reach.

use std::collections::HashSet;
use std::iter::Peekable;
use std::str::Chars;

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    /// A word, or anything in quotes, in lower case.
    Name(String),
    Symbol(char),
}

/// Names before `AS [[NOT] MATERIALIZED] (`, with or without a list of columns between.
pub(super) fn declared(sql: &str) -> HashSet<String> {
    let pieces = pieces(sql);
    let is_word = |at: usize, word: &str| matches!(pieces.get(at), Some(Piece::Name(name)) if name == word);
    let is_symbol = |at: usize, symbol: char| pieces.get(at) == Some(&Piece::Symbol(symbol));
    let opens_query = |at: usize| {
        let behind = (at..).find(|at| !is_word(*at, "not") && !is_word(*at, "materialized")).unwrap_or(at);
        is_symbol(behind, '(')
    };
    let mut found = HashSet::new();
    for at in (1..pieces.len()).filter(|at| is_word(*at, "as") && opens_query(at + 1)) {
        let name = if is_symbol(at - 1, ')') {
            (0..at).rev().find(|at| is_symbol(*at, '(')).and_then(|opening| opening.checked_sub(1))
        } else {
            Some(at - 1)
        };
        if let Some(Piece::Name(name)) = name.and_then(|name| pieces.get(name)) {
            found.insert(name.clone());
        }
    }
    found
}

fn pieces(sql: &str) -> Vec<Piece> {
    let mut rest = sql.chars().peekable();
    let mut found = vec![];
    while let Some(character) = rest.next() {
        match character {
            '"' | '`' | '\'' => found.push(Piece::Name(quoted(&mut rest, character))),
            '[' => found.push(Piece::Name(quoted(&mut rest, ']'))),
            '-' if rest.peek() == Some(&'-') => drop(rest.by_ref().find(|character| *character == '\n')),
            '/' if rest.peek() == Some(&'*') => skip_comment(&mut rest),
            _ if is_of_word(character) => {
                let mut word = character.to_ascii_lowercase().to_string();
                while let Some(next) = rest.next_if(|next| is_of_word(*next)) {
                    word.push(next.to_ascii_lowercase());
                }
                found.push(Piece::Name(word));
            }
            _ if character.is_ascii_whitespace() => {}
            _ => found.push(Piece::Symbol(character)),
        }
    }
    found
}

fn is_of_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '$') || !character.is_ascii()
}

/// The text up to the closing quote; two of them are one character. In brackets there is no such pair.
fn quoted(rest: &mut Peekable<Chars<'_>>, quote: char) -> String {
    let mut text = String::new();
    while let Some(character) = rest.next() {
        if character == quote && (quote == ']' || rest.next_if_eq(&quote).is_none()) {
            break;
        }
        text.push(character.to_ascii_lowercase());
    }
    text
}

fn skip_comment(rest: &mut Peekable<Chars<'_>>) {
    rest.next();
    let mut before = ' ';
    for character in rest.by_ref() {
        if (before, character) == ('*', '/') {
            break;
        }
        before = character;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(sql: &str) -> Vec<String> {
        let mut names: Vec<String> = declared(sql).into_iter().collect();
        names.sort();
        names
    }

    #[test]
    fn items_are_found_however_they_are_written() {
        for sql in [
            "WITH v AS (SELECT 1) SELECT * FROM v",
            "with V as(select 1) select 1",
            "WITH a AS (SELECT (1)), v(x, y) AS NOT MATERIALIZED (SELECT 1) SELECT 1",
            "WITH \"V\" AS MATERIALIZED (SELECT 1) SELECT 1",
            "WITH [v] AS (SELECT 1) SELECT 1",
            "WITH `v`(x) AS (SELECT 1) SELECT 1",
            "WITH 'v' AS (SELECT 1) SELECT 1",
            "WITH v/* ) */AS--(\n(SELECT 1) SELECT 1",
            "SELECT (WITH v AS (SELECT 1) SELECT * FROM v) FROM v",
        ] {
            assert!(sorted(sql).contains(&"v".to_owned()), "{sql}: {:?}", sorted(sql));
        }
        assert_eq!(sorted("WITH \"a\"\"B\" AS (SELECT 1) SELECT 1"), ["a\"b"]);
    }

    #[test]
    fn what_is_only_read_is_no_item() {
        for sql in
            ["SELECT * FROM v", "SELECT v.a AS b FROM v AS w", "SELECT (v) AS x, 'v AS (' FROM v", "", "AS (", ") AS ("]
        {
            assert!(!sorted(sql).contains(&"v".to_owned()), "{sql}: {:?}", sorted(sql));
        }
    }
}
