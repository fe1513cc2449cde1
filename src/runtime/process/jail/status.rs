//! What of the jail is in force, why not more, and what to do about it.

use serde_json::{Value, json};

/// How far a layer is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerState {
    /// Entirely.
    Ok,
    /// In a weaker form, which other layers make up for.
    Reduced {
        /// Why.
        reason: String,
    },
    /// Not at all.
    Missing {
        /// Why.
        reason: String,
        /// What an administrator can do.
        remedy: String,
    },
}

/// One protection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Stable name.
    pub name: String,
    /// How far it is in force.
    pub state: LayerState,
    /// More about it, for example a version; empty when there is nothing to say.
    pub fact: String,
}

/// All layers of one start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JailReport {
    layers: Vec<Layer>,
}

/// Layers without which level 4 is not reached, besides those that decide about the lower levels.
const FULL: [&str; 8] = ["user_namespace", "identity", "capabilities", "rlimits", "landlock", "memory", "pids", "cpu"];

/// Layers that every level but 0 has.
const LEAST: [&str; 2] = ["no_new_privs", "seccomp"];

impl JailReport {
    /// How strong the jail is as a whole:
    ///
    /// - 4: everything;
    /// - 3: namespaces, an own root, the system call filter; something less important is missing;
    /// - 2: no namespaces, but Landlock, the system call filter and limits;
    /// - 1: the system call filter, and the file system is open;
    /// - 0: not even that.
    #[must_use]
    pub fn level(&self) -> u32 {
        let missing = |name: &str| !self.has(name);
        if LEAST.into_iter().any(missing) {
            return 0;
        }
        if self.has("namespaces") {
            return if FULL.into_iter().any(missing) { 3 } else { 4 };
        }
        if missing("landlock") || missing("identity") { 1 } else { 2 }
    }

    /// Every layer, in the order in which they were put into force.
    #[must_use]
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// State of a layer by its name.
    #[must_use]
    pub fn layer(&self, name: &str) -> Option<&Layer> {
        self.layers.iter().find(|layer| layer.name == name)
    }

    /// The report as administrators and programs read it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "level": self.level(),
            "layers": self.layers.iter().map(Layer::to_json).collect::<Vec<_>>(),
        })
    }

    /// What keeps the jail from being stronger: a clause for each layer that is missing.
    #[must_use]
    pub fn shortcomings(&self) -> Vec<String> {
        let missing = self.layers.iter().filter_map(|layer| match &layer.state {
            LayerState::Missing { reason, remedy } => Some(format!("{}: {reason} ({remedy})", layer.name)),
            _ => None,
        });
        missing.collect()
    }

    fn has(&self, name: &str) -> bool {
        self.layer(name).is_some_and(|layer| !matches!(layer.state, LayerState::Missing { .. }))
    }

    /// Adds a layer; what is said later about one of the same name counts.
    pub(super) fn set(&mut self, layer: Layer) {
        match self.layers.iter_mut().find(|known| known.name == layer.name) {
            Some(known) => *known = layer,
            None => self.layers.push(layer),
        }
    }
}

impl Layer {
    pub(super) fn ok(name: &str, fact: impl Into<String>) -> Self {
        Self { name: name.to_owned(), state: LayerState::Ok, fact: fact.into() }
    }

    pub(super) fn reduced(name: &str, reason: impl Into<String>) -> Self {
        Self { name: name.to_owned(), state: LayerState::Reduced { reason: reason.into() }, fact: String::new() }
    }

    /// A layer that the launcher could not put into force because of a step.
    pub(super) fn failed(name: &str, is_reduced: bool, failure: &Failure) -> Self {
        let reason = failure.reason();
        let state = if is_reduced {
            LayerState::Reduced { reason }
        } else {
            LayerState::Missing { reason, remedy: failure.remedy().to_owned() }
        };
        Self { name: name.to_owned(), state, fact: String::new() }
    }

    /// Name, state and what there is to say.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut object = json!({ "name": self.name });
        let fields = match &self.state {
            LayerState::Ok => vec![("state", "ok"), ("fact", self.fact.as_str())],
            LayerState::Reduced { reason } => vec![("state", "reduced"), ("reason", reason)],
            LayerState::Missing { reason, remedy } => {
                vec![("state", "missing"), ("reason", reason), ("remedy", remedy)]
            }
        };
        for (key, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
            object[key] = value.into();
        }
        object
    }
}

/// A step of the launcher that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) step: String,
    pub(super) errno: i32,
    /// Path or value it was about; empty when there is none.
    pub(super) place: String,
}

const EPERM: i32 = 1;
const ENOENT: i32 = 2;
const ENOMEM: i32 = 12;
const EACCES: i32 = 13;
const EINVAL: i32 = 22;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;
const ENOSYS: i32 = 38;
const EOPNOTSUPP: i32 = 95;

impl Failure {
    /// One clause: the step, what it was about, and what the kernel said.
    pub(super) fn reason(&self) -> String {
        let step = match self.step.as_str() {
            "cgroup_mount" => return format!("no hierarchy of control groups has the controller `{}`", self.place),
            "cgroup_controller" => {
                return format!("`{}` does not hand the controller on to groups below it", self.place);
            }
            "group_parent" if self.errno == 0 => {
                return format!("`{}` does not hand the controllers on to groups below it", self.place);
            }
            "landlock_version" => return format!("the kernel offers version {} of Landlock only", self.place),
            "process_limit" => return "processes are counted per user, and the plugin has the host's".to_owned(),
            "own_user" => return "the plugin has the host's user; only root can give it one of its own".to_owned(),
            step => step,
        };
        let said = std::io::Error::from_raw_os_error(self.errno);
        if self.place.is_empty() { format!("{step}: {said}") } else { format!("{step} `{}`: {said}", self.place) }
    }

