//! `policy`: works on stored policies without the host, which takes up what is changed here within a second.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use goatflow_plugin::error::{Error, ErrorCode, Result};
use goatflow_plugin::manager::learning::observed;
use goatflow_plugin::policy::audit::{Action, first_broken};
use goatflow_plugin::policy::evidence::Learned;
use goatflow_plugin::policy::suggest::{self, SuggestOptions};
use goatflow_plugin::policy::{Change, DefaultRules, PolicyStore, document, duration::GoDuration};
use goatflow_plugin::providers::file_store::FileStore;
use goatflow_plugin::sandbox::dry_run::check_document;
use serde_json::{Value, json};

use crate::{policy_words as words, pretty, print_line};

/// Most bytes of a file that is read.
const MAX_FILE_BYTES: u64 = 4 << 20;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Show the stored policy of a plugin, or of all plugins.
    Show {
        /// Name of the plugin; all when it is left out.
        plugin: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Store a policy document. A host that runs puts it in force within a second.
    Set {
        /// Name of the plugin.
        plugin: String,
        /// Policy document; `-` reads standard input.
        document: PathBuf,
        /// Refuse unless the stored policy is at this revision; 0 = there is none.
        #[arg(long, value_name = "REVISION")]
        expect: Option<u64>,
        #[command(flatten)]
        place: Place,
    },
    /// Remove the stored policy, so that the default grant is in force again.
    Remove {
        /// Name of the plugin.
        plugin: String,
        /// Refuse unless the stored policy is at this revision.
        #[arg(long, value_name = "REVISION")]
        expect: Option<u64>,
        #[command(flatten)]
        place: Place,
    },
    /// Tell what is wrong with a policy document, all of it at once. Needs no store.
    Validate {
        /// Policy document; `-` reads standard input.
        document: PathBuf,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Suggest the smallest policy that lets a plugin work, with the evidence for each line. Changes nothing.
    Suggest {
        /// Name of the plugin.
        plugin: String,
        /// Evidence in place of the store's: JSON `{"declared", "denied", "observed"}`, with the lists of a plugin's
        /// statistics.
        #[arg(long, value_name = "FILE")]
        evidence: Option<PathBuf>,
        /// Also suggest what is sensitive.
        #[arg(long)]
        sensitive: bool,
        /// Also suggest what the plugin declares and did not need so far.
        #[arg(long)]
        declared: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Accept a suggestion, as `suggest --json` printed it. Refused when the policy was changed since.
    Apply {
        /// Name of the plugin.
        plugin: String,
        /// The suggestion; `-` reads standard input.
        suggestion: PathBuf,
        #[command(flatten)]
        place: Place,
    },
    /// For a while, let calls pass that only lack a permission or scope, and record them.
    Observe {
        /// Name of the plugin.
        plugin: String,
        /// How long from now on, such as `30m` or `8h`, at most `24h`; `0` ends it.
        duration: String,
        #[command(flatten)]
        place: Place,
    },
    /// Tell whether a policy would allow a host call, and why not.
    Check {
        /// Host function, for example `db_query`.
        function: String,
        /// Its arguments, a JSON object.
        #[arg(default_value = "{}")]
        arguments: String,
        /// Ask the stored policy of this plugin.
        #[arg(long, value_name = "NAME", conflicts_with = "policy")]
        plugin: Option<String>,
        /// Ask this policy document; without it and a plugin, the default grant.
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
        /// Dialect of the database: sqlite, postgres or mysql.
        #[arg(long, default_value = "sqlite")]
        dialect: String,
        #[command(flatten)]
        place: Place,
    },
    /// Show who changed what, newest first, and whether the record is whole.
    History {
        /// Name of the plugin; all when it is left out.
        plugin: Option<String>,
        /// Most rows to show.
        #[arg(long, default_value_t = 50)]
        limit: usize,
        #[command(flatten)]
        place: Place,
    },
}

/// Where policies are stored.
#[derive(clap::Args)]
struct Place {
    /// SQLite database with GoatFlow's tables `sysconfig_default` and `sysconfig_modified`.
    #[arg(long, value_name = "FILE", conflicts_with = "store")]
    database: Option<PathBuf>,
    /// Directory of policy files.
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Who makes the change, for the record.
    #[arg(long, value_name = "NAME", default_value = "command line")]
    actor: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Place {
    fn open(&self) -> Result<Arc<dyn PolicyStore>> {
        match (&self.database, &self.store) {
            (Some(path), _) if !path.exists() => {
                Err(Error::new(ErrorCode::ArgumentInvalid, format!("there is no database `{}`", path.display())))
            }
            (Some(path), _) => database(path),
            (None, Some(path)) if !path.exists() => {
                Err(Error::new(ErrorCode::ArgumentInvalid, format!("there is no directory `{}`", path.display())))
            }
            (None, Some(path)) => Ok(Arc::new(FileStore::open(path)?)),
            (None, None) => Err(Error::new(
                ErrorCode::ArgumentInvalid,
                "say where policies are stored: --database FILE or --store DIR",
            )),
        }
    }

    fn change(&self, expected_revision: Option<u64>, action: Action) -> Change<'_> {
        Change { expected_revision, action, actor: &self.actor }
    }

    /// A value for programs, or in words for people.
    fn print(&self, value: &Value, in_words: impl FnOnce(&Value) -> String) -> Result<()> {
        if self.json { print_line(&value.to_string()) } else { print_line(&in_words(value)) }
    }

    fn print_revision(&self, plugin: &str, revision: u64) -> Result<()> {
        self.print(&json!({"plugin": plugin, "revision": revision}), words::changed)
    }
}

#[cfg(feature = "sqlite")]
#[expect(clippy::unnecessary_wraps, reason = "the build without the embedded database fails here")]
fn database(path: &Path) -> Result<Arc<dyn PolicyStore>> {
    Ok(Arc::new(goatflow_plugin::providers::sysconfig_store::SysconfigStore::sqlite(path)))
}

#[cfg(not(feature = "sqlite"))]
fn database(_: &Path) -> Result<Arc<dyn PolicyStore>> {
    Err(Error::new(ErrorCode::EnvironmentUnsupported, "this build has no embedded database (feature `sqlite`)"))
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.command {
        Command::Show { plugin, place } => show(plugin.as_deref(), place),
        Command::Set { plugin, document, expect, place } => set(plugin, &read(document)?, *expect, Action::Set, place),
        Command::Remove { plugin, expect, place } => {
            let revision = place.open()?.save(plugin, b"", &place.change(*expect, Action::Removed))?;
            place.print_revision(plugin, revision)
        }
        Command::Validate { document, json } => validate(&read(document)?, *json),
        Command::Suggest { plugin, evidence, sensitive, declared, place } => {
            let options = SuggestOptions { sensitive: *sensitive, declared: *declared };
            place.print(&suggestion(plugin, evidence.as_deref(), options, place)?, words::suggestion)
        }
        Command::Apply { plugin, suggestion, place } => {
            let (text, revision) = suggest::accepted(plugin, &read(suggestion)?)?;
            set(plugin, &text, Some(revision), Action::Applied, place)
        }
        Command::Observe { plugin, duration, place } => observe(plugin, duration, place),
        Command::Check { function, arguments, plugin, policy, dialect, place } => {
            let text = match (plugin, policy) {
                (Some(plugin), _) => place.open()?.load(plugin)?.map(|stored| stored.text).unwrap_or_default(),
                (None, Some(path)) => read(path)?,
                (None, None) => Vec::new(),
            };
            check(&text, function, arguments, dialect, place)
        }
        Command::History { plugin, limit, place } => history(plugin.as_deref(), *limit, place),
    }
}

fn show(plugin: Option<&str>, place: &Place) -> Result<()> {
    let store = place.open()?;
    let names = match plugin {
        Some(plugin) => vec![plugin.to_owned()],
        None => store.list()?,
    };
    let one = |name: &String| -> Result<Value> {
        let stored = store.load(name)?;
        let text = stored.as_ref().map(|stored| String::from_utf8_lossy(&stored.text).into_owned());
        let report = stored.as_ref().map(|stored| document::validate_report(&stored.text));
        Ok(json!({
            "plugin": name,
            "revision": stored.map_or(0, |stored| stored.revision),
            "enabled": store.load_enabled(name)?.unwrap_or(true),
            "stored": text.map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text))),
            "report": report,
        }))
    };
    let all = names.iter().map(one).collect::<Result<Vec<Value>>>()?;
    let value = if plugin.is_some() { all.into_iter().next().unwrap_or_default() } else { Value::Array(all) };
    place.print(&value, words::policies)
}

