//! Whatever the reader accepts, Python's zipfile, Info-ZIP and the `zip` crate list and extract identically: mutated archives,
//! by the same seed always. `GOATFLOW_ARCHIVE_MUTATIONS` sets how many, `GOATFLOW_ARCHIVE_SEED` which.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::Command;

use goatflow_plugin::package::archive::{Archive, EntryKind, Limits};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::archive_build::*;

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

const NAMES: &[&str] = &[
    "a",
    "b.txt",
    "dir/c",
    "dir/d/e.wasm",
    "manifest.json",
    "höhe.txt",
    "日本/語",
    "-x",
    "[a]",
    "a;b",
    "a b",
    "#U0041",
    "%41",
    "~",
    "dir2/.hidden",
    "a'b",
    "$HOME",
    "`x`",
    "a,b",
    "é",
    "e\u{301}x",
    "Ω",
    "x~1",
    "a&b",
    "=x",
    "@y",
    "A..b",
    "€",
    "🐐.svg",
    "a;1x",
    "^M",
];

const TRICKY: &[&str] = &[
    "../x",
    "a/../b",
    "/x",
    "C:x",
    "a\\b",
    "a\0b",
    "a\nb",
    "CON",
    "a.",
    "a ",
    "A",
    "a;1",
    "B.TXT",
    "dir",
    "dir/",
    "dir/C",
    "a//b",
    "",
    "./a",
    "a\u{202e}b",
    "ａ",
    "manifest.json",
    "e\u{301}",
    "\u{212a}",
];

const VALUES: &[u32] = &[
    0,
    1,
    2,
    3,
    4,
    8,
    9,
    10,
    12,
    16,
    20,
    22,
    45,
    46,
    51,
    63,
    0x0800,
    0x0808,
    0x2000,
    0xffff,
    0x10000,
    0x7fff_ffff,
    u32::MAX,
];

fn content(dice: &mut Dice) -> Vec<u8> {
    let len = *dice.pick(&[0, 1, 5, 40, 300, 3_000]);
    if dice.one_in(10) {
        return build(&[file("inner", b"nested")]).bytes;
    }
    let alphabet = *dice.pick(&[1, 4, 256]);
    (0..len).map(|_| dice.below(alphabet) as u8 ^ 0x41).collect()
}

fn harmless_extra(dice: &mut Dice) -> Vec<u8> {
    match dice.below(8) {
        0 => extra(0x5455, &[1, 9, 9, 9, 9]),
        1 => extra(0x5455, &[7, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]),
        2 => extra(0x7875, &[1, 4, 0, 0, 0, 0, 4, 0, 0, 0, 0]),
        3 => extra(0x0a, &[&[0, 0, 0, 0, 1, 0, 24, 0][..], &[3; 24]].concat()),
        4 => extra(0xd935, &vec![0; 2 + dice.below(9)]),
        5 => extra(0xcafe, &[]),
        6 => extra(0x5855, &[1; 8]),
        _ => (0..dice.below(20)).map(|_| dice.below(256) as u8).collect(),
    }
}

fn entry(dice: &mut Dice) -> File {
    let names = if dice.one_in(40) { TRICKY } else { NAMES };
    let name = *dice.pick(names);
    let mut made = if dice.one_in(8) { directory(&format!("{name}/")) } else { file(name, &content(dice)) };
    let is_directory = made.name.ends_with(b"/");
    made.deflated = !is_directory && dice.one_in(2);
    if dice.one_in(3) {
        made.local_extra = harmless_extra(dice);
    }
    if dice.one_in(3) {
        made.central_extra = harmless_extra(dice);
    }
    if dice.one_in(4) && !is_directory {
        made.zip64 = dice.one_in(2);
        let wide = made.zip64 ^ dice.one_in(20);
        made.descriptor = Descriptor::Follows { signed: dice.one_in(2), wide };
    }
    if dice.one_in(6) {
        made.made_by = *dice.pick(&[20, 3 << 8 | 30, 10 << 8 | 20, 11 << 8 | 20, 14 << 8, 19 << 8 | 21, 7 << 8 | 20]);
        made.time = dice.below(usize::MAX) as u32;
    }
    if dice.one_in(6) {
        made.comment = content(dice);
    }
    if dice.one_in(12) {
        made.attributes = (dice.below(1 << 16) as u32) << 16 | *dice.pick(VALUES);
    }
    if dice.one_in(8) {
        made.flags |= *dice.pick(&[0, 2, 4, 6, 0x800, 0x20]);
    }
    made
}

/// An archive that may be legal, changed in none to three places.
fn mutant(dice: &mut Dice) -> Vec<u8> {
    let files: Vec<File> = (0..1 + dice.below(5)).map(|_| entry(dice)).collect();
    let ending = Ending {
        comment: if dice.one_in(4) { content(dice) } else { Vec::new() },
        zip64: dice.one_in(5),
        refers: false,
    };
    let ending = Ending { refers: ending.zip64 && !dice.one_in(4), ..ending };
    let built = build_with(&files, &ending);
    let mut bytes = built.bytes.clone();
    for _ in 0..*dice.pick(&[0, 0, 0, 1, 1, 2, 3]) {
        change(dice, &built, &mut bytes);
    }
    bytes
}

