//! Hostile archives, each class several ways: refused with the code of the class, and nothing in the file system changes.

use std::collections::BTreeMap;
use std::path::Path;

use goatflow_plugin::error::ErrorCode;
use goatflow_plugin::error::ErrorCode::*;
use goatflow_plugin::package::archive::{Archive, Limits};
use sha2::{Digest, Sha256};

use super::archive_build::*;

/// Kind, mode and content of everything below `root`.
fn tree(root: &Path) -> BTreeMap<String, String> {
    use std::os::unix::fs::PermissionsExt;
    let (mut found, mut open) = (BTreeMap::new(), vec![root.to_path_buf()]);
    while let Some(path) = open.pop() {
        let metadata = std::fs::symlink_metadata(&path).unwrap();
        let content = if metadata.is_dir() {
            open.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            "directory".to_owned()
        } else if metadata.is_symlink() {
            format!("{:?}", std::fs::read_link(&path).unwrap())
        } else {
            format!("{:x?}", Sha256::digest(std::fs::read(&path).unwrap()))
        };
        let shown = path.strip_prefix(root).unwrap().display().to_string();
        found.insert(shown, format!("{:o} {content}", metadata.permissions().mode()));
    }
    found
}

/// Reads and extracts as an installation would, in a directory with things to damage; the code of the refusal, if refused.
pub fn verdict(bytes: &[u8]) -> Option<ErrorCode> {
    let parent = tempfile::tempdir().unwrap();
    let staging = parent.path().join("a/b/staging");
    std::fs::create_dir_all(&staging).unwrap();
    std::fs::write(parent.path().join("a/victim.txt"), "before").unwrap();
    std::os::unix::fs::symlink("a/victim.txt", parent.path().join("link")).unwrap();
    let before = tree(parent.path());
    let refusal =
        Archive::read(bytes.to_vec(), &Limits::default()).and_then(|archive| archive.extract_into(&staging)).err();
    if refusal.is_some() {
        assert_eq!(tree(parent.path()), before);
    }
    refusal.map(|error| error.code())
}

pub fn check(class: ErrorCode, ways: Vec<(&str, Vec<u8>)>) {
    assert!(ways.len() >= 3, "{class:?}");
    for (way, bytes) in ways {
        assert_eq!(verdict(&bytes), Some(class), "{way}");
    }
}

/// An archive of two ordinary files, the first one replaced.
pub fn with(first: File) -> Vec<u8> {
    built(first).bytes
}

pub fn built(first: File) -> Built {
    build(&[first, file("assets/second.txt", b"second")])
}

pub fn plain() -> Built {
    built(file("manifest.json", b"{\"name\": \"demo\", \"version\": \"0.1.0\"}"))
}

pub fn named(names: &[&str]) -> Vec<u8> {
    build(&names.iter().map(|name| file(name, b"x")).collect::<Vec<_>>()).bytes
}

pub fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

#[test]
fn the_archives_that_attacks_start_from_are_accepted() {
    assert_eq!(verdict(&plain().bytes), None);
    assert_eq!(verdict(&named(&["a", "b/c", "b/d", "höhe.txt", "a..b/.c", "-x", "~y", "v1.2.3;x"])), None);
    assert_eq!(verdict(&build(&[directory("d/"), file("d/f", b"")]).bytes), None);
}

#[test]
fn bytes_around_the_archive_are_refused() {
    let (plain, bytes) = (plain(), plain().bytes);
    let mut shifted = plain.clone();
    let by = 5_u32;
    for (number, at) in plain.central.clone().into_iter().enumerate() {
        let offset = plain.local[number] as u32 + by;
        shifted = shifted.put(at + 42, &offset.to_le_bytes());
    }
    let start = plain.central[0] as u32 + by;
    let shifted = shifted.end(16, &start.to_le_bytes()).bytes;
    check(
        PackageArchivePrepended,
        vec![
            ("script in front", joined(&[b"#!/bin/sh\n", &bytes])),
            ("an archive in front", joined(&[&named(&["other"]), &bytes])),
            ("bytes in front, offsets corrected", joined(&[b"MZ\0\0\0", &shifted])),
            ("one byte", joined(&[b"\0", &bytes])),
        ],
    );
    check(
        PackageArchiveTrailing,
        vec![
            ("text behind", joined(&[&bytes, b"tail tail tail"])),
            ("one byte", joined(&[&bytes, b"\0"])),
            ("a comment that is too short", {
                let comment = Ending { comment: b"comment".to_vec(), ..Ending::default() };
                build_with(&[file("a", b"")], &comment).end(20, &3_u16.to_le_bytes()).bytes
            }),
            ("much behind", joined(&[&bytes, &vec![b'x'; 100_000]])),
        ],
    );
}

