//! Compiles SQLite's tokeniser, which its library does not export.

fn main() {
    println!("cargo::rerun-if-changed=src/sqlite_tokens.c");
    let source = std::env::var("DEP_SQLITE3_INCLUDE").expect("libsqlite3-sys tells where its source is");
    cc::Build::new().file("src/sqlite_tokens.c").include(source).warnings(false).opt_level(1).compile("sqlite_tokens");
}
