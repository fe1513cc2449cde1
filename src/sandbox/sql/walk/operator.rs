//! Operators.

use sqlparser::ast::{BinaryOperator, UnaryOperator};

use super::Walker;
use crate::error::Result;
use crate::sandbox::sql::facts::Dialect;
use crate::sandbox::sql::{function_denied, not_understood};

impl Walker<'_> {
    pub(super) fn unary_operator(&self, operator: UnaryOperator) -> Result<()> {
        match operator {
            UnaryOperator::Plus | UnaryOperator::Minus | UnaryOperator::Not | UnaryOperator::BitwiseNot => Ok(()),
            UnaryOperator::PGAbs
            | UnaryOperator::PGCubeRoot
            | UnaryOperator::PGSquareRoot
            | UnaryOperator::AtDashAt
            | UnaryOperator::DoubleAt
            | UnaryOperator::Hash
                if self.dialect() == Dialect::Postgres =>
            {
                Ok(())
            }
            _ => Err(function_denied(&operator.to_string(), "operator")),
        }
    }

    /// Symbols were checked by the lexer; what is left are operators written with letters.
    pub(super) fn binary_operator(&self, operator: &BinaryOperator) -> Result<()> {
        match operator {
            BinaryOperator::PGCustomBinaryOperator(_) => Err(function_denied("operator(…)", "operator")),
            BinaryOperator::Assignment | BinaryOperator::DuckIntegerDivide => {
                Err(not_understood("this operator belongs to another database"))
            }
            BinaryOperator::QuestionHash
            | BinaryOperator::QuestionDash
            | BinaryOperator::QuestionDashPipe
            | BinaryOperator::QuestionDoublePipe => Err(not_understood("operators with `?` look like placeholders")),
            BinaryOperator::Match | BinaryOperator::Regexp | BinaryOperator::Glob => match self.dialect() {
                Dialect::Sqlite => Ok(()),
                Dialect::Postgres | Dialect::MySql => Err(not_understood("this operator belongs to SQLite")),
            },
            BinaryOperator::Custom(_) => match self.dialect() {
                Dialect::Postgres => Ok(()),
                Dialect::MySql | Dialect::Sqlite => Err(not_understood("this operator belongs to PostgreSQL")),
            },
            _ if is_common(operator) => Ok(()),
            _ if is_postgres(operator) && self.dialect() == Dialect::Postgres => Ok(()),
            _ => Err(function_denied(&operator.to_string(), "operator")),
        }
    }
}

/// Operators that more than one database ships.
fn is_common(operator: &BinaryOperator) -> bool {
    matches!(
        operator,
        BinaryOperator::Plus
            | BinaryOperator::Minus
            | BinaryOperator::Multiply
            | BinaryOperator::Divide
            | BinaryOperator::Modulo
            | BinaryOperator::StringConcat
            | BinaryOperator::Gt
            | BinaryOperator::Lt
            | BinaryOperator::GtEq
            | BinaryOperator::LtEq
            | BinaryOperator::Spaceship
            | BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::And
            | BinaryOperator::Or
            | BinaryOperator::Xor
            | BinaryOperator::BitwiseOr
            | BinaryOperator::BitwiseAnd
            | BinaryOperator::BitwiseXor
            | BinaryOperator::MyIntegerDivide
            | BinaryOperator::PGBitwiseShiftLeft
            | BinaryOperator::PGBitwiseShiftRight
            | BinaryOperator::Arrow
            | BinaryOperator::LongArrow
    )
}

/// Operators that PostgreSQL ships; the lexer has compared the symbols with its own list.
fn is_postgres(operator: &BinaryOperator) -> bool {
    matches!(
        operator,
        BinaryOperator::PGBitwiseXor
            | BinaryOperator::PGExp
            | BinaryOperator::PGOverlap
            | BinaryOperator::PGRegexMatch
            | BinaryOperator::PGRegexIMatch
            | BinaryOperator::PGRegexNotMatch
            | BinaryOperator::PGRegexNotIMatch
            | BinaryOperator::PGLikeMatch
            | BinaryOperator::PGILikeMatch
            | BinaryOperator::PGNotLikeMatch
            | BinaryOperator::PGNotILikeMatch
            | BinaryOperator::PGStartsWith
            | BinaryOperator::HashArrow
            | BinaryOperator::HashLongArrow
            | BinaryOperator::AtAt
            | BinaryOperator::AtArrow
            | BinaryOperator::ArrowAt
            | BinaryOperator::HashMinus
            | BinaryOperator::AtQuestion
            | BinaryOperator::Question
            | BinaryOperator::QuestionAnd
            | BinaryOperator::QuestionPipe
            | BinaryOperator::Overlaps
            | BinaryOperator::DoubleHash
            | BinaryOperator::LtDashGt
            | BinaryOperator::AndLt
            | BinaryOperator::AndGt
            | BinaryOperator::LtLtPipe
            | BinaryOperator::PipeGtGt
            | BinaryOperator::AndLtPipe
            | BinaryOperator::PipeAndGt
            | BinaryOperator::LtCaret
            | BinaryOperator::GtCaret
            | BinaryOperator::At
            | BinaryOperator::TildeEq
    )
}
