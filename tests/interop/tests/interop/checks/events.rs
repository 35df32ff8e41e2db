//! Events reach those that they should.

use moleculer::prelude::*;
use serde_json::{Value as Json, json};

use super::check;
use crate::cluster::{Cluster, DIRECTIONS, JAVASCRIPT, RUST, until};

pub(crate) async fn events(cluster: &Cluster) -> Result<()> {
    for (sender, receiver) in DIRECTIONS {
        let both = [sender, receiver];
        for node in both {
            cluster.probe(node, "forget", json!({})).await?;
        }
        let send =
            json!({ "kind": "broadcast", "event": "probe.once", "payload": { "n": [1, null] } });
        cluster.probe(sender, "send", send).await?;
        let events = seen(cluster, receiver, "probe.once", 2).await?;
        let view: Vec<Json> = events
            .iter()
            .map(|seen| json!([seen["type"], seen["group"], seen["payload"], seen["sender"]]))
            .collect();
        let expected =
            ["once", "probe"].map(|group| json!(["broadcast", group, { "n": [1, null] }, sender]));
        check(&format!("{sender} -> {receiver}"), &view.into(), &expected.to_vec().into())?;
        // Protocol Buffers know no difference between none and empty.
        let groups = &events[0]["groups"];
        if groups.as_array().is_some_and(|all| cluster.serializer != "ProtoBuf" || !all.is_empty())
        {
            return Err(Error::internal(format!("groups that nobody named: {groups}")));
        }
        let own = seen(cluster, sender, "probe.once", 2).await?;
        check("the sender's own listeners", &own.len().into(), &2.into())?;

        let send = json!({ "kind": "broadcast", "event": "probe.grouped", "payload": null, "groups": ["probe"] });
        cluster.probe(sender, "send", send).await?;
        let grouped = seen(cluster, receiver, "probe.grouped", 1).await?;
        check("groups", &grouped[0]["groups"], &json!(["probe"]))?;
        check("no payload", &grouped[0]["payload"], &Json::Null)?;
    }
    Ok(())
}

pub(crate) async fn balanced(cluster: &Cluster) -> Result<()> {
    let nodes = [RUST, JAVASCRIPT];
    for node in nodes {
        cluster.probe(node, "forget", json!({})).await?;
    }
    // The driver has no listener itself, so each group takes turns.
    for n in 0..8 {
        cluster.driver.emit("probe.turn", n).await?;
    }
    for node in nodes {
        let events = seen(cluster, node, "probe.turn", 4).await?;
        check(&format!("{node}'s share"), &events.len().into(), &4.into())?;
        check("type", &events[0]["type"], &"emit".into())?;
        check("groups", &events[0]["groups"], &json!(["probe"]))?;
        check("sender", &events[0]["sender"], &"driver".into())?;
    }
    Ok(())
}

/// Each of the two services that listen gets it on one of the nodes.
pub(crate) async fn sample(cluster: &Cluster) -> Result<()> {
    let params =
        json!({ "a": "text", "b": 123, "c": true, "d": { "e": 123.45, "f": [1, 2], "g": null } });
    let data = Value::from(params.clone());
    cluster.reports.clear();
    for _ in 0..4 {
        let emit = cluster.driver.emit("sample.event", data.clone());
        emit.meta([("user", data.clone())]).await?;
    }
    for report in cluster.reports.wait(8).await? {
        check("event", &report["event"], &"sample.event".into())?;
        check("params", &report["params"], &params)?;
        check("meta", &report["meta"], &json!({ "user": params }))?;
    }
    cluster.fence().await?;
    let expected =
        json!({ "echo@rust": 2, "echo@javascript": 2, "test@rust": 2, "test@javascript": 2 });
    check("deliveries", &cluster.reports.counts(), &expected)
}

/// What a node has recorded of events of one name.
async fn seen(cluster: &Cluster, node: &str, event: &str, count: usize) -> Result<Vec<Json>> {
    let mut found = Vec::new();
    until(&format!("{node} has seen {count} of {event}"), async || {
        let all = cluster.probe(node, "seen", json!({})).await?;
        found = all
            .as_array()
            .into_iter()
            .flatten()
            .filter(|seen| seen["event"] == event)
            .cloned()
            .collect();
        Ok(found.len() >= count)
    })
    .await?;
    found.sort_by_key(|seen| seen["group"].to_string());
    Ok(found)
}
