use super::*;

fn texts(dialect: Dialect, sql: &str) -> Vec<&str> {
    lex(dialect, sql).unwrap().tokens.into_iter().map(|token| token.text).collect()
}

fn refused(dialect: Dialect, sql: &str) -> String {
    match lex(dialect, sql) {
        Ok(lexed) => panic!("accepted {sql:?}: {:?}", lexed.tokens),
        Err(error) => error.to_string(),
    }
}

#[test]
fn postgres_operators_end_before_comments() {
    assert_eq!(texts(Dialect::Postgres, "3 #--'\n5"), ["3", "#", "5"]);
    assert_eq!(texts(Dialect::Postgres, "3 &/*'*/ 5"), ["3", "&", "5"]);
    assert_eq!(texts(Dialect::Postgres, "a=-1"), ["a", "=", "-", "1"]);
    assert_eq!(refused(Dialect::Postgres, "a @#@ b").split(" is not").next(), Some("operator `@#@`"));
    assert_eq!(refused(Dialect::Postgres, "a @- b").split(" is not").next(), Some("operator `@-`"));
}

#[test]
fn question_marks_are_placeholders_where_an_operand_is_expected() {
    let kinds =
        |sql| -> Vec<Kind> { lex(Dialect::Postgres, sql).unwrap().tokens.iter().map(|token| token.kind).collect() };
    assert_eq!(kinds("a=?"), [Kind::Word, Kind::Operator, Kind::Placeholder]);
    assert_eq!(kinds("a ? b"), [Kind::Word, Kind::Operator, Kind::Word]);
    assert_eq!(kinds("WHERE ? = a"), [Kind::Word, Kind::Placeholder, Kind::Operator, Kind::Word]);
    assert_eq!(kinds("? ?| ?"), [Kind::Placeholder, Kind::Operator, Kind::Placeholder]);
    assert_eq!(kinds("?||'x'"), [Kind::Placeholder, Kind::Operator, Kind::String]);
    assert_eq!(kinds("x.where ? a"), [Kind::Word, Kind::Dot, Kind::Word, Kind::Operator, Kind::Word]);
}

#[test]
fn backslashes_escape_where_the_dialect_says_so() {
    assert_eq!(texts(Dialect::MySql, r"'a\'b'"), [r"'a\'b'"]);
    assert_eq!(texts(Dialect::MySql, r"'\\' 'x'"), [r"'\\'", "'x'"]);
    assert_eq!(texts(Dialect::Postgres, r"E'a\'b'"), [r"E'a\'b'"]);
    assert_eq!(texts(Dialect::Postgres, r"'a\', 1"), [r"'a\'", ",", "1"]);
    assert_eq!(texts(Dialect::Sqlite, r"'a\', 1"), [r"'a\'", ",", "1"]);
    assert_eq!(refused(Dialect::Sqlite, r"'a\''"), "a quote is not closed");
}

#[test]
fn comments_vanish() {
    assert_eq!(texts(Dialect::Postgres, "a /* x /* y */ */ b -- c"), ["a", "b"]);
    assert_eq!(texts(Dialect::MySql, "a # x\nb -- y\nc --\nd"), ["a", "b", "c", "d"]);
    assert_eq!(texts(Dialect::MySql, "5--1"), ["5", "-", "-", "1"]);
    assert_eq!(refused(Dialect::MySql, "a /*!50000 b */"), "executable comments (`/*! … */`) are not allowed");
    assert_eq!(refused(Dialect::MySql, "a /*M! b */"), "executable comments (`/*! … */`) are not allowed");
    assert_eq!(refused(Dialect::Sqlite, "a /* b"), "a comment is not closed");
    assert_eq!(refused(Dialect::MySql, "a /* /* */"), "a comment opens inside a comment");
    refused(Dialect::Postgres, "a --\rb");
}

