//! Reads the JSON arguments of a host call the way existing plugins rely on (docs/contract.md 2.1): unknown keys are ignored,
//! missing keys and `null` are zero values, keys match regardless of ASCII case, wrong types are errors. Beyond the
//! reference: duplicate keys and integers that a double can't hold are refused, because they mean different things to
//! different readers.

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Number, Value};

use super::request::SqlValue;
use crate::error::{Error, ErrorCode, Result};
use crate::plugin::name::shorten;

/// Keys an arguments object may have; the largest function has five.
const MAX_KEYS: usize = 1_000;

/// Integers up to here are exact for every reader of JSON.
const MAX_EXACT_INTEGER: u64 = 1 << 53;

/// The arguments object of one call.
#[derive(Debug)]
pub struct Arguments<'a> {
    fields: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl<'a> Arguments<'a> {
    /// Splits the object into its fields.
    pub fn parse(text: &'a [u8]) -> Result<Self> {
        serde_json::from_slice(text).map_err(|error| invalid("the arguments are not a JSON object").with_source(error))
    }

    /// Text field; empty when absent.
    pub fn text(&self, key: &str) -> Result<Cow<'a, str>> {
        #[derive(serde::Deserialize)]
        struct Text<'a>(#[serde(borrow)] Option<Cow<'a, str>>);
        Ok(self.get::<Text<'a>>(key, "a string")?.and_then(|text| text.0).unwrap_or_default())
    }

    /// Text field that must be there and not empty.
    pub fn required_text(&self, key: &str) -> Result<Cow<'a, str>> {
        let text = self.text(key)?;
        if text.is_empty() {
            return Err(invalid(format!("`{key}` is missing")));
        }
        Ok(text)
    }

    /// Truth value; false when absent.
    pub fn boolean(&self, key: &str) -> Result<bool> {
        Ok(self.get::<Option<bool>>(key, "true or false")?.flatten().unwrap_or_default())
    }

    /// Whole number; 0 when absent.
    pub fn integer(&self, key: &str) -> Result<i64> {
        Ok(self.get::<Option<i64>>(key, "a whole number")?.flatten().unwrap_or_default())
    }

    /// Bytes in standard, padded base64; empty when absent.
    pub fn bytes(&self, key: &str) -> Result<Vec<u8>> {
        let text = self.text(key)?;
        base64::engine::general_purpose::STANDARD
            .decode(text.as_bytes())
            .map_err(|error| invalid(format!("`{key}` is not padded standard base64")).with_source(error))
    }

    /// Any value; `null` when absent.
    pub fn value(&self, key: &str) -> Result<Value> {
        Ok(self.get::<Value>(key, "JSON")?.unwrap_or(Value::Null))
    }

    /// The field as it was written; `None` when absent or `null`.
    #[must_use]
    pub fn raw(&self, key: &str) -> Option<&'a str> {
        self.find(key).map(RawValue::get).filter(|raw| *raw != "null")
    }

    /// Map of texts; empty when absent.
    pub fn texts(&self, key: &str) -> Result<Vec<(String, String)>> {
        match self.value(key)? {
            Value::Null => Ok(Vec::new()),
            Value::Object(map) => map
                .into_iter()
                .map(|(name, value)| match value {
                    Value::String(text) => Ok((name, text)),
                    _ => Err(invalid(format!("`{key}` has a value that is not a string"))),
                })
                .collect(),
            _ => Err(invalid(format!("`{key}` is not an object"))),
        }
    }

    /// A text, or an array of texts, none of them empty; there must be one at least.
    pub fn text_or_texts(&self, key: &str) -> Result<Vec<String>> {
        let texts = match self.value(key)? {
            Value::Null => Vec::new(),
            Value::String(text) => vec![text],
            Value::Array(items) => items
                .into_iter()
                .map(|item| match item {
                    Value::String(text) => Ok(text),
                    _ => Err(invalid(format!("`{key}` has an element that is not a string"))),
                })
                .collect::<Result<_>>()?,
            _ => return Err(invalid(format!("`{key}` is neither a string nor an array of strings"))),
        };
        if texts.is_empty() || texts.iter().any(String::is_empty) {
            return Err(invalid(format!("`{key}` is missing")));
        }
        Ok(texts)
    }

    /// Values for the placeholders of a statement.
    pub fn sql_values(&self, key: &str) -> Result<Vec<SqlValue>> {
        let values = self.get::<Option<Vec<&'a RawValue>>>(key, "an array")?.flatten().unwrap_or_default();
        values.into_iter().map(|value| sql_value(value.get())).collect()
    }

    fn get<T: Deserialize<'a>>(&self, key: &str, expected: &str) -> Result<Option<T>> {
        let Some(raw) = self.find(key) else { return Ok(None) };
        serde_json::from_str(raw.get())
            .map(Some)
            .map_err(|error| invalid(format!("`{key}` is not {expected}")).with_source(error))
    }

    fn find(&self, key: &str) -> Option<&'a RawValue> {
        self.fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| *value)
    }
}

