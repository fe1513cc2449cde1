//! Policies: from the store into force, and changes on the way back.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::stopping::put_to_rest;
use super::{Config, Manager};
use crate::error::{Error, ErrorCode, Result};
use crate::host::Event;
use crate::lifecycle::{Generation, Slot};
use crate::plugin::RuntimeLimits;
use crate::plugin::call::with_room;
use crate::policy::audit::Action;
use crate::policy::{Change, DefaultRules, Limits, Policy, PolicyStore, ResourceRequest, StoredPolicy, document};

/// Most audit rows that are handed out at once.
const MAX_HISTORY: usize = 10_000;

/// The store, and what was last read from it.
pub(super) struct Policies {
    pub(super) store: Arc<dyn PolicyStore>,
    /// Documents of the configuration that are not known to be stored yet.
    seeds: Mutex<BTreeMap<String, Vec<u8>>>,
    /// What was last read or written, by plugin: in force while the store can't be read.
    known: Mutex<BTreeMap<String, Option<StoredPolicy>>>,
    /// Enablement that was last read or written, by plugin.
    enabled: Mutex<BTreeMap<String, bool>>,
    /// Something could not be read since the store was last looked at.
    is_unread: AtomicBool,
}

impl Policies {
    /// The configured store. Documents of the configuration are stored where none is.
    pub(super) fn open(config: &Config) -> Result<Self> {
        let policies = Self {
            store: config.open_policy_store()?,
            seeds: Mutex::new(config.policy_texts()?.into_iter().collect()),
            known: Mutex::default(),
            enabled: Mutex::default(),
            is_unread: AtomicBool::new(false),
        };
        for (plugin, _) in config.policy_texts()? {
            // What fails here fails again when the plugin is loaded, and blocks it then.
            let _ = policies.sow(&plugin);
        }
        Ok(policies)
    }

    /// Stores the configured document, unless one is stored.
    fn sow(&self, plugin: &str) -> Result<()> {
        let mut seeds = self.seeds.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(text) = seeds.get(plugin) else { return Ok(()) };
        if self.store.load(plugin)?.is_none() {
            let change = Change { expected_revision: Some(0), action: Action::Seeded, actor: "configuration" };
            match self.store.save(plugin, text, &change) {
                // Another process was faster.
                Err(error) if error.code() != ErrorCode::PolicyRevisionConflict => return Err(error),
                _ => {}
            }
        }
        seeds.remove(plugin);
        Ok(())
    }

    /// What is stored now.
    pub(super) fn load(&self, plugin: &str) -> Result<Option<StoredPolicy>> {
        self.sow(plugin)?;
        self.store.load(plugin)
    }

    /// What is stored now or, while the store can't be read, what was.
    pub(super) fn load_or_known(&self, plugin: &str) -> Result<Option<StoredPolicy>> {
        match self.load(plugin) {
            Ok(stored) => {
                self.remember(plugin, stored.clone());
                Ok(stored)
            }
            Err(error) => {
                self.is_unread.store(true, Ordering::SeqCst);
                let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                known.get(plugin).cloned().ok_or(error)
            }
        }
    }

    /// Keeps what is stored; true when it is news.
    pub(super) fn remember(&self, plugin: &str, stored: Option<StoredPolicy>) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.insert(plugin.to_owned(), stored);
        before.as_ref() != known.get(plugin)
    }

    /// Whether the plugin is enabled, as stored now or, while that can't be read, as last known. Nothing stored means that
    /// it is.
    pub(super) fn enabled_or_known(&self, plugin: &str) -> Result<bool> {
        match self.store.load_enabled(plugin) {
            Ok(stored) => {
                let enabled = stored.unwrap_or(true);
                self.remember_enabled(plugin, enabled);
                Ok(enabled)
            }
            Err(error) => {
                self.is_unread.store(true, Ordering::SeqCst);
                self.known_enabled(plugin).ok_or(error)
            }
        }
    }

    fn known_enabled(&self, plugin: &str) -> Option<bool> {
        self.enabled.lock().unwrap_or_else(PoisonError::into_inner).get(plugin).copied()
    }

    /// Keeps what is stored; true when nothing was known before.
    pub(super) fn remember_enabled(&self, plugin: &str, enabled: bool) -> bool {
        let mut known = self.enabled.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(plugin.to_owned(), enabled).is_none()
    }

    /// Whether something could not be read since this was last asked.
    pub(super) fn take_unread(&self) -> bool {
        self.is_unread.swap(false, Ordering::SeqCst)
    }
}

