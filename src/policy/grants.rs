//! Permissions compiled into the matchers that the checks use.

use std::sync::Arc;

use super::Access;
use super::document::{Grant, Permission, PermissionType};
use super::scope::config::ConfigScope;
use super::scope::email::MailScope;
use super::scope::http::HttpEntry;
use super::scope::names::{self, NameSet};
use super::scope::tables::{NameRules, TableSet};
use super::scope::{ScopeResult, address};

/// What a list of permissions covers, surface by surface. Either all of it is given, or all of it taken away.
#[derive(Debug, Default)]
pub(super) struct Grants {
    pub(super) db_read: TableSet,
    pub(super) db_write: TableSet,
    pub(super) cache_read: bool,
    pub(super) cache_write: bool,
    pub(super) http: Vec<HttpEntry>,
    pub(super) email: MailScope,
    pub(super) config: ConfigScope,
    pub(super) callees: NameSet,
    pub(super) custom: Vec<CustomEntry>,
}

/// One entry for a function that the host registered.
#[derive(Debug)]
pub(super) struct CustomEntry {
    kind: Arc<str>,
    access: Grant,
    targets: NameSet,
}

impl Grants {
    /// What `permissions` give. Elements that can't be read give nothing; the document's reader said so.
    pub(super) fn given(permissions: &[Permission], rules: &NameRules) -> Self {
        let mut grants = Self::default();
        for permission in permissions {
            grants.add(permission, rules);
        }
        grants
    }

    /// What `denied` takes away: without an access both, without a scope everything.
    pub(super) fn taken(denied: &[Permission], rules: &NameRules) -> Self {
        let mut grants = Self { db_read: TableSet::denial(), db_write: TableSet::denial(), ..Self::default() };
        for permission in denied {
            grants.add(&widest(permission), rules);
        }
        grants
    }

    fn add(&mut self, permission: &Permission, rules: &NameRules) {
        match &permission.kind {
            PermissionType::Db => self.add_tables(permission, rules),
            PermissionType::Cache => {
                self.cache_read |= permission.grants(Access::Read);
                self.cache_write |= permission.grants(Access::Write);
            }
            PermissionType::Http => self.http.extend(http_entry(permission)),
            PermissionType::Email => for_each(permission, |element| self.email.add(element)),
            PermissionType::Config if permission.grants(Access::Read) => {
                for_each(permission, |element| self.config.add(element));
            }
            PermissionType::Config => {}
            PermissionType::PluginCall => {
                for_each(permission, |element| names::add_plugin(&mut self.callees, element));
            }
            PermissionType::Custom(kind) => self.custom.extend(custom_entry(kind, permission)),
        }
    }

    fn add_tables(&mut self, permission: &Permission, rules: &NameRules) {
        if permission.grants(Access::Read) {
            for_each(permission, |element| self.db_read.add(element, rules));
        }
        if permission.grants(Access::Write) {
            for_each(permission, |element| self.db_write.add(element, rules));
        }
    }

    /// Whether any entry is of that type and access, and names anything.
    pub(super) fn has(&self, permission: &PermissionType, access: Access) -> bool {
        match (permission, access) {
            (PermissionType::Db, Access::Read) => !self.db_read.is_empty(),
            (PermissionType::Db, Access::Write) => !self.db_write.is_empty(),
            (PermissionType::Cache, Access::Read) => self.cache_read,
            (PermissionType::Cache, Access::Write) => self.cache_write,
            (PermissionType::Http, _) => !self.http.is_empty(),
            (PermissionType::Email, _) => !self.email.is_empty(),
            (PermissionType::Config, Access::Read) => !self.config.is_empty(),
            (PermissionType::Config, Access::Write) => false,
            (PermissionType::PluginCall, _) => !self.callees.is_empty(),
            (PermissionType::Custom(kind), _) => self.custom.iter().any(|entry| entry.is_for(kind, access)),
        }
    }

    /// Whether an entry for a host-registered function covers the target; no target needs an entry for all targets.
    pub(super) fn covers_custom(&self, kind: &str, access: Access, target: Option<&str>) -> bool {
        self.custom.iter().any(|entry| {
            entry.is_for(kind, access)
                && match target {
                    Some(target) => entry.targets.contains(target),
                    None => entry.targets.is_everything(),
                }
        })
    }
}

impl CustomEntry {
    fn is_for(&self, kind: &str, access: Access) -> bool {
        *self.kind == *kind && self.access.covers(access)
    }
}

/// Runs `add` on every element; what can't be read gives nothing.
fn for_each(permission: &Permission, mut add: impl FnMut(&str) -> ScopeResult<()>) {
    for element in permission.targets() {
        add(element).unwrap_or_default();
    }
}

/// A denial as wide as it can be meant.
fn widest(permission: &Permission) -> Permission {
    let not_empty = |list: &Option<Vec<String>>| list.clone().filter(|list| !list.is_empty());
    Permission {
        access: Some(permission.access.unwrap_or(Grant::ReadWrite)),
        scope: not_empty(&permission.scope).or_else(|| Some(vec!["*".to_owned()])),
        schemes: not_empty(&permission.schemes),
        methods: not_empty(&permission.methods),
        paths: not_empty(&permission.paths),
        allow_private: None,
        kind: permission.kind.clone(),
    }
}

/// One `http` permission; none when a list is there but empty, or a value in it can't be read.
fn http_entry(permission: &Permission) -> Option<HttpEntry> {
    let mut entry = HttpEntry::default();
    for_each(permission, |element| entry.add_host(element));
    let lists = [&permission.schemes, &permission.methods, &permission.paths];
    if !entry.has_hosts() || lists.into_iter().any(|list| list.as_ref().is_some_and(Vec::is_empty)) {
        return None;
    }
    permission.schemes.iter().flatten().try_for_each(|scheme| entry.add_scheme(scheme)).ok()?;
    permission.methods.iter().flatten().try_for_each(|method| entry.add_method(method)).ok()?;
    permission.paths.iter().flatten().try_for_each(|path| entry.add_path(path)).ok()?;
    let networks = permission.allow_private.iter().flatten();
    entry.set_allow_private(networks.filter_map(|network| address::parse_network(network).ok()).collect());
    Some(entry)
}

fn custom_entry(kind: &Arc<str>, permission: &Permission) -> Option<CustomEntry> {
    let mut targets = NameSet::default();
    for_each(permission, |element| names::add_target(&mut targets, element));
    let access = permission.access?;
    (!targets.is_empty()).then(|| CustomEntry { kind: Arc::clone(kind), access, targets })
}
