//! `trust`: whose signatures count.

use std::path::PathBuf;

use goatflow_plugin::clock;
use goatflow_plugin::error::Result;
use goatflow_plugin::package::moment::Moment;
use goatflow_plugin::package::signature::PublicKey;
use goatflow_plugin::package::trust::document::Revocation;
use goatflow_plugin::package::trust::{TrustDocument, TrustFile, TrustedKey};

use crate::{pretty, print_line};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Trust a key.
    Add {
        /// Public key: 64 hexadecimal digits.
        key: String,
        /// How people call it.
        #[arg(long)]
        label: String,
        /// Names of plugins it may sign for: exact, or patterns with `*`.
        #[arg(long, required = true, value_name = "PATTERN", num_args = 1.., value_delimiter = ',')]
        name: Vec<String>,
        #[command(flatten)]
        store: Store,
    },
    /// Show the trust store.
    List {
        #[command(flatten)]
        store: Store,
    },
    /// Trust a key, or a file, no more.
    Revoke {
        /// Label, key id or public key; or the SHA-256 of a file, with `--content`.
        what: String,
        /// It is the SHA-256 of a file.
        #[arg(long)]
        content: bool,
        /// Why.
        #[arg(long, default_value = "")]
        reason: String,
        #[command(flatten)]
        store: Store,
    },
}

/// Where the trust store is.
#[derive(clap::Args)]
pub(crate) struct Store {
    /// Trust store; `add` and `revoke` make it when it does not exist.
    #[arg(long, value_name = "FILE", default_value = "trust.json")]
    trust: PathBuf,
}

pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Add { key, label, name, store } => {
            let key = TrustedKey::new(&PublicKey::parse(key)?, label, name.clone());
            show(&TrustFile::new(&store.trust).change(|document| document.add(key))?)
        }
        Command::List { store } => show(&TrustFile::new(&store.trust).read()?),
        Command::Revoke { what, content, reason, store } => {
            let revocation = Revocation { date: Moment::of(clock::wall()), reason: reason.clone() };
            show(&TrustFile::new(&store.trust).change(|document| match content {
                true => document.revoke_content(what, revocation),
                false => document.revoke_key(what, revocation),
            })?)
        }
    }
}

fn show(document: &TrustDocument) -> Result<()> {
    print_line(&pretty(&serde_json::to_value(document).unwrap_or_default()))
}
