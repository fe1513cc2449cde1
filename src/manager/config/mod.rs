//! The configuration document of a manager: JSON, strict. Every field has a default.

mod native;
mod outbound;
pub mod packages;
mod store;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

pub use self::native::NativeConfig;
pub use self::outbound::{EncryptionConfig, HttpConfig, MailConfig, Secret};
pub use self::packages::PackagesConfig;
use super::Providers;
use crate::error::{Error, ErrorCode, Result};
use crate::host::Service;
use crate::json::{self, unique_map, unique_maps};
use crate::policy::{DefaultRules, document};
use crate::providers::config::{ConfigValues, Lookup};
use crate::providers::translations::Translations;
use crate::runtime::wasm::{ScanLimits, Signals};
use crate::sandbox::sql::{Dialect, SqlProfile};

pub use store::PolicyStoreConfig;

/// Configuration of a manager.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "goatflow-plugin manager configuration")]
pub struct Config {
    /// Version of this format.
    #[schemars(range(min = 1, max = 1))]
    pub version: u32,
    /// Database that plugins query.
    pub database: DatabaseConfig,
    /// The built-in cache.
    pub cache: CacheConfig,
    /// The built-in HTTP client; without it a host answers `http_request` itself, or nobody does.
    pub http: Option<HttpConfig>,
    /// The built-in mailer; without it a host answers `send_email` itself, or nobody does.
    pub mail: Option<MailConfig>,
    /// What `config_get` answers.
    pub config: ConfigSection,
    /// Texts by language and key; they win over texts that plugins register.
    #[serde(deserialize_with = "unique_maps")]
    pub translations: BTreeMap<String, BTreeMap<String, String>>,
    /// Language of calls that name none, and of texts that another language lacks.
    pub default_language: String,
    /// Policy documents by plugin, as an administrator would set them; stored where none is stored yet.
    #[serde(deserialize_with = "unique_map")]
    #[schemars(with = "BTreeMap<String, Value>")]
    pub policies: BTreeMap<String, Box<RawValue>>,
    /// Where policies and enablement are kept.
    pub policy_store: PolicyStoreConfig,
    /// Tables that are never granted by default, besides the built-in list: names, or patterns with `*`.
    pub sensitive_tables: Vec<String>,
    /// Bounds that no policy can exceed.
    pub limits: LimitsConfig,
    /// Packages and signatures.
    pub packages: PackagesConfig,
    /// Native plugins.
    pub native: NativeConfig,
    /// How plugins are asked whether they are healthy.
    pub health: HealthConfig,
    /// Whether memory faults of guests are noticed by signal handlers, which are process-wide.
    pub signals: SignalsConfig,
}

/// Database that plugins query.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DatabaseConfig {
    /// Dialect of the statements that the database runs. Only needed for a database behind a host callback.
    pub dialect: Option<DialectConfig>,
    /// Schema that unqualified table names live in; naming it changes nothing.
    pub default_schema: Option<String>,
    /// The embedded database.
    pub sqlite: Option<SqliteConfig>,
    /// Ends statements for a PostgreSQL or MySQL database with a comment that names the plugin, so that the database's own
    /// logs and views show who is asking.
    pub stamp_caller: bool,
}

/// SQL dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DialectConfig {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
    /// MySQL and MariaDB.
    Mysql,
}

/// The embedded database.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqliteConfig {
    /// File, or `:memory:`.
    pub path: PathBuf,
    /// SQL script that is run once, when the database is made.
    #[serde(default)]
    pub init_script: Option<PathBuf>,
    /// Refuses every change.
    #[serde(default)]
    pub read_only: bool,
}

/// The built-in cache.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CacheConfig {
    /// Bytes for all plugins together.
    pub max_bytes: u64,
}

/// What `config_get` answers.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConfigSection {
    /// Values by key.
    #[serde(deserialize_with = "unique_map")]
    pub values: BTreeMap<String, String>,
    /// Also looks into the tables `sysconfig_modified` and `sysconfig_default` of the embedded database.
    pub database: bool,
}

