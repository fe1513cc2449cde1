//! Hostile entries: names, kinds, contents and features. What they are refused by is in `archive_hostile`.

use goatflow_plugin::error::ErrorCode::*;

use super::archive_build::*;
use super::archive_hostile::{built, check, joined, named, plain, verdict, with};

#[test]
fn names_that_lead_out_are_refused() {
    let names = [
        "../up.txt",
        "a/../../up.txt",
        "a/..",
        "..",
        "./a",
        "a/./b",
        ".",
        "a//b",
        "/etc/passwd",
        "//host/share",
        "C:/x",
        "c:x",
        "..\\up.txt",
        "a\\b",
        "\\\\host\\share\\x",
        "/",
        "a/../b",
        "．．/x",
        "a／b",
        "‥/x",
        "a＼b",
    ];
    check(PackageArchiveTraversal, names.iter().map(|name| (*name, with(file(name, b"x")))).collect());
}

#[test]
fn names_with_a_second_meaning_are_refused() {
    let long = format!("{}/{}/{}", "a".repeat(90), "b".repeat(90), "c".repeat(90));
    let part = "a".repeat(101);
    let names = [
        "a\0b",
        "a\nb",
        "a\x1b[2Jb",
        "a\u{7f}b",
        "a\u{85}b",
        "a\u{202e}b",
        "a\u{200b}b",
        "a\u{2028}b",
        "a\u{feff}",
        "a\u{ad}b",
        "a\u{fffd}b",
        "a\u{e000}b",
        "a\u{378}b",
        "❤\u{fe0f}.txt",
        "ab:c",
        "a*b",
        "a?b",
        "a\"b",
        "a<b",
        "a>b",
        "a|b",
        "a.",
        "a ",
        "a./b",
        "dir /b",
        "CON",
        "nul.txt",
        "assets/com1",
        "LPT9.log",
        "aux .txt",
        "com²",
        "CONIN$",
        "a;1",
        "b;/x",
        "ab：c",
        "a\u{a0}",
        &long,
        &part,
    ];
    check(PackageArchiveName, names.iter().map(|name| (*name, with(file(name, b"x")))).collect());
    let dot = "a/b.\u{2024}";
    assert_eq!(verdict(&with(file(dot, b"x"))), Some(PackageArchiveName), "a dot by normalisation");
    assert_eq!(verdict(&with(file("", b"x"))), Some(PackageArchiveTraversal), "no name");
}

#[test]
fn names_whose_encoding_is_open_are_refused() {
    let raw = |name: &[u8], flags| with(File { name: name.to_vec(), flags, ..file("x", b"x") });
    check(
        PackageArchiveNameEncoding,
        vec![
            ("Latin-1 marked as UTF-8", raw(b"h\xf6he.txt", 1 << 11)),
            ("Latin-1", raw(b"h\xf6he.txt", 0)),
            ("overlong slash", raw(b"..\xc0\xafx", 1 << 11)),
            ("surrogate", raw(b"a\xed\xa0\x80b", 1 << 11)),
            ("cut short", raw(b"a\xe2\x82", 1 << 11)),
            ("UTF-8 that is not marked", raw("höhe.txt".as_bytes(), 0)),
        ],
    );
}

#[test]
fn equal_names_are_refused() {
    check(
        PackageArchiveDuplicate,
        vec![
            ("two files", named(&["a/t", "x", "a/t"])),
            ("neighbours", named(&["manifest.json", "manifest.json"])),
            ("two directories", build(&[directory("d/"), directory("d/")]).bytes),
            ("not ASCII", named(&["ö", "ö"])),
        ],
    );
}

#[test]
fn names_that_are_equal_for_some_systems_are_refused() {
    check(
        PackageArchiveCollision,
        vec![
            ("case", named(&["assets/T.txt", "assets/t.TXT"])),
            ("case of a directory", named(&["Assets/a", "assets/b"])),
            ("case of a listed directory", build(&[directory("D/"), file("d/x", b"")]).bytes),
            ("composed and decomposed", named(&["\u{e9}", "e\u{301}"])),
            ("full folding", named(&["straße", "STRASSE"])),
            ("ligature", named(&["ﬁle", "file"])),
            ("Kelvin", named(&["\u{212a}", "k"])),
            ("full width", named(&["ａ", "a"])),
            ("final sigma", named(&["ς", "Σ"])),
            ("a file is a directory", named(&["assets/n", "assets/n/m"])),
            ("a directory is a file", named(&["assets/n/m", "assets/n"])),
            ("a file and a listed directory", build(&[directory("n/"), file("n", b"")]).bytes),
        ],
    );
}