    /// What an administrator can do about it.
    pub(super) fn remedy(&self) -> &'static str {
        match (self.step.as_str(), self.errno) {
            ("clone", ENOSPC) => "raise the sysctl `user.max_user_namespaces`",
            ("clone" | "unshare", EPERM | EACCES) => {
                "let the host make user namespaces: in a container, a seccomp profile that allows clone and unshare; \
                 else the sysctl `kernel.unprivileged_userns_clone=1`"
            }
            ("clone", EINVAL | ENOSYS) => "use a kernel with user namespaces (CONFIG_USER_NS)",
            ("uid_map", ENOENT | EROFS) => "mount a writable /proc for the host",
            ("uid_map" | "mount_private" | "mount_root" | "capabilities" | "hostname", EPERM | EACCES) => {
                "allow user namespaces for the host's program: an AppArmor profile with `userns,`, or the sysctl \
                 `kernel.apparmor_restrict_unprivileged_userns=0`"
            }
            ("pivot_root", EINVAL) => "run the host from a real root file system, not from the initial RAM disk",
            ("landlock" | "landlock_version", _) => {
                "use Linux 5.13 or newer (6.12 for everything), with `landlock` in the kernel's `lsm=` list and allowed by \
                 the container's seccomp profile"
            }
            ("cgroup" | "cgroup_limit" | "cgroup_member" | "cgroup_controller", EPERM | EACCES | EROFS | 0) => {
                "give the host a control group it may write to: for systemd `Delegate=yes` and `DelegateSubgroup=`, for \
                 containers a writable /sys/fs/cgroup"
            }
            ("cgroup_mount" | "cgroup_list", _) | ("cgroup" | "cgroup_limit", ENOENT) => {
                "mount control groups for the host, with memory, pids and cpu"
            }
            ("group_parent", _) => {
                "create the control group that `native.group_parent` names, below each controller's mount"
            }
            ("seccomp" | "no_new_privs", _) => "use a kernel with seccomp filters (CONFIG_SECCOMP_FILTER)",
            ("bind" | "sockets" | "landlock_rule", ENOENT) => "create the path, or take it off the list",
            ("bind" | "sockets", ENOSYS) => "use Linux 5.12 or newer",
            ("bind" | "sockets" | "landlock_rule", EACCES) => {
                "let the plugin's user pass through the directories above it"
            }
            ("execveat", EACCES) => "check that the file system of the program's loader may be executed from",
            ("execveat", ENOENT) => {
                "show the program's loader and libraries: `isolation.read_only` in the policy, with what links lead to"
            }
            ("user" | "groups" | "identity", EPERM) => "let the host change users (CAP_SETUID and CAP_SETGID)",
            ("mount_proc", EPERM | EINVAL | EOPNOTSUPP) => "give the host an unmasked /proc, and Linux 5.8 or newer",
            (_, ENOMEM) => "free memory, or raise the host's limits",
            _ => "see the step and the system's error",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(missing: &[&str], reduced: &[&str]) -> JailReport {
        let mut report = JailReport::default();
        let failure = Failure { step: "clone".into(), errno: ENOSPC, place: String::new() };
        for name in FULL.into_iter().chain(LEAST).chain(["namespaces", "proc"]) {
            report.set(Layer::ok(name, ""));
        }
        for (names, is_reduced) in [(missing, false), (reduced, true)] {
            for name in names {
                report.set(Layer::failed(name, is_reduced, &failure));
            }
        }
        report
    }

    #[test]
    fn the_level_follows_from_what_is_missing() {
        let cases: &[(u32, &[&str])] = &[
            (4, &[]),
            (4, &["proc"]),
            (3, &["memory"]),
            (3, &["pids"]),
            (3, &["cpu"]),
            (3, &["user_namespace"]),
            (3, &["landlock"]),
            (3, &["landlock", "memory", "identity"]),
            (2, &["namespaces"]),
            (2, &["namespaces", "user_namespace", "memory", "pids", "cpu"]),
            (1, &["namespaces", "landlock"]),
            (1, &["namespaces", "identity"]),
            (0, &["seccomp"]),
            (0, &["no_new_privs"]),
        ];
        for (level, missing) in cases {
            assert_eq!(report(missing, &[]).level(), *level, "{missing:?}");
        }
        assert_eq!(report(&[], &["landlock", "memory", "namespaces"]).level(), 4);
        assert_eq!(JailReport::default().level(), 0);
    }

    #[test]
    fn a_missing_layer_says_why_and_what_to_do() {
        let report = report(&["namespaces"], &["proc"]);
        assert_eq!(
            report.layer("namespaces").unwrap().to_json(),
            json!({
                "name": "namespaces",
                "state": "missing",
                "reason": "clone: No space left on device (os error 28)",
                "remedy": "raise the sysctl `user.max_user_namespaces`",
            })
        );
        assert_eq!(report.layer("proc").unwrap().to_json()["state"], "reduced");
        assert_eq!(report.shortcomings().len(), 1);
    }

    #[test]
    fn what_is_said_later_about_a_layer_counts() {
        let mut report = report(&["memory"], &[]);
        report.set(Layer::ok("memory", "version 2"));
        assert_eq!(report.level(), 4);
        assert_eq!(report.layers().iter().filter(|layer| layer.name == "memory").count(), 1);
    }
}
