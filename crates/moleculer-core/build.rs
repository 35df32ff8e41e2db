//! Tells the crate which compiler builds it; other nodes see it in their lists.
#![allow(clippy::print_stdout, reason = "this is how a build script speaks")]

use std::{env, process::Command};

fn main() {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    // `rustc 1.89.0 (hash date)`
    let version = text.ok().and_then(|text| text.split(' ').nth(1).map(str::to_owned));
    println!("cargo::rustc-env=MOLECULER_RUSTC_VERSION={}", version.unwrap_or_default());
    println!("cargo::rerun-if-changed=build.rs");
}
