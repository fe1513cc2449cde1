//! Ed25519 signatures of packages: keys, and the two kinds of files that carry signatures. Who is trusted is decided in
//! [`super::trust`].
//!
//! - `detached`: `<file>.sig`, one signature over the file's SHA-256; says nothing about name, version or time.
//! - `note`: `<file>.gksig`, a text that binds content to a name, a version, a sequence and a time, signed by one or more
//!   keys.

pub mod detached;
pub mod key;
pub mod note;
pub mod secret;

pub use detached::Detached;
pub use key::{KeyId, PublicKey, Signature};
pub use note::Note;
pub use secret::SecretKey;
