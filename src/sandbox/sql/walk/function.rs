//! Calls of functions.

use sqlparser::ast::{
    DuplicateTreatment, Function, FunctionArg, FunctionArgExpr, FunctionArgOperator, FunctionArgumentClause,
    FunctionArgumentList, FunctionArguments, JsonNullClause, JsonReturningClause, ListAggOnOverflow, NullTreatment,
    ObjectName, WindowFrame, WindowFrameBound, WindowFrameUnits, WindowSpec, WindowType,
};

use super::{Walker, reference};
use crate::error::Result;
use crate::sandbox::sql::facts::Dialect;
use crate::sandbox::sql::rewrite::ROWS_FROM_FUNCTION;
use crate::sandbox::sql::{function_denied, functions, names, not_understood};

/// What sqlparser reads like a call but is none.
fn is_constructor(dialect: Dialect, name: &str) -> bool {
    match dialect {
        Dialect::Postgres => matches!(name, "array" | "row") || name == ROWS_FROM_FUNCTION,
        Dialect::MySql => name == "row",
        Dialect::Sqlite => false,
    }
}

impl Walker<'_> {
    pub(super) fn function(&mut self, function: &Function) -> Result<()> {
        let Function { name, uses_odbc_syntax, parameters, args, within_group, filter, null_treatment, over } =
            function;
        if *uses_odbc_syntax || !matches!(parameters, FunctionArguments::None) {
            return Err(not_understood("this way to call a function is not understood"));
        }
        match null_treatment {
            None | Some(NullTreatment::IgnoreNulls | NullTreatment::RespectNulls) => {}
        }
        self.function_name(name)?;
        self.function_arguments(args)?;
        self.order_expressions(within_group)?;
        self.optional(filter.as_deref())?;
        match over {
            None => Ok(()),
            Some(WindowType::NamedWindow(name)) => self.name(name),
            Some(WindowType::WindowSpec(window)) => self.window(window),
        }
    }

    /// Checks the name against the lists; gives it folded and without schema.
    pub(super) fn function_name(&mut self, name: &ObjectName) -> Result<String> {
        let dialect = self.dialect();
        let parts = names::parts(name)?;
        // In MySQL a quoted name means a stored function even where a built-in one of that name exists.
        // In PostgreSQL a quoted name with capitals is another function than the built-in one.
        let quoted = parts.iter().any(|part| part.quote_style.is_some())
            && match dialect {
                Dialect::Postgres => parts.iter().any(|part| part.value.bytes().any(|byte| byte.is_ascii_uppercase())),
                Dialect::MySql => true,
                Dialect::Sqlite => false,
            };
        let folded: Vec<String> = parts
            .iter()
            .map(|part| match dialect {
                Dialect::Postgres => names::fold(dialect, part),
                Dialect::MySql | Dialect::Sqlite => part.value.to_ascii_lowercase(),
            })
            .collect();
        for part in &parts {
            self.account(part.span);
        }
        let full = folded.join(".");
        // Quoted, a name of the grammar means a function of the application.
        let quoted = quoted
            || (dialect == Dialect::Postgres
                && parts.iter().any(|part| part.quote_style.is_some() && reference::is_of_grammar(&part.value)));
        let built_in = match folded.as_slice() {
            [name] => !quoted && (functions::is_allowed(dialect, name) || is_constructor(dialect, name)),
            [schema, name] if dialect == Dialect::Postgres && schema == "pg_catalog" => {
                !quoted && functions::is_allowed(dialect, name)
            }
            _ => false,
        };
        if !built_in && !functions::is_granted(self.profile, &full) {
            return Err(function_denied(&full, "function"));
        }
        let name = folded.into_iter().next_back().unwrap_or_default();
        if !is_constructor(dialect, &name) {
            self.functions.insert(full);
        }
        Ok(name)
    }

    fn function_arguments(&mut self, args: &FunctionArguments) -> Result<()> {
        match args {
            FunctionArguments::None => Ok(()),
            FunctionArguments::Subquery(query) => self.query(query).map(|_tables| ()),
            FunctionArguments::List(FunctionArgumentList { duplicate_treatment, args, clauses }) => {
                match duplicate_treatment {
                    None | Some(DuplicateTreatment::Distinct | DuplicateTreatment::All) => {}
                }
                for arg in args {
                    self.function_argument(arg)?;
                }
                clauses.iter().try_for_each(|clause| self.argument_clause(clause))
            }
        }
    }

    pub(super) fn function_argument(&mut self, arg: &FunctionArg) -> Result<()> {
        match arg {
            FunctionArg::Unnamed(value) => self.argument_value(value),
            FunctionArg::Named { name, arg, operator } => {
                argument_operator(operator)?;
                self.name(name)?;
                self.argument_value(arg)
            }
            FunctionArg::ExprNamed { name, arg, operator } => {
                argument_operator(operator)?;
                self.expression(name)?;
                self.argument_value(arg)
            }
        }
    }

    fn argument_value(&mut self, value: &FunctionArgExpr) -> Result<()> {
        match value {
            FunctionArgExpr::Expr(expression) => self.expression(expression),
            FunctionArgExpr::QualifiedWildcard(name) => self.object_name(name),
            FunctionArgExpr::Wildcard => Ok(()),
            FunctionArgExpr::WildcardWithOptions(options) => self.wildcard_options(options),
        }
    }

    fn argument_clause(&mut self, clause: &FunctionArgumentClause) -> Result<()> {
        match clause {
            FunctionArgumentClause::IgnoreOrRespectNulls(NullTreatment::IgnoreNulls | NullTreatment::RespectNulls) => {
                Ok(())
            }
            FunctionArgumentClause::OrderBy(expressions) => self.order_expressions(expressions),
            FunctionArgumentClause::Limit(expression) | FunctionArgumentClause::Where(expression) => {
                self.expression(expression)
            }
            FunctionArgumentClause::Separator(value) => {
                self.literal(value);
                Ok(())
            }
            FunctionArgumentClause::JsonNullClause(JsonNullClause::NullOnNull | JsonNullClause::AbsentOnNull) => Ok(()),
            FunctionArgumentClause::JsonReturningClause(JsonReturningClause { data_type }) => self.data_type(data_type),
            FunctionArgumentClause::OnOverflow(ListAggOnOverflow::Error | ListAggOnOverflow::Truncate { .. })
            | FunctionArgumentClause::Having(_) => Err(not_understood("a call has a clause of another database")),
        }
    }

    pub(super) fn window(&mut self, window: &WindowSpec) -> Result<()> {
        let WindowSpec { window_name, partition_by, order_by, window_frame } = window;
        if let Some(name) = window_name {
            self.name(name)?;
        }
        self.expressions(partition_by)?;
        self.order_expressions(order_by)?;
        let Some(WindowFrame { units, start_bound, end_bound }) = window_frame else { return Ok(()) };
        match units {
            WindowFrameUnits::Rows | WindowFrameUnits::Range | WindowFrameUnits::Groups => {}
        }
        for bound in std::iter::once(start_bound).chain(end_bound) {
            match bound {
                WindowFrameBound::CurrentRow => {}
                WindowFrameBound::Preceding(value) | WindowFrameBound::Following(value) => {
                    self.optional(value.as_deref())?;
                }
            }
        }
        Ok(())
    }
}

fn argument_operator(operator: &FunctionArgOperator) -> Result<()> {
    match operator {
        FunctionArgOperator::RightArrow | FunctionArgOperator::Colon | FunctionArgOperator::Value => Ok(()),
        FunctionArgOperator::Equals | FunctionArgOperator::Assignment | FunctionArgOperator::Space => {
            Err(not_understood("named arguments are written `name => value`"))
        }
    }
}
