//! The checks: may the plugin do this one thing? Refusals say which rule, what, and the smallest change that allows it.

use serde_json::{Value, json};

use super::document::PermissionType;
use super::scope::config::{self, KeyVerdict};
use super::scope::email::MailAddress;
use super::scope::names::is_plugin_name;
use super::scope::tables::{NameRules, TableSet};
use super::wording::{self, Denial, quoted, suggestible};
use super::{Access, Policy};
use crate::error::{Error, ErrorCode, Result};

impl Policy {
    /// Refuses when the plugin is blocked.
    pub fn check_not_blocked(&self) -> Result<()> {
        let Some(reason) = &self.blocked_reason else {
            return Ok(());
        };
        let context = format!("the plugin is blocked: {reason}");
        Err(Error::new(ErrorCode::PolicyBlocked, context).with_detail("rule", "status"))
    }

    /// Refuses when no entry of the policy is of that type and access and names anything.
    pub fn check_permission(&self, permission: &PermissionType, access: Access) -> Result<()> {
        self.check_not_blocked()?;
        let is_cache_taken = *permission == PermissionType::Cache && self.denied.has(permission, access);
        let is_open = self.wider_tables.is_some() && matches!(permission, PermissionType::Db);
        if (is_open || self.granted.has(permission, access)) && !is_cache_taken {
            return Ok(());
        }
        Err(permission_missing(permission, access, None, is_cache_taken))
    }

    /// Whether the plugin may read the table. `schema` is `None` for tables of the default schema; names are folded as
    /// the database folds them.
    #[must_use]
    pub fn may_read_table(&self, schema: Option<&str>, table: &str) -> bool {
        (self.granted.db_read.contains(schema, table) || self.is_wider_table(schema, table))
            && !self.denied.db_read.contains(schema, table)
    }

    /// Whether the plugin may write the table, which does not mean that it may read it.
    #[must_use]
    pub fn may_write_table(&self, schema: Option<&str>, table: &str) -> bool {
        (self.granted.db_write.contains(schema, table) || self.is_wider_table(schema, table))
            && !self.denied.db_write.contains(schema, table)
    }

    fn is_wider_table(&self, schema: Option<&str>, table: &str) -> bool {
        self.wider_tables.as_ref().is_some_and(|tables| tables.contain(schema, table))
    }

    /// Refuses calls of plugins that the policy does not name.
    pub fn check_callee(&self, plugin: &str) -> Result<()> {
        self.check_not_blocked()?;
        let is_taken = self.denied.callees.contains(plugin);
        if self.granted.callees.contains(plugin) && !is_taken {
            return Ok(());
        }
        let suggestion = is_plugin_name(plugin).then(|| json!({"type": "plugin_call", "scope": [plugin]}));
        Err(Denial {
            code: ErrorCode::PolicyCalleeDenied,
            rule: rule_of("plugin_call.scope", is_taken),
            target: plugin,
            context: format!("calling plugin {} {}", quoted(plugin), outside("plugin_call", is_taken)),
            suggestion: suggestion.filter(|_| !is_taken),
        }
        .into())
    }

    /// Refuses callers that the policy of the called `plugin` does not let in. Without `callable_by` every plugin may call
    /// whose own policy lets it.
    pub fn check_callable_by(&self, plugin: &str, caller: &str) -> Result<()> {
        self.check_not_blocked()?;
        if self.callable_by.as_ref().is_none_or(|callers| callers.contains(caller)) {
            return Ok(());
        }
        let context =
            format!("plugin {} is not in the `callable_by` list of the called plugin's policy", quoted(caller));
        Err(Error::new(ErrorCode::PolicyCalleeDenied, context)
            .with_detail("rule", "callable_by")
            .with_detail("target", wording::harmless(plugin))
            .with_detail("caller", wording::harmless(caller))
            .with_detail("suggestion", json!({"callable_by": [caller]})))
    }

    /// Refuses configuration keys outside the scope, and secrets that no entry spells out.
    pub fn check_config_key(&self, key: &str) -> Result<()> {
        self.check_not_blocked()?;
        if let Err(problem) = config::check_key(key) {
            let context = format!("configuration key {} is refused: {problem}", quoted(key));
            return Err(config_denied("config.grammar", key, context, false));
        }
        let is_taken = self.denied.config.covers(key);
        let (rule, what) = match self.granted.config.verdict(key) {
            _ if is_taken => (wording::DENIED, outside("config", true)),
            KeyVerdict::Allowed => return Ok(()),
            KeyVerdict::OutsideScope => ("config.scope", outside("config", false)),
            KeyVerdict::OnDenyList => {
                let what = "looks like a secret; only an entry that spells the key, without `*`, allows it";
                ("config.deny_list", what.to_owned())
            }
        };
        Err(config_denied(rule, key, format!("configuration key {} {what}", quoted(key)), !is_taken))
    }

