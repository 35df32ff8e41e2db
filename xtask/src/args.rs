//! The command line.

use crate::{fuzz::FuzzArgs, report::Require, suites::Suite, tools::Tool};

pub(crate) const USAGE: &str = "\
usage: cargo xtask <command>

commands:
  test [--require all|NAME,..] [--only SUITE,..]
      gets what the tests need, runs them, prints a table of the results
      --require  a skip for want of NAME is a failure; `all` also covers tests
                 that are ignored without a reason (CI=true implies it)
      --only     runs these suites instead of all
  interop [--all]
      runs the interop suite; with --all the whole matrix of serializers and
      media, which takes a quarter of an hour, and writes docs/compatibility.md
  bench [ARGS..]
      runs the benchmarks; ARGS go to them (`--help` lists theirs)
  fuzz [--seconds N] [TARGET..]
      looks for inputs that break a decoder, N seconds (60) for each target
  features [--check]
      writes the table of features in the README of crates/moleculer
      --check    only says whether it is up to date
  packet-dump [ARGS..]
      shows captured packets as readable JSON; ARGS go to it (`--help`)";

const COMMANDS: &str = "test, interop, bench, fuzz, features, packet-dump, help";

#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    Help,
    Test(TestArgs),
    /// The whole matrix if true.
    Interop(bool),
    Bench(Vec<String>),
    Fuzz(FuzzArgs),
    Features {
        check: bool,
    },
    PacketDump(Vec<String>),
}

#[derive(Debug, PartialEq)]
pub(crate) struct TestArgs {
    pub(crate) require: Require,
    pub(crate) suites: Vec<Suite>,
}

impl Command {
    /// Parses the arguments after the program's name.
    ///
    /// # Errors
    ///
    /// A message that names the argument and the ones that would be valid.
    pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut args = args.into_iter();
        match args.next().as_deref() {
            Some("test") => parse_test(args),
            Some("interop") => parse_interop(args),
            Some("bench") => Ok(Self::Bench(args.collect())),
            Some("fuzz") => parse_fuzz(args),
            Some("features") => parse_features(args),
            Some("packet-dump") => Ok(Self::PacketDump(args.collect())),
            Some("help" | "--help" | "-h") => Ok(Self::Help),
            Some(other) => Err(format!("unknown command `{other}`; valid: {COMMANDS}")),
            None => Err(format!("no command given; valid: {COMMANDS}")),
        }
    }
}

fn parse_test(mut args: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut require = Require::Nothing;
    let mut suites = Suite::ALL.to_vec();
    while let Some(arg) = args.next() {
        let (option, inline) = split(&arg);
        match option {
            "--require" => require = parse_require(&value(option, inline, &mut args)?)?,
            "--only" => suites = parse_suites(&value(option, inline, &mut args)?)?,
            "--help" | "-h" => return Ok(Command::Help),
            _ => {
                return Err(format!("unknown argument `{arg}`; valid: --require, --only, --help"));
            }
        }
    }
    Ok(Command::Test(TestArgs { require, suites }))
}

fn parse_interop(args: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut all = false;
    for arg in args {
        match arg.as_str() {
            "--all" => all = true,
            "--help" | "-h" => return Ok(Command::Help),
            _ => return Err(format!("unknown argument `{arg}`; valid: --all, --help")),
        }
    }
    Ok(Command::Interop(all))
}

fn parse_fuzz(mut args: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut fuzz = FuzzArgs { seconds: 60, targets: Vec::new() };
    while let Some(arg) = args.next() {
        let (option, inline) = split(&arg);
        match option {
            "--seconds" => {
                let seconds = value(option, inline, &mut args)?;
                let number = seconds.parse().ok().filter(|&seconds| seconds > 0);
                fuzz.seconds = number
                    .ok_or_else(|| format!("`--seconds` takes a number from 1, not `{seconds}`"))?;
            }
            "--help" | "-h" => return Ok(Command::Help),
            _ if option.starts_with('-') => {
                return Err(format!("unknown argument `{arg}`; valid: --seconds, --help"));
            }
            _ => fuzz.targets.push(arg),
        }
    }
    Ok(Command::Fuzz(fuzz))
}

fn parse_features(mut args: impl Iterator<Item = String>) -> Result<Command, String> {
    match args.next().as_deref() {
        None => Ok(Command::Features { check: false }),
        Some("--check") => Ok(Command::Features { check: true }),
        Some("--help" | "-h") => Ok(Command::Help),
        Some(other) => Err(format!("unknown argument `{other}`; valid: --check, --help")),
    }
}

