//! SQL gate: decides which tables, functions and locks a statement touches, and builds the text that runs.
//!
//! The steps, each in its own file:
//! 1. `lexer` splits the text into the tokens of the dialect and refuses everything that has no single meaning.
//! 2. `canonical` writes these tokens with fixed spacing and without comments. Only this text is ever executed,
//!    so a database can't see other tokens than the gate saw. Placeholders are translated here.
//! 3. `parse_tokens` hands the *same* tokens to sqlparser, which never sees the text: there is no second lexer that
//!    could disagree. `rewrite` spells constructs that sqlparser doesn't know in ones with the same tables.
//! 4. `walk` goes through the tree, destructuring every node it accepts field by field; what it doesn't know is
//!    refused. It also accounts for every token: a word that the parser swallowed silently is a refusal, and so is a
//!    FROM or JOIN that the parser took for something else.
//! 5. `check` compares the facts with what was granted.
//!
//! Everything here is pure: no I/O, no clock, bounded time and stack for any input.

mod arguments;
mod bounded;
mod cache;
mod canonical;
mod facts;
mod functions;
mod grants;
mod keywords;
mod lexer;
mod names;
mod parse_tokens;
mod rewrite;
mod types;
mod walk;

use std::ops::Range;
use std::sync::Arc;

use sqlparser::ast::Statement;
use sqlparser::dialect::{Dialect as ParserDialect, MySqlDialect, PostgreSqlDialect, SQLiteDialect};
use sqlparser::parser::{Parser, ParserError, ParserOptions};
use sqlparser::tokenizer::TokenWithSpan;

use crate::error::{Error, ErrorCode, Result};
use crate::executor::with_thread_mask;

pub use arguments::ArgumentMap;
pub use cache::FactsCache;
pub use facts::{Call, Dialect, Facts, SqlProfile, StatementKind, Table, TableGrants, check};
pub use grants::TableScope;

/// Longest statement in bytes. Hand-written and generated application SQL stays far below.
pub const MAX_TEXT_BYTES: usize = 64 * 1024;

/// Depth that the parser may recurse to; nested parentheses are limited before, in [`lexer`].
const PARSER_RECURSION: usize = 400;

/// Stack of the thread that analyses statements which aren't small: the limits of the lexer need less than half of it
/// in a debug build (measured in the tests).
const BIG_STACK_BYTES: usize = 32 * 1024 * 1024;

/// Facts about the one statement in `sql`, or the reason why it can't run.
///
/// # Errors
/// `policy.sql.too_large` beyond the size, depth and count limits, `policy.sql.statement_denied` for statements that
/// plugins never run, `policy.sql.function_denied` for functions, operators and types outside the allow-lists,
/// `policy.sql.arguments` for unusable placeholders, and `policy.sql.not_understood` for everything else.
pub fn analyse(profile: &SqlProfile, sql: &str) -> Result<Facts> {
    if sql.len() > MAX_TEXT_BYTES {
        return Err(too_large(format!("statement has {} bytes; at most {MAX_TEXT_BYTES} are allowed", sql.len())));
    }
    let lexed = lexer::lex(profile.dialect, sql)?;
    if lexed.size.is_small() {
        return analyse_tokens(profile, &lexed.tokens);
    }
    on_big_stack(|| analyse_tokens(profile, &lexed.tokens))
}

/// The canonical text of `sql` and where each of its tokens lies in it, whether or not the rest of the gate understands
/// them: for holding the lexer against those of the databases.
///
/// # Errors
/// As [`analyse`] for what the lexer and the placeholders refuse.
pub fn canonical_tokens(dialect: Dialect, sql: &str) -> Result<(String, Vec<Range<usize>>)> {
    let lexed = lexer::lex(dialect, sql)?;
    let mut places = Vec::with_capacity(lexed.tokens.len());
    let (text, _) = canonical::write_placed(dialect, &lexed.tokens, |place| places.push(place))?;
    Ok((text, places))
}

