//! What a manager does with packages: installs, lists, changes and loads them; whom it trusts; files of loaded plugins.

use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Manager, loading};
use crate::clock;
use crate::error::{Error, ErrorCode, Result};
use crate::host::{Event, LogLevel};
use crate::json;
use crate::lifecycle::Live;
use crate::package::Store;
use crate::package::moment::Moment;
use crate::package::store::{Change, InstallOptions, Step, status_json};
use crate::package::trust::document::Revocation;
use crate::package::trust::{TrustDocument, TrustFile, TrustedKey};
use crate::plugin::call::with_room;

/// What is not trusted any more.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RevocationRequest {
    /// Label, key id or public key of a key.
    key: Option<String>,
    /// SHA-256 of a file.
    sha256: Option<String>,
    #[serde(default)]
    reason: String,
}

impl Manager {
    /// Looks at a package as installation would, and changes nothing: signatures, archive, manifest, what it asks for.
    pub fn inspect_package(&self, path: &Path) -> Result<Value> {
        let package = self.gate.package(path)?;
        let contents = &package.contents;
        let entries: Vec<Value> = package
            .archive
            .entries()
            .iter()
            .map(|entry| json!({ "name": entry.name(), "size": entry.size() }))
            .collect();
        let statement = package.admitted.verified.statement();
        Ok(json!({
            "name": contents.manifest.name,
            "version": contents.manifest.version,
            "runtime": contents.runtime.name(),
            "module": contents.module,
            "sha256": crate::package::hex::encode(package.admitted.verified.sha256()),
            "size": package.admitted.bytes.len(),
            "signature": status_json(&package.admitted.verified),
            "sequence": statement.map(|statement| statement.sequence),
            "expires": statement.map(|statement| statement.expires),
            "isolation_minimum": statement.and_then(|statement| statement.isolation_minimum),
            "permissions_sha256": crate::package::hex::encode(&contents.asked.fingerprint()),
            "asks_for": contents.asked.lines(),
            "entries": entries,
        }))
    }

    /// Installs a package; runs nothing of it. `options` is JSON `{"allow_downgrade": bool, "approve": bool}` or empty.
    pub fn install_package(&self, path: &Path, options: &[u8], progress: &dyn Fn(Step)) -> Result<Value> {
        self.check_running()?;
        let options = match options {
            [] => InstallOptions::default(),
            text => json::from_object(text).map_err(|error| {
                Error::new(ErrorCode::ArgumentJson, "the options are not {\"allow_downgrade\": …, \"approve\": …}")
                    .with_source(error)
            })?,
        };
        let change = self.store()?.install(&self.gate, path, options, progress)?;
        Ok(self.tell(change))
    }

    /// Installed packages with their versions.
    pub fn packages(&self) -> Result<Value> {
        self.store()?.list()
    }

    /// Makes the previous version of a package the current one. What is loaded stays loaded.
    pub fn roll_back_package(&self, name: &str) -> Result<Value> {
        self.check_running()?;
        Ok(self.tell(self.store()?.roll_back(name)?))
    }

    /// Approves what the waiting version of a package asks for and makes it the current one; with `version`, only that one.
    pub fn approve_package(&self, name: &str, version: Option<&str>) -> Result<Value> {
        self.check_running()?;
        Ok(self.tell(self.store()?.approve(name, version)?))
    }

    /// Removes a package, or one version of it. What is loaded stays loaded.
    pub fn remove_package(&self, name: &str, version: Option<&str>) -> Result<Value> {
        self.check_running()?;
        Ok(self.tell(self.store()?.remove(name, version)?))
    }

    /// Loads the current version of an installed package.
    pub fn load_package(&self, name: &str) -> Result<Arc<str>> {
        self.check_running()?;
        with_room(|| loading::load_opened(self, self.store()?.open(&self.gate, name)?, None))
    }

    /// Everything that is trusted: the trust store's file and the configured keys, as one document.
    pub fn trust(&self) -> Result<Value> {
        let document = self.gate.trust_document()?;
        serde_json::to_value(document).map_err(|error| crate::error::bug!("a trust store: {error}"))
    }

    /// Trusts a further key, given as an entry of the trust store. Acts on the next load.
    pub fn trust_key(&self, key: &[u8]) -> Result<Value> {
        let key: TrustedKey = json::from_object(key).map_err(|error| {
            Error::new(ErrorCode::SignatureTrustInvalid, "the key is not an entry of a trust store").with_source(error)
        })?;
        let label = key.label.clone();
        self.change_trust(&label, "added", |document| document.add(key))
    }

