//! Archives of ordinary tools are read; ours are reproducible and read by others; extraction writes what was checked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use goatflow_plugin::error::ErrorCode;
use goatflow_plugin::package::archive::{Archive, EntryKind, Limits, pack, write};
use sha2::{Digest, Sha256};

use super::archive_build::{self as build, File};

fn read(bytes: &[u8]) -> Archive {
    Archive::read(bytes.to_vec(), &Limits::default()).unwrap()
}

/// Names and contents of all files.
fn contents(archive: &Archive) -> BTreeMap<String, Vec<u8>> {
    let files = archive.entries().iter().filter(|entry| entry.kind() == EntryKind::File);
    files.map(|entry| (entry.name().to_owned(), archive.content(entry).unwrap().into_owned())).collect()
}

/// Names and contents of all files below a directory.
fn files_below(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let (mut found, mut open) = (BTreeMap::new(), vec![root.to_path_buf()]);
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            found.insert(name, std::fs::read(&path).unwrap());
        }
    }
    found
}

fn code<T: std::fmt::Debug>(result: goatflow_plugin::error::Result<T>) -> ErrorCode {
    result.unwrap_err().code()
}

#[test]
fn archives_of_ordinary_tools_are_read() {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/archives");
    let directory = std::env::var_os("GOATFLOW_TEST_ARCHIVES").map_or(committed, PathBuf::from);
    let text: String = (0..300).map(|line| format!("line {line} of a text that compresses\n")).collect();
    let mut tools = Vec::new();
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.extension().is_none_or(|extension| extension != "zip") {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        if name == "infozip-unmarked-name.zip" {
            assert_eq!(code(Archive::read(bytes, &Limits::default())), ErrorCode::PackageArchiveNameEncoding);
            continue;
        }
        let archive = Archive::read(bytes, &Limits::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut files = contents(&archive);
        files.retain(|name, _| !name.starts_with("META-INF/"));
        let expected: [(&str, &[u8]); 6] = [
            ("assets/höhe.txt", b"x"),
            ("assets/img/empty.svg", b""),
            ("assets/text.txt", text.as_bytes()),
            ("demo.wasm", b"\0asm\x01\0\0\0"),
            ("i18n/de.json", "{\"hello\": \"hallöchen\"}".as_bytes()),
            ("manifest.json", b"{\"name\": \"demo\", \"version\": \"0.1.0\"}"),
        ];
        let without_umlaut = usize::from(name.starts_with("infozip"));
        let files: Vec<(&str, &[u8])> =
            files.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect();
        let mut expected: Vec<(&str, &[u8])> = expected[without_umlaut..].to_vec();
        expected.sort();
        assert_eq!(files, expected, "{name}");
        tools.push(name.split('-').next().unwrap().to_owned());
    }
    tools.sort();
    let counted: Vec<(&str, usize)> = ["7zip", "go", "infozip", "java", "python"]
        .map(|tool| (tool, tools.iter().filter(|found| *found == tool).count()))
        .to_vec();
    if std::env::var_os("GOATFLOW_TEST_ARCHIVES").is_none() {
        assert_eq!(counted, [("7zip", 3), ("go", 4), ("infozip", 6), ("java", 4), ("python", 6)]);
    }
}

#[test]
fn what_is_harmless_is_accepted() {
    let file = |name| build::file(name, b"content");
    let ntfs = build::extra(0x0a, &[&[0, 0, 0, 0, 1, 0, 24, 0][..], &[7; 24]].concat());
    let archives = [
        File { time: 0, ..file("zero-time") },
        File { time: u32::MAX, ..file("odd-time") },
        File { local_extra: ntfs.clone(), central_extra: ntfs, ..file("ntfs") },
        File { local_extra: build::extra(0xd935, &[4, 0, 0, 0, 0]), ..file("aligned") },
        File { local_extra: build::extra(0xa11e, &[4, 0]), ..file("aligned-otherwise") },
        File { local_extra: build::extra(0x5455, &[3, 0, 0, 0, 0, 1, 1, 1, 1]), ..file("times") },
        File { flags: 1 << 11, ..file("ascii-marked-as-utf8") },
        File { flags: 0b110, ..file("fast") },
        File { attributes: 0, made_by: 20, ..file("no-attributes") },
        File { attributes: 0o100_777 << 16, ..file("all-may-write") },
        File { comment: b"a comment".to_vec(), ..file("comment") },
        build::file("nested.zip", &build::build(&[file("inside")]).bytes),
        File { deflated: false, ..build::file("nested-stored.zip", &build::build(&[file("inside")]).bytes) },
        build::file("under-a-mebibyte", &vec![0; 1 << 20]),
        File { deflated: true, ..build::directory("deflated-directory/") },
        File { attributes: 0o042_755 << 16, ..build::directory("set-group-id-directory/") },
    ];
    for archive in &archives {
        let built = build::build(&[archive.clone(), file("other")]);
        let read = Archive::read(built.bytes, &Limits::default());
        assert!(read.is_ok(), "{:?}: {}", String::from_utf8_lossy(&archive.name), read.unwrap_err());
    }
    let all = build::build(&archives);
    assert_eq!(read(&all.bytes).entries().len(), archives.len());
}

#[test]
fn the_same_files_give_the_same_bytes() {
    let files = [("b/höhe.txt", b"second".to_vec()), ("a.txt", vec![b'a'; 5_000]), ("zeros", vec![0; 3 << 20])];
    let mut reversed = files.clone();
    reversed.reverse();
    let bytes = write(files.clone(), &Limits::default()).unwrap();
    assert_eq!(bytes, write(reversed, &Limits::default()).unwrap());
    let expected: BTreeMap<String, Vec<u8>> =
        files.into_iter().map(|(name, content)| (name.to_owned(), content)).collect();
    assert_eq!(contents(&read(&bytes)), expected);
    // Of these very bytes: a change of compressor or format must be noticed and told to users.
    let small = write([("a", "a".repeat(100)), ("dir/b", "text".to_owned())], &Limits::default()).unwrap();
    let digest: String = Sha256::digest(&small).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest, "da6b50d5972f32a0450199470f8a405bc259b92dc99a8f33e7add5c43af3b531");
}

