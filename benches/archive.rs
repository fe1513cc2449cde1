//! Reads, checks and extracts a package, N times: `cargo bench --bench archive -- PACKAGE DIRECTORY N`. Compare with
//! `unzip -qq -o PACKAGE -d DIRECTORY` and `python3 -m zipfile -e PACKAGE DIRECTORY`, CPU time of whole processes.

use std::path::Path;

use goatflow_plugin::package::archive::{Archive, Limits};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [package, directory, count] = &arguments[..] else {
        return Err("usage: archive PACKAGE DIRECTORY N".into());
    };
    for number in 0..count.parse::<u32>()? {
        let staging = Path::new(directory).join(number.to_string());
        std::fs::create_dir_all(&staging)?;
        let archive = Archive::read(std::fs::read(package)?, &Limits::default())?;
        archive.extract_into(&staging)?;
    }
    Ok(())
}
