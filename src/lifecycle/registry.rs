//! All slots of a manager, by name. Reading takes no lock; writers take turns.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use super::slot::{Slot, not_found};
use crate::clock;
use crate::error::{Error, ErrorCode, Result};
use crate::host::PluginCaller;
use crate::plugin::name::folded;
use crate::plugin::{CallContext, ResultSink};

/// Slots by name.
#[derive(Debug, Default)]
pub struct Registry {
    slots: ArcSwap<BTreeMap<Arc<str>, Arc<Slot>>>,
    writing: Mutex<()>,
}

impl Registry {
    /// The slot of this name, whether something serves in it or not.
    #[must_use]
    pub fn slot(&self, name: &str) -> Option<Arc<Slot>> {
        self.slots.load().get(name).cloned()
    }

    /// The slot of this name when a plugin serves in it.
    pub fn loaded(&self, name: &str) -> Result<Arc<Slot>> {
        self.slot(name).filter(|slot| slot.serving().is_some()).ok_or_else(|| {
            let name = crate::plugin::name::shorten(name, 80);
            Error::new(ErrorCode::LifecyclePluginNotFound, format!("plugin \"{name}\" not found"))
                .with_plugin(&name.as_str().into())
                .with_detail("target", name)
        })
    }

    /// All slots, by name.
    #[must_use]
    pub fn slots(&self) -> Vec<Arc<Slot>> {
        self.slots.load().values().cloned().collect()
    }

    /// Slots in which a plugin serves, by name.
    #[must_use]
    pub fn all_loaded(&self) -> Vec<Arc<Slot>> {
        self.slots().into_iter().filter(|slot| slot.serving().is_some()).collect()
    }

    /// Fails when a name exists that differs only in `-` and `_`: hosts derive identifiers from names that way.
    pub fn check_distinct(&self, name: &str) -> Result<()> {
        let slots = self.slots.load();
        match slots.keys().find(|known| ***known != *name && folded(known) == folded(name)) {
            None => Ok(()),
            Some(twin) => Err(Error::new(
                ErrorCode::PackageNameInvalid,
                format!("plugin name `{name}` is too close to `{twin}`, which exists"),
            )),
        }
    }

    /// Adds a slot, unless it is there already. Fails when another one has its name, or nearly.
    pub fn add(&self, slot: &Arc<Slot>) -> Result<()> {
        let _turn = self.turn();
        let mut slots = BTreeMap::clone(&self.slots.load());
        match slots.get(&slot.name) {
            Some(known) if Arc::ptr_eq(known, slot) => return Ok(()),
            Some(_) => {
                return Err(Error::new(
                    ErrorCode::LifecycleAlreadyLoaded,
                    format!("plugin \"{}\" was loaded by somebody else at the same time", slot.name),
                ));
            }
            None => self.check_distinct(&slot.name)?,
        }
        slots.insert(Arc::clone(&slot.name), Arc::clone(slot));
        self.slots.store(Arc::new(slots));
        Ok(())
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PluginCaller for Registry {
    /// The callee's own timeout counts from now, and its policy may say who calls it.
    fn call_plugin(
        &self,
        context: &CallContext,
        plugin: &str,
        function: &str,
        arguments: &[u8],
        result: &mut ResultSink<'_>,
    ) -> Result<()> {
        let slot = self.slot(plugin).ok_or_else(|| not_found(plugin, context))?;
        let in_force = slot.sandbox.policy.snapshot();
        if let Some(caller) = context.chain.innermost() {
            in_force.policy.check_callable_by(plugin, caller)?;
        }
        let deadline = deadline_of(in_force.policy.limits().call_timeout_ms);
        drop(in_force);
        let context = CallContext { deadline: context.deadline.min(deadline), ..context.clone() };
        slot.call(&context, function, arguments, result)
    }
}

/// Deadline of something that may take `timeout_ms` from now; 0 = for ever.
#[must_use]
pub fn deadline_of(timeout_ms: u64) -> clock::Nanos {
    match timeout_ms {
        0 => clock::Nanos::MAX,
        timeout_ms => clock::now().saturating_add(timeout_ms.saturating_mul(1_000_000)),
    }
}
