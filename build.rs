//! Builds the launcher of native plugins, which the library embeds, and generates their gRPC protocol.
//!
//! The launcher is a static program for the same machine. It is built by a cargo of its own with its own target
//! directory: the outer cargo holds the lock of the other one until this script ends.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Settings of the outer build that would change the inner one, or wrap its compiler.
const NOT_INHERITED: [&str; 8] = [
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTFLAGS",
    "__CARGO_TEST_ROOT",
];

fn main() -> Result<(), Box<dyn Error>> {
    for path in ["build.rs", "launcher/Cargo.lock", "launcher/Cargo.toml", "launcher/src"] {
        println!("cargo::rerun-if-changed={path}");
    }
    println!("cargo::rustc-check-cfg=cfg(native_plugins)");
    if env::var_os("CARGO_FEATURE_NATIVE").is_none() {
        return Ok(());
    }
    let machine = env::var("CARGO_CFG_TARGET_ARCH")?;
    if env::var("CARGO_CFG_TARGET_OS")? != "linux" || !["x86_64", "aarch64"].contains(&machine.as_str()) {
        return Ok(());
    }
    let built = build_launcher(&env::var("TARGET")?)?;
    fs::copy(built, Path::new(&env::var("OUT_DIR")?).join("launcher"))?;
    println!("cargo::rustc-cfg=native_plugins");
    generate_protocol()
}

/// Messages and services of the gRPC protocol, from `proto/`.
fn generate_protocol() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = [
        "goatflow/plugin/v1/plugin.proto",
        "goplugin/grpc_broker.proto",
        "goplugin/grpc_controller.proto",
        "goplugin/grpc_stdio.proto",
        "grpc/health/v1/health.proto",
    ];
    let descriptors = protox::compile(files, ["proto"])?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}

fn build_launcher(target: &str) -> Result<PathBuf, Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("launcher");
    let directory = PathBuf::from(env::var("OUT_DIR")?).join("launcher-target");
    let build = |is_offline: bool| {
        let mut command = Command::new(env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
        command.current_dir(&root).args(["build", "--release", "--locked", "--quiet", "--target", target]);
        command.arg("--target-dir").arg(&directory);
        for name in NOT_INHERITED {
            command.env_remove(name);
        }
        command.env("RUSTFLAGS", "-C target-feature=+crt-static");
        if is_offline {
            command.arg("--offline");
        }
        command.status()
    };
    // What it needs is what the library needs, so that it is there; a network is asked only when it is not.
    if !build(true)?.success() && !build(false)?.success() {
        return Err("the launcher of native plugins can't be built (see above)".into());
    }
    Ok(directory.join(target).join("release/goatflow-launcher"))
}
