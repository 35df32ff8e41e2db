//! Nodes that come and go.

use std::{pin::Pin, time::Duration};

use moleculer::{ErrorKind, ProtocolVersion, prelude::*};
use serde_json::{Value as Json, json};
use tokio::{sync::mpsc, time::Instant};

use crate::{
    checks::check,
    cluster::{self, Cluster, DIRECTIONS, JAVASCRIPT, RUST, until},
    matrix::{self, Place},
    process::{Implementation, Process},
};

/// Longest time until a dead node is missed: heartbeats are a second apart,
/// and their absence counts after three.
const NOTICED: Duration = Duration::from_secs(8);

/// A case, in a cluster of its own.
pub(crate) type Case = fn(Place) -> Pin<Box<dyn Future<Output = Result<()>>>>;

/// Every case with its name.
pub(crate) const ALL: &[(&str, Case)] = &[
    ("a killed node is noticed, and welcome again", |place| Box::pin(killed(place))),
    ("a stopped node says goodbye", |place| Box::pin(stopped(place))),
    ("of two nodes with one id one ends", |place| Box::pin(conflict(place))),
    ("the other protocol version is kept out, unless it is let in", |place| Box::pin(mixed(place))),
    ("nodes find each other by UDP", |place| Box::pin(udp(place))),
];

async fn killed(place: Place) -> Result<()> {
    let mut cluster = Cluster::start(place).await?;
    for (caller, callee) in DIRECTIONS {
        // Over NATS only heartbeats tell, and nobody sends one more.
        let driver = cluster.driver.clone();
        let waiting = tokio::spawn(async move {
            let sleep = json!({ "action": "probe.sleep", "params": { "ms": 60_000 },
                "options": { "nodeID": callee } });
            driver.call::<Value>("probe.relay", sleep).node(caller).await
        });
        until(
            "the call runs",
            async || Ok(cluster.probe(callee, "running", json!({})).await? == 1),
        )
        .await?;
        let killed = Instant::now();
        cluster.process(callee).kill().await?;
        let answer = waiting.await.map_err(|error| Error::internal(error.to_string()))??;
        let answer = Json::from(answer);
        if answer["error"]["type"] != "REQUEST_REJECTED" || killed.elapsed() > NOTICED {
            return Err(Error::internal(format!("after {:?}: {answer}", killed.elapsed())));
        }
        let call = json!({ "action": "probe.echo", "options": { "nodeID": callee } });
        let error = &cluster.relay(caller, call).await?["error"];
        check("a call to it", &error["code"], &404.into())?;
        until("the driver knows", async || {
            let call = cluster.driver.call::<Value>("probe.echo", 1).node(callee).await;
            Ok(call.err().map(|error| error.kind().clone()) == Some(ErrorKind::ServiceNotFound))
        })
        .await?;
        check("pending requests", &cluster.driver.pending_requests().into(), &0.into())?;

        cluster.restart(callee).await?;
        for (caller, callee) in DIRECTIONS {
            cluster.reachable(caller, callee).await?;
        }
    }
    Ok(())
}

/// It told everybody before it left, so nobody has to wait for a timer.
async fn stopped(place: Place) -> Result<()> {
    let mut cluster = Cluster::start(place).await?;
    let (tell, mut told) = mpsc::unbounded_channel();
    let _listening = cluster.driver.on("$node.disconnected", move |_, data| {
        // The case may have ended.
        tell.send(Json::from(data.to_value().unwrap_or_default())).ok();
    });
    for (observer, leaving) in DIRECTIONS {
        let status = cluster.process(leaving).terminate().await?;
        check("exit code", &status.code().into(), &0.into())?;
        let heard = told.recv().await.unwrap_or_default();
        let heard = json!([heard["node"]["id"], heard["unexpected"]]);
        check("the driver hears", &heard, &json!([leaving, false]))?;
        let call = json!({ "action": "probe.echo", "options": { "nodeID": leaving } });
        until("the other node knows", async || {
            let answer = cluster.relay(observer, call.clone()).await?;
            Ok(answer["error"]["name"] == "ServiceNotFoundError")
        })
        .await?;
        let nodes = cluster.ask(observer, "$node.list", json!({})).await?;
        let gone = nodes.as_array().into_iter().flatten().find(|node| node["id"] == leaving);
        let available = gone.map_or(Json::Null, |node| node["available"].clone());
        check("and lists it as gone", &available, &false.into())?;
        cluster.restart(leaving).await?;
        cluster.reachable(observer, leaving).await?;
        cluster.reachable(leaving, observer).await?;
    }
    Ok(())
}

/// Whoever hears of the other one first, ends; so may both.
async fn conflict(place: Place) -> Result<()> {
    for (id, newcomer) in [(RUST, Implementation::JavaScript), (JAVASCRIPT, Implementation::Rust)] {
        let mut cluster = Cluster::start(place).await?;
        let mut environment = cluster.environment(id);
        environment.push(("SERVICES", "probe".to_owned()));
        // It may end before it is ready.
        if let Ok(mut second) = Process::start(newcomer, &environment).await {
            tokio::select! {
                ended = cluster.process(id).ended() => ended?,
                ended = second.ended() => ended?,
            };
        }
    }
    Ok(())
}

async fn mixed((version, medium, serializer): Place) -> Result<()> {
    let other = match version {
        ProtocolVersion::V4 => ProtocolVersion::V5,
        ProtocolVersion::V5 => ProtocolVersion::V4,
    };
    // They need one that both have.
    let serializer =
        if matrix::serializers(other).contains(&serializer) { serializer } else { "JSON" };
    for let_in in [false, true] {
        let namespace = cluster::namespace();
        let (transporter, _server) = cluster::transporter(medium).await?;
        let theirs = (other, medium, serializer);
        let mut environment = cluster::environment(theirs, &namespace, &transporter, JAVASCRIPT);
        environment.push(("DISABLE_VERSION_CHECK", let_in.to_string()));
        let _javascript = Process::start(Implementation::JavaScript, &environment).await?;
        let options = [("transit", json!({ "disableVersionCheck": let_in }))];
        let ours = (version, medium, serializer);
        let driver = cluster::driver(ours, &namespace, &transporter, &options, Vec::new()).await?;
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

async fn udp(place: Place) -> Result<()> {
    let namespace = cluster::namespace();
    let free = cluster::addresses(&["udp"])?;
    let port: u16 = free[0].1.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or(4445);
    let tcp = json!({ "udpPort": port, "udpPeriod": 1, "useHostname": false, "gossipPeriod": 1 });
    let tcp = json!({ "type": "TCP", "options": tcp });
    let environment = cluster::environment(place, &namespace, &tcp, JAVASCRIPT);
    let driver = cluster::driver(place, &namespace, &tcp, &[], Vec::new()).await?;
    let _javascript = Process::start(Implementation::JavaScript, &environment).await?;
    driver.wait_for_services(["probe"], Duration::from_secs(20)).await?;
    let answer: Value = driver.call("probe.echo", "found").await?;
    check("a call", &answer.into(), &"found".into())?;
    driver.stop().await
}
