//! Services that are made while the nodes run.

use moleculer::prelude::*;
use serde_json::json;

use super::check;
use crate::cluster::{Cluster, DIRECTIONS, until};

pub(crate) async fn comes_and_goes(cluster: &Cluster) -> Result<()> {
    for (caller, callee) in DIRECTIONS {
        let name = json!({ "name": format!("late-{callee}") });
        let call = json!({ "action": format!("late-{callee}.hello") });
        cluster.probe(callee, "addService", name.clone()).await?;
        until(&format!("{caller} finds the service"), async || {
            let answer = cluster.relay(caller, call.clone()).await?;
            if answer["ok"] == true {
                check("the answer", &answer["result"], &json!({ "nodeID": callee }))?;
            }
            Ok(answer["ok"] == true)
        })
        .await?;
        cluster.probe(callee, "removeService", name).await?;
        until(&format!("{caller} misses the service"), async || {
            let answer = cluster.relay(caller, call.clone()).await?;
            Ok(answer["error"]["type"] == "SERVICE_NOT_FOUND")
        })
        .await?;
    }
    Ok(())
}
