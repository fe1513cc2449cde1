//! Types that values may be cast to: built-in ones that read nothing. A cast to `regclass` looks into the catalogue, a
//! cast to a user's type runs the user's code.

use sqlparser::ast::{
    ArrayElemTypeDef, BinaryLength, CharacterLength, DataType, ExactNumberInfo, Ident, ObjectName, TimezoneInfo,
};

use super::facts::Dialect;
use super::keywords::contains;
use super::{function_denied, names, not_understood};
use crate::error::Result;

/// Types that may stand before a string in PostgreSQL and that sqlparser may not know.
#[rustfmt::skip]
const POSTGRES_LITERALS: &[&str] = &[
    "bit", "bool", "boolean", "box", "bpchar", "bytea", "char", "cidr", "circle", "citext", "date", "datemultirange",
    "daterange", "float4", "float8", "inet", "int2", "int4", "int4multirange", "int4range", "int8", "int8multirange",
    "int8range", "json", "jsonb", "jsonpath", "line", "lseg", "macaddr", "macaddr8", "money", "name", "numeric",
    "nummultirange", "numrange", "path", "pg_lsn", "point", "polygon", "text", "tid", "time", "timestamp",
    "timestamptz", "timetz", "tsmultirange", "tsquery", "tsrange", "tstzmultirange", "tstzrange", "tsvector", "uuid",
    "varbit", "varchar", "xid", "xid8",
];

/// PostgreSQL types that sqlparser has no variant for.
#[rustfmt::skip]
const POSTGRES_NAMED: &[&str] = &[
    "bigint", "bit", "bool", "boolean", "box", "bpchar", "bytea", "char", "cidr", "circle", "citext", "date",
    "datemultirange", "daterange", "float4", "float8", "hstore", "inet", "int", "int2", "int4", "int4multirange",
    "int4range", "int8", "int8multirange", "int8range", "integer", "json", "jsonb", "jsonpath", "line", "lquery",
    "lseg", "ltree", "ltxtquery", "macaddr", "macaddr8", "money", "name", "numeric", "nummultirange", "numrange",
    "oid", "path", "pg_lsn", "point", "polygon", "smallint", "text", "tid", "time", "timestamp", "timestamptz",
    "timetz", "tsmultirange", "tsquery", "tsrange", "tstzmultirange", "tstzrange", "tsvector", "uuid", "varbit",
    "varchar", "xid", "xid8", "xml",
];

/// MySQL types that sqlparser has no variant for.
const MYSQL_NAMED: &[&str] = &["inet4", "inet6", "nchar", "uuid"];

/// True if a string literal of this type reads nothing.
pub(super) fn is_postgres_literal_type(name: &str) -> bool {
    contains(POSTGRES_LITERALS, name)
}

/// Refuses types that are not on the list; gives the names of the type that the parser kept.
pub(super) fn check(dialect: Dialect, data_type: &DataType) -> Result<Option<&ObjectName>> {
    match data_type {
        DataType::Custom(name, modifiers) => check_named(dialect, name, modifiers).map(|()| Some(name)),
        DataType::Array(element) => check_array(dialect, element),
        _ if is_plain(data_type) => Ok(None),
        _ => Err(function_denied(&data_type.to_string().chars().take(60).collect::<String>(), "type")),
    }
}

fn check_named(dialect: Dialect, name: &ObjectName, modifiers: &[String]) -> Result<()> {
    let parts = names::parts(name)?;
    let known = match parts.as_slice() {
        [name] => Some(*name),
        [schema, name] if dialect == Dialect::Postgres && names::fold(dialect, schema) == "pg_catalog" => Some(*name),
        _ => None,
    };
    let list = match dialect {
        Dialect::Postgres => POSTGRES_NAMED,
        Dialect::MySql => MYSQL_NAMED,
        // A type in SQLite is only a hint for the affinity of the result.
        Dialect::Sqlite => return Ok(()),
    };
    let numbers = modifiers.iter().all(|modifier| modifier.bytes().all(|byte| byte.is_ascii_digit()));
    match known {
        Some(ident) if numbers && list.contains(&folded(dialect, ident).as_str()) => Ok(()),
        _ => Err(function_denied(&name.to_string().chars().take(60).collect::<String>(), "type")),
    }
}

/// Name of a type as the database compares it: quoted capitals count in PostgreSQL.
fn folded(dialect: Dialect, ident: &Ident) -> String {
    match dialect {
        Dialect::Postgres => names::fold(dialect, ident),
        Dialect::MySql | Dialect::Sqlite => ident.value.to_ascii_lowercase(),
    }
}

