//! The way of a plugin into service: read → compile → start → register → admit → serve. Nothing that other calls need is
//! locked before the last step.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::anteroom::Anteroom;
use super::stopping::put_to_rest;
use super::{Manager, native};
use crate::error::{Error, ErrorCode, Result};
use crate::host::{Event, HostApi, LogLevel};
use crate::lifecycle::registry::deadline_of;
use crate::lifecycle::{Generation, Live, Origin, Packaged, Slot, Source, State, SwapTurn, changes};
use crate::package::request::Asked;
use crate::package::store::{is_read_only, status_json};
use crate::package::trust::{Subject, Verified};
use crate::package::{Opened, Program, Store, translations};
use crate::plugin::name::shorten;
use crate::plugin::{self, Artifact, CallContext, Cancellation, Manifest, Plugin, Registration, RuntimeKind};
use crate::policy::{Policy, ResourceRequest, request};
use crate::runtime::template::TemplatePlugin;
use crate::runtime::wasm::{CompiledModule, Seat, WasmEngine};
use crate::sandbox::{LivePolicy, Sandbox};

/// What a plugin is started for.
pub(super) enum Purpose {
    /// To serve under a name that nothing serves under.
    Load,
    /// To serve in place of what serves under its name.
    Replace,
    /// To serve in place of what serves in this slot, whose turn somebody holds.
    Renew(Arc<Slot>),
}

/// What is known about a plugin that asks to serve.
pub(super) struct Candidate {
    pub(super) slot: Arc<Slot>,
    request: ResourceRequest,
    warnings: Vec<String>,
    policy: Policy,
    /// The right to exchange what serves.
    #[expect(dead_code, reason = "held, not read")]
    swapping: Option<SwapTurn>,
}

/// A plugin that was started and has registered.
pub(super) struct Started {
    pub(super) candidate: Candidate,
    plugin: Box<dyn Plugin>,
    luggage: Luggage,
    accepted: Accepted,
}

/// Of what was not installed: how it was signed, and the version its manifest says.
pub(super) struct Accepted(Option<(Verified, Option<String>)>);

/// What a plugin brings into service besides its code.
struct Luggage {
    origin: Origin,
    packaged: Packaged,
    warnings: Vec<String>,
}

pub(super) fn load(manager: &Manager, path: &Path) -> Result<Arc<str>> {
    let load = || {
        let opened = crate::package::open(&manager.gate, manager.packages.as_ref(), path)?;
        load_opened(manager, opened, Some(path))
    };
    load().map_err(|error| error.with_detail("path", shorten(&path.display().to_string(), 300)))
}

pub(super) fn load_opened(manager: &Manager, opened: Opened, path: Option<&Path>) -> Result<Arc<str>> {
    let started = start(manager, opened, path, &Purpose::Load)?;
    let (candidate, live, accepted) = started.into_generation();
    accepted.remember(manager, live.plugin.registration())?;
    live.advance(State::Ready)?;
    manager.put_into_service(&candidate.slot, &live)
}

/// Everything that runs comes through here, with the verdict over its signatures.
pub(super) fn start(manager: &Manager, opened: Opened, path: Option<&Path>, purpose: &Purpose) -> Result<Started> {
    let Opened { artifact, program, runtime, verified, assets, is_installed, key } = opened;
    let source = match (key, path) {
        (Some(key), _) => Source::Package { key },
        (None, path) => Source::Path(absolute(path.unwrap_or_else(|| Path::new(&artifact.origin)))),
    };
    let origin = Origin { shown: artifact.origin.clone(), source, verified: verified.clone() };
    let packaged = Packaged { runtime: runtime.name(), signature: status_json(&verified), ..Packaged::default() };
    let mut luggage = Luggage { origin, packaged, warnings: Vec::new() };
    if let (Some(manifest), Some(assets)) = (&artifact.manifest, assets) {
        (luggage.packaged.texts, luggage.warnings) = translations::read(&manifest.name, &assets);
        luggage.packaged.assets = Some(assets);
    }
    let store = if is_installed { None } else { manager.packages.as_ref() };
    let version = artifact.manifest.as_ref().map(|manifest| manifest.version.clone());
    let (candidate, plugin) = match runtime {
        RuntimeKind::Template => start_template(manager, artifact, purpose)?,
        RuntimeKind::Process => start_native(manager, artifact, program, &verified, store, purpose)?,
        RuntimeKind::Wasm => start_module(manager, artifact, &verified, store, purpose)?,
    };
    let accepted = Accepted((!is_installed).then_some((verified, version)));
    Ok(Started { candidate, plugin, luggage, accepted })
}