impl Manager {
    /// Puts an administrator's document in force, at once; an empty text removes the stored one. Refused documents change
    /// nothing. Gives the new revision.
    pub fn set_policy(&self, plugin: &str, text: &[u8], expected_revision: Option<u64>) -> Result<u64> {
        with_room(|| self.change_policy(plugin, text, &Change::by_host(expected_revision)))
    }

    pub(super) fn change_policy(&self, plugin: &str, text: &[u8], change: &Change<'_>) -> Result<u64> {
        self.check_running()?;
        crate::plugin::name::check_name(plugin)?;
        check_document(plugin, text)?;
        let _turn = self.turn();
        let revision = self.policies.store.save(plugin, text, change)?;
        let stored = (!text.is_empty()).then(|| StoredPolicy { text: text.to_vec(), revision });
        self.policies.remember(plugin, stored);
        if let Some(slot) = self.registry.slot(plugin)
            && let Some(generation) = slot.serving()
        {
            self.put_in_force(&slot, &generation);
        }
        self.emit(Event::new("policy.changed", &plugin.into()).with("revision", revision));
        Ok(revision)
    }

    /// Stores enablement and lets it act.
    pub(super) fn set_enabled(&self, plugin: &str, enabled: bool) -> Result<Arc<Slot>> {
        self.check_running()?;
        let slot = self.registry.loaded(plugin)?;
        let _turn = self.turn();
        self.policies.store.save_enabled(plugin, enabled, "host")?;
        slot.set_enabled(enabled);
        if self.policies.remember_enabled(plugin, enabled)
            && let Some(generation) = slot.serving()
        {
            self.put_in_force(&slot, &generation);
        }
        if let Some(generation) = slot.serving().filter(|_| !enabled) {
            put_to_rest(&slot, &generation);
        }
        self.emit(Event::new(if enabled { "plugin.enabled" } else { "plugin.disabled" }, &slot.name));
        Ok(slot)
    }

    /// Compiles what is known to be stored, and lets it act from the next host call on.
    pub(super) fn put_in_force(&self, slot: &Slot, generation: &Generation) {
        let known = self.policies.known.lock().unwrap_or_else(PoisonError::into_inner).get(&*slot.name).cloned();
        let (revision, policy) = compile(&slot.name, Ok(known.flatten()), &generation.request, &self.rules);
        let policy = match self.policies.known_enabled(&slot.name) {
            Some(_) => policy,
            None => enablement_unknown("the policy store could not be read"),
        };
        let limits = self.runtime_limits(policy.limits());
        slot.sandbox.policy.replace(revision, policy);
        // After the policy: a native plugin looks there what its process gets.
        generation.plugin.set_limits(&limits);
        self.tell_observation(slot);
    }

