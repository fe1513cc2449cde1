//! Words with a meaning of their own. A reserved word is never accepted as an unquoted name: sqlparser takes many of
//! them for names (`FROM ONLY users`), the databases don't.

use super::facts::Dialect;

/// Reserved in PostgreSQL, also those that may name functions and types.
#[rustfmt::skip]
const RESERVED_POSTGRES: &[&str] = &[
    "all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric", "authorization", "binary", "both",
    "case", "cast", "check", "collate", "collation", "column", "concurrently", "constraint", "create", "cross",
    "current_catalog", "current_date", "current_role", "current_schema", "current_time", "current_timestamp",
    "current_user", "default", "deferrable", "desc", "distinct", "do", "else", "end", "except", "false", "fetch",
    "for", "foreign", "freeze", "from", "full", "grant", "group", "having", "ilike", "in", "initially", "inner",
    "intersect", "into", "is", "isnull", "join", "lateral", "leading", "left", "like", "limit", "localtime",
    "localtimestamp", "natural", "not", "notnull", "null", "offset", "on", "only", "or", "order", "outer", "overlaps",
    "placing", "primary", "references", "returning", "right", "select", "session_user", "similar", "some", "symmetric",
    "system_user", "table", "tablesample", "then", "to", "trailing", "true", "union", "unique", "user", "using",
    "variadic", "verbose", "when", "where", "window", "with",
];

/// Reserved in both MySQL and MariaDB, and the structural ones of either.
#[rustfmt::skip]
const RESERVED_MYSQL: &[&str] = &[
    "accessible", "add", "all", "alter", "analyze", "and", "as", "asc", "asensitive", "before", "between", "bigint",
    "binary", "blob", "both", "by", "call", "cascade", "case", "change", "char", "character", "check", "collate",
    "column", "condition", "constraint", "continue", "convert", "create", "cross", "current_date", "current_time",
    "current_timestamp", "current_user", "cursor", "database", "databases", "declare", "default", "delayed", "delete",
    "desc", "describe", "deterministic", "distinct", "distinctrow", "div", "double", "drop", "dual", "each", "else",
    "elseif", "enclosed", "escaped", "except", "exists", "exit", "explain", "false", "fetch", "float", "for", "force",
    "foreign", "from", "fulltext", "grant", "group", "having", "high_priority", "if", "ignore", "in", "index",
    "infile", "inner", "inout", "insensitive", "insert", "int", "integer", "intersect", "interval", "into", "is",
    "iterate", "join", "key", "keys", "kill", "lateral", "leading", "leave", "left", "like", "limit", "linear",
    "lines", "load", "localtime", "localtimestamp", "lock", "longblob", "longtext", "loop", "low_priority", "match",
    "mediumblob", "mediumint", "mediumtext", "middleint", "mod", "modifies", "natural", "not", "null", "numeric", "on",
    "optimize", "option", "optionally", "or", "order", "out", "outer", "outfile", "over", "partition", "precision",
    "primary", "procedure", "purge", "read", "reads", "recursive", "references", "regexp", "release", "rename",
    "repeat", "replace", "require", "resignal", "restrict", "return", "returning", "revoke", "right", "rlike",
    "schema", "schemas", "select", "sensitive", "separator", "set", "show", "signal", "smallint", "spatial",
    "specific", "sql", "sqlexception", "sqlstate", "sqlwarning", "ssl", "starting", "straight_join", "table",
    "terminated", "then", "tinyblob", "tinyint", "tinytext", "to", "trailing", "trigger", "true", "undo", "union",
    "unique", "unlock", "unsigned", "update", "usage", "use", "using", "utc_date", "utc_time", "utc_timestamp",
    "values", "varbinary", "varchar", "varcharacter", "varying", "when", "where", "while", "window", "with", "write",
    "xor", "zerofill",
];

/// Reserved in SQLite, and the join words that it would accept as names.
#[rustfmt::skip]
const RESERVED_SQLITE: &[&str] = &[
    "add", "all", "alter", "and", "as", "autoincrement", "between", "case", "check", "collate", "commit", "constraint",
    "create", "cross", "default", "deferrable", "delete", "distinct", "drop", "else", "escape", "except", "exists",
    "foreign", "from", "full", "group", "having", "in", "index", "indexed", "inner", "insert", "intersect", "into",
    "is", "isnull", "join", "left", "limit", "natural", "not", "nothing", "notnull", "null", "on", "or", "order",
    "outer", "primary", "references", "returning", "right", "select", "set", "table", "then", "to", "transaction",
    "union", "unique", "update", "using", "values", "when", "where",
];

/// Words that stand between or before operands, or between queries.
#[rustfmt::skip]
const OPERATORS: &[&str] = &[
    "and", "at", "between", "collate", "div", "except", "glob", "ilike", "in", "intersect", "is", "isnull", "join",
    "like", "match", "minus", "mod", "not", "notnull", "or", "overlaps", "prior", "regexp", "rlike", "similar",
    "sounds", "straight_join", "union", "xor",
];

/// Words that an operand follows.
#[rustfmt::skip]
const BEFORE_OPERAND: &[&str] = &[
    "all", "and", "any", "asymmetric", "between", "by", "case", "distinct", "div", "else", "escape", "first", "from",
    "groups", "having", "ilike", "in", "interval", "is", "like", "limit", "next", "not", "offset", "on", "or",
    "overlaps", "range", "regexp", "return", "returning", "rlike", "rows", "select", "set", "similar", "some",
    "symmetric", "then", "to", "values", "when", "where", "xor",
];

