//! What a package asks for, in a form that can be hashed and compared: two manifests that ask for the same have the same
//! form, whatever their order and spelling.

use std::collections::BTreeSet;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorCode, Result};
use crate::policy::request::{self, Instances};
use crate::policy::{Grant, ResourceRequest};

/// What is asked for as a number, of which less is not more.
const NUMBERS: [&str; 2] = ["memory_mb", "instances"];

/// Most lines that a package may ask for, and most bytes of them together.
const MAX_LINES: usize = 2_000;
const MAX_BYTES: usize = 128 * 1024;

/// What is asked for, one line each, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Asked(BTreeSet<String>);

impl Asked {
    /// What the section `resources` of a manifest asks for.
    #[must_use]
    pub fn of(resources: &Value) -> Self {
        let (request, _) = request::parse(resources);
        Self(lines(&request))
    }

    /// What a request that was read asks for.
    #[must_use]
    pub fn from_request(request: &ResourceRequest) -> Self {
        Self(lines(request))
    }

    /// Refuses what nobody could read and approve, and what would make every record of it large.
    pub fn check_size(&self) -> Result<()> {
        let bytes: usize = self.0.iter().map(String::len).sum();
        if self.0.len() <= MAX_LINES && bytes <= MAX_BYTES {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::PackageManifestInvalid,
            format!(
                "the manifest asks for {} things in {bytes} bytes (at most {MAX_LINES} in {MAX_BYTES}; use patterns)",
                self.0.len()
            ),
        ))
    }

    /// What is asked for here and not in `approved`. A wider pattern is not recognised as covering a narrower one.
    #[must_use]
    pub fn beyond(&self, approved: &Self) -> Vec<String> {
        self.0.iter().filter(|line| !approved.covers(line)).cloned().collect()
    }

    /// Both together.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).cloned().collect())
    }

    /// The lines.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.0.iter().cloned().collect()
    }

    /// Hash that signers put into a note.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut hash = Sha256::new().chain_update(b"gk-permissions-v1\0");
        for line in &self.0 {
            hash.update(u64::try_from(line.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(line.as_bytes());
        }
        hash.finalize().into()
    }

    /// A line that is there, or a number that is not above the one that is there.
    fn covers(&self, line: &str) -> bool {
        if self.0.contains(line) {
            return true;
        }
        let Some((name, asked)) = line.split_once('=') else { return false };
        // A scope may look like a number, too.
        if !NUMBERS.contains(&name) {
            return false;
        }
        let Ok(asked) = asked.parse::<u64>() else { return false };
        let has = self.0.iter().filter_map(|known| known.strip_prefix(name)?.strip_prefix('=')?.parse::<u64>().ok());
        has.max().is_some_and(|most| asked <= most)
    }
}

fn lines(request: &ResourceRequest) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    if let Some(memory) = request.memory_mb {
        lines.insert(format!("memory_mb={memory}"));
    }
    match request.instances {
        Some(Instances::Count(count)) => drop(lines.insert(format!("instances={count}"))),
        Some(Instances::Auto) => drop(lines.insert("instances auto".to_owned())),
        None => {}
    }
    for permission in &request.permissions {
        let kind = permission.kind.name();
        let accesses: &[&str] = match permission.access {
            Some(Grant::ReadWrite) => &["read", "write"],
            Some(Grant::Read) => &["read"],
            Some(Grant::Write) => &["write"],
            Some(Grant::HardDelete) => &["hard_delete"],
            None => &["use"],
        };
        for access in accesses {
            match &permission.scope {
                None => drop(lines.insert(format!("{kind} {access}"))),
                Some(scope) => lines.extend(scope.iter().map(|item| format!("{kind} {access} on {item}"))),
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn asked(permissions: Value) -> Asked {
        Asked::of(&json!({ "permissions": permissions }))
    }

    #[test]
    fn order_and_spelling_do_not_change_the_fingerprint() {
        let one = asked(json!([{"type":"db","access":"readwrite","scope":["b","a"]},{"type":"cache"}]));
        let same = asked(json!([
            {"type":"cache"},
            {"type":"db","access":"read","scope":["a"]},
            {"type":"db","access":"write","scope":["a","b"]},
            {"type":"db","access":"read","scope":["b","b"]},
        ]));
        assert_eq!(one.fingerprint(), same.fingerprint());
        assert_ne!(one.fingerprint(), asked(json!([{"type":"db","access":"read","scope":["a","b"]}])).fingerprint());
        assert_ne!(Asked::default().fingerprint(), one.fingerprint());
        assert_eq!(Asked::of(&Value::Null), Asked::default());
    }

    #[test]
    fn more_of_anything_is_more() {
        let approved = Asked::of(&json!({
            "memory_mb": 32, "instances": 2,
            "permissions": [{"type":"db","access":"read","scope":["ticket"]}],
        }));
        let beyond = |value: Value| Asked::of(&value).beyond(&approved);
        assert_eq!(beyond(json!({"memory_mb": 16, "instances": 1})), Vec::<String>::new());
        assert_eq!(beyond(json!({"memory_mb": 33})), ["memory_mb=33"]);
        assert_eq!(beyond(json!({"instances": "auto"})), ["instances auto"]);
        assert_eq!(
            beyond(json!({"permissions":[{"type":"db","access":"readwrite","scope":["ticket","users"]}]})),
            ["db read on users", "db write on ticket", "db write on users"]
        );
        assert_eq!(beyond(json!({"permissions":[{"type":"http","scope":["x=1"]}]})), ["http use on x=1"]);
    }
}
