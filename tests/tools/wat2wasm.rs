//! Compiles WebAssembly text: `wat2wasm IN.wat OUT.wasm`. For the test modules that C, Go and Python load.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [from, to] = &arguments[..] else { return Err("usage: wat2wasm IN.wat OUT.wasm".into()) };
    std::fs::write(to, wat::parse_file(from)?)?;
    Ok(())
}
