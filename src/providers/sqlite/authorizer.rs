//! The second wall: SQLite asks, while it prepares a statement, about every table and action in it. Whatever the SQL
//! gate did not find in the text is refused here, even if the gate was fooled.
//!
//! Besides what the text names, a statement may touch what the owner of the schema tied to it: tables behind a granted
//! view, tables that triggers of a written table touch, and tables tied by foreign keys to a written table.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

use super::with_items;
use crate::host::request::TableFacts;

/// Table functions of SQLite that read nothing but their arguments; it asks about their columns like about a table's.
const TABLE_FUNCTIONS: &[&str] = &["json_each", "json_tree", "jsonb_each", "jsonb_tree"];

/// Ends of the names of the tables in which virtual tables keep what they hold (full text search and R-trees).
const SHADOWS: &[&str] = &[
    "_config",
    "_content",
    "_data",
    "_docsize",
    "_idx",
    "_node",
    "_parent",
    "_rowid",
    "_segdir",
    "_segments",
    "_stat",
];

/// What the authorizer goes by.
#[derive(Clone, Default)]
pub(super) struct Wall(Arc<Mutex<Rules>>);

#[derive(Default)]
struct Rules {
    mode: Mode,
    schema: Schema,
    /// Views and tables that became reachable through a view or trigger of the statement being prepared.
    reached: HashSet<String>,
}

#[derive(Default)]
enum Mode {
    /// Nothing passes.
    #[default]
    Shut,
    /// The library's own statements.
    Open,
    /// A plugin's statement.
    Statement(Arc<Admitted>),
}

/// A plugin's statement as the gate understood it.
struct Admitted {
    facts: Arc<dyn TableFacts>,
    /// What the text could declare as WITH items. SQLite gives the name of an item as the accessor of what it reads, as if it
    /// were a view or trigger of that name.
    items: HashSet<String>,
}

/// What the owner of the database tied together; names in lower case.
#[derive(Default)]
struct Schema {
    version: i64,
    tables: HashSet<String>,
    views: HashSet<String>,
    virtual_tables: HashSet<String>,
    /// Trigger → its table.
    triggers: HashMap<String, String>,
    /// Table → tables that foreign keys tie to it, in either direction, over any number of steps.
    tied: HashMap<String, HashSet<String>>,
}

