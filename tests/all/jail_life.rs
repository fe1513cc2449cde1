//! Beginning and end of jailed programs: nothing outlives its host, nothing is left behind, abuse stops at its limits.

use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use goatflow_plugin::error::ErrorCode;
use goatflow_plugin::runtime::process::jail::{Image, Jail, JailExit, JailSpec, JailedChild, LayerState};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use super::jail_support::{ORDINARY, Tools, as_ordinary_user, everybody, finish, is_root, run, start, words};
use super::support::{PATIENCE, until};

const fn code(code: i32) -> JailExit {
    JailExit { code: Some(code), signal: None, out_of_memory: false }
}

const fn signal(signal: i32) -> JailExit {
    JailExit { code: None, signal: Some(signal), out_of_memory: false }
}

/// Waits for the program's first line, behind which its own code runs.
fn await_line(child: &mut JailedChild) -> BufReader<std::fs::File> {
    let mut output = BufReader::new(std::fs::File::from(child.take_output().unwrap()));
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "begun\n");
    output
}

fn process(pid: u32) -> OwnedFd {
    pidfd_open(Pid::from_raw(pid.cast_signed()).unwrap(), PidfdFlags::empty()).unwrap()
}

fn assert_ends(process: &OwnedFd) {
    let mut list = [PollFd::new(process, PollFlags::IN)];
    let patience = Timespec::try_from(PATIENCE).unwrap();
    assert_eq!(poll(&mut list, Some(&patience)), Ok(1), "a process outlives what it belongs to");
}

/// The program's process, the init and the launcher.
fn family(pid: u32) -> Vec<u32> {
    let parent = |pid: u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim().parse::<u32>().unwrap()
    };
    vec![pid, parent(pid), parent(parent(pid))]
}

fn kill(pid: u32) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL).unwrap();
}

#[test]
fn the_way_a_program_ends_is_reported() {
    let tools = Tools::new();
    assert_eq!(finish(&mut start(&tools.abuse(&["exit", "7"]))), ("begun\n".to_owned(), code(7)));
    assert_eq!(finish(&mut start(&tools.abuse(&["abort"]))).1, signal(6));
    assert_eq!(finish(&mut start(&tools.abuse(&["input"]))).1, code(0));
    let mut child = start(&tools.abuse(&["wait"]));
    let _output = await_line(&mut child);
    assert_eq!(child.wait(Some(Duration::ZERO)).unwrap(), None);
    child.terminate();
    assert_eq!(child.wait(Some(PATIENCE)).unwrap(), Some(signal(15)));
    // Said again to everybody who asks later.
    assert_eq!(child.wait(None).unwrap(), Some(signal(15)));
}

#[test]
fn a_program_that_ignores_requests_is_killed() {
    let tools = Tools::new();
    let mut child = start(&tools.abuse(&["stubborn"]));
    let mut output = await_line(&mut child);
    output.read_line(&mut String::new()).unwrap();
    child.terminate();
    assert_eq!(child.wait(Some(Duration::from_millis(50))).unwrap(), None);
    child.kill();
    assert_eq!(child.wait(Some(PATIENCE)).unwrap(), Some(signal(9)));
}

#[test]
fn dropping_ends_everything() {
    let tools = Tools::new();
    let mut child = start(&tools.abuse(&["wait"]));
    let _output = await_line(&mut child);
    let family: Vec<OwnedFd> = family(child.pid().unwrap()).into_iter().map(process).collect();
    drop(child);
    family.iter().for_each(assert_ends);
}

#[test]
fn killing_the_launcher_ends_everything_and_is_noticed() {
    let tools = Tools::new();
    let mut child = start(&tools.abuse(&["wait"]));
    let _output = await_line(&mut child);
    let pids = family(child.pid().unwrap());
    let processes: Vec<OwnedFd> = pids.iter().copied().map(process).collect();
    kill(pids[2]);
    processes.iter().for_each(assert_ends);
    assert_eq!(child.wait(Some(PATIENCE)).unwrap(), Some(signal(9)));
    assert_eq!(groups_of(std::process::id(), &format!("{}", pids[0])), 0);
}

