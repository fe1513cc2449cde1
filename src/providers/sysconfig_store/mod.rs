//! Policies as rows of GoatFlow's configuration tables: `Plugin::<name>::Policy` and `Plugin::<name>::Enabled` in
//! `sysconfig_modified`. Beside them, two tables of our own: the record of changes and what was learned.
//!
//! What is decided is here and in `policy::audit`, what is said to a database in `statements`, how it is said in
//! `session` (a trait) and `sqlite` (its implementation). Another database brings its own statements and session.

mod session;
mod sqlite;
mod statements;

use std::path::Path;

use self::session::{Cell, Database, Session};
use self::sqlite::SqliteFile;
use crate::clock::{self, rfc3339};
use crate::error::{Error, ErrorCode, Result};
use crate::plugin::name::check_name;
use crate::policy::audit::{Action, AuditRow, Recorded, Standing, Tail};
use crate::policy::{Change, PolicyStore, StoredPolicy};

/// A policy store in the tables of a database.
#[derive(Debug)]
pub struct SysconfigStore {
    database: Box<dyn Database>,
}

impl SysconfigStore {
    /// The store in an SQLite database, which need not be there yet: until it is, nothing can be loaded.
    #[must_use]
    pub fn sqlite(path: &Path) -> Self {
        Self { database: Box::new(SqliteFile::new(path)) }
    }

