//! The tree that names span: no two of them meet in one place, and directories that nobody listed count as well.

use std::collections::HashMap;

use super::names::{self, Name};
use super::refusal::archive as refuse;
use crate::error::{ErrorCode, Result};

/// What is known about a place.
struct Place {
    spelling: String,
    is_directory: bool,
    /// False for a directory that only the names of others imply.
    is_listed: bool,
}

/// Files and directories by the key under which a file system could confuse them.
pub(super) struct Tree {
    places: HashMap<String, Place>,
    limit: usize,
}

impl Tree {
    /// An empty tree that takes `limit` files and directories.
    pub(super) fn new(limit: usize) -> Self {
        Self { places: HashMap::new(), limit }
    }

    /// Adds an entry and the directories above it.
    pub(super) fn add(&mut self, name: &Name) -> Result<()> {
        for (end, _) in name.text.match_indices('/') {
            self.put(&name.text[..end], true, false)?;
        }
        self.put(&name.text, name.is_directory, true)
    }

    fn put(&mut self, spelling: &str, is_directory: bool, is_listed: bool) -> Result<()> {
        let key = names::key(spelling);
        if let Some(place) = self.places.get_mut(&key) {
            if place.spelling != spelling || place.is_directory != is_directory {
                return Err(names::taken(ErrorCode::PackageArchiveCollision, spelling, &place.spelling));
            }
            if is_listed && place.is_listed {
                return Err(names::taken(ErrorCode::PackageArchiveDuplicate, spelling, spelling));
            }
            place.is_listed |= is_listed;
            return Ok(());
        }
        if self.places.len() >= self.limit {
            return Err(refuse(
                ErrorCode::PackageArchiveCount,
                format!("has more than {} files and directories (the host may raise `entries`)", self.limit),
            ));
        }
        self.places.insert(key, Place { spelling: spelling.to_owned(), is_directory, is_listed });
        Ok(())
    }
}
