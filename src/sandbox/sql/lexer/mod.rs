//! Splits SQL into the tokens of a dialect. This is the security boundary of the gate: the text that runs is written
//! from these tokens, so what matters is that every token has exactly one meaning for the database.
//!
//! Refused: control characters, non-ASCII outside quotes, unterminated quotes and comments, executable comments,
//! numbers that run into letters, dots without a name on both sides, session variables, and every character and
//! operator that is not listed. Session settings that change the lexical rules (`NO_BACKSLASH_ESCAPES`,
//! `standard_conforming_strings`, …) are pinned by the database providers.

mod cursor;
mod measure;
mod numbers;
mod operators;
mod quoted;

use super::facts::Dialect;
use super::{keywords, not_understood, too_large};
use crate::error::Result;
use cursor::Cursor;
use measure::Size;

/// Most tokens in a statement.
const MAX_TOKENS: usize = 10_000;
/// Longest identifier in bytes: PostgreSQL cuts longer ones silently, MySQL and SQLite have no need for them.
const MAX_NAME_BYTES: usize = 63;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Keyword or unquoted name, ASCII.
    Word,
    /// Quoted name, with its quotes.
    QuotedName,
    /// `'…'`, and in MySQL `"…"`.
    String,
    /// PostgreSQL `E'…'`.
    EscapeString,
    /// PostgreSQL `$tag$…$tag$`.
    DollarString,
    /// `N'…'`.
    NationalString,
    /// `X'…'`.
    HexString,
    /// `B'…'`.
    BitString,
    /// Decimal number.
    Number,
    /// `0x…` and MySQL's `0b…`.
    HexNumber,
    /// `?` or `$n`.
    Placeholder,
    /// Operator, as listed in [`operators`].
    Operator,
    LParen,
    RParen,
    LBracket,
    RBracket,
    Comma,
    Dot,
    Colon,
}

impl Kind {
    /// True for string literals of any form.
    pub(super) fn is_string(self) -> bool {
        matches!(
            self,
            Self::String
                | Self::EscapeString
                | Self::DollarString
                | Self::NationalString
                | Self::HexString
                | Self::BitString
        )
    }
}

/// A token and its exact text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
}

impl Token<'_> {
    /// True for this unquoted word, in any case.
    pub(super) fn is_word(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }
}

/// Tokens of a statement and its size.
#[derive(Debug)]
pub(super) struct Lexed<'a> {
    pub(super) tokens: Vec<Token<'a>>,
    pub(super) size: Size,
}

/// Tokens of the one statement in `sql`; a single semicolon at its end is dropped.
pub(super) fn lex(dialect: Dialect, sql: &str) -> Result<Lexed<'_>> {
    refuse_control_characters(sql)?;
    let mut lexer =
        Lexer { dialect, cursor: Cursor::new(sql), tokens: Vec::with_capacity(sql.len() / 4), ended: false };
    while lexer.skip_blanks()? {
        lexer.next_token()?;
        if lexer.tokens.len() > MAX_TOKENS {
            return Err(too_large(format!("statement has more than {MAX_TOKENS} tokens")));
        }
    }
    lexer.check_dots()?;
    let size = measure::measure(&lexer.tokens)?;
    Ok(Lexed { tokens: lexer.tokens, size })
}

fn refuse_control_characters(sql: &str) -> Result<()> {
    let bad = |byte: &u8| (*byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r')) || *byte == 0x7f;
    match sql.as_bytes().iter().find(|byte| bad(byte)) {
        Some(byte) => Err(not_understood(format!(
            "statement contains the control character 0x{byte:02x} (pass such values as arguments)"
        ))),
        None => Ok(()),
    }
}

struct Lexer<'a> {
    dialect: Dialect,
    cursor: Cursor<'a>,
    tokens: Vec<Token<'a>>,
    /// A semicolon was seen; nothing may follow.
    ended: bool,
}

