//! MERGE.

use sqlparser::ast::{
    Merge, MergeAction, MergeClause, MergeClauseKind, MergeInsertExpr, MergeInsertKind, MergeUpdateExpr,
    MergeUpdateKind, OutputClause, TableWithJoins,
};

use super::Walker;
use crate::error::Result;
use crate::sandbox::sql::facts::Dialect;
use crate::sandbox::sql::not_understood;

impl Walker<'_> {
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
            MergeAction::Insert(MergeInsertExpr {
                insert_token: _,
                columns,
                kind_token: _,
                kind,
                insert_predicate,
            }) => {
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
}
