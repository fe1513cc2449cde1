//! Archives are read or refused; what is accepted gives all its contents, and packed again it is accepted again.
#![no_main]

use goatflow_plugin_fuzz::package::archive::{Archive, EntryKind, Limits, write};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { file_bytes: 1 << 20, total_bytes: 1 << 22, ..Limits::default() };
    let Ok(archive) = Archive::read(bytes.to_vec(), &limits) else { return };
    let files = archive.entries().iter().filter(|entry| entry.kind() == EntryKind::File);
    let files: Vec<_> = files.map(|entry| (entry.name(), archive.content(entry).unwrap())).collect();
    for ((_, content), entry) in
        files.iter().zip(archive.entries().iter().filter(|entry| entry.kind() == EntryKind::File))
    {
        assert_eq!(content.len() as u64, entry.size());
    }
    if !files.is_empty() {
        let packed = write(files.iter().map(|(name, content)| (*name, content)), &limits).unwrap();
        assert_eq!(Archive::read(packed, &limits).unwrap().entries().len(), files.len());
    }
});
