//! Table lists of policies: exact names and anchored patterns.

use super::facts::{Dialect, SqlProfile, Table, TableGrants};
use super::names;

/// Tables that one list of a policy names.
#[derive(Debug, Clone)]
pub struct TableScope {
    dialect: Dialect,
    read: Vec<Entry>,
    write: Vec<Entry>,
}

/// A table name; `*` in its last part stands for any ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    schema: Option<String>,
    name: String,
}

impl TableScope {
    /// Lists of readable and writable tables, each entry `table`, `schema.table`, or either with `*` in the table.
    #[must_use]
    pub fn new(profile: &SqlProfile, read: &[impl AsRef<str>], write: &[impl AsRef<str>]) -> Self {
        Self { dialect: profile.dialect, read: Entry::list(profile, read), write: Entry::list(profile, write) }
    }

    fn covers(&self, entries: &[Entry], table: &Table) -> bool {
        !names::is_system(self.dialect, table) && entries.iter().any(|entry| entry.covers(table))
    }
}

impl TableGrants for TableScope {
    fn may_read(&self, table: &Table) -> bool {
        self.covers(&self.read, table)
    }

    fn may_write(&self, table: &Table) -> bool {
        self.covers(&self.write, table)
    }
}

impl Entry {
    fn list(profile: &SqlProfile, texts: &[impl AsRef<str>]) -> Vec<Self> {
        texts.iter().map(|text| Self::new(profile, text.as_ref())).collect()
    }

    fn new(profile: &SqlProfile, text: &str) -> Self {
        let fold = |part: &str| match profile.dialect {
            Dialect::Sqlite => part.to_ascii_lowercase(),
            // Entries are catalogue names: PostgreSQL ones are exact, MySQL ones as on the server.
            Dialect::Postgres | Dialect::MySql => part.to_owned(),
        };
        let (schema, name) = match text.split_once('.') {
            Some((schema, name)) => (Some(fold(schema)), fold(name)),
            None => (None, fold(text)),
        };
        let Table { schema, name } = names::normalise(profile, schema, name);
        Self { schema, name }
    }

    fn covers(&self, table: &Table) -> bool {
        if self.schema != table.schema {
            return false;
        }
        if self.name.contains('*') {
            table.name.is_ascii() && glob(self.name.as_bytes(), table.name.as_bytes())
        } else {
            self.name == table.name
        }
    }
}

/// Anchored match of a pattern in which `*` stands for any bytes. Linear: only the last star is ever retried.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            retry = Some((p + 1, t));
            p += 1;
        } else if pattern.get(p) == text.get(t) {
            p += 1;
            t += 1;
        } else if let Some((after_star, from)) = retry {
            p = after_star;
            t = from + 1;
            retry = Some((after_star, t));
        } else {
            return false;
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(dialect: Dialect) -> SqlProfile {
        SqlProfile { dialect, default_schema: Some("public".into()), extra_functions: vec![] }
    }

    fn table(schema: Option<&str>, name: &str) -> Table {
        Table { schema: schema.map(str::to_owned), name: name.to_owned() }
    }

    #[test]
    fn patterns_are_anchored() {
        assert!(glob(b"gk_*", b"gk_notes"));
        assert!(glob(b"*", b""));
        assert!(glob(b"a*b*c", b"a__b__b_c"));
        assert!(!glob(b"gk_*", b"x_gk_notes"));
        assert!(!glob(b"*_log", b"a_log_b"));
    }

    #[test]
    fn default_schema_may_be_named_or_not() {
        let scope = TableScope::new(&profile(Dialect::Postgres), &["public.ticket", "other.t"], &["queue"]);
        assert!(scope.may_read(&table(None, "ticket")));
        assert!(scope.may_read(&table(Some("other"), "t")));
        assert!(!scope.may_read(&table(None, "t")));
        assert!(!scope.may_read(&table(None, "queue")));
        assert!(scope.may_write(&table(None, "queue")));
    }

    #[test]
    fn catalogues_are_never_covered() {
        let everything = TableScope::new(&profile(Dialect::Postgres), &["*", "pg_roles"], &["*"]);
        assert!(everything.may_read(&table(None, "anything")));
        assert!(!everything.may_read(&table(None, "pg_roles")));
        assert!(!everything.may_read(&table(Some("other"), "t")));
        assert!(!everything.may_read(&table(None, "kelvin_\u{212a}")));
    }
}
