//! Strings and quoted names.

use super::{Kind, Lexer, check_name_length};
use crate::error::Result;
use crate::sandbox::sql::facts::Dialect;
use crate::sandbox::sql::not_understood;

impl Lexer<'_> {
    /// String that starts with its quote.
    pub(super) fn string(&mut self, kind: Kind) -> Result<()> {
        let start = self.cursor.position();
        self.string_from(kind, start)
    }

    /// String whose token starts at `start` and whose quote is here.
    pub(super) fn string_from(&mut self, kind: Kind, start: usize) -> Result<()> {
        let after_string = self.tokens.last().is_some_and(|last| last.kind.is_string());
        if after_string && self.dialect != Dialect::MySql {
            return Err(not_understood("a string directly follows another one (join them, or use `||`)"));
        }
        let backslash = match self.dialect {
            Dialect::Postgres => kind == Kind::EscapeString,
            Dialect::MySql => matches!(kind, Kind::String | Kind::NationalString),
            Dialect::Sqlite => false,
        };
        self.skip_quoted(backslash)?;
        if matches!(kind, Kind::HexString | Kind::BitString) {
            // A doubled quote ends the string for the databases, and starts another one.
            let text = self.cursor.slice_from(start + 2);
            let body = text.get(..text.len().saturating_sub(1)).unwrap_or(text);
            if !body.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(not_understood("a hexadecimal or bit string has other characters than digits"));
            }
        }
        self.push(kind, start);
        Ok(())
    }

    /// Skips from the opening quote to behind the closing one. A doubled quote stands for itself.
    fn skip_quoted(&mut self, backslash: bool) -> Result<()> {
        let quote = self.cursor.peek();
        self.cursor.advance(1);
        loop {
            match self.cursor.peek() {
                None => return Err(not_understood("a quote is not closed")),
                Some(b'\\') if backslash => self.cursor.advance(2),
                byte if byte == quote && self.cursor.peek_at(1) == quote => self.cursor.advance(2),
                byte if byte == quote => {
                    self.cursor.advance(1);
                    return Ok(());
                }
                Some(_) => self.cursor.advance(1),
            }
        }
    }

    /// `"name"`, `` `name` `` or SQLite's `[name]`.
    pub(super) fn quoted_name(&mut self) -> Result<()> {
        let start = self.cursor.position();
        if self.cursor.peek() == Some(b'[') {
            self.cursor.skip_while(|byte| byte != b']');
            if self.cursor.peek().is_none() {
                return Err(not_understood("a quote is not closed"));
            }
            self.cursor.advance(1);
        } else {
            self.skip_quoted(false)?;
        }
        let name = self.cursor.slice_from(start);
        if name.len() <= 2 {
            return Err(not_understood("a quoted name is empty"));
        }
        check_name_length(name.get(1..name.len() - 1).unwrap_or(name))?;
        self.push(Kind::QuotedName, start);
        Ok(())
    }

    /// `$tag$…$tag$`; the first dollar is behind us.
    pub(super) fn dollar_string(&mut self, start: usize) -> Result<()> {
        if self.tokens.last().is_some_and(|last| last.kind.is_string()) {
            return Err(not_understood("a string directly follows another one (join them, or use `||`)"));
        }
        self.cursor.skip_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if self.cursor.peek() != Some(b'$') {
            return Err(not_understood("`$` starts neither a placeholder nor a dollar-quoted string"));
        }
        self.cursor.advance(1);
        let tag = self.cursor.slice_from(start);
        let Some(length) = self.cursor.rest().find(tag) else {
            return Err(not_understood("a dollar-quoted string is not closed"));
        };
        self.cursor.advance(length + tag.len());
        if self.cursor.peek().is_some_and(|byte| byte == b'$' || byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(not_understood("a dollar-quoted string runs into other characters"));
        }
        self.push(Kind::DollarString, start);
        Ok(())
    }
}
