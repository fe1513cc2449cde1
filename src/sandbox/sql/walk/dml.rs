//! INSERT, UPDATE, DELETE, MERGE.

use sqlparser::ast::{
    Assignment, AssignmentTarget, ConflictTarget, Delete, DoUpdate, Expr, FromTable, Ident, Insert, InsertAliases,
    Merge, MergeAction, MergeClause, MergeClauseKind, MergeInsertExpr, MergeInsertKind, MergeUpdateExpr,
    MergeUpdateKind, MysqlInsertPriority, ObjectName, OnConflict, OnConflictAction, OnInsert, OutputClause, SelectItem,
    SqliteOnConflict, TableAliasWithoutColumns, TableFactor, TableObject, TableWithJoins, Update, UpdateTableFromKind,
};

use super::{Source, Walker};
use crate::error::Result;
use crate::sandbox::sql::facts::{Dialect, Table};
use crate::sandbox::sql::{names, not_understood};

impl Walker<'_> {
    pub(super) fn insert(&mut self, insert: &Insert) -> Result<()> {
        let Insert {
            insert_token: _,
            optimizer_hints,
            or,
            ignore: _,
            into: _,
            table,
            table_alias,
            columns,
            overwrite,
            source,
            assignments,
            partitioned,
            after_columns,
            has_table_keyword,
            on,
            returning,
            output,
            replace_into: _,
            priority,
            insert_alias,
            settings,
            format_clause,
            multi_table_insert_type,
            multi_table_into_clauses,
            multi_table_when_clauses,
            multi_table_else_clause,
        } = insert;
        let foreign = *overwrite
            || *has_table_keyword
            || output.is_some()
            || settings.is_some()
            || format_clause.is_some()
            || multi_table_insert_type.is_some()
            || multi_table_else_clause.is_some();
        let foreign_lists = !optimizer_hints.is_empty()
            || !after_columns.is_empty()
            || !multi_table_into_clauses.is_empty()
            || !multi_table_when_clauses.is_empty();
        if foreign || foreign_lists {
            return Err(not_understood("a clause of this INSERT belongs to another database"));
        }
        conflict_clause(*or);
        priority_clause(*priority);
        let TableObject::TableName(name) = table else {
            return Err(not_understood("INSERT needs the name of a table"));
        };
        let target = self.target(name)?;
        if let Some(TableAliasWithoutColumns { explicit: _, alias }) = table_alias {
            self.name(alias)?;
        }
        for column in columns {
            self.column_target(column)?;
        }
        self.expressions(partitioned.as_deref().unwrap_or_default())?;
        if let Some(query) = source {
            self.query(query)?;
        }
        self.assignments(assignments)?;
        if let Some(InsertAliases { row_alias, col_aliases }) = insert_alias {
            self.object_name(row_alias)?;
            for alias in col_aliases.iter().flatten() {
                self.name(alias)?;
            }
        }
        self.on_insert(on.as_ref())?;
        self.returning(returning.as_deref(), &[target])
    }

    fn on_insert(&mut self, on: Option<&OnInsert>) -> Result<()> {
        match on {
            None => Ok(()),
            Some(OnInsert::DuplicateKeyUpdate(assignments)) => self.assignments(assignments),
            Some(OnInsert::OnConflict(OnConflict { conflict_target, action })) => {
                match conflict_target {
                    None => {}
                    Some(ConflictTarget::Columns(columns)) => {
                        columns.iter().try_for_each(|column| self.name(column))?;
                    }
                    Some(ConflictTarget::OnConstraint(name)) => self.object_name(name)?,
                }
                match action {
                    OnConflictAction::DoNothing => Ok(()),
                    OnConflictAction::DoUpdate(DoUpdate { assignments, selection }) => {
                        self.assignments(assignments)?;
                        self.optional(selection.as_ref())
                    }
                }
            }
            Some(_) => Err(not_understood("this ON clause of INSERT is not understood")),
        }
    }

    pub(super) fn update(&mut self, update: &Update) -> Result<()> {
        let Update {
            update_token: _,
            optimizer_hints,
            table,
            assignments,
            from,
            selection,
            returning,
            output,
            or,
            order_by,
            limit,
        } = update;
        if !optimizer_hints.is_empty() || output.is_some() {
            return Err(not_understood("a clause of this UPDATE belongs to another database"));
        }
        conflict_clause(*or);
        let targets = if self.dialect() == Dialect::MySql {
            self.update_targets(table, assignments)?
        } else {
            vec![self.single_target(table)?]
        };
        match from {
            None => {}
            Some(UpdateTableFromKind::AfterSet(tables)) if self.dialect() != Dialect::MySql => {
                self.from(tables)?;
            }
            Some(UpdateTableFromKind::AfterSet(_) | UpdateTableFromKind::BeforeSet(_)) => {
                return Err(not_understood("this place for FROM in UPDATE belongs to another database"));
            }
        }
        self.assignments(assignments)?;
        self.optional(selection.as_ref())?;
        self.order_expressions(order_by)?;
        self.optional(limit.as_ref())?;
        self.returning(returning.as_deref(), &targets)
    }

    /// MySQL writes to those tables of the join whose columns are assigned. A column without table could be in any.
    fn update_targets(&mut self, table: &TableWithJoins, assignments: &[Assignment]) -> Result<Vec<Table>> {
        let before = self.reads.clone();
        let mut sources = vec![];
        self.table_with_joins(table, &mut sources)?;
        let mut written: Vec<&Source> = vec![];
        for Assignment { target, value: _ } in assignments {
            for column in target_columns(target) {
                written.extend(matching(&sources, &self.qualifier(column)?)?);
            }
        }
        let targets: Vec<Table> = written.into_iter().flat_map(|source| source.tables.clone()).collect();
        self.write(&targets, &before, &sources);
        Ok(targets)
    }

    /// Table part of `table.column` or `schema.table.column`.
    fn qualifier(&self, column: &ObjectName) -> Result<Option<String>> {
        Ok(match names::parts(column)?.as_slice() {
            [.., table, _column] => Some(names::fold(self.dialect(), table)),
            _ => None,
        })
    }

    /// Marks `targets` as written. A table that occurs once in FROM, as the target, counts as written only: reading
    /// its own columns needs no further grant. One that was read before, or occurs again, stays read.
    fn write(&mut self, targets: &[Table], read_before: &std::collections::BTreeSet<Table>, sources: &[Source]) {
        for target in targets {
            let occurrences = sources.iter().flat_map(|source| &source.tables).filter(|table| *table == target).count();
            if occurrences == 1 && !read_before.contains(target) {
                self.reads.remove(target);
            }
            self.writes.insert(target.clone());
        }
    }

    pub(super) fn delete(&mut self, delete: &Delete) -> Result<()> {
        let Delete {
            delete_token: _,
            optimizer_hints,
            tables,
            from,
            using,
            selection,
            returning,
            output,
            order_by,
            limit,
        } = delete;
        if !optimizer_hints.is_empty() || output.is_some() {
            return Err(not_understood("a clause of this DELETE belongs to another database"));
        }
        let FromTable::WithFromKeyword(from) = from else {
            return Err(not_understood("DELETE needs FROM"));
        };
        let targets = match (self.dialect(), tables.is_empty(), using) {
            (Dialect::MySql, false, None) => self.delete_from_join(tables, from)?,
            (Dialect::MySql, true, Some(using)) => {
                let names = from.iter().map(plain_name).collect::<Result<Vec<_>>>()?;
                self.delete_from_join(&names.into_iter().cloned().collect::<Vec<_>>(), using)?
            }
            (_, true, using) => {
                let [target] = from.as_slice() else {
                    return Err(not_understood("DELETE from several tables needs them before FROM"));
                };
                let target = self.single_target(target)?;
                if let Some(using) = using {
                    self.from(using)?;
                }
                vec![target]
            }
            _ => return Err(not_understood("this form of DELETE belongs to another database")),
        };
        self.optional(selection.as_ref())?;
        self.order_expressions(order_by)?;
        self.optional(limit.as_ref())?;
        self.returning(returning.as_deref(), &targets)
    }

    /// MySQL's `DELETE a, b FROM … JOIN …`: the names before FROM are aliases or tables of the join.
    fn delete_from_join(&mut self, names: &[ObjectName], from: &[TableWithJoins]) -> Result<Vec<Table>> {
        let before = self.reads.clone();
        let sources = self.from(from)?;
        let mut targets = vec![];
        for name in names {
            self.object_name(name)?;
            let wanted = names::parts(name)?.last().map(|ident| ident.value.clone());
            for source in matching(&sources, &wanted)? {
                targets.extend(source.tables.clone());
            }
        }
        self.write(&targets, &before, &sources);
        Ok(targets)
    }

    pub(super) fn merge(&mut self, merge: &Merge) -> Result<()> {
        let Merge { merge_token: _, optimizer_hints, into: _, table, source, on, clauses, output } = merge;
        if self.dialect() != Dialect::Postgres || !optimizer_hints.is_empty() {
            return Err(not_understood("MERGE exists in PostgreSQL only"));
        }
        let target = self.target_factor(table)?;
        let source = TableWithJoins { relation: source.clone(), joins: vec![] };
        self.table_with_joins(&source, &mut vec![])?;
        self.expression(on)?;
        for MergeClause { when_token: _, clause_kind, predicate, action } in clauses {
            match clause_kind {
                MergeClauseKind::Matched
                | MergeClauseKind::NotMatched
                | MergeClauseKind::NotMatchedByTarget
                | MergeClauseKind::NotMatchedBySource => {}
            }
            self.optional(predicate.as_ref())?;
            self.merge_action(action)?;
        }
        match output {
            None => Ok(()),
            Some(OutputClause::Returning { returning_token: _, select_items }) => {
                self.returning(Some(select_items), &[target])
            }
            Some(OutputClause::Output { .. }) => Err(not_understood("OUTPUT belongs to another database")),
        }
    }

    fn merge_action(&mut self, action: &MergeAction) -> Result<()> {
        match action {
            MergeAction::Insert(MergeInsertExpr { insert_token: _, columns, kind_token: _, kind, insert_predicate }) => {
                columns.iter().try_for_each(|column| self.column_target(column))?;
                self.optional(insert_predicate.as_ref())?;
                match kind {
                    MergeInsertKind::Values(values) => self.values(values),
                    MergeInsertKind::Row | MergeInsertKind::Wildcard => {
                        Err(not_understood("this INSERT in MERGE belongs to another database"))
                    }
                }
            }
            MergeAction::Update(MergeUpdateExpr { update_token: _, kind, update_predicate, delete_predicate }) => {
                self.optional(update_predicate.as_ref())?;
                self.optional(delete_predicate.as_ref())?;
                match kind {
                    MergeUpdateKind::Set(assignments) => self.assignments(assignments),
                    MergeUpdateKind::Wildcard => Err(not_understood("UPDATE * in MERGE belongs to another database")),
                }
            }
            MergeAction::Delete { delete_token: _ } => Ok(()),
            MergeAction::DoNothing { do_token: _, nothing_token: _ } => Ok(()),
        }
    }

    /// The written table; never a CTE.
    fn target(&mut self, name: &ObjectName) -> Result<Table> {
        self.object_name(name)?;
        let table = names::table(self.profile, name)?;
        self.writes.insert(table.clone());
        Ok(table)
    }

    /// Target of UPDATE and DELETE outside MySQL, and of single-table ones within: one table without joins.
    fn single_target(&mut self, table: &TableWithJoins) -> Result<Table> {
        let TableWithJoins { relation, joins } = table;
        if !joins.is_empty() {
            return Err(not_understood("the written table must stand alone, joins belong into FROM or USING"));
        }
        self.target_factor(relation)
    }

    fn target_factor(&mut self, factor: &TableFactor) -> Result<Table> {
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
        }
        self.target(name)
    }

    fn assignments(&mut self, assignments: &[Assignment]) -> Result<()> {
        for Assignment { target, value } in assignments {
            for column in target_columns(target) {
                self.column_target(column)?;
            }
            self.assigned(std::slice::from_ref(value))?;
        }
        Ok(())
    }

    /// Column that is written to; the parts behind the first one may be reserved words.
    fn column_target(&mut self, column: &ObjectName) -> Result<()> {
        self.object_name(column)
    }

    /// Values for columns, among them the word DEFAULT.
    pub(super) fn assigned(&mut self, values: &[Expr]) -> Result<()> {
        for value in values {
            match value {
                Expr::Identifier(ident) if is_default(ident) => self.label(ident),
                Expr::Tuple(inner) => self.assigned(inner)?,
                _ => self.expression(value)?,
            }
        }
        Ok(())
    }

    /// RETURNING shows rows of the written tables, so they count as read.
    fn returning(&mut self, items: Option<&[SelectItem]>, targets: &[Table]) -> Result<()> {
        let Some(items) = items else { return Ok(()) };
        self.reads.extend(targets.iter().cloned());
        self.projection(items)
    }
}