/// Words that the parser may consume without leaving a trace in the tree that the walk sees.
#[rustfmt::skip]
const STRUCTURAL: &[&str] = &[
    "abort", "absent", "against", "all", "and", "any", "array", "as", "asc", "at", "bernoulli", "between", "bigint",
    "binary", "bit", "blob", "bool", "boolean", "both", "box", "bpchar", "by", "bytea", "case", "cast", "ceil",
    "century", "char", "character", "characters", "charset", "circle", "clob", "collate", "columns", "conflict",
    "constraint", "convert", "cross", "cube", "current", "current_date", "current_time", "current_timestamp", "date",
    "datetime", "day", "day_hour", "day_minute", "day_second", "dayofweek", "dayofyear", "days", "dec", "decade",
    "decimal", "default", "delayed", "delete", "desc", "distinct", "distinctrow", "div", "do", "double", "dow", "doy",
    "dual", "duplicate", "else", "empty", "end", "enum", "epoch", "error", "escape", "except", "exists", "expansion",
    "extract", "fail", "false", "fetch", "filter", "first", "float", "float4", "float8", "floor", "following", "for",
    "force", "from", "full", "glob", "group", "grouping", "groups", "having", "high_priority", "hour", "hour_minute",
    "hour_second", "hours", "ignore", "ilike", "in", "index", "inner", "insert", "int", "int2", "int4", "int8",
    "integer", "intersect", "interval", "into", "is", "isnull", "isodow", "isoweek", "isoyear", "join", "json",
    "json_array", "json_object", "json_table", "jsonb", "julian", "key", "keys", "language", "last", "lateral",
    "leading", "left", "like", "limit", "line", "local", "localtime", "localtimestamp", "locked", "longblob",
    "longtext", "low_priority", "lseg", "match", "matched", "materialized", "mediumblob", "mediumint", "mediumtext",
    "merge", "microsecond", "microseconds", "millennium", "millisecond", "milliseconds", "minus", "minute",
    "minute_second", "minutes", "mod", "mode", "month", "months", "national", "natural", "nchar", "nclob", "nested",
    "next", "nfc", "nfd", "nfkc", "nfkd", "normalized", "not", "nothing", "notnull", "nowait", "null", "nulls",
    "numeric", "nvarchar", "object", "octets", "of", "offset", "on", "only", "operator", "option", "or", "order",
    "ordinality", "outer", "over", "overlaps", "overlay", "partition", "passing", "path", "percent", "placing",
    "point", "polygon", "position", "preceding", "precision", "quarter", "query", "range", "real", "recursive", "ref",
    "regexp", "repeatable", "replace", "respect", "returning", "right", "rlike", "rollback", "rollup", "row", "rows",
    "scalar", "second", "second_microsecond", "seconds", "select", "separator", "set", "sets", "share", "signed",
    "similar", "skip", "smallint", "some", "source", "sql_big_result", "sql_buffer_result", "sql_cache",
    "sql_calc_found_rows", "sql_no_cache", "sql_small_result", "straight_join", "string", "substr", "substring",
    "symmetric", "system", "tablesample", "target", "text", "then", "ties", "time", "timestamp", "timestamptz",
    "timetz", "timezone", "timezone_hour", "timezone_minute", "tinyblob", "tinyint", "tinytext", "to", "trailing",
    "trim", "true", "tsquery", "tsvector", "unbounded", "union", "unique", "unknown", "unnest", "unsigned", "update",
    "use", "using", "uuid", "value", "values", "varbinary", "varbit", "varchar", "varying", "week", "weeks", "when",
    "where", "window", "with", "within", "without", "xml", "xmlnamespaces", "xmltable", "xor", "year", "year_month",
    "years", "zone", "zoneinfo",
];

/// True if `word` is part of the grammar, so that the walk need not have met it.
pub(super) fn is_structural(word: &str) -> bool {
    contains(STRUCTURAL, word)
}

/// True if `word` can't be a name without quotes.
pub(super) fn is_reserved(dialect: Dialect, word: &str) -> bool {
    contains(
        match dialect {
            Dialect::Postgres => RESERVED_POSTGRES,
            Dialect::MySql => RESERVED_MYSQL,
            Dialect::Sqlite => RESERVED_SQLITE,
        },
        word,
    )
}

/// True for words that make the parser's tree higher.
pub(super) fn acts_as_operator(word: &str) -> bool {
    contains(OPERATORS, word)
}

/// True for words that an operand follows.
pub(super) fn precedes_operand(word: &str) -> bool {
    contains(BEFORE_OPERAND, word)
}

/// Looks `word` up in a sorted list of lower-case ASCII words, without regard to ASCII case.
pub(super) fn contains(sorted: &[&str], word: &str) -> bool {
    let folded = || word.bytes().map(|byte| byte.to_ascii_lowercase());
    sorted.binary_search_by(|entry| entry.bytes().cmp(folded())).is_ok()
}

/// True if every list is sorted; a list that is not would lose words silently.
#[cfg(test)]
pub(super) fn is_sorted(list: &[&str]) -> bool {
    list.windows(2).all(|pair| matches!(pair, [left, right] if left < right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted() {
        for list in [RESERVED_POSTGRES, RESERVED_MYSQL, RESERVED_SQLITE, OPERATORS, BEFORE_OPERAND, STRUCTURAL] {
            assert!(is_sorted(list), "{list:?}");
        }
    }

    #[test]
    fn case_is_ignored_in_ascii_only() {
        assert!(is_reserved(Dialect::Postgres, "OnLy"));
        assert!(!is_reserved(Dialect::Postgres, "on\u{212a}y"));
        assert!(!is_reserved(Dialect::Postgres, "ticket"));
    }
}
