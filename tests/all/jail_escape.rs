//! A program that tries everything to get out of the jail, as root and as an ordinary user, and outside for comparison.

use std::collections::BTreeMap;
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::PathBuf;

use super::jail_support::{ORDINARY, Prefix, Tools, as_ordinary_user, everybody, is_root, run, words};

/// What a plugin must not reach, placed in its way.
pub struct Bait {
    pub arguments: Vec<String>,
    _sockets: (TcpListener, UdpSocket, UnixListener, UnixListener, UnixDatagram),
    memory: String,
}

impl Bait {
    pub fn new(tools: &Tools) -> Self {
        std::fs::write(tools.path("secret"), "planted").unwrap();
        if is_root() {
            chown(tools.path("secret"), Some(ORDINARY), Some(ORDINARY)).unwrap();
        }
        let stream = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = stream.local_addr().unwrap().port();
        let name = format!("goatflow-bait-{}-{port}", std::process::id());
        let sockets = (
            stream,
            UdpSocket::bind(("127.0.0.1", port)).unwrap(),
            UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap(),
            UnixListener::bind(tools.path("stream.sock")).unwrap(),
            UnixDatagram::bind(tools.path("datagram.sock")).unwrap(),
        );
        for socket in ["stream.sock", "datagram.sock"] {
            std::fs::set_permissions(tools.path(socket), std::fs::Permissions::from_mode(0o777)).unwrap();
        }
        let made = run(&words("ipcmk -M 4096 -p 0666"));
        let memory = String::from_utf8(made.stdout).unwrap().split_whitespace().last().unwrap().to_owned();
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
        let disk = mounts.lines().rfind(|line| line.split(' ').nth(1) == Some("/")).unwrap();
        let arguments = [
            ("host", std::process::id().to_string()),
            ("secret", tools.text("secret")),
            ("port", port.to_string()),
            ("abstract", name),
            ("socket", tools.text("stream.sock")),
            ("datagram", tools.text("datagram.sock")),
            ("shm", memory.clone()),
            ("disk", disk.split(' ').next().unwrap().to_owned()),
            ("name", std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned()),
            ("announce", "echo open".to_owned()),
        ];
        let arguments = arguments.iter().map(|(key, value)| format!("{key}={value}")).collect();
        Self { arguments, _sockets: sockets, memory }
    }
}

impl Drop for Bait {
    fn drop(&mut self) {
        run(&words(&format!("ipcrm -m {}", self.memory)));
    }
}

