//! The table at the end of a test run.

use std::fmt;

use crate::tools::Tool;

/// Which skips count as failures.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Require {
    Nothing,
    All,
    Tools(Vec<Tool>),
}

/// Why something did not run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Skip {
    /// Something from outside was missing; says why.
    Missing(Tool, String),
    /// Tests ignored themselves because their environment was missing.
    Unavailable(String),
    /// A test was ignored without saying why.
    Unexplained,
    /// A test does not apply, and says why.
    ByDesign(String),
}

impl Skip {
    /// Sorts the reason that an ignored test gives.
    pub(crate) fn ignored(reason: &str) -> Self {
        if reason.starts_with("unavailable") {
            Self::Unavailable(reason.to_owned())
        } else {
            Self::ByDesign(reason.to_owned())
        }
    }

    fn is_failure(&self, require: &Require) -> bool {
        match require {
            Require::Nothing => false,
            Require::All => !matches!(self, Self::ByDesign(_)),
            Require::Tools(tools) => {
                matches!(self, Self::Missing(tool, _) if tools.contains(tool))
            }
        }
    }

    fn reason(&self) -> String {
        match self {
            Self::Missing(_, reason) => reason.clone(),
            Self::Unavailable(reason) | Self::ByDesign(reason) => format!("ignored: {reason}"),
            Self::Unexplained => "ignored without a reason".to_owned(),
        }
    }
}

/// What one suite came to.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) suite: &'static str,
    /// What it ran against, empty if against nothing.
    pub(crate) server: String,
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skips: Vec<Skip>,
    /// Why tests failed.
    pub(crate) errors: Vec<String>,
}

impl Outcome {
    pub(crate) fn new(suite: &'static str) -> Self {
        Self { suite, ..Self::default() }
    }

    pub(crate) fn fail(&mut self, error: impl Into<String>) {
        self.failed += 1;
        self.errors.push(error.into());
    }

    /// A suite in which nothing ran proves nothing.
    fn fail_if_empty(&mut self) {
        if self.passed + self.failed == 0 && self.skips.is_empty() {
            self.fail("ran no test");
        }
    }
}

/// All suites of a run; displays as the table and the line of totals.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    suite: &'static str,
    server: String,
    passed: u64,
    failed: u64,
    skipped: u64,
    reason: String,
}

impl Report {
    pub(crate) fn push(&mut self, mut outcome: Outcome, require: &Require) {
        outcome.fail_if_empty();
        let (required, skipped): (Vec<_>, Vec<_>) =
            outcome.skips.iter().partition(|skip| skip.is_failure(require));
        let mut reasons = outcome.errors.clone();
        reasons.extend(required.iter().map(|skip| format!("required: {}", skip.reason())));
        reasons.extend(skipped.iter().map(|skip| skip.reason()));
        self.rows.push(Row {
            suite: outcome.suite,
            server: outcome.server,
            passed: outcome.passed,
            failed: outcome.failed + required.len() as u64,
            skipped: skipped.len() as u64,
            reason: join_counted(&reasons),
        });
    }

    pub(crate) fn is_success(&self) -> bool {
        self.rows.iter().all(|row| row.failed == 0)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = ["suite", "server and version", "passed", "failed", "skipped", "reason"];
        let mut table =
            vec![header.map(str::to_owned), header.map(|title| "-".repeat(title.len()))];
        table.extend(self.rows.iter().map(Row::cells));
        let widths = std::array::from_fn(|column| {
            table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
        });
        for row in &table {
            write_row(f, row, &widths)?;
        }
        let sum = |count: fn(&Row) -> u64| self.rows.iter().map(count).sum::<u64>();
        let (passed, failed) = (sum(|row| row.passed), sum(|row| row.failed));
        writeln!(f, "\n{passed} passed, {failed} failed, {} skipped", sum(|row| row.skipped))
    }
}

impl Row {
    fn cells(&self) -> [String; 6] {
        let server = if self.server.is_empty() { "-" } else { &self.server };
        [
            self.suite.to_owned(),
            server.to_owned(),
            self.passed.to_string(),
            self.failed.to_string(),
            self.skipped.to_string(),
            self.reason.clone(),
        ]
    }
}

