//! Rust nodes and Moleculer JS nodes in one cluster, as separate processes.
//!
//! The driver, a broker in this process, sees and controls both through the
//! service `probe` (see `src/services/probe.rs`).

mod cases;
mod cluster;
mod process;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use moleculer::ProtocolVersion;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Each case runs three processes; more at once would only take turns.
    arguments.test_threads.get_or_insert(2);
    let unavailable = process::javascript_missing();
    let mut trials = Vec::new();
    for version in [ProtocolVersion::V4, ProtocolVersion::V5] {
        for (name, case) in cases::ALL {
            let trial =
                Trial::test(format!("protocol {version}: {name}"), move || run(*case, version));
            trials.push(match &unavailable {
                Some(reason) => trial.with_ignored_flag(true).with_kind(reason.clone()),
                None => trial,
            });
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn run(case: cases::Case, version: ProtocolVersion) -> Result<(), libtest_mimic::Failed> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let limit = std::time::Duration::from_secs(60);
        match tokio::time::timeout(limit, case(version)).await {
            Ok(result) => result.map_err(|error| format!("{error:?}").into()),
            Err(_) => Err("the case did not end within 60 s".into()),
        }
    })
}
