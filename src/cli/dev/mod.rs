//! `dev`: a plugin is built and loaded again whenever its sources change, and can be called meanwhile.

mod build;
mod console;
mod screen;
mod signals;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use goatflow_plugin::clock;
use goatflow_plugin::error::{Error, ErrorCode, Result};
use goatflow_plugin::lifecycle::watch::{Scope, Settings, Watch, Watcher};
use goatflow_plugin::manager::{Config, Manager, Subscription};
use goatflow_plugin::plugin::Cancellation;
use serde_json::{Value, json};

use self::build::Build;
use self::console::Console;
use self::screen::{Screen, Tone, differences};
use crate::HostOptions;

/// A build that is told to end gets so long.
const BUILD_PATIENCE: Duration = Duration::from_secs(2);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Directory of the plugin, with its manifest.
    directory: PathBuf,
    #[command(flatten)]
    host: HostOptions,
    /// Configuration of the manager; the other options win over it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Name of a file or directory whose changes don't cause a build; may be repeated.
    #[arg(long, value_name = "NAME")]
    ignore: Vec<String>,
    /// Build nothing, only load what is there.
    #[arg(long, conflicts_with = "command")]
    no_build: bool,
    /// Look at the files again and again, for file systems that send no events.
    #[arg(long)]
    poll: bool,
    /// Print one JSON object per line.
    #[arg(long)]
    json: bool,
    /// Command that builds the plugin, run in its directory; without it, its Makefile or `build.sh`.
    #[arg(last = true, value_name = "BUILD COMMAND")]
    command: Vec<String>,
}

/// What can happen.
enum Message {
    Sources,
    Policy,
    Event(Value),
    Built { is_ok: bool, outcome: String },
    Line(String),
    Ended,
    Signal(i32),
}

/// How the program ends.
enum End {
    Asked,
    Signal(i32),
}

struct Session {
    arguments: Arguments,
    directory: PathBuf,
    command: Vec<String>,
    screen: Screen,
    manager: Arc<Manager>,
    plugin: Option<String>,
    /// Plugin that the policy was set for.
    has_policy: Option<String>,
    registration: Value,
    console: Console,
    building: Option<Build>,
    /// Sources changed while a build ran.
    is_stale: bool,
    sender: Sender<Message>,
    _subscription: Arc<Subscription>,
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    if !arguments.directory.is_dir() {
        let directory = arguments.directory.display();
        return Err(Error::new(ErrorCode::PackageNotFound, format!("there is no directory `{directory}`")));
    }
    let (sender, messages) = channel();
    let current: Arc<Mutex<Cancellation>> = Arc::default();
    let (stop, ended) = (Arc::clone(&current), sender.clone());
    let told = move |signal| {
        // The call that runs would keep the loop from hearing.
        stop.lock().unwrap_or_else(PoisonError::into_inner).cancel();
        let _ = ended.send(Message::Signal(signal));
    };
    signals::listen(told)
        .map_err(|error| Error::new(ErrorCode::EnvironmentResources, "can't listen to signals").with_source(error))?;
    let mut session = Session::new(arguments, sender, current)?;
    let watcher = Watcher::default();
    let _watches = session.begin(&watcher)?;
    let end = session.serve(&messages);
    session.finish(&messages)?;
    Ok(match end {
        End::Asked => ExitCode::SUCCESS,
        // As shells count.
        End::Signal(signal) => ExitCode::from(u8::try_from(128 + signal).unwrap_or(1)),
    })
}

impl Session {
    fn new(arguments: Arguments, sender: Sender<Message>, current: Arc<Mutex<Cancellation>>) -> Result<Self> {
        let directory =
            std::path::absolute(&arguments.directory).map_err(|error| unreadable(&arguments.directory, error))?;
        let command = match (&arguments.command[..], arguments.no_build) {
            (_, true) => Vec::new(),
            ([], false) => build::default_command(&directory),
            (command, false) => command.to_vec(),
        };
        let manager = Manager::new(configuration(&arguments)?)?;
        let events = sender.clone();
        let subscriber = move |event: &str| {
            if let Ok(event) = serde_json::from_str(event) {
                let _ = events.send(Message::Event(event));
            }
        };
        let subscription = manager.subscribe(b"", Box::new(subscriber))?;
        let screen = Screen::new(arguments.json);
        Ok(Self {
            directory,
            command,
            screen,
            console: Console::new(screen, current),
            manager,
            plugin: None,
            has_policy: None,
            registration: Value::Null,
            building: None,
            is_stale: false,
            sender,
            _subscription: subscription,
            arguments,
        })
    }

