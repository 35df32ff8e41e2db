//! `cargo xtask fuzz`, and the suite of that name: the decoders under the
//! fuzzer, each for a bounded time.

use std::{
    fs,
    process::{Command, Stdio},
};

use crate::{
    process::{capture, cargo, root, show},
    report::{Outcome, Skip},
    tools::{Tool, Toolbox},
};

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FuzzArgs {
    /// For each target.
    pub(crate) seconds: u32,
    /// All if empty.
    pub(crate) targets: Vec<String>,
}

impl FuzzArgs {
    /// What a change can afford; the seeds alone reach most of the code.
    pub(crate) const SMOKE: Self = Self { seconds: 10, targets: Vec::new() };
}

/// Without sanitizers, which need a nightly compiler: they look for errors of
/// unsafe code, and the decoders have none.
const BUILD: [&str; 4] = ["fuzz", "build", "--sanitizer", "none"];
const RUN: [&str; 5] = ["fuzz", "run", "--sanitizer", "none", "decoder"];

pub(crate) fn run(outcome: &mut Outcome, toolbox: &Toolbox, args: &FuzzArgs) {
    let cargo_fuzz = match toolbox.cargo_fuzz() {
        Ok(cargo_fuzz) => cargo_fuzz,
        Err(reason) => return outcome.skips.push(Skip::Missing(Tool::CargoFuzz, reason)),
    };
    outcome.server = format!("cargo-fuzz {}", cargo_fuzz.version);
    let prepared = targets(args).and_then(|targets| {
        show(cargo_fuzz.command().args(BUILD).current_dir(root()))?;
        Ok(targets)
    });
    match prepared {
        Ok(targets) => targets.iter().for_each(|target| {
            match fuzz(cargo_fuzz.command(), target, args.seconds) {
                Ok(()) => outcome.passed += 1,
                Err(error) => outcome.fail(error),
            }
        }),
        Err(error) => outcome.fail(error),
    }
}

/// The targets to run; their seeds are written anew.
fn targets(args: &FuzzArgs) -> Result<Vec<String>, String> {
    let seeds = root().join("fuzz/seeds");
    let mut write_seeds = cargo(["run", "--quiet", "--package", "decoders", "--"]);
    let names = capture(write_seeds.arg(seeds))?;
    let all: Vec<_> = names.lines().map(str::to_owned).collect();
    choose(all, &args.targets)
}

fn choose(all: Vec<String>, wanted: &[String]) -> Result<Vec<String>, String> {
    if wanted.is_empty() {
        return Ok(all);
    }
    match wanted.iter().find(|name| !all.contains(name)) {
        Some(name) => Err(format!("no target is called `{name}`; valid: {}", all.join(", "))),
        None => Ok(wanted.to_vec()),
    }
}

/// What breaks a target is written where the replay test finds it.
fn fuzz(mut command: Command, target: &str, seconds: u32) -> Result<(), String> {
    let corpus = root().join("fuzz/corpus").join(target);
    let found = root().join("tests/decoders/inputs").join(target);
    for folder in [&corpus, &found] {
        fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    command.args(RUN).args([&corpus, &root().join("fuzz/seeds").join(target)]);
    command.args(["--", "-verbosity=0", "-print_final_stats=1", "-timeout=10", "-max_len=8192"]);
    command.arg(format!("-max_total_time={seconds}"));
    if seconds == FuzzArgs::SMOKE.seconds {
        // The same inputs each time: a change fails by its own fault only.
        command.args(["-seed=1", "-runs=100000"]);
    }
    command.arg(format!("-artifact_prefix={}/", found.display()));
    command.env("TARGET", target).current_dir(root()).stdin(Stdio::null());
    let output = command.output().map_err(|e| format!("cannot run cargo-fuzz: {e}"))?;
    // Goes only if it is empty.
    let _empty = fs::remove_dir(&found);
    let log = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        println!("{log}");
        return Err(format!("{target} failed; an input that broke it is in {}", found.display()));
    }
    let inputs = log.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    println!("{target}: {} inputs", inputs.unwrap_or_default().trim());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_chosen_by_name() {
        let all = || vec!["frames".to_owned(), "gossip".to_owned()];
        assert_eq!(choose(all(), &[]), Ok(all()));
        assert_eq!(choose(all(), &["gossip".to_owned()]), Ok(vec!["gossip".to_owned()]));
        assert_eq!(
            choose(all(), &["packet".to_owned()]),
            Err("no target is called `packet`; valid: frames, gossip".to_owned())
        );
    }
}
