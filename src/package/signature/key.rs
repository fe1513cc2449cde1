//! Public keys and the one place that verifies signatures.

use std::fmt;

use ed25519_dalek::VerifyingKey;
use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorCode, Result};
use crate::package::hex;
use crate::plugin::name::shorten;

/// A signature: R, then S.
pub type Signature = [u8; 64];

/// Order of the group, little-endian. A signature whose S is not below it is a second spelling of another one.
const GROUP_ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// Short name of a key in signature files: a hint where to look, never a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId([u8; 4]);

impl KeyId {
    /// Reads eight small hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        hex::decode(text.as_bytes()).map(Self).filter(|id| id.to_string() == text)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

/// A public key that nobody but the holder of its private key can sign for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Takes the bytes of a key. Keys in a second spelling, of small order (for which anybody can sign) and outside the
    /// prime-order group (on which verifiers disagree) are refused.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self> {
        let key = VerifyingKey::from_bytes(bytes)
            .map_err(|error| invalid("it is no point of the curve").with_source(error))?;
        let point = key.to_edwards();
        if point.compress().to_bytes() != *bytes {
            return Err(invalid("it is not in canonical form"));
        }
        if key.is_weak() {
            return Err(invalid("it is weak: anybody could sign for it"));
        }
        if !point.is_torsion_free() {
            return Err(invalid("it is outside the prime-order group"));
        }
        Ok(Self(key))
    }

    /// Reads 64 hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() == 128 {
            return Err(invalid("it has 128 digits, as a private key has (keep that one secret)"));
        }
        match hex::decode(text.as_bytes()) {
            Some(bytes) => Self::from_bytes(&bytes),
            None => Err(invalid("it is not 64 hexadecimal digits")),
        }
        .map_err(|error| error.with_detail("public_key", shorten(text, 64)))
    }

    /// Name of the key in signature files.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let digest: [u8; 32] =
            Sha256::new().chain_update(b"gk-key-v1\0").chain_update(self.0.as_bytes()).finalize().into();
        KeyId([digest[0], digest[1], digest[2], digest[3]])
    }

    /// True when `signature` is one of this key over `message`.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &Signature) -> bool {
        // The library checks S, too, unless some other crate in the build turns its `legacy_compatibility` on.
        is_below_group_order(&signature[32..])
            && self.0.verify_strict(message, &ed25519_dalek::Signature::from_bytes(signature)).is_ok()
    }
}

impl From<VerifyingKey> for PublicKey {
    fn from(key: VerifyingKey) -> Self {
        Self(key)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// Verdict over a raw signature: key and signature of the right length, key as [`PublicKey::from_bytes`] wants it.
#[must_use]
pub fn is_valid(public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let key = public_key.try_into().ok().and_then(|bytes| PublicKey::from_bytes(bytes).ok());
    match (key, signature.try_into()) {
        (Some(key), Ok(signature)) => key.verifies(message, signature),
        _ => false,
    }
}

fn is_below_group_order(scalar: &[u8]) -> bool {
    scalar.iter().rev().lt(GROUP_ORDER.iter().rev())
}

fn invalid(why: &str) -> Error {
    Error::new(ErrorCode::SignatureKeyInvalid, format!("the public key is refused: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VECTORS: &str = include_str!("../../../tests/fixtures/signature/ed25519.jsonl");

    fn unhex(value: &serde_json::Value) -> Vec<u8> {
        hex::decode_vec(value.as_str().unwrap().as_bytes()).unwrap()
    }

    #[test]
    fn every_published_vector_gets_its_verdict() {
        let (mut accepted, mut refused) = (0, 0);
        for line in VECTORS.lines() {
            let vector: serde_json::Value = serde_json::from_str(line).unwrap();
            let verdict = is_valid(&unhex(&vector["public_key"]), &unhex(&vector["msg"]), &unhex(&vector["sig"]));
            match vector["expected"].as_str().unwrap() {
                "either" => continue,
                expected => assert_eq!(verdict, expected == "accept", "{}: {}", vector["id"], vector["reason"]),
            }
            if verdict { accepted += 1 } else { refused += 1 }
        }
        assert_eq!((accepted, refused), (88, 74));
    }

    #[test]
    fn scalars_from_the_group_order_up_are_refused_by_our_own_check() {
        let mut scalar = GROUP_ORDER;
        assert!(!is_below_group_order(&scalar));
        scalar[0] -= 1;
        assert!(is_below_group_order(&scalar));
        scalar[0] += 2;
        assert!(!is_below_group_order(&scalar));
        assert!(is_below_group_order(&[0; 32]) && !is_below_group_order(&[255; 32]));
    }

    #[test]
    fn keys_that_do_not_identify_a_signer_are_refused() {
        for (text, why) in [
            ("0100000000000000000000000000000000000000000000000000000000000000", "weak"),
            ("0000000000000000000000000000000000000000000000000000000000000000", "weak"),
            ("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a", "weak"),
            ("0100000000000000000000000000000000000000000000000000000000000080", "canonical"),
            ("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", "canonical"),
            ("cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d", "prime-order"),
            ("0200000000000000000000000000000000000000000000000000000000000000", "no point"),
            ("d75a98", "64 hexadecimal"),
            ("", "64 hexadecimal"),
            (" d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511", "64 hexadecimal"),
            (&"ab".repeat(64), "private key"),
        ] {
            let error = PublicKey::parse(text).unwrap_err();
            assert_eq!(error.code(), ErrorCode::SignatureKeyInvalid);
            assert!(error.to_string().contains(why), "{text}: {error}");
        }
        let good = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(PublicKey::parse(&good.to_uppercase()).unwrap().to_string(), good);
    }

    #[test]
    fn a_key_id_has_one_spelling() {
        assert_eq!(KeyId::parse("00ff12ab").unwrap().to_string(), "00ff12ab");
        for text in ["00FF12AB", "00ff12a", "00ff12ab0", "zzzzzzzz"] {
            assert_eq!(KeyId::parse(text), None, "{text}");
        }
    }
}
