//! Callers look for the node that is nearest, or least busy.

use futures_util::future::try_join_all;
use moleculer::prelude::*;
use serde_json::json;

use crate::{
    checks::{Check, run_all},
    cluster::{Cluster, DRIVER, JAVASCRIPT, RUST, Setup, THIRD, until},
    matrix::Place,
    process::Implementation,
};

pub(crate) const ALL: &[(&str, Check)] = &[
    ("the nearest node is called", |cluster| Box::pin(nearest(cluster))),
    ("the least busy node is called", |cluster| Box::pin(idlest(cluster))),
];

/// Rust nodes choose among JavaScript nodes for `east`, which they learn to do
/// from them; for `west` a JavaScript node chooses between the others.
pub(crate) async fn run(place: Place) -> Result<()> {
    let setup = Setup::default()
        .services(RUST, "west,probe")
        .services(JAVASCRIPT, "east,actor,probe")
        .services(THIRD, "east,west,actor,probe")
        .third(Implementation::JavaScript);
    // The reference begins to measure only if it needs to when it starts.
    let measure = json!({ "pingInterval": 0.2, "collectCount": 2 });
    let measure = json!({ "registry": { "strategy": "Latency", "strategyOptions": measure } });
    let cluster = setup.options(JAVASCRIPT, &measure).start(place).await?;
    run_all(&cluster, &[ALL]).await
}

/// JavaScript nodes play hosts that answer pings late.
async fn nearest(cluster: &Cluster) -> Result<()> {
    let away = async |node, ms: u32| cluster.ask(node, "actor.play", json!({ "away": ms })).await;
    away(THIRD, 300).await?;
    let expected = [
        (DRIVER, "east.nearest", JAVASCRIPT),
        (RUST, "east.nearest", JAVASCRIPT),
        (JAVASCRIPT, "west.nearest", RUST),
    ];
    try_join_all(expected.map(|expected| settled(cluster, expected))).await?;
    away(THIRD, 0).await?;
    away(JAVASCRIPT, 300).await?;
    let expected = [(DRIVER, "east.nearest", THIRD), (RUST, "east.nearest", THIRD)];
    try_join_all(expected.map(|expected| settled(cluster, expected))).await.map(drop)
}

/// They tell of a load that is none; what the Rust node tells is between.
async fn idlest(cluster: &Cluster) -> Result<()> {
    let busy = async |node, cpu: i32| cluster.ask(node, "actor.play", json!({ "cpu": cpu })).await;
    busy(JAVASCRIPT, 5).await?;
    busy(THIRD, 101).await?;
    let expected = [
        (DRIVER, "east.idlest", JAVASCRIPT),
        (RUST, "east.idlest", JAVASCRIPT),
        (JAVASCRIPT, "west.idlest", RUST),
    ];
    try_join_all(expected.map(|expected| settled(cluster, expected))).await?;
    busy(JAVASCRIPT, 101).await?;
    busy(THIRD, -1).await?;
    let expected = [
        (DRIVER, "east.idlest", THIRD),
        (RUST, "east.idlest", THIRD),
        (JAVASCRIPT, "west.idlest", THIRD),
    ];
    try_join_all(expected.map(|expected| settled(cluster, expected))).await.map(drop)
}

/// Waits until so many calls in a row go to that node that it is no chance.
async fn settled(cluster: &Cluster, (caller, action, expected): (&str, &str, &str)) -> Result<()> {
    until(&format!("{action} of {caller} goes to {expected}"), async || {
        for _ in 0..20 {
            let node = if caller == DRIVER {
                cluster.driver.call::<Value>(action, ()).await?.into()
            } else {
                cluster.relay(caller, json!({ "action": action })).await?["result"].take()
            };
            if node != expected {
                return Ok(false);
            }
        }
        Ok(true)
    })
    .await
}
