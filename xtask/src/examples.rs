//! Running the programs in `examples/`.

use std::time::Duration;

use crate::{
    process::{Output, cargo, stream},
    report::{Outcome, Skip},
    suites::NODE_PEERS,
    tools::{Tool, Toolbox},
};

/// One run of an example, and a line that it has to print.
struct Example {
    package: &'static str,
    args: &'static [&'static str],
    /// It starts a Node.js process with the packages of the interop tests.
    needs_node: bool,
    prints: &'static str,
}

const EXAMPLES: [Example; 10] = [
    Example::new("cluster", " 0 failed, one node killed and back"),
    Example::new("custom-serializer", "14:3:Ada,5:Grace,]"),
    Example::new("events", "mail-2 reads the prices again"),
    Example::new("middleware", "the year of acme"),
    Example::new("mixins", "refused  sign in first"),
    Example::new("quickstart", "5 + 3 = 8"),
    Example {
        args: &["--with-js"],
        needs_node: true,
        ..Example::new("quickstart", "Hello Rust, 1 + 1 = 2")
    },
    Example::new("streams", "objects  [1, 4, 9, 16, 25]"),
    Example::new("testing", "3 ordered, 97 left"),
    Example::new("typed-client", "too poor by 4300 cents"),
];

/// What a run may take after the build.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) fn run(outcome: &mut Outcome, toolbox: &Toolbox) {
    for example in &EXAMPLES {
        if example.needs_node
            && let Err(reason) = toolbox.node().and_then(|node| node.install_packages(NODE_PEERS))
        {
            let reason = format!("{}: {reason}", example.title());
            outcome.skips.push(Skip::Missing(Tool::Node, reason));
            continue;
        }
        match example.check() {
            Ok(()) => outcome.passed += 1,
            Err(error) => outcome.fail(format!("{}: {error}", example.title())),
        }
    }
}

impl Example {
    const fn new(package: &'static str, prints: &'static str) -> Self {
        Self { package, args: &[], needs_node: false, prints }
    }

    fn title(&self) -> String {
        [&[self.package], self.args].concat().join(" ")
    }

    /// Builds first, so that the limit is for the program alone.
    fn check(&self) -> Result<(), String> {
        println!("running {}", self.title());
        let mut build = cargo(["build", "--package", self.package]);
        let built = build.status().map_err(|e| format!("cannot run cargo: {e}"))?;
        if !built.success() {
            return Err("does not build".to_owned());
        }
        let args = [&["run", "--quiet", "--package", self.package, "--"], self.args].concat();
        let output = stream(&mut cargo(args), Some(LIMIT));
        check_output(&output.map_err(|e| format!("cannot run cargo: {e}"))?, self.prints)
    }
}

fn check_output(output: &Output, expected: &str) -> Result<(), String> {
    if let Some(error) = output.end.error() {
        return Err(error);
    }
    if !output.lines.iter().any(|line| line.contains(expected)) {
        return Err(format!("did not print `{expected}`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, process::ExitStatus};

    use super::*;
    use crate::process::{End, root};

    #[test]
    fn every_example_is_run() {
        let folders = fs::read_dir(root().join("examples")).expect("there are examples");
        let packages: BTreeSet<_> = folders
            .map(|entry| entry.expect("readable").path())
            .filter(|path| path.join("Cargo.toml").exists())
            .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
            .collect();
        let run: BTreeSet<_> = EXAMPLES.iter().map(|example| example.package.to_owned()).collect();
        assert_eq!(run, packages, "EXAMPLES and the folders in examples/ differ");
    }

    #[test]
    fn an_example_must_succeed_and_print_its_line() {
        let output = |end| Output { lines: vec!["sum: 5 + 3 = 8.".to_owned()], end };
        let success = || End::Exited(ExitStatus::default());
        assert_eq!(check_output(&output(success()), "5 + 3 = 8"), Ok(()));
        assert_eq!(
            check_output(&output(success()), "5 + 3 = 9"),
            Err("did not print `5 + 3 = 9`".to_owned())
        );
        assert_eq!(
            check_output(&output(End::TimedOut), "5 + 3 = 8"),
            Err("did not end in time and was killed".to_owned())
        );
    }
}
