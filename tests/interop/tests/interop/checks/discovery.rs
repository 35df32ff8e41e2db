//! What nodes know of each other.

use moleculer::prelude::*;
use serde_json::{Value as Json, json};

use super::check;
use crate::cluster::{Cluster, DIRECTIONS, JAVASCRIPT, Medium, RUST, until};

/// Settings, metadata, actions and events of all services, and the node's own.
pub(crate) async fn alike(cluster: &Cluster) -> Result<()> {
    for (observer, owner) in DIRECTIONS {
        let what = format!("{owner}'s services as {observer} lists them");
        let (own, seen) =
            (services(cluster, owner, owner).await?, services(cluster, observer, owner).await?);
        if own.iter().all(|service| service["settings"]["limits"].is_null()) {
            return Err(Error::internal(format!("{what}: none has settings")));
        }
        check(&what, &seen.into(), &own.into())?;
        let [own, seen] = [owner, observer].map(|by| node(cluster, by, owner));
        let (own, seen) = (own.await?, seen.await?);
        for key in ["instanceID", "client", "metadata", "hostname", "ipList"] {
            check(&format!("{owner}'s {key} as {observer} lists it"), &seen[key], &own[key])?;
        }
        check("metadata", &own["metadata"]["rack"], &json!(["é", 1.5, null]))?;
    }
    Ok(())
}

/// Both have the same clock.
pub(crate) async fn ping(cluster: &Cluster) -> Result<()> {
    let near = |difference: Option<i64>| difference.is_some_and(|ms| ms.abs() < 1000);
    let pong = cluster.javascript_says("judge.ping", json!({ "node": RUST })).await?;
    check("the pong comes from", &pong["nodeID"], &RUST.into())?;
    let ours = cluster.driver.ping(JAVASCRIPT).await;
    let ours = ours.ok_or_else(|| Error::internal("JavaScript does not answer"))?;
    if !near(pong["timeDiff"].as_i64()) || !near(Some(ours.time_diff)) {
        return Err(Error::internal(format!("the difference: {pong}, {ours:?}")));
    }
    Ok(())
}

/// Over TCP gossip tells it, with a number for each change; elsewhere heartbeats do.
pub(crate) async fn load(cluster: &Cluster) -> Result<()> {
    for (observer, owner) in DIRECTIONS {
        until(&format!("{observer} knows the load of {owner}"), async || {
            let node = node(cluster, observer, owner).await?;
            let numbered = node["cpuSeq"].as_i64() > Some(0) || cluster.medium != Medium::Tcp;
            Ok(node["cpu"].is_number() && numbered)
        })
        .await?;
    }
    Ok(())
}

/// A node's services as another one lists them, sorted by name.
async fn services(cluster: &Cluster, observer: &str, owner: &str) -> Result<Vec<Json>> {
    let params = json!({ "withActions": true, "withEvents": true, "grouping": false });
    let mut services = list(cluster, observer, "$node.services", params).await?;
    services.retain(|service| service["nodeID"] == owner);
    for service in &mut services {
        // Who is asked is no property of the service.
        service["local"].take();
        for action in
            service["actions"].as_object_mut().into_iter().flat_map(|all| all.values_mut())
        {
            // The reference fills in the defaults of a strategy that it uses.
            action["strategyOptions"].take();
        }
    }
    services.sort_by_key(|service| service["fullName"].to_string());
    Ok(services)
}

async fn node(cluster: &Cluster, observer: &str, owner: &str) -> Result<Json> {
    let nodes = list(cluster, observer, "$node.list", json!({})).await?;
    let found = nodes.into_iter().find(|node| node["id"] == owner);
    found.ok_or_else(|| Error::internal(format!("{observer} does not list {owner}")))
}

async fn list(cluster: &Cluster, node: &str, action: &str, params: Json) -> Result<Vec<Json>> {
    match cluster.ask(node, action, params).await? {
        Json::Array(items) => Ok(items),
        other => Err(Error::internal(format!("{action} of {node} is no list: {other}"))),
    }
}
