//! Imports point down, never up and never sideways between the boxes of one layer (ARCHITECTURE.md, Layers).

use std::path::{Path, PathBuf};

/// Boxes from the bottom. Boxes of one layer don't import each other, except in the lowest one, whose files are one box.
const LAYERS: [&[&str]; 8] = [
    &["bounded", "clock", "doctor", "error", "executor", "json", "proto"],
    &["plugin"],
    &["host", "policy"],
    &["package", "providers", "runtime", "sandbox"],
    &["lifecycle"],
    &["admin"],
    &["manager"],
    &["capi", "cli"],
];

fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|boxes| boxes.contains(&name))
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// First parts of all paths that begin with `prefix`, groups included: `crate::{a::b, c}` gives `a` and `c`.
fn imported<'t>(text: &'t str, prefix: &str) -> Vec<&'t str> {
    let mut names = Vec::new();
    for (at, _) in text.match_indices(prefix) {
        if text[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == '$') {
            continue;
        }
        let rest = &text[at + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(group) => names.extend(parts_of_group(group)),
            None => names.push(word(rest)),
        }
    }
    names
}

fn parts_of_group(group: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0_u32, 0);
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => {
                parts.push(word(group[start..at].trim_start()));
                return parts;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(word(group[start..at].trim_start()));
                start = at + 1;
            }
            _ => {}
        }
    }
    panic!("an import group that does not end");
}

fn word(text: &str) -> &str {
    let end = text.find(|character: char| !character.is_alphanumeric() && character != '_').unwrap_or(text.len());
    &text[..end]
}

/// What is wrong with an import, if anything is.
fn problem(importer: &str, imported: &str) -> Option<String> {
    if importer == imported || imported.is_empty() {
        return None;
    }
    let Some(from) = layer(importer) else { return Some(format!("`{importer}` is in no layer")) };
    let Some(to) = layer(imported) else {
        return Some(format!("`{importer}` imports `{imported}`, which is in no layer"));
    };
    match () {
        () if to > from => Some(format!("`{importer}` imports `{imported}`, which is above it")),
        () if to == from && from > 0 => Some(format!("`{importer}` imports `{imported}`, which is beside it")),
        () => None,
    }
}

#[test]
fn imports_point_down() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let (mut problems, mut counted) = (Vec::new(), 0);
    for file in &files {
        let relative = file.strip_prefix(&root).unwrap();
        let first = relative.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        if first == "lib" {
            continue;
        }
        let text = std::fs::read_to_string(file).unwrap();
        // The command line is a crate of its own.
        let names = imported(&text, if first == "cli" { "goatflow_plugin::" } else { "crate::" });
        for name in names {
            // Macros live at the crate's root.
            if name == "error_codes" || name == "bug" {
                continue;
            }
            counted += 1;
            problems.extend(problem(first, name).map(|problem| format!("{}: {problem}", relative.display())));
        }
    }
    assert!(counted > 300, "only {counted} imports were found in {} files: the search is broken", files.len());
    problems.sort();
    problems.dedup();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn every_module_has_a_layer() {
    let library = include_str!("../../src/lib.rs");
    let modules: Vec<&str> = library
        .lines()
        .filter_map(|line| line.strip_prefix("pub ").unwrap_or(line).strip_prefix("mod ")?.strip_suffix(';'))
        .collect();
    assert!(modules.len() > 10, "{modules:?}");
    for module in modules {
        assert!(layer(module).is_some(), "`{module}` is in no layer");
    }
}

#[test]
fn the_search_finds_all_forms_of_imports() {
    assert_eq!(imported("use crate::a::b;\nlet x = crate::c::d();", "crate::"), ["a", "c"]);
    assert_eq!(imported("use crate::{a::{b, c}, d,\n e::f};", "crate::"), ["a", "d", "e"]);
    assert_eq!(imported("pub(in crate::sandbox::sql) fn f() {}", "crate::"), ["sandbox"]);
    assert_eq!(imported("$crate::error::x, mycrate::x", "crate::"), Vec::<&str>::new());
    assert_eq!(problem("host", "sandbox").unwrap(), "`host` imports `sandbox`, which is above it");
    assert_eq!(problem("runtime", "sandbox").unwrap(), "`runtime` imports `sandbox`, which is beside it");
    assert_eq!(problem("sandbox", "policy"), None);
    assert_eq!(problem("clock", "error"), None);
}
