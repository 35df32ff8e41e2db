//! Services of two nodes that need each other to start.

use std::time::Duration;

use moleculer::prelude::*;
use serde_json::json;

use crate::{
    checks::{Check, check, run_all},
    cluster::{Cluster, DIRECTIONS, JAVASCRIPT, RUST, Setup},
    matrix::Place,
};

pub(crate) const ALL: &[(&str, Check)] =
    &[("services wait for those of the other side", |cluster| Box::pin(waits(cluster)))];

pub(crate) async fn run(place: Place) -> Result<()> {
    for (first, second) in DIRECTIONS {
        let setup = Setup::default()
            .services(first, "location,tenant,probe")
            .services(second, "device,probe");
        let cluster = setup.start(place).await?;
        run_all(&cluster, &[ALL]).await?;
    }
    Ok(())
}

/// One side hosts `tenant` and `location`, the other one `device` between them.
async fn waits(cluster: &Cluster) -> Result<()> {
    cluster.driver.wait_for_services(["tenant", "device"], Duration::from_secs(10)).await?;
    let hosts = async |action| {
        let known = cluster.driver.call::<Value>(action, ()).node(RUST).await;
        if known.is_ok() { (RUST, JAVASCRIPT) } else { (JAVASCRIPT, RUST) }
    };
    let (first, second) = hosts("tenant.steps").await;
    let steps = cluster.ask(first, "tenant.steps", json!({})).await?;
    let expected = json!(["tenant started", "tenant.add called", "location started"]);
    check(&format!("on {first}"), &steps, &expected)?;
    let steps = cluster.ask(second, "device.steps", json!({})).await?;
    check(&format!("on {second}"), &steps, &json!(["device started", "tenant.add answered"]))
}
