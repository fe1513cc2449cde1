//! Translations from the configuration and from what plugins register.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use serde_json::{Value, json};

use crate::error::{Result, bug};
use crate::host::{HostCall, Provider, Reply, Request};
use crate::plugin::Registration;

/// Texts by language and key.
pub type Texts = BTreeMap<String, BTreeMap<String, String>>;

/// Texts by language and key. A key that is nowhere translates to itself (docs/contract.md 2.2: `translate` never fails).
pub struct Translations {
    default_language: String,
    configured: Texts,
    /// Texts of each plugin that is loaded.
    registered: ArcSwap<HashMap<Arc<str>, Arc<Texts>>>,
    changing: Mutex<()>,
}

impl Translations {
    /// Translations with these texts, which win over those of plugins.
    #[must_use]
    pub fn new(configured: Texts, default_language: String) -> Self {
        Self { default_language, configured, registered: ArcSwap::default(), changing: Mutex::new(()) }
    }

    /// Takes the texts that a plugin brings and registers, in place of those it had before; `None` takes them away. What is
    /// registered wins.
    pub fn register(&self, plugin: &Arc<str>, packaged: Texts, registration: Option<&Registration>) {
        let mut texts = packaged;
        for (language, key, text) in registration.into_iter().flat_map(Registration::translations) {
            texts.entry(language.to_owned()).or_default().insert(key, text.to_owned());
        }
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut registered = HashMap::clone(&self.registered.load());
        if texts.is_empty() {
            registered.remove(plugin);
        } else {
            registered.insert(Arc::clone(plugin), Arc::new(texts));
        }
        self.registered.store(Arc::new(registered));
    }

    /// Text of `key` in `language`, else in the default language, else the key; the plugin's own texts come before those
    /// of other plugins.
    fn translate(&self, plugin: &str, language: &str, key: &str, args: &[Value]) -> String {
        let registered = self.registered.load();
        let own = registered.get(plugin).map(|texts| &**texts);
        let find = |language: &str| {
            let in_texts = |texts: &Texts| texts.get(language)?.get(key).cloned();
            in_texts(&self.configured)
                .or_else(|| in_texts(own?))
                .or_else(|| registered.values().find_map(|texts| in_texts(texts)))
        };
        let text = find(language).or_else(|| find(&self.default_language));
        text.map_or_else(|| key.to_owned(), |text| fill_in(&text, args))
    }
}

impl Provider for Translations {
    fn serve(&self, call: &HostCall<'_>) -> Result<Reply> {
        let Request::Translate { key, args } = call.request else {
            return Err(bug!("translations were asked for {:?}", call.request));
        };
        let language = call.context.origin.language.as_deref().unwrap_or(&self.default_language);
        let text = self.translate(call.plugin, language, key, args);
        Ok(json!({ "value": text }).to_string().into_bytes().into())
    }
}

/// Puts values in the place of Go's `%s`, `%d`, `%v`, `%q` verbs, in order; `%%` is a percent sign.
fn fill_in(text: &str, args: &[Value]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut args = args.iter();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        match characters.next() {
            Some('%') => out.push('%'),
            Some('s' | 'd' | 'v' | 'f') => match args.next() {
                Some(Value::String(value)) => out.push_str(value),
                Some(value) => out.push_str(&value.to_string()),
                None => out.push_str("%!(MISSING)"),
            },
            Some(other) => out.extend(['%', other]),
            None => out.push('%'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_replace_verbs_in_order() {
        let args = [json!("Ann"), json!(3), json!(1.5)];
        assert_eq!(fill_in("%s has %d of 100%% (%v) %s %", &args), "Ann has 3 of 100% (1.5) %!(MISSING) %");
    }

    #[test]
    fn falls_back_to_the_default_language_then_to_the_key() {
        let mut configured = Texts::new();
        configured.entry("en".into()).or_default().insert("a".into(), "A".into());
        let translations = Translations::new(configured, "en".into());
        let registration =
            Registration::parse(br#"{"name":"p","i18n":{"translations":{"de":{"x":"Hallo"},"en":{"x":"Hello"}}}}"#)
                .unwrap();
        translations.register(&"p".into(), Texts::new(), Some(&registration));
        assert_eq!(translations.translate("p", "de", "p.x", &[]), "Hallo");
        assert_eq!(translations.translate("p", "fr", "p.x", &[]), "Hello");
        assert_eq!(translations.translate("p", "de", "a", &[]), "A");
        assert_eq!(translations.translate("p", "de", "zzz", &[]), "zzz");
        translations.register(&"p".into(), Texts::new(), None);
        assert_eq!(translations.translate("p", "de", "p.x", &[]), "p.x");
    }

    #[test]
    fn what_a_plugin_registers_wins_over_what_its_package_brings() {
        let translations = Translations::new(Texts::new(), "en".into());
        let mut packaged = Texts::new();
        let german = [("p.x".to_owned(), "Paket".to_owned()), ("p.y".to_owned(), "Nur Paket".to_owned())];
        packaged.insert("de".into(), german.into());
        let registration =
            Registration::parse(br#"{"name":"p","i18n":{"translations":{"de":{"x":"Registriert"}}}}"#).unwrap();
        translations.register(&"p".into(), packaged, Some(&registration));
        assert_eq!(translations.translate("p", "de", "p.x", &[]), "Registriert");
        assert_eq!(translations.translate("p", "de", "p.y", &[]), "Nur Paket");
    }
}