#[test]
fn several_end_records_are_refused() {
    let inner = named(&["inner"]);
    let in_comment = |comment: &[u8]| {
        let ending = Ending { comment: comment.to_vec(), ..Ending::default() };
        build_with(&[file("outer", b"")], &ending).bytes
    };
    let end = &inner[inner.len() - 22..];
    let mut lies = end.to_vec();
    lies[20] = 9;
    // An entry, stored, whose bytes are an end record with a comment that reaches to the end of the file.
    let nested = |rest: usize| {
        let mut record = b"PK\x05\x06".to_vec();
        record.extend([0; 16]);
        record.extend((rest as u16).to_le_bytes());
        let first = File { deflated: false, ..file("nested", &record) };
        build(&[first]).bytes
    };
    let rest = nested(0).len() - (30 + 6) - 22;
    check(
        PackageArchiveSeveralEnds,
        vec![
            ("an end record that reaches too far in the comment", in_comment(&lies)),
            ("a signature in the comment", in_comment(b"PK\x05\x06")),
            ("an end record in the comment", in_comment(end)),
            ("an archive in the comment", in_comment(&inner)),
            ("a record of another length in the comment", in_comment(&joined(&[b"xx", &lies]))),
            ("an end record in a content that fits as well", nested(rest)),
        ],
    );
}

#[test]
fn what_is_cut_short_is_refused() {
    let bytes = plain().bytes;
    check(
        PackageArchiveTruncated,
        vec![
            ("empty", Vec::new()),
            ("no archive", b"not an archive at all".to_vec()),
            ("without its last byte", bytes[..bytes.len() - 1].to_vec()),
            ("without its end record", bytes[..bytes.len() - 22].to_vec()),
            ("half", bytes[..bytes.len() / 2].to_vec()),
            ("a comment that is too long", plain().end(20, &7_u16.to_le_bytes()).bytes),
            ("a directory larger than the file", plain().end(12, &0x1_0000_u32.to_le_bytes()).bytes),
        ],
    );
    for len in 0..bytes.len() {
        assert!(verdict(&bytes[..len]).is_some(), "{len} bytes");
    }
}

#[test]
fn bytes_that_belong_to_nothing_are_refused() {
    let second = |offset: u32| plain().central(1, 42, &offset.to_le_bytes()).bytes;
    let hidden = build(&[file("hidden", b"x")]).bytes;
    let local = hidden[..hidden.len() - 22 - 46 - 6].to_vec();
    let gap = |gap: &[u8]| with(File { gap: gap.to_vec(), ..file("a", b"x") });
    let last = |gap: &[u8]| build(&[File { gap: gap.to_vec(), ..file("a", b"x") }]).bytes;
    let fewer = {
        let built = plain();
        let size = (built.end - built.central[0]) as u32;
        built.end(8, &1_u16.to_le_bytes()).end(10, &1_u16.to_le_bytes()).end(12, &size.to_le_bytes()).bytes
    };
    let padded = {
        let built = plain();
        let size = (built.end - built.central[0] + 4) as u32;
        let (before, end) = built.bytes.split_at(built.end);
        let end = joined(&[&end[..12], &size.to_le_bytes(), &end[16..]]);
        joined(&[before, b"hide", &end])
    };
    let swapped = {
        let built = plain();
        let (first, second) = (built.central[0], built.central[1]);
        let (one, two) = (&built.bytes[first..second], &built.bytes[second..built.end]);
        joined(&[&built.bytes[..first], two, one, &built.bytes[built.end..]])
    };
    check(
        PackageArchiveLayout,
        vec![
            ("an entry that is not listed", gap(&local)),
            ("an entry that is not listed, last", last(&local)),
            ("zeros between entries", gap(&[0; 4])),
            ("a byte before the directory", last(b"\0")),
            ("two headers for one entry", second(0)),
            ("an entry within another", second(40)),
            ("an entry beyond the end", second(0x7fff_ffff)),
            ("the directory in another order", swapped),
            ("fewer headers counted than there are", fewer),
            ("bytes in the directory behind its last header", padded),
            ("more headers counted than there are", plain().end(8, &[3, 0, 3, 0]).bytes),
            ("the directory is elsewhere", plain().end(16, &0x10_0000_u32.to_le_bytes()).bytes),
            ("a header without its signature", plain().central(1, 0, b"PK\x01\x03").bytes),
            ("an entry without its signature", plain().local(1, 0, b"PK\x03\x05").bytes),
            ("a name longer than the directory", plain().central(1, 28, &0xfff0_u16.to_le_bytes()).bytes),
            ("a content that reaches into the directory", {
                let size = 60_u32.to_le_bytes();
                let last = File { deflated: false, ..file("b", b"x") };
                build(&[file("a", b""), last]).both(1, 14, &size).both(1, 18, &size).bytes
            }),
        ],
    );
}

#[test]
fn parts_of_archives_are_refused() {
    check(
        PackageArchiveMultiDisk,
        vec![
            ("number of the disk", plain().end(4, &1_u16.to_le_bytes()).bytes),
            ("disk of the directory", plain().end(6, &1_u16.to_le_bytes()).bytes),
            ("entries of this disk", plain().end(8, &1_u16.to_le_bytes()).bytes),
            ("disk of an entry", plain().central(0, 34, &1_u16.to_le_bytes()).bytes),
        ],
    );
}

