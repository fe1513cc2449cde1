//! What an archive may hold. There is no way to switch a limit off: each has a hard cap.

use crate::error::{Error, ErrorCode, Result};

const MIB: u64 = 1024 * 1024;

/// Bytes that may come out of an entry before its ratio is looked at.
pub(super) const RATIO_FREE_BYTES: u64 = MIB;

/// Bytes that may come out of all entries together before the ratio of the whole is looked at: many small bombs are one.
pub(super) const TOTAL_RATIO_FREE_BYTES: u64 = 16 * MIB;

/// Longest comment of an archive, in bytes.
pub(super) const MAX_COMMENT_BYTES: usize = 1024;

/// Bytes that the directory may have per allowed entry: the longest name, comments and extra fields.
pub(super) const DIRECTORY_BYTES_PER_ENTRY: u64 = 1024;

/// Limits of one archive. [`Limits::check`] tells a host that a value is out of range; readers and writers take a value
/// above its cap as the cap, so that no mistake switches one off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the archive itself.
    pub archive_bytes: u64,
    /// Files and directories, those included that only names of other entries imply.
    pub entries: usize,
    /// Bytes of one extracted file.
    pub file_bytes: u64,
    /// Bytes of all extracted files together.
    pub total_bytes: u64,
    /// How many times its compressed size an entry larger than a mebibyte, or a whole larger than 16 MiB, may have.
    pub ratio: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { archive_bytes: 260 * MIB, entries: 1_000, file_bytes: 100 * MIB, total_bytes: 256 * MIB, ratio: 200 }
    }
}

impl Limits {
    /// The most that a host can allow.
    pub const CAPS: Self = Self {
        archive_bytes: 1_040 * MIB,
        entries: 20_000,
        file_bytes: 1_024 * MIB,
        total_bytes: 1_024 * MIB,
        ratio: 1_000,
    };

    /// Refuses a limit of zero or above its cap, with the name of the limit.
    pub fn check(&self) -> Result<()> {
        let caps = Self::CAPS;
        in_range("archive_bytes", self.archive_bytes, caps.archive_bytes)?;
        in_range("entries", self.entries as u64, caps.entries as u64)?;
        in_range("file_bytes", self.file_bytes, caps.file_bytes)?;
        in_range("total_bytes", self.total_bytes, caps.total_bytes)?;
        in_range("ratio", self.ratio, caps.ratio)
    }

    /// These limits, none above its cap.
    pub(super) fn capped(&self) -> Self {
        let caps = Self::CAPS;
        Self {
            archive_bytes: self.archive_bytes.min(caps.archive_bytes),
            entries: self.entries.min(caps.entries),
            file_bytes: self.file_bytes.min(caps.file_bytes),
            total_bytes: self.total_bytes.min(caps.total_bytes),
            ratio: self.ratio.min(caps.ratio),
        }
    }
}

fn in_range(name: &str, value: u64, cap: u64) -> Result<()> {
    if (1..=cap).contains(&value) {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::ArgumentConfig,
        format!("the archive limit `{name}` is {value}, it must be between 1 and {cap}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_can_be_switched_off() {
        assert!(Limits::default().check().is_ok());
        assert!(Limits::CAPS.check().is_ok());
        let off = [
            Limits { archive_bytes: 0, ..Limits::default() },
            Limits { entries: 20_001, ..Limits::default() },
            Limits { file_bytes: u64::MAX, ..Limits::default() },
            Limits { total_bytes: 0, ..Limits::default() },
            Limits { ratio: 1_001, ..Limits::default() },
        ];
        for limits in off {
            assert_eq!(limits.check().unwrap_err().code(), ErrorCode::ArgumentConfig, "{limits:?}");
        }
        let all = u64::MAX;
        let endless = Limits { archive_bytes: all, entries: usize::MAX, file_bytes: all, total_bytes: all, ratio: all };
        assert_eq!(endless.capped(), Limits::CAPS);
    }
}
