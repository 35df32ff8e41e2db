//! Calls and events are shared by the nodes that take them.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;
use moleculer::prelude::*;
use serde_json::{Value as Json, json};

use crate::{
    checks::{Check, check, run_all},
    cluster::{Cluster, DRIVER, JAVASCRIPT, RUST, Setup, THIRD},
    matrix::Place,
    process::Implementation,
};

pub(crate) const ALL: &[(&str, Check)] = &[
    ("calls are balanced evenly", |cluster| Box::pin(calls(cluster))),
    ("direct calls reach their node", |cluster| Box::pin(direct(cluster))),
    ("emitted events reach one of each group", |cluster| Box::pin(emitted(cluster))),
    ("broadcast events reach every listener", |cluster| Box::pin(broadcast(cluster))),
    ("local broadcasts stay at home", |cluster| Box::pin(local(cluster))),
    ("a refused call is made again elsewhere", |cluster| Box::pin(retried(cluster))),
    ("all send a key to the same node", |cluster| Box::pin(sharded(cluster))),
];

const NODES: [&str; 3] = [RUST, JAVASCRIPT, THIRD];
/// Who calls, beside the driver.
const CALLERS: [&str; 2] = [RUST, JAVASCRIPT];

pub(crate) async fn run(place: Place) -> Result<()> {
    let setup = Setup::default()
        .services(RUST, "test,users,payment,guarded,probe")
        .services(JAVASCRIPT, "test,mail,guarded,probe")
        .services(THIRD, "test,payment,guarded,probe")
        .third(Implementation::Rust);
    let setup = CALLERS
        .into_iter()
        .fold(setup, |setup, caller| setup.variable(caller, "PREFER_LOCAL", "false"));
    let cluster = setup.start(place).await?;
    for node in NODES {
        cluster.reports_from(node).await?;
    }
    run_all(&cluster, &[ALL]).await
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
    for sender in [DRIVER, RUST, JAVASCRIPT] {
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
    for sender in [DRIVER, RUST, JAVASCRIPT] {
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
        (DRIVER, json!({ "users@driver": 3 })),
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

/// By the policy that the action has published; under one request id.
async fn retried(cluster: &Cluster) -> Result<()> {
    for caller in CALLERS {
        for willing in NODES.map(Some).into_iter().chain([None]) {
            let request = format!("{caller} to {}", willing.unwrap_or("nobody"));
            let refusing = NODES.into_iter().filter(|node| Some(*node) != willing);
            let params = json!({ "nodes": refusing.collect::<Vec<_>>() });
            let call = json!({ "action": "guarded.refused", "params": params });
            let answer = cluster.driver.call::<Value>("probe.relay", call).node(caller);
            let mut answer = Json::from(answer.request_id(&*request).await?);
            let mut attempts = Vec::new();
            for node in NODES {
                let of = json!({ "request": request });
                let number = cluster.ask(node, "guarded.attempts", of).await?;
                attempts.push(number.as_f64().unwrap_or_default());
            }
            let total: f64 = attempts.iter().sum();
            if let Some(willing) = willing {
                check(&request, &answer["result"], &json!({ "nodeID": willing }))?;
                check(&request, &(total <= 3.0).into(), &true.into())?;
                continue;
            }
            // Any of the nodes is the last.
            answer["error"]["nodeID"].take();
            let expected = json!({
                "name": "MoleculerRetryableError", "message": "Not here.", "code": 503,
                "type": "REFUSED", "retryable": true, "nodeID": null,
            });
            check(&request, &answer["error"], &expected)?;
            // One call and three retries, which went round.
            check(&request, &total.into(), &4.into())?;
            check(&request, &attempts.contains(&0.0).into(), &false.into())?;
        }
    }
    Ok(())
}

/// By the strategy that the action has published.
async fn sharded(cluster: &Cluster) -> Result<()> {
    let mut keys = vec![json!(""), json!(true), json!(1e21), json!(1e-7), json!(-0.5)];
    for n in 0..20 {
        keys.extend([json!(n), json!(format!("user-{n}")), json!("é".repeat(n + 1))]);
    }
    for action in ["guarded.keyed", "guarded.keyedByMeta"] {
        let mut used = BTreeSet::new();
        for key in &keys {
            let params = json!({ "key": key });
            let meta = json!({ "user": { "id": key } });
            let call = cluster.driver.call::<Value>(action, params.clone());
            let Value::Object(all) = Value::from(meta.clone()) else { continue };
            let expected = Json::from(call.meta(all).await?);
            let call = json!({ "action": action, "params": params, "options": { "meta": meta } });
            for caller in CALLERS {
                let answer = cluster.relay(caller, call.clone()).await?;
                let what = format!("{action} for {key} from {caller}");
                check(&what, &answer["result"], &expected)?;
            }
            used.insert(expected.to_string());
        }
        check("nodes", &used.len().into(), &NODES.len().into())?;
    }
    Ok(())
}

/// Lets a node, or the driver, send the event of the listeners.
pub(crate) async fn send(cluster: &Cluster, sender: &str, kind: &str, n: usize) -> Result<()> {
    let (event, data) = ("user.created", json!({ "id": n, "name": "Ada" }));
    match (sender, kind) {
        (DRIVER, "emit") => cluster.driver.emit(event, data).await,
        (DRIVER, "broadcast") => cluster.driver.broadcast(event, data).await,
        (DRIVER, _) => cluster.driver.broadcast_local(event, data).await,
        _ => {
            let send = json!({ "kind": kind, "event": event, "payload": data });
            cluster.probe(sender, "send", send).await.map(drop)
        }
    }
}
