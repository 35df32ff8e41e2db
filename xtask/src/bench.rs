//! `cargo xtask bench`.

use std::{env, path::PathBuf, process::ExitCode};

use crate::{
    process::{self, cargo, exit_code, root},
    suites::NODE_PEERS,
    tools::{Node, Toolbox},
};

/// Where the other RPC libraries are, which are no members of the workspace.
const RPC: &str = "benches/rpc";
/// Tells the benchmarks their program.
const RPC_PROGRAM: &str = "MOLECULER_BENCH_RPC";

/// Runs the benchmarks, with the JS peers where Node.js is installed, and with
/// other RPC libraries if those can be built.
pub(crate) fn run(args: &[String]) -> ExitCode {
    let mut command = cargo(["run", "--release", "--package", "benches", "--"]);
    // A file named in the arguments is where the user is, not in the root.
    command.args(args).current_dir(".");
    if args.iter().any(|arg| arg == "nats") {
        // Without one, the benchmark says so.
        let toolbox = Toolbox::default();
        let programs = toolbox.nats().0.iter().map(|nats| &nats.variable);
        command.envs(programs.map(|(name, value)| (name, value)));
    }
    if needs_rpc(args) && env::var_os(RPC_PROGRAM).is_none() {
        match build_rpc() {
            Ok(program) => _ = command.env(RPC_PROGRAM, program),
            Err(reason) => println!("Without other RPC libraries: {reason}"),
        }
    }
    if needs_js(args) {
        let installed = Node::find().and_then(|node| node.install_packages(NODE_PEERS));
        if let Err(reason) = installed {
            println!("Without the JS peers: {reason}");
            command.arg("--no-js");
        }
    }
    exit_code(&mut command)
}

fn needs_js(args: &[String]) -> bool {
    !args.iter().any(|arg| matches!(arg.as_str(), "--no-js" | "--help" | "-h"))
}

/// They are peers of calls over TCP alone.
fn needs_rpc(args: &[String]) -> bool {
    let others = ["local", "scale", "codec", "start", "nats", "--help", "-h"];
    !args.iter().any(|arg| others.contains(&arg.as_str()))
}

fn build_rpc() -> Result<PathBuf, String> {
    let folder = root().join("target/benches-rpc");
    let mut cargo = cargo(["build", "--release", "--locked", "--target-dir"]);
    cargo.arg(&folder).arg("--manifest-path").arg(root().join(RPC).join("Cargo.toml"));
    process::show(&mut cargo)?;
    Ok(folder.join("release/benches-rpc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn js_peers_are_installed_only_to_be_measured() {
        let cases = [
            ("local --rounds 1", true),
            ("local --no-js", false),
            ("nats", true),
            ("--help", false),
        ];
        for (line, expected) in cases {
            let args: Vec<_> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(needs_js(&args), expected, "{line}");
        }
    }

    #[test]
    fn rpc_libraries_are_built_only_to_be_measured() {
        for (line, expected) in [("remote --rounds 1", true), ("--no-js", true), ("nats", false)] {
            let args: Vec<_> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(needs_rpc(&args), expected, "{line}");
        }
    }
}
