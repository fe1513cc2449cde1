//! Host calls as typed values. They are parsed once; the very value that a gate checked is what a provider gets.

use std::sync::Arc;

use base64::Engine;
use serde_json::{Map, Value, json};

use super::arguments::Arguments;
use super::functions::Function;
use super::log::LogLevel;
use super::outbound::{HttpRequest, Mail};
use crate::error::{Error, ErrorCode, Result};

/// A value for a placeholder of a statement.
#[derive(Debug, Clone, PartialEq)]
pub enum SqlValue {
    /// NULL.
    Null,
    /// Truth value.
    Boolean(bool),
    /// Whole number.
    Integer(i64),
    /// Floating point number.
    Real(f64),
    /// Text.
    Text(String),
}

impl SqlValue {
    fn to_json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Boolean(truth) => (*truth).into(),
            Self::Integer(integer) => (*integer).into(),
            Self::Real(real) => (*real).into(),
            Self::Text(text) => text.as_str().into(),
        }
    }
}

/// Which tables a checked statement touches: what a database that can check it again is told.
pub trait TableFacts: std::fmt::Debug + Send + Sync {
    /// The statement reads this table.
    fn reads(&self, table: &str) -> bool;
    /// The statement writes this table.
    fn writes(&self, table: &str) -> bool;
}

/// How much a plugin may keep in the cache; 0 = no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheQuota {
    /// Bytes of keys and values.
    pub bytes: u64,
    /// Entries.
    pub entries: u64,
}

/// A statement and its values.
#[derive(Debug, Clone)]
pub struct Statement {
    /// Name of the database, from an `@name:` prefix; empty for the default one.
    pub database: String,
    /// Text; after the gate the canonical text that was checked.
    pub sql: Arc<str>,
    /// Values of the placeholders, in their order in the text.
    pub values: Vec<SqlValue>,
    /// What the gate found out about the text; `None` before the gate.
    pub facts: Option<Arc<dyn TableFacts>>,
}

/// A host call.
#[derive(Debug, Clone)]
pub enum Request<'a> {
    /// `db_query`
    DbQuery(Statement),
    /// `db_exec`
    DbExec(Statement),
    /// `cache_get`
    CacheGet {
        /// Key inside the plugin's own namespace.
        key: String,
    },
    /// `cache_set`
    CacheSet {
        /// Key inside the plugin's own namespace.
        key: String,
        /// Bytes to keep.
        value: Vec<u8>,
        /// Seconds to keep them; 0 = until they are pushed out.
        ttl_s: i64,
        /// How much the plugin may keep; set by the gate.
        quota: CacheQuota,
    },
    /// `cache_delete`
    CacheDelete {
        /// Key inside the plugin's own namespace.
        key: String,
    },
    /// `http_request`
    Http(HttpRequest),
    /// `send_email`
    Email(Mail),
    /// `config_get`
    ConfigGet {
        /// Key.
        key: String,
    },
    /// `translate`
    Translate {
        /// Key.
        key: String,
        /// Values for the text's `%` verbs.
        args: Vec<Value>,
    },
    /// `plugin_call`
    PluginCall {
        /// Callee.
        plugin: String,
        /// Its function.
        function: String,
        /// Arguments, passed through as they are.
        arguments: &'a str,
    },
    /// `publish_event`
    PublishEvent {
        /// Channel; empty in the 0.7 form.
        channel: String,
        /// Type.
        event_type: String,
        /// Payload.
        data: Value,
    },
    /// `log`
    Log {
        /// Importance.
        level: LogLevel,
        /// Text.
        message: String,
        /// Further facts.
        fields: Map<String, Value>,
    },
    /// A function that the host declared.
    Custom {
        /// Arguments.
        arguments: Value,
    },
}

impl<'a> Request<'a> {
    /// Reads the arguments of `function`.
    pub fn parse(function: Function, text: &'a [u8]) -> Result<Self> {
        let arguments = Arguments::parse(text)?;
        let owned = |key| arguments.text(key).map(std::borrow::Cow::into_owned);
        let required = |key| arguments.required_text(key).map(std::borrow::Cow::into_owned);
        Ok(match function {
            Function::DbQuery => Self::DbQuery(statement(&arguments)?),
            Function::DbExec => Self::DbExec(statement(&arguments)?),
            Function::CacheGet => Self::CacheGet { key: required("key")? },
            Function::CacheSet => Self::CacheSet {
                key: required("key")?,
                value: arguments.bytes("value")?,
                ttl_s: arguments.integer("ttl")?,
                quota: CacheQuota::default(),
            },
            Function::CacheDelete => Self::CacheDelete { key: required("key")? },
            Function::HttpRequest => Self::Http(HttpRequest {
                method: owned("method")?,
                url: required("url")?,
                headers: arguments.texts("headers")?,
                body: arguments.bytes("body")?,
                target: None,
            }),
            Function::SendEmail => Self::Email(Mail {
                to: arguments.text_or_texts("to")?,
                subject: owned("subject")?,
                body: owned("body")?,
                html: arguments.boolean("html")?,
            }),
            Function::ConfigGet => Self::ConfigGet { key: required("key")? },
            Function::Translate => Self::Translate { key: owned("key")?, args: list(arguments.value("args")?)? },
            Function::PluginCall => Self::PluginCall {
                plugin: required("plugin")?,
                function: required("function")?,
                arguments: arguments.raw("args").unwrap_or_default(),
            },
            Function::PublishEvent => Self::PublishEvent {
                channel: owned("channel")?,
                event_type: owned("event_type")?,
                data: arguments.value("data")?,
            },
            Function::Log => Self::Log {
                level: LogLevel::from_name(&arguments.text("level")?).unwrap_or(LogLevel::Info),
                message: owned("message")?,
                fields: object(arguments.value("fields")?)?,
            },
        })
    }