    /// Trusts a key or a file no more: JSON `{"key": label, key id or public key}` or `{"sha256": …}`, with a `reason`.
    pub fn revoke_trust(&self, request: &[u8]) -> Result<Value> {
        let RevocationRequest { key, sha256, reason } = json::from_object(request).map_err(|error| {
            Error::new(ErrorCode::ArgumentJson, "the revocation is not {\"key\" or \"sha256\": …, \"reason\": …}")
                .with_source(error)
        })?;
        let revocation = Revocation { date: Moment::of(clock::wall()), reason };
        match (key, sha256) {
            (Some(key), None) => {
                let meant = self.gate.configured_key(&key).unwrap_or_else(|| key.clone());
                self.change_trust(&key, "revoked", |document| document.revoke_key(&meant, revocation))
            }
            (None, Some(sha256)) => {
                self.change_trust(&sha256, "revoked", |document| document.revoke_content(&sha256, revocation))
            }
            _ => Err(Error::new(ErrorCode::ArgumentInvalid, "a revocation names either a `key` or a `sha256`")),
        }
    }

    /// Files of a loaded plugin: name, size and hash of each.
    pub fn assets(&self, plugin: &str) -> Result<Value> {
        let generation = self.generation(plugin)?;
        Ok(generation.packaged.assets.as_ref().map_or_else(|| json!([]), |assets| assets.to_json()))
    }

    /// Content of a file of a loaded plugin: what was verified when it was loaded, or an error.
    pub fn asset(&self, plugin: &str, name: &str) -> Result<Vec<u8>> {
        let generation = self.generation(plugin)?;
        match &generation.packaged.assets {
            Some(assets) => assets.read(name, self.settings.max_asset_bytes),
            None => Err(Error::new(ErrorCode::PackageAssetNotFound, format!("plugin \"{plugin}\" came without files"))),
        }
        .map_err(|error| error.with_plugin(&plugin.into()))
    }

    fn generation(&self, plugin: &str) -> Result<Arc<Live>> {
        let slot = self.registry.loaded(plugin)?;
        slot.serving()
            .map_or_else(|| self.registry.loaded(plugin).and_then(|_| Err(crate::error::bug!("no generation"))), Ok)
    }

    pub(super) fn store(&self) -> Result<&Store> {
        self.packages.as_ref().ok_or_else(|| {
            Error::new(
                ErrorCode::PackageNoStore,
                "no directory for packages is configured (set `packages.directory` in the configuration)",
            )
        })
    }

    fn change_trust(
        &self,
        subject: &str,
        what: &'static str,
        change: impl FnOnce(&mut TrustDocument) -> Result<()>,
    ) -> Result<Value> {
        self.check_running()?;
        let file: &TrustFile = self.gate.trust_file.as_ref().ok_or_else(|| {
            Error::new(
                ErrorCode::SignatureTrustUnreadable,
                "no trust store is configured (set `packages.trust_file` in the configuration)",
            )
        })?;
        file.change(change)?;
        let subject = crate::plugin::name::shorten(subject, 128);
        self.emit(Event::new("trust.changed", &"".into()).with("change", what).with("subject", subject.as_str()));
        self.note(&"".into(), LogLevel::Warn, &format!("trust store: {what} {subject}"));
        self.trust()
    }

    /// Tells subscribers and the log what changed; gives the report.
    pub(super) fn tell(&self, change: Change) -> Value {
        let Change { name, what, mut report, is_downgrade } = change;
        let kind = match what {
            "installed" => "package.installed",
            "pending" => "package.pending",
            "approved" => "package.approved",
            "rolled_back" => "package.rolled_back",
            _ => "package.removed",
        };
        let name: Arc<str> = name.into();
        report["change"] = what.into();
        self.emit(Event::new(kind, &name).with("package", report.clone()));
        let (level, remark) = match is_downgrade {
            true => (
                LogLevel::Warn,
                ", although a newer or better signed one was accepted before: allowed by the administrator",
            ),
            false => (LogLevel::Info, ""),
        };
        let version = report["current"].as_str().unwrap_or("none");
        self.note(&name, level, &format!("package {what}{remark} (current version: {version})"));
        report
    }
}
