//! What Rust and JavaScript nodes have to do together, whatever the serializer.

mod calls;
mod discovery;
mod events;
mod kinds;
mod streams;

use std::{pin::Pin, time::Duration};

use moleculer::{ProtocolVersion, prelude::*};
use serde_json::Value as Json;

use crate::{
    cluster::{Cluster, Medium},
    vectors::difference,
};

type Check = for<'a> fn(&'a Cluster) -> Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

const ALL: &[(&str, Check)] = &[
    ("nodes list each other alike", |cluster| Box::pin(discovery::alike(cluster))),
    ("values come back as they went", |cluster| Box::pin(calls::values(cluster))),
    ("a call carries its context", |cluster| Box::pin(calls::context(cluster))),
    ("errors keep their class and members", |cluster| Box::pin(calls::errors(cluster))),
    ("echo.reply keeps every kind", |cluster| Box::pin(calls::reply(cluster))),
    ("events reach the other side", |cluster| Box::pin(events::events(cluster))),
    ("events are balanced among both", |cluster| Box::pin(events::balanced(cluster))),
    ("JavaScript reads what Rust writes", |cluster| Box::pin(kinds::rust_writes(cluster))),
    ("Rust reads what JavaScript writes", |cluster| Box::pin(kinds::rust_reads(cluster))),
    ("Rust passes on what it got", |cluster| Box::pin(kinds::rust_passes_on(cluster))),
    ("every place carries every kind", |cluster| Box::pin(kinds::every_place(cluster))),
    ("streams go to JavaScript", |cluster| Box::pin(streams::rust_to_javascript(cluster))),
    ("streams come from JavaScript", |cluster| Box::pin(streams::downloads(cluster))),
    ("JavaScript exchanges streams", |cluster| Box::pin(streams::javascript_to_rust(cluster))),
    ("a ping is answered", |cluster| Box::pin(discovery::ping(cluster))),
    ("the load is told", |cluster| Box::pin(discovery::load(cluster))),
];

/// Longest time for one check.
const LIMIT: Duration = Duration::from_secs(15);

/// All checks in one cluster; the error tells every one that failed.
pub(crate) async fn run(
    version: ProtocolVersion,
    serializer: &'static str,
    medium: Medium,
) -> Result<()> {
    let cluster = Cluster::start(version, serializer, medium).await?;
    let mut failures = Vec::new();
    for (name, check) in ALL {
        match tokio::time::timeout(LIMIT, check(&cluster)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => failures.push(format!("{name}: {}", error.message())),
            Err(_) => failures.push(format!("{name}: it did not end within {LIMIT:?}")),
        }
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
