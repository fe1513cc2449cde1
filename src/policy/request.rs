//! What a plugin asks for in its manifest or registration. Read leniently: authors' files outlive our formats.

use serde_json::Value;

use super::document::{Grant, Permission, PermissionType};
use super::duration::GoDuration;
use crate::plugin::name::is_unprintable;

/// Most permissions, and most elements of one scope, that a request is read for.
const MAX_ITEMS: usize = 256;
/// Longest element of a scope.
const MAX_TEXT_BYTES: usize = 512;
/// Most warnings that are kept.
const MAX_WARNINGS: usize = 64;

/// How many instances a plugin asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instances {
    /// A number, at least 1.
    Count(u32),
    /// As many as the policy grants.
    Auto,
}

/// What a plugin asks for. It only counts as far as a policy grants it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResourceRequest {
    /// Memory in MiB.
    pub memory_mb: Option<u64>,
    /// Time for one call.
    pub call_timeout: Option<GoDuration>,
    /// Time for start and initialisation.
    pub init_timeout: Option<GoDuration>,
    /// Time for shutdown.
    pub shutdown_timeout: Option<GoDuration>,
    /// Instances; absent means one.
    pub instances: Option<Instances>,
    /// Permissions.
    pub permissions: Vec<Permission>,
}

/// Reads what can be read of `value`; the rest is ignored, and said in the warnings.
#[must_use]
pub fn parse(value: &Value) -> (ResourceRequest, Vec<String>) {
    let mut reader = Reader { warnings: Vec::new() };
    let request = reader.request(value);
    (request, reader.warnings)
}

struct Reader {
    warnings: Vec<String>,
}

impl Reader {
    fn ignore(&mut self, what: &str, why: &str) {
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings.push(format!("resources: {what} is ignored: {why}"));
        }
    }

    fn request(&mut self, value: &Value) -> ResourceRequest {
        if !value.is_object() {
            if !value.is_null() {
                self.ignore("the whole section", "it is not an object");
            }
            return ResourceRequest::default();
        }
        ResourceRequest {
            memory_mb: self.whole(value, "memory_mb"),
            call_timeout: self.duration(value, "call_timeout"),
            init_timeout: self.duration(value, "init_timeout"),
            shutdown_timeout: self.duration(value, "shutdown_timeout"),
            instances: self.instances(&value["instances"]),
            permissions: self.permissions(&value["permissions"]),
        }
    }

    fn whole(&mut self, value: &Value, name: &str) -> Option<u64> {
        match &value[name] {
            Value::Null => None,
            field => {
                let number = field.as_u64();
                if number.is_none() {
                    self.ignore(name, "it is not a whole number");
                }
                number
            }
        }
    }

    fn duration(&mut self, value: &Value, name: &str) -> Option<GoDuration> {
        let text = match &value[name] {
            Value::Null => return None,
            Value::String(text) if text.is_empty() => return None,
            field => field.as_str().unwrap_or_default(),
        };
        GoDuration::parse(text).map_err(|why| self.ignore(name, &why)).ok()
    }

    fn instances(&mut self, value: &Value) -> Option<Instances> {
        match value {
            Value::Null => None,
            Value::String(text) if text == "auto" => Some(Instances::Auto),
            _ => match value.as_u64().and_then(|count| u32::try_from(count).ok()) {
                Some(count @ 1..) => Some(Instances::Count(count)),
                _ => {
                    self.ignore("instances", "it is neither a number from 1 up nor \"auto\"");
                    None
                }
            },
        }
    }

    fn permissions(&mut self, value: &Value) -> Vec<Permission> {
        let items = match value {
            Value::Null => return Vec::new(),
            Value::Array(items) => items,
            _ => {
                self.ignore("permissions", "it is not a list");
                return Vec::new();
            }
        };
        if items.len() > MAX_ITEMS {
            self.ignore("the rest of permissions", "it has too many entries");
        }
        let read = |(index, item)| self.permission(index, item);
        items.iter().take(MAX_ITEMS).enumerate().filter_map(read).collect()
    }

    fn permission(&mut self, index: usize, value: &Value) -> Option<Permission> {
        let what = format!("permissions[{index}]");
        let Some(name) = value["type"].as_str().filter(|name| is_type_name(name)) else {
            self.ignore(&what, "its type is missing or not a name");
            return None;
        };
        let access = match &value["access"] {
            Value::Null => None,
            Value::String(text) if text.is_empty() => None,
            field => {
                let grant = field.as_str().and_then(Grant::from_name);
                if grant.is_none() {
                    self.ignore(&what, "its access is not `read`, `write` or `readwrite`");
                    return None;
                }
                grant
            }
        };
        let scope = self.scope(&what, &value["scope"]);
        Some(Permission::new(PermissionType::from_name(name), access, scope))
    }

    fn scope(&mut self, what: &str, value: &Value) -> Option<Vec<String>> {
        let items = match value {
            Value::Null => return None,
            Value::Array(items) => items,
            _ => {
                self.ignore(&format!("the scope of {what}"), "it is not a list");
                return None;
            }
        };
        // People read these lines when they approve: nothing in them may erase or forge others.
        let is_read = |text: &&str| text.len() <= MAX_TEXT_BYTES && !text.chars().any(is_unprintable);
        let texts: Vec<String> =
            items.iter().take(MAX_ITEMS).filter_map(Value::as_str).filter(is_read).map(str::to_owned).collect();
        if texts.len() < items.len() {
            self.ignore(&format!("a part of the scope of {what}"), "it is too long, not a string, or not printable");
        }
        Some(texts)
    }
}

fn is_type_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte))
}
