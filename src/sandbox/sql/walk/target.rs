//! Which tables UPDATE and DELETE write to.

use std::collections::BTreeSet;

use sqlparser::ast::{Assignment, AssignmentTarget, ObjectName, TableFactor, TableWithJoins};

use super::{Source, Walker};
use crate::error::Result;
use crate::sandbox::sql::facts::Table;
use crate::sandbox::sql::{names, not_understood};

impl Walker<'_> {
    /// The written table; never a CTE.
    pub(super) fn target(&mut self, name: &ObjectName) -> Result<Table> {
        self.object_name(name)?;
        let table = names::table(self.profile, name)?;
        self.references.add_relation(Some(&table.name));
        self.writes.insert(table.clone());
        Ok(table)
    }

    /// Target of UPDATE and DELETE outside MySQL, and of single-table ones within: one table without joins.
    pub(super) fn single_target(&mut self, table: &TableWithJoins) -> Result<Table> {
        let TableWithJoins { relation, joins } = table;
        if !joins.is_empty() {
            return Err(not_understood("the written table must stand alone, joins belong into FROM or USING"));
        }
        self.target_factor(relation)
    }

    pub(super) fn target_factor(&mut self, factor: &TableFactor) -> Result<Table> {
        let TableFactor::Table {
            name,
            alias,
            args: None,
            with_hints,
            version: None,
            with_ordinality: false,
            partitions,
            json_path: None,
            sample: None,
            index_hints,
        } = factor
        else {
            return Err(not_understood("the written table must be a plain table"));
        };
        if !with_hints.is_empty() || !index_hints.is_empty() {
            return Err(not_understood("the written table must be a plain table"));
        }
        partitions.iter().try_for_each(|partition| self.name(partition))?;
        if let Some(alias) = alias {
            self.table_alias(alias)?;
            self.references.add_relation(Some(&names::fold(self.dialect(), &alias.name)));
        }
        self.target(name)
    }

    /// MySQL writes to those tables of the join whose columns are assigned. A column without table could be in any.
    pub(super) fn update_targets(&mut self, table: &TableWithJoins, assignments: &[Assignment]) -> Result<Vec<Table>> {
        let before = self.reads.clone();
        let mut sources = vec![];
        self.table_with_joins(table, &mut sources)?;
        let mut written: Vec<&Source> = vec![];
        for Assignment { target, value: _ } in assignments {
            for column in target_columns(target) {
                written.extend(matching(&sources, self.qualifier(column)?.as_deref())?);
            }
        }
        let targets: Vec<Table> = written.into_iter().flat_map(|source| source.tables.clone()).collect();
        self.write(&targets, &before, &sources);
        Ok(targets)
    }

    /// Table part of `table.column` or `schema.table.column`.
    pub(super) fn qualifier(&self, column: &ObjectName) -> Result<Option<String>> {
        Ok(match names::parts(column)?.as_slice() {
            [.., table, _column] => Some(names::fold(self.dialect(), table)),
            _ => None,
        })
    }

    /// Marks `targets` as written. A table that occurs once in FROM, as the target, counts as written only: reading
    /// its own columns needs no further grant. One that was read before, or occurs again, stays read.
    pub(super) fn write(&mut self, targets: &[Table], read_before: &BTreeSet<Table>, sources: &[Source]) {
        for target in targets {
            let occurrences = sources.iter().flat_map(|source| &source.tables).filter(|table| *table == target).count();
            if occurrences == 1 && !read_before.contains(target) {
                self.reads.remove(target);
            }
            self.writes.insert(target.clone());
        }
    }

    /// MySQL's `DELETE a, b FROM … JOIN …`: the names before FROM are aliases or tables of the join.
    pub(super) fn delete_from_join(&mut self, names: &[ObjectName], from: &[TableWithJoins]) -> Result<Vec<Table>> {
        let before = self.reads.clone();
        let sources = self.from(from)?;
        let mut targets = vec![];
        for name in names {
            self.object_name(name)?;
            let wanted = names::parts(name)?.last().map(|ident| ident.value.clone());
            for source in matching(&sources, wanted.as_deref())? {
                targets.extend(source.tables.clone());
            }
        }
        self.write(&targets, &before, &sources);
        Ok(targets)
    }
}

pub(super) fn target_columns(target: &AssignmentTarget) -> &[ObjectName] {
    match target {
        AssignmentTarget::ColumnName(column) => std::slice::from_ref(column),
        AssignmentTarget::Tuple(columns) => columns,
    }
}

/// Name of a table that stands without alias and joins.
pub(super) fn plain_name(table: &TableWithJoins) -> Result<&ObjectName> {
    match table {
        TableWithJoins {
            relation:
                TableFactor::Table {
                    name,
                    alias: None,
                    args: None,
                    with_hints: _,
                    version: None,
                    with_ordinality: false,
                    partitions: _,
                    json_path: None,
                    sample: None,
                    index_hints: _,
                },
            joins,
        } if joins.is_empty() => Ok(name),
        _ => Err(not_understood("DELETE … USING lists plain names before USING")),
    }
}

/// Tables that `wanted` could mean: by alias or by name, compared without case, because that depends on the server.
/// Without a name, all of them. Subqueries and CTEs can't be written to.
pub(super) fn matching<'s>(sources: &'s [Source], wanted: Option<&str>) -> Result<Vec<&'s Source>> {
    let means = |name: &str| wanted.is_none_or(|wanted| name.eq_ignore_ascii_case(wanted));
    let found: Vec<&Source> = sources
        .iter()
        .filter(|source| {
            source.binding.as_deref().is_some_and(means) || source.tables.iter().any(|table| means(&table.name))
        })
        .filter(|source| source.is_table || wanted.is_some())
        .collect();
    if found.is_empty() || found.iter().any(|source| !source.is_table && source.binding.as_deref().is_some_and(means)) {
        return Err(not_understood("what is written must be a table of this statement, no subquery or WITH item"));
    }
    Ok(found.into_iter().filter(|source| source.is_table).collect())
}
