//! How soon fresh nodes can call each other.

use std::time::Duration;

use moleculer::{ProtocolVersion, prelude::*};
use serde_json::json;
use tokio::time::Instant;

use crate::{
    cluster::{self, JAVASCRIPT, Medium, RUST},
    process::{Implementation, Process},
};

/// The goal is 0.3 s, which `cargo xtask bench start` measures; here other
/// tests run beside it.
const RUST_LIMIT: Duration = Duration::from_secs(2);
/// A round of gossip, the wait after its connect, and a second of quiet before
/// it tells of its services are the reference's own.
const JAVASCRIPT_LIMIT: Duration = Duration::from_secs(8);

/// Two nodes that start at the same time, one of them as a process.
pub(crate) async fn run(implementation: Implementation, medium: Medium) -> Result<()> {
    let (id, limit) = match implementation {
        Implementation::Rust => (RUST, RUST_LIMIT),
        Implementation::JavaScript => (JAVASCRIPT, JAVASCRIPT_LIMIT),
    };
    let (place, namespace) = ((ProtocolVersion::V5, medium, "JSON"), cluster::namespace());
    let (transporter, _server) = cluster::transporter(medium).await?;
    let environment = cluster::environment(place, &namespace, &transporter, id);
    let started = Instant::now();
    let (_node, driver) = tokio::try_join!(
        Process::start(implementation, &environment),
        cluster::driver(place, &namespace, &transporter, &[], Vec::new()),
    )?;
    driver.wait_for_services(["probe"], limit).await?;
    driver.call::<Value>("probe.echo", json!({ "a": 1 })).await?;
    let took = started.elapsed();
    driver.stop().await?;
    if took > limit {
        return Err(Error::internal(format!("the first call took {took:?}, not {limit:?}")));
    }
    Ok(())
}
