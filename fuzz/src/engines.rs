//! What the databases' own tokenisers make of a text: the byte ranges of its tokens, blanks and comments left out.
//! None where the tokeniser finds an error.

use std::ffi::{CString, c_int, c_long, c_uchar};
use std::ops::Range;

unsafe extern "C" {
    fn gk_sqlite_token(text: *const c_uchar, is_blank: *mut c_int, is_bad: *mut c_int) -> c_long;
}

/// SQLite's tokens.
pub fn sqlite(text: &str) -> Option<Vec<Range<usize>>> {
    let bytes = CString::new(text).ok()?.into_bytes_with_nul();
    let (mut tokens, mut at) = (Vec::new(), 0);
    while at < text.len() {
        let (mut is_blank, mut is_bad) = (0, 0);
        // SAFETY: the text ends with a zero byte, which no token passes, and `at` lies before it.
        let length = unsafe { gk_sqlite_token(bytes.as_ptr().add(at), &mut is_blank, &mut is_bad) };
        if is_bad != 0 {
            return None;
        }
        let end = at + usize::try_from(length).expect("tokens have a length");
        if is_blank == 0 {
            tokens.push(at..end);
        }
        at = end;
    }
    Some(tokens)
}

/// PostgreSQL's tokens.
pub fn postgres(text: &str) -> Option<Vec<Range<usize>>> {
    use pg_query::protobuf::Token;
    let scanned = pg_query::scan(text).ok()?;
    let is_comment = |token: i32| token == Token::SqlComment as i32 || token == Token::CComment as i32;
    let place = |at: i32| usize::try_from(at).expect("positions are not negative");
    let tokens = scanned.tokens.iter().filter(|token| !is_comment(token.token));
    let mut places: Vec<Range<usize>> = Vec::new();
    for next in tokens.map(|token| place(token.start)..place(token.end)) {
        match places.last_mut() {
            // The scanner gives `N'…'` in two parts.
            Some(last) if last.end == next.start && is_national(&text[last.clone()], &text[next.clone()]) => {
                last.end = next.end;
            }
            _ => places.push(next),
        }
    }
    Some(places)
}

fn is_national(prefix: &str, string: &str) -> bool {
    prefix.eq_ignore_ascii_case("n") && string.starts_with('\'')
}
