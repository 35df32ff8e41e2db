//! The test suites and how each is run.

use std::time::Duration;

use crate::{
    examples,
    fuzz::{self, FuzzArgs},
    libtest::Summary,
    process::{cargo, stream},
    report::{Outcome, Skip},
    servers::{self, Instance, Server},
    tools::{Tool, Toolbox},
};

/// The Node.js side of the interop tests and of examples that talk to it.
pub(crate) const NODE_PEERS: &str = "tests/interop/node";

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Suite {
    /// Unit, integration and conformance tests of all crates.
    Workspace,
    /// Examples in the documentation.
    Doc,
    /// The programs in `examples/`.
    Examples,
    /// The NATS transporter with each server.
    Nats,
    /// The Redis cacher with each server.
    Redis,
    /// Rust nodes and Node.js nodes in one cluster.
    Interop,
    /// The decoders under the fuzzer.
    Fuzz,
}

impl Suite {
    pub(crate) const ALL: [Self; 7] = [
        Self::Workspace,
        Self::Doc,
        Self::Examples,
        Self::Nats,
        Self::Redis,
        Self::Interop,
        Self::Fuzz,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Workspace => "workspace",
            Self::Doc => "doc",
            Self::Examples => "examples",
            Self::Nats => "nats",
            Self::Redis => "redis",
            Self::Interop => "interop",
            Self::Fuzz => "fuzz",
        }
    }

    pub(crate) fn run(self, toolbox: &Toolbox) -> Outcome {
        let mut outcome = Outcome::new(self.name());
        match self {
            Self::Workspace => {
                let targets = ["--lib", "--bins", "--tests", "--exclude", "interop"];
                let others =
                    ["--exclude", servers::NATS.package, "--exclude", servers::REDIS.package];
                cargo_test(&mut outcome, &[&ALL_CRATES[..], &targets, &others].concat(), &[]);
            }
            Self::Doc => cargo_test(&mut outcome, &[&ALL_CRATES[..], &["--doc"]].concat(), &[]),
            Self::Examples => examples::run(&mut outcome, toolbox),
            Self::Nats => with_servers(&mut outcome, &servers::NATS, toolbox.nats()),
            Self::Redis => with_servers(&mut outcome, &servers::REDIS, toolbox.redis()),
            Self::Interop => interop(&mut outcome, toolbox, false),
            Self::Fuzz => fuzz::run(&mut outcome, toolbox, &FuzzArgs::SMOKE),
        }
        outcome
    }
}

/// The same features for each use of the whole workspace, so that cargo builds
/// it once.
const ALL_CRATES: [&str; 2] = ["--workspace", "--all-features"];

/// The tests of a crate, once with each server.
fn with_servers(
    outcome: &mut Outcome,
    server: &Server,
    (instances, missing): &(Vec<Instance>, Vec<String>),
) {
    for instance in instances {
        println!("with {}", instance.name);
        let args = ["--package", server.package, "--lib", "--tests"];
        cargo_test(outcome, &args, std::slice::from_ref(&instance.variable));
    }
    outcome.server = join(instances);
    outcome.skips.extend(missing.iter().map(|why| Skip::Missing(server.tool, why.clone())));
}