    /// Does `work` on what nobody changes meanwhile, and keeps nothing of it when it fails.
    fn write<T>(&self, work: impl FnOnce(&mut Rows<'_>) -> Result<T>) -> Result<T> {
        self.transaction(true, work)
    }

    fn read<T>(&self, work: impl FnOnce(&mut Rows<'_>) -> Result<T>) -> Result<T> {
        self.transaction(false, work)
    }

    fn transaction<T>(&self, writes: bool, work: impl FnOnce(&mut Rows<'_>) -> Result<T>) -> Result<T> {
        let (mut work, mut done) = (Some(work), None);
        self.database.transact(writes, &mut |session| {
            let mut rows = Rows { session, statements: self.database.statements() };
            if writes {
                rows.make_tables()?;
            }
            if let Some(work) = work.take() {
                done = Some(work(&mut rows)?);
            }
            Ok(())
        })?;
        done.ok_or_else(|| crate::error::bug!("a transaction ended without its work"))
    }
}

/// The tables inside one transaction.
struct Rows<'s> {
    session: &'s mut dyn Session,
    statements: &'static statements::Statements,
}

/// Name of the row with a plugin's policy.
fn policy_key(plugin: &str) -> String {
    format!("Plugin::{plugin}::Policy")
}

/// Name of the row that says whether a plugin is enabled.
fn enabled_key(plugin: &str) -> String {
    format!("Plugin::{plugin}::Enabled")
}

impl Rows<'_> {
    fn make_tables(&mut self) -> Result<()> {
        for statement in self.statements.make_tables {
            self.session.execute(statement, &[])?;
        }
        Ok(())
    }

    fn has_table(&mut self, name: &str) -> Result<bool> {
        Ok(!self.session.query(self.statements.table_exists, &[name.into()])?.is_empty())
    }

    fn one(&mut self, sql: &str, values: &[Cell]) -> Result<Option<Vec<Cell>>> {
        Ok(self.session.query(sql, values)?.into_iter().next())
    }

    /// The value in force: the newest valid row, as the reference reads it. Rows of single users do not count.
    fn value(&mut self, key: &str) -> Result<Option<Vec<u8>>> {
        let row = self.one(self.statements.value, &[key.into()])?;
        Ok(row.and_then(|row| row.into_iter().next()).map(Cell::into_bytes))
    }

    fn document(&mut self, plugin: &str) -> Result<Option<Vec<u8>>> {
        // An empty value is a document that can't be read, not none: it must not open what was closed.
        let text = self.value(&policy_key(plugin))?;
        Ok(text.map(|text| if text.is_empty() { b" ".to_vec() } else { text }))
    }

    fn set_value(&mut self, key: &str, value: &[u8]) -> Result<()> {
        let time = calendar_time();
        let text = Cell::text_or_bytes(value);
        let Some(default) = self.default_id(key, &time)? else {
            return Err(Error::new(
                ErrorCode::EnvironmentStore,
                format!("the database did not keep the row `{key}` of sysconfig_default"),
            ));
        };
        let row = self.one(self.statements.row_to_change, &[key.into()])?;
        match row.and_then(|row| row.into_iter().next()) {
            Some(id) => {
                // One row stays valid: a twin with a later time would win over it.
                self.session.execute(self.statements.invalidate_twins, &[key.into(), id.clone()])?;
                self.session.execute(self.statements.update, &[text, time.as_str().into(), id])?;
            }
            None => {
                let time = Cell::from(time.as_str());
                self.session.execute(self.statements.insert, &[default, key.into(), text, time])?;
            }
        }
        Ok(())
    }

    /// The row of `sysconfig_default` that a modified value needs; made when it is not there.
    fn default_id(&mut self, key: &str, time: &str) -> Result<Option<Cell>> {
        for attempt in 0..2 {
            let row = self.one(self.statements.default_id, &[key.into()])?;
            if let Some(id) = row.and_then(|row| row.into_iter().next()) {
                return Ok(Some(id));
            }
            if attempt == 0 {
                self.session.execute(self.statements.insert_default, &[key.into(), time.into()])?;
            }
        }
        Ok(None)
    }

    fn tail(&mut self) -> Result<Tail> {
        let row = self.one(self.statements.tail, &[])?;
        Ok(row.map_or_else(Tail::default, |row| {
            let mut cells = row.into_iter();
            let seq = cells.next().map_or(0, Cell::into_whole);
            Tail { seq, hash: cells.next().map(Cell::into_text).unwrap_or_default() }
        }))
    }

    fn recorded(&mut self, plugin: &str) -> Result<Option<Recorded>> {
        if !self.has_table(statements::AUDIT)? {
            return Ok(None);
        }
        let row = self.one(self.statements.recorded, &[plugin.into()])?;
        Ok(row.map(|row| {
            let mut cells = row.into_iter();
            let revision = cells.next().map_or(0, Cell::into_whole);
            Recorded { revision, digest: cells.next().map(Cell::into_text).unwrap_or_default() }
        }))
    }

    fn enter(&mut self, row: &AuditRow) -> Result<()> {
        let document = row.document.as_deref().map_or(Cell::Null, Cell::from);
        let values = [
            Cell::whole(row.seq),
            row.time.as_str().into(),
            row.plugin.as_str().into(),
            row.action.name().into(),
            row.actor.as_str().into(),
            Cell::whole(row.revision),
            row.digest.as_str().into(),
            document,
            row.hash.as_str().into(),
        ];
        self.session.execute(self.statements.enter, &values).map(drop)
    }

    fn adopt(&mut self, plugin: &str) -> Result<Option<StoredPolicy>> {
        let text = self.document(plugin)?;
        let recorded = self.recorded(plugin)?;
        let standing = Standing { plugin, text: text.as_deref(), recorded: recorded.as_ref() };
        let mut tail = self.tail()?;
        let found = standing.adopt(&mut tail, &rfc3339(clock::wall()));
        let revision = found.as_ref().map_or_else(|| standing.revision(), |row| row.revision);
        if let Some(row) = found {
            self.enter(&row)?;
        }
        Ok(text.map(|text| StoredPolicy { text, revision }))
    }

    fn save(&mut self, plugin: &str, text: &[u8], change: &Change<'_>) -> Result<u64> {
        let current = self.document(plugin)?;
        let recorded = self.recorded(plugin)?;
        let standing = Standing { plugin, text: current.as_deref(), recorded: recorded.as_ref() };
        let plan = standing.plan(&mut self.tail()?, text, change, &rfc3339(clock::wall()))?;
        if text.is_empty() {
            self.session.execute(self.statements.remove, &[policy_key(plugin).as_str().into()])?;
        } else {
            self.set_value(&policy_key(plugin), text)?;
        }
        plan.rows.iter().try_for_each(|row| self.enter(row))?;
        Ok(plan.revision)
    }
}

impl PolicyStore for SysconfigStore {
    fn load(&self, plugin: &str) -> Result<Option<StoredPolicy>> {
        check_name(plugin)?;
        let (text, is_recorded, revision) = self.read(|rows| {
            let text = rows.document(plugin)?;
            let recorded = rows.recorded(plugin)?;
            let standing = Standing { plugin, text: text.as_deref(), recorded: recorded.as_ref() };
            let (is_recorded, revision) = (standing.is_recorded(), standing.revision());
            Ok((text, is_recorded, revision))
        })?;
        if !is_recorded && let Ok(stored) = self.write(|rows| rows.adopt(plugin)) {
            return Ok(stored);
        }
        Ok(text.map(|text| StoredPolicy { text, revision }))
    }

