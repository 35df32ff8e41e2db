//! Services of two nodes that need each other to start.

use std::time::Duration;

use moleculer::{ProtocolVersion, prelude::*};
use serde_json::json;

use crate::{
    checks::{Check, check, run_all},
    cluster::{Cluster, DIRECTIONS, JAVASCRIPT, Medium, RUST},
};

pub(crate) const ALL: &[(&str, Check)] =
    &[("services wait for those of the other side", |cluster| Box::pin(waits(cluster)))];

pub(crate) async fn run(
    version: ProtocolVersion,
    serializer: &'static str,
    medium: Medium,
) -> Result<()> {
    for (first, second) in DIRECTIONS {
        let services =
            [(first, "SERVICES", "location,tenant,probe"), (second, "SERVICES", "device,probe")];
        let cluster = Cluster::start_with(version, serializer, medium, &services).await?;
        run_all(&cluster, ALL).await?;
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
