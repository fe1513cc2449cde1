//! The sections `http` and `mail`: what the built-in providers may do. Without a section there is no provider.

use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::refused;
use crate::error::Result;
use crate::host::Provider;

/// The built-in HTTP client.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// False turns the client off as if the section were not there.
    pub enabled: bool,
    /// Longest time for a request with all its redirects, in milliseconds; the call's own deadline may be sooner.
    #[schemars(range(min = 1))]
    pub timeout_ms: u64,
    /// Longest body that a plugin may send, in bytes.
    pub max_request_bytes: usize,
    /// Longest body that is taken from a server, in bytes, after decompression.
    pub max_response_bytes: u64,
    /// Requests that one plugin may have under way.
    #[schemars(range(min = 1))]
    pub max_concurrent_per_plugin: u32,
    /// Certificates to trust besides those of the operating system: a file in PEM.
    pub ca_file: Option<PathBuf>,
    /// `User-Agent` of all requests.
    pub user_agent: String,
}

/// The built-in mailer.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MailConfig {
    /// Name or address of the mail server.
    pub host: String,
    /// Its port; the usual one for `encryption` when absent (587, 465, 25).
    #[serde(default)]
    pub port: Option<u16>,
    /// Whether and when the connection is encrypted.
    #[serde(default)]
    pub encryption: EncryptionConfig,
    /// Name to log in with.
    #[serde(default)]
    pub username: Option<String>,
    /// Password to log in with.
    #[serde(default)]
    pub password: Option<Secret>,
    /// File whose first line is the password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Sender of all e-mails: `address` or `Name <address>`.
    pub from: String,
    /// Where answers go, if not to the sender.
    #[serde(default)]
    pub reply_to: Option<String>,
    /// Name that the host greets the server with.
    #[serde(default = "hello_name")]
    pub hello_name: String,
    /// Longest time for one e-mail, in milliseconds; the call's own deadline may be sooner.
    #[serde(default = "mail_timeout_ms")]
    #[schemars(range(min = 1))]
    pub timeout_ms: u64,
    /// E-mails that one plugin may have under way.
    #[serde(default = "mails_at_a_time")]
    #[schemars(range(min = 1))]
    pub max_concurrent_per_plugin: u32,
    /// Certificates to trust besides those of the operating system: a file in PEM.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

/// When the connection to the mail server is encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EncryptionConfig {
    /// After `STARTTLS`, which the server must offer.
    #[default]
    Starttls,
    /// From the first byte.
    Tls,
    /// Never; only for a server on the same machine or network.
    Plain,
}