#[test]
fn contradictions_of_zip64_are_refused() {
    let ending = Ending { zip64: true, refers: true, ..Ending::default() };
    let files = [file("a", b"content"), file("b", b"content")];
    let wide = || build_with(&files, &ending);
    assert_eq!(verdict(&wide().bytes), None);
    let count = || wide().end(8, &[2, 0, 2, 0]);
    assert_eq!(verdict(&count().bytes), None, "only some fields refer to the wide record");
    // The first header is as long as the zip64 records: a reader that overlooks these takes the second one for the first.
    let confusing =
        File { central_extra: extra(0x5455, &[7, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]), ..file("manifest.json", b"") };
    let overlooked = build_with(&[confusing, file("b", b"")], &Ending { refers: false, ..ending.clone() }).bytes;
    // From the end record: the locator 20 bytes, the record 76 bytes before.
    let place = |built: Built, before: usize, with: &[u8]| {
        let at = built.end - before;
        built.put(at, with).bytes
    };
    let entry = |local: Vec<u8>, central: Vec<u8>| {
        with(File { local_extra: local, central_extra: central, ..file("a", b"content") })
    };
    let zip64 = || built(File { zip64: true, ..file("a", b"content") });
    assert_eq!(verdict(&zip64().bytes), None);
    check(
        PackageArchiveZip64,
        vec![
            ("a record that nothing refers to", overlooked),
            ("a locator that points elsewhere", place(wide(), 12, &[1])),
            ("no record before the locator", place(wide(), 76, b"XX")),
            ("a record of another size", place(wide(), 72, &[45])),
            ("end records of different counts", wide().end(8, &[1, 0, 1, 0]).bytes),
            ("end records of different offsets", wide().end(16, &[9, 0, 0, 0]).bytes),
            ("end records of different sizes", wide().end(12, &[9, 0, 0, 0]).bytes),
            ("a reference without record", plain().end(16, &[0xff; 4]).bytes),
            ("a count without record", plain().end(8, &[0xff; 4]).bytes),
            ("a size that refers to nothing", plain().central(0, 24, &[0xff; 4]).bytes),
            ("an offset that refers to nothing", plain().central(1, 42, &[0xff; 4]).bytes),
            ("a field that nothing refers to", entry(Vec::new(), extra(1, &[0; 8]))),
            ("a field that nothing refers to, in the entry", entry(extra(1, &[0; 16]), Vec::new())),
            ("an empty field", entry(Vec::new(), extra(1, &[]))),
            ("a field that is too long", zip64().central(0, 24, &[7, 0, 0, 0]).bytes),
            ("a field for one size in the entry", zip64().local(0, 22, &[7, 0, 0, 0]).bytes),
        ],
    );
    let huge = zip64().central(0, 46 + 1 + 4, &(1_u64 << 63).to_le_bytes()).bytes;
    assert_eq!(verdict(&huge), Some(PackageArchiveSize));
}

#[test]
fn headers_that_contradict_each_other_are_refused() {
    let name = |name: &[u8]| plain().local(0, 30, name).bytes;
    check(
        PackageArchiveHeaderMismatch,
        vec![
            ("name", name(b"manifesx.json")),
            ("name, a path", name(b"../ifest.json")),
            ("case of the name", name(b"Manifest.json")),
            ("length of the name", plain().local(0, 26, &[12]).bytes),
            ("method", plain().local(0, 8, &[0]).bytes),
            ("flags", plain().local(0, 6, &[8]).bytes),
            ("encryption in one header", plain().local(0, 6, &[1]).bytes),
            ("time", plain().local(0, 10, &[1]).bytes),
            ("checksum", plain().local(0, 14, &[1, 2, 3, 4]).bytes),
            ("size", plain().local(0, 22, &[1]).bytes),
            ("packed size", plain().local(0, 18, &[1]).bytes),
            ("sizes left open without descriptor", plain().local(0, 14, &[0; 12]).bytes),
        ],
    );
}

#[test]
fn descriptors_that_lie_are_refused() {
    let follows = |signed, wide| Descriptor::Follows { signed, wide };
    let open = |descriptor| built(File { descriptor, ..file("a", b"content") });
    for signed in [true, false] {
        assert_eq!(verdict(&open(follows(signed, false)).bytes), None);
        let zip64 = File { zip64: true, descriptor: follows(signed, true), ..file("a", b"content") };
        assert_eq!(verdict(&with(zip64)), None);
    }
    let signed = || open(follows(true, false));
    let before_second = |back: usize, with: &[u8]| {
        let at = signed().local[1] - back;
        signed().put(at, with).bytes
    };
    check(
        PackageArchiveDescriptor,
        vec![
            ("checksum", before_second(12, &[1])),
            ("packed size", before_second(8, &[1])),
            ("size", before_second(4, &[1])),
            ("signature", before_second(16, b"XX")),
            ("missing", plain().both(0, 2, &[8]).bytes),
            ("wide sizes that nothing announces", open(follows(true, true)).bytes),
            ("narrow sizes where wide ones are announced", {
                with(File { zip64: true, descriptor: follows(true, false), ..file("a", b"content") })
            }),
            (
                "more behind it",
                with(File { descriptor: follows(true, false), gap: b"hide".to_vec(), ..file("a", b"content") }),
            ),
        ],
    );
}
