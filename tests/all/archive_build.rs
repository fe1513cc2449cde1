//! Builds archives of every kind, legal or not, byte by byte.

use std::io::Write;

/// What follows a content.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Descriptor {
    None,
    /// With or without its signature, with sizes of eight or four bytes.
    Follows {
        signed: bool,
        wide: bool,
    },
}

/// One entry.
#[derive(Clone, Debug)]
pub struct File {
    pub name: Vec<u8>,
    pub content: Vec<u8>,
    pub deflated: bool,
    pub flags: u16,
    pub made_by: u16,
    pub needed: u16,
    pub time: u32,
    pub attributes: u32,
    pub local_extra: Vec<u8>,
    pub central_extra: Vec<u8>,
    pub comment: Vec<u8>,
    pub descriptor: Descriptor,
    /// Bytes between this entry and what comes next.
    pub gap: Vec<u8>,
    /// Sizes in zip64 fields of both headers.
    pub zip64: bool,
    /// Compressed bytes, instead of those of `content`.
    pub packed: Option<Vec<u8>>,
}

/// A plain file.
pub fn file(name: &str, content: &[u8]) -> File {
    File {
        name: name.into(),
        content: content.into(),
        deflated: true,
        flags: if name.is_ascii() { 0 } else { 1 << 11 },
        made_by: 3 << 8 | 20,
        needed: 20,
        time: 0x5c43_2085,
        attributes: 0o100_644 << 16,
        local_extra: Vec::new(),
        central_extra: Vec::new(),
        comment: Vec::new(),
        descriptor: Descriptor::None,
        gap: Vec::new(),
        zip64: false,
        packed: None,
    }
}

/// A directory.
pub fn directory(name: &str) -> File {
    File { deflated: false, attributes: 0o040_755 << 16 | 0x10, ..file(name, b"") }
}

/// An archive and the places of its records.
#[derive(Clone, Debug)]
pub struct Built {
    pub bytes: Vec<u8>,
    pub local: Vec<usize>,
    pub central: Vec<usize>,
    pub end: usize,
}

impl Built {
    /// Overwrites bytes.
    pub fn put(mut self, at: usize, with: &[u8]) -> Self {
        self.bytes[at..at + with.len()].copy_from_slice(with);
        self
    }

    /// Overwrites bytes of a header of the directory.
    pub fn central(self, number: usize, at: usize, with: &[u8]) -> Self {
        let at = self.central[number] + at;
        self.put(at, with)
    }

    /// Overwrites bytes of an entry's own header.
    pub fn local(self, number: usize, at: usize, with: &[u8]) -> Self {
        let at = self.local[number] + at;
        self.put(at, with)
    }

    /// Overwrites bytes of both headers; `at` counts from the version needed, from which on they are the same.
    pub fn both(self, number: usize, at: usize, with: &[u8]) -> Self {
        self.central(number, at + 6, with).local(number, at + 4, with)
    }

    /// Overwrites bytes of the end record.
    pub fn end(self, at: usize, with: &[u8]) -> Self {
        let at = self.end + at;
        self.put(at, with)
    }
}

/// How an archive ends.
#[derive(Clone, Default, Debug)]
pub struct Ending {
    pub comment: Vec<u8>,
    pub zip64: bool,
    /// Fields of the end record refer to the zip64 record.
    pub refers: bool,
}