impl Wall {
    /// Puts the wall up around a connection.
    pub(super) fn raise(connection: &mut Connection) -> rusqlite::Result<Self> {
        let wall = Self::default();
        let rules = wall.clone();
        connection.authorizer(Some(move |context: AuthContext<'_>| rules.lock().decide(&context)))?;
        wall.open(|| {
            // A table function is declared when it is first used, which a plugin's statement may not do.
            for function in TABLE_FUNCTIONS {
                let _absent_in_older_versions = connection.prepare(&format!("SELECT 1 FROM {function}('[]')"));
            }
        });
        wall.refresh(connection)?;
        Ok(wall)
    }

    /// Reads the schema again if it has changed.
    pub(super) fn refresh(&self, connection: &Connection) -> rusqlite::Result<()> {
        self.open(|| {
            let version: i64 = connection.prepare_cached("PRAGMA schema_version")?.query_row([], |row| row.get(0))?;
            if version != self.lock().schema.version {
                let schema = Schema::read(connection, version)?;
                self.lock().schema = schema;
            }
            Ok(())
        })
    }

    /// Lets the library's own statements pass while `work` runs.
    pub(super) fn open<T>(&self, work: impl FnOnce() -> T) -> T {
        self.under(Mode::Open, work)
    }

    /// Lets a plugin's statement pass while `work` runs, as far as `facts` go.
    pub(super) fn admit<T>(&self, facts: &Arc<dyn TableFacts>, sql: &str, work: impl FnOnce() -> T) -> T {
        let admitted = Admitted { facts: Arc::clone(facts), items: with_items::declared(sql) };
        self.under(Mode::Statement(Arc::new(admitted)), work)
    }

    fn under<T>(&self, mode: Mode, work: impl FnOnce() -> T) -> T {
        self.lock().mode = mode;
        let done = work();
        let mut rules = self.lock();
        rules.mode = Mode::Shut;
        rules.reached.clear();
        done
    }

    fn lock(&self) -> MutexGuard<'_, Rules> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rules {
    fn decide(&mut self, context: &AuthContext<'_>) -> Authorization {
        let statement = match &self.mode {
            Mode::Shut => return Authorization::Deny,
            Mode::Open => return Authorization::Allow,
            Mode::Statement(statement) => Arc::clone(statement),
        };
        let facts = &*statement.facts;
        let accessor = context.accessor.map(str::to_ascii_lowercase).filter(|name| !statement.items.contains(name));
        let passes = match context.action {
            AuthAction::Select | AuthAction::Recursive => true,
            // The SQL gate has the list of functions; what could leave the database is not even built in.
            AuthAction::Function { function_name } => !function_name.eq_ignore_ascii_case("load_extension"),
            AuthAction::Read { table_name, column_name } => {
                facts.reads(table_name)
                    || facts.writes(table_name)
                    || self.is_tied(facts, table_name, accessor)
                    || self.schema.owner_of_shadow(table_name).is_some_and(|t| facts.reads(t) || facts.writes(t))
                    // What is below a view is asked about again, as a table without columns, once its query stands in place of it.
                    || column_name.is_empty() && self.reached.contains(&table_name.to_ascii_lowercase())
                    || self.schema.is_no_table(table_name) && (column_name.is_empty() || is_pseudo_table(table_name))
            }
            AuthAction::Insert { table_name }
            | AuthAction::Update { table_name, .. }
            | AuthAction::Delete { table_name } => {
                facts.writes(table_name)
                    || self.is_tied(facts, table_name, accessor)
                    || self.schema.owner_of_shadow(table_name).is_some_and(|table| facts.writes(table))
            }
            // Full text search asks whether somebody else has written.
            AuthAction::Pragma { pragma_name: "data_version", pragma_value: None } => {
                self.schema.virtual_tables.iter().any(|table| facts.reads(table) || facts.writes(table))
            }
            _ => false,
        };
        if passes { Authorization::Allow } else { Authorization::Deny }
    }

    /// True when the owner of the schema tied `table` to what the statement may touch.
    fn is_tied(&mut self, facts: &dyn TableFacts, table: &str, accessor: Option<String>) -> bool {
        let table = table.to_ascii_lowercase();
        if let Some(accessor) = accessor {
            let through_view = self.schema.views.contains(&accessor)
                && (facts.reads(&accessor) || facts.writes(&accessor) || self.reached.contains(&accessor));
            let through_trigger = self
                .schema
                .triggers
                .get(&accessor)
                .is_some_and(|owner| facts.writes(owner) || self.reached.contains(owner));
            if through_view || through_trigger {
                self.reached.insert(table);
                return true;
            }
        }
        self.schema.tied.get(&table).is_some_and(|others| others.iter().any(|other| facts.writes(other)))
    }
}

/// True for names that SQLite itself gives to what is no table: table functions and joins in parentheses.
fn is_pseudo_table(name: &str) -> bool {
    TABLE_FUNCTIONS.iter().any(|function| name.eq_ignore_ascii_case(function)) || name.starts_with("(join-")
}

impl Schema {
    /// The virtual table that keeps what it holds in `table`.
    fn owner_of_shadow(&self, table: &str) -> Option<&str> {
        let table = table.to_ascii_lowercase();
        let owners = SHADOWS.iter().filter_map(|end| table.strip_suffix(end));
        owners.into_iter().find_map(|owner| self.virtual_tables.get(owner)).map(String::as_str)
    }

    /// True for names that stand for nothing in the database: SQLite asks about the alias of a subquery, or the name of a
    /// CTE, with an empty column when none of its columns is used. What lies below is asked about by itself.
    fn is_no_table(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        !self.tables.contains(&name) && !self.views.contains(&name) && !name.starts_with("sqlite_")
    }

    fn read(connection: &Connection, version: i64) -> rusqlite::Result<Self> {
        let mut schema = Self { version, ..Self::default() };
        let mut objects = connection.prepare(
            "SELECT iif(sql LIKE 'create virtual %', 'virtual', type), lower(name), lower(tbl_name) FROM sqlite_master",
        )?;
        let objects = objects.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        for object in objects {
            let (kind, name, table): (String, String, String) = object?;
            match kind.as_str() {
                "virtual" => {
                    schema.tables.insert(name.clone());
                    schema.virtual_tables.insert(name);
                }
                "table" => drop(schema.tables.insert(name)),
                "view" => drop(schema.views.insert(name)),
                "trigger" => drop(schema.triggers.insert(name, table)),
                _ => {}
            }
        }
        for table in schema.tables.clone() {
            let mut keys = connection.prepare("SELECT lower(\"table\") FROM pragma_foreign_key_list(?1)")?;
            for parent in keys.query_map([&table], |row| row.get::<_, String>(0))? {
                schema.tie(&table, &parent?);
            }
        }
        Ok(schema)
    }

    /// Joins the two tables and everything that is tied to either.
    fn tie(&mut self, table: &str, other: &str) {
        let mut group: HashSet<String> = [table.to_owned(), other.to_owned()].into();
        for end in [table, other] {
            group.extend(self.tied.get(end).into_iter().flatten().cloned());
        }
        for member in &group {
            self.tied.insert(member.clone(), group.clone());
        }
    }
}
