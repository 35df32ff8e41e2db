//! Rust nodes and Moleculer JS nodes in one cluster, as separate processes.
//!
//! The driver, a broker in this process, sees and controls both through the
//! service `probe` (see `src/services/probe.rs`).

mod checks;
mod cluster;
mod life_cycle;
mod packets;
mod process;
mod rolling;
#[path = "../../../../crates/moleculer-protocol/tests/support/vectors.rs"]
mod vectors;

use std::{process::ExitCode, time::Duration};

use cluster::Medium;
use libtest_mimic::{Arguments, Failed, Trial};
use moleculer::{
    ProtocolVersion::{self, V4, V5},
    prelude::*,
};

/// What each version of the reference can speak.
const SERIALIZERS: &[(ProtocolVersion, &[&str])] = &[
    (V4, &["JSON", "Avro", "MsgPack", "Notepack", "ProtoBuf", "Thrift", "CBOR"]),
    (V5, &["JSON", "JSONExt", "MsgPack", "Notepack", "CBOR"]),
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Each case runs three processes; more at once would only take turns.
    arguments.test_threads.get_or_insert(2);
    let mut trials = Vec::new();
    for medium in [Medium::Tcp, Medium::Nats] {
        let name = format!("over {medium:?}: no call fails while each node is restarted in turn");
        trials.push(rust_trial(name, medium, move || rolling::run(medium)));
    }
    for &(version, serializers) in SERIALIZERS {
        for &(name, case) in life_cycle::ALL {
            let name = format!("protocol {version}: {name}");
            trials.push(trial(name, Medium::Tcp, move || case(version)));
        }
        let name = format!("protocol {version} over NATS");
        let checks = move || checks::run(version, "JSON", Medium::Nats);
        trials.push(trial(format!("{name}: nodes understand each other"), Medium::Nats, checks));
        let stopped = move || life_cycle::stopped(version, Medium::Nats);
        trials.push(trial(
            format!("{name}: a stopped Rust node says goodbye"),
            Medium::Nats,
            stopped,
        ));
        for &serializer in serializers {
            let name = format!("protocol {version} over {serializer}");
            let checks = move || checks::run(version, serializer, Medium::Tcp);
            trials.push(trial(format!("{name}: nodes understand each other"), Medium::Tcp, checks));
            let packets = move || packets::run(version, serializer);
            trials.push(trial(format!("{name}: our packets are read alike"), Medium::Tcp, packets));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial<F>(name: String, medium: Medium, case: impl FnOnce() -> F + Send + 'static) -> Trial
where
    F: Future<Output = Result<()>>,
{
    let trial = rust_trial(name, medium, case);
    match process::javascript_missing() {
        Some(reason) => trial.with_ignored_flag(true).with_kind(reason),
        None => trial,
    }
}

/// A case without JavaScript.
fn rust_trial<F>(name: String, medium: Medium, case: impl FnOnce() -> F + Send + 'static) -> Trial
where
    F: Future<Output = Result<()>>,
{
    let trial = Trial::test(name, move || run(case()));
    match process::nats_missing().filter(|_| medium == Medium::Nats) {
        Some(reason) => trial.with_ignored_flag(true).with_kind(reason),
        None => trial,
    }
}

fn run(case: impl Future<Output = Result<()>>) -> Result<(), Failed> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        match tokio::time::timeout(Duration::from_secs(60), case).await {
            Ok(result) => result.map_err(|error| format!("{error}").into()),
            Err(_) => Err("the case did not end within 60 s".into()),
        }
    })
}