/// Runs `work` on a thread whose stack fits the largest statement that the limits let through.
fn on_big_stack<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("sql-gate".into()).stack_size(BIG_STACK_BYTES);
        let thread = with_thread_mask(|| thread.spawn_scoped(scope, work)).map_err(|error| {
            Error::new(ErrorCode::EnvironmentResources, "can't start a thread for a large statement").with_source(error)
        })?;
        thread.join().unwrap_or_else(|_| Err(not_understood("the parser failed on this statement")))
    })
}

fn analyse_tokens(profile: &SqlProfile, tokens: &[lexer::Token<'_>]) -> Result<Facts> {
    let (canonical, arguments) = canonical::write(profile.dialect, tokens)?;
    let parse_tokens = parse_tokens::convert(profile.dialect, tokens)?;
    let rewritten = rewrite::rewrite(profile.dialect, parse_tokens)?;
    let introducers = walk::Counts::of(&rewritten.tokens);
    let statement = parse(profile.dialect, rewritten.tokens)?;
    let touched = walk::walk(profile, &statement, tokens, rewritten.accounted, &introducers)?;
    let kind =
        if touched.writes.is_empty() && touched.locks.is_empty() { StatementKind::Read } else { StatementKind::Write };
    Ok(Facts {
        kind,
        canonical: Arc::from(canonical),
        reads: touched.reads,
        writes: touched.writes,
        locks: touched.locks,
        functions: touched.functions,
        arguments,
    })
}

fn parse(dialect: Dialect, tokens: Vec<TokenWithSpan>) -> Result<Statement> {
    let options = ParserOptions::new().with_unescape(false);
    let mut statements = match dialect {
        Dialect::Postgres => parse_with(PostgreSqlDialect {}, options, tokens),
        Dialect::MySql => parse_with(MySqlDialect {}, options, tokens),
        Dialect::Sqlite => parse_with(SQLiteDialect {}, options, tokens),
    }?;
    match (statements.pop(), statements.is_empty()) {
        (Some(statement), true) => Ok(statement),
        (None, _) => Err(not_understood("the text holds no statement")),
        (Some(_), false) => Err(not_understood("the text holds more than one statement")),
    }
}

fn parse_with<D: ParserDialect>(
    dialect: D,
    options: ParserOptions,
    tokens: Vec<TokenWithSpan>,
) -> Result<Vec<Statement>> {
    let dialect = bounded::Bounded::new(dialect, tokens.len());
    let parsed = Parser::new(&dialect)
        .with_options(options)
        .with_recursion_limit(PARSER_RECURSION)
        .with_tokens_with_locations(tokens)
        .parse_statements();
    if dialect.is_exhausted() {
        return Err(too_large("statement takes too long to parse (too many nested calls)"));
    }
    parsed.map_err(|error| match error {
        ParserError::RecursionLimitExceeded => too_large("statement is nested too deeply"),
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => {
            not_understood(format!("statement can't be parsed: {}", short(&text)))
        }
    })
}

/// Parser message without the position (it counts tokens, which means nothing to people), cut to a sensible length.
fn short(text: &str) -> String {
    let text = text.split(" at Line:").next().unwrap_or(text);
    text.chars().take(160).collect()
}

/// Refusal of something whose meaning is not certain.
fn not_understood(context: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorCode::PolicySqlNotUnderstood, context)
}

/// Refusal of a statement beyond the limits.
fn too_large(context: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorCode::PolicySqlTooLarge, context)
}

/// Refusal of a kind of statement that plugins never run.
fn statement_denied(context: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorCode::PolicySqlStatementDenied, context)
}

/// Refusal of a function, operator or type outside the allow-lists.
fn function_denied(name: &str, what: &str) -> Error {
    Error::new(
        ErrorCode::PolicySqlFunctionDenied,
        format!("{what} `{name}` is not on the list of harmless ones (an administrator can add functions to the plugin's policy)"),
    )
    .with_detail("function", name)
}

#[cfg(test)]
mod tests;