fn change(dice: &mut Dice, built: &Built, bytes: &mut Vec<u8>) {
    let number = dice.below(built.local.len());
    let value = dice.pick(VALUES).to_le_bytes();
    let (record, fields): (usize, &[usize]) = match dice.below(4) {
        0 => (built.local[number], &[4, 6, 8, 10, 14, 18, 22, 26, 28, 30]),
        1 => (built.central[number], &[4, 6, 8, 10, 12, 16, 20, 24, 28, 30, 32, 34, 36, 38, 40, 42, 46]),
        2 => (built.end, &[4, 6, 8, 10, 12, 16, 20]),
        _ => (dice.below(bytes.len()), &[0]),
    };
    let at = (record + *dice.pick(fields)).min(bytes.len().saturating_sub(1));
    let len = (*dice.pick(&[1, 1, 2, 4])).min(bytes.len() - at);
    match dice.below(8) {
        0 => drop(bytes.drain(at..at + len)),
        1 => drop(bytes.splice(at..at, value[..len].iter().copied())),
        2 => bytes[at] ^= 1 << dice.below(8),
        3 => {
            // The same change in both headers, as who writes archives by hand would make it.
            let field = *dice.pick(&[4, 6, 8, 12, 16, 20]);
            for place in [built.local[number] + field, built.central[number] + field + 2] {
                if let Some(bytes) = bytes.get_mut(place..place + len) {
                    bytes.copy_from_slice(&value[..len]);
                }
            }
        }
        _ => bytes[at..at + len].copy_from_slice(&value[..len]),
    }
}

/// Names in order, directories with a slash, and digests of the files.
#[derive(Debug, PartialEq)]
struct View {
    names: Vec<String>,
    files: BTreeMap<String, String>,
}

fn digest(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn ours(archive: &Archive) -> View {
    let mut view = View { names: Vec::new(), files: BTreeMap::new() };
    for entry in archive.entries() {
        if entry.kind() == EntryKind::Directory {
            view.names.push(format!("{}/", entry.name()));
        } else {
            view.names.push(entry.name().to_owned());
            view.files.insert(entry.name().to_owned(), digest(&archive.content(entry).unwrap()));
        }
    }
    view
}

fn by_zip_crate(bytes: &[u8]) -> Result<View, String> {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).map_err(|error| error.to_string())?;
    let mut view = View { names: Vec::new(), files: BTreeMap::new() };
    for number in 0..archive.len() {
        let mut entry = archive.by_index(number).map_err(|error| error.to_string())?;
        let name = entry.name().map_err(|error| error.to_string())?.into_owned();
        view.names.push(name.clone());
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(|error| error.to_string())?;
        if !name.ends_with('/') {
            view.files.insert(name, digest(&content));
        }
    }
    Ok(view)
}

fn by_program(told: &Value) -> Result<View, String> {
    if let Some(error) = told["error"].as_str() {
        return Err(error.to_owned());
    }
    let names = serde_json::from_value(told["names"].clone()).map_err(|error| error.to_string())?;
    let files = serde_json::from_value(told["files"].clone()).map_err(|error| error.to_string())?;
    Ok(View { names, files })
}

fn number_from(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn what_is_accepted_means_the_same_to_all_readers() {
    let count = number_from("GOATFLOW_ARCHIVE_MUTATIONS", 800);
    let mut dice = Dice(number_from("GOATFLOW_ARCHIVE_SEED", 1));
    let directory = tempfile::tempdir().unwrap();
    let (mut accepted, mut list, mut refused) = (Vec::new(), String::new(), BTreeMap::new());
    for number in 0..count {
        let bytes = mutant(&mut dice);
        match Archive::read(bytes.clone(), &Limits::default()) {
            Ok(archive) => {
                let path = directory.path().join(format!("{number}.zip"));
                std::fs::write(&path, &bytes).unwrap();
                list.push_str(&format!("{}\n", path.display()));
                accepted.push((number, ours(&archive), bytes));
            }
            Err(error) => *refused.entry(error.code()).or_insert(0) += 1,
        }
    }
    let paths = directory.path().join("list");
    std::fs::write(&paths, list).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/package/read_archives.py");
    let output = Command::new("python3").arg(script).arg(&paths).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Vec<Value> = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(told.len(), accepted.len());
    let (mut differences, mut by_all) = (Vec::new(), 0);
    for ((number, ours, bytes), told) in accepted.iter().zip(&told) {
        let others = [
            ("zip crate", by_zip_crate(bytes)),
            ("python", by_program(&told["python"])),
            ("unzip", by_program(&told["unzip"])),
        ];
        let asked = if told["python"]["dos_names"] == true { 2 } else { 3 };
        by_all += asked - 2;
        for (reader, view) in others.into_iter().take(asked) {
            if view.as_ref() != Ok(ours) {
                differences.push(format!("{number}: {reader}: {view:?} instead of {ours:?}"));
                if let Some(keep) = std::env::var_os("GOATFLOW_ARCHIVE_KEEP") {
                    std::fs::write(Path::new(&keep).join(format!("{number}.zip")), bytes).unwrap();
                }
            }
        }
    }
    println!(
        "{count} mutants, {} accepted, {by_all} of them read by Info-ZIP too; refused: {refused:?}",
        accepted.len()
    );
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    assert!(by_all * 10 >= accepted.len() * 9, "Info-ZIP was asked about {by_all} only");
    assert!(accepted.len() as u64 * 10 >= count, "too few were accepted: {}", accepted.len());
    assert!(refused.len() >= 12, "too few classes were met: {refused:?}");
}
