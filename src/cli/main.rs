//! The command line: runs and inspects plugins, checks policies, starts new plugins.

mod check_ed25519;
mod check_policy;
mod check_sql;
mod dev;
mod inspect;
mod jail;
mod keygen;
mod new;
mod pack;
mod package;
mod policy;
mod policy_words;
mod run;
mod sign;
mod trust;
mod verify;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use goatflow_plugin::doctor;
use goatflow_plugin::error::{Error, ErrorCode, Result};

/// Runs third-party plugins in a sandbox.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Load a plugin and call one of its functions.
    Run(run::Arguments),
    /// Tell what a plugin registers, what it asks for and what it would get.
    Inspect(inspect::Arguments),
    /// Tell what this machine offers.
    Doctor,
    /// Make a key to sign packages with.
    Keygen(keygen::Arguments),
    /// Sign a package or module.
    Sign(sign::Arguments),
    /// Tell whether a package or module would be accepted; exit code 3 when not.
    Verify(verify::Arguments),
    /// Make a package of a plugin's directory: the same files give the same bytes.
    Pack(pack::Arguments),
    /// Install packages and look at installed ones; exit code 3 when a package is refused.
    #[command(subcommand)]
    Package(package::Command),
    /// Decide whose signatures count.
    #[command(subcommand)]
    Trust(trust::Command),
    /// The jail of native plugins: run a program in it, or tell how strong it is here.
    #[command(subcommand)]
    Jail(jail::Command),
    /// Work on a plugin: build and load it again whenever its sources change, and call it meanwhile.
    Dev(dev::Arguments),
    /// Make a new plugin that builds and runs.
    New(new::Arguments),
    /// Show and change stored policies, suggest them, and look back.
    Policy(policy::Arguments),
    /// Ask the gates without a plugin or a database: one JSON object per line in, one verdict per line out.
    Check {
        /// Gate to ask.
        gate: Gate,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Gate {
    /// SQL statements against whitelists of tables.
    Sql,
    /// E-mail recipients, URLs and configuration keys against scopes.
    Policy,
    /// Raw Ed25519 signatures.
    Ed25519,
}

/// Where a plugin's database and policy come from; the same for every command that loads a plugin.
#[derive(clap::Args)]
struct HostOptions {
    /// SQLite database that the plugin may query, as far as its policy goes.
    #[arg(long, value_name = "FILE")]
    database: Option<PathBuf>,
    /// Policy document of the plugin; without one, the default grant is in force.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Trust store; a signed plugin runs only when its signer is trusted.
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
}

fn main() -> ExitCode {
    match execute(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> Result<ExitCode> {
    let done = match command {
        Command::Verify(arguments) => return verify::run(&arguments),
        Command::Package(command) => return package::run(&command),
        Command::Keygen(arguments) => keygen::run(&arguments),
        Command::Sign(arguments) => sign::run(&arguments),
        Command::Pack(arguments) => pack::run(&arguments),
        Command::Trust(command) => trust::run(&command),
        Command::Jail(command) => return jail::run(command),
        Command::Run(arguments) => run::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Doctor => {
            let mut report = doctor::report();
            report["native_plugins"] = jail::diagnosis();
            print_line(&pretty(&report))
        }
        Command::Dev(arguments) => return dev::run(arguments),
        Command::New(arguments) => new::run(&arguments),
        Command::Policy(arguments) => policy::run(&arguments),
        Command::Check { gate } => {
            let (input, output) = (io::stdin().lock(), io::BufWriter::new(io::stdout().lock()));
            let done = match gate {
                Gate::Sql => check_sql::run(input, output),
                Gate::Policy => check_policy::run(input, output),
                Gate::Ed25519 => check_ed25519::run(input, output),
            };
            done.or_else(ignore_closed_pipe)
        }
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// Exit code of a package that is refused.
const REFUSED: u8 = 3;

/// Shows what became of a package: accepted, or refused with the reason. Every other error is the caller's.
fn conclude(
    result: Result<serde_json::Value>,
    json: bool,
    words: impl Fn(&serde_json::Value) -> String,
) -> Result<ExitCode> {
    match result {
        Ok(report) => print_line(&if json { report.to_string() } else { words(&report) }).map(|()| ExitCode::SUCCESS),
        Err(error) if is_refusal(error.code()) => {
            let entry = error.detail().get("entry").cloned().unwrap_or_default();
            let refusal =
                serde_json::json!({ "code": error.code().slug(), "reason": error.to_string(), "entry": entry });
            if json {
                print_line(&refusal.to_string())?
            } else {
                report(&error)
            }
            Ok(ExitCode::from(REFUSED))
        }
        Err(error) => Err(error),
    }
}

/// True when the package or its signature is the reason, not how the program was called or the machine it runs on.
fn is_refusal(code: ErrorCode) -> bool {
    matches!(code.number(), 201..=240 | 247 | 250..=252 | 300..=311)
}

/// For people a sentence and its code, for programs a JSON object.
fn report(error: &Error) {
    let text = if io::stderr().is_terminal() {
        format!("error: {error} [{}]", error.code().slug())
    } else {
        error.to_json().to_string()
    };
    // Nobody is left to be told when even this fails.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Writes a line to standard output; a reader that went away is no error.
fn print_line(line: &str) -> Result<()> {
    writeln!(io::stdout(), "{line}").or_else(ignore_closed_pipe)
}

fn ignore_closed_pipe(error: io::Error) -> Result<()> {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Ok(());
    }
    Err(Error::new(ErrorCode::EnvironmentIo, "can't read the input or write the output").with_source(error))
}

fn pretty(value: &serde_json::Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string())
}
