//! Typed, strict reading of JSON objects: every mistake is reported, reading goes on behind it.

use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;

use super::report::Report;
use crate::policy::duration::GoDuration;
use crate::policy::json::Node;
use crate::policy::wording::harmless;

/// Longest string in a document, in bytes.
const MAX_TEXT_BYTES: usize = 1_024;
/// Longest list in a document.
const MAX_LIST: usize = 1_000;

/// The members of one object.
#[derive(Debug)]
pub(super) struct Fields<'n> {
    members: &'n [(String, Node)],
    path: String,
}

impl<'n> Fields<'n> {
    /// Opens the object at `path`; reports if it is none, and every unknown or repeated member.
    pub(super) fn open(node: &'n Node, path: &str, known: &[&str], report: &mut Report) -> Option<Self> {
        let Node::Object(members) = node else {
            report.problem(path, format!("must be an object, not {}", node.kind()));
            return None;
        };
        let mut seen = HashSet::new();
        for (name, _) in members {
            if report.is_full() {
                break;
            }
            if !known.contains(&name.as_str()) {
                report.problem(&member_path(path, name), unknown_member(name, known));
            }
            if !seen.insert(name.as_str()) {
                report.problem(&member_path(path, name), "is given more than once");
            }
        }
        Some(Self { members, path: path.to_owned() })
    }

    /// JSON pointer to a member.
    pub(super) fn path(&self, name: &str) -> String {
        member_path(&self.path, name)
    }

    /// The member, if it is there.
    pub(super) fn get(&self, name: &str) -> Option<&'n Node> {
        self.members.iter().find(|(member, _)| member == name).map(|(_, value)| value)
    }

    /// The member, unless it is absent or `null`, which is how Go, and so the reference, writes an empty list.
    pub(super) fn get_go_list(&self, name: &str) -> Option<&'n Node> {
        self.get(name).filter(|node| **node != Node::Null)
    }

    /// A string.
    pub(super) fn text(&self, name: &str, report: &mut Report) -> Option<&'n str> {
        self.get(name).and_then(|node| text_at(node, &self.path(name), report))
    }

    /// A whole number in `range`.
    pub(super) fn whole(&self, name: &str, range: RangeInclusive<u64>, report: &mut Report) -> Option<u64> {
        match self.get(name)? {
            Node::Whole(value) if range.contains(value) => return Some(*value),
            Node::Whole(_) | Node::OtherNumber => report
                .problem(&self.path(name), format!("must be a whole number from {} to {}", range.start(), range.end())),
            other => report.problem(&self.path(name), format!("must be a whole number, not {}", other.kind())),
        }
        None
    }

    /// A whole number in `range` that fits 32 bits.
    pub(super) fn whole32(&self, name: &str, range: RangeInclusive<u64>, report: &mut Report) -> Option<u32> {
        self.whole(name, range, report).and_then(|value| u32::try_from(value).ok())
    }

    /// A duration.
    pub(super) fn duration(&self, name: &str, report: &mut Report) -> Option<GoDuration> {
        let text = self.text(name, report)?;
        GoDuration::parse(text).map_err(|message| report.problem(&self.path(name), message)).ok()
    }

    /// True or false.
    pub(super) fn flag(&self, name: &str, report: &mut Report) -> Option<bool> {
        match self.get(name)? {
            Node::Bool(value) => Some(*value),
            other => {
                report.problem(&self.path(name), format!("must be true or false, not {}", other.kind()));
                None
            }
        }
    }

    /// An object of strings.
    pub(super) fn texts(&self, name: &str, report: &mut Report) -> Option<BTreeMap<String, String>> {
        let path = self.path(name);
        let Node::Object(members) = self.get(name)? else {
            report.problem(&path, "must be an object of strings");
            return None;
        };
        let mut texts = BTreeMap::new();
        for (member, value) in members.iter().take(MAX_LIST) {
            let path = member_path(&path, member);
            if let Some(text) = text_at(value, &path, report)
                && texts.insert(member.clone(), text.to_owned()).is_some()
            {
                report.problem(&path, "is given more than once");
            }
        }
        Some(texts)
    }

    /// A list of strings.
    pub(super) fn strings(&self, name: &str, report: &mut Report) -> Option<Vec<String>> {
        self.get(name).and_then(|node| self.strings_in(node, name, report))
    }

    /// The strings of the list that the member `name` is.
    pub(super) fn strings_in(&self, node: &Node, name: &str, report: &mut Report) -> Option<Vec<String>> {
        let path = self.path(name);
        let items = list_at(node, &path, report)?;
        let texts = items
            .iter()
            .enumerate()
            .filter_map(|(index, item)| text_at(item, &format!("{path}/{index}"), report).map(str::to_owned));
        Some(texts.collect())
    }
}

/// The items of a list of bounded length.
pub(super) fn list_at<'n>(node: &'n Node, path: &str, report: &mut Report) -> Option<&'n [Node]> {
    match node {
        Node::List(items) if items.len() <= MAX_LIST => Some(items),
        Node::List(_) => {
            report.problem(path, format!("has more than {MAX_LIST} items"));
            None
        }
        other => {
            report.problem(path, format!("must be a list, not {}", other.kind()));
            None
        }
    }
}

/// A string of bounded length.
fn text_at<'n>(node: &'n Node, path: &str, report: &mut Report) -> Option<&'n str> {
    match node {
        Node::Text(text) if text.len() <= MAX_TEXT_BYTES => Some(text),
        Node::Text(_) => {
            report.problem(path, format!("has more than {MAX_TEXT_BYTES} bytes"));
            None
        }
        other => {
            report.problem(path, format!("must be a string, not {}", other.kind()));
            None
        }
    }
}

/// JSON pointer to a member of the object at `path`.
fn member_path(path: &str, name: &str) -> String {
    format!("{path}/{}", harmless(&name.replace('~', "~0").replace('/', "~1")))
}

/// Names the known member that was probably meant.
fn unknown_member(name: &str, known: &[&str]) -> String {
    let squeeze = |text: &str| text.to_ascii_lowercase().replace(['_', '-'], "");
    match known.iter().find(|candidate| squeeze(candidate) == squeeze(name)) {
        Some(meant) => format!("is not a field of policies; is `{meant}` meant?"),
        None => "is not a field of policies".to_owned(),
    }
}