/// Bounds that no policy can exceed.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Reading and compiling a plugin, in milliseconds.
    pub load_timeout_ms: u64,
    /// Memory of an instance, in bytes.
    pub max_memory_bytes: usize,
    /// Instances of a plugin.
    #[schemars(range(min = 1))]
    pub max_instances: u32,
    /// Arguments and results, in bytes.
    pub max_message_bytes: usize,
    /// Log lines that are kept.
    #[schemars(range(min = 1))]
    pub log_lines: usize,
    /// What a module may have before it is compiled.
    pub module: ModuleConfig,
}

/// What a module may have before it is compiled.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ModuleConfig {
    /// Bytes of the module.
    pub bytes: usize,
    /// Functions.
    pub functions: u32,
    /// Bytes of one function.
    pub function_bytes: usize,
    /// Blocks inside each other.
    pub nesting: u32,
    /// Data segments.
    pub data_segments: u32,
}

/// How plugins are asked whether they are healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HealthConfig {
    /// How often, in milliseconds; 0 = never.
    pub interval_ms: u64,
    /// How long an answer may take, in milliseconds; also that of a new version before it serves.
    #[schemars(range(min = 1))]
    pub timeout_ms: u64,
}

/// How memory faults of guests are noticed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SignalsConfig {
    /// By signal handlers.
    #[default]
    On,
    /// By checks in the code.
    Off,
}

/// What a manager keeps of its configuration.
pub(super) struct Settings {
    pub(super) load_timeout_ms: u64,
    pub(super) max_memory_bytes: usize,
    pub(super) max_instances: u32,
    pub(super) max_message_bytes: usize,
    pub(super) max_asset_bytes: usize,
    pub(super) native: NativeConfig,
    pub(super) module: ScanLimits,
    pub(super) signals: Signals,
    pub(super) health: HealthConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            version: 1,
            database: DatabaseConfig::default(),
            cache: CacheConfig::default(),
            http: None,
            mail: None,
            config: ConfigSection::default(),
            translations: BTreeMap::new(),
            default_language: "en".into(),
            policies: BTreeMap::new(),
            policy_store: PolicyStoreConfig::default(),
            sensitive_tables: Vec::new(),
            limits: LimitsConfig::default(),
            packages: PackagesConfig::default(),
            native: NativeConfig::default(),
            health: HealthConfig::default(),
            signals: SignalsConfig::default(),
        }
    }
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self { dialect: None, default_schema: None, sqlite: None, stamp_caller: true }
    }
}

impl Default for HealthConfig {
    /// The reference's numbers.
    fn default() -> Self {
        Self { interval_ms: 60_000, timeout_ms: 5_000 }
    }
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self { max_bytes: 64 * 1024 * 1024 }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            load_timeout_ms: 60_000,
            max_memory_bytes: 1024 * 1024 * 1024,
            max_instances: 64,
            max_message_bytes: 64 * 1024 * 1024,
            log_lines: 1_000,
            module: ModuleConfig::default(),
        }
    }
}

impl Default for ModuleConfig {
    fn default() -> Self {
        let scan = ScanLimits::default();
        Self {
            bytes: scan.module_bytes,
            functions: scan.functions,
            function_bytes: scan.body_bytes,
            nesting: scan.nesting,
            data_segments: scan.data_segments,
        }
    }
}