#[test]
fn links_are_refused() {
    let link = |attributes, made_by| with(File { attributes, made_by, ..file("assets/l", b"/etc/hosts") });
    let extra = |id, content: &[u8]| with(File { central_extra: extra(id, content), ..file("l", b"x") });
    check(
        PackageArchiveLink,
        vec![
            ("symbolic link", link(0o120_777 << 16, 3 << 8 | 20)),
            ("made by DOS", link(0o120_777 << 16, 20)),
            ("made by macOS", link(0o120_755 << 16, 19 << 8)),
            ("reparse point", link(0x400, 20)),
            ("reparse point with a Unix mode", link(0o100_644 << 16 | 0x8400, 3 << 8)),
            ("hard link in PKWARE's field", extra(0x0d, b"\0\0\0\0\0\0\0\0\0\0\0\0victim")),
            ("ASi's field", extra(0x756e, &[0; 14])),
            ("a link with the name of a directory", with(File { attributes: 0o120_777 << 16, ..directory("l/") })),
        ],
    );
}

#[test]
fn special_entries_are_refused() {
    let kind = |mode: u32| with(File { attributes: mode << 16, ..file("assets/p", b"") });
    let mut ways = vec![
        ("pipe", kind(0o010_644)),
        ("character device", kind(0o020_644)),
        ("block device", kind(0o060_644)),
        ("socket", kind(0o140_644)),
        ("unknown type", kind(0o170_644)),
        ("set-user-ID", kind(0o104_755)),
        ("set-group-ID", kind(0o102_755)),
        ("label of a disk", with(File { attributes: 0x08, made_by: 20, ..file("label", b"") })),
        ("DOS device", with(File { attributes: 0x40, made_by: 20, ..file("device", b"") })),
        ("directory by its mode only", kind(0o040_755)),
        ("directory by DOS's bit only", with(File { attributes: 0x10, made_by: 20, ..file("d", b"") })),
        ("directory by its name only", with(File { attributes: 0o100_644 << 16, ..directory("d/") })),
        ("directory with content", with(File { content: b"x".to_vec(), ..directory("d/") })),
        ("directory with deflated content", with(File { content: b"x".to_vec(), deflated: true, ..directory("d/") })),
    ];
    let hidden = File { deflated: true, packed: Some(b"\x03\x00hidden".to_vec()), ..directory("d/") };
    ways.push(("directory with hidden content", with(hidden)));
    check(PackageArchiveKind, ways);
}

#[test]
fn extra_fields_that_could_change_something_are_refused() {
    let central = |field: Vec<u8>| with(File { central_extra: field, ..file("name.txt", b"x") });
    let local = |field: Vec<u8>| with(File { local_extra: field, ..file("name.txt", b"x") });
    let unicode = |id, header: &[u8], text: &[u8]| {
        let mut content = vec![1];
        content.extend(crc(header).to_le_bytes());
        content.extend(text);
        extra(id, &content)
    };
    let times = || extra(0x5455, &[1, 0, 0, 0, 0]);
    assert_eq!(verdict(&central(unicode(0x7075, b"name.txt", b"name.txt"))), None);
    assert_eq!(verdict(&local(times())), None);
    check(
        PackageArchiveExtra,
        vec![
            ("another name", central(unicode(0x7075, b"name.txt", b"plugin.wasm"))),
            ("another name in the entry", local(unicode(0x7075, b"name.txt", b"plugin.wasm"))),
            ("a name for another header", central(unicode(0x7075, b"other", b"name.txt"))),
            ("a comment that is not there", central(unicode(0x6375, b"", b"comment"))),
            ("twice", central(joined(&[&times(), &times()]))),
            ("longer than its place", central(vec![0x55, 0x54, 200, 0])),
            ("cut", central(vec![0x55, 0x54, 1])),
            ("unknown", central(extra(0x1234, b"x"))),
            ("malformed times", central(extra(0x5455, &[7, 0]))),
            ("malformed owner", local(extra(0x7875, &[1, 200, 0]))),
        ],
    );
}

#[test]
fn encryption_is_refused() {
    let flag = |flags| with(File { flags, ..file("a", b"x") });
    let aes = extra(0x9901, &[2, 0, b'A', b'E', 3, 8, 0]);
    check(
        PackageArchiveEncrypted,
        vec![
            ("traditional", flag(1)),
            ("strong", flag(0x41)),
            ("strong only", flag(0x40)),
            ("masked headers", flag(0x2000)),
            ("AES's field", with(File { central_extra: aes, ..file("a", b"x") })),
        ],
    );
}

#[test]
fn other_methods_are_refused() {
    let methods: [u16; 12] = [1, 6, 9, 10, 12, 14, 18, 93, 95, 96, 98, 99];
    let archives = methods.map(|method| ("method", plain().both(0, 4, &method.to_le_bytes()).bytes));
    check(PackageArchiveMethod, archives.to_vec());
}