/// Control groups that still hold this process.
fn groups_of(host: u32, pid: &str) -> usize {
    let mut count = 0;
    for entry in walk("/sys/fs/cgroup".as_ref()) {
        let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with(&format!("goatflow-{host}-")) {
            let members = std::fs::read_to_string(entry.join("cgroup.procs")).unwrap_or_default();
            count += usize::from(pid.is_empty() || members.lines().any(|member| member == pid));
        }
    }
    count
}

fn walk(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.push(entry.path());
            found.extend(walk(&entry.path()));
        }
    }
    found
}

#[test]
fn the_thread_that_starts_a_program_may_end() {
    let tools = Tools::new();
    let spec = tools.abuse(&["wait"]);
    let mut child = std::thread::spawn(move || start(&spec)).join().unwrap();
    let _output = await_line(&mut child);
    child.terminate();
    // Not signal 9, by which the kernel ends children of a thread that ended.
    assert_eq!(child.wait(Some(PATIENCE)).unwrap(), Some(signal(15)));
}

#[test]
fn threads_start_programs_at_once() {
    let tools = Tools::new();
    std::thread::scope(|scope| {
        let starts: Vec<_> = (0..32)
            .map(|number| {
                let spec = tools.abuse(&["exit", &number.to_string()]);
                scope.spawn(move || finish(&mut start(&spec)))
            })
            .collect();
        for (number, started) in starts.into_iter().enumerate() {
            assert_eq!(started.join().unwrap().1, code(i32::try_from(number).unwrap()));
        }
    });
}

/// Starts a host of its own that runs `command` behind "--", and answers it with the program's process and launcher.
fn host(tools: &Tools, wrapper: &str, what: &str) -> (std::process::Child, Vec<u32>) {
    let mut command = Command::new("sh");
    command.args(["-c", wrapper, "sh"]).arg(tools.path("goatflow-plugin")).args(["jail", "run", "--"]);
    command.arg(tools.path("abuse")).arg(what).stdout(Stdio::piped());
    let mut host = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(host.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "begun\n");
    let launcher = children(host.id());
    let init = children(launcher[0]);
    let program = children(init[0]);
    (host, vec![program[0], init[0], launcher[0]])
}

fn children(pid: u32) -> Vec<u32> {
    let mut children = Vec::new();
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let list = std::fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default();
        children.extend(list.split_whitespace().map(|child| child.parse::<u32>().unwrap()));
    }
    assert!(!children.is_empty(), "{pid} has no child");
    children
}

#[test]
fn nothing_outlives_a_host_that_is_killed() {
    let tools = Tools::new();
    let (mut host, pids) = host(&tools, "exec \"$@\"", "wait");
    let processes: Vec<OwnedFd> = pids.iter().copied().map(process).collect();
    let number = host.id();
    host.kill().unwrap();
    host.wait().unwrap();
    processes.iter().for_each(assert_ends);
    // The launcher cleans up before it ends.
    assert_eq!(groups_of(number, ""), 0);
}

#[test]
fn a_host_that_ignores_its_children_learns_how_they_end() {
    let tools = Tools::new();
    let mut command = words("sh -c");
    command.extend(["trap '' CHLD; exec \"$@\"".to_owned(), "sh".to_owned(), tools.text("goatflow-plugin")]);
    command.extend(words("jail run --"));
    command.extend([tools.text("abuse"), "exit".to_owned(), "9".to_owned()]);
    assert_eq!(run(&command).status.code(), Some(9));
}

#[test]
fn a_program_does_not_inherit_its_hosts_place_in_the_queue() {
    let tools = Tools::new();
    if !is_root() {
        // Nobody else has such a place.
        return;
    }
    for place in ["chrt -f 5", "chrt -r 5", "nice -n -5"] {
        let mut command = words(place);
        command.push(tools.text("goatflow-plugin"));
        command.extend(words("jail run --"));
        command.extend([tools.text("abuse"), "place".to_owned()]);
        assert_eq!(run(&command).status.code(), Some(0), "{place}");
    }
}

