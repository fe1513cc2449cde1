//! Adds one entry to a document so that it stays as short as an administrator would write it.

use super::entries::Entry;
use crate::policy::document::{Permission, PolicyDocument};

/// Adds `entry`: to the entry that differs in its targets only, or as a new one.
pub(super) fn add(document: &mut PolicyDocument, entry: &Entry) {
    match entry {
        Entry::Permission(permission) => add_permission(&mut document.permissions, permission),
        Entry::SqlFunction(name) if !document.sql_functions.contains(name) => document.sql_functions.push(name.clone()),
        Entry::SqlFunction(_) | Entry::Other(_) => {}
    }
}

fn add_permission(permissions: &mut Vec<Permission>, new: &Permission) {
    let without_scope = |permission: &Permission| Permission { scope: None, ..permission.clone() };
    let twin = permissions
        .iter_mut()
        .find(|permission| permission.scope.is_some() && without_scope(permission) == without_scope(new));
    match (twin.and_then(|twin| twin.scope.as_mut()), &new.scope) {
        (Some(scope), Some(targets)) => {
            let missing: Vec<String> = targets.iter().filter(|target| !scope.contains(target)).cloned().collect();
            scope.extend(missing);
        }
        _ => permissions.push(new.clone()),
    }
}
