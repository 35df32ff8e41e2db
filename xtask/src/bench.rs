//! `cargo xtask bench`.

use std::process::ExitCode;

use crate::{
    process::{cargo, exit_code},
    suites::NODE_PEERS,
    tools::{Node, Toolbox},
};

/// Runs the benchmarks, with the JS peers where Node.js is installed.
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
    !args.iter().any(|arg| matches!(arg.as_str(), "--no-js" | "nats" | "--help" | "-h"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn js_peers_are_installed_only_to_be_measured() {
        let cases = [
            ("local --rounds 1", true),
            ("local --no-js", false),
            ("nats", false),
            ("--help", false),
        ];
        for (line, expected) in cases {
            let args: Vec<_> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(needs_js(&args), expected, "{line}");
        }
    }
}