/// Takes `--option=value` apart.
fn split(arg: &str) -> (&str, Option<String>) {
    match arg.split_once('=') {
        Some((option, value)) => (option, Some(value.to_owned())),
        None => (arg, None),
    }
}

fn value(
    option: &str,
    inline: Option<String>,
    args: &mut impl Iterator<Item = String>,
) -> Result<String, String> {
    inline.or_else(|| args.next()).ok_or_else(|| format!("`{option}` needs a value"))
}

fn parse_require(value: &str) -> Result<Require, String> {
    if value == "all" {
        return Ok(Require::All);
    }
    let tools = value.split(',').map(|name| {
        Tool::ALL.into_iter().find(|tool| tool.name() == name).ok_or_else(|| {
            let valid = list(Tool::ALL.map(Tool::name));
            format!("`--require` knows no `{name}`; valid: all, {valid}")
        })
    });
    tools.collect::<Result<_, _>>().map(Require::Tools)
}

/// Suites run in their own order, whatever the order of the names.
fn parse_suites(value: &str) -> Result<Vec<Suite>, String> {
    let names: Vec<_> = value.split(',').collect();
    let known = Suite::ALL.map(Suite::name);
    match names.iter().find(|name| !known.contains(name)) {
        Some(name) => Err(format!("`--only` knows no suite `{name}`; valid: {}", list(known))),
        None => Ok(Suite::ALL.into_iter().filter(|suite| names.contains(&suite.name())).collect()),
    }
}

fn list<const N: usize>(names: [&str; N]) -> String {
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, String> {
        Command::parse(line.split_whitespace().map(str::to_owned))
    }

    fn test_args(require: Require, suites: &[Suite]) -> Result<Command, String> {
        Ok(Command::Test(TestArgs { require, suites: suites.to_vec() }))
    }

    #[test]
    fn valid_lines() {
        let node = Require::Tools(vec![Tool::Node]);
        let cases = [
            ("test", test_args(Require::Nothing, &Suite::ALL)),
            ("test --require all", test_args(Require::All, &Suite::ALL)),
            ("interop", Ok(Command::Interop(false))),
            ("interop --all", Ok(Command::Interop(true))),
            ("test --require=node", test_args(node, &Suite::ALL)),
            (
                "test --only interop,doc --require all",
                test_args(Require::All, &[Suite::Doc, Suite::Interop]),
            ),
            ("test --only doc --help", Ok(Command::Help)),
            ("--help", Ok(Command::Help)),
            (
                "bench local --no-js",
                Ok(Command::Bench(vec!["local".to_owned(), "--no-js".to_owned()])),
            ),
            ("packet-dump x", Ok(Command::PacketDump(vec!["x".to_owned()]))),
            ("features", Ok(Command::Features { check: false })),
            ("features --check", Ok(Command::Features { check: true })),
            ("fuzz", Ok(Command::Fuzz(FuzzArgs { seconds: 60, targets: vec![] }))),
            (
                "fuzz --seconds=5 frames gossip",
                Ok(Command::Fuzz(FuzzArgs {
                    seconds: 5,
                    targets: vec!["frames".to_owned(), "gossip".to_owned()],
                })),
            ),
        ];
        for (line, expected) in cases {
            assert_eq!(parse(line), expected, "{line}");
        }
    }

    #[test]
    fn errors_list_what_is_valid() {
        let cases = [
            (
                "",
                "no command given; valid: test, interop, bench, fuzz, features, packet-dump, help",
            ),
            (
                "tset",
                "unknown command `tset`; valid: test, interop, bench, fuzz, features, packet-dump, help",
            ),
            ("test --all", "unknown argument `--all`; valid: --require, --only, --help"),
            ("test doc", "unknown argument `doc`; valid: --require, --only, --help"),
            ("features --all", "unknown argument `--all`; valid: --check, --help"),
            ("interop --only", "unknown argument `--only`; valid: --all, --help"),
            ("fuzz --all", "unknown argument `--all`; valid: --seconds, --help"),
            ("fuzz --seconds 0", "`--seconds` takes a number from 1, not `0`"),
            ("test --only", "`--only` needs a value"),
            ("test --require", "`--require` needs a value"),
            (
                "test --require node,kafka",
                "`--require` knows no `kafka`; valid: all, node, cargo-fuzz, nats, redis",
            ),
            (
                "test --only doc,docs",
                "`--only` knows no suite `docs`; valid: workspace, doc, examples, nats, redis, interop, fuzz",
            ),
        ];
        for (line, expected) in cases {
            assert_eq!(parse(line), Err(expected.to_owned()), "{line}");
        }
    }
}
