//! Rows as the JSON that plugins rely on (docs/contract.md 2.1): an array of objects with sorted keys, `null` for no rows.

use base64::Engine;
use rusqlite::Rows;
use rusqlite::types::ValueRef;
use serde_json::{Map, Number, Value};

use crate::error::{Error, ErrorCode, Result};
use crate::host::Reply;

/// Longest result of a query, in bytes of JSON.
const MAX_RESULT_BYTES: usize = 16 * 1024 * 1024;

/// Reads all rows.
pub(super) fn to_json(rows: &mut Rows<'_>, failed: impl Fn(rusqlite::Error) -> Error) -> Result<Reply> {
    let mut columns: Vec<String> = Vec::new();
    let mut json = Vec::new();
    while let Some(row) = rows.next().map_err(&failed)? {
        if json.is_empty() {
            // Only now: the first step prepares the statement again when the schema has changed.
            let statement: &rusqlite::Statement<'_> = row.as_ref();
            columns = statement.column_names().map(str::to_owned).collect();
        }
        json.push(if json.is_empty() { b'[' } else { b',' });
        let mut object = Map::new();
        for (index, column) in columns.iter().enumerate() {
            object.insert(column.clone(), value(row.get_ref(index).map_err(&failed)?));
        }
        serde_json::to_writer(&mut json, &object)
            .map_err(|error| crate::error::bug!("a row does not become JSON: {error}"))?;
        if json.len() > MAX_RESULT_BYTES {
            return Err(Error::new(
                ErrorCode::PolicyQuotaExceeded,
                format!("the result has more than {MAX_RESULT_BYTES} bytes (select fewer columns, or use LIMIT)"),
            ));
        }
    }
    if json.is_empty() {
        return Ok(Reply::Borrowed(b"null"));
    }
    json.push(b']');
    Ok(json.into())
}

/// A value as text; `None` for NULL.
pub(super) fn text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(integer) => Some(integer.to_string()),
        ValueRef::Real(real) => Some(real.to_string()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
    }
}

fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(integer) => integer.into(),
        ValueRef::Real(real) => Number::from_f64(real).map_or(Value::Null, Value::Number),
        ValueRef::Text(bytes) => String::from_utf8_lossy(bytes).into_owned().into(),
        // Bytes that are text are a string, as in the reference; others would be destroyed that way.
        ValueRef::Blob(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(_) => base64::engine::general_purpose::STANDARD.encode(bytes).into(),
        },
    }
}
