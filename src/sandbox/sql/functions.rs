//! Functions that plugins may call: those that read nothing but their arguments and change nothing. Clocks and random
//! numbers are harmless; tables, catalogues, files, network, sequences, locks, sleeping, session state and everything
//! that runs SQL are not, nor is any function an application defines. Administrators grant more by name.

use super::facts::{Dialect, SqlProfile};
use super::keywords::contains;

/// PostgreSQL 15 to 18, aggregates, window and set-returning functions included.
#[rustfmt::skip]
const POSTGRES: &[&str] = &[
    "abbrev", "abs", "acos", "acosd", "acosh", "age", "any_value", "area", "array", "array_agg", "array_append",
    "array_cat", "array_dims", "array_fill", "array_length", "array_lower", "array_ndims", "array_position",
    "array_positions", "array_prepend", "array_remove", "array_replace", "array_sample", "array_shuffle",
    "array_to_json", "array_to_string", "array_to_tsvector", "array_upper", "ascii", "asin", "asind", "asinh", "atan",
    "atan2", "atan2d", "atand", "atanh", "avg", "bit_and", "bit_count", "bit_length", "bit_or", "bit_xor", "bool",
    "bool_and", "bool_or", "bound_box", "box", "bpchar", "btrim", "cardinality", "cbrt", "ceil", "ceiling", "center",
    "char", "char_length", "character_length", "chr", "circle", "clock_timestamp", "coalesce", "concat", "concat_ws",
    "convert", "convert_from", "convert_to", "corr", "cos", "cosd", "cosh", "cot", "cotd", "count", "covar_pop",
    "covar_samp", "crc32", "crc32c", "cume_dist", "current_date", "current_time", "current_timestamp", "date",
    "date_add", "date_bin", "date_part", "date_subtract", "date_trunc", "datemultirange", "daterange", "decode",
    "degrees", "dense_rank", "diagonal", "diameter", "div", "encode", "erf", "erfc", "every", "exp", "extract",
    "factorial", "family", "first_value", "float4", "float8", "floor", "format", "gamma", "gcd", "gen_random_uuid",
    "generate_series", "generate_subscripts", "get_bit", "get_byte", "greatest", "grouping", "height", "host",
    "hostmask", "inet_merge", "inet_same_family", "initcap", "int2", "int4", "int4multirange", "int4range", "int8",
    "int8inc", "int8multirange", "int8range", "interval", "isclosed", "isempty", "isfinite", "ishorizontal", "isopen",
    "isparallel", "isperp", "isvertical", "json_agg", "json_agg_strict", "json_array", "json_array_elements",
    "json_array_elements_text", "json_array_length", "json_arrayagg", "json_build_array", "json_build_object",
    "json_each", "json_each_text", "json_exists", "json_extract_path", "json_extract_path_text", "json_object",
    "json_object_agg", "json_object_agg_strict", "json_object_agg_unique", "json_object_keys", "json_objectagg",
    "json_populate_record", "json_populate_recordset", "json_query", "json_scalar", "json_serialize",
    "json_strip_nulls", "json_to_record", "json_to_recordset", "json_to_tsvector", "json_typeof", "json_value",
    "jsonb_agg", "jsonb_agg_strict", "jsonb_array_elements", "jsonb_array_elements_text", "jsonb_array_length",
    "jsonb_build_array", "jsonb_build_object", "jsonb_concat", "jsonb_contained", "jsonb_contains", "jsonb_delete",
    "jsonb_delete_path", "jsonb_each", "jsonb_each_text", "jsonb_exists", "jsonb_exists_all", "jsonb_exists_any",
    "jsonb_extract_path", "jsonb_extract_path_text", "jsonb_insert", "jsonb_object", "jsonb_object_agg",
    "jsonb_object_agg_strict", "jsonb_object_agg_unique", "jsonb_object_field", "jsonb_object_keys",
    "jsonb_path_exists", "jsonb_path_exists_tz", "jsonb_path_match", "jsonb_path_match_tz", "jsonb_path_query",
    "jsonb_path_query_array", "jsonb_path_query_array_tz", "jsonb_path_query_first", "jsonb_path_query_first_tz",
    "jsonb_path_query_tz", "jsonb_populate_record", "jsonb_populate_recordset", "jsonb_pretty", "jsonb_set",
    "jsonb_set_lax", "jsonb_strip_nulls", "jsonb_to_record", "jsonb_to_recordset", "jsonb_to_tsvector", "jsonb_typeof",
    "justify_days", "justify_hours", "justify_interval", "lag", "last_value", "lcm", "lead", "least", "left", "length",
    "lgamma", "like", "line", "ln", "localtime", "localtimestamp", "log", "log10", "lower", "lower_inc", "lower_inf",
    "lpad", "lseg", "ltrim", "macaddr8_set7bit", "make_date", "make_interval", "make_time", "make_timestamp",
    "make_timestamptz", "masklen", "max", "md5", "merge_action", "min", "min_scale", "mod", "mode", "multirange",
    "netmask", "network", "normalize", "notlike", "now", "npoints", "nth_value", "ntile", "nullif", "num_nonnulls",
    "num_nulls", "numeric", "nummultirange", "numnode", "numrange", "octet_length", "overlay", "path", "pclose",
    "percent_rank", "percentile_cont", "percentile_disc", "pg_column_size", "pg_size_bytes", "pg_size_pretty",
    "pg_typeof", "phraseto_tsquery", "pi", "plainto_tsquery", "point", "polygon", "popen", "position", "pow", "power",
    "querytree", "quote_ident", "quote_literal", "quote_nullable", "radians", "radius", "random", "random_normal",
    "range_agg", "range_intersect_agg", "range_merge", "rank", "regexp_count", "regexp_instr", "regexp_like",
    "regexp_match", "regexp_matches", "regexp_replace", "regexp_split_to_array", "regexp_split_to_table",
    "regexp_substr", "regr_avgx", "regr_avgy", "regr_count", "regr_intercept", "regr_r2", "regr_slope", "regr_sxx",
    "regr_sxy", "regr_syy", "repeat", "replace", "reverse", "right", "round", "row", "row_number", "row_to_json",
    "rpad", "rtrim", "scale", "set_bit", "set_byte", "set_masklen", "setweight", "sha224", "sha256", "sha384", "sha512",
    "sign", "similar_escape", "sin", "sind", "sinh", "slope", "split_part", "sqrt", "starts_with",
    "statement_timestamp", "stddev", "stddev_pop", "stddev_samp", "string_agg", "string_to_array", "string_to_table",
    "strip", "strpos", "substr", "substring", "sum", "tan", "tand", "tanh", "text", "textcat", "textlike",
    "textnotlike", "time", "timeofday", "timestamp", "timestamptz", "timezone", "to_ascii", "to_bin", "to_char",
    "to_date", "to_hex", "to_json", "to_jsonb", "to_number", "to_oct", "to_timestamp", "to_tsquery", "to_tsvector",
    "transaction_timestamp", "translate", "trim", "trim_array", "trim_scale", "trunc", "ts_delete", "ts_filter",
    "ts_headline", "ts_rank", "ts_rank_cd", "tsmultirange", "tsquery_phrase", "tsrange", "tstzmultirange", "tstzrange",
    "tsvector_to_array", "unistr", "unnest", "upper", "upper_inc", "upper_inf", "uuid_extract_timestamp",
    "uuid_extract_version", "uuidv4", "uuidv7", "var_pop", "var_samp", "varchar", "variance", "websearch_to_tsquery",
    "width", "width_bucket", "xml_is_well_formed", "xml_is_well_formed_content", "xml_is_well_formed_document",
    "xmlagg", "xmlattributes", "xmlcomment", "xmlconcat", "xmlelement", "xmlexists", "xmlforest", "xmlparse", "xmlpi",
    "xmlserialize", "xpath", "xpath_exists",
];