    /// Watches, builds and loads for the first time. Sources are watched before they are built: nothing is missed.
    fn begin(&mut self, watcher: &Watcher) -> Result<Vec<Watch>> {
        let mut watches = Vec::new();
        if !self.command.is_empty() {
            let scope = Scope::Sources { ignored: self.arguments.ignore.clone() };
            watches.push(self.watch(watcher, &self.directory, scope, || Message::Sources)?);
            self.build(&self.command.clone());
        }
        if let Some(policy) = &self.arguments.host.policy {
            watches.push(self.watch(watcher, policy, Scope::Plugin, || Message::Policy)?);
        }
        // What a native plugin starts with must be known before it does.
        self.set_policy();
        if self.building.is_none() {
            self.load();
        }
        Ok(watches)
    }

    fn watch(&self, watcher: &Watcher, path: &Path, scope: Scope, message: fn() -> Message) -> Result<Watch> {
        let sender = self.sender.clone();
        let settings = Settings { is_polling: self.arguments.poll, ..Settings::default() };
        let changed = Box::new(move || sender.send(message()).is_ok());
        watcher.watch(path, scope, settings, changed, Box::new(|_| ()))
    }

    fn serve(&mut self, messages: &Receiver<Message>) -> End {
        while let Ok(message) = messages.recv() {
            match message {
                Message::Sources if self.building.is_some() => self.is_stale = true,
                Message::Sources => self.build(&self.command.clone()),
                Message::Built { is_ok, outcome } => self.built(is_ok, &outcome),
                Message::Policy => self.policy_changed(),
                Message::Event(event) => self.show(&event),
                Message::Line(line) => {
                    if !self.console.obey(&self.manager, self.plugin.as_deref(), &line) {
                        return End::Asked;
                    }
                }
                Message::Ended => return End::Asked,
                Message::Signal(signal) => return End::Signal(signal),
            }
        }
        End::Asked
    }

    fn build(&mut self, command: &[String]) {
        let shown = command.join(" ");
        self.screen.say("building", json!({ "command": command }), Tone::Faint, &format!("building: {shown}"));
        match Build::start(command, &self.directory, self.screen.is_json(), self.sender.clone()) {
            Ok(build) => self.building = Some(build),
            Err(error) => self.screen.error("the build did not start", &error.to_json()),
        }
    }

    fn built(&mut self, is_ok: bool, outcome: &str) {
        self.building = None;
        if is_ok {
            self.screen.say("built", json!({ "ok": true }), Tone::Good, "built");
        } else {
            let kept = if self.plugin.is_some() { ", the version before goes on" } else { "" };
            let words = format!("the build failed ({outcome}){kept}");
            self.screen.say("built", json!({ "ok": false, "outcome": outcome }), Tone::Bad, &words);
        }
        if std::mem::take(&mut self.is_stale) {
            let is_default = self.arguments.command.is_empty();
            let command = if is_default { build::from_scratch(&self.command) } else { self.command.clone() };
            self.build(&command);
        } else {
            self.load();
        }
    }

    /// Loads what is there, once; from then on the manager watches it.
    fn load(&mut self) {
        if self.manager.watches() != json!([]) {
            return;
        }
        if self.watch_plugin() {
            self.console.listen(self.sender.clone());
        }
    }

