//! Rust nodes and Moleculer JS nodes in one cluster, as separate processes.
//!
//! The driver, a broker in this process, sees and controls both through the
//! service `probe` (see `src/services/probe.rs`).

mod balancing;
mod caching;
mod checks;
mod cluster;
mod dependencies;
mod life_cycle;
mod matrix;
mod packets;
mod process;
mod reports;
mod rolling;
mod server_balancing;
mod start;
mod strategies;
mod transmission;
#[path = "../../../../crates/moleculer-protocol/tests/support/vectors.rs"]
mod vectors;

use std::{process::ExitCode, time::Duration};

use cluster::Medium;
use libtest_mimic::{Arguments, Failed, Trial};
use matrix::{MEDIA, Place, SERIALIZERS};
use moleculer::{ProtocolVersion, prelude::*};
use process::Implementation;

#[allow(clippy::print_stderr, reason = "there is no test to tell it")]
fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Each case runs three processes; more at once would only take turns.
    arguments.test_threads.get_or_insert(2);
    let all = asked_for_all();
    let mut trials = Vec::new();
    for medium in MEDIA {
        let name = format!("over {medium:?}: {}", rolling::CASE);
        trials.push(rust_trial(name, medium, move || rolling::run(medium)));
        let start = move |implementation| move || start::run(implementation, medium);
        let name = format!("over {medium:?}: fresh nodes call each other at once");
        trials.push(rust_trial(name, medium, start(Implementation::Rust)));
        let name = format!("over {medium:?}: a fresh JavaScript node is called soon");
        trials.push(trial(name, medium, start(Implementation::JavaScript)));
    }
    for &(version, serializers) in SERIALIZERS {
        let name = format!("protocol {version}: nodes share one cache");
        let caching = trial(name, Medium::Tcp, move || caching::run(version));
        trials.push(match process::redis_missing() {
            Some(reason) => caching.with_ignored_flag(true).with_kind(reason),
            None => caching,
        });
        for &serializer in serializers {
            let name = format!("protocol {version} over {serializer}: our packets are read alike");
            let packets = move || packets::run(version, serializer);
            trials.push(trial(name, Medium::Tcp, packets));
            for medium in MEDIA {
                let place = (version, medium, serializer);
                trials.extend(clusters(place, all));
            }
        }
    }
    if !all {
        trials.push(Trial::test("the table in the documents is green", || {
            matrix::check().map_err(|error| error.message().into())
        }));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if all && let Err(error) = matrix::write() {
        eprintln!("the table is not written: {error}");
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

/// Whether the whole matrix runs: `cargo xtask interop --all` asks for it.
fn asked_for_all() -> bool {
    std::env::var_os("MOLECULER_INTEROP_ALL").is_some()
}

/// The cases of one place of the matrix, or a slice of them: every serializer
/// understands over TCP, and every case works with JSON.
fn clusters(place: Place, all: bool) -> Vec<Trial> {
    let (version, medium, serializer) = place;
    let mut trials = Vec::new();
    let mut add = |title: &str, case: Box<dyn FnOnce() -> Running + Send>| {
        let name = format!("protocol {version}, {serializer} over {medium:?}: {title}");
        trials.push(trial(name, medium, case));
    };
    let whole = all || serializer == "JSON";
    if whole || medium == Medium::Tcp {
        let checks = move || -> Running { Box::pin(checks::run(place, whole)) };
        add("nodes understand each other", Box::new(checks));
    }
    if !whole {
        return trials;
    }
    let balancing = move || -> Running { Box::pin(balancing::run(place)) };
    add("nodes share calls and events", Box::new(balancing));
    if medium == Medium::Nats {
        let shared = move || -> Running { Box::pin(server_balancing::run(place)) };
        add("the server shares calls and events out", Box::new(shared));
    }
    let waiting = move || -> Running { Box::pin(dependencies::run(place)) };
    add("nodes wait for each other", Box::new(waiting));
    for &(name, case) in life_cycle::ALL {
        if !matrix::excluded(name, medium) {
            add(name, Box::new(move || Box::pin(recorded(name, place, case(place)))));
        }
    }
    // These are the same on each medium.
    let once = if version == ProtocolVersion::V4 { Medium::Tcp } else { Medium::Nats };
    if !all && medium != once {
        return trials;
    }
    let choosing = move || -> Running { Box::pin(strategies::run(place)) };
    add("callers choose the best node", Box::new(choosing));
    for &(name, case) in transmission::ALL {
        add(name, Box::new(move || Box::pin(recorded(name, place, case(place)))));
    }
    trials
}

type Running = std::pin::Pin<Box<dyn Future<Output = Result<()>>>>;

async fn recorded(
    case: &'static str,
    place: Place,
    running: impl Future<Output = Result<()>>,
) -> Result<()> {
    let result = running.await;
    matrix::record(case, place, result.is_ok());
    result
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
