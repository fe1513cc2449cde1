//! INSERT, UPDATE, DELETE.

use sqlparser::ast::{
    Assignment, ConflictTarget, Delete, DoUpdate, Expr, FromTable, Ident, Insert, InsertAliases, MysqlInsertPriority,
    ObjectName, OnConflict, OnConflictAction, OnInsert, SelectItem, SqliteOnConflict, TableAliasWithoutColumns,
    TableObject, Update, UpdateTableFromKind,
};

use super::Walker;
use super::target::{plain_name, target_columns};
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
        self.target_alias(table_alias.as_ref())?;
        columns.iter().try_for_each(|column| self.column_target(column))?;
        self.expressions(partitioned.as_deref().unwrap_or_default())?;
        if let Some(query) = source {
            self.query(query)?;
        }
        self.assignments(assignments)?;
        self.row_alias(insert_alias.as_ref())?;
        self.on_insert(on.as_ref())?;
        self.returning(returning.as_deref(), &[target])
    }

    fn target_alias(&mut self, alias: Option<&TableAliasWithoutColumns>) -> Result<()> {
        let Some(TableAliasWithoutColumns { explicit: _, alias }) = alias else { return Ok(()) };
        self.references.add_relation(Some(&names::fold(self.dialect(), alias)));
        self.name(alias)
    }

    /// MySQL's name for the new row, for use in `ON DUPLICATE KEY UPDATE`.
    fn row_alias(&mut self, alias: Option<&InsertAliases>) -> Result<()> {
        let Some(InsertAliases { row_alias, col_aliases }) = alias else { return Ok(()) };
        self.object_name(row_alias)?;
        col_aliases.iter().flatten().try_for_each(|alias| self.name(alias))
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
                self.counts.from += 1;
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
        self.counts.from += 1;
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

    pub(super) fn assignments(&mut self, assignments: &[Assignment]) -> Result<()> {
        for Assignment { target, value } in assignments {
            for column in target_columns(target) {
                self.column_target(column)?;
            }
            self.assigned(std::slice::from_ref(value))?;
        }
        Ok(())
    }

    /// Column that is written to; the parts behind the first one may be reserved words.
    pub(super) fn column_target(&mut self, column: &ObjectName) -> Result<()> {
        self.object_name(column)
    }

    /// Values for columns, among them the word DEFAULT.
    pub(super) fn assigned(&mut self, values: &[Expr]) -> Result<()> {
        for value in values {
            match value {
                Expr::Identifier(ident) if is_default(ident) => self.account(ident.span),
                Expr::Tuple(inner) => self.assigned(inner)?,
                _ => self.expression(value)?,
            }
        }
        Ok(())
    }

    /// RETURNING shows rows of the written tables, so they count as read.
    pub(super) fn returning(&mut self, items: Option<&[SelectItem]>, targets: &[Table]) -> Result<()> {
        let Some(items) = items else { return Ok(()) };
        self.reads.extend(targets.iter().cloned());
        self.projection(items)
    }
}

fn is_default(ident: &Ident) -> bool {
    ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("default")
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
        | Some(MysqlInsertPriority::LowPriority | MysqlInsertPriority::Delayed | MysqlInsertPriority::HighPriority) => {
        }
    }
}
