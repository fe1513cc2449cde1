//! `verify`: would this file be accepted?

use std::path::PathBuf;
use std::process::ExitCode;

use goatflow_plugin::error::{Error, ErrorCode, Result};
use goatflow_plugin::package::signature::{PublicKey, detached, note};
use goatflow_plugin::package::store::status_json;
use goatflow_plugin::package::trust::{Mode, TrustFile};
use goatflow_plugin::package::{Admitted, Gate, files, hex};
use serde_json::{Value, json};

use crate::conclude;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Package or module.
    file: PathBuf,
    /// Signature file, instead of FILE.sig and FILE.gksig.
    #[arg(long, value_name = "FILE")]
    sig: Option<PathBuf>,
    #[command(flatten)]
    signers: Signers,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Whose signatures count; the same for every command that looks at packages.
#[derive(clap::Args)]
pub(crate) struct Signers {
    /// Public keys that may sign for every name.
    #[arg(long, value_name = "HEX", num_args = 1.., value_delimiter = ',')]
    pub(crate) key: Vec<String>,
    /// Trust store.
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,
    /// Refuse what is not signed.
    #[arg(long)]
    pub(crate) require_signature: bool,
}

impl Signers {
    fn gate(&self) -> Result<Gate> {
        Ok(Gate {
            mode: if self.require_signature { Mode::Required } else { Mode::Optional },
            keys: self.key.iter().map(|key| PublicKey::parse(key)).collect::<Result<_>>()?,
            trust_file: self.trust.as_deref().map(TrustFile::new),
            ..Gate::default()
        })
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let gate = arguments.signers.gate()?;
    conclude(report(arguments, &gate), arguments.json, in_words)
}

fn report(arguments: &Arguments, gate: &Gate) -> Result<Value> {
    let admitted = admit(arguments, gate)?;
    let mut report = status_json(&admitted.verified);
    report["accepted"] = true.into();
    report["sha256"] = hex::encode(admitted.verified.sha256()).into();
    // A package is more than its signature; only in a module there is nothing to look into.
    let is_module = arguments.file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("wasm"));
    if is_module && !admitted.bytes.starts_with(b"\0asm") {
        let file = files::shown(&arguments.file);
        return Err(Error::new(ErrorCode::PackageModuleInvalid, format!("`{file}` is not a WebAssembly module")));
    }
    if !is_module {
        let package = gate.checked_package(admitted, &arguments.file)?;
        report["name"] = package.contents.manifest.name.as_str().into();
        report["version"] = package.contents.manifest.version.as_str().into();
    }
    Ok(report)
}

fn admit(arguments: &Arguments, gate: &Gate) -> Result<Admitted> {
    let max_bytes = usize::try_from(gate.limits.archive_bytes).unwrap_or(usize::MAX);
    let Some(signature) = &arguments.sig else { return gate.admit(&arguments.file, max_bytes) };
    let is_note = signature.extension().is_some_and(|extension| extension == "gksig");
    let most = if is_note { note::MAX_BYTES } else { detached::MAX_BYTES };
    let text = files::read(signature, most).map_err(|error| match error.code() {
        ErrorCode::PackageTooLarge => Error::new(ErrorCode::SignatureMalformed, "the signature file is too large"),
        _ => error,
    })?;
    let (detached, note) = if is_note { (None, Some(text)) } else { (Some(text), None) };
    gate.admit_bytes(files::read(&arguments.file, max_bytes)?, detached, note)
}

fn in_words(report: &Value) -> String {
    let signers: Vec<String> = report["signed_by"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|signer| json!([signer["label"], signer["key"]]).to_string())
        .collect();
    match signers.is_empty() {
        true => "accepted: not signed, and no signature is required".to_owned(),
        false => format!("accepted: signed by {}", signers.join(", ")),
    }
}
