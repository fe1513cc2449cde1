//! Registrations of plugins that were built when a registration was not yet JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value as Json};

use super::wire::Value;
use crate::error::{Error, ErrorCode, Result};

/// The JSON document of a registration.
pub(super) fn document(value: Value) -> Result<Vec<u8>> {
    match value {
        Value::Bytes(json) => Ok(json),
        Value::Struct(_) => serde_json::to_vec(&json(value)).map_err(|error| {
            Error::new(ErrorCode::PackageRegistrationInvalid, "the plugin's registration can't be written as JSON")
                .with_source(error)
        }),
        other => Err(Error::new(
            ErrorCode::PluginProtocol,
            format!("the plugin registers with {} (it must send JSON or a struct)", other.kind()),
        )),
    }
}

fn json(value: Value) -> Json {
    match value {
        Value::Null | Value::Complex(..) => Json::Null,
        Value::Bool(value) => value.into(),
        Value::Int(value) => value.into(),
        Value::Uint(value) => value.into(),
        Value::Float(value) => Number::from_f64(value).map_or(Json::Null, Json::Number),
        Value::Bytes(bytes) => STANDARD.encode(bytes).into(),
        Value::Text(text) => text.into(),
        Value::List(values) => values.into_iter().map(json).collect(),
        Value::Map(pairs) => {
            pairs.into_iter().map(|(key, value)| (map_key(key), json(value))).collect::<Map<_, _>>().into()
        }
        Value::Struct(fields) => {
            fields.into_iter().map(|(name, value)| (snake_case(&name), json(value))).collect::<Map<_, _>>().into()
        }
    }
}

/// Keys of maps are data, and stay as they are.
fn map_key(key: Value) -> String {
    match key {
        Value::Text(text) => text,
        other => json(other).to_string(),
    }
}

/// The JSON key of a Go field: `MenuItems` is `menu_items`, `HTTPStatus` is `http_status`, `ID` is `id`.
fn snake_case(name: &str) -> String {
    let mut key = String::new();
    let mut before = None;
    let mut rest = name.chars().peekable();
    while let Some(character) = rest.next() {
        let starts_word = before.is_some_and(|before: char| {
            before.is_lowercase() || before.is_numeric() || rest.peek().is_some_and(|next| next.is_lowercase())
        });
        if character.is_uppercase() && starts_word {
            key.push('_');
        }
        key.extend(character.to_lowercase());
        before = Some(character);
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_go_get_the_keys_of_json() {
        let pairs = [
            ("Name", "name"),
            ("MenuItems", "menu_items"),
            ("ID", "id"),
            ("HTTPStatus", "http_status"),
            ("I18n", "i18n"),
            ("MinHostVersion", "min_host_version"),
            ("RefreshSec", "refresh_sec"),
            ("HideMenuItems", "hide_menu_items"),
            ("name", "name"),
            ("", ""),
        ];
        for (field, key) in pairs {
            assert_eq!(snake_case(field), key);
        }
    }

    #[test]
    fn what_is_neither_json_nor_a_struct_is_no_registration() {
        assert_eq!(document(Value::Text("{}".into())).unwrap_err().code(), ErrorCode::PluginProtocol);
        assert_eq!(document(Value::Bytes(b"{}".to_vec())).unwrap(), b"{}");
    }
}