impl Config {
    /// Reads a configuration document; an empty text is the default configuration.
    pub fn parse(text: &[u8]) -> Result<Self> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let config: Self = json::from_object(text)
            .map_err(|error| refused("the configuration is not as its schema says").with_source(error))?;
        check_sections(text)?;
        config.checked()
    }

    /// JSON Schema of the document.
    #[must_use]
    pub fn schema() -> Value {
        schemars::schema_for!(Self).to_value()
    }

    fn checked(self) -> Result<Self> {
        if self.version != 1 {
            return Err(refused(format!("configuration version {} is unknown (this library reads 1)", self.version)));
        }
        if self.limits.max_instances == 0 || self.limits.log_lines == 0 {
            return Err(refused("`limits.max_instances` and `limits.log_lines` are at least 1"));
        }
        if self.health.timeout_ms == 0 {
            return Err(refused("`health.timeout_ms` is at least 1"));
        }
        if self.database.sqlite.is_some() && !matches!(self.database.dialect, None | Some(DialectConfig::Sqlite)) {
            return Err(refused("`database.dialect` does not fit the embedded SQLite database"));
        }
        if self.config.database && self.database.sqlite.is_none() {
            return Err(refused("`config.database` needs `database.sqlite`"));
        }
        self.http.as_ref().map_or(Ok(()), HttpConfig::check)?;
        self.mail.as_ref().map_or(Ok(()), MailConfig::check)?;
        self.packages.check()?;
        self.policy_texts()?;
        Ok(self)
    }

    pub(super) fn translations(&self) -> Translations {
        Translations::new(self.translations.clone(), self.default_language.clone())
    }

    pub(super) fn sql_profile(&self) -> SqlProfile {
        let dialect = match self.database.dialect {
            None | Some(DialectConfig::Sqlite) => Dialect::Sqlite,
            Some(DialectConfig::Postgres) => Dialect::Postgres,
            Some(DialectConfig::Mysql) => Dialect::MySql,
        };
        let usual = match dialect {
            Dialect::Sqlite => Some("main"),
            Dialect::Postgres => Some("public"),
            Dialect::MySql => None,
        };
        let default_schema = self.database.default_schema.clone().or_else(|| usual.map(str::to_owned));
        SqlProfile { dialect, default_schema, extra_functions: Vec::new() }
    }

    pub(super) fn default_rules(&self) -> Result<DefaultRules> {
        let mut rules = DefaultRules::with_sensitive_tables(&self.sensitive_tables)
            .map_err(|problem| refused(format!("`sensitive_tables`: {problem}")))?;
        let profile = self.sql_profile();
        rules.tables.fold_case = profile.dialect == Dialect::Sqlite;
        rules.tables.default_schema = profile.default_schema;
        Ok(rules)
    }

    /// The configured policies as texts, each checked.
    pub(super) fn policy_texts(&self) -> Result<Vec<(String, Vec<u8>)>> {
        self.policies
            .iter()
            .map(|(plugin, policy)| {
                crate::plugin::name::check_name(plugin)?;
                let text = policy.get().as_bytes().to_vec();
                let (document, _) = document::parse(&text).map_err(|problems| {
                    let error = document::problems_to_error(&problems);
                    refused(format!("the policy of `{plugin}`: {error}"))
                })?;
                document.check_plugin_name(plugin)?;
                Ok((plugin.clone(), text))
            })
            .collect()
    }

    pub(super) fn settings(&self) -> Settings {
        let limits = &self.limits;
        Settings {
            load_timeout_ms: limits.load_timeout_ms,
            max_memory_bytes: limits.max_memory_bytes,
            max_instances: limits.max_instances,
            max_message_bytes: limits.max_message_bytes,
            max_asset_bytes: self.packages.limits.asset_bytes,
            native: self.native.clone(),
            module: ScanLimits {
                module_bytes: limits.module.bytes,
                functions: limits.module.functions,
                body_bytes: limits.module.function_bytes,
                nesting: limits.module.nesting,
                data_segments: limits.module.data_segments,
                ..ScanLimits::default()
            },
            health: self.health,
            signals: match self.signals {
                SignalsConfig::On => Signals::On,
                SignalsConfig::Off => Signals::Off,
            },
        }
    }

    /// The built-in providers that have a section.
    pub(super) fn outbound_providers(&self) -> Result<Providers> {
        let mut providers = Providers::new();
        if let Some(client) = self.http.as_ref().map_or(Ok(None), HttpConfig::provider)? {
            providers.insert(Service::Http, client);
        }
        if let Some(mail) = &self.mail {
            providers.insert(Service::Email, mail.provider()?);
        }
        Ok(providers)
    }

    /// Database and configuration as providers.
    pub(super) fn database_providers(&self) -> Result<Providers> {
        let mut providers = Providers::new();
        let mut lookup = None;
        if let Some(sqlite) = &self.database.sqlite {
            let (provider, found) = embedded::open(sqlite)?;
            providers.insert(Service::Database, provider);
            lookup = Some(found).filter(|_| self.config.database);
        }
        let values = ConfigValues::new(self.config.values.clone(), lookup);
        providers.insert(Service::Config, Box::new(values));
        Ok(providers)
    }
}

#[cfg(feature = "sqlite")]
mod embedded {
    use super::{Arc, Lookup, Result, SqliteConfig};
    use crate::host::{HostCall, Provider, Reply};
    use crate::providers::sqlite::{SqliteDatabase, SqliteOptions};

