//! The project's own commands, started as `cargo xtask <command>`.
//!
//! - `test` gets what the test suites need, runs them, and ends with a table
//!   and the line `N passed, N failed, N skipped`.
//! - `interop` runs one of them, whole if asked for, and writes its table.
//! - `bench` runs the benchmarks beside their peers.
//! - `fuzz` looks for inputs that break a decoder.
//! - `features` writes the table of the facade's features.
//! - `packet-dump` shows captured packets; a package of its own, so that the
//!   other commands need not wait until the decoders are built.
//!
//! A new suite is a variant of `Suite`; something new that a suite needs from
//! outside is a variant of `Tool`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing is what a command line tool is for"
)]

use std::{env, process::ExitCode};

use args::{Command, USAGE};
use report::{Outcome, Report, Require};
use tools::Toolbox;

mod args;
mod bench;
mod examples;
mod features;
mod fuzz;
mod libtest;
mod process;
mod report;
mod servers;
mod suites;
mod tools;

fn main() -> ExitCode {
    match Command::parse(env::args().skip(1)) {
        Ok(Command::Help) => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        Ok(Command::Test(args)) => test(&args),
        Ok(Command::Interop(all)) => {
            let mut outcome = Outcome::new("interop");
            suites::interop(&mut outcome, &Toolbox::default(), all);
            let mut report = Report::default();
            report.push(outcome, &Require::All);
            finish(&report)
        }
        Ok(Command::Bench(args)) => bench::run(&args),
        Ok(Command::Fuzz(args)) => {
            let mut outcome = Outcome::new("fuzz");
            fuzz::run(&mut outcome, &Toolbox::default(), &args);
            let mut report = Report::default();
            report.push(outcome, &Require::All);
            finish(&report)
        }
        Ok(Command::Features { check }) => match features::run(check) {
            Ok(message) => {
                println!("{message}");
                ExitCode::SUCCESS
            }
            Err(message) => {
                eprintln!("error: {message}");
                ExitCode::FAILURE
            }
        },
        Ok(Command::PacketDump(args)) => {
            let mut command = process::cargo(["run", "--quiet", "--package", "packet-dump", "--"]);
            // A file named in the arguments is where the user is, not in the root.
            process::exit_code(command.args(args).current_dir("."))
        }
        Err(message) => {
            eprintln!("error: {message}\n\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn test(args: &args::TestArgs) -> ExitCode {
    // A pipeline must not turn green because it could not run something.
    let require = match env::var("CI").as_deref() {
        Ok("true" | "1") => Require::All,
        _ => args.require.clone(),
    };
    let toolbox = Toolbox::default();
    let mut report = Report::default();
    for suite in &args.suites {
        println!("\n== {} ==", suite.name());
        report.push(suite.run(&toolbox), &require);
    }
    finish(&report)
}

fn finish(report: &Report) -> ExitCode {
    print!("\n{report}");
    if report.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
