//! `<file>.sig`: 128 hexadecimal digits, one Ed25519 signature over the SHA-256 of the file.

use super::{PublicKey, SecretKey, Signature};
use crate::error::{Error, ErrorCode, Result};
use crate::package::hex;

/// Longest file that is read, in bytes. A good one has at most 130.
pub const MAX_BYTES: usize = 4 * 1024;

/// The one signature of such a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detached(Signature);

impl Detached {
    /// Reads a file's text: the digits, in either case, and at most one line end.
    pub fn parse(text: &[u8]) -> Result<Self> {
        let digits = text.strip_suffix(b"\n").map_or(text, |line| line.strip_suffix(b"\r").unwrap_or(line));
        hex::decode(digits).map(Self).ok_or_else(|| {
            Error::new(
                ErrorCode::SignatureMalformed,
                "the .sig file is not 128 hexadecimal digits (sign the file again)",
            )
        })
    }

    /// Signs a file by its SHA-256.
    #[must_use]
    pub fn sign(sha256: &[u8; 32], secret: &SecretKey) -> Self {
        Self(secret.sign(sha256))
    }

    /// True when `key` signed the file with this SHA-256.
    #[must_use]
    pub fn is_by(&self, key: &PublicKey, sha256: &[u8; 32]) -> bool {
        key.verifies(sha256, &self.0)
    }

    /// The file's text, without a line end: some readers accept none.
    #[must_use]
    pub fn to_text(&self) -> String {
        hex::encode(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_and_one_line_end_are_all_that_is_read() {
        let digits = "0aF".repeat(43)[..128].to_owned();
        for text in [digits.clone(), format!("{digits}\n"), format!("{digits}\r\n"), digits.to_uppercase()] {
            assert_eq!(Detached::parse(text.as_bytes()).unwrap().to_text(), digits.to_lowercase());
        }
        for text in [
            String::new(),
            format!("{digits}\n\n"),
            format!("{digits}\r"),
            format!("{digits} "),
            format!(" {digits}"),
            format!("\u{feff}{digits}"),
            digits[..126].to_owned(),
            format!("{digits}00"),
            digits.replace('F', "G"),
            format!("{digits}\0"),
        ] {
            assert_eq!(Detached::parse(text.as_bytes()).unwrap_err().code(), ErrorCode::SignatureMalformed, "{text:?}");
        }
    }

    #[test]
    fn only_the_signer_and_the_content_fit() {
        let (secret, other) = (SecretKey::from_seed(&[7; 32]), SecretKey::from_seed(&[8; 32]));
        let signature = Detached::sign(&[1; 32], &secret);
        assert!(signature.is_by(&secret.public(), &[1; 32]));
        assert!(!signature.is_by(&other.public(), &[1; 32]) && !signature.is_by(&secret.public(), &[2; 32]));
    }
}
