//! Extraction into a directory that belongs to the caller alone.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub(super) use linux::extract;
#[cfg(not(target_os = "linux"))]
mod unsupported;
#[cfg(not(target_os = "linux"))]
pub(super) use unsupported::extract;

/// A file that was extracted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extracted {
    /// Name of the entry.
    pub name: String,
    /// Bytes of its content.
    pub size: u64,
    /// SHA-256 of its content.
    pub sha256: [u8; 32],
}
