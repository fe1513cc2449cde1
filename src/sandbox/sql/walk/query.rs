//! Queries: WITH, set operations, SELECT, ORDER BY, LIMIT, row locks.

use sqlparser::ast::{
    Cte, CteAsMaterialized, Distinct, Expr, Fetch, GroupByExpr, GroupByWithModifier, LimitClause, LockClause, LockType,
    NamedWindowDefinition, NamedWindowExpr, NonBlock, Offset, OffsetRows, OrderBy, OrderByExpr, OrderByKind,
    OrderByOptions, OrderBySort, Parens, Query, Select, SelectFlavor, SelectItem, SelectItemQualifiedWildcardKind,
    SelectModifiers, SetExpr, SetOperator, SetQuantifier, TableAlias, TableAliasColumnDef, Values,
    WildcardAdditionalOptions, With,
};

use super::{Source, Walker};
use crate::error::Result;
use crate::sandbox::sql::facts::{Dialect, Table};
use crate::sandbox::sql::{names, not_understood, statement_denied};

impl Walker<'_> {
    /// Walks a query; gives the tables in its FROM clauses, those inside subqueries in FROM included.
    pub(super) fn query(&mut self, query: &Query) -> Result<Vec<Table>> {
        let Query {
            with,
            body,
            order_by,
            limit_clause,
            fetch,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators,
        } = query;
        if for_clause.is_some() || settings.is_some() || format_clause.is_some() || !pipe_operators.is_empty() {
            return Err(not_understood("a clause of this query belongs to another database"));
        }
        let scopes = self.scopes.len();
        if let Some(with) = with {
            self.with(with)?;
        }
        let sources = self.set_expression(body)?;
        if let Some(OrderBy { kind, interpolate }) = order_by {
            self.order_by(kind, interpolate.is_some())?;
        }
        if let Some(limit) = limit_clause {
            self.limit(limit)?;
        }
        if let Some(Fetch { with_ties: _, percent: _, quantity }) = fetch {
            self.optional(quantity.as_ref())?;
        }
        for lock in locks {
            self.lock(lock, &sources)?;
        }
        self.scopes.truncate(scopes);
        Ok(sources.into_iter().flat_map(|source| source.tables).collect())
    }

    /// Opens the scope of a WITH. Which items see which differs; a name that is not seen means a table.
    fn with(&mut self, with: &With) -> Result<()> {
        let With { with_token: _, recursive, cte_tables } = with;
        let dialect = self.dialect();
        let names: Vec<String> = cte_tables.iter().map(|cte| names::fold(dialect, &cte.alias.name)).collect();
        let sees_all = match dialect {
            Dialect::Postgres => *recursive,
            // MariaDB lets recursive items see later ones, MySQL doesn't: the narrower rule is the safe one.
            Dialect::MySql => false,
            Dialect::Sqlite => true,
        };
        self.scopes.push(if sees_all { names.clone() } else { vec![] });
        for (cte, name) in cte_tables.iter().zip(names) {
            let sees_itself = *recursive && !sees_all;
            if sees_itself {
                self.add_cte(name.clone());
            }
            self.cte(cte)?;
            if !sees_all && !sees_itself {
                self.add_cte(name);
            }
        }
        Ok(())
    }

    fn add_cte(&mut self, name: String) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.push(name);
        }
    }

    fn cte(&mut self, cte: &Cte) -> Result<()> {
        let Cte { alias, query, from, materialized, closing_paren_token: _ } = cte;
        match materialized {
            None | Some(CteAsMaterialized::Materialized | CteAsMaterialized::NotMaterialized) => {}
        }
        if let Some(from) = from {
            return Err(not_understood(format!("unexpected name `{}` after a WITH item", from.value.escape_debug())));
        }
        self.table_alias(alias)?;
        self.query(query).map(|_tables| ())
    }

    /// Alias of a table; names what it covers from here on.
    pub(super) fn table_alias(&mut self, alias: &TableAlias) -> Result<()> {
        let TableAlias { explicit: _, name, columns, at } = alias;
        self.name(name)?;
        for TableAliasColumnDef { name, data_type } in columns {
            self.name(name)?;
            if let Some(data_type) = data_type {
                self.data_type(data_type)?;
            }
        }
        match at {
            Some(_) => Err(not_understood("an alias has a clause of another database")),
            None => Ok(()),
        }
    }

    /// Set operations form a left-deep chain as long as the statement: that side is walked in a loop.
    fn set_expression(&mut self, expression: &SetExpr) -> Result<Vec<Source>> {
        let mut rights = vec![];
        let mut leftmost = expression;
        while let SetExpr::SetOperation { left, op, set_quantifier, right } = leftmost {
            match (op, set_quantifier) {
                (
                    SetOperator::Union | SetOperator::Except | SetOperator::Intersect | SetOperator::Minus,
                    SetQuantifier::All | SetQuantifier::Distinct | SetQuantifier::None,
                ) => {}
                (_, SetQuantifier::ByName | SetQuantifier::AllByName | SetQuantifier::DistinctByName) => {
                    return Err(not_understood("set operations match columns by position only"));
                }
            }
            rights.push(right);
            leftmost = left;
        }
        let mut sources = self.simple_set_expression(leftmost)?;
        for right in rights.into_iter().rev() {
            sources.extend(self.set_expression(right)?);
        }
        Ok(sources)
    }

    fn simple_set_expression(&mut self, expression: &SetExpr) -> Result<Vec<Source>> {
        match expression {
            SetExpr::Select(select) => self.select(select),
            SetExpr::Query(query) => {
                let tables = self.query(query)?;
                Ok(vec![Source { binding: None, tables, is_table: false }])
            }
            SetExpr::Values(values) => self.values(values).map(|()| vec![]),
            SetExpr::Insert(statement)
            | SetExpr::Update(statement)
            | SetExpr::Delete(statement)
            | SetExpr::Merge(statement) => self.statement(statement).map(|()| vec![]),
            SetExpr::Table(_) => Err(not_understood("`TABLE name` is not understood here (write SELECT * FROM name)")),
            SetExpr::SetOperation { .. } => self.set_expression(expression),
        }
    }

    pub(super) fn values(&mut self, values: &Values) -> Result<()> {
        let Values { explicit_row: _, value_keyword: _, rows } = values;
        for Parens { opening_token: _, content, closing_token: _ } in rows {
            self.assigned(content)?;
        }
        Ok(())
    }

    fn select(&mut self, select: &Select) -> Result<Vec<Source>> {
        let Select {
            select_token: _,
            optimizer_hints,
            distinct,
            select_modifiers,
            top,
            top_before_distinct: _,
            projection,
            exclude,
            into,
            from,
            lateral_views,
            prewhere,
            selection,
            connect_by,
            group_by,
            cluster_by,
            distribute_by,
            sort_by,
            having,
            named_window,
            qualify,
            window_before_qualify: _,
            value_table_mode,
            flavor,
        } = select;
        if into.is_some() {
            return Err(statement_denied("SELECT INTO creates a table or a file"));
        }
        let foreign = top.is_some()
            || exclude.is_some()
            || prewhere.is_some()
            || qualify.is_some()
            || value_table_mode.is_some()
            || *flavor != SelectFlavor::Standard;
        let foreign_lists = !lateral_views.is_empty()
            || !connect_by.is_empty()
            || !cluster_by.is_empty()
            || !distribute_by.is_empty()
            || !sort_by.is_empty()
            || !optimizer_hints.is_empty();
        if foreign || foreign_lists {
            return Err(not_understood("a clause of this query belongs to another database"));
        }
        self.select_modifiers(select_modifiers.as_ref())?;
        self.counts.from += usize::from(!from.is_empty());
        let sources = self.from(from)?;
        self.distinct(distinct.as_ref())?;
        self.projection(projection)?;
        self.optional(selection.as_ref())?;
        self.group_by(group_by)?;
        self.optional(having.as_ref())?;
        self.named_windows(named_window)?;
        Ok(sources)
    }

    fn select_modifiers(&mut self, modifiers: Option<&SelectModifiers>) -> Result<()> {
        let Some(SelectModifiers {
            high_priority: _,
            straight_join,
            sql_small_result: _,
            sql_big_result: _,
            sql_buffer_result: _,
            sql_no_cache: _,
            sql_calc_found_rows: _,
        }) = modifiers
        else {
            return Ok(());
        };
        self.counts.join += usize::from(*straight_join);
        if self.dialect() == Dialect::MySql {
            Ok(())
        } else {
            Err(not_understood("SELECT modifiers exist in MySQL only"))
        }
    }

    fn distinct(&mut self, distinct: Option<&Distinct>) -> Result<()> {
        match distinct {
            None | Some(Distinct::All | Distinct::Distinct) => Ok(()),
            Some(Distinct::On(expressions)) => self.expressions(expressions),
        }
    }

    /// Items of a SELECT list or of RETURNING.
    pub(super) fn projection(&mut self, items: &[SelectItem]) -> Result<()> {
        for item in items {
            match item {
                SelectItem::UnnamedExpr(expression) => self.expression(expression)?,
                SelectItem::ExprWithAlias { expr, alias } => {
                    self.expression(expr)?;
                    self.label(alias)?;
                }
                SelectItem::ExprWithAliases { expr: _, aliases: _ } => {
                    return Err(not_understood("a column has more than one alias"));
                }
                SelectItem::QualifiedWildcard(kind, options) => {
                    self.wildcard_options(options)?;
                    match kind {
                        SelectItemQualifiedWildcardKind::ObjectName(name) => self.object_name(name)?,
                        SelectItemQualifiedWildcardKind::Expr(expression) => self.expression(expression)?,
                    }
                }
                SelectItem::Wildcard(options) => self.wildcard_options(options)?,
            }
        }
        Ok(())
    }

    pub(super) fn wildcard_options(&mut self, options: &WildcardAdditionalOptions) -> Result<()> {
        let WildcardAdditionalOptions {
            wildcard_token: _,
            opt_ilike,
            opt_exclude,
            opt_except,
            opt_replace,
            opt_rename,
            opt_alias,
        } = options;
        let plain = opt_ilike.is_none()
            && opt_exclude.is_none()
            && opt_except.is_none()
            && opt_replace.is_none()
            && opt_rename.is_none()
            && opt_alias.is_none();
        if plain { Ok(()) } else { Err(not_understood("`*` has options of another database")) }
    }

    fn group_by(&mut self, group_by: &GroupByExpr) -> Result<()> {
        match group_by {
            GroupByExpr::All(_) => Err(not_understood("GROUP BY ALL is not understood (name the columns)")),
            GroupByExpr::Expressions(expressions, modifiers) => {
                self.expressions(expressions)?;
                for modifier in modifiers {
                    match modifier {
                        GroupByWithModifier::Rollup | GroupByWithModifier::Cube => {}
                        GroupByWithModifier::Totals => return Err(not_understood("WITH TOTALS is not understood")),
                        GroupByWithModifier::GroupingSets(expression) => self.expression(expression)?,
                    }
                }
                Ok(())
            }
        }
    }

    fn named_windows(&mut self, windows: &[NamedWindowDefinition]) -> Result<()> {
        for NamedWindowDefinition(name, definition) in windows {
            self.name(name)?;
            match definition {
                NamedWindowExpr::NamedWindow(other) => self.name(other)?,
                NamedWindowExpr::WindowSpec(window) => self.window(window)?,
            }
        }
        Ok(())
    }

    fn order_by(&mut self, kind: &OrderByKind, interpolates: bool) -> Result<()> {
        match kind {
            OrderByKind::Expressions(expressions) if !interpolates => self.order_expressions(expressions),
            OrderByKind::Expressions(_) | OrderByKind::All(_) => {
                Err(not_understood("ORDER BY has a clause of another database"))
            }
        }
    }

    pub(super) fn order_expressions(&mut self, expressions: &[OrderByExpr]) -> Result<()> {
        for OrderByExpr { expr, options, with_fill } in expressions {
            let OrderByOptions { sort, nulls_first: _ } = options;
            match sort {
                None | Some(OrderBySort::Asc | OrderBySort::Desc) => {}
                Some(OrderBySort::Using(_)) => {
                    return Err(not_understood("ORDER BY … USING is not allowed (write ASC or DESC)"));
                }
            }
            if with_fill.is_some() {
                return Err(not_understood("ORDER BY has a clause of another database"));
            }
            self.expression(expr)?;
        }
        Ok(())
    }

    fn limit(&mut self, limit: &LimitClause) -> Result<()> {
        match limit {
            LimitClause::LimitOffset { limit, offset, limit_by } => {
                self.optional(limit.as_ref())?;
                if let Some(Offset { value, rows }) = offset {
                    match rows {
                        OffsetRows::None | OffsetRows::Row | OffsetRows::Rows => {}
                    }
                    self.expression(value)?;
                }
                self.expressions(limit_by)
            }
            LimitClause::OffsetCommaLimit { offset, limit } => {
                self.expression(offset)?;
                self.expression(limit)
            }
        }
    }

    /// Row locks: all tables in FROM, or those named by OF. A name that is not found locks everything.
    fn lock(&mut self, lock: &LockClause, sources: &[Source]) -> Result<()> {
        let LockClause { lock_type, of, nonblock } = lock;
        match (lock_type, nonblock) {
            (LockType::Share | LockType::Update, None | Some(NonBlock::Nowait | NonBlock::SkipLocked)) => {}
        }
        if self.dialect() == Dialect::Sqlite {
            return Err(not_understood("SQLite has no row locks"));
        }
        let wanted = match of {
            None => None,
            Some(name) => {
                self.object_name(name)?;
                names::parts(name)?.last().map(|ident| names::fold(self.dialect(), ident))
            }
        };
        let named: Vec<&Source> =
            sources.iter().filter(|source| wanted.is_some() && source.binding == wanted).collect();
        let locked = if named.is_empty() { sources.iter().collect() } else { named };
        for source in locked {
            self.locks.extend(source.tables.iter().cloned());
        }
        Ok(())
    }

    pub(super) fn optional(&mut self, expression: Option<&Expr>) -> Result<()> {
        expression.map_or(Ok(()), |expression| self.expression(expression))
    }
}