#[test]
fn what_the_reader_would_refuse_is_not_written() {
    let one = |name: &str| code(write([(name, "x")], &Limits::default()));
    assert_eq!(one("../x"), ErrorCode::PackageArchiveTraversal);
    assert_eq!(one("a:b".replace('a', "ab").as_str()), ErrorCode::PackageArchiveName);
    assert_eq!(one("dir/"), ErrorCode::PackageArchiveName);
    assert_eq!(code(write([("a", "x"), ("A", "y")], &Limits::default())), ErrorCode::PackageArchiveCollision);
    assert_eq!(code(write([("a", "x"), ("a", "y")], &Limits::default())), ErrorCode::PackageArchiveDuplicate);
    let tight = Limits { total_bytes: 3, entries: 2, file_bytes: 2, ..Limits::default() };
    assert_eq!(code(write([("a", "xx"), ("b", "yy")], &tight)), ErrorCode::PackageArchiveSize);
    assert_eq!(code(write([("a", "xxx")], &tight)), ErrorCode::PackageArchiveSize);
    assert_eq!(code(write([("a", "x"), ("b/c", "y")], &tight)), ErrorCode::PackageArchiveCount);
    assert_eq!(code(write(Vec::<(&str, &str)>::new(), &tight)), ErrorCode::PackageArchiveCount);
}

#[test]
fn a_directory_is_packed_without_what_does_not_belong() {
    let root = tempfile::tempdir().unwrap();
    for name in [
        "manifest.json",
        "assets/target.png",
        "assets/target/x",
        "assets/old.zip",
        ".git/config",
        "assets/.DS_Store",
        "node_modules/m/index.js",
        "target/debug/x",
        "demo-0.1.zip",
        "demo-0.1.zip.sig",
    ] {
        let path = root.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, name).unwrap();
    }
    let bytes = pack(root.path(), &Limits::default()).unwrap();
    let names: Vec<String> = contents(&read(&bytes)).into_keys().collect();
    assert_eq!(names, ["assets/old.zip", "assets/target.png", "assets/target/x", "manifest.json"]);
    assert_eq!(bytes, pack(root.path(), &Limits::default()).unwrap());

    let link = root.path().join("assets/link");
    std::os::unix::fs::symlink("target.png", &link).unwrap();
    let error = pack(root.path(), &Limits::default()).unwrap_err();
    assert_eq!((error.code(), &error.detail()["entry"]), (ErrorCode::PackageArchiveSource, &"assets/link".into()));
    std::fs::remove_file(&link).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &link, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    assert_eq!(code(pack(root.path(), &Limits::default())), ErrorCode::PackageArchiveSource);
}

