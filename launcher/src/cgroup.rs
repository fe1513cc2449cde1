//! Control groups: limits on memory, processes and processor time that hold for the whole jail.
//!
//! With version 2, one directory under a parent that hands its controllers on; with version 1, one directory per
//! controller. Wherever the launcher may write is tried: the administrator's choice, its own group, the one above.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::fault::{Fault, Outcome, Step};
use crate::host::State;
use crate::job::{Job, Request};

/// Directories made for one jail.
#[derive(Default)]
pub(crate) struct Groups {
    made: Vec<Made>,
}

struct Made {
    controller: &'static str,
    path: PathBuf,
    is_unified: bool,
}

/// Controllers with the layer that each of them stands for.
const CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];

/// Age from which on a group without processes was left behind by somebody who was killed.
const LEFT_BEHIND: Duration = Duration::from_secs(60);

/// A hierarchy as `/proc` tells it.
struct Hierarchy {
    mount: PathBuf,
    own: PathBuf,
    is_unified: bool,
}

impl Groups {
    /// Makes a group for every limit that can be set here, and reports those that can't.
    pub(crate) fn create(&mut self, job: &Job) {
        let mut versions = Vec::new();
        for controller in CONTROLLERS {
            match self.create_one(controller, job) {
                Ok(version) => {
                    job.host.in_force(controller, version);
                    versions.push(version);
                }
                Err(fault) => job.host.weak(controller, State::Missing, &fault),
            }
        }
    }

