//! The embedded database. SQLite's own authorizer checks each statement a second time, against what the SQL gate found.

mod authorizer;
mod rows;
mod with_items;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::types::{ToSqlOutput, Value as SqliteValue, ValueRef};
use rusqlite::{Connection, OpenFlags, ToSql, params_from_iter};

use self::authorizer::Wall;
use crate::clock;
use crate::error::{Error, ErrorCode, Result, bug};
use crate::host::request::Statement;
use crate::host::{HostCall, Provider, Reply, Request, SqlValue};
use crate::plugin::{CallContext, Cancellation, Origin};

/// How long a statement waits for another connection's lock.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// Steps of SQLite's machine between two looks at the deadline: well under a millisecond.
const STEPS_BETWEEN_CHECKS: i32 = 10_000;

/// Connections that are kept for the next statement.
const MAX_IDLE: usize = 8;

/// Bounds inside SQLite. One function call can make a value of any length that is allowed, without a look at the deadline;
/// patterns, expressions, compound selects and triggers recurse on the caller's stack.
const LIMITS: [(Limit, i32); 7] = [
    (Limit::SQLITE_LIMIT_LENGTH, 16 * 1024 * 1024),
    (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1_000),
    (Limit::SQLITE_LIMIT_EXPR_DEPTH, 200),
    (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 200),
    (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 20),
    (Limit::SQLITE_LIMIT_ATTACHED, 0),
    (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
];

/// Statements that each connection keeps prepared.
const PREPARED: usize = 128;

/// Where the database is and how it is opened.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// File, or `:memory:`.
    pub path: PathBuf,
    /// SQL that is run once, when the database is made.
    pub init_script: Option<PathBuf>,
    /// Refuses every change.
    pub read_only: bool,
}

/// A database file, or a database in memory.
pub struct SqliteDatabase {
    options: SqliteOptions,
    in_memory: bool,
    sessions: Mutex<Sessions>,
}

#[derive(Default)]
struct Sessions {
    idle: Vec<Session>,
    /// Threads that wait for the one session of a database in memory.
    waiting: Vec<Thread>,
}

/// A connection with its second wall.
struct Session {
    connection: Connection,
    wall: Wall,
}

impl SqliteDatabase {
    /// Opens the database, and makes it when it is not there and may be made.
    pub fn open(options: SqliteOptions) -> Result<Self> {
        let in_memory = options.path == Path::new(":memory:");
        let script = options.init_script.clone();
        if let Some(script) = script.as_deref().filter(|_| !in_memory && !options.path.exists()) {
            make_file(&options.path, script)?;
        }
        let database = Self { options, in_memory, sessions: Mutex::default() };
        let connection = database.connect()?;
        if let Some(script) = script.as_deref().filter(|_| in_memory) {
            run_script(&connection, script)?;
        }
        database.put_back(Session::new(connection)?);
        Ok(database)
    }

    /// First column of the first row, as text: for the library's own look-ups, which no plugin writes.
    pub fn look_up(&self, sql: &str, parameter: &str) -> Result<Option<String>> {
        let context = CallContext::from_host(clock::Nanos::MAX, Cancellation::default(), Origin::default());
        let session = self.take(&context)?;
        let found = session.wall.open(|| {
            let mut statement = session.connection.prepare_cached(sql)?;
            let mut rows = statement.query([parameter])?;
            Ok(match rows.next()? {
                Some(row) => rows::text(row.get_ref(0)?),
                None => None,
            })
        });
        self.put_back(session);
        found.map_err(|error| database_error(&error))
    }

