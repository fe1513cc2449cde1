//! What the gate learns about a statement, and the comparison with what was granted.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::ArgumentMap;
use crate::error::{Error, ErrorCode, Result};

/// SQL dialect of a database session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dialect {
    /// PostgreSQL, with `standard_conforming_strings` on.
    Postgres,
    /// MySQL and MariaDB, without `ANSI_QUOTES`, `NO_BACKSLASH_ESCAPES` and `IGNORE_SPACE`, connection in utf8mb4.
    MySql,
    /// SQLite.
    Sqlite,
}

impl Dialect {
    /// Name as it appears in configuration and in requests.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::MySql => "mysql",
            Self::Sqlite => "sqlite",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Dialect {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "postgres" => Ok(Self::Postgres),
            "mysql" => Ok(Self::MySql),
            "sqlite" => Ok(Self::Sqlite),
            _ => Err(Error::new(
                ErrorCode::ArgumentEnum,
                format!("`{}` is no SQL dialect (postgres, mysql, sqlite)", text.escape_debug()),
            )),
        }
    }
}

/// What the gate must know about the session that will run a statement.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SqlProfile {
    /// Dialect of the session.
    pub dialect: Dialect,
    /// Schema that unqualified names live in (`public`, `main`, a MySQL database); naming it changes nothing.
    pub default_schema: Option<String>,
    /// Functions that an administrator granted beyond the built-in list; exact names, compared without case.
    pub extra_functions: Vec<String>,
}

/// What a statement does to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StatementKind {
    /// `SELECT` or `VALUES` that neither locks nor writes.
    Read,
    /// Everything else that the gate lets through.
    Write,
}

/// A table, named as the dialect folds it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Table {
    /// Schema, if the statement names another than the default one.
    pub schema: Option<String>,
    /// Name without quotes.
    pub name: String,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// What one statement touches.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Whether it only reads.
    pub kind: StatementKind,
    /// The text that runs. What was checked is what this text says.
    pub canonical: Arc<str>,
    /// Tables whose rows can reach the result or another table, sorted, without repetition.
    pub reads: Vec<Table>,
    /// Tables that rows are written to or deleted from.
    pub writes: Vec<Table>,
    /// Tables whose rows are locked (`FOR UPDATE`, `FOR SHARE`).
    pub locks: Vec<Table>,
    /// Functions that are called, lower case.
    pub functions: Vec<String>,
    /// How the plugin's arguments become those of [`Self::canonical`].
    pub arguments: ArgumentMap,
}

/// Host function through which a statement arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// `db_query`: reads only.
    Query,
    /// `db_exec`: reads and writes.
    Exec,
}

/// Tables that a policy grants.
pub trait TableGrants {
    /// Rows of `table` may reach the plugin.
    fn may_read(&self, table: &Table) -> bool;
    /// Rows of `table` may be changed and locked.
    fn may_write(&self, table: &Table) -> bool;
}

/// Compares what a statement touches with what is granted.
///
/// # Errors
/// `policy.sql.statement_denied` when a query writes or locks, `policy.sql.table_denied` for the first table, by
/// name, that is not granted for what the statement does to it.
pub fn check(facts: &Facts, grants: &dyn TableGrants, call: Call) -> Result<()> {
    if call == Call::Query && facts.kind == StatementKind::Write {
        return Err(Error::new(
            ErrorCode::PolicySqlStatementDenied,
            "db_query runs reads only; statements that write or lock rows go through db_exec",
        ));
    }
    let written = facts.writes.iter().map(|table| (table, "write"));
    let locked = facts.locks.iter().map(|table| (table, "lock"));
    for (table, access) in written.chain(locked) {
        if !grants.may_write(table) {
            return Err(table_denied(table, access, "write"));
        }
    }
    for table in &facts.reads {
        if !grants.may_read(table) {
            return Err(table_denied(table, "read", "read"));
        }
    }
    Ok(())
}

fn table_denied(table: &Table, access: &str, grant: &str) -> Error {
    Error::new(
        ErrorCode::PolicySqlTableDenied,
        format!(
            "statement needs {access} access to table `{}`, which is not granted (grant db {grant} on it in the plugin's policy)",
            table.to_string().escape_debug()
        ),
    )
    .with_detail("table", table.to_string())
    .with_detail("access", grant)
}