    /// The policy of a plugin: what is stored, what is in force, and where it comes from.
    pub fn policy(&self, plugin: &str) -> Result<Value> {
        let slot = self.registry.slot(plugin).filter(|slot| slot.serving().is_some());
        let stored =
            if crate::plugin::name::check_name(plugin).is_ok() { self.policies.load(plugin) } else { Ok(None) };
        if slot.is_none() && matches!(stored, Ok(None)) {
            self.registry.loaded(plugin)?;
        }
        let problem = stored.as_ref().err().map(|error| Value::from(error.to_string()));
        let text = stored.as_ref().ok().and_then(|stored| stored.as_ref()).map(|stored| stored.text.clone());
        let (revision, effective) = match &slot {
            Some(slot) => {
                let in_force = slot.sandbox.policy.snapshot();
                (in_force.revision, in_force.policy.to_json())
            }
            None => {
                let (revision, policy) = compile(plugin, stored, &ResourceRequest::default(), &self.rules);
                (revision, policy.to_json())
            }
        };
        let text = text.map(|text| String::from_utf8_lossy(&text).into_owned());
        let document = text.map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text)));
        let mut report = json!({ "plugin": plugin, "revision": revision, "stored": document, "effective": effective });
        if let Some(problem) = problem {
            report["store_problem"] = problem;
        }
        Ok(report)
    }

    /// Changes of policies and enablement, newest first: of one plugin, or of all.
    pub fn policy_history(&self, plugin: Option<&str>, limit: usize) -> Result<Value> {
        let rows = self.policies.store.history(plugin, limit.clamp(1, MAX_HISTORY))?;
        Ok(json!(rows))
    }

    /// The rules for a plugin that asks for `request`. What is stored but can't be read blocks the plugin; it never
    /// falls back to something wider.
    pub(super) fn policy_for(&self, plugin: &str, request: &ResourceRequest) -> (u64, Policy) {
        compile(plugin, self.policies.load_or_known(plugin), request, &self.rules)
    }

    /// As [`Self::policy_for`], with whether the plugin is enabled. Where that can't be read and was never known, it is not
    /// assumed: the plugin is blocked.
    pub(super) fn standing_of(&self, plugin: &str, request: &ResourceRequest) -> (u64, Policy, bool) {
        let (revision, policy) = self.policy_for(plugin, request);
        match self.policies.enabled_or_known(plugin) {
            Ok(enabled) => (revision, policy, enabled),
            Err(problem) => (revision, enablement_unknown(&problem.to_string()), true),
        }
    }

    pub(super) fn runtime_limits(&self, limits: &Limits) -> RuntimeLimits {
        let bytes = |limit: u64, ceiling: usize| match usize::try_from(limit) {
            Ok(0) | Err(_) => ceiling,
            Ok(limit) => limit.min(ceiling),
        };
        RuntimeLimits {
            memory_bytes: bytes(limits.memory_bytes, self.settings.max_memory_bytes),
            instances: limits.instances.clamp(1, self.settings.max_instances),
            argument_bytes: bytes(limits.max_argument_bytes, self.settings.max_message_bytes),
            result_bytes: bytes(limits.max_result_bytes, self.settings.max_message_bytes),
            host_calls: limits.host_calls_per_call,
        }
    }
}

/// The rules of a plugin that may be a disabled one.
fn enablement_unknown(problem: &str) -> Policy {
    Policy::blocked(format!("whether the plugin is enabled can't be loaded: {problem}"))
}

/// Refuses a document that can't be understood, or is another plugin's.
fn check_document(plugin: &str, text: &[u8]) -> Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    let (document, _warnings) = document::parse(text).map_err(|problems| document::problems_to_error(&problems))?;
    document.check_plugin_name(plugin)
}

/// From what is stored to the rules, which block when that is not known or not understood.
fn compile(
    plugin: &str,
    stored: Result<Option<StoredPolicy>>,
    request: &ResourceRequest,
    rules: &DefaultRules,
) -> (u64, Policy) {
    let stored = match stored {
        Err(error) => return (0, Policy::blocked(format!("the stored policy can't be loaded: {error}"))),
        Ok(None) => return (0, Policy::default_grant(request, rules)),
        Ok(Some(stored)) => stored,
    };
    let parsed = document::parse(&stored.text).map_err(|problems| {
        let problem = document::problems_to_error(&problems);
        Error::new(problem.code(), format!("the stored policy can't be read: {problem}"))
    });
    let checked = parsed.and_then(|(document, _)| document.check_plugin_name(plugin).map(|()| document));
    let policy = match checked {
        Ok(document) => Policy::from_document(&document, request, rules),
        Err(error) => Policy::blocked(error.to_string()),
    };
    (stored.revision, policy)
}
