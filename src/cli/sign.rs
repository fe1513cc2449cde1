//! `sign`: writes `FILE.sig`, or with a sequence number `FILE.gksig`.

use std::path::{Path, PathBuf};

use goatflow_plugin::clock;
use goatflow_plugin::error::{Error, ErrorCode, Result};
use goatflow_plugin::package::gate::beside;
use goatflow_plugin::package::moment::Moment;
use goatflow_plugin::package::signature::note::{MAX_BYTES, Statement};
use goatflow_plugin::package::signature::{Detached, Note, SecretKey};
use goatflow_plugin::package::trust::Mode;
use goatflow_plugin::package::{Gate, files, hex};
use serde_json::{Value, json};

use crate::print_line;

const SECONDS_PER_DAY: u64 = 24 * 60 * 60;
/// Largest file that is signed, in bytes.
const MAX_FILE_BYTES: usize = 1024 * 1024 * 1024;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Package or module.
    file: PathBuf,
    /// File of the private key.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Write FILE.gksig with this number, which grows with every release; otherwise FILE.sig is written.
    #[arg(long, value_name = "NUMBER")]
    sequence: Option<u64>,
    /// Add a signature to the FILE.gksig that is there.
    #[arg(long, conflicts_with_all = ["sequence", "days", "min_host", "isolation_minimum"])]
    cosign: bool,
    /// How others call the key.
    #[arg(long, default_value = "release")]
    label: String,
    /// Days for which FILE.gksig is valid, from now on.
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u64).range(1..=36_500))]
    days: u64,
    /// Oldest host that may run it.
    #[arg(long, value_name = "VERSION")]
    min_host: Option<String>,
    /// Least isolation for native code, 0 to 4.
    #[arg(long, value_name = "LEVEL")]
    isolation_minimum: Option<u8>,
    /// Name of the plugin; only needed for a module, a package says it itself.
    #[arg(long)]
    name: Option<String>,
    /// Its version; as `--name`.
    #[arg(long, value_name = "VERSION")]
    plugin_version: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let secret = SecretKey::load(&arguments.key)?;
    let (path, text, said) = match (arguments.sequence, arguments.cosign) {
        (None, false) => {
            let digest = digest(&arguments.file)?;
            (beside(&arguments.file, "sig"), Detached::sign(&digest, &secret).to_text(), None)
        }
        (sequence, _) => {
            let path = beside(&arguments.file, "gksig");
            let mut note = match sequence {
                Some(sequence) => Note::new(statement(arguments, sequence)?)?,
                None => existing(arguments, &path)?,
            };
            note.sign(&arguments.label, &secret)?;
            (path, note.to_text(), Some(shown(&note.statement)))
        }
    };
    files::replace(&path, text.as_bytes(), 0o644)?;
    let (public, written) = (secret.public(), path.display().to_string());
    if arguments.json {
        let report = json!({ "signature": written, "public_key": public.to_string(), "key_id": public.id().to_string(), "statement": said });
        return print_line(&report.to_string());
    }
    if let Some(said) = said {
        print_line(&format!("It says: {said}"))?;
    }
    print_line(&format!("The signature is in {written}. It holds for whoever trusts this public key:"))?;
    print_line(&public.to_string())
}

fn digest(file: &Path) -> Result<[u8; 32]> {
    use sha2::Digest as _;
    Ok(sha2::Sha256::digest(files::read(file, MAX_FILE_BYTES)?).into())
}

/// What the file says about itself, or for a module the arguments: name, version, hash, what it asks for.
struct Identity {
    name: String,
    version: String,
    sha256: [u8; 32],
    permissions_sha256: Option<[u8; 32]>,
}

impl Identity {
    fn of(arguments: &Arguments) -> Result<Self> {
        match (&arguments.name, &arguments.plugin_version) {
            (Some(name), Some(version)) => {
                let (name, version, sha256) = (name.clone(), version.clone(), digest(&arguments.file)?);
                Ok(Self { name, version, sha256, permissions_sha256: None })
            }
            (None, None) => {
                // What would not be accepted is not signed. Signatures that are there already do not matter here.
                let bytes = files::read(&arguments.file, MAX_FILE_BYTES)?;
                let gate = Gate { mode: Mode::Optional, ..Gate::default() };
                let package = gate.checked_package(gate.admit_bytes(bytes, None, None)?, &arguments.file)?;
                let subject = package.contents.subject();
                let (name, version) = (subject.name.to_owned(), subject.version.to_owned());
                let sha256 = *package.admitted.verified.sha256();
                Ok(Self { name, version, sha256, permissions_sha256: subject.permissions_sha256 })
            }
            _ => Err(Error::new(ErrorCode::ArgumentInvalid, "`--name` and `--plugin-version` go together")),
        }
    }
}

fn statement(arguments: &Arguments, sequence: u64) -> Result<Statement> {
    let now = Moment::of(clock::wall());
    let Identity { name, version, sha256, permissions_sha256 } = Identity::of(arguments)?;
    Ok(Statement {
        name,
        version,
        sha256,
        sequence,
        not_before: now,
        expires: now.later(arguments.days.saturating_mul(SECONDS_PER_DAY)),
        min_host: arguments.min_host.clone(),
        isolation_minimum: arguments.isolation_minimum,
        permissions_sha256,
    })
}

/// The note that is there. Who adds a signature signs every word of it: it must say what the file says itself.
fn existing(arguments: &Arguments, path: &Path) -> Result<Note> {
    let note = Note::parse(&files::read(path, MAX_BYTES)?)?;
    let (said, is) = (&note.statement, Identity::of(arguments)?);
    let other = match () {
        () if said.sha256 != is.sha256 => "file",
        () if said.name != is.name || said.version != is.version => "name or version",
        () if is.permissions_sha256.is_some() && said.permissions_sha256 != is.permissions_sha256 => "permissions",
        () => return Ok(note),
    };
    Err(Error::new(
        ErrorCode::SignatureBad,
        format!("`{}` is about another {other} (have it made anew)", path.display()),
    ))
}

/// What was signed, for whoever signed it.
fn shown(statement: &Statement) -> Value {
    json!({
        "name": statement.name,
        "version": statement.version,
        "sha256": hex::encode(&statement.sha256),
        "sequence": statement.sequence,
        "not_before": statement.not_before,
        "expires": statement.expires,
        "min_host": statement.min_host,
        "isolation_minimum": statement.isolation_minimum,
        "permissions_sha256": statement.permissions_sha256.as_ref().map(|digest| hex::encode(digest)),
    })
}
