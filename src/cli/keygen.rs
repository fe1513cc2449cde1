//! `keygen`: a key to sign packages with.

use std::path::PathBuf;

use goatflow_plugin::error::Result;
use goatflow_plugin::package::signature::SecretKey;
use serde_json::json;

use crate::print_line;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// File for the private key; must not exist yet.
    #[arg(value_name = "FILE", default_value = "goatflow-plugin.key")]
    file: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let secret = SecretKey::generate()?;
    secret.save(&arguments.file)?;
    let (public, file) = (secret.public(), arguments.file.display().to_string());
    if arguments.json {
        let report =
            json!({ "public_key": public.to_string(), "key_id": public.id().to_string(), "private_key": file });
        return print_line(&report.to_string());
    }
    print_line(&format!("The private key is in {file}: keep it secret, and a copy of it safe."))?;
    print_line("An administrator who trusts it adds this public key:")?;
    print_line(&public.to_string())
}
