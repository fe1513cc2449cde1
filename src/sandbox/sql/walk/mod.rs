//! Goes through the parsed statement and collects what it touches.
//!
//! Allow by construction: nodes are destructured field by field, without `..`, so that a new field or variant of the
//! parser fails to compile here; what is not listed is refused. A second look accounts for every token: a word, name
//! or literal that was never met in the tree was swallowed by the parser, and that is a refusal unless it is a word of
//! the grammar.

mod dml;
mod expression;
mod function;
mod merge;
mod operator;
mod query;
mod reference;
mod syntax;
mod table;
mod target;

use std::collections::BTreeSet;

use sqlparser::ast::{Ident, ObjectName, Statement};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Span, Token as ParserToken, TokenWithSpan};

use self::reference::References;
use super::facts::{Dialect, SqlProfile, Table};
use super::lexer::{Kind, Token};
use super::parse_tokens::index_of;
use super::{keywords, names, not_understood, statement_denied};
use crate::error::Result;

/// What the statement touches, each list sorted.
pub(super) struct Touched {
    pub(super) reads: Vec<Table>,
    pub(super) writes: Vec<Table>,
    pub(super) locks: Vec<Table>,
    pub(super) functions: Vec<String>,
}

/// Facts of `statement`, which was parsed from `tokens`; `accounted` marks those that a rewrite has judged.
pub(super) fn walk(
    profile: &SqlProfile,
    statement: &Statement,
    tokens: &[Token<'_>],
    accounted: Vec<bool>,
    expected: &Counts,
) -> Result<Touched> {
    let mut walker = Walker {
        profile,
        tokens,
        accounted,
        scopes: vec![],
        references: References::default(),
        reads: BTreeSet::new(),
        writes: BTreeSet::new(),
        locks: BTreeSet::new(),
        functions: BTreeSet::new(),
        counts: Counts::default(),
    };
    walker.statement(statement)?;
    walker.check_accounts()?;
    walker.check_references()?;
    if walker.counts != *expected {
        return Err(not_understood("FROM or JOIN stands in a place where its meaning is not certain"));
    }
    Ok(Touched {
        reads: walker.reads.into_iter().collect(),
        writes: walker.writes.into_iter().collect(),
        locks: walker.locks.into_iter().collect(),
        functions: walker.functions.into_iter().collect(),
    })
}

struct Walker<'a> {
    profile: &'a SqlProfile,
    tokens: &'a [Token<'a>],
    accounted: Vec<bool>,
    /// Names of the CTEs in sight, innermost last.
    scopes: Vec<Vec<String>>,
    /// What stands in FROM, and the columns that the statement takes from it by `table.column`.
    references: References,
    reads: BTreeSet<Table>,
    writes: BTreeSet<Table>,
    locks: BTreeSet<Table>,
    functions: BTreeSet<String>,
    counts: Counts,
}

/// Words that introduce tables. The parser must have met each one where the walk did: `SELECT pw COLLATE FROM users`
/// has a collation named FROM for sqlparser, and a table for PostgreSQL.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    from: usize,
    join: usize,
}

impl Counts {
    /// The words in the tokens that the parser got, except where they are names behind a dot or `AS`.
    pub(super) fn of(parsed: &[TokenWithSpan]) -> Self {
        let mut counts = Self::default();
        let mut is_name = false;
        for token in parsed {
            let keyword = match &token.token {
                ParserToken::Word(word) => word.keyword,
                _ => Keyword::NoKeyword,
            };
            match keyword {
                Keyword::FROM if !is_name => counts.from += 1,
                Keyword::JOIN | Keyword::STRAIGHT_JOIN if !is_name => counts.join += 1,
                _ => {}
            }
            is_name = (keyword == Keyword::AS && !is_name) || token.token == ParserToken::Period;
        }
        counts
    }
}

/// A table, subquery or function in FROM, as other parts of the statement refer to it.
struct Source {
    /// Alias, or the name of the table.
    binding: Option<String>,
    /// The table itself, or those inside the subquery.
    tables: Vec<Table>,
    /// True for a table that stands here by its own name, not for subqueries and CTEs.
    is_table: bool,
}

