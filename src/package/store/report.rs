//! What is said, and what is recorded, of packages.

use serde_json::{Value, json};

use super::state::{Release, State};
use crate::clock;
use crate::package::gate::Package;
use crate::package::hex;
use crate::package::moment::Moment;
use crate::package::trust::{Status, Verified};

/// A package as reports show it.
pub(super) fn describe(name: &str, state: &State) -> Value {
    let Some(installed) = state.packages.get(name) else { return json!({ "name": name }) };
    let versions: Vec<Value> = installed
        .versions
        .iter()
        .map(|(key, release)| {
            json!({
                "key": key,
                "version": release.version,
                "sha256": release.sha256,
                "installed": release.installed,
                "status": release.status,
                "signed_by": release.signed_by,
                "sequence": release.sequence,
                "needs_approval": release.asked.beyond(&installed.approved),
            })
        })
        .collect();
    let version =
        |key: &Option<String>| key.as_ref().and_then(|key| installed.versions.get(key)).map(|release| &release.version);
    json!({
        "name": name,
        "current": installed.versions.get(&installed.current).map(|release| &release.version),
        "previous": version(&installed.previous),
        "pending": version(&installed.pending),
        "versions": versions,
    })
}

/// A verdict as reports show it.
#[must_use]
pub fn status_json(verified: &Verified) -> Value {
    let signers: Vec<Value> =
        verified.signers().into_iter().map(|(key, label)| json!({ "key": key.to_string(), "label": label })).collect();
    json!({ "status": verified.status().name(), "signed_by": signers })
}

/// What is recorded of a package that is installed now.
pub(super) fn release_of(package: &Package, written: Vec<(String, [u8; 32])>) -> Release {
    let verified = &package.admitted.verified;
    Release {
        version: package.contents.manifest.version.clone(),
        sha256: hex::encode(verified.sha256()),
        installed: Moment::of(clock::wall()),
        status: match verified.status() {
            Status::Unsigned => "unsigned".to_owned(),
            _ => "verified".to_owned(),
        },
        signed_by: verified.signers().into_iter().map(|(_, label)| label).collect(),
        sequence: verified.statement().map(|statement| statement.sequence),
        asked: package.contents.asked.clone(),
        files: written.into_iter().map(|(name, digest)| (name, hex::encode(&digest))).collect(),
    }
}
