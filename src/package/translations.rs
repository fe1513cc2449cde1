//! `i18n/<language>.json`: texts that a package brings, as nested objects or with dots in the keys.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Assets;
use crate::plugin::name::shorten;

/// Longest file, in bytes, and most texts of a package.
const MAX_FILE_BYTES: usize = 1024 * 1024;
const MAX_TEXTS: usize = 50_000;

/// Texts by language and key, and warnings about what was passed over.
pub type Texts = BTreeMap<String, BTreeMap<String, String>>;

/// Reads the texts of a package; keys get the plugin's name in front, as registered ones do. What can't be read is passed
/// over with a warning: translations never keep a plugin from running.
#[must_use]
pub fn read(plugin: &str, assets: &Assets) -> (Texts, Vec<String>) {
    let (mut texts, mut warnings, mut left) = (Texts::new(), Vec::new(), MAX_TEXTS);
    for name in assets.names() {
        let Some(language) = language_of(name) else { continue };
        let read = assets.read(name, MAX_FILE_BYTES).map_err(|error| error.to_string());
        let document = read.and_then(|text| serde_json::from_slice::<Value>(&text).map_err(|error| error.to_string()));
        match document {
            Ok(document @ Value::Object(_)) => {
                collect(plugin, &document, texts.entry(language.to_owned()).or_default(), &mut left);
            }
            Ok(_) => warnings.push(format!("`{}` is ignored: it is not a JSON object", shorten(name, 100))),
            Err(why) => warnings.push(format!("`{}` is ignored: {}", shorten(name, 100), shorten(&why, 200))),
        }
    }
    if left == 0 {
        warnings.push(format!("texts beyond {MAX_TEXTS} are ignored"));
    }
    (texts, warnings)
}

/// `de` for `i18n/de.json`.
fn language_of(name: &str) -> Option<&str> {
    let language = name.strip_prefix("i18n/")?.strip_suffix(".json")?;
    let shaped = (2..=35).contains(&language.len())
        && language.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    shaped.then_some(language)
}

fn collect(prefix: &str, value: &Value, texts: &mut BTreeMap<String, String>, left: &mut usize) {
    match value {
        Value::String(text) if *left > 0 => {
            *left -= 1;
            texts.insert(prefix.to_owned(), text.clone());
        }
        Value::Object(fields) => {
            for (key, value) in fields {
                collect(&format!("{prefix}.{key}"), value, texts, left);
            }
        }
        _ => {}
    }
}
