//! Numbers. What directly follows one decides whether databases agree on it.

use super::{Kind, Lexer};
use crate::error::{Error, Result};
use crate::sandbox::sql::facts::Dialect;
use crate::sandbox::sql::not_understood;

impl Lexer<'_> {
    pub(super) fn number(&mut self) -> Result<()> {
        let start = self.cursor.position();
        let hexadecimal = self.cursor.peek() == Some(b'0') && matches!(self.cursor.peek_at(1), Some(b'x' | b'X'));
        if hexadecimal && self.dialect != Dialect::Postgres {
            self.cursor.advance(2);
            self.cursor.skip_while(|byte| byte.is_ascii_hexdigit());
            let upper_in_mysql = self.dialect == Dialect::MySql && self.cursor.slice_from(start).starts_with("0X");
            if upper_in_mysql || self.cursor.position() == start + 2 {
                return Err(self.bad_number(start));
            }
            self.refuse_run_on(start)?;
            self.push(Kind::HexNumber, start);
            return Ok(());
        }
        let binary = self.dialect == Dialect::MySql
            && self.cursor.rest().starts_with("0b")
            && matches!(self.cursor.peek_at(2), Some(b'0' | b'1'));
        if binary {
            self.cursor.advance(2);
            self.cursor.skip_while(|byte| matches!(byte, b'0' | b'1'));
            self.refuse_run_on(start)?;
            self.push(Kind::HexNumber, start);
            return Ok(());
        }
        self.cursor.skip_while(|byte| byte.is_ascii_digit());
        if self.cursor.peek() == Some(b'.') {
            self.cursor.advance(1);
            self.cursor.skip_while(|byte| byte.is_ascii_digit());
        }
        self.exponent();
        self.refuse_run_on(start)?;
        self.push(Kind::Number, start);
        Ok(())
    }

    fn exponent(&mut self) {
        if !matches!(self.cursor.peek(), Some(b'e' | b'E')) {
            return;
        }
        let sign = usize::from(matches!(self.cursor.peek_at(1), Some(b'+' | b'-')));
        if self.cursor.peek_at(1 + sign).is_some_and(|byte| byte.is_ascii_digit()) {
            self.cursor.advance(1 + sign);
            self.cursor.skip_while(|byte| byte.is_ascii_digit());
        }
    }

    /// A number directly followed by a letter, dot or the like is read differently by different databases.
    pub(super) fn refuse_run_on(&self, start: usize) -> Result<()> {
        match self.cursor.peek() {
            Some(byte) if byte.is_ascii_alphanumeric() || !byte.is_ascii() || b"_$.@".contains(&byte) => {
                Err(self.bad_number(start))
            }
            _ => Ok(()),
        }
    }

    fn bad_number(&self, start: usize) -> Error {
        not_understood(format!("number `{}` runs into other characters", self.cursor.slice_from(start)))
    }
}
