//! The dispatch table: every function a plugin may call, the service that answers it and the permission it needs.
//! A function that is not here, and was not declared by the host, is denied.

/// Who answers a host function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// SQL.
    Database,
    /// Key-value cache.
    Cache,
    /// Outgoing HTTP.
    Http,
    /// Outgoing e-mail.
    Email,
    /// Configuration of the host.
    Config,
    /// Translations.
    Translate,
    /// Plugin log.
    Log,
    /// Events to users of the host.
    Event,
    /// Other plugins; always answered by the library itself.
    Plugins,
    /// Functions the host declared.
    Custom,
}

impl Service {
    /// Services that a provider or a host callback can answer.
    pub const PROVIDED: [Self; 8] =
        [Self::Database, Self::Cache, Self::Http, Self::Email, Self::Config, Self::Translate, Self::Log, Self::Event];

    /// Name in the C API and in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Database => "db",
            Self::Cache => "cache",
            Self::Http => "http",
            Self::Email => "email",
            Self::Config => "config",
            Self::Translate => "translate",
            Self::Log => "log",
            Self::Event => "event",
            Self::Plugins => "plugins",
            Self::Custom => "custom",
        }
    }

    /// Provided service with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::PROVIDED.into_iter().find(|service| service.name() == name)
    }
}

macro_rules! functions {
    ($($(#[$meta:meta])* $variant:ident = $name:literal => $service:ident;)*) => {
        /// A function of the dispatch table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Function {
            $($(#[$meta])* $variant,)*
        }

        impl Function {
            /// Every function.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Function that plugins call by this name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }

            /// Name that plugins use.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Service that answers.
            #[must_use]
            pub fn service(self) -> Service {
                match self { $(Self::$variant => Service::$service,)* }
            }
        }
    };
}

functions! {
    /// Reads rows.
    DbQuery = "db_query" => Database;
    /// Changes rows.
    DbExec = "db_exec" => Database;
    /// Reads a cache entry.
    CacheGet = "cache_get" => Cache;
    /// Writes a cache entry.
    CacheSet = "cache_set" => Cache;
    /// Removes a cache entry.
    CacheDelete = "cache_delete" => Cache;
    /// Sends an HTTP request.
    HttpRequest = "http_request" => Http;
    /// Sends an e-mail.
    SendEmail = "send_email" => Email;
    /// Reads a configuration value.
    ConfigGet = "config_get" => Config;
    /// Translates a key.
    Translate = "translate" => Translate;
    /// Calls another plugin.
    PluginCall = "plugin_call" => Plugins;
    /// Publishes an event.
    PublishEvent = "publish_event" => Event;
    /// Writes a log line.
    Log = "log" => Log;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_functions() {
        for function in Function::ALL {
            assert_eq!(Function::from_name(function.name()), Some(*function));
        }
        assert_eq!(Function::from_name("DB_QUERY"), None);
        assert_eq!(Function::from_name("secure_config_get"), None);
    }
}
