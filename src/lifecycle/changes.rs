//! What two registrations have different, and what they claim that another plugin has already.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Sections of a registration that hosts act on, and the member that names an item; routes have two.
const SECTIONS: [(&str, &[&str]); 6] = [
    ("routes", &["method", "path"]),
    ("menu_items", &["id"]),
    ("widgets", &["id"]),
    ("jobs", &["id"]),
    ("templates", &["name"]),
    ("error_codes", &["code"]),
];

/// Sections in which two plugins can stand in each other's way.
const SHARED: [&str; 2] = ["routes", "menu_items"];

/// Items of one section by name.
type Items<'a> = BTreeMap<String, &'a Value>;

/// Names of what was added, removed and changed, by section; sections without changes are left out.
#[must_use]
pub fn between(old: &Value, new: &Value) -> Value {
    let mut changes = Map::new();
    let mut note = |section: &str, old: &Items<'_>, new: &Items<'_>| {
        let missing = |from: &Items<'_>, other: &Items<'_>| -> Vec<String> {
            from.keys().filter(|name| !other.contains_key(*name)).cloned().collect()
        };
        let changed: Vec<&String> = new
            .iter()
            .filter(|(name, item)| old.get(*name).is_some_and(|old| old != *item))
            .map(|(name, _)| name)
            .collect();
        let (added, removed) = (missing(new, old), missing(old, new));
        if !(added.is_empty() && removed.is_empty() && changed.is_empty()) {
            changes.insert(section.to_owned(), json!({ "added": added, "removed": removed, "changed": changed }));
        }
    };
    for (section, names) in SECTIONS {
        note(section, &items(old, section, names), &items(new, section, names));
    }
    note("i18n", &texts(old), &texts(new));
    Value::Object(changes)
}

/// Routes and menu items of `registration` that one of the `others` has, too.
#[must_use]
pub fn collisions<'a>(registration: &Value, others: impl Iterator<Item = (&'a str, &'a Value)>) -> Vec<Value> {
    let shared: Vec<_> = SECTIONS.into_iter().filter(|(section, _)| SHARED.contains(section)).collect();
    let mut found = Vec::new();
    for (plugin, other) in others {
        for (section, names) in &shared {
            let theirs = items(other, section, names);
            let mine = items(registration, section, names);
            let both = mine.keys().filter(|name| theirs.contains_key(*name));
            found.extend(both.map(|name| json!({ "section": section, "item": name, "plugin": plugin })));
        }
    }
    found
}

/// Items of a section; those without a name are passed over, as hosts do.
fn items<'a>(registration: &'a Value, section: &str, names: &[&str]) -> Items<'a> {
    let list = registration.get(section).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|item| {
        let parts: Option<Vec<String>> = names.iter().map(|name| part(item.get(*name)?)).collect();
        Some((parts?.join(" "), item))
    })
    .collect()
}

fn part(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Translations as `language key`.
fn texts(registration: &Value) -> Items<'_> {
    let languages = registration.pointer("/i18n/translations").and_then(Value::as_object).into_iter().flatten();
    languages
        .flat_map(|(language, keys)| {
            let keys = keys.as_object().into_iter().flatten();
            keys.map(move |(key, text)| (format!("{language} {key}"), text))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_named_by_section() {
        let old = json!({
            "routes": [{"method": "GET", "path": "/a", "handler": "a"}, {"method": "GET", "path": "/b"}, {"path": 3}],
            "jobs": [{"id": "j"}],
            "i18n": {"translations": {"en": {"x": "X", "y": "Y"}}},
        });
        let new = json!({
            "routes": [{"method": "GET", "path": "/a", "handler": "z"}, {"method": "POST", "path": "/b"}],
            "jobs": [{"id": "j"}],
            "i18n": {"translations": {"en": {"x": "Z"}}},
        });
        assert_eq!(
            between(&old, &new),
            json!({
                "routes": {"added": ["POST /b"], "removed": ["GET /b"], "changed": ["GET /a"]},
                "i18n": {"added": [], "removed": ["en y"], "changed": ["en x"]},
            })
        );
        assert_eq!(between(&new, &new), json!({}));
    }

    #[test]
    fn what_two_plugins_claim_is_named() {
        let mine =
            json!({"routes": [{"method": "GET", "path": "/a"}], "menu_items": [{"id": "m"}], "jobs": [{"id": "j"}]});
        let other = json!({"routes": [{"method": "GET", "path": "/a"}], "menu_items": [], "jobs": [{"id": "j"}]});
        let found = collisions(&mine, [("b", &other)].into_iter());
        assert_eq!(found, [json!({"section": "routes", "item": "GET /a", "plugin": "b"})]);
    }
}
