//! `goatflow-plugin check ed25519`: one signature per line in, one verdict per line out, in the same order.

use std::io::{self, BufRead, Write};

use goatflow_plugin::package::hex;
use goatflow_plugin::package::signature::key;
use serde_json::{Value, json};

use crate::check_policy::answer_lines;

/// Answers every line of `input`; malformed ones are not accepted.
pub(crate) fn run(input: impl BufRead, output: impl Write) -> io::Result<()> {
    answer_lines(input, output, |line| answer(line).to_string())
}

fn answer(line: Option<&[u8]>) -> Value {
    let document: Option<Value> = line.and_then(|line| serde_json::from_slice(line).ok());
    let field = |name: &str| hex::decode_vec(document.as_ref()?.get(name)?.as_str()?.as_bytes());
    match (field("public_key"), field("msg"), field("sig")) {
        (Some(public_key), Some(message), Some(signature)) => {
            json!({ "accept": key::is_valid(&public_key, &message, &signature) })
        }
        _ => json!({
            "accept": false,
            "error": "expected {\"public_key\", \"msg\", \"sig\"} with hexadecimal digits",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_answered_in_order() {
        let good = r#"{"public_key":"7d4d0e7f6153a69b6242b522abbee685fda4420f8834b108c3bdae369ef549fa","msg":"","sig":"d4fbdb52bfa726b44d1786a8c0d171c3e62ca83c9e5bbe63de0bb2483f8fd6cc1429ab72cafc41ab56af02ff8fcc43b99bfe4c7ae940f60f38ebaa9d311c4007"}"#;
        let input = format!("{good}\n{}\nnonsense\n{{}}\n{good}", good.replace("\"msg\":\"\"", "\"msg\":\"00\""));
        let mut output = Vec::new();
        run(input.as_bytes(), &mut output).expect("memory can be read and written");
        let text = String::from_utf8(output).expect("answers are UTF-8");
        let accepted: Vec<bool> = text.lines().map(|line| line == r#"{"accept":true}"#).collect();
        assert_eq!(accepted, [true, false, false, false, true], "{text}");
    }
}
