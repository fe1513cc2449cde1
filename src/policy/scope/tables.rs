//! Database tables: exact names and anchored patterns, with or without a schema.

use std::collections::HashMap;

use super::ScopeResult;
use super::glob::Glob;
use super::names::NameSet;

/// Longest table or schema name, in bytes; all three databases allow less.
const MAX_NAME: usize = 128;

/// How names are read, which depends on the database behind the host.
#[derive(Debug, Clone, Default)]
pub struct NameRules {
    /// Table names compare without regard to ASCII case (SQLite; MySQL with `lower_case_table_names`): the SQL gate
    /// hands names over in lower case, and so are the names in policies.
    pub fold_case: bool,
    /// The schema that names without a schema live in; `public.t` and `t` are then the same table.
    pub default_schema: Option<String>,
}

/// A set of tables. Empty sets hold nothing.
#[derive(Debug, Clone, Default)]
pub struct TableSet {
    /// Exact names: table, and the schemas it is named with (`None` for the default schema).
    exact: HashMap<Box<str>, Vec<Option<Box<str>>>>,
    patterns: Vec<TablePattern>,
    /// A set of what is taken away: names without a schema mean that table in any schema, patterns cover catalogues.
    is_denial: bool,
}

#[derive(Debug, Clone)]
struct TablePattern {
    schema: Option<Box<str>>,
    table: Glob,
}

impl TableSet {
    /// Set of tables that are taken away from a grant, which reads names as widely as they can be meant.
    #[must_use]
    pub fn denial() -> Self {
        Self { is_denial: true, ..Self::default() }
    }

    /// Adds an entry: `table`, `schema.table`, or either with `*` in the table's part.
    pub fn add(&mut self, entry: &str, rules: &NameRules) -> ScopeResult<()> {
        let entry = TableEntry::parse(entry, rules)?;
        if entry.table.contains('*') {
            let table = Glob::parse(&entry.table)?;
            self.patterns.push(TablePattern { schema: entry.schema, table });
            return Ok(());
        }
        let schemas = self.exact.entry(entry.table).or_default();
        if !schemas.contains(&entry.schema) {
            schemas.push(entry.schema);
        }
        Ok(())
    }

    /// Whether the set holds the table; `schema` is `None` for tables of the default schema.
    #[must_use]
    pub fn contains(&self, schema: Option<&str>, table: &str) -> bool {
        let is_named = |known: &Option<Box<str>>| known.as_deref() == schema || (self.is_denial && known.is_none());
        if self.exact.get(table).is_some_and(|schemas| schemas.iter().any(is_named)) {
            return true;
        }
        let may_match = self.is_denial || !is_system(schema, table);
        may_match && self.patterns.iter().any(|pattern| self.pattern_covers(pattern, schema, table))
    }

    fn pattern_covers(&self, pattern: &TablePattern, schema: Option<&str>, table: &str) -> bool {
        let is_same_schema = pattern.schema.as_deref() == schema;
        let is_any_schema = self.is_denial && pattern.schema.is_none();
        (is_same_schema || is_any_schema) && pattern.table.matches(table.as_bytes())
    }

    /// Whether nothing is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.patterns.is_empty()
    }
}

/// An entry of a scope, taken apart.
struct TableEntry {
    schema: Option<Box<str>>,
    table: Box<str>,
}

impl TableEntry {
    fn parse(entry: &str, rules: &NameRules) -> ScopeResult<Self> {
        let (schema, table) = match entry.split_once('.') {
            Some((schema, table)) => (Some(schema), table),
            None => (None, entry),
        };
        for name in schema.into_iter().chain([table]) {
            check_name(name)?;
        }
        if schema.is_some_and(|schema| schema.contains('*')) {
            return Err("a pattern may only stand in the table's part; spell the schema".to_owned());
        }
        let fold = |name: &str| {
            if rules.fold_case { name.to_ascii_lowercase() } else { name.to_owned() }
        };
        let schema = schema.map(fold).filter(|schema| rules.default_schema.as_deref() != Some(schema.as_str()));
        Ok(Self { schema: schema.map(Into::into), table: fold(table).into() })
    }
}

/// One part of a dotted name.
fn check_name(name: &str) -> ScopeResult<()> {
    if name.is_empty() {
        return Err("a table or schema name is empty".to_owned());
    }
    if name.len() > MAX_NAME {
        return Err(format!("a name has more than {MAX_NAME} bytes"));
    }
    if name.contains(['.', '"', '`', '\'', '[', ']', ';', '%', '?']) || name.chars().any(|c| c.is_control() || c == ' ')
    {
        return Err("write `table` or `schema.table` without quotes; `*` is the only wildcard".to_owned());
    }
    Ok(())
}

/// Whether the table is part of a database's own catalogue, which patterns never cover.
#[must_use]
pub fn is_system(schema: Option<&str>, table: &str) -> bool {
    const SCHEMAS: [&str; 5] = ["information_schema", "mysql", "performance_schema", "sys", "ndbinfo"];
    let is_system_schema =
        |schema: &str| has_prefix(schema, "pg_") || SCHEMAS.iter().any(|known| known.eq_ignore_ascii_case(schema));
    schema.is_some_and(is_system_schema) || has_prefix(table, "pg_") || has_prefix(table, "sqlite_")
}

fn has_prefix(name: &str, prefix: &str) -> bool {
    name.as_bytes().get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix.as_bytes()))
}

/// Patterns of names that hold what no plugin should see unasked. Compared without regard to ASCII case.
#[derive(Debug, Clone, Default)]
pub struct SensitiveTables {
    names: NameSet,
}

impl SensitiveTables {
    /// Compiles `patterns`: exact names, or patterns with `*`.
    pub fn parse(patterns: &[&str]) -> ScopeResult<Self> {
        let mut names = NameSet::default();
        for pattern in patterns {
            let pattern = pattern.to_ascii_lowercase();
            check_name(&pattern)?;
            match pattern.contains('*') {
                true => names.add_pattern(Glob::parse(&pattern)?),
                false => names.add_exact(&pattern),
            }
        }
        Ok(Self { names })
    }

    /// The list that every table is on.
    #[must_use]
    pub fn everything() -> Self {
        let mut names = NameSet::default();
        names.add_everything();
        Self { names }
    }

    /// Whether the table is on the list, in whatever schema. Names that are not ASCII are: nobody can tell.
    #[must_use]
    pub fn contains(&self, table: &str) -> bool {
        !table.is_ascii() || self.names.contains(&table.to_ascii_lowercase())
    }
}
