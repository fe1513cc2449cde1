//! The one gate in front of every file that is to run: read once, then judged. What passes is bytes, never a path.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::archive::{Archive, EntryKind, Limits};
use super::contents::{ArchiveFiles, Contents};
use super::files;
use super::moment::Moment;
use super::signature::{PublicKey, detached, note};
use super::trust::{Evidence, Mode, TrustDocument, TrustFile, TrustStore, TrustedKey, Verified};
use super::version::check_version;
use crate::clock;
use crate::error::{Error, ErrorCode, Result};
use crate::plugin::RuntimeKind;

/// How files are judged.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    /// Whether signatures must be there.
    pub mode: Mode,
    /// Keys that may sign for every name.
    pub keys: Vec<PublicKey>,
    /// Further keys, thresholds and revocations. Read anew for every file, so that a revocation acts at once.
    pub trust_file: Option<TrustFile>,
    /// Bounds of package archives.
    pub limits: Limits,
    /// Largest module, in bytes.
    pub max_code_bytes: usize,
}

/// A file that was read and whose signatures hold.
#[derive(Debug)]
pub struct Admitted {
    /// Its bytes: the ones that were judged.
    pub bytes: Arc<Vec<u8>>,
    /// The verdict.
    pub verified: Verified,
    /// Text of `<file>.sig`.
    pub detached: Option<Vec<u8>>,
    /// Text of `<file>.gksig`.
    pub note: Option<Vec<u8>>,
}

/// A package that passed the gate and whose archive and manifest were checked.
pub struct Package {
    /// What passed the gate.
    pub admitted: Admitted,
    /// The archive.
    pub archive: Arc<Archive>,
    /// Manifest and module.
    pub contents: Contents,
}

impl Gate {
    /// Largest file with code that runs like that, in bytes: a native program brings its language's runtime.
    #[must_use]
    pub fn max_bytes_of(&self, runtime: RuntimeKind) -> usize {
        match runtime {
            RuntimeKind::Process => usize::try_from(self.limits.file_bytes).unwrap_or(usize::MAX),
            RuntimeKind::Wasm | RuntimeKind::Template => self.max_code_bytes,
        }
    }

    /// Reads a file and its signature files, each once, and judges them.
    pub fn admit(&self, path: &Path, max_bytes: usize) -> Result<Admitted> {
        let bytes = files::read(path, max_bytes)?;
        let signature = |extension: &str, max_bytes| match files::read_if_there(&beside(path, extension), max_bytes) {
            Err(error) if error.code() == ErrorCode::PackageTooLarge => Err(Error::new(
                ErrorCode::SignatureMalformed,
                format!("the signature file `{}.{extension}` is too large", files::shown(path)),
            )),
            read => read,
        };
        self.admit_bytes(bytes, signature("sig", detached::MAX_BYTES)?, signature("gksig", note::MAX_BYTES)?)
    }

    /// Judges what was read before.
    pub fn admit_bytes(&self, bytes: Vec<u8>, detached: Option<Vec<u8>>, note: Option<Vec<u8>>) -> Result<Admitted> {
        let verified = self.judge(&bytes, detached.as_deref(), note.as_deref())?;
        Ok(Admitted { bytes: Arc::new(bytes), verified, detached, note })
    }

    /// As [`Self::admit_bytes`], for bytes that the caller keeps.
    pub fn judge(&self, bytes: &[u8], detached: Option<&[u8]>, note: Option<&[u8]>) -> Result<Verified> {
        let evidence = Evidence { sha256: Sha256::digest(bytes).into(), detached, note };
        self.trust()?.judge(self.mode, &evidence, Moment::of(clock::wall()))
    }

    /// Judges again what was judged before and is to run again.
    pub fn judge_again(&self, verified: &Verified) -> Result<()> {
        self.trust()?.judge_again(verified, Moment::of(clock::wall()))
    }

    /// Reads a package: signatures, archive, manifest, and whether they belong together.
    pub fn package(&self, path: &Path) -> Result<Package> {
        let max_bytes = usize::try_from(self.limits.archive_bytes).unwrap_or(usize::MAX);
        self.checked_package(self.admit(path, max_bytes)?, path)
    }

    /// As [`Self::package`], for bytes that passed the gate before; `path` is for messages.
    pub fn checked_package(&self, mut admitted: Admitted, path: &Path) -> Result<Package> {
        let archive = Arc::new(Archive::read(Arc::clone(&admitted.bytes), &self.limits)?);
        let files = ArchiveFiles { archive: Arc::clone(&archive), path: path.to_owned() };
        // Also where nothing is revoked: what is revoked later must be found in what is judged again.
        for entry in archive.entries().iter().filter(|entry| entry.kind() == EntryKind::File) {
            let digest = Sha256::digest(archive.content(entry)?).into();
            admitted.verified.note_content(entry.name(), digest)?;
        }
        let contents = Contents::of(Arc::new(files))?;
        check_version(&contents.manifest.version)?;
        admitted.verified.check_subject(&contents.subject())?;
        Ok(Package { admitted, archive, contents })
    }

    /// Everything that is trusted at this moment.
    pub fn trust_document(&self) -> Result<TrustDocument> {
        let mut document = match &self.trust_file {
            Some(file) => file.read()?,
            None => TrustDocument::default(),
        };
        for key in &self.keys {
            let is_known = |known: &TrustedKey| known.public_key.eq_ignore_ascii_case(&key.to_string());
            // What the file says of a key wins: it may have been revoked there.
            if !document.keys.iter().any(is_known) {
                document.keys.push(TrustedKey::new(key, &format!("key-{}", key.id()), vec!["*".to_owned()]));
            }
        }
        Ok(document)
    }

    /// Public key of a configured key that is named as [`Self::trust_document`] shows it.
    #[must_use]
    pub fn configured_key(&self, name: &str) -> Option<String> {
        let is_meant = |key: &&PublicKey| name.strip_prefix("key-").unwrap_or(name) == key.id().to_string();
        self.keys.iter().find(is_meant).map(ToString::to_string)
    }

    fn trust(&self) -> Result<TrustStore> {
        TrustStore::new(&self.trust_document()?)
    }
}

/// `<path>.<extension>`.
#[must_use]
pub fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

impl std::fmt::Debug for Package {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Package").field("contents", &self.contents).finish_non_exhaustive()
    }
}