fn write_row(f: &mut fmt::Formatter<'_>, row: &[String; 6], widths: &[usize; 6]) -> fmt::Result {
    let mut line = String::new();
    for (column, (cell, &width)) in row.iter().zip(widths).enumerate() {
        let separator = if column == 0 { "" } else { " | " };
        let is_number = (2..5).contains(&column);
        line += separator;
        line += &if is_number { format!("{cell:>width$}") } else { format!("{cell:width$}") };
    }
    writeln!(f, "{}", line.trim_end())
}

/// Joins reasons, equal ones once with their number, in order of appearance.
fn join_counted(reasons: &[String]) -> String {
    let mut counted: Vec<(&str, usize)> = Vec::new();
    for reason in reasons {
        match counted.iter_mut().find(|(known, _)| known == reason) {
            Some((_, count)) => *count += 1,
            None => counted.push((reason, 1)),
        }
    }
    let parts: Vec<_> = counted
        .into_iter()
        .map(|(reason, count)| match count {
            1 => reason.to_owned(),
            _ => format!("{count} x {reason}"),
        })
        .collect();
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(outcomes: impl IntoIterator<Item = Outcome>, require: &Require) -> Report {
        let mut report = Report::default();
        for outcome in outcomes {
            report.push(outcome, require);
        }
        report
    }

    fn skipping(skip: Skip) -> Outcome {
        Outcome { passed: 1, skips: vec![skip], ..Outcome::new("interop") }
    }

    #[test]
    fn table_and_totals() {
        let workspace = Outcome {
            passed: 120,
            skips: vec![
                Skip::ignored("no balanced topics"),
                Skip::Unexplained,
                Skip::ignored("no balanced topics"),
            ],
            ..Outcome::new("workspace")
        };
        let mut interop = Outcome { passed: 7, ..Outcome::new("interop") };
        interop.server = "moleculer 0.14.35 on node v20.20.2".to_owned();
        interop.fail("failed: call");
        let report = report([workspace, interop], &Require::Nothing);
        let expected = "\
suite     | server and version                 | passed | failed | skipped | reason
-----     | ------------------                 | ------ | ------ | ------- | ------
workspace | -                                  |    120 |      0 |       3 | 2 x ignored: no balanced topics; ignored without a reason
interop   | moleculer 0.14.35 on node v20.20.2 |      7 |      1 |       0 | failed: call

127 passed, 1 failed, 3 skipped
";
        assert_eq!(report.to_string(), expected);
        assert!(!report.is_success());
    }

    #[test]
    fn a_suite_without_a_test_fails() {
        let report = report([Outcome::new("doc")], &Require::Nothing);
        assert!(!report.is_success());
        assert!(report.to_string().contains("|      0 |      1 |       0 | ran no test\n"));
        assert!(report.to_string().ends_with("\n0 passed, 1 failed, 0 skipped\n"));
    }

    #[test]
    fn required_skips_are_failures() {
        let missing = Skip::Missing(Tool::Node, "Node.js is missing".to_owned());
        let unavailable = Skip::ignored("unavailable: no URL");
        let by_design = Skip::ignored("no balanced topics");
        let node = Require::Tools(vec![Tool::Node]);
        let cases = [
            (&missing, &Require::Nothing, true),
            (&missing, &Require::All, false),
            (&missing, &node, false),
            (&missing, &Require::Tools(vec![]), true),
            (&unavailable, &Require::Nothing, true),
            (&unavailable, &Require::All, false),
            (&unavailable, &node, true),
            (&Skip::Unexplained, &Require::Nothing, true),
            (&Skip::Unexplained, &Require::All, false),
            (&Skip::Unexplained, &node, true),
            (&by_design, &Require::All, true),
        ];
        for (skip, require, success) in cases {
            let report = report([skipping(skip.clone())], require);
            assert_eq!(report.is_success(), success, "{skip:?} {require:?}");
            let totals = if success {
                "1 passed, 0 failed, 1 skipped"
            } else {
                "1 passed, 1 failed, 0 skipped"
            };
            assert!(report.to_string().ends_with(&format!("\n{totals}\n")), "{report}");
        }
    }

    #[test]
    fn a_required_skip_says_so() {
        let missing = Skip::Missing(Tool::Node, "Node.js is missing".to_owned());
        let report = report([skipping(missing)], &Require::All);
        assert!(report.to_string().contains("| required: Node.js is missing\n"), "{report}");
    }
}