#[test]
fn dollar_quotes_end_at_their_own_tag() {
    assert_eq!(texts(Dialect::Postgres, "$a$ $b$ $a$"), ["$a$ $b$ $a$"]);
    assert_eq!(texts(Dialect::Postgres, "a$b$ + 1"), ["a$b$", "+", "1"]);
    assert_eq!(refused(Dialect::Postgres, "$a$ $A$"), "a dollar-quoted string is not closed");
    refused(Dialect::Postgres, "$a");
    refused(Dialect::MySql, "$$x$$");
}

#[test]
fn numbers_do_not_run_into_letters() {
    assert_eq!(texts(Dialect::MySql, "1.5e-3 .5 5. 0x1F 0b10"), ["1.5e-3", ".5", "5.", "0x1F", "0b10"]);
    for sql in [
        "1.FROM", "1e", "1e1FROM", "0x1G", "0xFROM", "1from", "1_000", "1.2.3", "1..2", "1\u{e9}", "0X1F", "0b2",
        "0b1a",
    ] {
        refused(Dialect::MySql, sql);
    }
    refused(Dialect::Postgres, "0x1F");
}

#[test]
fn dots_join_names_only() {
    assert_eq!(texts(Dialect::Postgres, "a . b.* + (c).d"), ["a", ".", "b", ".", "*", "+", "(", "c", ")", ".", "d"]);
    for sql in ["FROM .users", "FROM.users", "1 .a", "a.", "a..b", "'a'.b", "a.'b'"] {
        refused(Dialect::MySql, sql);
    }
}

#[test]
fn nothing_but_one_semicolon_ends_a_statement() {
    assert_eq!(texts(Dialect::Sqlite, "SELECT 1 ; -- x"), ["SELECT", "1"]);
    refused(Dialect::Sqlite, "SELECT 1; SELECT 2");
    refused(Dialect::Sqlite, "SELECT 1;;");
}

#[test]
fn non_ascii_stays_inside_quotes() {
    assert_eq!(texts(Dialect::Sqlite, "'ü' \"ä\""), ["'ü'", "\"ä\""]);
    for sql in ["SELECT\u{a0}1", "\u{feff}SELECT 1", "us\u{17f}ers", "a\u{3000}b", "a\u{85}b"] {
        for dialect in [Dialect::Postgres, Dialect::MySql, Dialect::Sqlite] {
            refused(dialect, sql);
        }
    }
}

#[test]
fn session_variables_and_odbc_escapes_are_refused() {
    for sql in ["@a", "@@version", "@a := 1", "{d '2024-01-01'}", r"\N", ":a", "$a"] {
        refused(Dialect::MySql, sql);
    }
    for sql in ["?1", ":a", "@a", "$a", "#1"] {
        refused(Dialect::Sqlite, sql);
    }
    for sql in ["U&'a'", "U&\"a\"", "{", "`a`"] {
        refused(Dialect::Postgres, sql);
    }
}

#[test]
fn quoted_names_follow_the_dialect() {
    assert_eq!(texts(Dialect::Sqlite, "[a b] `c``d` \"e\"\"f\""), ["[a b]", "`c``d`", "\"e\"\"f\""]);
    assert_eq!(texts(Dialect::MySql, "\"a\"\"b\""), ["\"a\"\"b\""]);
    assert_eq!(refused(Dialect::Sqlite, "\"\""), "a quoted name is empty");
    refused(Dialect::Postgres, &format!("\"{}\"", "x".repeat(64)));
    refused(Dialect::Postgres, &"x".repeat(64));
}

#[test]
fn strings_follow_each_other_in_mysql_only() {
    assert_eq!(texts(Dialect::MySql, "'a' \"b\""), ["'a'", "\"b\""]);
    refused(Dialect::Postgres, "'a'\n'b'");
    refused(Dialect::Sqlite, "'a' 'b'");
}

#[test]
fn parentheses_are_counted() {
    refused(Dialect::Sqlite, "SELECT 1)");
    assert!(lex(Dialect::Sqlite, "SELECT (1)").unwrap().size.is_small());
    assert!(
        !lex(Dialect::Sqlite, &format!("{}CASE WHEN 1 THEN 1 END{}", "(".repeat(8), ")".repeat(8)))
            .unwrap()
            .size
            .is_small()
    );
}
