//! Expressions.

use sqlparser::ast::{
    AccessExpr, Array, CaseWhen, CastKind, DataType, Expr, Ident, ObjectName, Query, Subscript, TypedString, Value,
    ValueWithSpan,
};

use super::{Walker, reference};
use crate::error::Result;
use crate::sandbox::sql::facts::Dialect;
use crate::sandbox::sql::{function_denied, keywords, names, not_understood, types};

/// Words that sqlparser takes for columns but that give the time in MySQL.
const MYSQL_TIME_WORDS: &[&str] = &["utc_date", "utc_time", "utc_timestamp"];

/// Character sets that may stand before a string: those in which a byte of a character can't be taken for a backslash or quote.
#[rustfmt::skip]
const MYSQL_CHARACTER_SETS: &[&str] = &[
    "armscii8", "ascii", "binary", "cp1250", "cp1251", "cp1256", "cp1257", "cp850", "cp852", "cp866", "dec8", "geostd8",
    "greek", "hebrew", "hp8", "keybcs2", "koi8r", "koi8u", "latin1", "latin2", "latin5", "latin7", "macce", "macroman",
    "swe7", "tis620", "utf8", "utf8mb3", "utf8mb4",
];

/// Character sets that may stand before a hexadecimal literal only: its digits are the same bytes in all of them.
#[rustfmt::skip]
const MYSQL_WIDE_CHARACTER_SETS: &[&str] = &[
    "big5", "cp932", "eucjpms", "euckr", "gb18030", "gb2312", "gbk", "sjis", "ucs2", "ujis", "utf16", "utf16le", "utf32",
];

