//! Native plugins: what a program gets from configuration, policy and signature.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Manager, config};
use crate::error::Result;
use crate::host::{Event, HostApi, LogLevel, LogRecord};
use crate::lifecycle::Slot;
use crate::package::Program;
use crate::package::trust::Verified;
use crate::plugin::{CallContext, Manifest, Plugin, Registration};
use crate::policy::Policy;
use crate::runtime::process::jail::JailLimits;
use crate::runtime::process::{NativePlugin, NativeProgram, NativeSeat, ProcessEvent, Terms};
use crate::sandbox::{Sandbox, Services};

/// Level that a native plugin needs when its policy says none: less for one whose author is known.
const LEVEL_SIGNED: u32 = 2;
const LEVEL_UNSIGNED: u32 = 3;

/// A native plugin that passed the gate.
pub(super) struct Code<'a> {
    pub code: Vec<u8>,
    pub program: Program,
    pub manifest: &'a Manifest,
    pub verified: &'a Verified,
}

impl Manager {
    /// Starts the plugin in its jail. `admit` looks at what it registers before it may do anything.
    pub(super) fn start_native(
        &self,
        code: Code<'_>,
        slot: &Arc<Slot>,
        policy: &Policy,
        admit: impl FnOnce(&Registration) -> Result<()>,
        context: &CallContext,
    ) -> Result<Box<dyn Plugin>> {
        let Code { code, program, manifest, verified } = code;
        let ground = Ground::new(&self.settings.native, verified);
        let first_terms = ground.terms(policy);
        let live = Arc::clone(&slot.sandbox.policy);
        let (services, name) = (Arc::clone(&self.services), Arc::clone(&slot.name));
        let host: Arc<dyn HostApi> = Arc::<Sandbox>::clone(&slot.sandbox);
        let seat = NativeSeat {
            host,
            limits: self.runtime_limits(policy.limits()),
            first_terms,
            terms: Box::new(move || ground.terms(&live.snapshot().policy)),
            config: self.settings.native.config_of(manifest),
            directory: self.settings.native.directory.clone(),
            recovery: Arc::clone(&slot.recovery),
            observer: Box::new(move |event| tell(&services, event, &name)),
        };
        let program = NativeProgram { code, binary: program.binary, files: program.files };
        Ok(Box::new(NativePlugin::start(program, seat, admit, context)?))
    }
}

/// What happened to a process goes to the plugin's log, and to whoever subscribed.
fn tell(services: &Services, happened: ProcessEvent, plugin: &Arc<str>) {
    let (level, message, event) = match happened {
        ProcessEvent::Crashed(error) => {
            (LogLevel::Error, error.to_string(), Event::new("plugin.crashed", plugin).with("error", error.to_json()))
        }
        ProcessEvent::Restarted => {
            (LogLevel::Info, "a new process serves".to_owned(), Event::new("plugin.restarted", plugin))
        }
        ProcessEvent::GaveUp => (
            LogLevel::Error,
            "the process ended too often and is not started any more".to_owned(),
            Event::new("plugin.crash_loop", plugin),
        ),
    };
    services.logs.push(Arc::new(LogRecord::new(plugin, level, &message, serde_json::Map::new())));
    if services.events.wants(event.kind) {
        services.events.emit(event);
    }
}

/// What does not change with the policy.
struct Ground {
    /// Level that the signature asks for, or that counts without a word from the policy.
    default_level: u32,
    signed_level: u32,
    group_parent: Option<PathBuf>,
}

impl Ground {
    fn new(settings: &config::NativeConfig, verified: &Verified) -> Self {
        let is_signed = !verified.signers().is_empty();
        let asked = verified.statement().and_then(|statement| statement.isolation_minimum);
        Self {
            default_level: if is_signed { LEVEL_SIGNED } else { LEVEL_UNSIGNED },
            signed_level: asked.map_or(0, u32::from),
            group_parent: settings.group_parent.clone(),
        }
    }

    fn terms(&self, policy: &Policy) -> Terms {
        let (limits, isolation, usual) = (policy.limits(), policy.isolation(), JailLimits::default());
        Terms {
            // What its signers ask for is a floor; an administrator can ask for more.
            minimum_level: isolation.minimum.unwrap_or(self.default_level).max(self.signed_level),
            memory_bytes: limits.native_memory_bytes,
            threads: isolation.threads.unwrap_or(usual.threads),
            cpu_percent: isolation.cpu_percent.unwrap_or(usual.cpu_percent),
            tmp_bytes: isolation.tmp_mb.map_or(usual.tmp_bytes, |megabytes| u64::from(megabytes) << 20),
            interpreter: isolation.interpreter.as_ref().map(PathBuf::from),
            read_only: isolation.read_only.iter().map(PathBuf::from).collect(),
            environment: isolation.environment.clone().into_iter().collect(),
            may_jit: isolation.jit.unwrap_or(false),
            group_parent: self.group_parent.clone(),
            call_timeout_ms: limits.call_timeout_ms,
            init_timeout_ms: limits.init_timeout_ms,
            shutdown_timeout_ms: limits.shutdown_timeout_ms,
        }
    }
}

impl config::NativeConfig {
    /// Settings that a plugin is told: the fixed ones win over configured ones of the same name.
    fn config_of(&self, manifest: &Manifest) -> BTreeMap<String, String> {
        let mut settings = self.settings.get(&manifest.name).cloned().unwrap_or_default();
        settings.insert("host_version".into(), env!("CARGO_PKG_VERSION").into());
        settings.insert("plugin_name".into(), manifest.name.clone());
        settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{DefaultRules, ResourceRequest, document};

    fn level(document: &str, default_level: u32, signed_level: u32) -> u32 {
        let (document, _) = document::parse(document.as_bytes()).unwrap();
        let policy = Policy::from_document(&document, &ResourceRequest::default(), &DefaultRules::default());
        Ground { default_level, signed_level, group_parent: None }.terms(&policy).minimum_level
    }

    #[test]
    fn what_signers_ask_for_is_a_floor_and_policies_can_ask_for_more() {
        let silent = r#"{"version": 1, "status": "approved"}"#;
        let weak = r#"{"version": 1, "status": "approved", "isolation": {"minimum": 1}}"#;
        let strong = r#"{"version": 1, "status": "approved", "isolation": {"minimum": 4}}"#;
        let unreviewed = r#"{"version": 1, "status": "pending_review", "isolation": {"minimum": 0}}"#;
        assert_eq!([level(silent, LEVEL_UNSIGNED, 0), level(silent, LEVEL_SIGNED, 0)], [3, 2]);
        assert_eq!([level(silent, LEVEL_SIGNED, 4), level(weak, LEVEL_SIGNED, 4)], [4, 4]);
        assert_eq!([level(weak, LEVEL_UNSIGNED, 0), level(strong, LEVEL_SIGNED, 3)], [1, 4]);
        assert_eq!(level(unreviewed, LEVEL_UNSIGNED, 0), 3, "nobody approved the weaker jail");
    }
}