fn set(plugin: &str, text: &[u8], expect: Option<u64>, action: Action, place: &Place) -> Result<()> {
    let (document, _) = document::parse(text).map_err(|problems| document::problems_to_error(&problems))?;
    document.check_plugin_name(plugin)?;
    let revision = place.open()?.save(plugin, text, &place.change(expect, action))?;
    place.print_revision(plugin, revision)
}

fn validate(text: &[u8], json: bool) -> Result<()> {
    let report = document::validate_report(text);
    print_line(&if json { report.to_string() } else { words::report(&report) })?;
    if report["valid"] == true {
        return Ok(());
    }
    Err(Error::new(ErrorCode::PolicyDocumentInvalid, "the policy document is refused"))
}

fn suggestion(plugin: &str, evidence: Option<&Path>, options: SuggestOptions, place: &Place) -> Result<Value> {
    let (store, rules) = (place.open()?, rules());
    let Some(path) = evidence else {
        if store.load_evidence(plugin)?.is_none() {
            return Err(Error::new(
                ErrorCode::LifecyclePluginNotFound,
                format!("nothing was learned about plugin `{plugin}` (let it run, or give --evidence)"),
            ));
        }
        return suggest::suggest_from(&*store, plugin, &rules, options);
    };
    suggest::suggest(plugin, store.load(plugin)?.as_ref(), &Learned::parse(&read(path)?)?, &rules, options)
}

