//! The store's own connection to an SQLite file, which plugins may be using at the same time.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, params_from_iter};

use super::session::{Cell, Database, Session, Work};
use super::statements::{SQLITE, Statements};
use crate::error::{Error, ErrorCode, Result};

/// How long a statement waits for another connection's lock.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// An SQLite file, opened when it is needed and again after a failure.
#[derive(Debug)]
pub(super) struct SqliteFile {
    path: PathBuf,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    connection: Option<Connection>,
    /// Connections made so far: a new connection counts others' changes from its own beginning.
    count: u64,
    /// The file that the connection is to; another one may take its place.
    inode: u64,
}

impl SqliteFile {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), open: Mutex::default() }
    }

    /// Does `work` with the connection; after a failure that may be the connection's, the next use makes another one.
    fn with<T>(&self, work: impl FnOnce(&mut Connection, u64) -> Result<T>) -> Result<T> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let inode = inode(&self.path);
        if open.connection.is_none() || open.inode != inode {
            let connection = connect(&self.path).map_err(|error| failed(&error).prefixed(&self.describe()))?;
            *open = Open { connection: Some(connection), count: open.count + 1, inode };
        }
        let Open { connection: Some(connection), count, .. } = &mut *open else {
            return Err(crate::error::bug!("a connection is gone"));
        };
        let done = work(connection, *count);
        if matches!(&done, Err(error) if is_about_storage(error)) {
            open.connection = None;
        }
        done.map_err(|error| if is_about_storage(&error) { error.prefixed(&self.describe()) } else { error })
    }

    fn describe(&self) -> String {
        format!("the policy store `{}`", self.path.display())
    }
}

impl Database for SqliteFile {
    fn statements(&self) -> &'static Statements {
        &SQLITE
    }

    fn transact(&self, writes: bool, work: &mut Work<'_>) -> Result<()> {
        self.with(|connection, _| {
            let behavior = if writes { TransactionBehavior::Immediate } else { TransactionBehavior::Deferred };
            let transaction = connection.transaction_with_behavior(behavior).map_err(|error| failed(&error))?;
            let mut session = Statement(transaction);
            work(&mut session)?;
            session.0.commit().map_err(|error| failed(&error))
        })
    }

    fn marker(&self) -> Result<u64> {
        self.with(|connection, count| {
            let version: u32 =
                connection.query_row("PRAGMA data_version", [], |row| row.get(0)).map_err(|error| failed(&error))?;
            Ok(count << 32 | u64::from(version))
        })
    }
}

struct Statement<'c>(Transaction<'c>);

impl Session for Statement<'_> {
    fn query(&mut self, sql: &str, values: &[Cell]) -> Result<Vec<Vec<Cell>>> {
        let work = || {
            let mut prepared = self.0.prepare_cached(sql)?;
            let columns = prepared.column_count();
            let mut rows = prepared.query(params_from_iter(values.iter().map(value)))?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let cells = (0..columns).map(|column| row.get_ref(column).map(cell));
                found.push(cells.collect::<rusqlite::Result<Vec<Cell>>>()?);
            }
            Ok(found)
        };
        work().map_err(|error: rusqlite::Error| failed(&error))
    }

    fn execute(&mut self, sql: &str, values: &[Cell]) -> Result<usize> {
        let work = || self.0.prepare_cached(sql)?.execute(params_from_iter(values.iter().map(value)));
        work().map_err(|error| failed(&error))
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    // Without the right to write it opens for reading all the same.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(LOCK_WAIT)?;
    // A change that was confirmed survives a power failure.
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}

fn inode(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(path).map_or(0, |metadata| metadata.ino())
}

fn value(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Whole(number) => Value::Integer(*number),
        Cell::Text(text) => Value::Text(text.clone()),
        Cell::Bytes(bytes) => Value::Blob(bytes.clone()),
    }
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Whole(number),
        ValueRef::Real(number) => Cell::Text(number.to_string()),
        ValueRef::Text(text) => Cell::text_or_bytes(text),
        ValueRef::Blob(bytes) => Cell::Bytes(bytes.to_vec()),
    }
}

fn is_about_storage(error: &Error) -> bool {
    matches!(error.code(), ErrorCode::EnvironmentStore | ErrorCode::EnvironmentStoreReadOnly)
}

fn failed(error: &rusqlite::Error) -> Error {
    let code = match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::ReadOnly) => ErrorCode::EnvironmentStoreReadOnly,
        _ => ErrorCode::EnvironmentStore,
    };
    Error::new(code, error.to_string())
}
