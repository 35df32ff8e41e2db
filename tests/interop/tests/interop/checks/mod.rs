//! What Rust and JavaScript nodes have to do together, whatever the serializer.

mod calls;
mod discovery;
mod events;
pub(crate) mod guards;
mod kinds;
mod later;
mod streams;

use std::{pin::Pin, time::Duration};

use moleculer::prelude::*;
use serde_json::Value as Json;

use crate::{
    cluster::Cluster,
    matrix::{self, Place},
    vectors::difference,
};

/// What must hold in a cluster.
pub(crate) type Check = for<'a> fn(&'a Cluster) -> Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

pub(crate) const ALL: &[(&str, Check)] = &[
    ("nodes list each other alike", |cluster| Box::pin(discovery::alike(cluster))),
    ("values come back as they went", |cluster| Box::pin(calls::values(cluster))),
    ("a call carries its context", |cluster| Box::pin(calls::context(cluster))),
    ("errors keep their class and members", |cluster| Box::pin(calls::errors(cluster))),
    ("params are checked on the callee", |cluster| Box::pin(calls::rules(cluster))),
    ("echo.reply keeps every kind", |cluster| Box::pin(calls::reply(cluster))),
    ("binary values keep their bytes", |cluster| Box::pin(calls::binary(cluster))),
    ("nothing and null are results", |cluster| Box::pin(calls::nothing(cluster))),
    ("an error says whether to try again", |cluster| Box::pin(calls::flaky(cluster))),
    ("sample.event arrives once", |cluster| Box::pin(events::sample(cluster))),
    ("events reach the other side", |cluster| Box::pin(events::events(cluster))),
    ("events are balanced among both", |cluster| Box::pin(events::balanced(cluster))),
    ("JavaScript reads what Rust writes", |cluster| Box::pin(kinds::rust_writes(cluster))),
    ("Rust reads what JavaScript writes", |cluster| Box::pin(kinds::rust_reads(cluster))),
    ("Rust passes on what it got", |cluster| Box::pin(kinds::rust_passes_on(cluster))),
    ("every place carries every kind", |cluster| Box::pin(kinds::every_place(cluster))),
    ("streams go to JavaScript", |cluster| Box::pin(streams::rust_to_javascript(cluster))),
    ("streams come from JavaScript", |cluster| Box::pin(streams::downloads(cluster))),
    ("JavaScript exchanges streams", |cluster| Box::pin(streams::javascript_to_rust(cluster))),
    ("duplex streams go through both", |cluster| Box::pin(streams::duplex(cluster))),
    ("services come and go at run time", |cluster| Box::pin(later::comes_and_goes(cluster))),
    ("a ping tells the time difference", |cluster| Box::pin(discovery::ping(cluster))),
    ("the load is told", |cluster| Box::pin(discovery::load(cluster))),
];

/// Those that show that every kind of packet arrives as it was.
pub(crate) const TRANSMITTED: &[(&str, Check)] = &[
    ("calls", |cluster| Box::pin(calls::values(cluster))),
    ("context", |cluster| Box::pin(calls::context(cluster))),
    ("errors", |cluster| Box::pin(calls::errors(cluster))),
    ("events", |cluster| Box::pin(events::events(cluster))),
    ("uploads", |cluster| Box::pin(streams::rust_to_javascript(cluster))),
    ("downloads", |cluster| Box::pin(streams::downloads(cluster))),
    ("streams of JavaScript", |cluster| Box::pin(streams::javascript_to_rust(cluster))),
    ("duplex streams", |cluster| Box::pin(streams::duplex(cluster))),
    ("ping", |cluster| Box::pin(discovery::ping(cluster))),
];

/// Longest time for one check.
const LIMIT: Duration = Duration::from_secs(30);

/// All checks in one cluster, or all that depend on the serializer.
pub(crate) async fn run(place: Place, all: bool) -> Result<()> {
    let cluster = Cluster::start(place).await?;
    run_all(&cluster, if all { &[ALL, guards::ALL] } else { &[ALL] }).await
}

/// These checks, one after the other; the error tells every one that failed.
pub(crate) async fn run_all(cluster: &Cluster, checks: &[&[(&'static str, Check)]]) -> Result<()> {
    let mut failures = Vec::new();
    for (name, check) in checks.iter().copied().flatten() {
        let failure = match tokio::time::timeout(LIMIT, check(cluster)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.message().to_owned()),
            Err(_) => Some(format!("it did not end within {LIMIT:?}")),
        };
        matrix::record(name, cluster.place(), failure.is_none());
        failures.extend(failure.map(|failure| format!("{name}: {failure}")));
    }
    match failures.as_slice() {
        [] => Ok(()),
        failures => Err(Error::internal(failures.join("\n"))),
    }
}

/// Numbers compare by value: some serializers write 5 as 5.0.
pub(crate) fn check(what: &str, actual: &Json, expected: &Json) -> Result<()> {
    match difference(&expected.clone().into(), &actual.clone().into()) {
        None => Ok(()),
        Some(difference) => Err(Error::internal(format!("{what}: {difference}"))),
    }
}