impl Lexer<'_> {
    fn push(&mut self, kind: Kind, start: usize) {
        let text = self.cursor.slice_from(start);
        self.tokens.push(Token { kind, text });
    }

    /// Skips blanks and comments; false at the end.
    fn skip_blanks(&mut self) -> Result<bool> {
        loop {
            match (self.cursor.peek(), self.cursor.peek_at(1)) {
                (None, _) => return Ok(false),
                (Some(b' ' | b'\t' | b'\n' | b'\r'), _) => self.cursor.advance(1),
                (Some(b'-'), Some(b'-')) if self.dashes_are_comment() => self.skip_line_comment()?,
                (Some(b'#'), _) if self.dialect == Dialect::MySql => self.skip_line_comment()?,
                (Some(b'/'), Some(b'*')) => self.skip_block_comment()?,
                _ => return Ok(true),
            }
        }
    }

    /// MySQL reads `--` as two minus signs unless a blank or the end follows.
    fn dashes_are_comment(&self) -> bool {
        self.dialect != Dialect::MySql || matches!(self.cursor.peek_at(2), None | Some(b' ' | b'\t' | b'\n' | b'\r'))
    }

    fn skip_line_comment(&mut self) -> Result<()> {
        let rest = self.cursor.rest();
        let line = rest.split('\n').next().unwrap_or(rest);
        if line.trim_end_matches('\r').contains('\r') {
            return Err(not_understood(
                "a carriage return inside a comment ends it in some databases and not in others",
            ));
        }
        self.cursor.advance(line.len());
        Ok(())
    }

    fn skip_block_comment(&mut self) -> Result<()> {
        if self.dialect == Dialect::MySql && matches!(self.cursor.peek_at(2), Some(b'!' | b'M')) {
            let executable = self.cursor.peek_at(2) == Some(b'!') || self.cursor.peek_at(3) == Some(b'!');
            if executable {
                return Err(not_understood("executable comments (`/*! … */`) are not allowed"));
            }
        }
        self.cursor.advance(2);
        let mut nesting = 1_usize;
        while nesting > 0 {
            match (self.cursor.peek(), self.cursor.peek_at(1)) {
                (None, _) => return Err(not_understood("a comment is not closed")),
                (Some(b'*'), Some(b'/')) => {
                    self.cursor.advance(2);
                    nesting -= 1;
                }
                (Some(b'/'), Some(b'*')) if self.dialect == Dialect::Postgres => {
                    self.cursor.advance(2);
                    nesting += 1;
                }
                (Some(b'/'), Some(b'*')) => {
                    return Err(not_understood("a comment opens inside a comment"));
                }
                (Some(_), _) => self.cursor.advance(1),
            }
        }
        Ok(())
    }

    fn next_token(&mut self) -> Result<()> {
        if self.ended {
            return Err(not_understood("text follows the semicolon; only one statement is allowed"));
        }
        let Some(byte) = self.cursor.peek() else { return Ok(()) };
        match byte {
            b';' => {
                self.cursor.advance(1);
                self.ended = true;
                Ok(())
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => self.word_or_prefixed_string(),
            b'0'..=b'9' => self.number(),
            b'.' if self.cursor.peek_at(1).is_some_and(|next| next.is_ascii_digit()) => self.number(),
            b'\'' => self.string(Kind::String),
            b'"' if self.dialect == Dialect::MySql => self.string(Kind::String),
            b'"' => self.quoted_name(),
            b'`' if self.dialect != Dialect::Postgres => self.quoted_name(),
            b'[' if self.dialect == Dialect::Sqlite => self.quoted_name(),
            b'$' => self.dollar(),
            b'?' if self.dialect != Dialect::Postgres => self.question_mark(),
            b'(' | b')' | b'[' | b']' | b',' | b'.' | b':' => self.punctuation(byte),
            _ if byte.is_ascii() => self.operator(),
            _ => Err(not_understood(
                "non-ASCII characters are allowed in string literals, quoted names and comments only",
            )),
        }
    }

    fn punctuation(&mut self, byte: u8) -> Result<()> {
        let kind = match byte {
            b'(' => Kind::LParen,
            b')' => Kind::RParen,
            b'[' if self.dialect == Dialect::Postgres => Kind::LBracket,
            b']' if self.dialect == Dialect::Postgres => Kind::RBracket,
            b',' => Kind::Comma,
            b'.' => Kind::Dot,
            b':' if self.dialect == Dialect::Postgres => return self.colon(),
            _ => return Err(self.unexpected(byte)),
        };
        let start = self.cursor.position();
        self.cursor.advance(1);
        self.push(kind, start);
        Ok(())
    }

    /// `::` is the cast operator, `:=` the older spelling of `=>`, a lone `:` separates the bounds of a slice.
    fn colon(&mut self) -> Result<()> {
        let start = self.cursor.position();
        match self.cursor.peek_at(1) {
            Some(b':' | b'=') => {
                self.cursor.advance(2);
                self.push(Kind::Operator, start);
                Ok(())
            }
            _ => {
                self.cursor.advance(1);
                self.push(Kind::Colon, start);
                Ok(())
            }
        }
    }

    fn unexpected(&self, byte: u8) -> crate::error::Error {
        not_understood(format!("unexpected character `{}` in {} SQL", byte as char, self.dialect))
    }

    fn word_or_prefixed_string(&mut self) -> Result<()> {
        let start = self.cursor.position();
        let dollar = self.dialect != Dialect::Sqlite;
        self.cursor.skip_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || (byte == b'$' && dollar));
        let word = self.cursor.slice_from(start);
        if self.cursor.peek() == Some(b'\'')
            && let Some(kind) = self.string_prefix(word)
        {
            return self.string_from(kind, start);
        }
        let unicode = word.eq_ignore_ascii_case("u")
            && self.cursor.peek() == Some(b'&')
            && matches!(self.cursor.peek_at(1), Some(b'\'' | b'"'));
        if self.dialect == Dialect::Postgres && unicode {
            return Err(not_understood("`U&` strings and names are not allowed"));
        }
        if self.cursor.peek().is_some_and(|byte| !byte.is_ascii() || byte == b'$') {
            return Err(not_understood(format!("`{word}` runs into a character that names can't contain unquoted")));
        }
        check_name_length(word)?;
        self.push(Kind::Word, start);
        Ok(())
    }

    /// Kind of string that a word directly before a quote introduces.
    fn string_prefix(&self, word: &str) -> Option<Kind> {
        let all =
            [("x", Kind::HexString), ("b", Kind::BitString), ("n", Kind::NationalString), ("e", Kind::EscapeString)];
        let known = match self.dialect {
            Dialect::Postgres => all.get(..4),
            Dialect::MySql => all.get(..3),
            Dialect::Sqlite => all.get(..1),
        };
        known?.iter().find(|(prefix, _)| word.eq_ignore_ascii_case(prefix)).map(|(_, kind)| *kind)
    }

    /// `$1`, or a PostgreSQL dollar-quoted string.
    fn dollar(&mut self) -> Result<()> {
        let start = self.cursor.position();
        self.cursor.advance(1);
        if self.cursor.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.cursor.skip_while(|byte| byte.is_ascii_digit());
            self.refuse_run_on(start)?;
            self.push(Kind::Placeholder, start);
            return Ok(());
        }
        if self.dialect == Dialect::Postgres {
            return self.dollar_string(start);
        }
        Err(not_understood("`$` starts a placeholder (`$1`) only"))
    }

    fn question_mark(&mut self) -> Result<()> {
        let start = self.cursor.position();
        self.cursor.advance(1);
        self.refuse_run_on(start)?;
        self.push(Kind::Placeholder, start);
        Ok(())
    }

    /// Every dot stands between a name and a name or star. A reserved word before it is a name for some databases and
    /// a keyword for others, so that is refused.
    fn check_dots(&self) -> Result<()> {
        for (index, token) in self.tokens.iter().enumerate() {
            if token.kind != Kind::Dot {
                continue;
            }
            let left = index.checked_sub(1).and_then(|left| self.tokens.get(left));
            let left_is_name = left.is_some_and(|left| match left.kind {
                Kind::Word => !keywords::is_reserved(self.dialect, left.text),
                Kind::QuotedName => true,
                Kind::RParen | Kind::RBracket => self.dialect == Dialect::Postgres,
                _ => false,
            });
            let right_is_name = self
                .tokens
                .get(index + 1)
                .is_some_and(|right| matches!(right.kind, Kind::Word | Kind::QuotedName) || right.text == "*");
            if !left_is_name || !right_is_name {
                return Err(not_understood("a dot must stand between two names (quote names that are reserved words)"));
            }
        }
        Ok(())
    }
}

fn check_name_length(name: &str) -> Result<()> {
    if name.len() > MAX_NAME_BYTES {
        return Err(not_understood(format!("a name is longer than {MAX_NAME_BYTES} bytes")));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
