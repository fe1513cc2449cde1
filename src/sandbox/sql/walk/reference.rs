//! `table.column`, which PostgreSQL reads as the call `column(table)` if there is no such column.
//!
//! It does so with the whole row as the argument. The row of a table, subquery, WITH item or join is a composite value,
//! which only a function over rows takes; none of PostgreSQL's own reads more than its argument. The row of a function
//! with one result is that result itself, a text for instance, which `pg_read_file` and `ts_stat` take: there, only columns
//! that certainly exist are let through.
//!
//! Scopes are not followed. A name has to be harmless in each of its meanings in the whole statement, and one without
//! any is refused, so no order of clauses and no name that PostgreSQL makes up can hide a function.

use std::collections::{BTreeMap, BTreeSet};

use sqlparser::ast::{Expr, Function, Ident, ObjectName, TableAlias};

use super::Walker;
use crate::error::Result;
use crate::sandbox::sql::facts::Dialect;
use crate::sandbox::sql::{function_denied, names, not_understood};

/// Relations that need not stand in FROM: the rows of `ON CONFLICT` and `RETURNING`.
const IMPLIED_RELATIONS: &[&str] = &["excluded", "new", "old"];

/// Functions whose result is a row of `key` and `value`.
const PAIR_FUNCTIONS: &[&str] = &["json_each", "json_each_text", "jsonb_each", "jsonb_each_text"];

/// Functions with one column called `value`, whatever the alias.
const VALUE_FUNCTIONS: &[&str] =
    &["json_array_elements", "json_array_elements_text", "jsonb_array_elements", "jsonb_array_elements_text"];

/// Functions whose only column has the name of the alias, or rows that come from tables.
#[rustfmt::skip]
const SCALAR_FUNCTIONS: &[&str] = &[
    "generate_series", "generate_subscripts", "json_object_keys", "jsonb_object_keys", "jsonb_path_query",
    "jsonb_path_query_tz", "regexp_matches", "regexp_split_to_table", "string_to_table", "unnest",
];

/// Calls with a grammar of their own: without an alias PostgreSQL gives them names like `btrim` for TRIM.
#[rustfmt::skip]
const GRAMMAR_FUNCTIONS: &[&str] = &[
    "array", "cast", "coalesce", "collation", "current_catalog", "current_date", "current_role", "current_schema",
    "current_time", "current_timestamp", "current_user", "extract", "greatest", "grouping", "interval", "json",
    "json_array", "json_arrayagg", "json_exists", "json_object", "json_objectagg", "json_query", "json_scalar",
    "json_serialize", "json_value", "least", "localtime", "localtimestamp", "merge_action", "normalize", "nullif",
    "overlay", "position", "row", "session_user", "substring", "system_user", "treat", "trim", "user", "xmlconcat",
    "xmlelement", "xmlexists", "xmlforest", "xmlparse", "xmlpi", "xmlroot", "xmlserialize",
];

/// Fields of `ROW(…)`.
const ROW_FIELDS: &[&str] = &["f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8", "f9"];

/// What stands in FROM, by name, and what is taken from it.
#[derive(Default)]
pub(super) struct References {
    /// Tables, subqueries, WITH items and joins.
    relations: BTreeSet<String>,
    /// Functions whose row may be a plain value: per name, the columns that each of them certainly has.
    functions: BTreeMap<String, Vec<BTreeSet<String>>>,
    /// Table and column.
    columns: BTreeSet<(String, String)>,
}

impl References {
    pub(super) fn add_relation(&mut self, name: Option<&str>) {
        self.relations.extend(name.map(str::to_owned));
    }

    fn add_function(&mut self, name: &str, columns: BTreeSet<String>) {
        self.functions.entry(name.to_owned()).or_default().push(columns);
    }
}

/// What a table function gives, as far as it is certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gives {
    /// A composite value with columns that don't matter, as of a subquery.
    Row,
    /// Columns called `key` and `value`.
    Pair,
    /// One column called `value`.
    Value,
    /// One column with the name of the alias.
    Scalar,
    /// Anything.
    Unknown,
}

impl Gives {
    /// Columns that a table function of this kind certainly has: the names declared in the statement are those of the first
    /// ones. None if any name will do.
    fn columns(self, alias: &str, declared: Vec<String>, with_ordinality: bool) -> Option<BTreeSet<String>> {
        let mut own = match self {
            Self::Row => return None,
            Self::Pair => vec!["key", "value"],
            Self::Value => vec!["value"],
            Self::Scalar => vec![alias],
            Self::Unknown => vec![],
        };
        // Where the number of columns is not known, the declared names may reach to this one.
        if with_ordinality && (self != Self::Unknown || declared.is_empty()) {
            own.push("ordinality");
        }
        let behind = own.into_iter().skip(declared.len()).map(str::to_owned);
        Some(behind.chain(declared.iter().cloned()).collect())
    }
}