/// Paths are told before the working directory may change.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

impl Accepted {
    /// Remembers which release was accepted. Not before it has started, and is healthy where that is asked: a release that
    /// does not must leave the way back to the working one open.
    pub(super) fn remember(&self, manager: &Manager, registration: &Registration) -> Result<()> {
        let (Some((verified, version)), Some(store)) = (&self.0, &manager.packages) else { return Ok(()) };
        let version = version.as_deref().unwrap_or_else(|| registration.version());
        let subject = Subject { name: registration.name(), version, permissions_sha256: None };
        match store.remember(verified, &subject) {
            Err(error) if is_read_only(&error) => {
                let text = format!("it is not remembered which release was accepted: {error}");
                manager.note(&registration.name().into(), LogLevel::Warn, &text);
                Ok(())
            }
            remembered => remembered,
        }
    }
}

impl Started {
    /// A generation that is to serve in the slot, which goes with it.
    pub(super) fn into_generation(self) -> (Candidate, Arc<Live>, Accepted) {
        let Self { mut candidate, plugin, luggage, accepted } = self;
        let Luggage { origin, packaged, warnings } = luggage;
        let mut all = std::mem::take(&mut candidate.warnings);
        all.extend(warnings);
        let request = std::mem::take(&mut candidate.request);
        let live = candidate.slot.adopt(Generation::new(plugin, request, all, origin, packaged));
        (candidate, live, accepted)
    }
}

fn start_template(manager: &Manager, artifact: Artifact, purpose: &Purpose) -> Result<(Candidate, Box<dyn Plugin>)> {
    let manifest = artifact.manifest.ok_or_else(|| crate::error::bug!("a template without a manifest"))?;
    let candidate = manager.candidate(&manifest.name, &manifest.resources, purpose)?;
    Ok((candidate, Box::new(TemplatePlugin::new(&manifest)?)))
}

fn start_native(
    manager: &Manager,
    artifact: Artifact,
    program: Option<Program>,
    verified: &Verified,
    store: Option<&Store>,
    purpose: &Purpose,
) -> Result<(Candidate, Box<dyn Plugin>)> {
    let (Some(manifest), Some(program)) = (artifact.manifest, program) else {
        return Err(crate::error::bug!("a native plugin without a manifest"));
    };
    let candidate = manager.candidate(&manifest.name, &manifest.resources, purpose)?;
    let starting = context(candidate.policy.limits().init_timeout_ms);
    let admit = |registration: &Registration| {
        check_identity(Some(&manifest), registration)?;
        check_signed(Some(&manifest), registration, verified, store)
    };
    let code = native::Code { code: artifact.code, program, manifest: &manifest, verified };
    let plugin = manager
        .start_native(code, &candidate.slot, &candidate.policy, admit, &starting)
        .map_err(|error| too_slow(error, "the plugin did not start within its policy's `init_timeout`"))?;
    Ok((candidate, plugin))
}

