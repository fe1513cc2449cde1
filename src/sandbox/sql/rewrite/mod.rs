//! Spells constructs that sqlparser doesn't parse in ones that touch the same tables. Only the parser sees the result;
//! what runs stays as the plugin wrote it. Each rule says why the facts can't change.

mod mysql;
mod postgres;
mod postgres_from;
mod rules;
mod sqlite;
mod xml;

use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan};

use super::facts::Dialect;
use super::parse_tokens::index_of;
use crate::error::Result;

pub(super) use postgres_from::ROWS_FROM_FUNCTION;

/// Words that introduce tables and queries.
const INTRODUCERS: &[&str] = &[
    "from",
    "join",
    "straight_join",
    "select",
    "values",
    "into",
    "using",
    "update",
    "insert",
    "delete",
    "with",
    "union",
];

/// What the parser gets.
pub(super) struct Rewritten {
    pub(super) tokens: Vec<TokenWithSpan>,
    /// For each original token: true if a rule has judged it and left it out.
    pub(super) accounted: Vec<bool>,
}

/// Replaces `consume` tokens by `put`.
struct Change {
    consume: usize,
    put: Vec<Token>,
    /// How many of the taken words could introduce a table elsewhere, but not where this rule applies.
    judged: usize,
}

impl Change {
    fn drop(consume: usize) -> Option<Self> {
        Self::replace(consume, vec![])
    }

    fn replace(consume: usize, put: Vec<Token>) -> Option<Self> {
        Some(Self { consume, put, judged: 0 })
    }

    /// As [`Self::replace`], for a rule that has judged one introducing word itself.
    fn replace_judged(consume: usize, put: Vec<Token>) -> Option<Self> {
        Some(Self { consume, put, judged: 1 })
    }
}

/// A rule looks at the tokens from a position on; it may look back.
type Rule = fn(&View<'_>, usize) -> Option<Change>;

/// Applies the rules of the dialect.
pub(super) fn rewrite(dialect: Dialect, tokens: Vec<TokenWithSpan>) -> Result<Rewritten> {
    let rules: &[Rule] = match dialect {
        Dialect::Postgres => postgres::RULES,
        Dialect::MySql => mysql::RULES,
        Dialect::Sqlite => sqlite::RULES,
    };
    let mut accounted = vec![false; tokens.len()];
    let view = View { tokens: &tokens };
    let mut output = Vec::with_capacity(tokens.len() + 16);
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let change = rules.iter().find_map(|rule| rule(&view, at));
        if let Some(change) = change.filter(|change| view.keeps_introducers(at, change)) {
            for dropped in tokens.iter().skip(at).take(change.consume) {
                account(&mut accounted, dropped.span);
            }
            output.extend(change.put.into_iter().map(|token| TokenWithSpan { token, span: added_span() }));
            if change.consume > 0 {
                at += change.consume;
                continue;
            }
        }
        output.push(token.clone());
        at += 1;
    }
    if dialect == Dialect::MySql {
        mysql::join_commas(&mut output);
    }
    Ok(Rewritten { tokens: output, accounted })
}

fn account(accounted: &mut [bool], span: Span) {
    if let Some(slot) = index_of(span).and_then(|index| accounted.get_mut(index)) {
        *slot = true;
    }
}

/// Span of tokens that stand for nothing the plugin wrote.
fn added_span() -> Span {
    let nowhere = Location { line: 0, column: 0 };
    Span { start: nowhere, end: nowhere }
}

/// Keyword token.
fn keyword(text: &str) -> Token {
    Token::make_word(text, None)
}

/// The tokens as rules look at them.
struct View<'a> {
    tokens: &'a [TokenWithSpan],
}

