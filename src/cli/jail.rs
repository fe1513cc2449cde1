//! `jail`: runs any program as a native plugin would be run, and tells how strong the jail is on this machine.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use goatflow_plugin::error::{Error, ErrorCode, Result};
use goatflow_plugin::package::files;
use goatflow_plugin::policy::document::{self, PolicyDocument};
use goatflow_plugin::runtime::process::jail::{Image, Jail, JailExit, JailLimits, JailReport, JailSpec, LayerState};
use serde_json::{Value, json};

use crate::{pretty, print_line};

/// Lowest level where neither option nor policy says one: this is diagnosis, and the report tells what was in force.
const DEFAULT_LEVEL: u32 = 2;

/// Largest program that is run, in bytes.
const MAX_PROGRAM_BYTES: usize = 1 << 30;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Run a program as a native plugin would be run; its exit code is passed on.
    Run(Options),
    /// Tell layer by layer what is in force here, and why not more.
    Report {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Policy document whose isolation and memory limit are used.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Lowest level to start at, 0 to 4; the policy may ask for more.
    #[arg(long, value_name = "LEVEL")]
    level: Option<u32>,
    /// Show a file or directory read-only; may be repeated.
    #[arg(long, value_name = "PATH")]
    read_only: Vec<PathBuf>,
    /// Show the libraries of the system read-only, which dynamic programs need.
    #[arg(long)]
    system_libraries: bool,
    /// Directory for the program's sockets; with namespaces it is at `/proc/PID/root/DIRECTORY`, seen from outside.
    #[arg(long, value_name = "DIRECTORY")]
    sockets: Option<PathBuf>,
    /// Pass a variable.
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Memory in MiB; 0 is no limit.
    #[arg(long, value_name = "MIB")]
    memory: Option<u64>,
    /// Per cent of one processor; 0 is no limit.
    #[arg(long, value_name = "PERCENT")]
    cpu: Option<u32>,
    /// Threads.
    #[arg(long)]
    threads: Option<u32>,
    /// Allow just-in-time compilers.
    #[arg(long)]
    jit: bool,
    /// Parent of the control groups, relative to where they are mounted.
    #[arg(long, value_name = "PATH")]
    group_parent: Option<PathBuf>,
    /// Print report and exit on standard error as JSON.
    #[arg(long)]
    json: bool,
    /// Program and its arguments.
    #[arg(required = true, trailing_var_arg = true, value_name = "BINARY")]
    command: Vec<String>,
}

pub(crate) fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Run(options) => start(&options),
        Command::Report { json } => {
            let report = Jail::new()?.report_default()?;
            let text = if json { pretty(&report.to_json()) } else { table(&report) };
            print_line(&text)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// What the doctor says: the report, or why there is none.
pub(crate) fn diagnosis() -> Value {
    Jail::new().and_then(|jail| jail.report_default()).map_or_else(|error| error.to_json(), |report| report.to_json())
}

fn start(options: &Options) -> Result<ExitCode> {
    let spec = spec(options)?;
    let mut child = Jail::new()?.start(&spec)?;
    let copies = [
        child.take_output().map(|output| copy(output.into(), Box::new(io::stdout()))),
        child.take_errors().map(|errors| copy(errors.into(), Box::new(io::stderr()))),
    ];
    let exit = child.wait(None)?;
    for copy in copies.into_iter().flatten() {
        // A reader that went away ends the copy, not the program.
        let _ = copy.join();
    }
    let exit = exit.unwrap_or(JailExit { code: None, signal: None, out_of_memory: false });
    if options.json {
        // The program's own output may end here as well.
        let _ = writeln!(io::stderr(), "{}", json!({ "exit": exit_json(exit), "report": child.report().to_json() }));
    } else if let Some(how) = ending(exit) {
        let _ = writeln!(io::stderr(), "the program {how}");
    }
    Ok(exit_code(exit))
}

fn copy(mut from: File, mut to: Box<dyn Write + Send>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.flush();
    })
}

