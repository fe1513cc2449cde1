//! The words in which signatures are judged: what is asked, what lies on the table, what came of it.

use crate::error::ErrorCode;
use crate::package::signature::KeyId;

/// Whether a signature must be there. One that is there must be right in both modes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Unsigned plugins run: for development.
    #[default]
    Optional,
    /// Unsigned plugins do not run.
    Required,
}

/// What came of looking at signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Signed by this key, which is trusted for it.
    Verified {
        /// Key.
        key: KeyId,
        /// Its label in the trust store.
        label: String,
    },
    /// No signature.
    Unsigned,
    /// Signed, but by nobody who is trusted for it.
    UntrustedKey,
    /// The signature does not fit, or can't be read.
    BadSignature,
    /// Signature or key is not valid at this time.
    Expired,
    /// Key or content was revoked.
    Revoked,
    /// Older than what was accepted before.
    Rollback,
    /// Signed for another name, version or set of permissions.
    NameMismatch,
}

impl Status {
    /// Name in reports.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Verified { .. } => "verified",
            Self::Unsigned => "unsigned",
            Self::UntrustedKey => "untrusted_key",
            Self::BadSignature => "bad_signature",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Rollback => "rollback",
            Self::NameMismatch => "name_mismatch",
        }
    }

    /// Status behind a refusal; `None` when it is not about signatures.
    #[must_use]
    pub fn of(code: ErrorCode) -> Option<Self> {
        match code {
            ErrorCode::SignatureUnsigned => Some(Self::Unsigned),
            ErrorCode::SignatureUntrustedKey | ErrorCode::SignatureThreshold => Some(Self::UntrustedKey),
            ErrorCode::SignatureBad | ErrorCode::SignatureMalformed => Some(Self::BadSignature),
            ErrorCode::SignatureExpired | ErrorCode::SignatureHostTooOld => Some(Self::Expired),
            ErrorCode::SignatureRevoked => Some(Self::Revoked),
            ErrorCode::SignatureRollback | ErrorCode::SignatureFormatDowngrade => Some(Self::Rollback),
            ErrorCode::SignatureNameMismatch | ErrorCode::SignaturePermissionsMismatch => Some(Self::NameMismatch),
            _ => None,
        }
    }
}

/// What lies on the table: a file's hash and the texts of its signature files.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
    /// Text of `<file>.sig`.
    pub detached: Option<&'a [u8]>,
    /// Text of `<file>.gksig`.
    pub note: Option<&'a [u8]>,
}

/// What a file says about itself.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Name of the plugin.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
    /// Hash of what it asks for, when it says so before it runs.
    pub permissions_sha256: Option<[u8; 32]>,
}

/// The newest release of a name that was ever accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct History {
    /// Highest sequence of a note.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// SHA-256 of the file that had it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sha256: String,
    /// Highest version among signed files.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
}
