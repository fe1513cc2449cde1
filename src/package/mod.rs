//! Finds a plugin's code and manifest on disk and reads them, once: what was read is what is checked and runs.
//!
//! - `gate`: the one way for bytes to become code: read, judged by `signature` and `trust`, checked by `archive`.
//! - `contents`: manifest, module and other files of a package or directory.
//! - `store`: installed packages: versions side by side, each change atomic.

pub mod archive;
pub mod contents;
pub mod files;
pub mod gate;
pub mod hex;
pub mod lock;
pub mod moment;
pub mod request;
pub mod signature;
pub mod store;
pub mod translations;
pub mod trust;
pub mod version;

use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, ErrorCode, Result};
use crate::plugin::{Artifact, RuntimeKind};
pub use contents::{Assets, Contents};
use contents::{DirectoryFiles, Files};
pub use gate::{Admitted, Gate, Package};
use request::Asked;
use signature::{detached, note};
pub use store::Store;
use trust::{Mode, Subject, Verified};

/// A plugin that may be started.
#[derive(Debug)]
pub struct Opened {
    /// What a runtime starts.
    pub artifact: Artifact,
    /// What belongs to a native program.
    pub program: Option<Program>,
    /// How it runs.
    pub runtime: RuntimeKind,
    /// Verdict over its signatures; the plugin's own word on its name is still to be held against it.
    pub verified: Verified,
    /// Files that hosts may read.
    pub assets: Option<Assets>,
    /// It was installed: that it is older than another one was decided then.
    pub is_installed: bool,
    /// Key of the installed version.
    pub key: Option<String>,
}

/// What belongs to a native program besides its code.
#[derive(Debug)]
pub struct Program {
    /// File name of the program.
    pub binary: String,
    /// The other files of its package, which it may read: names and contents.
    pub files: Vec<(String, Vec<u8>)>,
}

/// Reads the plugin at `path` through the gate: a package, a `.wasm` file, an installed version, or a directory with a
/// manifest. Directories other than installed ones can't be signed.
pub fn open(gate: &Gate, store: Option<&Store>, path: &Path) -> Result<Opened> {
    let metadata = std::fs::metadata(path).map_err(|error| {
        let code = if error.kind() == std::io::ErrorKind::NotFound {
            ErrorCode::PackageNotFound
        } else {
            ErrorCode::EnvironmentIo
        };
        Error::new(code, format!("can't open the plugin `{}`", files::shown(path))).with_source(error)
    })?;
    if metadata.is_dir() {
        return match store {
            Some(store) if store.owns(path) => store.open_tree(gate, path),
            _ => open_directory(gate, store, path),
        };
    }
    let has_extension = |wanted: &str| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(wanted));
    if has_extension("zip") {
        return open_package(gate, store, path);
    }
    if has_extension("wasm") {
        return open_module(gate, store, path);
    }
    Err(Error::new(
        ErrorCode::PackageModuleInvalid,
        format!("`{}` is neither a directory nor a .zip or .wasm file", files::shown(path)),
    ))
}

fn open_module(gate: &Gate, store: Option<&Store>, path: &Path) -> Result<Opened> {
    let admitted = gate.admit(path, gate.max_code_bytes).map_err(|error| {
        if error.code() == ErrorCode::PackageTooLarge {
            return Error::new(ErrorCode::PackageModuleLimits, error.context().to_owned());
        }
        error
    })?;
    let code = Arc::unwrap_or_clone(admitted.bytes);
    let artifact = Artifact { manifest: None, code, origin: files::shown(path) };
    let verified = admitted.verified;
    if let Some(statement) = verified.statement() {
        // The module has not said its name yet, but its signers have: what they may not sign, or what is outdated, does
        // not even get to say it.
        let subject = Subject { name: &statement.name, version: &statement.version, permissions_sha256: None };
        verified.check_subject(&subject)?;
        if let Some(store) = store {
            store.check_known(&verified, &subject, &Asked::default())?;
        }
    }
    Ok(Opened {
        artifact,
        program: None,
        runtime: RuntimeKind::Wasm,
        verified,
        assets: None,
        is_installed: false,
        key: None,
    })
}

fn open_package(gate: &Gate, store: Option<&Store>, path: &Path) -> Result<Opened> {
    let package = gate.package(path)?;
    if let Some(store) = store {
        let contents = &package.contents;
        store.check_known(&package.admitted.verified, &contents.subject(), &contents.asked)?;
    }
    let Package { admitted, contents, .. } = package;
    let code = contents.code(gate.max_bytes_of(contents.runtime))?;
    opened(gate, contents, code, admitted.verified, files::shown(path), false)
}

fn open_directory(gate: &Gate, store: Option<&Store>, path: &Path) -> Result<Opened> {
    if gate.mode == Mode::Required {
        return Err(Error::new(
            ErrorCode::SignatureUnsigned,
            format!("the directory `{}` can't be signed (pack, sign and install it)", files::shown(path)),
        )
        .with_detail("status", "unsigned"));
    }
    let files = Arc::new(DirectoryFiles { root: path.to_owned() });
    let contents = Contents::of(Arc::<DirectoryFiles>::clone(&files))?;
    let code = contents.code(gate.max_bytes_of(contents.runtime))?;
    let signature = |extension: &str, max_bytes| match &contents.module {
        Some(module) => files.read(&format!("{module}.{extension}"), max_bytes),
        None => Ok(None),
    };
    let (detached, note) = (signature("sig", detached::MAX_BYTES)?, signature("gksig", note::MAX_BYTES)?);
    let verified = gate.judge(&code, detached.as_deref(), note.as_deref())?;
    verified.check_subject(&contents.subject())?;
    if let Some(store) = store {
        store.check_known(&verified, &contents.subject(), &contents.asked)?;
    }
    opened(gate, contents, code, verified, files::shown(path), false)
}

fn opened(
    gate: &Gate,
    contents: Contents,
    code: Vec<u8>,
    verified: Verified,
    origin: String,
    is_installed: bool,
) -> Result<Opened> {
    let max_bytes = usize::try_from(gate.limits.file_bytes).unwrap_or(usize::MAX);
    let assets = contents.assets(max_bytes)?;
    let program = match (contents.runtime, &contents.module) {
        (RuntimeKind::Process, Some(binary)) => {
            Some(Program { binary: binary.clone(), files: contents.further_files(&gate.limits)? })
        }
        _ => None,
    };
    let artifact = Artifact { manifest: Some(contents.manifest), code, origin };
    let runtime = contents.runtime;
    Ok(Opened { artifact, program, runtime, verified, assets: Some(assets), is_installed, key: None })
}

#[cfg(test)]
mod tests;