fn start_module(
    manager: &Manager,
    artifact: Artifact,
    verified: &Verified,
    store: Option<&Store>,
    purpose: &Purpose,
) -> Result<(Candidate, Box<dyn Plugin>)> {
    let Artifact { manifest, code, origin } = artifact;
    let announced = manifest
        .as_ref()
        .map(|manifest| manager.candidate(&manifest.name, &manifest.resources, purpose))
        .transpose()?;
    let compiling = context(manager.settings.load_timeout_ms);
    let engine = WasmEngine::shared(manager.settings.signals)?;
    let module = CompiledModule::compile(engine, code, &manager.settings.module, &compiling).map_err(|error| {
        too_slow(error, "compiling took longer than `limits.load_timeout_ms` of the configuration allows")
            .with_detail("step", "compile")
    })?;

    let limits = announced.as_ref().map_or(&manager.rules.limits, |known| known.policy.limits()).clone();
    let starting = context(limits.init_timeout_ms);
    let host: Arc<dyn HostApi> = match &announced {
        Some(known) => Arc::<Sandbox>::clone(&known.slot.sandbox),
        None => Arc::new(Anteroom::new(manager, &origin)),
    };
    let first = Seat { host, limits: manager.runtime_limits(&limits) };
    let mut admitted = announced;
    let admit = |registration: &Registration| {
        check_identity(manifest.as_ref(), registration)?;
        check_signed(manifest.as_ref(), registration, verified, store)?;
        let candidate = match admitted.take() {
            Some(known) => known,
            None => manager.candidate(registration.name(), registration.resources(), purpose)?,
        };
        let host: Arc<dyn HostApi> = Arc::<Sandbox>::clone(&candidate.slot.sandbox);
        let limits = manager.runtime_limits(candidate.policy.limits());
        admitted = Some(candidate);
        Ok(Seat { host, limits })
    };
    let plugin = module
        .start(first, admit, &manager.graph, &starting)
        .map_err(|error| too_slow(error, "the plugin did not start within its policy's `init_timeout`"))?;
    let candidate = admitted.ok_or_else(|| crate::error::bug!("a plugin started without being admitted"))?;
    Ok((candidate, Box::new(plugin)))
}

/// The plugin's own word on its name is held against what was signed, and against what was accepted of that name before.
fn check_signed(
    manifest: Option<&Manifest>,
    registration: &Registration,
    verified: &Verified,
    store: Option<&Store>,
) -> Result<()> {
    if let Some(manifest) = manifest {
        // What a manifest asks for was held against signature and approval before the plugin ran.
        let subject = Subject { name: registration.name(), version: &manifest.version, permissions_sha256: None };
        return verified.check_subject(&subject);
    }
    let asked = Asked::of(registration.resources());
    let subject = Subject {
        name: registration.name(),
        version: registration.version(),
        permissions_sha256: Some(asked.fingerprint()),
    };
    verified.check_subject(&subject)?;
    store.map_or(Ok(()), |store| store.check_known(verified, &subject, &asked))
}

impl Manager {
    /// Looks at who asks to serve, before the plugin gets to do anything.
    fn candidate(&self, name: &str, resources: &Value, purpose: &Purpose) -> Result<Candidate> {
        let (request, warnings) = request::parse(resources);
        let (_, policy) = self.policy_for(name, &request);
        let (slot, swapping) = match purpose {
            Purpose::Load => (self.free_slot(name, &request)?, None),
            Purpose::Replace => {
                let slot = self.registry.loaded(name)?;
                let turn = slot.begin_swap()?;
                (slot, Some(turn))
            }
            Purpose::Renew(slot) if *slot.name == *name => (Arc::clone(slot), None),
            Purpose::Renew(slot) => return Err(renamed(slot, name)),
        };
        Ok(Candidate { slot, request, warnings, policy, swapping })
    }

    fn free_slot(&self, name: &str, request: &ResourceRequest) -> Result<Arc<Slot>> {
        let slot = match self.registry.slot(name) {
            Some(slot) => slot,
            None => {
                self.registry.check_distinct(name)?;
                self.new_slot(name, request)?
            }
        };
        check_free(&slot)?;
        Ok(slot)
    }

    /// A slot that is not in the registry yet: a plugin that fails to load leaves nothing behind.
    fn new_slot(&self, name: &str, request: &ResourceRequest) -> Result<Arc<Slot>> {
        let name: Arc<str> = name.into();
        let (revision, policy) = self.policy_for(&name, request);
        let live = LivePolicy::new(revision, policy);
        let sandbox = Sandbox::new(Arc::clone(&name), live, Arc::clone(&self.services));
        self.restore_evidence(&name, &sandbox);
        Ok(Arc::new(Slot::new(name, Arc::new(sandbox))))
    }

