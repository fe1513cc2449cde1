//! Names of tables: folding, the default schema, system catalogues.

use sqlparser::ast::{Ident, ObjectName, ObjectNamePart};

use super::facts::{Dialect, SqlProfile, Table};
use super::{keywords, not_understood};
use crate::error::Result;

/// Tables of SQLite that are no tables of the application, besides everything starting with `sqlite_` or `pragma_`.
#[rustfmt::skip]
const SQLITE_SYSTEM: &[&str] = &[
    "bytecode", "carray", "completion", "csv", "dbstat", "fsdir", "fts3tokenize", "generate_series", "json_each",
    "json_tree", "prefixes", "rtreecheck", "tables_used", "wholenumber", "zipfile",
];

/// Schemas with catalogues, besides PostgreSQL's `pg_…`.
const SYSTEM_SCHEMAS: &[&str] = &["information_schema", "mysql", "ndbinfo", "performance_schema", "sys"];

/// `ident` folded as the dialect folds names: PostgreSQL unquoted ones, SQLite all, MySQL none.
pub(super) fn fold(dialect: Dialect, ident: &Ident) -> String {
    let folds = match dialect {
        Dialect::Postgres => ident.quote_style.is_none(),
        Dialect::MySql => false,
        Dialect::Sqlite => true,
    };
    if folds { ident.value.to_ascii_lowercase() } else { ident.value.clone() }
}

/// The parts of a name, none of them a call.
pub(super) fn parts(name: &ObjectName) -> Result<Vec<&Ident>> {
    let ObjectName(parts) = name;
    parts
        .iter()
        .map(|part| match part {
            ObjectNamePart::Identifier(ident) => Ok(ident),
            ObjectNamePart::Function(_) => Err(not_understood("a name holds a function call")),
        })
        .collect()
}

/// Checks that `ident` is a name for the database as well: quoted with the quotes of names, or no reserved word.
pub(super) fn check_name(dialect: Dialect, ident: &Ident) -> Result<()> {
    let Ident { value, quote_style, span: _ } = ident;
    match quote_style {
        None if keywords::is_reserved(dialect, value) => Err(not_understood(format!(
            "`{}` is a reserved word here (quote it if it is a name)",
            value.escape_debug()
        ))),
        None => Ok(()),
        Some('`' | '[') if dialect != Dialect::Postgres => Ok(()),
        Some('"') if dialect != Dialect::MySql => Ok(()),
        Some(_) => Err(not_understood("a string literal stands where a name is expected")),
    }
}

/// The table that a one- or two-part name means, if it is no catalogue.
pub(super) fn table(profile: &SqlProfile, name: &ObjectName) -> Result<Table> {
    let dialect = profile.dialect;
    let parts = parts(name)?;
    for part in &parts {
        check_name(dialect, part)?;
    }
    let (schema, name) = match parts.as_slice() {
        [name] => (None, fold(dialect, name)),
        [schema, name] => (Some(fold(dialect, schema)), fold(dialect, name)),
        _ => return Err(not_understood("table names have at most two parts (schema.table)")),
    };
    let table = normalise(profile, schema, name);
    if is_system(dialect, &table) {
        return Err(crate::error::Error::new(
            crate::error::ErrorCode::PolicySqlTableDenied,
            format!("`{}` belongs to the database system; plugins never access it", table.to_string().escape_debug()),
        )
        .with_detail("table", table.to_string()));
    }
    Ok(table)
}

/// The table with its schema left out if it is the default one.
pub(super) fn normalise(profile: &SqlProfile, schema: Option<String>, name: String) -> Table {
    let schema = schema.filter(|schema| profile.default_schema.as_ref() != Some(schema));
    Table { schema, name }
}

/// True for catalogues and virtual tables of the database system; no grant covers them.
pub(super) fn is_system(dialect: Dialect, table: &Table) -> bool {
    let starts =
        |text: &str, prefix: &str| text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    let schema = table.schema.as_deref();
    match dialect {
        Dialect::Postgres => {
            starts(&table.name, "pg_")
                || schema.is_some_and(|schema| starts(schema, "pg_") || keywords::contains(SYSTEM_SCHEMAS, schema))
        }
        Dialect::MySql => schema.is_some_and(|schema| keywords::contains(SYSTEM_SCHEMAS, schema)),
        Dialect::Sqlite => {
            starts(&table.name, "sqlite_")
                || starts(&table.name, "pragma_")
                || keywords::contains(SQLITE_SYSTEM, &table.name)
                || schema.is_some_and(|schema| schema.eq_ignore_ascii_case("temp"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted() {
        assert!(keywords::is_sorted(SQLITE_SYSTEM));
        assert!(keywords::is_sorted(SYSTEM_SCHEMAS));
    }

    #[test]
    fn catalogues_are_recognised_in_any_case() {
        let table =
            |schema: Option<&str>, name: &str| Table { schema: schema.map(str::to_owned), name: name.to_owned() };
        assert!(is_system(Dialect::Postgres, &table(None, "pg_roles")));
        assert!(is_system(Dialect::MySql, &table(Some("INFORMATION_SCHEMA"), "TABLES")));
        assert!(is_system(Dialect::Sqlite, &table(Some("main"), "sqlite_master")));
        assert!(is_system(Dialect::Sqlite, &table(None, "pragma_table_info")));
        assert!(!is_system(Dialect::Postgres, &table(None, "ticket")));
        assert!(!is_system(Dialect::MySql, &table(None, "pg_roles")));
    }
}