fn check_array(dialect: Dialect, element: &ArrayElemTypeDef) -> Result<Option<&ObjectName>> {
    match element {
        ArrayElemTypeDef::SquareBracket(element, _size) if dialect == Dialect::Postgres => check(dialect, element),
        ArrayElemTypeDef::Qualified(element, _size) if dialect == Dialect::Postgres => check(dialect, element),
        ArrayElemTypeDef::None
        | ArrayElemTypeDef::AngleBracket(_)
        | ArrayElemTypeDef::SquareBracket(..)
        | ArrayElemTypeDef::Parenthesis(_)
        | ArrayElemTypeDef::Qualified(..) => Err(not_understood("this spelling of an array type is not known")),
    }
}

/// Built-in types of all dialects; the ones that a dialect lacks fail in the database.
fn is_plain(data_type: &DataType) -> bool {
    is_text(data_type) || is_number(data_type) || is_time(data_type) || is_other(data_type)
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Character(length)
        | DataType::Char(length)
        | DataType::CharacterVarying(length)
        | DataType::CharVarying(length)
        | DataType::Varchar(length)
        | DataType::Nvarchar(length) => {
            matches!(length, None | Some(CharacterLength::IntegerLength { length: _, unit: _ } | CharacterLength::Max))
        }
        DataType::Varbinary(length) => {
            matches!(length, None | Some(BinaryLength::IntegerLength { length: _ } | BinaryLength::Max))
        }
        DataType::Clob(_)
        | DataType::Binary(_)
        | DataType::Blob(_)
        | DataType::TinyBlob
        | DataType::MediumBlob
        | DataType::LongBlob
        | DataType::Text
        | DataType::TinyText
        | DataType::MediumText
        | DataType::LongText
        | DataType::Bytea
        | DataType::String(_) => true,
        _ => false,
    }
}

fn is_number(data_type: &DataType) -> bool {
    match data_type {
        DataType::Numeric(info)
        | DataType::Decimal(info)
        | DataType::DecimalUnsigned(info)
        | DataType::Dec(info)
        | DataType::DecUnsigned(info)
        | DataType::Float(info)
        | DataType::FloatUnsigned(info)
        | DataType::Double(info)
        | DataType::DoubleUnsigned(info) => matches!(
            info,
            ExactNumberInfo::None | ExactNumberInfo::Precision(_) | ExactNumberInfo::PrecisionAndScale(_, _)
        ),
        DataType::TinyInt(_)
        | DataType::TinyIntUnsigned(_)
        | DataType::Int2(_)
        | DataType::SmallInt(_)
        | DataType::SmallIntUnsigned(_)
        | DataType::MediumInt(_)
        | DataType::MediumIntUnsigned(_)
        | DataType::Int(_)
        | DataType::Int4(_)
        | DataType::Int8(_)
        | DataType::Integer(_)
        | DataType::IntUnsigned(_)
        | DataType::IntegerUnsigned(_)
        | DataType::BigInt(_)
        | DataType::BigIntUnsigned(_)
        | DataType::Signed
        | DataType::SignedInteger
        | DataType::Unsigned
        | DataType::UnsignedInteger
        | DataType::Float4
        | DataType::Real
        | DataType::Float8
        | DataType::DoublePrecision => true,
        _ => false,
    }
}

fn is_time(data_type: &DataType) -> bool {
    match data_type {
        DataType::Time(_, zone) | DataType::Timestamp(_, zone) => matches!(
            zone,
            TimezoneInfo::None | TimezoneInfo::WithTimeZone | TimezoneInfo::WithoutTimeZone | TimezoneInfo::Tz
        ),
        DataType::Date | DataType::Datetime(_) | DataType::Interval { fields: _, precision: _ } => true,
        _ => false,
    }
}

fn is_other(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Uuid
            | DataType::Bool
            | DataType::Boolean
            | DataType::JSON
            | DataType::JSONB
            | DataType::Bit(_)
            | DataType::BitVarying(_)
            | DataType::VarBit(_)
            | DataType::GeometricType(_)
            | DataType::TsVector
            | DataType::TsQuery
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::sql::keywords::is_sorted;

    #[test]
    fn lists_are_sorted() {
        for list in [POSTGRES_LITERALS, POSTGRES_NAMED, MYSQL_NAMED] {
            assert!(is_sorted(list), "{list:?}");
        }
    }

    #[test]
    fn catalogue_types_are_refused() {
        check(Dialect::Postgres, &DataType::Regclass).unwrap_err();
        assert_eq!(check(Dialect::Postgres, &DataType::Text).unwrap(), None);
    }
}