fn spec(options: &Options) -> Result<JailSpec> {
    let Some(program) = options.command.first() else {
        return Err(Error::new(ErrorCode::ArgumentInvalid, "there is no program to run"));
    };
    let policy = options.policy.as_deref().map(read_policy).transpose()?;
    let bytes = read(program.as_ref())?;
    let isolation = policy.as_ref().and_then(|policy| policy.isolation.clone()).unwrap_or_default();
    let interpreter = isolation.interpreter.as_deref().filter(|_| !bytes.starts_with(b"\x7fELF"));
    let image =
        interpreter.map_or_else(|| Image::seal(&bytes), |interpreter| Image::seal(&read(interpreter.as_ref())?))?;
    let mut spec = JailSpec::new(image);
    spec.arguments.clone_from(&options.command);
    if let Some(interpreter) = interpreter {
        let script = absolute(program.as_ref())?;
        spec.arguments.splice(..1, [interpreter.to_owned(), script.to_string_lossy().into_owned()]);
        spec.read_only.push(script);
    }
    spec.environment = options.env.iter().map(|text| variable(text)).collect::<Result<_>>()?;
    for path in &options.read_only {
        spec.read_only.push(absolute(path)?);
    }
    if options.system_libraries {
        spec.read_only.extend(JailSpec::system_libraries());
    }
    spec.sockets = options.sockets.as_deref().map(absolute).transpose()?;
    spec.group_parent.clone_from(&options.group_parent);
    spec.may_jit = options.jit;
    spec.limits = limits(options, policy.as_ref());
    spec.minimum_level = options.level.max(isolation.minimum).unwrap_or(DEFAULT_LEVEL);
    spec.read_only.extend(isolation.read_only.iter().map(PathBuf::from));
    spec.environment.extend(isolation.environment);
    spec.may_jit |= isolation.jit.unwrap_or(false);
    Ok(spec)
}

fn limits(options: &Options, policy: Option<&PolicyDocument>) -> JailLimits {
    let defaults = JailLimits::default();
    let of_policy = policy.and_then(|policy| policy.memory_mb).map(|megabytes| megabytes << 20);
    let isolation = policy.and_then(|policy| policy.isolation.clone()).unwrap_or_default();
    JailLimits {
        memory_bytes: options.memory.map(|mib| mib << 20).or(of_policy).unwrap_or(defaults.memory_bytes),
        cpu_percent: options.cpu.or(isolation.cpu_percent).unwrap_or(defaults.cpu_percent),
        threads: options.threads.or(isolation.threads).unwrap_or(defaults.threads),
        tmp_bytes: isolation.tmp_mb.map_or(defaults.tmp_bytes, |megabytes| u64::from(megabytes) << 20),
        ..defaults
    }
}

fn read_policy(path: &std::path::Path) -> Result<PolicyDocument> {
    let (policy, _) = document::parse(&read(path)?).map_err(|problems| document::problems_to_error(&problems))?;
    Ok(policy)
}

fn read(path: &std::path::Path) -> Result<Vec<u8>> {
    files::read(path, MAX_PROGRAM_BYTES)
}

fn absolute(path: &std::path::Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|error| {
        Error::new(ErrorCode::EnvironmentIo, format!("can't find `{}`", path.display())).with_source(error)
    })
}

fn variable(text: &str) -> Result<(String, String)> {
    let parts = text.split_once('=');
    parts
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| Error::new(ErrorCode::ArgumentInvalid, format!("`{text}` is no variable (write NAME=VALUE)")))
}

fn exit_json(exit: JailExit) -> Value {
    json!({ "code": exit.code, "signal": exit.signal, "out_of_memory": exit.out_of_memory })
}

/// What is worth a word to people.
fn ending(exit: JailExit) -> Option<String> {
    match (exit.signal, exit.out_of_memory) {
        (_, true) => Some("was ended because its memory was used up".to_owned()),
        (Some(31), _) => Some("was ended because of a system call that no plugin may make".to_owned()),
        (Some(signal), _) => Some(format!("was ended by signal {signal}")),
        (None, false) => None,
    }
}

/// As shells do it: a signal counts from 128.
fn exit_code(exit: JailExit) -> ExitCode {
    let code = exit.code.or_else(|| exit.signal.map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(code & 0xFF).unwrap_or(1))
}

fn table(report: &JailReport) -> String {
    let mut lines = vec![format!("level {} of 4", report.level())];
    for layer in report.layers() {
        let text = match &layer.state {
            LayerState::Ok if layer.fact.is_empty() => "ok".to_owned(),
            LayerState::Ok => format!("ok ({})", layer.fact),
            LayerState::Reduced { reason } => format!("reduced: {reason}"),
            LayerState::Missing { reason, remedy } => format!("missing: {reason}\n{:21}to do: {remedy}", ""),
        };
        lines.push(format!("  {:17}  {text}", layer.name));
    }
    lines.join("\n")
}
