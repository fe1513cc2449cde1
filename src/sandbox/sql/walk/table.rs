//! FROM: tables, joins, subqueries, table functions.

use sqlparser::ast::{
    Expr, FunctionArg, Join, JoinConstraint, JoinOperator, JsonTableColumn, JsonTableColumnErrorHandling,
    JsonTableNamedColumn, JsonTableNestedColumn, ObjectName, TableAlias, TableFactor, TableFunctionArgs,
    TableIndexHintForClause, TableIndexHintType, TableIndexHints, TableIndexType, TableSample, TableSampleKind,
    TableSampleMethod, TableSampleModifier, TableSampleQuantity, TableSampleSeed, TableWithJoins, XmlPassingArgument,
    XmlPassingClause, XmlTableColumn, XmlTableColumnOption,
};

use super::reference::{self, Gives};
use super::{Source, Walker};
use crate::error::Result;
use crate::sandbox::sql::facts::Dialect;
use crate::sandbox::sql::{names, not_understood};

impl Walker<'_> {
    /// Reads everything in a FROM list.
    pub(super) fn from(&mut self, from: &[TableWithJoins]) -> Result<Vec<Source>> {
        let mut sources = vec![];
        for table in from {
            self.table_with_joins(table, &mut sources)?;
        }
        Ok(sources)
    }

    pub(super) fn table_with_joins(&mut self, table: &TableWithJoins, sources: &mut Vec<Source>) -> Result<()> {
        let TableWithJoins { relation, joins } = table;
        self.table_factor(relation, sources)?;
        for join in joins {
            self.join(join, sources)?;
        }
        Ok(())
    }

    pub(super) fn join(&mut self, join: &Join, sources: &mut Vec<Source>) -> Result<()> {
        let Join { relation, global, join_operator } = join;
        if *global {
            return Err(not_understood("GLOBAL joins are not understood"));
        }
        self.counts.join += 1;
        self.table_factor(relation, sources)?;
        match join_operator {
            JoinOperator::Join(constraint)
            | JoinOperator::Inner(constraint)
            | JoinOperator::Left(constraint)
            | JoinOperator::LeftOuter(constraint)
            | JoinOperator::Right(constraint)
            | JoinOperator::RightOuter(constraint)
            | JoinOperator::FullOuter(constraint)
            | JoinOperator::CrossJoin(constraint) => self.join_constraint(constraint),
            JoinOperator::StraightJoin(constraint) if self.dialect() == Dialect::MySql => {
                self.join_constraint(constraint)
            }
            JoinOperator::StraightJoin(_)
            | JoinOperator::Semi(_)
            | JoinOperator::LeftSemi(_)
            | JoinOperator::RightSemi(_)
            | JoinOperator::Anti(_)
            | JoinOperator::LeftAnti(_)
            | JoinOperator::RightAnti(_)
            | JoinOperator::CrossApply
            | JoinOperator::OuterApply
            | JoinOperator::AsOf { match_condition: _, constraint: _ }
            | JoinOperator::ArrayJoin
            | JoinOperator::LeftArrayJoin
            | JoinOperator::InnerArrayJoin => Err(not_understood("this kind of join belongs to another database")),
        }
    }

    fn join_constraint(&mut self, constraint: &JoinConstraint) -> Result<()> {
        match constraint {
            JoinConstraint::On(expression) => self.expression(expression),
            JoinConstraint::Using(columns) => columns.iter().try_for_each(|column| self.object_name(column)),
            JoinConstraint::Natural | JoinConstraint::None => Ok(()),
        }
    }

    fn table_factor(&mut self, factor: &TableFactor, sources: &mut Vec<Source>) -> Result<()> {
        match factor {
            TableFactor::Table { .. } => self.named_table(factor, sources),
            TableFactor::Derived { lateral: _, subquery, alias, sample } => {
                self.sample(sample.as_ref())?;
                let tables = self.query(subquery)?;
                let binding = self.relation_binding(alias.as_ref(), None)?;
                sources.push(Source { binding, tables, is_table: false });
                Ok(())
            }
            TableFactor::Function { lateral: _, name, args, with_ordinality, alias } => {
                self.table_function(name, args, *with_ordinality, alias.as_ref(), sources)
            }
            TableFactor::UNNEST {
                alias,
                array_exprs,
                with_offset: false,
                with_offset_alias: None,
                with_ordinality,
            } => {
                self.expressions(array_exprs)?;
                let gives = if array_exprs.len() == 1 { Gives::Scalar } else { Gives::Unknown };
                self.function_table("unnest", gives, *with_ordinality, alias.as_ref(), sources)
            }
            TableFactor::NestedJoin { table_with_joins, alias } => self.nested_join(table_with_joins, alias, sources),
            TableFactor::JsonTable { json_expr, json_path, columns, alias } => {
                self.expression(json_expr)?;
                self.literal(json_path);
                self.json_columns(columns)?;
                self.function_table("json_table", Gives::Row, false, alias.as_ref(), sources)
            }
            TableFactor::XmlTable { namespaces, row_expression, passing, columns, alias } if namespaces.is_empty() => {
                self.xml_table(row_expression, passing, columns)?;
                self.function_table("xmltable", Gives::Row, false, alias.as_ref(), sources)
            }
            TableFactor::UNNEST { .. }
            | TableFactor::XmlTable { .. }
            | TableFactor::TableFunction { .. }
            | TableFactor::OpenJsonTable { .. }
            | TableFactor::Pivot { .. }
            | TableFactor::Unpivot { .. }
            | TableFactor::UnpivotExpr { .. }
            | TableFactor::MatchRecognize { .. }
            | TableFactor::SemanticView { .. } => Err(not_understood("this construct in FROM is not understood")),
        }
    }

    fn named_table(&mut self, factor: &TableFactor, sources: &mut Vec<Source>) -> Result<()> {
        let TableFactor::Table {
            name,
            alias,
            args,
            with_hints,
            version,
            with_ordinality,
            partitions,
            json_path,
            sample,
            index_hints,
        } = factor
        else {
            return Err(not_understood("this construct in FROM is not understood"));
        };
        if !with_hints.is_empty() || version.is_some() || json_path.is_some() {
            return Err(not_understood("a table has a clause of another database"));
        }
        self.sample(sample.as_ref())?;
        for partition in partitions {
            self.name(partition)?;
        }
        for hint in index_hints {
            self.index_hint(hint)?;
        }
        if let Some(TableFunctionArgs { args, settings }) = args {
            if settings.is_some() {
                return Err(not_understood("a table function has a clause of another database"));
            }
            return self.table_function(name, args, *with_ordinality, alias.as_ref(), sources);
        }
        if *with_ordinality {
            return Err(not_understood("WITH ORDINALITY belongs to table functions"));
        }
        let source = self.read_table(name, alias.as_ref())?;
        sources.push(source);
        Ok(())
    }

    /// A CTE, MySQL's DUAL, or a table that is read.
    fn read_table(&mut self, name: &ObjectName, alias: Option<&TableAlias>) -> Result<Source> {
        let binding = self.relation_binding(alias, Some(name))?;
        if self.is_dual(name)? {
            return Ok(Source { binding, tables: vec![], is_table: false });
        }
        self.object_name(name)?;
        if self.is_cte(name)? {
            return Ok(Source { binding, tables: vec![], is_table: false });
        }
        let table = names::table(self.profile, name)?;
        self.reads.insert(table.clone());
        Ok(Source { binding, tables: vec![table], is_table: true })
    }

    /// `FROM DUAL` names no table; with quotes it would.
    fn is_dual(&self, name: &ObjectName) -> Result<bool> {
        let parts = names::parts(name)?;
        let [ident] = parts.as_slice() else { return Ok(false) };
        Ok(self.dialect() == Dialect::MySql && ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("dual"))
    }

    /// Name under which the rest of the statement refers to a table.
    fn binding(&mut self, alias: Option<&TableAlias>, name: Option<&ObjectName>) -> Result<Option<String>> {
        if let Some(alias) = alias {
            self.table_alias(alias)?;
            return Ok(Some(names::fold(self.dialect(), &alias.name)));
        }
        match name {
            Some(name) => Ok(names::parts(name)?.last().map(|ident| names::fold(self.dialect(), ident))),
            None => Ok(None),
        }
    }

    /// As [`Self::binding`], for what is no function.
    fn relation_binding(&mut self, alias: Option<&TableAlias>, name: Option<&ObjectName>) -> Result<Option<String>> {
        let binding = self.binding(alias, name)?;
        self.references.add_relation(binding.as_deref());
        Ok(binding)
    }

    fn nested_join(
        &mut self,
        inner: &TableWithJoins,
        alias: &Option<TableAlias>,
        sources: &mut Vec<Source>,
    ) -> Result<()> {
        let first = sources.len();
        self.table_with_joins(inner, sources)?;
        if let Some(alias) = alias {
            self.table_alias(alias)?;
            let tables = sources.drain(first..).flat_map(|source| source.tables).collect();
            let binding = Some(names::fold(self.dialect(), &alias.name));
            self.references.add_relation(binding.as_deref());
            sources.push(Source { binding, tables, is_table: false });
        }
        Ok(())
    }

    fn table_function(
        &mut self,
        name: &ObjectName,
        args: &[FunctionArg],
        with_ordinality: bool,
        alias: Option<&TableAlias>,
        sources: &mut Vec<Source>,
    ) -> Result<()> {
        let called = self.function_name(name)?;
        for arg in args {
            self.function_argument(arg)?;
        }
        let gives = reference::gives(self.dialect(), name, args.len())?;
        self.function_table(&called, gives, with_ordinality, alias, sources)
    }

    /// Registers the result of a function in FROM: `alias.column` may not be a call in disguise.
    fn function_table(
        &mut self,
        called: &str,
        gives: Gives,
        with_ordinality: bool,
        alias: Option<&TableAlias>,
        sources: &mut Vec<Source>,
    ) -> Result<()> {
        let binding = self.binding(alias, None)?;
        self.refer_to_function(called, gives, with_ordinality, alias)?;
        sources.push(Source { binding, tables: vec![], is_table: false });
        Ok(())
    }

    fn index_hint(&mut self, hint: &TableIndexHints) -> Result<()> {
        let TableIndexHints { hint_type, index_type, for_clause, index_names } = hint;
        match (hint_type, index_type, for_clause) {
            (
                TableIndexHintType::Use | TableIndexHintType::Ignore | TableIndexHintType::Force,
                TableIndexType::Index | TableIndexType::Key,
                None
                | Some(
                    TableIndexHintForClause::Join | TableIndexHintForClause::OrderBy | TableIndexHintForClause::GroupBy,
                ),
            ) => {}
        }
        for name in index_names {
            if name.value.eq_ignore_ascii_case("primary") {
                self.account(name.span);
            } else {
                self.name(name)?;
            }
        }
        Ok(())
    }

    fn sample(&mut self, sample: Option<&TableSampleKind>) -> Result<()> {
        let sample = match sample {
            None => return Ok(()),
            Some(TableSampleKind::BeforeTableAlias(sample) | TableSampleKind::AfterTableAlias(sample)) => sample,
        };
        let TableSample { modifier, name, quantity, seed, bucket, offset } = sample.as_ref();
        let known = *modifier == TableSampleModifier::TableSample
            && matches!(name, Some(TableSampleMethod::Bernoulli | TableSampleMethod::System));
        if self.dialect() != Dialect::Postgres || !known || bucket.is_some() {
            return Err(not_understood("this kind of TABLESAMPLE is not understood"));
        }
        if let Some(TableSampleQuantity { parenthesized: _, value, unit: _ }) = quantity {
            self.expression(value)?;
        }
        if let Some(TableSampleSeed { modifier: _, value }) = seed {
            self.literal(value);
        }
        self.optional(offset.as_ref())
    }

    fn json_columns(&mut self, columns: &[JsonTableColumn]) -> Result<()> {
        for column in columns {
            match column {
                JsonTableColumn::Named(column) => self.json_column(column)?,
                JsonTableColumn::ForOrdinality(name) => self.name(name)?,
                JsonTableColumn::Nested(JsonTableNestedColumn { path, columns }) => {
                    self.literal(path);
                    self.json_columns(columns)?;
                }
            }
        }
        Ok(())
    }

    fn json_column(&mut self, column: &JsonTableNamedColumn) -> Result<()> {
        let JsonTableNamedColumn { name, r#type, path, exists: _, on_empty, on_error } = column;
        self.name(name)?;
        self.data_type(r#type)?;
        self.literal(path);
        for handling in [on_empty, on_error].into_iter().flatten() {
            match handling {
                JsonTableColumnErrorHandling::Null | JsonTableColumnErrorHandling::Error => {}
                JsonTableColumnErrorHandling::Default(value) => self.literal(value),
            }
        }
        Ok(())
    }

    fn xml_table(&mut self, row: &Expr, passing: &XmlPassingClause, columns: &[XmlTableColumn]) -> Result<()> {
        self.expression(row)?;
        let XmlPassingClause { arguments } = passing;
        for XmlPassingArgument { expr, alias, by_value: _ } in arguments {
            self.expression(expr)?;
            if let Some(alias) = alias {
                self.label(alias)?;
            }
        }
        for XmlTableColumn { name, option } in columns {
            self.name(name)?;
            match option {
                XmlTableColumnOption::NamedInfo { r#type, path, default, nullable: _ } => {
                    self.data_type(r#type)?;
                    self.optional(path.as_ref())?;
                    self.optional(default.as_ref())?;
                }
                XmlTableColumnOption::ForOrdinality => {}
            }
        }
        Ok(())
    }
}