#[test]
fn unknown_features_are_refused() {
    let flag = |flags| with(File { flags, ..file("a", b"x") });
    check(
        PackageArchiveFeature,
        vec![
            ("patched data", flag(1 << 5)),
            ("bit 4", flag(1 << 4)),
            ("bit 7", flag(1 << 7)),
            ("bit 12", flag(1 << 12)),
            ("bit 15", flag(1 << 15)),
            ("version 99.9", with(File { needed: 999, ..file("a", b"x") })),
            ("version 6.3 in the entry only", plain().local(0, 4, &[63]).bytes),
            ("made on VMS", with(File { made_by: 2 << 8 | 20, ..file("a", b"x") })),
        ],
    );
}

#[test]
fn bombs_are_refused() {
    let zeros = |len: usize| file("zeros", &vec![0; len]);
    let many = |count: usize| (0..count).map(|number| file(&format!("f{number}"), b"")).collect::<Vec<_>>();
    let size = |size: u32| plain().both(0, 18, &size.to_le_bytes()).bytes;
    let layers = |count: usize| (0..count).map(|number| file(&format!("{number}/a/b/c/d/e"), b"")).collect::<Vec<_>>();
    let halves: Vec<File> = (0..40).map(|number| file(&format!("f{number}"), &vec![0; 1 << 20])).collect();
    check(
        PackageArchiveRatio,
        vec![
            ("two mebibytes of zeros", with(zeros(2 << 20))),
            ("fifty mebibytes of zeros", with(zeros(50 << 20))),
            ("many entries below the threshold", build(&halves).bytes),
            ("declared", size(90 << 20)),
        ],
    );
    check(
        PackageArchiveCount,
        vec![
            ("no entries", build(&[]).bytes),
            ("1,001 entries", build(&many(1_001)).bytes),
            ("65,000 entries", build(&many(65_000)).bytes),
            ("900 implied directories and 200 files", build(&layers(200)).bytes),
        ],
    );
    assert_eq!(verdict(&build(&many(1_000)).bytes), None);
    let stored = |len| File { deflated: false, ..file("large", &vec![0; len]) };
    check(
        PackageArchiveSize,
        vec![
            ("declared", size(0x7fff_ffff)),
            ("declared, all together", {
                let same = |number: usize| File { name: format!("f{number}").into(), ..stored(90 << 20) };
                build(&[same(0), same(1), same(2)]).bytes
            }),
            ("stored", with(stored((100 << 20) + 1))),
            (
                "a long comment",
                build_with(&[zeros(1)], &Ending { comment: vec![b'x'; 1_025], ..Ending::default() }).bytes,
            ),
            ("a large directory", {
                let comment = vec![b'x'; 60_000];
                let files: Vec<File> =
                    many(30).into_iter().map(|file| File { comment: comment.clone(), ..file }).collect();
                build(&files).bytes
            }),
        ],
    );
    let depth = |count: usize| with(file(&vec!["d"; count].join("/"), b""));
    check(PackageArchiveDepth, vec![("17", depth(17)), ("20", depth(20)), ("110", depth(110))]);
    assert_eq!(verdict(&depth(16)), None);
}

#[test]
fn contents_that_are_not_as_declared_are_refused() {
    let content = b"content content content content".as_slice();
    let packed = deflate(content);
    let declared = |size: u32| plain_with(content).both(0, 18, &size.to_le_bytes()).bytes;
    fn plain_with(content: &[u8]) -> Built {
        built(file("a", content))
    }
    check(
        PackageArchiveSizeMismatch,
        vec![
            ("more than declared", declared(3)),
            ("nothing declared", declared(0)),
            ("one less declared", declared(content.len() as u32 - 1)),
            ("fewer than declared", declared(content.len() as u32 + 1)),
            (
                "stored with another size",
                with(File { deflated: false, packed: Some(b"xy".to_vec()), ..file("a", b"xyz") }),
            ),
        ],
    );
    let crc = |with: &[u8]| plain_with(content).both(0, 10, with).bytes;
    check(
        PackageArchiveCrc,
        vec![
            ("another checksum", crc(&[0x11; 4])),
            ("no checksum", crc(&[0; 4])),
            ("other content", with(File { deflated: false, packed: Some(b"xyZ".to_vec()), ..file("a", b"xyz") })),
        ],
    );
    let raw = |packed: Vec<u8>| with(File { packed: Some(packed), ..file("a", content) });
    check(
        PackageArchiveContent,
        vec![
            ("nothing", raw(Vec::new())),
            ("cut", raw(packed[..packed.len() - 1].to_vec())),
            ("cut in half", raw(packed[..packed.len() / 2].to_vec())),
            ("garbage", raw(vec![0xff; 20])),
            ("a block of unknown type", raw(vec![0x07, 0, 0])),
            ("bytes behind the stream", raw(joined(&[&packed, b"x"]))),
            ("a second stream", raw(joined(&[&packed, &packed]))),
            ("zlib instead of deflate", raw(joined(&[b"\x78\x9c", &packed]))),
        ],
    );
}