/// Runs all attempts, those behind one that ended the process in the next one. The word for each: `open`, `shut`, `ended`
/// (shut, by the end of the process), `works` or `broken`.
fn attempts(tools: &Tools, bait: &Bait, prefix: &[String]) -> BTreeMap<String, String> {
    let mut results = BTreeMap::new();
    let mut next = 0;
    loop {
        // A host that leaves a descriptor open by mistake, of a directory.
        let mut command = vec!["sh".into(), "-c".into(), "exec 9</usr; exec \"$@\"".into(), "sh".into()];
        command.extend_from_slice(prefix);
        command.extend([tools.text("probe"), next.to_string()]);
        command.extend_from_slice(&bait.arguments);
        let output = run(&command);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        for line in text.lines() {
            let mut fields = line.split(' ');
            let Some(number) = fields.next().and_then(|number| number.parse::<usize>().ok()) else { continue };
            let name = fields.next().unwrap().to_owned();
            let word = fields.next().filter(|word| !word.is_empty()).unwrap_or("ended");
            results.insert(name, word.to_owned());
            next = number + 1;
        }
        if text.lines().last() == Some("end") {
            return results;
        }
        assert!(!text.is_empty(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

fn jailed(tools: &Tools, level: u32, more: &[&str]) -> Prefix {
    let mut words = vec![tools.text("goatflow-plugin")];
    words.extend(["jail", "run", "--memory", "256", "--level", &level.to_string()].map(str::to_owned));
    words.extend(more.iter().map(|&word| word.to_owned()));
    words.push("--".to_owned());
    words
}

fn named(results: &BTreeMap<String, String>, words: &[&str]) -> Vec<String> {
    let fits = results.iter().filter(|(_, word)| words.contains(&word.as_str()));
    fits.map(|(name, _)| name.clone()).collect()
}

pub fn assert_nothing_escapes(who: &str, results: &BTreeMap<String, String>) {
    assert_eq!(named(results, &["open"]), [""; 0], "{who}");
    assert_eq!(named(results, &["broken"]), [""; 0], "{who}");
    assert!(named(results, &["shut", "ended"]).len() >= 170, "{who}: {results:?}");
    assert_eq!(named(results, &["works"]).len(), 12, "{who}");
}

/// Control groups of version 1 that an ordinary user may write to; removed at the end.
pub struct Delegated {
    groups: Vec<PathBuf>,
}

impl Delegated {
    pub fn new() -> Option<Self> {
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
        let mut groups = Vec::new();
        for controller in ["memory", "pids", "cpu"] {
            let line = own.lines().find(|line| line.split(':').nth(1) == Some(controller))?;
            let parent = PathBuf::from(format!("/sys/fs/cgroup/{controller}{}", line.split(':').nth(2)?));
            let group = parent.join(format!("goatflow-tests-{}", std::process::id()));
            std::fs::create_dir(&group).ok()?;
            for path in [group.clone(), group.join("cgroup.procs")] {
                chown(path, Some(ORDINARY), Some(ORDINARY)).unwrap();
            }
            groups.push(group);
        }
        Some(Self { groups })
    }

    /// Runs what follows in the groups, as the ordinary user.
    pub fn prefix(&self) -> Prefix {
        let groups: Vec<&str> = self.groups.iter().map(|group| group.to_str().unwrap()).collect();
        let script = format!("for g in {}; do echo $$ > $g/cgroup.procs; done; exec \"$@\"", groups.join(" "));
        let mut prefix = vec!["sh".to_owned(), "-c".to_owned(), script, "sh".to_owned()];
        prefix.extend(as_ordinary_user());
        prefix
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        for group in &self.groups {
            let _ = std::fs::remove_dir(group);
        }
    }
}

#[test]
fn nothing_escapes_from_a_jail_that_is_fully_in_force() {
    let tools = Tools::new();
    let bait = Bait::new(&tools);
    if !is_root() {
        let prefix = jailed(&tools, 3, &[]);
        return assert_nothing_escapes("ordinary user", &attempts(&tools, &bait, &prefix));
    }
    assert_nothing_escapes("root", &attempts(&tools, &bait, &jailed(&tools, 4, &[])));
    let delegated = Delegated::new();
    let (mut prefix, level) = delegated.as_ref().map_or_else(|| (as_ordinary_user(), 3), |groups| (groups.prefix(), 4));
    prefix.extend(jailed(&tools, level, &[]));
    assert_nothing_escapes("ordinary user", &attempts(&tools, &bait, &prefix));
}

#[test]
fn nothing_escapes_without_control_groups_user_namespaces_or_landlock() {
    let tools = Tools::new();
    let bait = Bait::new(&tools);
    let restrict = tools.text("restrict");
    for (who, prefix) in everybody() {
        let mut without = prefix.clone();
        without.extend(words(&format!("{restrict} landlock")));
        without.extend(jailed(&tools, 3, &[]));
        assert_nothing_escapes(&format!("{who} without Landlock"), &attempts(&tools, &bait, &without));
    }
    if is_root() {
        let mut without = words(&format!("{restrict} users"));
        without.extend(jailed(&tools, 3, &[]));
        assert_nothing_escapes("root without user namespaces", &attempts(&tools, &bait, &without));
    }
    let mut without = as_ordinary_user();
    without.extend(jailed(&tools, 3, &[]));
    assert_nothing_escapes("ordinary user without groups", &attempts(&tools, &bait, &without));
}

#[test]
fn without_namespaces_only_what_is_documented_stays_open() {
    let tools = Tools::new();
    let bait = Bait::new(&tools);
    let restrict = tools.text("restrict");
    for (who, prefix) in everybody() {
        // Landlock does not govern looking at a file's facts; /proc tells a process about its own mounts and groups, and the
        // machine its name. The scratch directory is the socket directory, which has the size that the host gave it.
        let mut known = vec!["cgroups", "machine_name", "many_files", "mounts", "planted_stat"];
        let user = if who == "root" || !is_root() { rustix::process::getuid().as_raw() } else { ORDINARY };
        if who != "root" {
            // Threads count together with everything else that the user runs.
            known.push("many_threads");
        }
        let sockets = tools.directory(&format!("sockets-{user}"), user);
        let mut without = prefix.clone();
        without.extend(words(&format!("{restrict} namespaces")));
        without.extend(jailed(&tools, 2, &["--sockets", &sockets]));
        let results = attempts(&tools, &bait, &without);
        assert!(named(&results, &["open"]).iter().all(|name| known.contains(&name.as_str())), "{who}: {results:?}");
        assert_eq!(named(&results, &["broken"]), [""; 0], "{who}");
    }
}

#[test]
fn outside_the_jail_the_same_attempts_succeed() {
    let tools = Tools::new();
    let bait = Bait::new(&tools);
    let prefix = if is_root() { words("unshare -m") } else { words("unshare -Urm") };
    let results = attempts(&tools, &bait, &prefix);
    let open = named(&results, &["open"]);
    assert!(open.len() >= 50, "{}: {results:?}", open.len());
    println!("{} of {} attempts succeed outside: {open:?}", open.len(), results.len() - 12);
}

#[test]
#[ignore = "prints a table of all attempts for people; root only"]
fn table() {
    let tools = Tools::new();
    let bait = Bait::new(&tools);
    let restrict = tools.text("restrict");
    let delegated = Delegated::new().expect("control groups of version 1");
    let sockets = tools.directory("sockets", ORDINARY);
    let user = as_ordinary_user();
    let without = |who: &[String], what: &str| [who.to_vec(), words(&format!("{restrict} {what}"))].concat();
    let columns = [
        ("outside", words("unshare -m")),
        ("4 root", jailed(&tools, 4, &[])),
        ("4 user", [delegated.prefix(), jailed(&tools, 4, &[])].concat()),
        ("3 root, no user namespace", [without(&[], "users"), jailed(&tools, 3, &[])].concat()),
        ("3 user, no Landlock", [without(&user, "landlock"), jailed(&tools, 3, &[])].concat()),
        ("2 user", [without(&user, "namespaces"), jailed(&tools, 2, &["--sockets", &sockets])].concat()),
        ("1 user", [without(&user, "namespaces,landlock"), jailed(&tools, 1, &["--sockets", &sockets])].concat()),
    ];
    let results: Vec<_> = columns.iter().map(|(_, prefix)| attempts(&tools, &bait, prefix)).collect();
    println!("| attempt | {} |", columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" | "));
    println!("|---|{}", "---|".repeat(columns.len()));
    for name in results[0].keys() {
        let words: Vec<&str> = results.iter().map(|result| result.get(name).map_or("", String::as_str)).collect();
        println!("| {name} | {} |", words.join(" | "));
    }
}
