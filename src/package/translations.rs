//! `i18n/<language>.json`: texts that a package brings, as nested objects or with dots in the keys.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Assets;
use crate::plugin::name::shorten;

/// Longest file, in bytes, and most texts of a package.
const MAX_FILE_BYTES: usize = 1024 * 1024;
const MAX_TEXTS: usize = 50_000;
/// Longest key, and most bytes of keys and texts together: a key is kept as a whole for each text below it.
const MAX_KEY_BYTES: usize = 512;
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Texts by language and key, and warnings about what was passed over.
pub type Texts = BTreeMap<String, BTreeMap<String, String>>;

/// Reads the texts of a package; keys get the plugin's name in front, as registered ones do. What can't be read is passed
/// over with a warning: translations never keep a plugin from running.
#[must_use]
pub fn read(plugin: &str, assets: &Assets) -> (Texts, Vec<String>) {
    let (mut texts, mut warnings) = (Texts::new(), Vec::new());
    let mut room = Room { texts: MAX_TEXTS, bytes: MAX_BYTES, is_over: false };
    for name in assets.names() {
        let Some(language) = language_of(name) else { continue };
        let read = assets.read(name, MAX_FILE_BYTES).map_err(|error| error.to_string());
        let document = read.and_then(|text| serde_json::from_slice::<Value>(&text).map_err(|error| error.to_string()));
        match document {
            Ok(document @ Value::Object(_)) => {
                collect(plugin, &document, texts.entry(language.to_owned()).or_default(), &mut room);
            }
            Ok(_) => warnings.push(format!("`{}` is ignored: it is not a JSON object", shorten(name, 100))),
            Err(why) => warnings.push(format!("`{}` is ignored: {}", shorten(name, 100), shorten(&why, 200))),
        }
    }
    if room.is_over {
        warnings.push(format!(
            "texts beyond {MAX_TEXTS}, or beyond {MAX_BYTES} bytes, or with keys longer than {MAX_KEY_BYTES} bytes are ignored"
        ));
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

/// What may still be kept.
struct Room {
    texts: usize,
    bytes: usize,
    is_over: bool,
}

impl Room {
    fn take(&mut self, bytes: usize) -> bool {
        let (texts, bytes) = (self.texts.checked_sub(1), self.bytes.checked_sub(bytes));
        if let (Some(texts), Some(bytes)) = (texts, bytes) {
            (self.texts, self.bytes) = (texts, bytes);
            return true;
        }
        self.is_over = true;
        false
    }
}

fn collect(prefix: &str, value: &Value, texts: &mut BTreeMap<String, String>, room: &mut Room) {
    match value {
        Value::String(text) if room.take(prefix.len() + text.len()) => {
            texts.insert(prefix.to_owned(), text.clone());
        }
        Value::Object(fields) => {
            for (key, value) in fields {
                if prefix.len() + 1 + key.len() > MAX_KEY_BYTES {
                    room.is_over = true;
                } else {
                    collect(&format!("{prefix}.{key}"), value, texts, room);
                }
            }
        }
        _ => {}
    }
}