    /// Effective value of a key, as GoatFlow reads it.
    const MODIFIED: &str = "SELECT effective_value FROM sysconfig_modified WHERE name = ?1 AND is_valid = 1 ORDER BY change_time DESC LIMIT 1";
    const DEFAULT: &str = "SELECT effective_value FROM sysconfig_default WHERE name = ?1 AND is_valid = 1 LIMIT 1";

    struct Shared(Arc<SqliteDatabase>);

    impl Provider for Shared {
        fn serve(&self, call: &HostCall<'_>) -> Result<Reply> {
            self.0.serve(call)
        }
    }

    pub(super) fn open(config: &SqliteConfig) -> Result<(Box<dyn Provider>, Lookup)> {
        let database = Arc::new(SqliteDatabase::open(SqliteOptions {
            path: config.path.clone(),
            init_script: config.init_script.clone(),
            read_only: config.read_only,
        })?);
        let shared = Arc::clone(&database);
        let lookup: Lookup = Box::new(move |key| match shared.look_up(MODIFIED, key)? {
            Some(value) => Ok(Some(value)),
            None => shared.look_up(DEFAULT, key),
        });
        Ok((Box::new(Shared(database)), lookup))
    }
}

#[cfg(not(feature = "sqlite"))]
mod embedded {
    use super::{Lookup, Result, SqliteConfig};
    use crate::error::{Error, ErrorCode};
    use crate::host::Provider;

    pub(super) fn open(_: &SqliteConfig) -> Result<(Box<dyn Provider>, Lookup)> {
        Err(Error::new(ErrorCode::EnvironmentUnsupported, "this build has no embedded database (feature `sqlite`)"))
    }
}

/// Sections are objects, too: serde would take arrays with the fields in order.
fn check_sections(text: &[u8]) -> Result<()> {
    let document: Value =
        serde_json::from_slice(text).map_err(|error| refused("the configuration is not JSON").with_source(error))?;
    for section in [
        "/database",
        "/database/sqlite",
        "/cache",
        "/http",
        "/mail",
        "/config",
        "/limits",
        "/limits/module",
        "/health",
        "/policy_store",
        "/packages",
        "/packages/limits",
        "/native",
    ] {
        if document.pointer(section).is_some_and(|section| !section.is_object() && !section.is_null()) {
            return Err(refused(format!("`{section}` in the configuration is not an object")));
        }
    }
    Ok(())
}

fn refused(context: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorCode::ArgumentConfig, context)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> ErrorCode {
        Config::parse(text.as_bytes()).unwrap_err().code()
    }

    #[test]
    fn what_is_not_in_the_schema_is_refused() {
        for text in [
            "[]",
            "{",
            r#"{"database":[null,null,null]}"#,
            r#"{"policies":{"p":{"version":1},"p":{"version":1}}}"#,
            r#"{"policies":{"p":{"version":1,"status":"blocked","status":"approved"}}}"#,
            r#"{"config":{"values":{"a":"1","a":"2"}}}"#,
            r#"{"databse":{}}"#,
            r#"{"version":2}"#,
            r#"{"signals":"maybe"}"#,
            r#"{"limits":{"max_instances":0}}"#,
            r#"{"limits":{"max_instances":-1}}"#,
            r#"{"config":{"database":true}}"#,
            r#"{"packages":{"signatures":"maybe"}}"#,
            r#"{"packages":{"keys":["00"]}}"#,
            r#"{"packages":{"keys":["0000000000000000000000000000000000000000000000000000000000000000"]}}"#,
            r#"{"packages":{"limits":{"ratio":0}}}"#,
            r#"{"packages":{"limits":{"asset_bytes":0}}}"#,
            r#"{"packages":[]}"#,
            r#"{"health":{"timeout_ms":0}}"#,
            r#"{"health":[1,2]}"#,
            r#"{"database":{"dialect":"mysql","sqlite":{"path":":memory:"}}}"#,
        ] {
            assert_eq!(code(text), ErrorCode::ArgumentConfig, "{text}");
        }
        assert!(Config::parse(b"").is_ok() && Config::parse(b"{}").is_ok());
    }
}