    fn put_into_service(&self, slot: &Arc<Slot>, live: &Arc<Live>) -> Result<Arc<str>> {
        let _turn = self.turn();
        self.check_running()?;
        self.registry.add(slot)?;
        check_free(slot)?;
        let collisions = self.collisions(slot, live);
        slot.health.forget();
        self.switch(slot, live)?;
        let loaded = Event::new("plugin.loaded", &slot.name)
            .with("version", live.version())
            .with("registration", live.plugin.registration().document().clone())
            .with("collisions", collisions);
        self.emit(loaded);
        Ok(Arc::clone(&slot.name))
    }

    /// Lets `live` serve, with all that hangs on it: policy, enablement, limits and translations. Gives back what served.
    pub(super) fn switch(&self, slot: &Arc<Slot>, live: &Arc<Live>) -> Result<Option<Arc<Live>>> {
        // Policy and enablement may have been changed while the plugin was starting, or nothing served under the name.
        let (revision, policy, enabled) = self.standing_of(&slot.name, &live.request);
        slot.set_enabled(enabled);
        let limits = self.runtime_limits(policy.limits());
        slot.sandbox.policy.replace(revision, policy);
        // After the policy: a native plugin looks there what its process gets.
        live.plugin.set_limits(&limits);
        self.tell_observation(slot);
        self.translations.register(&slot.name, live.packaged.texts.clone(), Some(live.plugin.registration()));
        let before = slot.swap(Some(Arc::clone(live)))?;
        if !enabled {
            put_to_rest(slot, live);
        }
        Ok(before)
    }

    /// Routes and menu items that other plugins have, too.
    pub(super) fn collisions(&self, slot: &Slot, live: &Live) -> Vec<Value> {
        let others: Vec<_> = self
            .registry
            .all_loaded()
            .into_iter()
            .filter(|other| other.name != slot.name)
            .filter_map(|other| Some((Arc::clone(&other.name), other.serving()?)))
            .collect();
        let others = others.iter().map(|(name, live)| (&**name, live.plugin.registration().document()));
        changes::collisions(live.plugin.registration().document(), others)
    }
}

fn renamed(slot: &Slot, name: &str) -> Error {
    Error::new(
        ErrorCode::PackageNameMismatch,
        format!("what is to replace plugin \"{}\" registers as `{}`", slot.name, shorten(name, 80)),
    )
    .with_plugin(&slot.name)
}

fn check_free(slot: &Slot) -> Result<()> {
    if slot.serving().is_none() {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::LifecycleAlreadyLoaded,
        format!("plugin \"{}\" already registered (unload it first)", slot.name),
    )
    .with_plugin(&slot.name))
}

/// Names the limit that a load ran into.
fn too_slow(error: Error, reason: &'static str) -> Error {
    if error.code() != ErrorCode::PluginDeadline {
        return error;
    }
    let details = error.detail().clone();
    let reason = match details.get("waited_for").and_then(|what| what.as_str()) {
        Some(what) => format!("{reason}; it was waited for {what}").into(),
        None => Cow::Borrowed(reason),
    };
    details
        .into_iter()
        .fold(Error::new(ErrorCode::PluginDeadline, reason), |error, (key, value)| error.with_detail(&key, value))
}

/// What a package claims must be what runs.
fn check_identity(manifest: Option<&Manifest>, registration: &Registration) -> Result<()> {
    let Some(manifest) = manifest else { return Ok(()) };
    let mismatch = |what: &str, announced: &str, registered: &str| {
        Err(Error::new(
            ErrorCode::PackageNameMismatch,
            format!("the manifest says {what} `{announced}`, the plugin registers as `{}`", shorten(registered, 80)),
        ))
    };
    if manifest.name != registration.name() {
        return mismatch("name", &manifest.name, registration.name());
    }
    let both_tell = !manifest.version.is_empty() && !registration.version().is_empty();
    if both_tell && manifest.version != registration.version() {
        return mismatch("version", &manifest.version, registration.version());
    }
    Ok(())
}

pub(super) fn context(timeout_ms: u64) -> CallContext {
    CallContext::from_host(deadline_of(timeout_ms), Cancellation::default(), plugin::Origin::default())
}
