//! What a plugin says about itself when it is asked to register (GoatFlow's `GKRegistration`). Read leniently: a
//! shipped first-party plugin declares `i18n` in a shape of its own, and unknown keys are common.

use serde_json::{Map, Value};

use super::name::check_name;
use crate::error::{Error, ErrorCode, Result};

/// Longest registration that is read, in bytes.
pub const MAX_REGISTRATION_BYTES: usize = 1024 * 1024;

/// A registration that was read and checked.
#[derive(Debug, Clone)]
pub struct Registration {
    name: String,
    version: String,
    document: Value,
}

impl Registration {
    /// Reads the JSON that `gk_register` gave.
    pub fn parse(text: &[u8]) -> Result<Self> {
        if text.len() > MAX_REGISTRATION_BYTES {
            return Err(invalid(format!("the registration is larger than {MAX_REGISTRATION_BYTES} bytes")));
        }
        let document: Value = serde_json::from_slice(text)
            .map_err(|error| invalid("the plugin's registration is not JSON").with_source(error))?;
        let Value::Object(fields) = &document else {
            return Err(invalid("the plugin's registration is not a JSON object"));
        };
        let name = text_field(fields, "name")?;
        if name.is_empty() {
            return Err(invalid("the plugin's registration has no `name`"));
        }
        check_name(&name)?;
        let version = text_field(fields, "version")?;
        Ok(Self { name, version, document })
    }

    /// Name the plugin is called by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Version, empty when the plugin does not tell.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The whole registration as the plugin gave it.
    #[must_use]
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// What the plugin asks for; `null` when it does not ask.
    #[must_use]
    pub fn resources(&self) -> &Value {
        field(&self.document, "resources")
    }

    /// Translations as (language, key, text); keys carry the plugin's namespace. What does not have the
    /// expected shape is passed over.
    pub fn translations(&self) -> impl Iterator<Item = (&str, String, &str)> {
        let i18n = field(&self.document, "i18n");
        let namespace = field(i18n, "namespace").as_str().filter(|namespace| !namespace.is_empty());
        let namespace = namespace.unwrap_or(&self.name);
        let languages = field(i18n, "translations").as_object().into_iter().flatten();
        languages.flat_map(move |(language, keys)| {
            keys.as_object()
                .into_iter()
                .flatten()
                .filter_map(move |(key, text)| Some((language.as_str(), format!("{namespace}.{key}"), text.as_str()?)))
        })
    }
}

fn field<'a>(value: &'a Value, name: &str) -> &'a Value {
    value.as_object().and_then(|fields| lookup(fields, name)).unwrap_or(&Value::Null)
}

/// Go's rule: the exact key, else one that differs in case only.
fn lookup<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields.get(name).or_else(|| fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

fn text_field(fields: &Map<String, Value>, name: &str) -> Result<String> {
    match lookup(fields, name) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(invalid(format!("`{name}` in the plugin's registration is not a string"))),
    }
}

fn invalid(context: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorCode::PackageRegistrationInvalid, context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_leniently_as_plugins_expect() {
        let registration = Registration::parse(
            br#"{"Name":"stats","version":null,"i18n":{"en":{"title":"Stats"}},"zzz":[1],"routes":null}"#,
        )
        .unwrap();
        assert_eq!((registration.name(), registration.version()), ("stats", ""));
        assert_eq!(registration.translations().count(), 0);
        assert_eq!(registration.resources(), &Value::Null);
    }

    #[test]
    fn translations_carry_the_namespace() {
        let text = br#"{"name":"a","i18n":{"translations":{"de":{"x":"Hallo","y":3}}}}"#;
        let registration = Registration::parse(text).unwrap();
        let all: Vec<_> = registration.translations().collect();
        assert_eq!(all, [("de", "a.x".to_owned(), "Hallo")]);
    }

    #[test]
    fn refuses_what_has_no_usable_name() {
        for text in ["", "[]", "{}", r#"{"name":null}"#, r#"{"name":7}"#, "{\"name\":\"a\""] {
            let error = Registration::parse(text.as_bytes()).unwrap_err();
            assert_eq!(error.code(), ErrorCode::PackageRegistrationInvalid, "{text}");
        }
        let deep = format!("{{\"name\":\"a\",\"x\":{}1{}}}", "[".repeat(500), "]".repeat(500));
        assert_eq!(Registration::parse(deep.as_bytes()).unwrap_err().code(), ErrorCode::PackageRegistrationInvalid);
    }
}