    /// What the call takes from a limit on the number of calls: one, for an e-mail one for each recipient.
    #[must_use]
    pub fn weight(&self) -> u32 {
        match self {
            Self::Email(mail) => u32::try_from(mail.to.len()).unwrap_or(u32::MAX).max(1),
            _ => 1,
        }
    }

    /// The call's arguments as JSON, made from what was checked and nothing else.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Self::DbQuery(statement) | Self::DbExec(statement) => json!({
                "database": statement.database,
                "query": &*statement.sql,
                "args": statement.values.iter().map(SqlValue::to_json).collect::<Vec<_>>(),
            }),
            Self::CacheGet { key } | Self::CacheDelete { key } | Self::ConfigGet { key } => json!({ "key": key }),
            Self::CacheSet { key, value, ttl_s, .. } => {
                json!({ "key": key, "value": base64_text(value), "ttl": ttl_s })
            }
            Self::Http(request) => request.to_json(),
            Self::Email(mail) => mail.to_json(),
            Self::Translate { key, args } => json!({ "key": key, "args": args }),
            Self::PluginCall { plugin, function, arguments } => json!({
                "plugin": plugin,
                "function": function,
                "args": serde_json::from_str::<Value>(arguments).unwrap_or(Value::Null),
            }),
            Self::PublishEvent { channel, event_type, data } => {
                json!({ "channel": channel, "event_type": event_type, "data": data })
            }
            Self::Log { level, message, fields } => {
                json!({ "level": level.name(), "message": message, "fields": fields })
            }
            Self::Custom { arguments } => arguments.clone(),
        }
    }
}

/// Bytes as JSON messages carry them.
pub(super) fn base64_text(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn statement(arguments: &Arguments<'_>) -> Result<Statement> {
    let query = arguments.required_text("query")?;
    let (database, sql) = split_database(&query);
    let values = arguments.sql_values("args")?;
    Ok(Statement { database: database.to_owned(), sql: sql.into(), values, facts: None })
}

/// Splits an `@name:` prefix from a query (docs/contract.md 2.4).
fn split_database(query: &str) -> (&str, &str) {
    query
        .strip_prefix('@')
        .and_then(|rest| rest.split_once(':'))
        .filter(|(name, _)| !name.is_empty())
        .unwrap_or(("", query))
}

fn list(value: Value) -> Result<Vec<Value>> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(list) => Ok(list),
        _ => Err(Error::new(ErrorCode::PolicyArguments, "`args` is not an array")),
    }
}

fn object(value: Value) -> Result<Map<String, Value>> {
    match value {
        Value::Null => Ok(Map::new()),
        Value::Object(map) => Ok(map),
        _ => Err(Error::new(ErrorCode::PolicyArguments, "`fields` is not an object")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_prefixes_split_as_in_the_reference() {
        for (query, expected) in [
            ("SELECT 1", ("", "SELECT 1")),
            ("@primary:SELECT 1", ("primary", "SELECT 1")),
            ("@test: SELECT * FROM users", ("test", " SELECT * FROM users")),
            ("@:SELECT 1", ("", "@:SELECT 1")),
            ("@x", ("", "@x")),
        ] {
            assert_eq!(split_database(query), expected, "{query}");
        }
    }

    #[test]
    fn a_host_sees_what_was_checked_and_nothing_else() {
        let text = br#"{"key":"k","value":"dGVzdA==","ttl":5,"surprise":1}"#;
        let request = Request::parse(Function::CacheSet, text).unwrap();
        assert_eq!(request.to_json(), json!({"key":"k","value":"dGVzdA==","ttl":5}));
    }

    #[test]
    fn a_missing_key_is_named() {
        let error = Request::parse(Function::SendEmail, b"{}").unwrap_err();
        assert_eq!((error.code(), error.to_string().as_str()), (ErrorCode::PolicyArguments, "`to` is missing"));
    }
}
