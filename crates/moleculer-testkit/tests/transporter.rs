//! The suite of transporters, with those that run in one process.

use std::process::ExitCode;

use moleculer_core::InProcessNetwork;
use moleculer_testkit::transporter::{Subject, run};

fn main() -> ExitCode {
    let network = InProcessNetwork::default();
    run(Subject::new(move || network.transporter()))
}