    fn create_one(&mut self, controller: &'static str, job: &Job) -> Outcome<&'static str> {
        let request = &job.request;
        let hierarchy = hierarchy(controller)?;
        let version = if hierarchy.is_unified { "version 2" } else { "version 1" };
        if let Some(made) = self.made.iter().find(|made| made.is_unified && hierarchy.is_unified) {
            set_limit(&made.path, controller, true, request)?;
            return Ok(version);
        }
        let mut fault = Fault::new("cgroup", libc::ENOENT);
        for (number, (parent, may_change)) in parents(&hierarchy, request).into_iter().enumerate() {
            if number == 1 && request.group_parent.is_some() {
                job.host.weak("group_parent", State::Reduced, &Fault { step: "group_parent", ..fault.clone() });
            }
            let path = parent.join(&request.group);
            if hierarchy.is_unified && !hands_on(&parent, controller, may_change) {
                fault = Fault { step: "cgroup_controller", errno: 0, place: parent.to_string_lossy().into_owned() };
                continue;
            }
            // Told before it is there, for a host that must remove it itself because this process was killed.
            job.host.in_force("group", &path.to_string_lossy());
            if let Err(refused) = fs::create_dir(&path).step_at("cgroup", &parent.to_string_lossy()) {
                fault = refused;
                continue;
            }
            sweep(&parent);
            match set_limit(&path, controller, hierarchy.is_unified, request) {
                Ok(()) => {
                    self.made.push(Made { controller, path, is_unified: hierarchy.is_unified });
                    return Ok(version);
                }
                Err(refused) => {
                    let _ = fs::remove_dir(&path);
                    fault = refused;
                }
            }
        }
        Err(fault)
    }

    /// Puts a process into every group; what it starts later follows it.
    pub(crate) fn add(&mut self, job: &Job, pid: libc::pid_t) {
        self.made.retain(|made| {
            let outcome = fs::write(made.path.join("cgroup.procs"), pid.to_string());
            let Err(fault) = outcome.step_at("cgroup_member", &made.path.to_string_lossy()) else { return true };
            let layers: &[&str] = if made.is_unified { &CONTROLLERS } else { &[made.controller] };
            for layer in layers {
                job.host.weak(layer, State::Missing, &fault);
            }
            // Empty, because nothing could enter.
            let _ = fs::remove_dir(&made.path);
            false
        });
    }

    /// True when memory is limited by a group.
    pub(crate) fn limit_memory(&self) -> bool {
        self.made.iter().any(|made| made.is_unified || made.controller == "memory")
    }

    /// True when the kernel ended a process of the jail because its memory was used up.
    pub(crate) fn ran_out_of_memory(&self) -> bool {
        self.made.iter().any(|made| {
            let file = if made.is_unified { "memory.events" } else { "memory.oom_control" };
            let facts = fs::read_to_string(made.path.join(file)).unwrap_or_default();
            facts.lines().any(|line| line.strip_prefix("oom_kill ").is_some_and(|count| count != "0"))
        })
    }

    /// Removes the groups, whose processes have ended.
    pub(crate) fn remove(self) {
        for made in self.made {
            // A group that can't be removed is empty; the host tries again.
            let _ = fs::remove_dir(made.path);
        }
    }
}

/// Removes what was left behind where host and launcher were killed together. A group with processes stays.
fn sweep(parent: &Path) {
    let is_old = |entry: &fs::DirEntry| {
        let made = entry.metadata().and_then(|facts| facts.modified()).ok();
        made.and_then(|made| made.elapsed().ok()).is_some_and(|age| age > LEFT_BEHIND)
    };
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let number = name.as_encoded_bytes().strip_prefix(b"goatflow-").and_then(|rest| rest.first());
        if number.is_some_and(u8::is_ascii_digit) && is_old(&entry) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// Where a controller is mounted, and where in it this process is.
fn hierarchy(controller: &'static str) -> Outcome<Hierarchy> {
    let own = fs::read_to_string("/proc/self/cgroup").step("cgroup_list")?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").step("cgroup_list")?;
    let missing = || Fault { step: "cgroup_mount", errno: 0, place: controller.to_owned() };
    let named = own.lines().find_map(|line| {
        let (names, path) = line.split_once(':')?.1.split_once(':')?;
        names.split(',').any(|name| name == controller).then_some(path)
    });
    let (path, is_unified) = match named {
        Some(path) => (path, false),
        None => (own.lines().find_map(|line| line.strip_prefix("0::")).ok_or_else(missing)?, true),
    };
    mounts.lines().find_map(|line| mounted_at(line, controller, is_unified, path)).ok_or_else(missing)
}

/// Reads a line of `mountinfo`: the fourth field is what of the hierarchy is mounted, the fifth where.
fn mounted_at(line: &str, controller: &str, is_unified: bool, own: &str) -> Option<Hierarchy> {
    let (place, kind) = line.split_once(" - ")?;
    let mut kind = kind.split(' ');
    let fits = match kind.next()? {
        "cgroup2" => is_unified,
        "cgroup" => !is_unified && kind.nth(1)?.split(',').any(|option| option == controller),
        _ => false,
    };
    let mut place = place.split(' ').skip(3);
    let (root, mount) = (place.next()?, place.next()?);
    let below = own.strip_prefix(root.trim_end_matches('/'))?.trim_start_matches('/');
    // Joining nothing would leave a slash behind.
    let own = if below.is_empty() { PathBuf::from(mount) } else { Path::new(mount).join(below) };
    fits.then(|| Hierarchy { mount: mount.into(), own, is_unified })
}

/// Places for a new group, each with whether it is the host's own business what the place hands on.
fn parents(hierarchy: &Hierarchy, request: &Request) -> Vec<(PathBuf, bool)> {
    let chosen = request.group_parent.as_ref().map(|parent| hierarchy.mount.join(parent.trim_start_matches('/')));
    let above = hierarchy.own.parent().filter(|above| above.starts_with(&hierarchy.mount)).map(Path::to_path_buf);
    let own = chosen.into_iter().chain([hierarchy.own.clone()]).map(|own| (own, true));
    own.chain(above.map(|above| (above, false))).collect()
}

/// True when groups below `parent` get this controller of version 2.
fn hands_on(parent: &Path, controller: &str, may_change: bool) -> bool {
    let file = parent.join("cgroup.subtree_control");
    let has = || fs::read_to_string(&file).is_ok_and(|names| names.split_whitespace().any(|name| name == controller));
    // Refused where processes sit in the parent itself, or where the launcher may not.
    has() || may_change && fs::write(&file, format!("+{controller}")).is_ok_and(|()| has())
}

/// Writes the limit of one controller; 0 is no limit.
fn set_limit(path: &Path, controller: &str, is_unified: bool, request: &Request) -> Outcome<()> {
    // Version 1 counts the time of the group within this period, version 2 by default as well.
    const PERIOD_US: u64 = 100_000;
    let quota_us = request.cpu_percent * PERIOD_US / 100;
    // The init is one more.
    let processes = request.processes + 1;
    let mut files = Vec::new();
    match (controller, is_unified) {
        ("memory", false) if request.memory_bytes > 0 => {
            files.push(("memory.limit_in_bytes", request.memory_bytes.to_string(), true));
            // Exists only where swap is counted.
            files.push(("memory.memsw.limit_in_bytes", request.memory_bytes.to_string(), false));
        }
        ("memory", true) if request.memory_bytes > 0 => {
            files.push(("memory.max", request.memory_bytes.to_string(), true));
            files.push(("memory.swap.max", "0".to_owned(), false));
            files.push(("memory.oom.group", "1".to_owned(), false));
        }
        ("pids", _) => files.push(("pids.max", processes.to_string(), true)),
        ("cpu", false) if quota_us > 0 => files.push(("cpu.cfs_quota_us", quota_us.to_string(), true)),
        ("cpu", true) if quota_us > 0 => files.push(("cpu.max", format!("{quota_us} {PERIOD_US}"), true)),
        _ => {}
    }
    for (file, value, is_needed) in files {
        let written = fs::write(path.join(file), value).step_at("cgroup_limit", file);
        if is_needed {
            written?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_of_both_versions_are_found_where_they_are_mounted() {
        let first = "31 25 0:27 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory";
        let found = mounted_at(first, "memory", false, "/system.slice/host").unwrap();
        assert_eq!(found.own, Path::new("/sys/fs/cgroup/memory/system.slice/host"));
        assert!(mounted_at(first, "pids", false, "/").is_none());
        let second = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate";
        assert_eq!(mounted_at(second, "pids", true, "/").unwrap().own, Path::new("/sys/fs/cgroup"));
        assert!(mounted_at(second, "pids", false, "/").is_none());
        // A container that sees its own part of the hierarchy only, under the path that the host knows it by.
        let part = "30 23 0:26 /docker/4f /sys/fs/cgroup ro - cgroup2 cgroup2 rw";
        assert_eq!(mounted_at(part, "pids", true, "/docker/4f/app").unwrap().own, Path::new("/sys/fs/cgroup/app"));
        assert!(mounted_at(part, "pids", true, "/docker/77").is_none());
    }

    #[test]
    fn the_chosen_place_comes_first_and_the_one_above_is_not_changed() {
        let hierarchy = Hierarchy { mount: "/m".into(), own: "/m/a/b".into(), is_unified: true };
        let request = Request { group_parent: Some("/chosen".to_owned()), ..Request::default() };
        let places: Vec<_> =
            parents(&hierarchy, &request).into_iter().map(|(place, own)| (place.display().to_string(), own)).collect();
        let expected = [("/m/chosen", true), ("/m/a/b", true), ("/m/a", false)];
        assert_eq!(places, expected.map(|(place, own)| (place.to_owned(), own)));
        let top = Hierarchy { mount: "/m".into(), own: "/m".into(), is_unified: true };
        assert_eq!(parents(&top, &Request::default()), [("/m".into(), true)]);
    }

    #[test]
    fn limits_of_version_2_are_written_to_its_files() {
        let place = std::env::temp_dir().join(format!("goatflow-launcher-{}", std::process::id()));
        fs::create_dir(&place).unwrap();
        let request = Request { memory_bytes: 1 << 20, processes: 8, cpu_percent: 50, ..Request::default() };
        for controller in CONTROLLERS {
            set_limit(&place, controller, true, &request).unwrap();
        }
        let read = |file: &str| fs::read_to_string(place.join(file)).unwrap();
        assert_eq!([read("memory.max"), read("memory.swap.max"), read("pids.max")], ["1048576", "0", "9"]);
        assert_eq!(read("cpu.max"), "50000 100000");
        fs::remove_dir_all(place).unwrap();
    }
}