/// The rules of a host on SQLite, which is what a database file is.
fn rules() -> DefaultRules {
    let mut rules = DefaultRules::default();
    rules.tables.fold_case = true;
    rules.tables.default_schema = Some("main".to_owned());
    rules
}

fn observe(plugin: &str, duration: &str, place: &Place) -> Result<()> {
    let wrong = |problem: String| Error::new(ErrorCode::ArgumentInvalid, format!("the duration is not one: {problem}"));
    let seconds = GoDuration::parse(duration).map_err(wrong)?.ms.div_ceil(1000);
    let store = place.open()?;
    let stored = store.load(plugin)?;
    let text = observed(plugin, stored.as_ref(), seconds)?;
    let expected = stored.map_or(0, |stored| stored.revision);
    let revision = store.save(plugin, &text, &place.change(Some(expected), Action::Observed))?;
    place.print_revision(plugin, revision)
}

fn check(policy: &[u8], function: &str, arguments: &str, dialect: &str, place: &Place) -> Result<()> {
    let arguments: Value = serde_json::from_str(arguments)
        .map_err(|problem| Error::new(ErrorCode::ArgumentJson, "the arguments are not JSON").with_source(problem))?;
    let request = json!({"function": function, "arguments": arguments, "dialect": dialect}).to_string();
    place.print(&check_document(policy, request.as_bytes())?, words::verdict)
}

fn history(plugin: Option<&str>, limit: usize, place: &Place) -> Result<()> {
    let store = place.open()?;
    // The chain goes over all plugins: it is looked at whole, whatever is shown.
    let mut all = store.history(None, usize::try_from(i64::MAX).unwrap_or(usize::MAX))?;
    all.reverse();
    let broken = first_broken(&all);
    let is_asked = |row: &&goatflow_plugin::policy::audit::AuditRow| plugin.is_none_or(|plugin| row.plugin == plugin);
    let rows: Vec<_> = all.iter().rev().filter(is_asked).take(limit).collect();
    place.print(&json!({"rows": rows, "whole": broken.is_none(), "first_broken": broken}), words::history)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let failed =
        |problem| Error::new(ErrorCode::EnvironmentIo, format!("can't read `{}`", path.display())).with_source(problem);
    if path.as_os_str() == "-" {
        std::io::stdin().lock().take(MAX_FILE_BYTES).read_to_end(&mut text).map_err(failed)?;
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MAX_FILE_BYTES).read_to_end(&mut text)).map_err(failed)?;
    }
    if text.is_empty() {
        return Err(Error::new(ErrorCode::ArgumentInvalid, format!("`{}` is empty", path.display())));
    }
    Ok(text)
}

/// A document as a person reads it.
pub(crate) fn document_text(value: &Value) -> String {
    pretty(value).lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
