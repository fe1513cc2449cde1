//! What was accepted and approved of a name before, for plugins that are loaded without being installed.

use std::io::ErrorKind;

use super::Store;
use super::state::Installed;
use crate::error::{Error, ErrorCode, Result};
use crate::package::request::Asked;
use crate::package::trust::{Subject, Verified};
use crate::plugin::name::shorten;

impl Store {
    /// Compares what is loaded without being installed with what was accepted of its name before. Where the name is
    /// installed, it may ask for what was approved and nothing more: a file's place decides nothing.
    pub fn check_known(&self, verified: &Verified, subject: &Subject<'_>, asked: &Asked) -> Result<()> {
        let state = self.read_state()?;
        verified.check_history(subject, &state.history(subject.name))?;
        match state.packages.get(subject.name) {
            Some(installed) => check_approved(subject.name, subject.version, asked, installed),
            None => Ok(()),
        }
    }

    /// Remembers what was accepted, when it is newer than what is remembered.
    pub fn remember(&self, verified: &Verified, subject: &Subject<'_>) -> Result<()> {
        let known = self.read_state()?.history(subject.name);
        if verified.advanced(subject, &known) == known {
            return Ok(());
        }
        let (_lock, mut state) = self.begin()?;
        let known = state.history(subject.name);
        state.history.insert(subject.name.to_owned(), verified.advanced(subject, &known));
        state.write(&self.root)
    }
}

/// True when nothing can be remembered because this user may not write there: whoever set that up wants no record kept.
#[must_use]
pub fn is_read_only(error: &Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    source.is_some_and(|error| matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem))
}

/// What asks for more than was approved waits, whichever way it would come in.
pub(super) fn check_approved(name: &str, version: &str, asked: &Asked, installed: &Installed) -> Result<()> {
    let beyond = asked.beyond(&installed.approved);
    let Some(first) = beyond.first() else { return Ok(()) };
    Err(Error::new(
        ErrorCode::PackageNotApproved,
        format!(
            "version {} of `{name}` asks for more than was approved: `{}` (install it, then approve it)",
            shorten(version, 80),
            shorten(first, 200)
        ),
    )
    .with_detail("beyond", beyond.len()))
}
