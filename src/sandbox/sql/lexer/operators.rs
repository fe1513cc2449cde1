//! Operators of the dialects. The lists are allow-lists: user-defined operators call functions.

use super::{Kind, Lexer, Token};
use crate::error::Result;
use crate::sandbox::sql::facts::Dialect;
use crate::sandbox::sql::{function_denied, keywords, not_understood};

/// Operators that PostgreSQL ships and that read nothing but their operands.
#[rustfmt::skip]
const POSTGRES: &[&str] = &[
    "+", "-", "*", "/", "%", "^", "<", ">", "=", "<=", ">=", "<>", "!=", "||", "~", "~*", "!~", "!~*", "~~", "~~*",
    "!~~", "!~~*", "&", "|", "#", "<<", ">>", "->", "->>", "#>", "#>>", "#-", "@>", "<@", "@@", "@?", "&&", "=>", "^@",
    "|/", "||/", "@", "&<", "&>", "<<|", "|>>", "&<|", "|&>", "<->", "<^", ">^", "~=", "##", "@-@", "-|-", "<<=",
    ">>=", "~<~", "~<=~", "~>=~", "~>~", "?", "?|", "?&",
];

/// MySQL and MariaDB operators, longest first.
#[rustfmt::skip]
const MYSQL: &[&str] = &[
    "<=>", "->>", "->", "<=", ">=", "<>", "!=", "||", "&&", "<<", ">>", "+", "-", "*", "/", "%", "=", "<", ">", "!",
    "&", "|", "^", "~",
];

/// SQLite operators, longest first.
#[rustfmt::skip]
const SQLITE: &[&str] = &[
    "->>", "->", "||", "==", "<=", ">=", "<>", "!=", "<<", ">>", "+", "-", "*", "/", "%", "=", "<", ">", "&", "|", "~",
];

impl Lexer<'_> {
    pub(super) fn operator(&mut self) -> Result<()> {
        match self.dialect {
            Dialect::Postgres => self.postgres_operator(),
            Dialect::MySql => self.listed_operator(MYSQL),
            Dialect::Sqlite => self.listed_operator(SQLITE),
        }
    }

    fn listed_operator(&mut self, operators: &[&str]) -> Result<()> {
        let start = self.cursor.position();
        let rest = self.cursor.rest();
        let Some(operator) = operators.iter().find(|operator| rest.starts_with(**operator)) else {
            return Err(self.unexpected(self.cursor.peek().unwrap_or(b' ')));
        };
        self.cursor.advance(operator.len());
        self.push(Kind::Operator, start);
        Ok(())
    }

    /// PostgreSQL takes the longest run of operator characters up to a comment, and drops `+` and `-` from the end of a
    /// run that has none of the characters `~!@#%^&|?` and the back-tick.
    fn postgres_operator(&mut self) -> Result<()> {
        let start = self.cursor.position();
        let rest = self.cursor.rest();
        let run = rest.split(|c: char| !"+-*/<>=~!@#%^&|`?".contains(c)).next().unwrap_or("");
        let run = cut_before(cut_before(run, "--"), "/*");
        if run.is_empty() {
            return Err(self.unexpected(self.cursor.peek().unwrap_or(b' ')));
        }
        if let Some(before) = run.find('?') {
            return self.question_run(start, run, before);
        }
        let special = run.contains(|c: char| "~!@#%^&|`?".contains(c));
        let mut operator = run;
        while !special && operator.len() > 1 && operator.ends_with(['+', '-']) {
            operator = operator.get(..operator.len() - 1).unwrap_or(operator);
        }
        self.push_postgres(start, operator)
    }

    fn push_postgres(&mut self, start: usize, operator: &str) -> Result<()> {
        if !POSTGRES.contains(&operator) {
            return Err(function_denied(operator, "operator"));
        }
        self.cursor.advance(operator.len());
        self.push(Kind::Operator, start);
        Ok(())
    }

    /// A run with a question mark: a placeholder where an operand is expected, else a JSON operator.
    fn question_run(&mut self, start: usize, run: &str, before: usize) -> Result<()> {
        if before > 0 && run != "@?" {
            // `=?`: the operator is what stands before the question mark.
            return self.push_postgres(start, run.get(..before).unwrap_or(run));
        }
        if !self.expects_operand() {
            let operator = ["?|", "?&", "@?", "?"].into_iter().find(|operator| run == *operator);
            return match operator {
                Some(operator) => self.push_postgres(start, operator),
                None => Err(not_understood(
                    "can't tell whether `?` is a placeholder or an operator here (put blanks around it, or use `$1`)",
                )),
            };
        }
        if run == "@?" {
            return Err(not_understood("`@?` needs an operand before it"));
        }
        self.cursor.advance(1);
        self.push(Kind::Placeholder, start);
        Ok(())
    }

    /// True where an expression begins, judged by the token before.
    fn expects_operand(&self) -> bool {
        match self.tokens.last() {
            None => true,
            Some(Token { kind: Kind::Word, text }) => {
                let qualified = self.tokens.len().checked_sub(2).and_then(|index| self.tokens.get(index));
                !qualified.is_some_and(|token| token.kind == Kind::Dot) && keywords::precedes_operand(text)
            }
            Some(token) => {
                matches!(token.kind, Kind::Operator | Kind::Comma | Kind::LParen | Kind::LBracket | Kind::Colon)
            }
        }
    }
}

fn cut_before<'a>(run: &'a str, mark: &str) -> &'a str {
    run.find(mark).and_then(|position| run.get(..position)).unwrap_or(run)
}
