//! Who may sign what: keys with labels, names, roles and validity; how many must sign; what was revoked.
//!
//! - `document`: the store as a file and as administrators write it.
//! - `judge`: signatures and store → a verdict; pure.
//! - `file`: reads and writes the file, whose owner and mode count.

pub mod document;
pub mod file;
pub mod judge;

pub use document::{TrustDocument, TrustedKey};
pub use file::TrustFile;
pub use judge::{Evidence, History, Mode, Status, Subject, TrustStore, Verified};