fn join(instances: &[Instance]) -> String {
    instances.iter().map(|instance| instance.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// A slice of the matrix, or all of it, which then writes its table.
pub(crate) fn interop(outcome: &mut Outcome, toolbox: &Toolbox, all: bool) {
    let server = toolbox.node().and_then(|node| {
        node.install_packages(NODE_PEERS)?;
        node.describe_moleculer(NODE_PEERS)
    });
    match server {
        Ok(server) => {
            // Any one will do; each is tested by itself.
            let (nats, missing) = toolbox.nats();
            let nats = &nats[..nats.len().min(1)];
            outcome.server = [server, join(nats)].join(", ");
            let mut variables: Vec<_> = nats.iter().map(|nats| nats.variable.clone()).collect();
            let (redis, missing_redis) = toolbox.redis();
            let redis = &redis[..redis.len().min(1)];
            outcome.server = [&*outcome.server, &join(redis)].join(", ");
            variables.extend(redis.iter().map(|redis| redis.variable.clone()));
            variables.extend(all.then(|| ("MOLECULER_INTEROP_ALL", "1".to_owned())));
            cargo_test(outcome, &["--package", "interop"], &variables);
            if nats.is_empty() {
                let missing = missing.iter().map(|why| Skip::Missing(Tool::Nats, why.clone()));
                outcome.skips.extend(missing);
            }
            if redis.is_empty() {
                let missing = missing_redis.iter();
                let missing = missing.map(|why| Skip::Missing(Tool::Redis, why.clone()));
                outcome.skips.extend(missing);
            }
        }
        Err(reason) => outcome.skips.push(Skip::Missing(Tool::Node, reason)),
    }
}

fn cargo_test(outcome: &mut Outcome, args: &[&str], variables: &[(&str, String)]) {
    let args = [&["test", "--no-fail-fast"], args].concat();
    let no_limit: Option<Duration> = None;
    println!("cargo {}", args.join(" "));
    let mut command = cargo(args);
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    match stream(&mut command, no_limit) {
        Ok(output) => {
            let summary = Summary::parse(output.lines.iter().map(String::as_str));
            add_summary(outcome, &summary, output.end.error());
        }
        Err(e) => outcome.fail(format!("cannot run cargo: {e}")),
    }
}

/// Adds what the test binaries say, and what only cargo's exit code says: a
/// build error, or a test binary that crashed before its summary.
fn add_summary(outcome: &mut Outcome, summary: &Summary, error: Option<String>) {
    outcome.passed += summary.passed;
    outcome.failed += summary.failed;
    if summary.failed > 0 {
        outcome.errors.push(describe_failures(summary));
    }
    let unexplained = summary.ignored.saturating_sub(summary.ignore_reasons.len() as u64);
    outcome.skips.extend(summary.ignore_reasons.iter().map(|reason| Skip::ignored(reason)));
    outcome.skips.extend((0..unexplained).map(|_| Skip::Unexplained));
    match error {
        Some(error) if summary.failed == 0 => {
            outcome.fail(format!("cargo test {error}: see its output"))
        }
        None if summary.failed > 0 => {
            outcome.errors.push("cargo test succeeded: does a test print a summary?".to_owned());
        }
        _ => {}
    }
}

fn describe_failures(summary: &Summary) -> String {
    const SHOWN: usize = 3;
    let names = &summary.failed_names;
    let more = match names.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("failed: {}{more}", names[..names.len().min(SHOWN)].join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(summary: &Summary, error: Option<&str>) -> Outcome {
        let mut outcome = Outcome::new("workspace");
        add_summary(&mut outcome, summary, error.map(str::to_owned));
        outcome
    }

    #[test]
    fn failures_are_named() {
        let failed_names = ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec();
        let summary = Summary { passed: 2, failed: 5, failed_names, ..Summary::default() };
        let outcome = outcome(&summary, Some("ended with exit status: 101"));
        assert_eq!((outcome.passed, outcome.failed), (2, 5));
        assert_eq!(outcome.errors, ["failed: a, b, c and 2 more"]);
    }

    #[test]
    fn a_crash_without_a_summary_is_a_failure() {
        let summary = Summary { passed: 2, ..Summary::default() };
        let outcome = outcome(&summary, Some("ended with exit status: 101"));
        assert_eq!((outcome.passed, outcome.failed), (2, 1));
        assert_eq!(outcome.errors, ["cargo test ended with exit status: 101: see its output"]);
    }

    #[test]
    fn a_summary_that_contradicts_the_exit_code_is_a_failure() {
        let summary = Summary { failed: 1, ..Summary::default() };
        let outcome = outcome(&summary, None);
        assert_eq!(outcome.failed, 1);
        assert!(outcome.errors[1].contains("does a test print a summary"), "{outcome:?}");
    }

    #[test]
    fn ignored_tests_are_skips_by_reason() {
        let ignore_reasons = vec!["unavailable: no URL".to_owned(), "no queues".to_owned()];
        let summary = Summary { passed: 1, ignored: 3, ignore_reasons, ..Summary::default() };
        let expected = [
            Skip::Unavailable("unavailable: no URL".to_owned()),
            Skip::ByDesign("no queues".to_owned()),
            Skip::Unexplained,
        ];
        assert_eq!(outcome(&summary, None).skips, expected);
    }
}
