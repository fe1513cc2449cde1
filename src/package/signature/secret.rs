//! Private keys: made, kept in files that only their owner can read, used to sign.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use ed25519_dalek::{Signer, SigningKey};

use super::{PublicKey, Signature};
use crate::error::{Error, ErrorCode, Result};
use crate::package::hex;
use crate::plugin::name::shorten;

/// Longest key file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 1024;

/// A private key; wiped from memory when dropped.
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// A new key.
    pub fn generate() -> Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| {
            Error::new(ErrorCode::EnvironmentResources, "the operating system gives no random bytes").with_source(error)
        })?;
        Ok(Self::from_seed(&seed))
    }

    /// The key of a seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Reads 128 hexadecimal digits, seed and public key as Go writes them, or 64, the seed alone.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim_ascii_end().as_bytes();
        if let Some(seed) = hex::decode(text) {
            return Ok(Self::from_seed(&seed));
        }
        let pair = hex::decode(text).ok_or_else(|| invalid("it is neither 128 nor 64 hexadecimal digits"))?;
        SigningKey::from_keypair_bytes(&pair)
            .map(Self)
            .map_err(|_secret| invalid("its two halves do not belong together"))
    }

    /// Reads a key file. A file that others may read or write is refused.
    pub fn load(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|error| io("read", path, error))?;
        let metadata = file.metadata().map_err(|error| io("read", path, error))?;
        if !metadata.is_file() {
            return Err(invalid("it is not in a regular file"));
        }
        if metadata.mode() & 0o077 != 0 {
            return Err(Error::new(
                ErrorCode::SignaturePrivateKeyExposed,
                format!("others may read or write the private key `{}` (chmod 600, or make a new one)", shown(path)),
            ));
        }
        let mut text = String::new();
        file.take(MAX_FILE_BYTES).read_to_string(&mut text).map_err(|error| io("read", path, error))?;
        Self::parse(&text)
    }

    /// Writes the key to a new file that only its owner can read; never over an existing one.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut options = File::options();
        let mut file =
            options.write(true).create_new(true).mode(0o600).open(path).map_err(|error| io("write", path, error))?;
        let text = format!("{}\n", hex::encode(&self.0.to_keypair_bytes()));
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| io("write", path, error))
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.0.verifying_key().into()
    }

    /// Signature over `message`.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        self.0.sign(message).to_bytes()
    }
}

fn invalid(why: &str) -> Error {
    Error::new(ErrorCode::SignaturePrivateKeyInvalid, format!("the private key is refused: {why}"))
}

fn io(what: &str, path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorCode::EnvironmentIo, format!("can't {what} the private key `{}`", shown(path))).with_source(error)
}

fn shown(path: &Path) -> String {
    shorten(&path.display().to_string(), 300)
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretKey").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_survives_its_file_and_is_read_by_nobody_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let key = SecretKey::generate().unwrap();
        key.save(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(SecretKey::load(&path).unwrap().public(), key.public());
        assert_eq!(key.save(&path).unwrap_err().code(), ErrorCode::EnvironmentIo, "never over an existing file");
        for mode in [0o640, 0o604, 0o620, 0o602, 0o644, 0o610] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(SecretKey::load(&path).unwrap_err().code(), ErrorCode::SignaturePrivateKeyExposed, "{mode:o}");
        }
    }

    #[test]
    fn the_forms_of_the_reference_are_read() {
        let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        for text in [seed.to_owned(), format!("{seed}{public}"), format!("{seed}{public}\n")] {
            assert_eq!(SecretKey::parse(&text).unwrap().public().to_string(), public);
        }
        let other = SecretKey::from_seed(&[1; 32]).public();
        for text in [String::new(), seed[1..].to_owned(), format!("{seed}{other}"), format!("{seed}{public}00")] {
            assert_eq!(SecretKey::parse(&text).unwrap_err().code(), ErrorCode::SignaturePrivateKeyInvalid, "{text}");
        }
        assert_eq!(format!("{:?}", SecretKey::parse(seed).unwrap()), "SecretKey { .. }");
    }
}
