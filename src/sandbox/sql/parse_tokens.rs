//! Our tokens as sqlparser's. Spans carry the index of the token, so that the walk can account for each one.

use sqlparser::ast::DollarQuotedString;
use sqlparser::tokenizer::{Location, Span, Token as ParserToken, TokenWithSpan};

use super::facts::Dialect;
use super::lexer::{Kind, Token};
use super::{function_denied, not_understood};
use crate::error::Result;

/// One parser token for each of ours.
pub(super) fn convert(dialect: Dialect, tokens: &[Token<'_>]) -> Result<Vec<TokenWithSpan>> {
    tokens
        .iter()
        .enumerate()
        .map(|(index, token)| Ok(TokenWithSpan { token: parser_token(dialect, token)?, span: span_of(index) }))
        .collect()
}

/// Span that stands for the token at `index`.
pub(super) fn span_of(index: usize) -> Span {
    let location = Location { line: index as u64 + 1, column: 1 };
    Span { start: location, end: location }
}

/// Index of the token that a span stands for; none for tokens that [`super::rewrite`] added.
pub(super) fn index_of(span: Span) -> Option<usize> {
    usize::try_from(span.start.line).ok()?.checked_sub(1)
}

fn parser_token(dialect: Dialect, token: &Token<'_>) -> Result<ParserToken> {
    let text = token.text;
    Ok(match token.kind {
        Kind::Word => ParserToken::make_word(text, None),
        Kind::QuotedName => quoted_name(text),
        Kind::String if text.starts_with('"') => ParserToken::DoubleQuotedString(inside(text, 1, 1)),
        Kind::String => ParserToken::SingleQuotedString(inside(text, 1, 1)),
        Kind::EscapeString => ParserToken::EscapedStringLiteral(inside(text, 2, 1)),
        Kind::DollarString => dollar_string(text),
        Kind::NationalString => ParserToken::NationalStringLiteral(inside(text, 2, 1)),
        Kind::HexString => ParserToken::HexStringLiteral(inside(text, 2, 1)),
        Kind::BitString => ParserToken::SingleQuotedByteStringLiteral(inside(text, 2, 1)),
        Kind::Number => ParserToken::Number(text.to_owned(), false),
        Kind::HexNumber => ParserToken::HexStringLiteral(inside(text, 2, 0)),
        Kind::Placeholder => ParserToken::Placeholder(text.to_owned()),
        Kind::Operator => operator(dialect, text)?,
        Kind::LParen => ParserToken::LParen,
        Kind::RParen => ParserToken::RParen,
        Kind::LBracket => ParserToken::LBracket,
        Kind::RBracket => ParserToken::RBracket,
        Kind::Comma => ParserToken::Comma,
        Kind::Dot => ParserToken::Period,
        Kind::Colon => ParserToken::Colon,
    })
}

/// `text` without `front` bytes at its start and `back` at its end.
fn inside(text: &str, front: usize, back: usize) -> String {
    text.get(front..text.len().saturating_sub(back)).unwrap_or("").to_owned()
}

/// Name with the doubled quotes undone: this is the name the database looks up.
fn quoted_name(text: &str) -> ParserToken {
    let quote = text.chars().next().unwrap_or('"');
    let name = inside(text, 1, 1);
    let name = match quote {
        '"' => name.replace("\"\"", "\""),
        '`' => name.replace("``", "`"),
        _ => name,
    };
    ParserToken::make_word(&name, Some(quote))
}

fn dollar_string(text: &str) -> ParserToken {
    let tag_length = text.get(1..).and_then(|rest| rest.find('$')).unwrap_or(0);
    let tag = text.get(1..=tag_length).unwrap_or("");
    ParserToken::DollarQuotedString(DollarQuotedString {
        value: inside(text, tag_length + 2, tag_length + 2),
        tag: (!tag.is_empty()).then(|| tag.to_owned()),
    })
}

fn operator(dialect: Dialect, text: &str) -> Result<ParserToken> {
    Ok(match text {
        "=" | "==" => ParserToken::Eq,
        "<>" | "!=" => ParserToken::Neq,
        "<" => ParserToken::Lt,
        ">" => ParserToken::Gt,
        "<=" => ParserToken::LtEq,
        ">=" => ParserToken::GtEq,
        "<=>" => ParserToken::Spaceship,
        "+" => ParserToken::Plus,
        "-" => ParserToken::Minus,
        "*" => ParserToken::Mul,
        "/" => ParserToken::Div,
        "%" => ParserToken::Mod,
        "^" => ParserToken::Caret,
        "||" => ParserToken::StringConcat,
        "&&" => ParserToken::Overlap,
        "&" => ParserToken::Ampersand,
        "|" => ParserToken::Pipe,
        // The parser has no shifts for SQLite; like `&` they have two operands and no tables.
        "<<" | ">>" if dialect == Dialect::Sqlite => ParserToken::Ampersand,
        "<<" => ParserToken::ShiftLeft,
        ">>" => ParserToken::ShiftRight,
        "~" => ParserToken::Tilde,
        // A prefix like `~`; the parser has no `!` for MySQL, and both have one operand and no tables.
        "!" => ParserToken::Tilde,
        "->" => ParserToken::Arrow,
        "->>" => ParserToken::LongArrow,
        "::" => ParserToken::DoubleColon,
        _ if dialect == Dialect::Postgres => postgres_operator(text)?,
        _ => return Err(not_understood(format!("operator `{text}` has no meaning here"))),
    })
}

fn postgres_operator(text: &str) -> Result<ParserToken> {
    Ok(match text {
        "=>" | ":=" => ParserToken::RArrow,
        "~*" => ParserToken::TildeAsterisk,
        "!~" => ParserToken::ExclamationMarkTilde,
        "!~*" => ParserToken::ExclamationMarkTildeAsterisk,
        "~~" => ParserToken::DoubleTilde,
        "~~*" => ParserToken::DoubleTildeAsterisk,
        "!~~" => ParserToken::ExclamationMarkDoubleTilde,
        "!~~*" => ParserToken::ExclamationMarkDoubleTildeAsterisk,
        "#" => ParserToken::Sharp,
        "##" => ParserToken::DoubleSharp,
        "#>" => ParserToken::HashArrow,
        "#>>" => ParserToken::HashLongArrow,
        "#-" => ParserToken::HashMinus,
        "@>" => ParserToken::AtArrow,
        "<@" => ParserToken::ArrowAt,
        "@@" => ParserToken::AtAt,
        "@?" => ParserToken::AtQuestion,
        "@" => ParserToken::AtSign,
        "@-@" => ParserToken::AtDashAt,
        "^@" => ParserToken::CaretAt,
        "|/" => ParserToken::PGSquareRoot,
        "||/" => ParserToken::PGCubeRoot,
        "?" => ParserToken::Question,
        "?|" => ParserToken::QuestionPipe,
        "?&" => ParserToken::QuestionAnd,
        "&<" => ParserToken::AmpersandLeftAngleBracket,
        "&>" => ParserToken::AmpersandRightAngleBracket,
        "<<|" => ParserToken::ShiftLeftVerticalBar,
        "|>>" => ParserToken::VerticalBarShiftRight,
        "&<|" => ParserToken::AmpersandLeftAngleBracketVerticalBar,
        "|&>" => ParserToken::VerticalBarAmpersandRightAngleBracket,
        "<->" => ParserToken::TwoWayArrow,
        "<^" => ParserToken::LeftAngleBracketCaret,
        ">^" => ParserToken::RightAngleBracketCaret,
        "~=" => ParserToken::TildeEqual,
        "-|-" | "<<=" | ">>=" | "~<~" | "~<=~" | "~>=~" | "~>~" => ParserToken::CustomBinaryOperator(text.to_owned()),
        _ => return Err(function_denied(text, "operator")),
    })
}