/// Runs one of the tests below, which are ignored otherwise, in a process of its own.
fn alone(name: &str, tools: &Tools) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--ignored", "--nocapture", "--test-threads=1"]);
    command.env("GOATFLOW_TEST_TOOLS", tools.path("abuse"));
    command
}

fn given_spec(arguments: &[&str]) -> JailSpec {
    let program = std::fs::read(std::env::var("GOATFLOW_TEST_TOOLS").unwrap()).unwrap();
    let mut spec = JailSpec::new(Image::seal(&program).unwrap());
    spec.arguments = std::iter::once("abuse").chain(arguments.iter().copied()).map(str::to_owned).collect();
    spec
}

#[test]
fn starts_and_stops_leave_nothing_behind() {
    let tools = Tools::new();
    let output = alone("jail_life::cycles", &tools).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
#[ignore = "counts what its process holds: run by the test above, in a process of its own"]
fn cycles() {
    let jail = Jail::new().unwrap();
    let held = || {
        let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().count();
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap().lines().count();
        let children = std::fs::read_dir("/proc/self/task").unwrap().flatten().map(|task| {
            let list = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            list.split_whitespace().count()
        });
        (descriptors, mounts, children.sum::<usize>(), groups_of(std::process::id(), ""))
    };
    let cycle = |number: usize| {
        let what: &[&str] = if number.is_multiple_of(2) { &["exit", "3"] } else { &["wait"] };
        let mut child = jail.start(&given_spec(what)).unwrap();
        if number.is_multiple_of(2) {
            assert_eq!(finish(&mut child).1, code(3));
        } else {
            let _output = await_line(&mut child);
        }
    };
    cycle(0);
    cycle(1);
    let before = held();
    (0..200).for_each(cycle);
    assert_eq!(held(), before);
    assert_eq!((before.2, before.3), (0, 0));
}

#[test]
fn nothing_outlives_a_host_that_becomes_another_program() {
    let tools = Tools::new();
    let mut host = alone("jail_life::becomes_another", &tools).stdout(Stdio::piped()).spawn().unwrap();
    let output = BufReader::new(host.stdout.take().unwrap());
    let lines = output.lines().map_while(Result::ok);
    // The test's name is on the same line.
    let pids = lines.into_iter().find_map(|line| line.split_once("pids ").map(|(_, pids)| pids.to_owned()));
    let pids = pids.expect("the host says nothing");
    let processes: Vec<OwnedFd> = pids.split(' ').map(|pid| process(pid.parse().unwrap())).collect();
    std::fs::write(tools.path("go"), "").unwrap();
    processes.iter().for_each(assert_ends);
    host.kill().unwrap();
    host.wait().unwrap();
}

#[test]
#[ignore = "replaces its process: run by the test above"]
fn becomes_another() {
    let mut child = start(&given_spec(&["wait"]));
    let _output = await_line(&mut child);
    let family: Vec<String> = family(child.pid().unwrap()).iter().map(ToString::to_string).collect();
    println!("pids {}", family.join(" "));
    let go = std::path::PathBuf::from(std::env::var("GOATFLOW_TEST_TOOLS").unwrap()).with_file_name("go");
    // Until the other side has taken hold of the processes.
    while !go.exists() {
        std::thread::yield_now();
    }
    panic!("{}", Command::new("sleep").arg("1000").exec());
}

#[test]
fn abuse_stops_at_its_limits() {
    let tools = Tools::new();
    assert_eq!(finish(&mut start(&tools.abuse(&["forks"]))).1, code(0), "a process was made");
    let mut filled = tools.abuse(&["file"]);
    filled.limits.tmp_bytes = 4 << 20;
    assert_eq!(finish(&mut start(&filled)), (format!("begun\n{}\n", 4 << 20), code(0)));
    filled.limits.tmp_bytes = 16 << 20;
    filled.limits.file_bytes = 1 << 20;
    assert_eq!(finish(&mut start(&filled)).0, format!("begun\n{}\n", 1 << 20));
    let mut hungry = tools.abuse(&["memory"]);
    hungry.limits.memory_bytes = 64 << 20;
    let exit = finish(&mut start(&hungry)).1;
    // The limit on data refuses first, unless the group's limit is reached before it.
    assert!(exit == code(9) || exit == JailExit { out_of_memory: true, ..signal(9) }, "{exit:?}");
    let mut flood = start(&tools.abuse(&["flood"]));
    let output = std::fs::File::from(flood.take_output().unwrap());
    let mut some = vec![0; 1 << 20];
    (&output).read_exact(&mut some).unwrap();
    // Nobody reads any more: the program waits, and ends all the same.
    flood.kill();
    assert_eq!(flood.wait(Some(PATIENCE)).unwrap(), Some(signal(9)));
}

#[test]
fn a_dynamic_program_runs_with_the_libraries_shown_to_it() {
    let tools = Tools::new();
    tools.build("abuse", &[]);
    let mut spec = tools.abuse(&["exit", "5"]);
    let error = Jail::new().unwrap().start(&spec).unwrap_err();
    assert_eq!(error.code(), ErrorCode::EnvironmentJailRequest);
    assert!(error.to_string().starts_with("the program is dynamic and needs `/"), "{error}");
    spec.read_only = JailSpec::system_libraries();
    let mut child = start(&spec);
    let image = child.report().layer("image").unwrap().state.clone();
    assert!(matches!(&image, LayerState::Reduced { reason } if reason.starts_with("dynamic: trusts")), "{image:?}");
    assert_eq!(finish(&mut child).1, code(5));
}

#[test]
fn sockets_are_in_a_small_file_system_of_their_own() {
    let tools = Tools::new();
    let sockets = tools.directory("sockets", rustix::process::getuid().as_raw());
    let mut spec = tools.abuse(&["sockets", &sockets]);
    spec.sockets = Some(sockets.clone().into());
    let mut child = start(&spec);
    assert_eq!(child.report().layer("sockets").unwrap().state, LayerState::Ok);
    let inside = child.take_sockets().unwrap();
    let mut output = await_line(&mut child);
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    let numbers: Vec<u32> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
    assert!((100..256).contains(&numbers[0]) && numbers[1] == 64 << 10, "{line}");
    // Both directions: the host reaches the plugin's socket, and the plugin the host's.
    let place = format!("/proc/self/fd/{}/s", inside.directory.as_raw_fd());
    let mut text = String::new();
    UnixStream::connect(place).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "plugin");
    let (mut caller, _) = UnixListener::from(inside.listener).accept().unwrap();
    let peer = rustix::net::sockopt::socket_peercred(&caller).unwrap();
    assert_eq!(peer.uid.as_raw(), child.user().unwrap_or(rustix::process::getuid().as_raw()));
    text.clear();
    caller.read_to_string(&mut text).unwrap();
    assert_eq!(text, "caller");
    assert_eq!(child.wait(Some(PATIENCE)).unwrap(), Some(code(0)));
    // Nothing of all that is in the host's directory, which is not even the plugin's.
    assert_eq!(std::fs::read_dir(&sockets).unwrap().count(), 0);
    assert_eq!(std::fs::metadata(sockets).unwrap().uid(), rustix::process::getuid().as_raw());
}

