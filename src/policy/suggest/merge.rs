//! Adds one entry to a document so that it stays as short as an administrator would write it.

use super::entries::Entry;
use crate::policy::document::{Permission, PolicyDocument};

/// A list of an entry. A request has to agree with all of them, so two entries that differ in one list only grant together
/// what one entry with both lists in one does, and nothing more.
type List = fn(&mut Permission) -> &mut Option<Vec<String>>;

const LISTS: [List; 4] = [
    |permission| &mut permission.scope,
    |permission| &mut permission.methods,
    |permission| &mut permission.paths,
    |permission| &mut permission.schemes,
];

/// Adds `entry`: to the entry that differs in one list only, or as a new one.
pub(super) fn add(document: &mut PolicyDocument, entry: &Entry) {
    match entry {
        Entry::Permission(permission) => add_permission(&mut document.permissions, permission),
        Entry::SqlFunction(name) if !document.sql_functions.contains(name) => document.sql_functions.push(name.clone()),
        Entry::SqlFunction(_) | Entry::Other(_) => {}
    }
}

fn add_permission(permissions: &mut Vec<Permission>, new: &Permission) {
    let is_added = LISTS.into_iter().any(|list| permissions.iter_mut().any(|permission| join(permission, new, list)));
    if !is_added {
        permissions.push(new.clone());
    }
}

/// Adds the elements of the list of `new` to that of `permission`, if both have one and agree in everything else.
fn join(permission: &mut Permission, new: &Permission, list: List) -> bool {
    let (mut known, mut new) = (permission.clone(), new.clone());
    let (known_elements, new_elements) = (list(&mut known).take(), list(&mut new).take());
    let (Some(mut elements), Some(more), true) = (known_elements, new_elements, known == new) else { return false };
    let missing: Vec<String> = more.into_iter().filter(|element| !elements.contains(element)).collect();
    elements.extend(missing);
    *list(permission) = Some(elements);
    true
}