    fn watch_plugin(&self) -> bool {
        let options = if self.arguments.poll { br#"{"mode":"polling"}"#.as_slice() } else { b"" };
        match self.manager.watch(&self.directory.to_string_lossy(), options) {
            Ok(_) => true,
            Err(error) => {
                self.screen.error("can't watch the plugin", &error.to_json());
                false
            }
        }
    }

    fn show(&mut self, event: &Value) {
        match event["kind"].as_str() {
            Some("plugin.loaded" | "plugin.swapped") => self.loaded(event),
            Some("plugin.failed") => self.screen.error("not loaded", &event["error"]),
            Some("plugin.watching") if event["mode"] == "polling" => {
                let words = format!("changes are noticed by polling: {}", event["reason"].as_str().unwrap_or_default());
                self.screen.say("polling", event.clone(), Tone::Faint, &words);
            }
            Some("call.denied") => self.denied(event),
            Some("log") => {
                let text = |key: &str| event["record"][key].as_str().unwrap_or_default();
                let words = format!("{:5} {}", text("level"), text("message"));
                self.screen.say("log", event.clone(), Tone::Faint, &words);
            }
            _ => {}
        }
    }

    fn loaded(&mut self, event: &Value) {
        let is_first = self.plugin.is_none();
        let name = event["plugin"].as_str().unwrap_or_default();
        let version = event["version"].as_str().or_else(|| event["new_version"].as_str()).unwrap_or_default();
        self.plugin = Some(name.to_owned());
        let lines = if is_first { Vec::new() } else { differences(&self.registration, &event["registration"]) };
        self.registration = event["registration"].clone();
        let mut words = format!("loaded {name} {version}");
        for line in &lines {
            words.push_str("\n  ");
            words.push_str(line);
        }
        let facts = json!({ "plugin": name, "version": version, "changes": lines });
        self.screen.say("loaded", facts, Tone::Good, &words);
        if is_first && self.has_policy.as_deref() != Some(name) {
            self.set_policy();
        }
        self.console.repeat(&self.manager, name);
    }

    /// A refusal, with the entry of a policy that would allow it.
    fn denied(&self, event: &Value) {
        let error = &event["error"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut words =
            format!("refused {}: {} [{}]", text(&event["function"]), text(&error["message"]), text(&error["code"]));
        let detail = &error["detail"];
        let several = detail["suggestions"].as_array().into_iter().flatten();
        for grant in several.chain(detail.get("suggestion")) {
            words.push_str(&format!("\n  would allow it: {grant}"));
        }
        self.screen.say("denied", event.clone(), Tone::Bad, &words);
    }

    /// A plugin that could not be loaded may be loaded now.
    fn policy_changed(&mut self) {
        self.set_policy();
        if self.plugin.is_none() && self.manager.watches() != json!([]) {
            let _ = self.manager.unwatch(&self.directory.to_string_lossy());
            self.watch_plugin();
        }
    }

    /// Sets the policy of what is loaded or, before that, of the plugin that the document names.
    fn set_policy(&mut self) {
        let Some(path) = &self.arguments.host.policy else { return };
        let read = std::fs::read(path).map_err(|error| unreadable(path, error));
        let named = read.as_ref().ok().and_then(|text| crate::run::plugin_name(text));
        let Some(plugin) = self.plugin.clone().or(named) else { return };
        match read.and_then(|text| self.manager.set_policy(&plugin, &text, None)) {
            Ok(revision) => {
                self.has_policy = Some(plugin);
                let words = format!("policy `{}` is in force", path.display());
                self.screen.say("policy", json!({ "revision": revision }), Tone::Good, &words);
            }
            Err(error) => self.screen.error("the policy is not in force", &error.to_json()),
        }
    }

    /// Ends the build with everything that belongs to it, then the plugin.
    fn finish(&mut self, messages: &Receiver<Message>) -> Result<()> {
        if let Some(build) = self.building.take() {
            build.stop();
            let has_ended = |message: Message| matches!(message, Message::Built { .. });
            // In all: other messages, of which a plugin can send any number, make it no longer.
            let until = clock::now().saturating_add(clock::saturating_nanos(BUILD_PATIENCE));
            let left = || Duration::from_nanos(until.saturating_sub(clock::now()));
            while let Ok(message) = messages.recv_timeout(left()) {
                if has_ended(message) {
                    break;
                }
            }
            build.kill();
        }
        self.manager.shut_down(Duration::from_secs(5)).map(drop)
    }
}

fn configuration(arguments: &Arguments) -> Result<Config> {
    let mut config = match &arguments.config {
        None => json!({}),
        Some(path) => {
            let text = std::fs::read(path).map_err(|error| unreadable(path, error))?;
            // As strict as the manager is, and then changed.
            Config::parse(&text)?;
            serde_json::from_slice(&text).map_err(|error| {
                Error::new(ErrorCode::ArgumentConfig, "the configuration is not JSON").with_source(error)
            })?
        }
    };
    if let Some(path) = &arguments.host.database {
        if !path.exists() {
            return Err(Error::new(ErrorCode::ArgumentInvalid, format!("there is no database `{}`", path.display())));
        }
        config["database"]["sqlite"] = json!({ "path": path });
    }
    if let Some(path) = &arguments.host.trust {
        config["packages"]["trust_file"] = json!(path);
    }
    Config::parse(config.to_string().as_bytes())
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorCode::EnvironmentIo, format!("can't read `{}`", path.display())).with_source(error)
}