impl Walker<'_> {
    pub(super) fn expressions(&mut self, expressions: &[Expr]) -> Result<()> {
        expressions.iter().try_for_each(|expression| self.expression(expression))
    }

    /// Chains like `a AND b AND …` and `a::int::text` nest on their left side, as deep as the statement is long: that
    /// side is followed in a loop.
    pub(super) fn expression(&mut self, expression: &Expr) -> Result<()> {
        let mut next = Some(expression);
        while let Some(expression) = next {
            next = self.step(expression)?;
        }
        Ok(())
    }

    /// Walks an expression except for its leftmost operand, which it gives back.
    fn step<'e>(&mut self, expression: &'e Expr) -> Result<Option<&'e Expr>> {
        match expression {
            Expr::BinaryOp { left, op, right } => {
                self.binary_operator(op)?;
                self.expression(right)?;
                Ok(Some(left))
            }
            Expr::Nested(inner)
            | Expr::IsFalse(inner)
            | Expr::IsNotFalse(inner)
            | Expr::IsTrue(inner)
            | Expr::IsNotTrue(inner)
            | Expr::IsNull(inner)
            | Expr::IsNotNull(inner)
            | Expr::IsUnknown(inner)
            | Expr::IsNotUnknown(inner) => Ok(Some(inner)),
            Expr::UnaryOp { op, expr } => self.unary_operator(*op).map(|()| Some(expr.as_ref())),
            Expr::IsDistinctFrom(left, right) | Expr::IsNotDistinctFrom(left, right) => {
                self.counts.from += 1;
                self.expression(right)?;
                Ok(Some(left))
            }
            Expr::Identifier(ident) => self.lone_column(ident).map(|()| None),
            Expr::CompoundIdentifier(parts) => self.column(parts).map(|()| None),
            Expr::Value(value) => {
                self.literal(value);
                Ok(None)
            }
            Expr::Cast { .. } | Expr::Collate { .. } | Expr::AtTimeZone { .. } | Expr::CompoundFieldAccess { .. } => {
                self.postfix(expression)
            }
            Expr::InList { .. }
            | Expr::InSubquery { .. }
            | Expr::Between { .. }
            | Expr::Like { .. }
            | Expr::ILike { .. }
            | Expr::SimilarTo { .. }
            | Expr::RLike { .. }
            | Expr::AnyOp { .. }
            | Expr::AllOp { .. } => self.comparison(expression),
            Expr::Function(function) => self.function(function).map(|()| None),
            Expr::Subquery(query) => self.subquery(query),
            Expr::Exists { subquery, negated: _ } => self.subquery(subquery),
            _ => self.special(expression).map(|()| None),
        }
    }

    fn subquery(&mut self, query: &Query) -> Result<Option<&'static Expr>> {
        self.query(query).map(|_tables| None)
    }

    fn postfix<'e>(&mut self, expression: &'e Expr) -> Result<Option<&'e Expr>> {
        match expression {
            Expr::Cast { kind, expr, data_type, format: None } => {
                match kind {
                    CastKind::Cast | CastKind::DoubleColon => {}
                    CastKind::TryCast | CastKind::SafeCast => {
                        return Err(not_understood("this kind of cast belongs to another database"));
                    }
                }
                self.data_type(data_type)?;
                Ok(Some(expr))
            }
            Expr::Collate { expr, collation } => {
                self.collation(collation)?;
                Ok(Some(expr))
            }
            Expr::AtTimeZone { timestamp, time_zone } => {
                self.expression(time_zone)?;
                Ok(Some(timestamp))
            }
            Expr::CompoundFieldAccess { root, access_chain } => self.access_chain(root, access_chain),
            _ => Err(not_understood("this expression is not understood")),
        }
    }

    /// Indices and fields behind `root`; gives it back unless it is a column. PostgreSQL reads `(x).f` as the call `f(x)` when
    /// there is no field `f`, so a field is let through only directly behind a call whose result is known to have it.
    fn access_chain<'e>(&mut self, root: &'e Expr, chain: &[AccessExpr]) -> Result<Option<&'e Expr>> {
        // `t.a[…]`: names with nothing but dots between them are a column, and judged like one.
        let column = self.leading_names(root, chain);
        if column.len() > 1 {
            self.column(&column)?;
            let behind = chain.iter().skip(column.len() - 1);
            behind.into_iter().try_for_each(|access| self.subscript(access))?;
            return Ok(None);
        }
        let mut behind = chain;
        if let Some((AccessExpr::Dot(Expr::Identifier(field)), rest)) = chain.split_first() {
            let folded = names::fold(self.dialect(), field);
            if !reference::has_field(self.dialect(), root, &folded)? {
                return Err(function_denied(&folded, "field access"));
            }
            self.account(field.span);
            behind = rest;
        }
        behind.iter().try_for_each(|access| self.subscript(access))?;
        Ok(Some(root))
    }

    /// The names that stand before and between the first dots of an access, without parentheses around any of them.
    fn leading_names(&self, root: &Expr, chain: &[AccessExpr]) -> Vec<Ident> {
        let Expr::Identifier(first) = root else { return vec![] };
        let mut found = vec![first.clone()];
        for access in chain {
            match (access, found.last()) {
                (AccessExpr::Dot(Expr::Identifier(name)), Some(before)) if self.is_dotted(before, name) => {
                    found.push(name.clone());
                }
                _ => break,
            }
        }
        found
    }

    fn subscript(&mut self, access: &AccessExpr) -> Result<()> {
        match access {
            AccessExpr::Dot(Expr::Identifier(field)) => {
                Err(function_denied(&names::fold(self.dialect(), field), "field access"))
            }
            AccessExpr::Dot(_) => Err(not_understood("a dot must be followed by a name")),
            AccessExpr::Subscript(Subscript::Index { index }) => self.expression(index),
            AccessExpr::Subscript(Subscript::Slice { lower_bound, upper_bound, stride: None }) => {
                self.optional(lower_bound.as_ref())?;
                self.optional(upper_bound.as_ref())
            }
            AccessExpr::Subscript(Subscript::Slice { .. }) => Err(not_understood("slices have two bounds")),
        }
    }

    fn comparison<'e>(&mut self, expression: &'e Expr) -> Result<Option<&'e Expr>> {
        match expression {
            Expr::InList { expr, list, negated: _ } => {
                self.expressions(list)?;
                Ok(Some(expr))
            }
            Expr::InSubquery { expr, subquery, negated: _ } => {
                self.query(subquery)?;
                Ok(Some(expr))
            }
            Expr::Between { expr, negated: _, low, high } => {
                self.expression(low)?;
                self.expression(high)?;
                Ok(Some(expr))
            }
            Expr::Like { negated: _, any: _, expr, pattern, escape_char }
            | Expr::ILike { negated: _, any: _, expr, pattern, escape_char }
            | Expr::SimilarTo { negated: _, expr, pattern, escape_char } => {
                self.expression(pattern)?;
                self.optional(escape_char.as_deref())?;
                Ok(Some(expr))
            }
            Expr::RLike { negated: _, expr, pattern, regexp: _ } => {
                self.expression(pattern)?;
                Ok(Some(expr))
            }
            Expr::AnyOp { left, compare_op, right, is_some: _ } | Expr::AllOp { left, compare_op, right } => {
                self.binary_operator(compare_op)?;
                self.expression(right)?;
                Ok(Some(left))
            }
            _ => Err(not_understood("this comparison is not understood")),
        }
    }

    /// What is neither an operator nor a plain value.
    fn special(&mut self, expression: &Expr) -> Result<()> {
        match expression {
            Expr::Case { case_token: _, end_token: _, operand, conditions, else_result } => {
                self.optional(operand.as_deref())?;
                for CaseWhen { condition, result } in conditions {
                    self.expression(condition)?;
                    self.expression(result)?;
                }
                self.optional(else_result.as_deref())
            }
            Expr::Tuple(values) => self.expressions(values),
            Expr::Array(Array { elem, named }) => self.array(elem, *named),
            Expr::Interval(interval) => self.interval(interval),
            Expr::TypedString(TypedString { data_type, value, uses_odbc_syntax: false }) => {
                self.data_type(data_type)?;
                self.literal(value);
                Ok(())
            }
            Expr::Prefixed { prefix, value } => self.introduced(prefix, value),
            Expr::GroupingSets(sets) | Expr::Cube(sets) | Expr::Rollup(sets) => {
                sets.iter().try_for_each(|set| self.expressions(set))
            }
            // `XMLFOREST(a AS b)`: a name of the document.
            Expr::Named { expr, name } if self.dialect() == Dialect::Postgres => {
                self.label(name)?;
                self.expression(expr)
            }
            Expr::QualifiedWildcard(name, _token) => self.object_name(name),
            Expr::IsJson { expr, kind: _, unique_keys: _, negated: _ } => self.expression(expr),
            Expr::IsNormalized { expr, form: _, negated: _ } => self.expression(expr),
            Expr::MatchAgainst { columns, match_value, opt_search_modifier: _ } => {
                columns.iter().try_for_each(|column| self.object_name(column))?;
                self.literal(match_value);
                Ok(())
            }
            _ => self.function_like(expression),
        }
    }

    fn array(&mut self, elements: &[Expr], named: bool) -> Result<()> {
        if self.dialect() != Dialect::Postgres {
            return Err(not_understood("arrays exist in PostgreSQL only"));
        }
        // `ARRAY[[1, 2], [3, 4]]`: the inner ones have no keyword of their own.
        let _ = named;
        self.expressions(elements)
    }

    /// `_utf8mb4'…'`: a literal in a character set.
    fn introduced(&mut self, prefix: &Ident, value: &Expr) -> Result<()> {
        let is_hexadecimal = matches!(
            value,
            Expr::Value(ValueWithSpan { value: Value::HexStringLiteral(digits), span: _ })
                if digits.bytes().all(|digit| digit.is_ascii_hexdigit())
        );
        let known = prefix.value.strip_prefix('_').is_some_and(|name| {
            keywords::contains(MYSQL_CHARACTER_SETS, name)
                || is_hexadecimal && keywords::contains(MYSQL_WIDE_CHARACTER_SETS, name)
        });
        if self.dialect() != Dialect::MySql || !known {
            return Err(not_understood("this character set before a string is not understood"));
        }
        self.name(prefix)?;
        self.expression(value)
    }

    /// A name alone. The parser also gives words here that are calls without parentheses in the database; those are
    /// reserved, so the check of names refuses them.
    fn lone_column(&mut self, ident: &Ident) -> Result<()> {
        let time_word = self.dialect() == Dialect::MySql
            && ident.quote_style.is_none()
            && keywords::contains(MYSQL_TIME_WORDS, &ident.value);
        if time_word {
            self.account(ident.span);
            return Ok(());
        }
        self.name(ident)
    }

    /// `table.column`, which may be the call `column(table)` in PostgreSQL: judged when all of FROM is known.
    fn column(&mut self, parts: &[Ident]) -> Result<()> {
        if let [.., table, column] = parts {
            self.refer(table, column);
        }
        self.qualified_name(&parts.iter().collect::<Vec<_>>())
    }

    /// A collation; `BINARY` is a reserved word in MySQL and a collation all the same.
    pub(super) fn collation(&mut self, name: &ObjectName) -> Result<()> {
        let parts = names::parts(name)?;
        if let [ident] = parts.as_slice()
            && ident.value.eq_ignore_ascii_case("binary")
        {
            self.account(ident.span);
            return Ok(());
        }
        self.qualified_name(&parts)
    }

    pub(super) fn literal(&mut self, value: &ValueWithSpan) {
        let ValueWithSpan { value, span } = value;
        self.account(*span);
        // MySQL joins adjacent strings; the parser keeps the place of the first one only.
        if let (Value::SingleQuotedString(_) | Value::DoubleQuotedString(_), Dialect::MySql) = (value, self.dialect()) {
            self.account_adjacent_strings(*span);
        }
    }

    /// Refuses types outside the allow-list.
    pub(super) fn data_type(&mut self, data_type: &DataType) -> Result<()> {
        if let Some(name) = types::check(self.dialect(), data_type)? {
            self.object_name(name)?;
        }
        Ok(())
    }
}
