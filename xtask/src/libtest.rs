//! Reading what test binaries print: the built-in harness, doc tests and
//! programs that imitate them.

/// What the test binaries of one `cargo test` reported, summed.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Summary {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
    pub(crate) failed_names: Vec<String>,
    /// Why tests were ignored, one entry for each test that says it.
    pub(crate) ignore_reasons: Vec<String>,
}

impl Summary {
    pub(crate) fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Self {
        let mut summary = Self::default();
        for line in lines {
            if let Some(counts) = line.strip_prefix("test result: ") {
                summary.add_counts(counts);
            } else if let Some(test) = line.strip_prefix("test ") {
                summary.add_test(test);
            }
        }
        summary
    }

    /// Adds `ok. 5 passed; 0 failed; 1 ignored; ...`.
    fn add_counts(&mut self, counts: &str) {
        for part in counts.split(';') {
            let mut words = part.split_whitespace().rev();
            let (Some(word), Some(number)) = (words.next(), words.next()) else {
                continue;
            };
            let number = number.parse().unwrap_or(0);
            match word {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }

    /// Adds `name ... FAILED`, `name ... ignored, reason` or, from
    /// libtest-mimic, `name ... ignored (reason)` or `[reason] name ... ignored`.
    fn add_test(&mut self, test: &str) {
        let Some((name, outcome)) = test.split_once(" ... ") else {
            return;
        };
        if outcome.starts_with("FAILED") {
            self.failed_names.push(name.trim().to_owned());
        } else if let Some(rest) = outcome.strip_prefix("ignored") {
            let in_brackets = rest.strip_prefix(" (").and_then(|rest| rest.strip_suffix(')'));
            let in_front = || name.strip_prefix('[')?.split_once("] ").map(|(reason, _)| reason);
            let reason = in_brackets.or_else(|| rest.strip_prefix(", ")).or_else(in_front);
            if let Some(reason) = reason {
                self.ignore_reasons.push(reason.trim().to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(output: &str, expected: &Summary) {
        // On one line, or a failure here would be counted like the fixture it shows.
        assert_eq!(&Summary::parse(output.lines()), expected, "{output:?}");
    }

    #[test]
    fn counts_are_summed_over_binaries() {
        let output = "\
running 2 tests
test broker::call ... ok
test broker::panics - should panic ... ok

test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

running 0 tests

test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

running 1 test
test src/lib.rs - Broker::call (line 12) - compile ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; finished in 0.52s

all doctests ran in 0.84s; merged doctests compilation took 0.29s
";
        check(output, &Summary { passed: 3, ..Summary::default() });
    }

    #[test]
    fn failures_keep_their_names() {
        let output = "\
test a::good ... ok
test a::bad ... FAILED
test src/lib.rs - Broker (line 3) ... FAILED

failures:

---- a::bad stdout ----
failures:
    a::bad

test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s
";
        let failed_names = vec!["a::bad".to_owned(), "src/lib.rs - Broker (line 3)".to_owned()];
        check(output, &Summary { passed: 1, failed: 2, failed_names, ..Summary::default() });
    }

    #[test]
    fn all_ways_of_writing_an_ignore_reason_are_read() {
        let output = "\
test slow                ... ignored, takes an hour
test [tcp] balanced      ... ignored (no balanced topics)
test [cannot pause] slow ... ignored
test silent              ... ignored
test slow has been running for over 60 seconds
test result: ok. 0 passed; 0 failed; 4 ignored; 0 measured; 0 filtered out; finished in 0.01s
";
        let ignore_reasons = ["takes an hour", "no balanced topics", "cannot pause"];
        let ignore_reasons = ignore_reasons.map(str::to_owned).to_vec();
        check(output, &Summary { ignored: 4, ignore_reasons, ..Summary::default() });
    }

    #[test]
    fn colours_do_not_hide_counts() {
        let output = "test result: \u{1b}[32mok\u{1b}[0m. 7 passed; 1 failed; 0 ignored";
        check(output, &Summary { passed: 7, failed: 1, ..Summary::default() });
    }

    #[test]
    fn other_output_counts_nothing() {
        let output =
            "testing\n5 passed; 1 failed\ntest results are fine\n test result: ok. 1 passed";
        check(output, &Summary::default());
    }
}