/// A text that is not shown.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Secret(#[cfg_attr(not(feature = "mail"), expect(dead_code, reason = "only the mailer reads it"))] String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            timeout_ms: 30_000,
            max_request_bytes: 10 * 1024 * 1024,
            max_response_bytes: 10 * 1024 * 1024,
            max_concurrent_per_plugin: 8,
            ca_file: None,
            user_agent: concat!("goatflow-plugin/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

fn hello_name() -> String {
    "localhost".to_owned()
}

fn mail_timeout_ms() -> u64 {
    30_000
}

fn mails_at_a_time() -> u32 {
    4
}

impl HttpConfig {
    pub(super) fn check(&self) -> Result<()> {
        if self.timeout_ms == 0 || self.max_concurrent_per_plugin == 0 {
            return Err(refused("`http.timeout_ms` and `http.max_concurrent_per_plugin` are at least 1"));
        }
        if !self.user_agent.bytes().all(|byte| matches!(byte, b' '..=b'~')) || self.user_agent.trim().is_empty() {
            return Err(refused("`http.user_agent` is not printable ASCII"));
        }
        Ok(())
    }

    /// The client; none when it is turned off.
    pub(super) fn provider(&self) -> Result<Option<Box<dyn Provider>>> {
        if self.enabled { client(self).map(Some) } else { Ok(None) }
    }
}

impl MailConfig {
    pub(super) fn check(&self) -> Result<()> {
        if self.timeout_ms == 0 || self.max_concurrent_per_plugin == 0 || self.port == Some(0) {
            return Err(refused("`mail.timeout_ms`, `mail.max_concurrent_per_plugin` and `mail.port` are at least 1"));
        }
        let passwords = usize::from(self.password.is_some()) + usize::from(self.password_file.is_some());
        if passwords != usize::from(self.username.is_some()) {
            return Err(refused("`mail.username` goes together with either `mail.password` or `mail.password_file`"));
        }
        Ok(())
    }

    /// The mailer.
    pub(super) fn provider(&self) -> Result<Box<dyn Provider>> {
        mailer(self)
    }
}

#[cfg(feature = "http")]
fn client(config: &HttpConfig) -> Result<Box<dyn Provider>> {
    use crate::providers::http::{HttpClient, HttpOptions};
    let client = HttpClient::new(HttpOptions {
        timeout: std::time::Duration::from_millis(config.timeout_ms),
        max_request_bytes: config.max_request_bytes,
        max_response_bytes: config.max_response_bytes,
        max_concurrent_per_plugin: config.max_concurrent_per_plugin,
        ca_file: config.ca_file.clone(),
        user_agent: config.user_agent.clone(),
    })?;
    Ok(Box::new(client))
}

#[cfg(not(feature = "http"))]
fn client(_: &HttpConfig) -> Result<Box<dyn Provider>> {
    Err(not_built("HTTP client", "http"))
}

#[cfg(feature = "mail")]
fn mailer(config: &MailConfig) -> Result<Box<dyn Provider>> {
    use crate::providers::mail::{Encryption, MailOptions, Mailer};
    let (encryption, usual_port) = match config.encryption {
        EncryptionConfig::Starttls => (Encryption::Starttls, 587),
        EncryptionConfig::Tls => (Encryption::Tls, 465),
        EncryptionConfig::Plain => (Encryption::Plain, 25),
    };
    Ok(Box::new(Mailer::new(MailOptions {
        host: config.host.clone(),
        port: config.port.unwrap_or(usual_port),
        encryption,
        credentials: credentials(config)?,
        from: config.from.clone(),
        reply_to: config.reply_to.clone(),
        hello_name: config.hello_name.clone(),
        timeout: std::time::Duration::from_millis(config.timeout_ms),
        max_concurrent_per_plugin: config.max_concurrent_per_plugin,
        ca_file: config.ca_file.clone(),
    })?))
}

#[cfg(feature = "mail")]
fn credentials(config: &MailConfig) -> Result<Option<crate::providers::mail::Credentials>> {
    let Some(user) = config.username.clone() else { return Ok(None) };
    let password = match (&config.password, &config.password_file) {
        (Some(password), _) => password.0.clone(),
        (None, Some(path)) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| refused("`mail.password_file` can't be read").with_source(error))?;
            text.lines().next().unwrap_or_default().to_owned()
        }
        (None, None) => return Ok(None),
    };
    Ok(Some(crate::providers::mail::Credentials { user, password }))
}

#[cfg(not(feature = "mail"))]
fn mailer(_: &MailConfig) -> Result<Box<dyn Provider>> {
    Err(not_built("mailer", "mail"))
}

#[cfg(not(all(feature = "http", feature = "mail")))]
fn not_built(what: &str, feature: &str) -> crate::error::Error {
    let context = format!("this build has no {what} (feature `{feature}`)");
    crate::error::Error::new(crate::error::ErrorCode::EnvironmentUnsupported, context)
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use crate::error::ErrorCode;

    #[test]
    fn sections_are_read_strictly() {
        for text in [
            r#"{"http":[]}"#,
            r#"{"http":{"timeout_ms":0}}"#,
            r#"{"http":{"max_concurrent_per_plugin":0}}"#,
            r#"{"http":{"user_agent":"a\r\nHost: b"}}"#,
            r#"{"http":{"proxy":"http://x"}}"#,
            r#"{"mail":{}}"#,
            r#"{"mail":{"host":"h"}}"#,
            r#"{"mail":["h",null,"plain",null,null,null,"a@b.example"]}"#,
            r#"{"mail":{"host":"h","from":"a@b.example","encryption":"maybe"}}"#,
            r#"{"mail":{"host":"h","from":"a@b.example","username":"u"}}"#,
            r#"{"mail":{"host":"h","from":"a@b.example","password":"p"}}"#,
            r#"{"mail":{"host":"h","from":"a@b.example","username":"u","password":"p","password_file":"f"}}"#,
        ] {
            assert_eq!(Config::parse(text.as_bytes()).unwrap_err().code(), ErrorCode::ArgumentConfig, "{text}");
        }
    }

    #[test]
    fn the_password_is_not_shown() {
        let text = r#"{"mail":{"host":"h","from":"a@b.example","username":"u","password":"hunter2"}}"#;
        assert!(!format!("{:?}", Config::parse(text.as_bytes()).unwrap()).contains("hunter2"));
    }
}