    fn save(&self, plugin: &str, text: &[u8], change: &Change<'_>) -> Result<u64> {
        check_name(plugin)?;
        self.write(|rows| rows.save(plugin, text, change))
    }

    fn list(&self) -> Result<Vec<String>> {
        let rows = self.read(|rows| rows.session.query(rows.statements.list, &[]))?;
        let mut names: Vec<String> = rows
            .into_iter()
            .filter_map(|row| row.into_iter().next())
            .map(Cell::into_text)
            .filter_map(|key| Some(key.strip_prefix("Plugin::")?.strip_suffix("::Policy")?.to_owned()))
            .filter(|name| check_name(name).is_ok())
            .collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn load_enabled(&self, plugin: &str) -> Result<Option<bool>> {
        check_name(plugin)?;
        let key = enabled_key(plugin);
        let value = self.read(|rows| match rows.value(&key)? {
            Some(value) => Ok(Some(value)),
            None => {
                let row = rows.one(rows.statements.default_value, &[key.as_str().into()])?;
                Ok(row.and_then(|row| row.into_iter().next()).map(Cell::into_bytes))
            }
        })?;
        // As the reference reads it; a JSON text means what it says.
        Ok(value.map(|value| !matches!(value.as_slice(), b"0" | b"false" | b"\"0\"" | b"\"false\"")))
    }

    fn save_enabled(&self, plugin: &str, enabled: bool, actor: &str) -> Result<()> {
        check_name(plugin)?;
        self.write(|rows| {
            rows.set_value(&enabled_key(plugin), if enabled { b"1" } else { b"0" })?;
            let row = rows.tail()?.enablement(&rfc3339(clock::wall()), plugin, enabled, actor);
            rows.enter(&row)
        })
    }

    fn history(&self, plugin: Option<&str>, limit: usize) -> Result<Vec<AuditRow>> {
        let limit = Cell::whole(limit as u64);
        let rows = self.read(|rows| {
            if !rows.has_table(statements::AUDIT)? {
                return Ok(Vec::new());
            }
            match plugin {
                Some(plugin) => rows.session.query(rows.statements.history_of, &[plugin.into(), limit]),
                None => rows.session.query(rows.statements.history, &[limit]),
            }
        })?;
        rows.into_iter().map(audit_row).collect()
    }

    fn load_evidence(&self, plugin: &str) -> Result<Option<Vec<u8>>> {
        let row = self.read(|rows| {
            if !rows.has_table(statements::EVIDENCE)? {
                return Ok(None);
            }
            rows.one(rows.statements.evidence, &[plugin.into()])
        })?;
        Ok(row.and_then(|row| row.into_iter().next()).map(Cell::into_bytes))
    }

    fn save_evidence(&self, plugin: &str, evidence: &[u8]) -> Result<()> {
        check_name(plugin)?;
        self.write(|rows| {
            let values = [Cell::text_or_bytes(evidence), rfc3339(clock::wall()).as_str().into(), plugin.into()];
            if rows.session.execute(rows.statements.update_evidence, &values)? == 0 {
                rows.session.execute(rows.statements.insert_evidence, &values)?;
            }
            Ok(())
        })
    }

    fn marker(&self) -> Result<Option<u64>> {
        self.database.marker().map(Some)
    }
}

fn audit_row(cells: Vec<Cell>) -> Result<AuditRow> {
    let mut cells = cells.into_iter();
    let mut next = || cells.next().unwrap_or(Cell::Null);
    let (seq, time, plugin) = (next().into_whole(), next().into_text(), next().into_text());
    let action = next().into_text();
    let action = Action::from_name(&action).ok_or_else(|| {
        Error::new(
            ErrorCode::EnvironmentStore,
            format!("row {seq} of `{}` has the unknown action `{action}`", statements::AUDIT),
        )
    })?;
    let (actor, revision, digest) = (next().into_text(), next().into_whole(), next().into_text());
    let document = match next() {
        Cell::Null => None,
        cell => Some(cell.into_text()),
    };
    Ok(AuditRow { seq, time, plugin, action, actor, revision, digest, document, hash: next().into_text() })
}

/// Time as the reference's columns hold it, in UTC.
fn calendar_time() -> String {
    let time = rfc3339(clock::wall());
    time.get(..19).unwrap_or(&time).replace('T', " ")
}