#[test]
fn without_namespaces_the_socket_directory_is_the_hosts() {
    let tools = Tools::new();
    for (who, prefix) in everybody() {
        let user = if who == "root" { 0 } else { ORDINARY };
        let sockets = tools.directory(&format!("sockets-{user}"), user);
        let mut command = prefix;
        command.extend([tools.text("restrict"), "namespaces".into(), tools.text("goatflow-plugin")]);
        command.extend(words(&format!("jail run --level 2 --sockets {sockets} --")));
        command.extend([tools.text("abuse"), "socket".to_owned(), sockets.clone()]);
        assert_eq!(run(&command).status.code(), Some(0), "{who}");
        let owner = std::fs::metadata(std::path::Path::new(&sockets).join("s")).unwrap().uid();
        // A user of its own where there can be one.
        assert_eq!(owner == user, who != "root", "{who}: {owner}");
    }
}

#[test]
fn a_program_that_stops_its_group_stops_itself_only() {
    let tools = Tools::new();
    // Newer versions of Landlock keep signals in, too.
    let restrict = format!("{} {} landlock", as_ordinary_user().join(" "), tools.text("restrict"));
    let (mut host, pids) = host(&tools, &format!("exec {restrict} \"$@\""), "stop");
    let state = |pid: u32| {
        let facts = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        facts.rsplit_once(") ").unwrap().1.chars().next().unwrap()
    };
    until("the program to stop", || state(pids[0]) == 'T');
    assert_ne!(state(pids[2]), 'T', "the launcher");
    let processes: Vec<OwnedFd> = pids.iter().copied().map(process).collect();
    host.kill().unwrap();
    host.wait().unwrap();
    processes.iter().for_each(assert_ends);
}