fn is_default(ident: &Ident) -> bool {
    ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("default")
}

fn target_columns(target: &AssignmentTarget) -> &[ObjectName] {
    match target {
        AssignmentTarget::ColumnName(column) => std::slice::from_ref(column),
        AssignmentTarget::Tuple(columns) => columns,
    }
}

/// Name of a table that stands without alias and joins.
fn plain_name(table: &TableWithJoins) -> Result<&ObjectName> {
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

/// Sources that `wanted` could mean: by alias or by the name of a table, compared without case, because that depends
/// on the server. Without a name, all of them.
fn matching<'s>(sources: &'s [Source], wanted: &Option<String>) -> Result<Vec<&'s Source>> {
    let Some(wanted) = wanted else { return Ok(sources.iter().collect()) };
    let means = |name: &str| name.eq_ignore_ascii_case(wanted);
    let found: Vec<&Source> = sources
        .iter()
        .filter(|source| {
            source.binding.as_deref().is_some_and(means)
                || (source.is_table && source.tables.iter().any(|table| means(&table.name)))
        })
        .collect();
    if found.is_empty() {
        return Err(not_understood(format!("`{}` names no table of this statement", wanted.escape_debug())));
    }
    Ok(found)
}

/// All variants only say what happens to the row or the statement when a constraint fails.
fn conflict_clause(or: Option<SqliteOnConflict>) {
    match or {
        None
        | Some(
            SqliteOnConflict::Rollback
            | SqliteOnConflict::Abort
            | SqliteOnConflict::Fail
            | SqliteOnConflict::Ignore
            | SqliteOnConflict::Replace,
        ) => {}
    }
}

/// All variants only say when the row is written.
fn priority_clause(priority: Option<MysqlInsertPriority>) {
    match priority {
        None
        | Some(MysqlInsertPriority::LowPriority | MysqlInsertPriority::Delayed | MysqlInsertPriority::HighPriority) => {}
    }
}