    fn connect(&self) -> Result<Connection> {
        let mode = if self.options.read_only {
            OpenFlags::SQLITE_OPEN_READ_ONLY
        } else {
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE
        };
        let opened = if self.in_memory {
            Connection::open_in_memory()
        } else {
            Connection::open_with_flags(&self.options.path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        };
        let configured = opened.and_then(|connection| {
            // Only for making the connection; each statement has its own.
            connection.busy_timeout(Duration::from_millis(100))?;
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
            connection.set_prepared_statement_cache_capacity(PREPARED);
            for (limit, value) in LIMITS {
                connection.set_limit(limit, value)?;
            }
            Ok(connection)
        });
        configured.map_err(|error| {
            Error::new(
                ErrorCode::HostDatabase,
                format!("can't open the SQLite database `{}`", self.options.path.display()),
            )
            .with_source(error)
        })
    }

    /// A session for one statement. A database in memory has a single one, which is waited for.
    fn take(&self, context: &CallContext) -> Result<Session> {
        if let Some(session) = self.lock().idle.pop() {
            return Ok(session);
        }
        if !self.in_memory {
            let connection = self.connect()?;
            let lock_wait = context.remaining().min(LOCK_WAIT);
            connection.busy_timeout(lock_wait).map_err(|error| database_error(&error))?;
            return Session::new(connection);
        }
        context.block_until(|| {
            let mut sessions = self.lock();
            let session = sessions.idle.pop();
            if session.is_none() {
                sessions.waiting.push(std::thread::current());
            }
            session
        })
    }

    fn put_back(&self, session: Session) {
        let mut sessions = self.lock();
        if sessions.idle.len() < MAX_IDLE {
            sessions.idle.push(session);
        }
        // Everybody who waits looks again; who gets nothing waits again.
        for thread in sessions.waiting.drain(..) {
            thread.unpark();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, call: &HostCall<'_>, statement: &Statement, reads_only: bool) -> Result<Reply> {
        let mut session = self.take(call.context)?;
        let answer = session.run(call.context, statement, reads_only);
        self.put_back(session);
        answer
    }
}

impl Session {
    fn new(mut connection: Connection) -> Result<Self> {
        let wall = Wall::raise(&mut connection).map_err(|error| database_error(&error))?;
        Ok(Self { connection, wall })
    }

    fn run(&mut self, context: &CallContext, statement: &Statement, reads_only: bool) -> Result<Reply> {
        let answer = self.watched(context, |session| {
            let Some(facts) = &statement.facts else { return Err(bug!("an unchecked statement reached the database")) };
            session.wall.refresh(&session.connection).map_err(|error| database_error(&error))?;
            session.wall.admit(facts, &statement.sql, || session.execute(statement, reads_only))
        });
        // What failed because the call is over says so.
        answer.map_err(|failure| context.check_alive().err().unwrap_or(failure))
    }

    /// Does `work`; SQLite looks at the call's deadline while it computes, and waits no longer than that for locks.
    fn watched<T>(&mut self, context: &CallContext, work: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        let lock_wait = context.remaining().min(LOCK_WAIT);
        self.connection.busy_timeout(lock_wait).map_err(|error| database_error(&error))?;
        self.watch(Some(context.clone())).map_err(|error| database_error(&error))?;
        let done = work(self);
        // An error here means the connection is gone; the next statement will say so.
        let _ = self.watch(None);
        done
    }

    fn execute(&self, statement: &Statement, reads_only: bool) -> Result<Reply> {
        let failed = |error: rusqlite::Error| {
            let prefix = if reads_only { "query failed" } else { "exec failed" };
            database_error(&error).prefixed(prefix)
        };
        let mut prepared = self.connection.prepare_cached(&statement.sql).map_err(failed)?;
        if reads_only {
            if !prepared.readonly() {
                return Err(Error::new(
                    ErrorCode::PolicySqlStatementDenied,
                    "the statement changes data (use db_exec, which needs write access)",
                ));
            }
            let mut rows = prepared.query(params_from_iter(&statement.values)).map_err(failed)?;
            return rows::to_json(&mut rows, failed);
        }
        let affected = if prepared.readonly() {
            0
        } else if prepared.column_count() == 0 {
            prepared.execute(params_from_iter(&statement.values)).map_err(failed)?
        } else {
            let mut rows = prepared.query(params_from_iter(&statement.values)).map_err(failed)?;
            while rows.next().map_err(failed)?.is_some() {}
            usize::try_from(self.connection.changes()).unwrap_or(usize::MAX)
        };
        Ok(format!(r#"{{"affected":{affected}}}"#).into_bytes().into())
    }

    /// Lets SQLite look at the call's deadline and cancellation while it works.
    fn watch(&mut self, context: Option<CallContext>) -> rusqlite::Result<()> {
        let handler = context.map(|context| move || context.check_alive().is_err());
        self.connection.progress_handler(STEPS_BETWEEN_CHECKS, handler)
    }
}

impl Provider for SqliteDatabase {
    fn serve(&self, call: &HostCall<'_>) -> Result<Reply> {
        match call.request {
            Request::DbQuery(statement) => self.run(call, statement, true),
            Request::DbExec(statement) => self.run(call, statement, false),
            other => Err(bug!("the database was asked for {other:?}")),
        }
    }
}

impl ToSql for SqlValue {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(SqliteValue::Null),
            Self::Boolean(truth) => ToSqlOutput::Owned(SqliteValue::Integer((*truth).into())),
            Self::Integer(integer) => ToSqlOutput::Owned(SqliteValue::Integer(*integer)),
            Self::Real(real) => ToSqlOutput::Owned(SqliteValue::Real(*real)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}

/// Makes a database file by a script, beside its place; it is put there when the script has succeeded.
fn make_file(path: &Path, script: &Path) -> Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(format!(".{}.new", std::process::id()));
    let unfinished = PathBuf::from(unfinished);
    let made = Connection::open(&unfinished)
        .map_err(|error| database_error(&error))
        .and_then(|connection| run_script(&connection, script))
        .and_then(|()| {
            std::fs::rename(&unfinished, path).map_err(|error| {
                Error::new(ErrorCode::EnvironmentIo, format!("can't make `{}`", path.display())).with_source(error)
            })
        });
    if made.is_err() {
        // What is left of the attempt; the script's error is what counts.
        let _ = std::fs::remove_file(&unfinished);
    }
    made
}

fn run_script(connection: &Connection, script: &Path) -> Result<()> {
    let text = std::fs::read_to_string(script).map_err(|error| {
        Error::new(ErrorCode::EnvironmentIo, format!("can't read the script `{}`", script.display())).with_source(error)
    })?;
    connection.execute_batch(&text).map_err(|error| {
        Error::new(ErrorCode::HostDatabase, format!("the script `{}` failed", script.display())).with_source(error)
    })
}

/// SQLite's message without the statement: a plugin knows what it sent.
fn database_error(error: &rusqlite::Error) -> Error {
    let message = match error {
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        other => other.to_string(),
    };
    Error::new(ErrorCode::HostDatabase, message)
}