#[test]
fn a_stopped_launcher_does_not_hold_up_the_end() {
    let tools = Tools::new();
    let mut child = start(&tools.abuse(&["wait"]));
    let _output = await_line(&mut child);
    let launcher = family(child.pid().unwrap())[2];
    kill_process(Pid::from_raw(launcher.cast_signed()).unwrap(), Signal::STOP).unwrap();
    child.kill();
    assert_eq!(child.wait(Some(PATIENCE)).unwrap(), Some(signal(9)));
}

#[test]
fn memory_that_no_page_shows_is_limited_without_groups() {
    let tools = Tools::new();
    let mut command = as_ordinary_user();
    command.push(tools.text("goatflow-plugin"));
    command.extend(words("jail run --level 3 --memory 64 --"));
    command.extend([tools.text("abuse"), "leaderless".to_owned()]);
    // 128 and the number of SIGKILL.
    assert_eq!(run(&command).status.code(), Some(137));
}

#[test]
fn a_program_with_memory_to_write_code_into_needs_to_be_granted_it() {
    let tools = Tools::new();
    tools.build("abuse", &["-static", "-z", "execstack"]);
    let mut spec = tools.abuse(&["exit", "5"]);
    let error = Jail::new().unwrap().start(&spec).unwrap_err();
    assert_eq!(error.code(), ErrorCode::EnvironmentJailProgram);
    assert!(error.to_string().contains("writable and executable"), "{error}");
    spec.may_jit = true;
    assert_eq!(finish(&mut start(&spec)).1, code(5));
}

#[test]
fn a_request_that_would_weaken_the_jail_is_refused() {
    let tools = Tools::new();
    let refused = |change: &dyn Fn(&mut JailSpec)| {
        let mut spec = tools.abuse(&["exit"]);
        change(&mut spec);
        let error = Jail::new().unwrap().start(&spec).unwrap_err();
        assert_eq!(error.code(), ErrorCode::EnvironmentJailRequest, "{error}");
        error.to_string()
    };
    for name in ["LD_PRELOAD", "GODEBUG", "PYTHONPATH", "PATH", "A=B", "", "1A", "A\0"] {
        refused(&|spec| spec.environment.push((name.to_owned(), "x".to_owned())));
    }
    for path in ["relative", "/usr/../etc", "/usr//lib", "/proc", "/dev/sda", "/tmp", "/", "/usr/"] {
        refused(&|spec| spec.read_only.push(path.into()));
        refused(&|spec| spec.sockets = Some(path.into()));
    }
    refused(&|spec| spec.arguments.push("a\0b".to_owned()));
    refused(&|spec| spec.arguments.clear());
    refused(&|spec| spec.arguments.push("x".repeat(1 << 20)));
    refused(&|spec| spec.minimum_level = 5);
    refused(&|spec| spec.limits.threads = 0);
}

#[test]
fn a_path_that_does_not_exist_is_an_error_that_names_it() {
    let tools = Tools::new();
    let mut spec = tools.abuse(&["exit"]);
    spec.minimum_level = 0;
    spec.read_only.push("/nowhere/at/all".into());
    let error = Jail::new().unwrap().start(&spec).unwrap_err();
    assert_eq!(error.code(), ErrorCode::EnvironmentJailRequest, "{error}");
    assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
}