/// What the function `name` gives in FROM.
pub(super) fn gives(dialect: Dialect, name: &ObjectName, arguments: usize) -> Result<Gives> {
    let Some(name) = built_in(dialect, name)? else { return Ok(Gives::Unknown) };
    let is_in = |list: &[&str]| list.contains(&name.as_str());
    if is_in(PAIR_FUNCTIONS) {
        Ok(Gives::Pair)
    } else if is_in(VALUE_FUNCTIONS) {
        Ok(Gives::Value)
    } else if is_in(SCALAR_FUNCTIONS) && (name != "unnest" || arguments == 1) {
        Ok(Gives::Scalar)
    } else {
        Ok(Gives::Unknown)
    }
}

/// True if the value of `root` certainly has the field.
pub(super) fn has_field(dialect: Dialect, root: &Expr, field: &str) -> Result<bool> {
    let mut value = root;
    while let Expr::Nested(inner) = value {
        value = inner;
    }
    let Expr::Function(Function { name, .. }) = value else { return Ok(false) };
    let Some(name) = built_in(dialect, name)? else { return Ok(false) };
    let is_pair = PAIR_FUNCTIONS.contains(&name.as_str()) && matches!(field, "key" | "value");
    let is_row = name == "row" && ROW_FIELDS.contains(&field);
    Ok(is_pair || is_row)
}

/// Name of a function of the database's own.
fn built_in(dialect: Dialect, name: &ObjectName) -> Result<Option<String>> {
    Ok(match names::parts(name)?.as_slice() {
        [name] if name.quote_style.is_some() && is_of_grammar(&name.value) => None,
        [name] => Some(names::fold(dialect, name)),
        [schema, name] if names::fold(dialect, schema) == "pg_catalog" => Some(names::fold(dialect, name)),
        _ => None,
    })
}

/// True if PostgreSQL has a grammar of its own for calls of this name.
pub(super) fn is_of_grammar(name: &str) -> bool {
    GRAMMAR_FUNCTIONS.contains(&name)
}

impl Walker<'_> {
    /// Notes `table.column`, to be judged when all of FROM is known.
    pub(super) fn refer(&mut self, table: &Ident, column: &Ident) {
        let dialect = self.dialect();
        if dialect == Dialect::Postgres {
            self.references.columns.insert((names::fold(dialect, table), names::fold(dialect, column)));
        }
    }

    /// Notes a function in FROM.
    pub(super) fn refer_to_function(
        &mut self,
        called: &str,
        gives: Gives,
        with_ordinality: bool,
        alias: Option<&TableAlias>,
    ) -> Result<()> {
        let dialect = self.dialect();
        let written = alias.filter(|alias| self.is_written(&alias.name));
        if dialect == Dialect::Postgres && written.is_none() && is_of_grammar(called) {
            return Err(not_understood(format!("`{called}` in FROM needs an alias (AS name)")));
        }
        let bound = alias.map(|alias| names::fold(dialect, &alias.name));
        // An alias that a rewrite has put there is not the name that the database uses.
        let own_name = written.is_none().then(|| called.to_owned());
        let declared = alias.map_or(&[][..], |alias| alias.columns.as_slice());
        for name in bound.iter().chain(&own_name) {
            let declared = declared.iter().map(|column| names::fold(dialect, &column.name)).collect();
            match gives.columns(name, declared, with_ordinality) {
                Some(columns) => self.references.add_function(name, columns),
                None => self.references.add_relation(Some(name)),
            }
        }
        Ok(())
    }

    /// Refuses `table.column` where it could be a call.
    pub(super) fn check_references(&self) -> Result<()> {
        let References { relations, functions, columns } = &self.references;
        for (table, column) in columns {
            let is_relation = relations.contains(table) || IMPLIED_RELATIONS.contains(&table.as_str());
            match functions.get(table) {
                Some(functions) if functions.iter().all(|known| known.contains(column)) => {}
                None if is_relation => {}
                Some(_) => return Err(function_denied(column, "column of a table function")),
                None => {
                    return Err(not_understood(format!(
                        "`{}` is no table of this statement",
                        table.chars().take(63).collect::<String>().escape_debug()
                    )));
                }
            }
        }
        Ok(())
    }
}