impl Walker<'_> {
    fn dialect(&self) -> Dialect {
        self.profile.dialect
    }

    fn statement(&mut self, statement: &Statement) -> Result<()> {
        match statement {
            Statement::Query(query) => self.query(query).map(|_tables| ()),
            Statement::Insert(insert) => self.insert(insert),
            Statement::Update(update) => self.update(update),
            Statement::Delete(delete) => self.delete(delete),
            Statement::Merge(merge) => self.merge(merge),
            _ => Err(statement_denied(format!(
                "`{}` is no statement that plugins may run (SELECT, VALUES, INSERT, UPDATE, DELETE)",
                self.tokens.first().map_or("", |token| token.text).escape_debug()
            ))),
        }
    }

    /// Marks the token behind a part of the tree.
    fn account(&mut self, span: Span) {
        if let Some(slot) = index_of(span).and_then(|index| self.accounted.get_mut(index)) {
            *slot = true;
        }
    }

    /// A name in a place where the database accepts names only.
    fn name(&mut self, ident: &Ident) -> Result<()> {
        names::check_name(self.dialect(), ident)?;
        self.account(ident.span);
        Ok(())
    }

    /// A label: behind `AS` PostgreSQL takes reserved words for names too; some databases take strings.
    fn label(&mut self, ident: &Ident) -> Result<()> {
        let Ident { value, quote_style, span } = ident;
        let string = match quote_style {
            Some('\'') => true,
            Some('"') => self.dialect() == Dialect::MySql,
            _ => false,
        };
        if string {
            self.account_string(value);
            return Ok(());
        }
        if self.dialect() == Dialect::Postgres && self.is_after_as(ident) {
            self.account(*span);
            return Ok(());
        }
        self.name(ident)
    }

    /// The parser drops the position of strings that it takes for names; finds the first one with this content.
    fn account_string(&mut self, content: &str) {
        let found = self.tokens.iter().zip(&mut self.accounted).find(|(token, accounted)| {
            !**accounted && token.kind == Kind::String && token.text.get(1..token.text.len() - 1) == Some(content)
        });
        if let Some((_, slot)) = found {
            *slot = true;
        }
    }

    /// Marks the strings that directly follow the one at `span`.
    fn account_adjacent_strings(&mut self, span: Span) {
        let Some(index) = index_of(span) else { return };
        let following = self.tokens.iter().skip(index + 1).take_while(|token| token.kind == Kind::String).count();
        self.accounted.iter_mut().skip(index + 1).take(following).for_each(|slot| *slot = true);
    }

    /// True if the plugin wrote this name, and no rewrite.
    fn is_written(&self, ident: &Ident) -> bool {
        index_of(ident.span).is_some()
    }

    /// True if the plugin wrote `before.after`, with nothing but the dot between the two names.
    fn is_dotted(&self, before: &Ident, after: &Ident) -> bool {
        let (Some(before), Some(after)) = (index_of(before.span), index_of(after.span)) else { return false };
        before + 2 == after && self.tokens.get(before + 1).is_some_and(|token| token.kind == Kind::Dot)
    }

    /// True if the word `AS` stands before the token behind `ident`.
    fn is_after_as(&self, ident: &Ident) -> bool {
        let before = |steps: usize| index_of(ident.span).and_then(|index| self.tokens.get(index.checked_sub(steps)?));
        // Behind a dot `as` is a name itself.
        before(1).is_some_and(|token| token.is_word("as")) && before(2).is_none_or(|token| token.kind != Kind::Dot)
    }

    /// Accounts for all parts of a name. Behind a dot every word is a name.
    fn qualified_name(&mut self, parts: &[&Ident]) -> Result<()> {
        let Some((first, rest)) = parts.split_first() else {
            return Err(not_understood("a name is missing"));
        };
        self.name(first)?;
        rest.iter().for_each(|part| self.account(part.span));
        Ok(())
    }

    fn object_name(&mut self, name: &ObjectName) -> Result<()> {
        self.qualified_name(&names::parts(name)?)
    }

    /// True if the name means a CTE. Exact comparison after folding: names that a database might consider equal by its
    /// collation are taken for tables here, which asks for more than needed, never for less.
    fn is_cte(&self, name: &ObjectName) -> Result<bool> {
        let parts = names::parts(name)?;
        let [ident] = parts.as_slice() else { return Ok(false) };
        let folded = names::fold(self.dialect(), ident);
        let comparable = self.dialect() == Dialect::Postgres || folded.is_ascii();
        Ok(comparable && self.scopes.iter().flatten().any(|cte| *cte == folded))
    }

    /// Refuses tokens that the walk never met.
    fn check_accounts(&self) -> Result<()> {
        let swallowed = self.tokens.iter().zip(&self.accounted).find(|(token, accounted)| {
            !**accounted
                && match token.kind {
                    Kind::Word => !keywords::is_structural(token.text),
                    Kind::QuotedName | Kind::Placeholder => true,
                    kind => kind.is_string(),
                }
        });
        match swallowed {
            Some((token, _)) => Err(not_understood(format!(
                "the meaning of `{}` in this statement is not certain",
                token.text.chars().take(40).collect::<String>().escape_debug()
            ))),
            None => Ok(()),
        }
    }
}
