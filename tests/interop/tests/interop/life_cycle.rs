//! Nodes that come and go.

use std::{pin::Pin, time::Duration};

use moleculer::{ErrorKind, ProtocolVersion, prelude::*};
use serde_json::{Value as Json, json};
use tokio::time::Instant;

use crate::{
    checks::check,
    cluster::{self, Cluster, DIRECTIONS, JAVASCRIPT, Medium, RUST, until},
    process::{Implementation, Process},
};

/// A case, for one protocol version.
pub(crate) type Case = fn(ProtocolVersion) -> Pin<Box<dyn Future<Output = Result<()>>>>;

/// Every case with its name.
pub(crate) const ALL: &[(&str, Case)] = &[
    ("a killed JavaScript node is noticed, and welcome again", |version| Box::pin(killed(version))),
    ("a stopped Rust node says goodbye", |version| Box::pin(stopped(version, Medium::Tcp))),
    ("the other protocol version is kept out, unless it is let in", |version| {
        Box::pin(mixed(version))
    }),
    ("nodes find each other by UDP", |version| Box::pin(udp(version))),
];

async fn killed(version: ProtocolVersion) -> Result<()> {
    let mut cluster = Cluster::start(version, "JSON", Medium::Tcp).await?;
    let driver = cluster.driver.clone();
    let waiting = tokio::spawn(async move {
        driver.call::<Value>("probe.sleep", json!({ "ms": 60_000 })).node(JAVASCRIPT).await
    });
    until("the call runs", async || {
        let running = cluster.probe(JAVASCRIPT, "running", json!({})).await?;
        Ok(running == 1)
    })
    .await?;
    let killed = Instant::now();
    cluster.javascript.kill().await?;
    let error = waiting.await.map_err(|error| Error::internal(error.to_string()))?.err();
    let kind = error.as_ref().map(Error::kind);
    if kind != Some(&ErrorKind::RequestRejected) || killed.elapsed() > Duration::from_secs(5) {
        return Err(Error::internal(format!("after {:?}: {error:?}", killed.elapsed())));
    }
    if cluster.driver.pending_requests() != 0 {
        return Err(Error::internal("a request is left pending"));
    }
    let error = cluster.driver.call::<Value>("probe.echo", 1).node(JAVASCRIPT).await.err();
    check(
        "a call to it",
        &format!("{:?}", error.map(|error| error.kind().clone())).into(),
        &format!("{:?}", Some(ErrorKind::ServiceNotFound)).into(),
    )?;

    cluster.restart_javascript().await?;
    for (caller, callee) in DIRECTIONS {
        cluster.reachable(caller, callee).await?;
    }
    Ok(())
}

pub(crate) async fn stopped(version: ProtocolVersion, medium: Medium) -> Result<()> {
    let mut cluster = Cluster::start(version, "JSON", medium).await?;
    let status = cluster.rust.terminate().await?;
    check("exit code", &status.code().into(), &0.into())?;
    // It told everybody before it left, so nobody has to wait for a timer.
    let call = json!({ "action": "probe.echo", "options": { "nodeID": RUST } });
    let error = &cluster.relay(JAVASCRIPT, call).await?["error"];
    check("the JavaScript node knows", &error["name"], &"ServiceNotFoundError".into())?;
    let nodes = cluster.driver.call::<Value>("$node.list", json!({})).node(JAVASCRIPT).await?;
    let nodes = Json::from(nodes);
    let rust = nodes.as_array().into_iter().flatten().find(|node| node["id"] == RUST);
    check(
        "and lists it as gone",
        &rust.map_or(Json::Null, |node| node["available"].clone()),
        &false.into(),
    )
}

async fn mixed(version: ProtocolVersion) -> Result<()> {
    let other = match version {
        ProtocolVersion::V4 => ProtocolVersion::V5,
        ProtocolVersion::V5 => ProtocolVersion::V4,
    };
    for let_in in [false, true] {
        let namespace = cluster::namespace();
        let tcp = cluster::tcp(&["driver", JAVASCRIPT])?;
        let mut environment = cluster::environment(other, &namespace, &tcp, JAVASCRIPT);
        environment.push(("DISABLE_VERSION_CHECK", let_in.to_string()));
        let _javascript = Process::start(Implementation::JavaScript, &environment).await?;
        let mut transit = moleculer::TransitOptions::default();
        transit.disable_version_check = let_in;
        let driver = cluster::driver(version, &namespace, &tcp, "JSON", transit).await?;
        if let_in {
            driver.wait_for_services(["probe"], Duration::from_secs(20)).await?;
            let answer: Value = driver.call("probe.echo", json!({ "a": 1 })).await?;
            check("a call", &answer.into(), &json!({ "a": 1 }))?;
        } else {
            // Three rounds of gossip would have brought its services.
            let found = driver.wait_for_services(["probe"], Duration::from_secs(3)).await;
            check("found", &found.is_ok().into(), &false.into())?;
        }
        driver.stop().await?;
    }
    Ok(())
}

async fn udp(version: ProtocolVersion) -> Result<()> {
    let namespace = cluster::namespace();
    let free = cluster::addresses(&["udp"])?;
    let port: u16 = free[0].1.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or(4445);
    let tcp = json!({ "udpPort": port, "udpPeriod": 1, "useHostname": false, "gossipPeriod": 1 });
    let tcp = json!({ "type": "TCP", "options": tcp });
    let environment = cluster::environment(version, &namespace, &tcp, JAVASCRIPT);
    let transit = moleculer::TransitOptions::default();
    let driver = cluster::driver(version, &namespace, &tcp, "JSON", transit).await?;
    let _javascript = Process::start(Implementation::JavaScript, &environment).await?;
    driver.wait_for_services(["probe"], Duration::from_secs(20)).await?;
    let answer: Value = driver.call("probe.echo", "found").await?;
    check("a call", &answer.into(), &"found".into())?;
    driver.stop().await
}
