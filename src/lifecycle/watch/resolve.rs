//! The way from a path to the file it stands for.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// Links that are followed from one path; the kernel's own limit.
const MAX_LINKS: usize = 40;
/// Steps that are taken from one path: links to long paths of links could make many.
const MAX_STEPS: usize = 4_096;

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Way {
    /// Every directory and link on the way, each as a path without links before its last part.
    pub(super) through: Vec<PathBuf>,
    /// The file or directory, as a path without links; `None` when something is missing.
    pub(super) end: Option<PathBuf>,
    /// The deepest directory that exists, and the name that is missing in it.
    pub(super) missing: Option<(PathBuf, OsString)>,
}

/// Follows `path`, which is absolute, step by step.
pub(super) fn follow(path: &Path) -> Way {
    let mut way = Way { through: Vec::new(), end: None, missing: None };
    let mut rest: VecDeque<OsString> = parts(path);
    let (mut at, mut links, mut steps) = (PathBuf::from("/"), 0, 0);
    while let Some(part) = rest.pop_front() {
        steps += 1;
        if part == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&part);
        let Some(metadata) = std::fs::symlink_metadata(&next).ok().filter(|_| steps <= MAX_STEPS) else {
            way.missing = Some((at, part));
            return way;
        };
        if metadata.is_symlink() {
            links += 1;
            let Some(target) = std::fs::read_link(&next).ok().filter(|_| links <= MAX_LINKS) else {
                way.missing = Some((at, part));
                return way;
            };
            way.through.push(next);
            if target.is_absolute() {
                at = PathBuf::from("/");
            }
            for part in parts(&target).into_iter().rev() {
                rest.push_front(part);
            }
            continue;
        }
        if metadata.is_dir() {
            way.through.push(next.clone());
        }
        at = next;
    }
    way.end = Some(at);
    way
}

fn parts(path: &Path) -> VecDeque<OsString> {
    let named = |part: Component<'_>| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    };
    path.components().filter_map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn every_link_on_the_way_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("v1")).unwrap();
        std::fs::write(root.join("v1/p.wasm"), "x").unwrap();
        symlink("v1", root.join("..data")).unwrap();
        symlink("..data/p.wasm", root.join("p.wasm")).unwrap();
        let way = follow(&root.join("p.wasm"));
        assert_eq!(way.end, Some(root.join("v1/p.wasm")));
        for on_the_way in [root.clone(), root.join("p.wasm"), root.join("..data"), root.join("v1")] {
            assert!(way.through.contains(&on_the_way), "{way:?}");
        }
    }

    #[test]
    fn what_is_missing_is_named_with_where_it_is_missing() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        assert_eq!(follow(&root.join("a/b.wasm")).missing, Some((root.clone(), "a".into())));
        symlink("loop", root.join("loop")).unwrap();
        assert_eq!(follow(&root.join("loop")).missing, Some((root, "loop".into())));
    }
}
