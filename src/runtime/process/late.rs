//! The end of a process, told to the plugin that it belongs to.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::running::{OnEnd, Process};
use super::supervise::Supervisor;
use crate::executor;

/// The plugin that a process belongs to, which is not there yet when its first process is started.
pub(super) struct Late(Arc<Mutex<Arrival>>);

#[derive(Default)]
struct Arrival {
    plugin: Option<Weak<Supervisor>>,
    /// The process, when it ended before.
    ended: Option<Arc<Process>>,
}

impl Late {
    /// What is told about the end, and the other half of it.
    pub(super) fn new() -> (Self, OnEnd) {
        let late = Arc::new(Mutex::new(Arrival::default()));
        let told = Arc::clone(&late);
        let on_end = Box::new(move |process: Arc<Process>| {
            let mut arrival = told.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(plugin) = &arrival.plugin else {
                arrival.ended = Some(process);
                return;
            };
            let plugin = plugin.upgrade();
            drop(arrival);
            if let Some(plugin) = plugin {
                plugin.ended(&process);
            }
        });
        (Self(late), on_end)
    }

    /// The plugin is there: from now on it is told.
    pub(super) fn arrive(self, plugin: &Arc<Supervisor>) {
        let mut arrival = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        arrival.plugin = Some(Arc::downgrade(plugin));
        let ended = arrival.ended.take();
        drop(arrival);
        if let Some(process) = ended {
            let plugin = Arc::clone(plugin);
            // Without a thread to be had, the next call finds a process that has ended, and says so.
            let _ = executor::spawn(move || plugin.ended(&process));
        }
    }
}