fn sql_value(text: &str) -> Result<SqlValue> {
    let value =
        serde_json::from_str(text).map_err(|error| invalid("a statement argument is not JSON").with_source(error))?;
    Ok(match value {
        Value::Null => SqlValue::Null,
        Value::Bool(truth) => SqlValue::Boolean(truth),
        Value::Number(number) => sql_number(&number, text)?,
        Value::String(text) => SqlValue::Text(text),
        Value::Array(_) | Value::Object(_) => {
            return Err(invalid(
                "statement arguments are null, true, false, numbers and strings, not arrays or objects",
            ));
        }
    })
}

/// `text` tells a large integer, which the parser takes for a double, from a number that was written as one.
fn sql_number(number: &Number, text: &str) -> Result<SqlValue> {
    if let Some(integer) = number.as_i64()
        && integer.unsigned_abs() <= MAX_EXACT_INTEGER
    {
        return Ok(SqlValue::Integer(integer));
    }
    match number.as_f64() {
        Some(real) if text.contains(['.', 'e', 'E']) => Ok(SqlValue::Real(real)),
        _ => Err(invalid(format!(
            "the integer {} is beyond 2^53, where JSON readers disagree (pass it as a string)",
            shorten(text, 40)
        ))),
    }
}

fn invalid(context: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorCode::PolicyArguments, context)
}

impl<'de> Deserialize<'de> for Arguments<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Arguments<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
        #[derive(serde::Deserialize)]
        struct Key<'a>(#[serde(borrow)] Cow<'a, str>);
        let mut fields: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::with_capacity(4);
        while let Some((Key(key), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
            if fields.len() == MAX_KEYS {
                return Err(serde::de::Error::custom("too many keys"));
            }
            if fields.iter().any(|(known, _)| known.eq_ignore_ascii_case(&key)) {
                let key = shorten(&key, 40);
                return Err(serde::de::Error::custom(format!("key `{key}` appears twice")));
            }
            fields.push((key, value));
        }
        Ok(Arguments { fields })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code<T: fmt::Debug>(result: Result<T>) -> ErrorCode {
        result.unwrap_err().code()
    }

    #[test]
    fn absent_and_null_are_zero_values() {
        for text in ["{}", r#"{"a":null}"#] {
            let arguments = Arguments::parse(text.as_bytes()).unwrap();
            assert_eq!(arguments.text("a").unwrap(), "");
            assert_eq!(arguments.integer("a").unwrap(), 0);
            assert!(!arguments.boolean("a").unwrap());
            assert_eq!(arguments.bytes("a").unwrap(), b"");
            assert_eq!(arguments.sql_values("a").unwrap(), []);
            assert_eq!(arguments.raw("a"), None);
        }
    }

    #[test]
    fn keys_match_regardless_of_case_and_escapes() {
        let arguments = Arguments::parse(br#"{"\u0051uery":"x\ty"}"#).unwrap();
        assert_eq!(arguments.text("query").unwrap(), "x\ty");
    }

    #[test]
    fn sql_values_keep_their_kind() {
        let arguments = Arguments::parse(br#"{"args":[null,true,7,-9007199254740992,1.5,1e300,"s"]}"#).unwrap();
        assert_eq!(
            arguments.sql_values("args").unwrap(),
            [
                SqlValue::Null,
                SqlValue::Boolean(true),
                SqlValue::Integer(7),
                SqlValue::Integer(-9_007_199_254_740_992),
                SqlValue::Real(1.5),
                SqlValue::Real(1e300),
                SqlValue::Text("s".into()),
            ]
        );
    }

    #[test]
    fn what_readers_disagree_about_is_refused() {
        for text in
            ["", "[]", "{", r#"{"a":1,"a":2}"#, r#"{"a":1,"A":2}"#, r#"{"a":1,"\u0061":2}"#, "{} x", "\u{feff}{}"]
        {
            assert_eq!(code(Arguments::parse(text.as_bytes())), ErrorCode::PolicyArguments, "{text}");
        }
        for big in ["9007199254740993", "-9007199254740993", "18446744073709551617"] {
            let text = format!(r#"{{"args":[{big}]}}"#);
            let big = Arguments::parse(text.as_bytes()).unwrap();
            assert_eq!(code(big.sql_values("args")), ErrorCode::PolicyArguments);
        }
        let nested = Arguments::parse(br#"{"args":[[1]]}"#).unwrap();
        assert_eq!(code(nested.sql_values("args")), ErrorCode::PolicyArguments);
        assert_eq!(code(Arguments::parse(br#"{"a":7}"#).unwrap().text("a")), ErrorCode::PolicyArguments);
        assert_eq!(code(Arguments::parse(br#"{"a":"%"}"#).unwrap().bytes("a")), ErrorCode::PolicyArguments);
        assert_eq!(code(Arguments::parse(b"{\"a\":\"\xff\"}")), ErrorCode::PolicyArguments);
    }
}
