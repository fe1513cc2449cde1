//! What the store needs of a database: statements in transactions, and a sign that somebody else changed something.

use std::fmt::Debug;

use super::statements::Statements;
use crate::error::Result;

/// A value in a row or for a placeholder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cell {
    Null,
    Whole(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl Cell {
    /// A number; what does not fit is no number of ours.
    pub(super) fn whole(number: u64) -> Self {
        Self::Whole(i64::try_from(number).unwrap_or(i64::MAX))
    }

    /// Text where it is text, so that people can read it with the database's own tools.
    pub(super) fn text_or_bytes(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Bytes(bytes.to_vec()),
        }
    }

    pub(super) fn into_whole(self) -> u64 {
        match self {
            Self::Whole(number) => u64::try_from(number).unwrap_or(0),
            other => other.into_text().parse().unwrap_or(0),
        }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Null => Vec::new(),
            Self::Whole(number) => number.to_string().into_bytes(),
            Self::Text(text) => text.into_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }

    pub(super) fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            other => String::from_utf8_lossy(&other.into_bytes()).into_owned(),
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// Statements inside a transaction.
pub(super) trait Session {
    /// Rows of a query.
    fn query(&mut self, sql: &str, values: &[Cell]) -> Result<Vec<Vec<Cell>>>;
    /// How many rows a statement changed.
    fn execute(&mut self, sql: &str, values: &[Cell]) -> Result<usize>;
}

/// What is done inside a transaction.
pub(super) type Work<'w> = dyn FnMut(&mut dyn Session) -> Result<()> + 'w;

/// A database with its statements.
pub(super) trait Database: Debug + Send + Sync {
    /// Statements in its dialect.
    fn statements(&self) -> &'static Statements;
    /// Does `work` in one transaction, which is kept when it succeeds and given up when not. One that `writes` excludes all
    /// other writers from its beginning, so that what it read still holds when it writes.
    fn transact(&self, writes: bool, work: &mut Work<'_>) -> Result<()>;
    /// Another number after others changed something.
    fn marker(&self) -> Result<u64>;
}
