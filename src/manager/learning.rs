//! From what plugins do to what they may: evidence, suggestions, observation, dry runs.

use std::time::Duration;

use serde_json::{Map, Value};

use super::Manager;
use crate::clock;
use crate::error::{Error, ErrorCode, Result};
use crate::host::{Event, LogLevel};
use crate::lifecycle::{Generation, Slot};
use crate::policy::audit::Action;
use crate::policy::evidence::Learned;
use crate::policy::observation::{MAX_OBSERVATION, Observe, Timestamp};
use crate::policy::suggest::{self, SuggestOptions};
use crate::policy::{Change, PolicyDocument, StoredPolicy, document};
use crate::sandbox::dry_run;

impl Manager {
    /// The smallest policy that lets a plugin work, with the evidence for each line. `options` is JSON
    /// `{"sensitive": bool, "declared": bool}` or empty. The plugin need not be loaded, if something was learned about it.
    pub fn policy_suggest(&self, plugin: &str, options: &[u8]) -> Result<Value> {
        let options = SuggestOptions::parse(options)?;
        crate::plugin::name::check_name(plugin)?;
        let slot = self.registry.slot(plugin);
        match slot.as_ref().and_then(|slot| Some((slot, slot.serving()?))) {
            Some((slot, generation)) => {
                let stored = self.policies.load(plugin)?;
                suggest::suggest(plugin, stored.as_ref(), &learned(slot, &generation), &self.rules, options)
            }
            None if self.policies.store.load_evidence(plugin)?.is_none() => {
                self.registry.loaded(plugin).map(|_| Value::Null)
            }
            None => suggest::suggest_from(&*self.policies.store, plugin, &self.rules, options),
        }
    }

    /// Puts a suggestion in force, as [`Self::policy_suggest`] gave it: what was looked at is what is granted. Refused when
    /// the policy was changed since.
    pub fn policy_apply(&self, plugin: &str, suggestion: &[u8]) -> Result<u64> {
        let (document, revision) = suggest::accepted(plugin, suggestion)?;
        let change = Change { expected_revision: Some(revision), action: Action::Applied, actor: "host" };
        self.change_policy(plugin, &document, &change)
    }

    /// Observes a plugin from now on for so many seconds, 31 days at most; 0 ends it. Gives the policy's new revision.
    pub fn policy_observe(&self, plugin: &str, seconds: u64) -> Result<u64> {
        self.check_running()?;
        crate::plugin::name::check_name(plugin)?;
        let stored = self.policies.load(plugin)?;
        let text = observed(plugin, stored.as_ref(), seconds)?;
        let revision = stored.map_or(0, |stored| stored.revision);
        let change = Change { expected_revision: Some(revision), action: Action::Observed, actor: "host" };
        self.change_policy(plugin, &text, &change)
    }

    /// Would the policy in force of a plugin allow this host call? See [`dry_run::check`].
    pub fn policy_check(&self, plugin: &str, request: &[u8]) -> Result<Value> {
        let slot = self.registry.loaded(plugin)?;
        dry_run::check(&slot.sandbox.policy, &self.services, request)
    }

    /// Tells that a plugin is observed, when a policy that says so comes into force.
    pub(super) fn tell_observation(&self, slot: &Slot) {
        let in_force = slot.sandbox.policy.snapshot();
        let Some(times) = in_force.policy.observe().filter(|times| clock::wall() < times.until.0) else { return };
        let (from, until) = (clock::rfc3339(times.from.0), clock::rfc3339(times.until.0));
        let text = format!("the plugin is observed until {until}: calls that only lack a permission or scope pass");
        self.note(&slot.name, LogLevel::Warn, &text);
        self.emit(Event::new("policy.observing", &slot.name).with("from", from).with("until", until));
    }

    /// Keeps what was learned about a plugin, so that it outlives the host. It is no loss that matters when that fails.
    pub(super) fn keep_evidence(&self, slot: &Slot, generation: &Generation) {
        let is_news = slot.sandbox.denials.take_news() | slot.sandbox.observed.take_news();
        if is_news {
            let text = learned(slot, generation).to_json().to_string();
            let _ = self.policies.store.save_evidence(&slot.name, text.as_bytes());
        }
    }

    /// Takes up what an earlier host learned.
    pub(super) fn restore_evidence(&self, plugin: &str, sandbox: &crate::sandbox::Sandbox) {
        let kept = self.policies.store.load_evidence(plugin).unwrap_or_default();
        // What can't be read is learned again.
        if let Some(learned) = kept.and_then(|text| Learned::parse(&text).ok()) {
            sandbox.denials.restore(learned.denied);
            sandbox.observed.restore(learned.observed);
        }
    }
}

fn learned(slot: &Slot, generation: &Generation) -> Learned {
    Learned {
        declared: generation.request.permissions.clone(),
        denied: slot.sandbox.denials.evidence(),
        observed: slot.sandbox.observed.evidence(),
    }
}

/// The stored document with an observation that begins now; without one, the default grant stays in force.
pub fn observed(plugin: &str, stored: Option<&StoredPolicy>, seconds: u64) -> Result<Vec<u8>> {
    if seconds > MAX_OBSERVATION.as_secs() {
        return Err(Error::new(ErrorCode::ArgumentInvalid, format!("{seconds} seconds are more than 31 days")));
    }
    let mut members: Map<String, Value> = match stored {
        None => PolicyDocument { version: Some(document::VERSION), ..PolicyDocument::default() }
            .to_json()
            .as_object()
            .cloned()
            .unwrap_or_default(),
        Some(stored) => {
            let (document, _) =
                document::parse(&stored.text).map_err(|problems| document::problems_to_error(&problems))?;
            document.check_plugin_name(plugin)?;
            crate::json::from_object(&stored.text).map_err(|problem| {
                Error::new(ErrorCode::PolicyDocumentInvalid, "the policy is no object").with_source(problem)
            })?
        }
    };
    members.remove("observe");
    if seconds > 0 {
        let from = clock::wall();
        let until = from + Duration::from_secs(seconds);
        // `version` 1 is what knows observation; rows of the reference keep their lenient reading.
        members.insert("observe".into(), serde_json::json!(Observe { from: Timestamp(from), until: Timestamp(until) }));
    }
    Ok(Value::Object(members).to_string().into_bytes())
}
