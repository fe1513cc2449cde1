//! The trust store's file. Whoever can write it decides who is trusted, so its owner and mode are checked at every read.

use std::path::{Path, PathBuf};

use super::document::{MAX_BYTES, TrustDocument};
use crate::error::{Error, ErrorCode, Result};
use crate::package::files;
use crate::package::gate::beside;
use crate::package::lock::Lock;

/// Where a trust store is kept.
#[derive(Debug, Clone)]
pub struct TrustFile {
    path: PathBuf,
}

impl TrustFile {
    /// The trust store at `path`.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Reads it. A file that is missing, malformed or open to others is an error, never an empty store.
    pub fn read(&self) -> Result<TrustDocument> {
        let text = files::read_private(&self.path, MAX_BYTES).map_err(|error| self.unreadable(error))?;
        TrustDocument::parse(&text).map_err(|error| error.prefixed(&files::shown(&self.path)))
    }

    /// Changes it, atomically and against other processes that do so; makes it when it does not exist.
    pub fn change(&self, change: impl FnOnce(&mut TrustDocument) -> Result<()>) -> Result<TrustDocument> {
        let _lock = Lock::take(&beside(&self.path, "lock"))?;
        let mut document = match std::fs::symlink_metadata(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => TrustDocument::default(),
            _ => self.read()?,
        };
        change(&mut document)?;
        let text = document.to_text()?;
        // Nothing is written that would not be read again.
        TrustDocument::parse(text.as_bytes())?;
        files::replace(&self.path, text.as_bytes(), 0o644)?;
        Ok(document)
    }

    fn unreadable(&self, error: Error) -> Error {
        Error::new(
            ErrorCode::SignatureTrustUnreadable,
            format!("the trust store `{}` can't be used", files::shown(&self.path)),
        )
        .with_source(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::moment::Moment;
    use crate::package::signature::SecretKey;
    use crate::package::trust::TrustedKey;
    use crate::package::trust::document::Revocation;
    use std::os::unix::fs::PermissionsExt;

    fn key(seed: u8, label: &str) -> TrustedKey {
        TrustedKey::new(&SecretKey::from_seed(&[seed; 32]).public(), label, vec!["*".into()])
    }

    #[test]
    fn changes_are_kept_and_refused_ones_leave_the_file_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("trust.json");
        let file = TrustFile::new(&path);
        assert_eq!(file.read().unwrap_err().code(), ErrorCode::SignatureTrustUnreadable);
        file.change(|document| document.add(key(1, "a"))).unwrap();
        file.change(|document| document.add(key(2, "b"))).unwrap();
        let before = std::fs::read(&path).unwrap();
        for twice in [key(1, "c"), key(3, "a")] {
            let error = file.change(|document| document.add(twice)).unwrap_err();
            assert_eq!(error.code(), ErrorCode::SignatureTrustConflict);
        }
        let mut weak = key(3, "weak");
        weak.public_key = "00".repeat(32);
        assert_eq!(file.change(|document| document.add(weak)).unwrap_err().code(), ErrorCode::SignatureKeyInvalid);
        assert_eq!(std::fs::read(&path).unwrap(), before);
        let date = Moment::parse("2026-11-22T00:00:00Z").unwrap();
        let revocation = Revocation { date, reason: "lost".into() };
        file.change(|document| document.revoke_key("b", revocation.clone())).unwrap();
        assert_eq!(file.read().unwrap().keys[1].revoked, Some(revocation));
    }

    #[test]
    fn a_store_that_others_may_write_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("trust.json");
        let file = TrustFile::new(&path);
        file.change(|document| document.add(key(1, "a"))).unwrap();
        for (mode, is_read) in [(0o644, true), (0o600, true), (0o664, false), (0o646, false), (0o622, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(file.read().is_ok(), is_read, "{mode:o}");
        }
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
        assert_eq!(file.read().unwrap_err().code(), ErrorCode::SignatureTrustUnreadable, "no links");
    }
}
