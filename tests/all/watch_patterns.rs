//! Every way in which editors, compilers and deployments change files is one change: noticed, and once.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use goatflow_plugin::error::ErrorCode;
use goatflow_plugin::lifecycle::watch::{MAX_ENTRIES, Mode, Scope, Settings, Watch, Watcher};
use tempfile::TempDir;

use crate::support::PATIENCE;

/// A watch of something in a directory of its own, and another one that tells when the first one has nothing more to say.
struct Bench {
    directory: TempDir,
    watcher: Watcher,
    settings: Settings,
}

/// What a watch hands over: what the files held at that moment.
struct Changes {
    watch: Watch,
    path: PathBuf,
    received: Receiver<String>,
}

impl Bench {
    fn new() -> Self {
        // Longer than a busy machine keeps a thread from its second step.
        let settings = Settings { quiet: Duration::from_millis(250), ..Settings::default() };
        Self { directory: tempfile::tempdir().unwrap(), watcher: Watcher::default(), settings }
    }

    fn polling() -> Self {
        let mut bench = Self::new();
        bench.settings.is_polling = true;
        bench.settings.poll = Duration::from_millis(20);
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn plugin(&self, name: &str) -> Changes {
        self.watch(name, Scope::Plugin)
    }

    fn watch(&self, name: &str, scope: Scope) -> Changes {
        let (sender, received) = channel();
        let path = self.path(name);
        let shown = if path.is_dir() { path.join("p.wasm") } else { path.clone() };
        let changed = move || {
            let _ = sender.send(fs::read_to_string(&shown).unwrap_or_default());
            true
        };
        let watch = self.watcher.watch(&path, scope, self.settings, Box::new(changed), Box::new(|_| ())).unwrap();
        Changes { watch, path, received }
    }
}

impl Changes {
    /// Waits for exactly one change, after which the file holds `text`.
    fn one(&self, text: &str) {
        assert_eq!(self.received.recv_timeout(PATIENCE).as_deref(), Ok(text));
        self.none();
    }

