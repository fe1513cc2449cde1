//! How many connections a plugin may have at a time, so that none takes all that a server or the host has.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, ErrorCode, Result};

/// Connections under way by plugin.
#[derive(Debug)]
pub struct Places {
    taken: Mutex<HashMap<Arc<str>, u32>>,
    each: u32,
}

/// A connection under way; gives its place back when it is dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    plugin: Arc<str>,
}

impl Places {
    /// At most `each` at a time for each plugin.
    #[must_use]
    pub fn new(each: u32) -> Arc<Self> {
        Arc::new(Self { taken: Mutex::default(), each })
    }

    /// Takes a place, or refuses at once.
    pub fn take(self: &Arc<Self>, plugin: &Arc<str>) -> Result<Place> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(Arc::clone(plugin)).or_default();
        if *count >= self.each {
            return Err(Error::new(
                ErrorCode::PolicyOutboundBusy,
                format!(
                    "the plugin has {} requests under way already, as many as the host allows (try again later)",
                    self.each
                ),
            ));
        }
        *count += 1;
        Ok(Place { places: Arc::clone(self), plugin: Arc::clone(plugin) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.plugin) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.plugin);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_plugin_has_its_own_places_and_gets_them_back() {
        let places = Places::new(2);
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let first = places.take(&a).unwrap();
        let _second = places.take(&a).unwrap();
        assert_eq!(places.take(&a).unwrap_err().code(), ErrorCode::PolicyOutboundBusy);
        assert!(places.take(&b).is_ok());
        drop(first);
        assert!(places.take(&a).is_ok());
        assert_eq!(places.taken.lock().unwrap().len(), 1, "nothing is kept of plugins without connections");
    }
}