    /// Refuses recipients outside the scope, and everything that is not one bare address.
    pub fn check_recipient(&self, address: &str) -> Result<()> {
        self.checked_recipient(address).map(drop)
    }

    /// As [`Self::check_recipient`], and gives the address that was checked: mail goes to that, not to the text.
    pub fn checked_recipient<'a>(&self, address: &'a str) -> Result<MailAddress<'a>> {
        self.check_not_blocked()?;
        let parsed = MailAddress::parse(address).map_err(|problem| {
            let code = ErrorCode::PolicyEmailInvalid;
            let context = format!("recipient {} is refused: {problem}", quoted(address));
            Error::from(Denial { code, rule: "email.grammar", target: address, context, suggestion: None })
        })?;
        let is_taken = self.denied.email.contains(&parsed);
        if self.granted.email.contains(&parsed) && !is_taken {
            return Ok(parsed);
        }
        let canonical = parsed.to_ascii();
        let suggestion = suggestible(&canonical).map(|address| json!({"type": "email", "scope": [address]}));
        Err(Denial {
            code: ErrorCode::PolicyEmailRecipientDenied,
            rule: rule_of("email.scope", is_taken),
            target: address,
            context: format!("recipient {} {}", quoted(address), outside("email", is_taken)),
            suggestion: suggestion.filter(|_| !is_taken),
        }
        .into())
    }

    /// Refuses a host-registered function, or its target, that no entry of its type covers. A call without a target
    /// needs an entry for all of them (`"*"`).
    pub fn check_custom(&self, permission: &PermissionType, access: Access, target: Option<&str>) -> Result<()> {
        self.check_not_blocked()?;
        let PermissionType::Custom(kind) = permission else {
            return self.check_permission(permission, access);
        };
        let is_taken = match target {
            Some(_) => self.denied.covers_custom(kind, access, target),
            None => self.denied.has(permission, access),
        };
        let is_open = self.wider_tables.is_some();
        if (is_open || self.granted.covers_custom(kind, access, target)) && !is_taken {
            return Ok(());
        }
        match target {
            Some(target) if self.granted.has(permission, access) => Err(custom_denied(kind, access, target, is_taken)),
            _ => Err(permission_missing(permission, access, target, is_taken)),
        }
    }
}

/// The smallest permission that covers a table; none for names that would mean something else in a scope.
#[must_use]
pub fn table_suggestion(access: Access, schema: Option<&str>, table: &str) -> Option<Value> {
    let entry = schema.map_or_else(|| table.to_owned(), |schema| format!("{schema}.{table}"));
    TableSet::default().add(&entry, &NameRules::default()).ok()?;
    suggestible(&entry).map(|entry| json!({"type": "db", "access": access.name(), "scope": [entry]}))
}

/// Name of the rule, which is another one where the `denied` list is the reason.
fn rule_of(scope: &'static str, is_taken: bool) -> &'static str {
    if is_taken { wording::DENIED } else { scope }
}

/// What is wrong with a target, as the end of a clause.
fn outside(kind: &str, is_taken: bool) -> String {
    match is_taken {
        true => "is taken away by the policy's `denied` list".to_owned(),
        false => format!("is outside the plugin's `{kind}` permissions"),
    }
}

/// No entry of that type and access.
fn permission_missing(permission: &PermissionType, access: Access, target: Option<&str>, is_taken: bool) -> Error {
    let mut entry = json!({"type": permission.name()});
    if !permission.ignores_access() {
        entry["access"] = access.name().into();
    }
    if *permission != PermissionType::Cache {
        entry["scope"] = json!([target.and_then(suggestible).unwrap_or("...")]);
    }
    let why = if is_taken { ": the policy's `denied` list takes it away" } else { "" };
    Denial {
        code: ErrorCode::PolicyPermissionMissing,
        rule: rule_of("permission", is_taken),
        target: permission.name(),
        context: format!("the plugin has no `{permission}` permission for {} access{why}", access.name()),
        suggestion: (!is_taken).then_some(entry),
    }
    .into()
}

fn custom_denied(kind: &str, access: Access, target: &str, is_taken: bool) -> Error {
    let suggestion =
        suggestible(target).map(|target| json!({"type": kind, "access": access.name(), "scope": [target]}));
    Denial {
        code: ErrorCode::PolicyTargetDenied,
        rule: rule_of("custom.scope", is_taken),
        target,
        context: format!("{} {} for {} access", quoted(target), outside(kind, is_taken), access.name()),
        suggestion: suggestion.filter(|_| !is_taken),
    }
    .into()
}

fn config_denied(rule: &'static str, key: &str, context: String, has_remedy: bool) -> Error {
    let suggestion = has_remedy.then(|| json!({"type": "config", "access": "read", "scope": [key]}));
    Denial { code: ErrorCode::PolicyConfigKeyDenied, rule, target: key, context, suggestion }.into()
}
