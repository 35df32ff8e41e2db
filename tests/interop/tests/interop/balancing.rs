//! Calls and events are shared by the nodes that take them.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use moleculer::{ProtocolVersion, prelude::*};
use serde_json::{Value as Json, json};

use crate::{
    checks::{Check, check, run_all},
    cluster::{Cluster, JAVASCRIPT, Medium, RUST, THIRD, until},
    process::{Implementation, Process},
};

pub(crate) const ALL: &[(&str, Check)] = &[
    ("calls are balanced evenly", |cluster| Box::pin(calls(cluster))),
    ("direct calls reach their node", |cluster| Box::pin(direct(cluster))),
    ("emitted events reach one of each group", |cluster| Box::pin(emitted(cluster))),
    ("broadcast events reach every listener", |cluster| Box::pin(broadcast(cluster))),
    ("local broadcasts stay at home", |cluster| Box::pin(local(cluster))),
];

const NODES: [&str; 3] = [RUST, JAVASCRIPT, THIRD];
/// Who calls, beside the driver.
const CALLERS: [&str; 2] = [RUST, JAVASCRIPT];

pub(crate) async fn run(
    version: ProtocolVersion,
    serializer: &'static str,
    medium: Medium,
) -> Result<()> {
    let services = [
        (RUST, "SERVICES", "test,users,payment,probe"),
        (JAVASCRIPT, "SERVICES", "test,mail,probe"),
        (RUST, "PREFER_LOCAL", "false"),
        (JAVASCRIPT, "PREFER_LOCAL", "false"),
    ];
    let cluster = Cluster::start_with(version, serializer, medium, &services).await?;
    let mut third = cluster.environment(THIRD);
    third.push(("SERVICES", "test,payment,probe".to_owned()));
    let _third = Process::start(Implementation::Rust, &third).await?;
    for caller in CALLERS {
        cluster.reachable(caller, THIRD).await?;
        cluster.reachable(THIRD, caller).await?;
        knows_the_driver(&cluster, caller).await?;
    }
    knows_the_driver(&cluster, THIRD).await?;
    run_all(&cluster, ALL).await
}

/// Reports reach the driver only from nodes that know its listeners.
async fn knows_the_driver(cluster: &Cluster, node: &str) -> Result<()> {
    until(&format!("{node} reports"), async || {
        cluster.reports.clear();
        cluster.ask(node, "test.work", json!({})).await?;
        cluster.fence().await?;
        Ok(!cluster.reports.all().is_empty())
    })
    .await
}

async fn calls(cluster: &Cluster) -> Result<()> {
    let params = json!({ "a": 5, "b": "text", "c": [null, 1.5] });
    let work = || async {
        let answer = cluster.driver.call::<bool>("test.work", params.clone());
        answer.await.map(|answer| json!(answer))
    };
    shares(cluster, &params, (0..9).map(|_| work())).await?;
    for caller in CALLERS {
        let call = json!({ "action": "test.work", "params": params });
        let relay = || async { Ok(cluster.relay(caller, call.clone()).await?["result"].take()) };
        shares(cluster, &params, (0..9).map(|_| relay())).await?;
    }
    Ok(())
}

/// Each node gets three of the calls.
async fn shares<F: Future<Output = Result<Json>>>(
    cluster: &Cluster,
    params: &Json,
    calls: impl Iterator<Item = F>,
) -> Result<()> {
    cluster.reports.clear();
    for answer in try_join_all(calls).await? {
        check("the answer", &answer, &true.into())?;
    }
    for report in cluster.reports.wait(9).await? {
        check("the params", &report["params"], params)?;
    }
    let counts = NODES.map(|node| (format!("test@{node}"), 3));
    check("calls", &cluster.reports.counts(), &json!(BTreeMap::from(counts)))
}

async fn direct(cluster: &Cluster) -> Result<()> {
    for node in NODES {
        cluster.reports.clear();
        let calls = (0..9).map(|n| cluster.ask(node, "test.work", json!({ "n": n })));
        try_join_all(calls).await?;
        cluster.reports.wait(9).await?;
        check("calls", &cluster.reports.counts(), &json!({ (format!("test@{node}")): 9 }))?;
    }
    Ok(())
}

async fn emitted(cluster: &Cluster) -> Result<()> {
    let expected = json!({
        "payment@rust": 3, "payment@third": 3, "users@rust": 3, "users@driver": 3,
        "mail@javascript": 6
    });
    for sender in ["driver", RUST, JAVASCRIPT] {
        cluster.reports.clear();
        for n in 0..6 {
            send(cluster, sender, "emit", n).await?;
        }
        cluster.reports.wait(18).await?;
        cluster.fence().await?;
        check(&format!("sent by {sender}"), &cluster.reports.counts(), &expected)?;
    }
    Ok(())
}

async fn broadcast(cluster: &Cluster) -> Result<()> {
    let expected = json!({
        "payment@rust": 3, "payment@third": 3, "users@rust": 3, "users@driver": 3,
        "mail@javascript": 3
    });
    for sender in ["driver", RUST, JAVASCRIPT] {
        cluster.reports.clear();
        for n in 0..3 {
            send(cluster, sender, "broadcast", n).await?;
        }
        cluster.reports.wait(15).await?;
        cluster.fence().await?;
        check(&format!("sent by {sender}"), &cluster.reports.counts(), &expected)?;
    }
    Ok(())
}

async fn local(cluster: &Cluster) -> Result<()> {
    let expected = [
        ("driver", json!({ "users@driver": 3 })),
        (RUST, json!({ "users@rust": 3, "payment@rust": 3 })),
        (JAVASCRIPT, json!({ "mail@javascript": 3 })),
    ];
    for (sender, expected) in expected {
        cluster.reports.clear();
        for n in 0..3 {
            send(cluster, sender, "broadcastLocal", n).await?;
        }
        cluster.reports.wait(3 * expected.as_object().map_or(0, serde_json::Map::len)).await?;
        cluster.fence().await?;
        check(&format!("sent by {sender}"), &cluster.reports.counts(), &expected)?;
    }
    Ok(())
}

async fn send(cluster: &Cluster, sender: &str, kind: &str, n: u64) -> Result<()> {
    let (event, data) = ("user.created", json!({ "id": n, "name": "Ada" }));
    match (sender, kind) {
        ("driver", "emit") => cluster.driver.emit(event, data).await,
        ("driver", "broadcast") => cluster.driver.broadcast(event, data).await,
        ("driver", _) => cluster.driver.broadcast_local(event, data).await,
        _ => {
            let send = json!({ "kind": kind, "event": event, "payload": data });
            cluster.probe(sender, "send", send).await.map(drop)
        }
    }
}