pub fn deflate(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

pub fn crc(content: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(content);
    crc.sum()
}

pub fn extra(id: u16, content: &[u8]) -> Vec<u8> {
    let mut field = id.to_le_bytes().to_vec();
    field.extend((content.len() as u16).to_le_bytes());
    field.extend(content);
    field
}

fn fields16(out: &mut Vec<u8>, fields: &[u16]) {
    fields.iter().for_each(|field| out.extend(field.to_le_bytes()));
}

fn fields32(out: &mut Vec<u8>, fields: &[u32]) {
    fields.iter().for_each(|field| out.extend(field.to_le_bytes()));
}

fn wide(size: usize, packed: usize) -> Vec<u8> {
    let mut content = (size as u64).to_le_bytes().to_vec();
    content.extend((packed as u64).to_le_bytes());
    extra(1, &content)
}

pub fn build(files: &[File]) -> Built {
    build_with(files, &Ending::default())
}

pub fn build_with(files: &[File], ending: &Ending) -> Built {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    let mut built = Built { bytes: Vec::new(), local: Vec::new(), central: Vec::new(), end: 0 };
    for file in files {
        let deflated = if file.deflated { deflate(&file.content) } else { file.content.clone() };
        let packed = file.packed.clone().unwrap_or(deflated);
        let (crc, offset) = (crc(&file.content), bytes.len() as u32);
        let follows = file.descriptor != Descriptor::None;
        let flags = if follows { file.flags | 1 << 3 } else { file.flags };
        let method = if file.deflated { 8 } else { 0 };
        let needed = if file.zip64 { 45 } else { file.needed };
        let short = |size: usize| if file.zip64 { u32::MAX } else { size as u32 };

        built.local.push(bytes.len());
        let known = if follows { (0, 0, 0) } else { (crc, packed.len(), file.content.len()) };
        let mut extra = if file.zip64 { wide(known.2, known.1) } else { Vec::new() };
        extra.extend(&file.local_extra);
        bytes.extend(b"PK\x03\x04");
        fields16(&mut bytes, &[needed, flags, method]);
        fields32(&mut bytes, &[file.time, known.0, short(known.1), short(known.2)]);
        fields16(&mut bytes, &[file.name.len() as u16, extra.len() as u16]);
        bytes.extend(&file.name);
        bytes.extend(&extra);
        bytes.extend(&packed);
        if let Descriptor::Follows { signed, wide } = file.descriptor {
            let mut record = if signed { b"PK\x07\x08".to_vec() } else { Vec::new() };
            record.extend(crc.to_le_bytes());
            for size in [packed.len(), file.content.len()] {
                record.extend(&(size as u64).to_le_bytes()[..if wide { 8 } else { 4 }]);
            }
            bytes.extend(record);
        }
        bytes.extend(&file.gap);

        built.central.push(directory.len());
        let mut extra = if file.zip64 { wide(file.content.len(), packed.len()) } else { Vec::new() };
        extra.extend(&file.central_extra);
        directory.extend(b"PK\x01\x02");
        fields16(&mut directory, &[file.made_by, needed, flags, method]);
        fields32(&mut directory, &[file.time, crc, short(packed.len()), short(file.content.len())]);
        fields16(&mut directory, &[file.name.len() as u16, extra.len() as u16, file.comment.len() as u16, 0, 0]);
        fields32(&mut directory, &[file.attributes, offset]);
        directory.extend(&file.name);
        directory.extend(&extra);
        directory.extend(&file.comment);
    }
    built.central.iter_mut().for_each(|at| *at += bytes.len());
    let (count, size, offset) = (files.len(), directory.len(), bytes.len());
    bytes.extend(directory);
    if ending.zip64 {
        let place = bytes.len() as u64;
        bytes.extend(b"PK\x06\x06");
        bytes.extend(44_u64.to_le_bytes());
        fields16(&mut bytes, &[45, 45]);
        fields32(&mut bytes, &[0, 0]);
        for field in [count, count, size, offset] {
            bytes.extend((field as u64).to_le_bytes());
        }
        bytes.extend(b"PK\x06\x07\0\0\0\0");
        bytes.extend(place.to_le_bytes());
        fields32(&mut bytes, &[1]);
    }
    built.end = bytes.len();
    let refers = ending.refers;
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    let count = if refers { u16::MAX } else { count as u16 };
    fields16(&mut bytes, &[count, count]);
    let (size, offset) = if refers { (u32::MAX, u32::MAX) } else { (size as u32, offset as u32) };
    fields32(&mut bytes, &[size, offset]);
    fields16(&mut bytes, &[ending.comment.len() as u16]);
    bytes.extend(&ending.comment);
    built.bytes = bytes;
    built
}