/// MySQL 8 and MariaDB 10 and 11.
#[rustfmt::skip]
const MYSQL: &[&str] = &[
    "abs", "acos", "add_months", "adddate", "addtime", "any_value", "asbinary", "ascii", "asin", "astext", "aswkb",
    "aswkt", "atan", "atan2", "avg", "bin", "bin_to_uuid", "bit_and", "bit_count", "bit_length", "bit_or", "bit_xor",
    "boundary", "buffer", "cast", "ceil", "ceiling", "centroid", "char", "char_length", "character_length", "charset",
    "chr", "coalesce", "coercibility", "collation", "compress", "concat", "concat_ws", "contains", "conv", "convert",
    "convert_tz", "cos", "cot", "count", "crc32", "crc32c", "crosses", "cume_dist", "curdate", "current_date",
    "current_time", "current_timestamp", "curtime", "date", "date_add", "date_format", "date_sub", "datediff", "day",
    "dayname", "dayofmonth", "dayofweek", "dayofyear", "decode_oracle", "default", "degrees", "dense_rank", "disjoint",
    "elt", "endpoint", "envelope", "equals", "exp", "export_set", "exteriorring", "extract", "extractvalue", "field",
    "find_in_set", "first_value", "floor", "format", "format_bytes", "format_pico_time", "from_base64", "from_days",
    "from_unixtime", "geomcollfromtext", "geometrycollection", "geometryfromtext", "geometryn", "geometrytype",
    "geomfromtext", "geomfromwkb", "get_format", "glength", "greatest", "group_concat", "grouping", "hex", "hour", "if",
    "ifnull", "inet6_aton", "inet6_ntoa", "inet_aton", "inet_ntoa", "insert", "instr", "interiorringn", "intersects",
    "interval(,)", "is_ipv4", "is_ipv4_compat", "is_ipv4_mapped", "is_ipv6", "is_uuid", "isclosed", "isempty", "isnull",
    "isring", "issimple", "json_array", "json_array_append", "json_array_insert", "json_array_intersect",
    "json_arrayagg", "json_compact", "json_contains", "json_contains_path", "json_depth", "json_detailed",
    "json_equals", "json_exists", "json_extract", "json_insert", "json_key_value", "json_keys", "json_length",
    "json_loose", "json_merge", "json_merge_patch", "json_merge_preserve", "json_normalize", "json_object",
    "json_object_filter_keys", "json_object_to_array", "json_objectagg", "json_overlaps", "json_pretty", "json_query",
    "json_quote", "json_remove", "json_replace", "json_schema_valid", "json_search", "json_set", "json_storage_size",
    "json_type", "json_unquote", "json_valid", "json_value", "lag", "last_day", "last_value", "lcase", "lead", "least",
    "left", "length", "lengthb", "linefromtext", "linestring", "linestringfromtext", "ln", "localtime",
    "localtimestamp", "locate", "log", "log10", "log2", "lower", "lpad", "ltrim", "make_set", "makedate", "maketime",
    "max", "mbrcontains", "mbrdisjoint", "mbrequal", "mbrintersects", "mbroverlaps", "mbrtouches", "mbrwithin", "md5",
    "median", "microsecond", "mid", "min", "minute", "mod", "month", "monthname", "months_between", "multilinestring",
    "multipoint", "multipolygon", "natural_sort_key", "now", "nth_value", "ntile", "nullif", "numgeometries",
    "numinteriorrings", "numpoints", "nvl", "nvl2", "oct", "octet_length", "ord", "overlaps", "percent_rank",
    "percentile_cont", "percentile_disc", "period_add", "period_diff", "pi", "point", "pointfromtext", "pointn",
    "pointonsurface", "polyfromtext", "polygon", "polygonfromtext", "position", "pow", "power", "quarter", "quote",
    "radians", "rand", "random_bytes", "rank", "regexp_instr", "regexp_like", "regexp_replace", "regexp_substr",
    "repeat", "replace", "reverse", "right", "round", "row", "row_number", "rpad", "rtrim", "sec_to_time", "second",
    "sformat", "sha", "sha1", "sha2", "sign", "sin", "soundex", "space", "sqrt", "srid", "st_area", "st_asbinary",
    "st_asgeojson", "st_astext", "st_aswkb", "st_aswkt", "st_boundary", "st_buffer", "st_centroid", "st_contains",
    "st_convexhull", "st_crosses", "st_difference", "st_dimension", "st_disjoint", "st_distance", "st_distance_sphere",
    "st_endpoint", "st_envelope", "st_equals", "st_exteriorring", "st_geometryn", "st_geometrytype",
    "st_geomfromgeojson", "st_geomfromtext", "st_geomfromwkb", "st_interiorringn", "st_intersection", "st_intersects",
    "st_isclosed", "st_isempty", "st_isring", "st_issimple", "st_length", "st_numgeometries", "st_numinteriorrings",
    "st_numpoints", "st_overlaps", "st_point", "st_pointfromtext", "st_pointn", "st_pointonsurface",
    "st_polygonfromtext", "st_relate", "st_srid", "st_startpoint", "st_symdifference", "st_touches", "st_union",
    "st_within", "st_x", "st_y", "startpoint", "std", "stddev", "stddev_pop", "stddev_samp", "str_to_date", "strcmp",
    "subdate", "substr", "substring", "substring_index", "subtime", "sum", "sysdate", "tan", "time", "time_format",
    "time_to_sec", "timediff", "timestamp", "timestampadd", "timestampdiff", "to_base64", "to_char", "to_days",
    "to_seconds", "touches", "trim", "trim_oracle", "truncate", "ucase", "uncompress", "uncompressed_length", "unhex",
    "unix_timestamp", "updatexml", "upper", "utc_date", "utc_time", "utc_timestamp", "uuid", "uuid_short",
    "uuid_to_bin", "value", "values", "var_pop", "var_samp", "variance", "week", "weekday", "weekofyear",
    "weight_string", "within", "year", "yearweek",
];