#[test]
fn extraction_writes_what_was_checked_with_plain_modes() {
    use std::os::unix::fs::PermissionsExt;
    let files = [
        build::directory("empty/"),
        File { attributes: 0o100_777 << 16, ..build::file("assets/a/b.txt", b"content") },
        build::file("assets/a-b", b""),
        File { attributes: 0o100_400 << 16, deflated: false, ..build::file("assets/c", b"stored") },
        build::file("z", &vec![7; 100_000]),
    ];
    let archive = read(&build::build(&files).bytes);
    let staging = tempfile::tempdir().unwrap();
    let extracted = archive.extract_into(staging.path()).unwrap();
    assert_eq!(files_below(staging.path()), contents(&archive));
    assert!(staging.path().join("empty").is_dir());
    for file in &extracted {
        let path = staging.path().join(&file.name);
        assert_eq!(<[u8; 32]>::from(Sha256::digest(std::fs::read(&path).unwrap())), file.sha256);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7_777, 0o644);
    }
    let names: Vec<&str> = extracted.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["assets/a/b.txt", "assets/a-b", "assets/c", "z"]);
    for directory in ["empty", "assets", "assets/a"] {
        let mode = std::fs::metadata(staging.path().join(directory)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7_777, 0o755, "{directory}");
    }
    assert_eq!(code(archive.extract_into(staging.path())), ErrorCode::ArgumentInvalid);
    assert_eq!(files_below(staging.path()), contents(&archive));
}

#[test]
fn extraction_follows_no_link() {
    let archive = read(&build::build(&[build::file("a/b", b"x"), build::file("c", b"y")]).bytes);
    let parent = tempfile::tempdir().unwrap();
    let (real, link) = (parent.path().join("real"), parent.path().join("link"));
    std::fs::create_dir(&real).unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    assert_eq!(code(archive.extract_into(&link)), ErrorCode::EnvironmentIo);
    assert_eq!(code(archive.extract_into(&parent.path().join("none"))), ErrorCode::EnvironmentIo);
    assert!(files_below(&real).is_empty());
}

/// In a process that may open few files only, so that extraction fails on its way down.
#[test]
fn extraction_takes_back_what_it_wrote() {
    const STAGING: &str = "GOATFLOW_TEST_STAGING";
    let deep = format!("b/{}", vec!["d"; 15].join("/"));
    let bytes = build::build(&[build::file("a", b"x"), build::file(&deep, b"y"), build::file("c", b"z")]).bytes;
    if let Some(staging) = std::env::var_os(STAGING) {
        assert_eq!(code(read(&bytes).extract_into(Path::new(&staging))), ErrorCode::EnvironmentIo);
        return;
    }
    let staging = tempfile::tempdir().unwrap();
    let output = std::process::Command::new("sh")
        .args(["-c", "ulimit -n 14; exec \"$0\" --exact archive_tools::extraction_takes_back_what_it_wrote"])
        .arg(std::env::current_exe().unwrap())
        .env(STAGING, staging.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    assert_eq!(std::fs::read_dir(staging.path()).unwrap().count(), 0);
    assert_eq!(read(&bytes).extract_into(staging.path()).unwrap().len(), 3);
}

#[test]
fn large_archives_give_their_contents_as_well() {
    let noise = |seed: u64| {
        let mut state = seed;
        let mut step = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 60) as u8
        };
        (0..20 << 20).map(|_| step()).collect::<Vec<u8>>()
    };
    let files = [build::file("one", &noise(1)), build::file("two", &noise(2))];
    let archive = read(&build::build(&files).bytes);
    for (entry, file) in archive.entries().iter().zip(&files) {
        assert!(archive.content(entry).unwrap() == file.content, "{}", entry.name());
    }
    let other = read(&build::build(&[build::file("one", b"x")]).bytes);
    assert_eq!(code(archive.content(&other.entries()[0])), ErrorCode::ArgumentInvalid);
}

#[test]
fn limits_of_the_host_are_kept() {
    let bytes = build::build(&[build::file("a/b", b"12345"), build::file("c", b"67890")]).bytes;
    let read = |limits: Limits| Archive::read(bytes.clone(), &limits).map(|archive| archive.entries().len());
    let exact = Limits { archive_bytes: bytes.len() as u64, entries: 3, file_bytes: 5, total_bytes: 10, ratio: 1 };
    assert_eq!(read(exact).unwrap(), 2);
    for (limits, expected) in [
        (Limits { archive_bytes: exact.archive_bytes - 1, ..exact }, ErrorCode::PackageArchiveSize),
        (Limits { entries: 2, ..exact }, ErrorCode::PackageArchiveCount),
        (Limits { file_bytes: 4, ..exact }, ErrorCode::PackageArchiveSize),
        (Limits { total_bytes: 9, ..exact }, ErrorCode::PackageArchiveSize),
    ] {
        assert_eq!(code(read(limits)), expected);
    }
}