impl View<'_> {
    /// A rule never takes away a word that could introduce a table or a query, however it came to match, unless it says that
    /// it has judged that word.
    fn keeps_introducers(&self, at: usize, change: &Change) -> bool {
        let lost = |introducer: &&str| {
            let is_it = |word: &str| word.eq_ignore_ascii_case(introducer);
            let taken = (at..at + change.consume).filter(|at| self.word(*at).is_some_and(is_it)).count();
            taken.saturating_sub(change.put.iter().filter(|token| unquoted(token).is_some_and(is_it)).count())
        };
        INTRODUCERS.iter().map(lost).sum::<usize>() <= change.judged
    }

    fn get(&self, at: usize) -> Option<&Token> {
        self.tokens.get(at).map(|token| &token.token)
    }

    fn before(&self, at: usize) -> Option<&Token> {
        at.checked_sub(1).and_then(|before| self.get(before))
    }

    /// Unquoted word at `at`.
    fn word(&self, at: usize) -> Option<&str> {
        self.get(at).and_then(unquoted)
    }

    /// True if these unquoted words stand here.
    fn words(&self, at: usize, expected: &[&str]) -> bool {
        expected
            .iter()
            .enumerate()
            .all(|(offset, word)| self.word(at + offset).is_some_and(|found| found.eq_ignore_ascii_case(word)))
    }

    /// True if one of these unquoted words stands here.
    fn one_of(&self, at: usize, expected: &[&str]) -> bool {
        self.word(at).is_some_and(|found| expected.iter().any(|word| found.eq_ignore_ascii_case(word)))
    }

    fn one_of_before(&self, at: usize, expected: &[&str]) -> bool {
        at.checked_sub(1).is_some_and(|before| self.one_of(before, expected))
    }

    /// Word at `at` that is no reserved one.
    fn is_name(&self, dialect: Dialect, at: usize) -> bool {
        match self.get(at) {
            Some(Token::Word(word)) => {
                word.quote_style.is_some() || !super::keywords::is_reserved(dialect, &word.value)
            }
            _ => false,
        }
    }

    /// Quoted or unquoted word at `at`.
    fn is_any_word(&self, at: usize) -> bool {
        matches!(self.get(at), Some(Token::Word(_)))
    }

    /// True if an operand ends before `at`; words count unless an operand follows them.
    fn operand_before(&self, at: usize) -> bool {
        match self.before(at) {
            Some(Token::Word(word)) => word.quote_style.is_some() || !super::keywords::precedes_operand(&word.value),
            Some(
                Token::RParen
                | Token::RBracket
                | Token::Number(..)
                | Token::Placeholder(_)
                | Token::SingleQuotedString(_)
                | Token::DoubleQuotedString(_),
            ) => true,
            _ => false,
        }
    }

    /// True if a dot follows the subscripts that start at `at`, if any do.
    fn dot_follows_subscripts(&self, at: usize) -> bool {
        let mut behind = at;
        while self.get(behind) == Some(&Token::LBracket) {
            let Some(closing) = self.closing_bracket(behind) else { return true };
            behind = closing + 1;
        }
        self.get(behind) == Some(&Token::Period)
    }

    /// Position of the parenthesis that the one at `at` closes.
    fn opening(&self, at: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for position in (0..=at).rev() {
            match self.get(position) {
                Some(Token::RParen) => depth += 1,
                Some(Token::LParen) => {
                    depth = depth.checked_sub(1)?;
                    if depth == 0 {
                        return Some(position);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// Position of the parenthesis that closes the one at `at`.
    fn closing(&self, at: usize) -> Option<usize> {
        self.closing_of(at, &Token::LParen, &Token::RParen)
    }

    /// Position of the bracket that closes the one at `at`.
    fn closing_bracket(&self, at: usize) -> Option<usize> {
        self.closing_of(at, &Token::LBracket, &Token::RBracket)
    }

    fn closing_of(&self, at: usize, opening: &Token, closing: &Token) -> Option<usize> {
        let mut depth = 0_usize;
        for position in at..self.tokens.len() {
            let token = self.get(position);
            if token == Some(opening) {
                depth += 1;
            } else if token == Some(closing) {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(position);
                }
            }
        }
        None
    }
}

fn unquoted(token: &Token) -> Option<&str> {
    match token {
        Token::Word(word) if word.quote_style.is_none() => Some(&word.value),
        _ => None,
    }
}