/// SQLite, with JSON, mathematics and FTS5 auxiliary functions.
#[rustfmt::skip]
const SQLITE: &[&str] = &[
    "abs", "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "avg", "bm25", "ceil", "ceiling", "char",
    "coalesce", "concat", "concat_ws", "cos", "cosh", "count", "cume_dist", "current_date", "current_time",
    "current_timestamp", "date", "datetime", "degrees", "dense_rank", "exp", "first_value", "floor", "format",
    "generate_series", "glob", "group_concat", "hex", "highlight", "if", "ifnull", "iif", "instr", "json",
    "json_array", "json_array_length", "json_each", "json_error_position", "json_extract", "json_group_array",
    "json_group_object", "json_insert", "json_object", "json_patch", "json_pretty", "json_quote", "json_remove",
    "json_replace", "json_set", "json_tree", "json_type", "json_valid", "jsonb", "jsonb_array", "jsonb_each",
    "jsonb_extract", "jsonb_group_array", "jsonb_group_object", "jsonb_insert", "jsonb_object", "jsonb_patch",
    "jsonb_remove", "jsonb_replace", "jsonb_set", "jsonb_tree", "julianday", "lag", "last_value", "lead", "length",
    "like", "likelihood", "likely", "ln", "log", "log10", "log2", "lower", "ltrim", "max", "median", "min", "mod",
    "nth_value", "ntile", "nullif", "octet_length", "percent_rank", "percentile", "percentile_cont", "percentile_disc",
    "pi", "pow", "power", "printf", "quote", "radians", "random", "randomblob", "rank", "replace", "round",
    "row_number", "rtrim", "sign", "sin", "sinh", "snippet", "soundex", "sqrt", "strftime", "string_agg", "substr",
    "substring", "subtype", "sum", "tan", "tanh", "time", "timediff", "total", "trim", "trunc", "typeof", "unhex",
    "unicode", "unistr", "unistr_quote", "unixepoch", "unlikely", "upper", "zeroblob",
];

