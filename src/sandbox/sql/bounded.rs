//! A dialect of sqlparser with a limit on the work the parser does. The parser tries alternatives and goes back when one
//! fails; nested constructs like `position(position(…` make it try twice on each level, 2^59 times at our depth limit.

use std::any::TypeId;
use std::cell::Cell;

use sqlparser::ast::{Expr, Statement};
use sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};

/// Expressions that the parser may begin for each token, and those it may begin in any case. The statements of the
/// tests begin at most two for each token.
const STEPS_PER_TOKEN: usize = 16;
const STEPS_AT_LEAST: usize = 2_000;

/// Behaves like `inner`, until the steps are used up: then every further expression fails.
#[derive(Debug)]
pub(super) struct Bounded<D> {
    inner: D,
    steps_left: Cell<usize>,
}

impl<D> Bounded<D> {
    /// Limit for a statement of `tokens` tokens.
    pub(super) fn new(inner: D, tokens: usize) -> Self {
        Self { inner, steps_left: Cell::new(STEPS_AT_LEAST + tokens * STEPS_PER_TOKEN) }
    }

    /// True if the parser was stopped.
    pub(super) fn is_exhausted(&self) -> bool {
        self.steps_left.get() == 0
    }
}

/// Passes on the properties that one of our three dialects changes from the default.
macro_rules! pass_on {
    ($($property:ident,)*) => {
        $(fn $property(&self) -> bool {
            self.inner.$property()
        })*
    };
}

impl<D: Dialect> Dialect for Bounded<D> {
    fn dialect(&self) -> TypeId {
        self.inner.dialect()
    }

    fn parse_prefix(&self, _parser: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
        match self.steps_left.get() {
            0 => Some(Err(ParserError::RecursionLimitExceeded)),
            left => {
                self.steps_left.set(left - 1);
                None
            }
        }
    }

    fn parse_infix(&self, parser: &mut Parser<'_>, left: &Expr, precedence: u8) -> Option<Result<Expr, ParserError>> {
        self.inner.parse_infix(parser, left, precedence)
    }

    fn parse_statement(&self, parser: &mut Parser<'_>) -> Option<Result<Statement, ParserError>> {
        self.inner.parse_statement(parser)
    }

    /// `CROSS JOIN t ON …` and `USING (…)` exist in MySQL and SQLite.
    fn supports_cross_join_constraint(&self) -> bool {
        self.inner.dialect() != TypeId::of::<PostgreSqlDialect>()
    }

    fn get_next_precedence(&self, parser: &Parser<'_>) -> Option<Result<u8, ParserError>> {
        self.inner.get_next_precedence(parser)
    }

    fn prec_value(&self, precedence: Precedence) -> u8 {
        self.inner.prec_value(precedence)
    }

    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        self.inner.identifier_quote_style(identifier)
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        self.inner.is_delimited_identifier_start(ch)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        self.inner.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        self.inner.is_identifier_part(ch)
    }

    fn is_custom_operator_part(&self, ch: char) -> bool {
        self.inner.is_custom_operator_part(ch)
    }

    fn is_reserved_for_identifier(&self, keyword: Keyword) -> bool {
        self.inner.is_reserved_for_identifier(keyword)
    }

    fn is_table_alias(&self, keyword: &Keyword, parser: &mut Parser<'_>) -> bool {
        self.inner.is_table_alias(keyword, parser)
    }

    fn is_table_factor_alias(&self, explicit: bool, keyword: &Keyword, parser: &mut Parser<'_>) -> bool {
        self.inner.is_table_factor_alias(explicit, keyword, parser)
    }

    #[rustfmt::skip]
    pass_on! {
        allow_extract_custom, allow_extract_single_quotes, ignores_wildcard_escapes, require_interval_qualifier,
        requires_single_line_comment_whitespace, supports_aliased_function_args, supports_alter_column_type_using,
        supports_alter_user_as_alter_role, supports_array_typedef_with_brackets,
        supports_asc_desc_in_column_definition, supports_binary_kw_as_cast, supports_bitwise_shift_operators,
        supports_comma_separated_set_assignments, supports_comma_separated_trim, supports_comment_on,
        supports_comment_optimizer_hint, supports_constraint_keyword_without_name, supports_create_index_with_clause,
        supports_create_table_like_parenthesized, supports_create_table_select,
        supports_data_type_signed_suffix, supports_dollar_placeholder, supports_double_ampersand_operator,
        supports_empty_projections, supports_exclude_constraint, supports_explain_with_utility_options,
        supports_factorial_operator, supports_filter_during_aggregation, supports_geometric_types,
        supports_group_by_expr, supports_group_by_with_modifier, supports_in_empty_list, supports_insert_set,
        supports_insert_table_alias, supports_interval_options, supports_key_column_option,
        supports_left_associative_joins_without_parens, supports_limit_comma, supports_listen_notify,
        supports_load_extension, supports_match_against, supports_multiline_comment_hints,
        supports_named_fn_args_with_colon_operator, supports_named_fn_args_with_expr_name, supports_nested_comments,
        supports_notnull_operator, supports_numeric_literal_underscores, supports_numeric_prefix,
        supports_order_by_using_operator, supports_select_modifiers, supports_select_wildcard_with_alias,
        supports_set_names, supports_start_transaction_modifier, supports_string_escape_constant,
        supports_string_literal_backslash_escape, supports_string_literal_concatenation, supports_table_hints,
        supports_unicode_string_literal, supports_update_order_by, supports_user_host_grantee,
        supports_xml_expressions,
    }
}