    /// Makes sure that nothing was handed over: a real change made now is the next thing that is.
    fn none(&self) {
        let beacon = match self.path.is_dir() {
            true => self.path.join("p.wasm"),
            false => self.path.clone(),
        };
        let Ok(before) = fs::read(&beacon) else { return };
        fs::write(&beacon, "beacon").unwrap();
        assert_eq!(self.received.recv_timeout(PATIENCE).as_deref(), Ok("beacon"));
        fs::write(&beacon, &before).unwrap();
        let text = String::from_utf8(before).unwrap();
        assert_eq!(self.received.recv_timeout(PATIENCE), Ok(text));
    }
}

fn patterns(bench: &Bench, changes: &Changes, at: &str) {
    let file = bench.path(at);
    let beside = |name: &str| file.parent().unwrap().join(name);

    // In place, as `cp` does it.
    fs::write(&file, "in place").unwrap();
    changes.one("in place");
    fs::write(beside("source"), "copied").unwrap();
    fs::copy(beside("source"), &file).unwrap();
    changes.one("copied");

    // Written beside it and renamed over it: VS Code's atomic save, JetBrains' safe write, `install`, linkers.
    fs::write(beside(".p.wasm.tmp"), "renamed over").unwrap();
    fs::rename(beside(".p.wasm.tmp"), &file).unwrap();
    changes.one("renamed over");
    // The first rename must not lose the watch.
    fs::write(beside(".p.wasm.tmp"), "renamed again").unwrap();
    fs::rename(beside(".p.wasm.tmp"), &file).unwrap();
    changes.one("renamed again");
    fs::write(&file, "in place after a rename").unwrap();
    changes.one("in place after a rename");

    // vim with `backupcopy=no`: the old file is moved away, a new one written, the backup removed; with a swap file.
    fs::write(beside(".p.wasm.swp"), "swap").unwrap();
    fs::rename(&file, beside("p.wasm~")).unwrap();
    fs::write(&file, "vim").unwrap();
    fs::remove_file(beside("p.wasm~")).unwrap();
    fs::remove_file(beside(".p.wasm.swp")).unwrap();
    changes.one("vim");

    // JetBrains: the new one beside it, the old one away, the new one in, the old one removed.
    fs::write(beside("p.wasm___jb_tmp___"), "jetbrains").unwrap();
    fs::rename(&file, beside("p.wasm___jb_old___")).unwrap();
    fs::rename(beside("p.wasm___jb_tmp___"), &file).unwrap();
    fs::remove_file(beside("p.wasm___jb_old___")).unwrap();
    changes.one("jetbrains");

    // Removed, and made again.
    fs::remove_file(&file).unwrap();
    fs::write(&file, "made again").unwrap();
    changes.one("made again");

    // The same size, within the grain of the file system's clock.
    fs::write(&file, "same size 1").unwrap();
    fs::write(&file, "same size 2").unwrap();
    changes.one("same size 2");

    // What changes nothing: a touch, other rights, the same bytes again, there and back.
    let now = std::time::SystemTime::UNIX_EPOCH;
    fs::File::options().append(true).open(&file).unwrap().set_modified(now).unwrap();
    changes.none();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    changes.none();
    fs::write(&file, "same size 2").unwrap();
    changes.none();
    fs::write(beside("other"), "another file").unwrap();
    changes.none();
}

#[test]
fn a_file_is_handed_over_once_however_it_is_saved() {
    let bench = Bench::new();
    bench.write("p.wasm", "first");
    let changes = bench.plugin("p.wasm");
    assert_eq!(changes.watch.status().mode, Mode::Events);
    changes.none();
    patterns(&bench, &changes, "p.wasm");
}

#[test]
fn a_directory_is_handed_over_once_however_its_module_is_saved() {
    let bench = Bench::new();
    bench.write("plugin/plugin.yaml", "name: p\nwasm: p.wasm\n");
    bench.write("plugin/p.wasm", "first");
    let changes = bench.plugin("plugin");
    patterns(&bench, &changes, "plugin/p.wasm");
}

#[test]
fn polling_notices_the_same() {
    let bench = Bench::polling();
    bench.write("p.wasm", "first");
    let changes = bench.plugin("p.wasm");
    assert!(matches!(changes.watch.status().mode, Mode::Polling(_)));
    patterns(&bench, &changes, "p.wasm");
}

#[test]
fn a_burst_is_one_change() {
    let bench = Bench::new();
    bench.write("p.wasm", "first");
    let changes = bench.plugin("p.wasm");
    for number in 0..1_000 {
        fs::write(bench.path("p.wasm"), format!("{number}")).unwrap();
    }
    // The machine may be so busy that the burst has pauses, but it ends with the last one.
    let mut handed_over = 0;
    while changes.received.recv_timeout(PATIENCE).unwrap() != "999" {
        handed_over += 1;
    }
    assert!(handed_over < 20, "{handed_over} times");
    changes.none();
}

#[test]
fn a_file_that_is_being_written_is_waited_for() {
    use std::io::Write;
    let bench = Bench::new();
    bench.write("p.wasm", "first");
    let changes = bench.plugin("p.wasm");
    let mut file = fs::File::create(bench.path("p.wasm")).unwrap();
    file.write_all(b"half").unwrap();
    // Longer than the quiet time, and shorter than the patience with writers.
    assert_eq!(changes.received.recv_timeout(Duration::from_millis(750)), Err(RecvTimeoutError::Timeout));
    file.write_all(b" and half").unwrap();
    drop(file);
    changes.one("half and half");
}

#[test]
fn a_writer_that_never_closes_is_not_waited_for_for_ever() {
    use std::io::Write;
    let bench = Bench::new();
    bench.write("p.wasm", "first");
    let changes = bench.plugin("p.wasm");
    let mut file = fs::File::create(bench.path("p.wasm")).unwrap();
    file.write_all(b"held open").unwrap();
    assert_eq!(changes.received.recv_timeout(PATIENCE).as_deref(), Ok("held open"));
}

#[test]
fn links_are_followed_wherever_they_are_switched() {
    let bench = Bench::new();
    // As Kubernetes publishes configuration: p.wasm -> ..data/p.wasm, ..data -> a directory per version.
    bench.write("mount/..v1/p.wasm", "one");
    bench.write("mount/..v2/p.wasm", "two");
    symlink("..v1", bench.path("mount/..data")).unwrap();
    symlink("..data/p.wasm", bench.path("mount/p.wasm")).unwrap();
    let changes = bench.plugin("mount/p.wasm");
    let switch = |to: &str| {
        symlink(to, bench.path("mount/..data_tmp")).unwrap();
        fs::rename(bench.path("mount/..data_tmp"), bench.path("mount/..data")).unwrap();
    };
    switch("..v2");
    changes.one("two");
    fs::remove_dir_all(bench.path("mount/..v1")).unwrap();
    bench.write("mount/..v3/p.wasm", "three");
    switch("..v3");
    changes.one("three");
    bench.write("mount/..v3/p.wasm", "three, in place");
    changes.one("three, in place");

    // A link above: current -> release directories.
    bench.write("r1/plugin/p.wasm", "release 1");
    bench.write("r2/plugin/p.wasm", "release 2");
    symlink("r1", bench.path("current")).unwrap();
    let changes = bench.plugin("current/plugin/p.wasm");
    symlink("r2", bench.path("current.new")).unwrap();
    fs::rename(bench.path("current.new"), bench.path("current")).unwrap();
    changes.one("release 2");

    // A directory above is exchanged.
    bench.write("a/b/c/p.wasm", "old");
    bench.write("a2/b/c/p.wasm", "new");
    let changes = bench.plugin("a/b/c/p.wasm");
    fs::rename(bench.path("a"), bench.path("a.old")).unwrap();
    fs::rename(bench.path("a2"), bench.path("a")).unwrap();
    changes.one("new");
}

#[test]
fn what_is_not_there_yet_is_noticed_when_it_comes() {
    let bench = Bench::new();
    let changes = bench.plugin("later/deep/p.wasm");
    bench.write("later/deep/p.wasm", "here");
    changes.one("here");
    fs::remove_dir_all(bench.path("later")).unwrap();
    bench.write("later/deep/p.wasm", "here again");
    changes.one("here again");
}

#[test]
fn a_directory_that_is_removed_and_made_again_is_still_watched() {
    let bench = Bench::new();
    let make = |text: &str| {
        bench.write("plugin/p.wasm", text);
        bench.write("plugin/plugin.yaml", "name: p\nwasm: p.wasm\n");
    };
    make("one");
    let changes = bench.plugin("plugin");
    for text in ["two", "three", "four"] {
        fs::remove_dir_all(bench.path("plugin")).unwrap();
        make(text);
        changes.one(text);
    }
}

#[test]
fn files_that_hosts_read_count_and_others_do_not() {
    let bench = Bench::new();
    bench.write("plugin/plugin.yaml", "name: p\nwasm: p.wasm\n");
    bench.write("plugin/p.wasm", "code");
    let changes = bench.plugin("plugin");
    bench.write("plugin/assets/new/deep/logo.svg", "logo");
    changes.one("code");
    bench.write("plugin/assets/new/deep/logo.svg", "another logo");
    changes.one("code");
    bench.write("plugin/plugin.yaml", "name: p\nversion: 2\nwasm: p.wasm\n");
    changes.one("code");
    bench.write("plugin/p.wasm.sig", "signature");
    changes.one("code");
    bench.write("plugin/README.md", "words");
    bench.write("plugin/src/main.c", "source");
    bench.write("plugin/debug.log", "lines");
    changes.none();
    // A manifest that names what is not built yet is waited for.
    bench.write("plugin/plugin.yaml", "name: p\nversion: 3\nwasm: q.wasm\n");
    bench.write("plugin/q.wasm", "built");
    assert_eq!(changes.received.recv_timeout(PATIENCE).as_deref(), Ok("code"));
}

#[test]
fn sources_are_what_people_write() {
    let bench = Bench::new();
    bench.write("plugin/plugin.yaml", "name: p\nwasm: p.wasm\n");
    bench.write("plugin/main.go", "package main");
    bench.write("plugin/p.wasm", "built");
    let changes = bench.watch("plugin", Scope::Sources { ignored: vec!["generated.go".into()] });
    let source = |text: &str| {
        bench.write("plugin/internal/x/y.go", text);
        assert_eq!(changes.received.recv_timeout(PATIENCE).as_deref(), Ok("built"));
    };
    source("package y");
    for output in [".git/index", "node_modules/a/b.js", "target/x", "p.wasm", "main.o", ".main.go.swp", "generated.go"]
    {
        bench.write(&format!("plugin/{output}"), "output");
    }
    bench.write("plugin/p.wasm", "built");
    source("package y // again");
    assert_eq!(changes.watch.status().changes, 2);
}

#[test]
fn a_change_that_could_not_be_taken_up_is_tried_again_when_it_is_touched() {
    let bench = Bench::new();
    bench.write("p.wasm", "first");
    let (sender, received) = channel();
    let path = bench.path("p.wasm");
    let changed = move || sender.send(()).is_err();
    let _watch =
        bench.watcher.watch(&path, Scope::Plugin, bench.settings, Box::new(changed), Box::new(|_| ())).unwrap();
    fs::write(&path, "broken").unwrap();
    received.recv_timeout(PATIENCE).unwrap();
    fs::write(&path, "broken").unwrap();
    received.recv_timeout(PATIENCE).unwrap();
    assert_eq!(received.recv_timeout(Duration::from_millis(750)), Err(RecvTimeoutError::Timeout));
}

#[test]
fn a_watch_has_bounds() {
    let bench = Bench::new();
    for number in 0..=MAX_ENTRIES {
        fs::write(bench.path(&number.to_string()), "").unwrap();
    }
    let scope = Scope::Sources { ignored: Vec::new() };
    let refused =
        bench.watcher.watch(bench.directory.path(), scope, bench.settings, Box::new(|| true), Box::new(|_| ()));
    assert_eq!(refused.unwrap_err().code(), ErrorCode::LifecycleWatchTooLarge);
    // Links never lead out of the tree.
    let bench = Bench::new();
    symlink("/", bench.path("root")).unwrap();
    let changes = bench.watch("", Scope::Sources { ignored: Vec::new() });
    assert!(changes.watch.status().entries < 20, "{:?}", changes.watch.status());
}