/// True if the unqualified function `name` is harmless in the dialect.
pub(super) fn is_allowed(dialect: Dialect, name: &str) -> bool {
    contains(
        match dialect {
            Dialect::Postgres => POSTGRES,
            Dialect::MySql => MYSQL,
            Dialect::Sqlite => SQLITE,
        },
        name,
    )
}

/// True if an administrator granted the function; `name` is `function` or `schema.function`, folded as the dialect does.
/// In PostgreSQL a name in capitals can only have been quoted, and grants in small letters don't mean it.
pub(super) fn is_granted(profile: &SqlProfile, name: &str) -> bool {
    profile.extra_functions.iter().any(|granted| match profile.dialect {
        Dialect::Postgres => granted == name || granted.to_ascii_lowercase() == name,
        Dialect::MySql | Dialect::Sqlite => granted.eq_ignore_ascii_case(name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::sql::keywords::is_sorted;

    #[test]
    fn lists_are_sorted() {
        for list in [POSTGRES, MYSQL, SQLITE] {
            assert!(is_sorted(list));
        }
    }

    #[test]
    fn functions_that_reach_beyond_their_arguments_are_absent() {
        for name in ["query_to_xml", "pg_read_file", "nextval", "set_config", "dblink", "pg_sleep", "current_setting"] {
            assert!(!is_allowed(Dialect::Postgres, name), "{name}");
        }
        for name in ["load_file", "sleep", "benchmark", "get_lock", "nextval", "last_insert_id", "user", "version"] {
            assert!(!is_allowed(Dialect::MySql, name), "{name}");
        }
        for name in ["load_extension", "readfile", "writefile", "sqlite_version", "fts3_tokenizer", "eval", "edit"] {
            assert!(!is_allowed(Dialect::Sqlite, name), "{name}");
        }
    }
}
