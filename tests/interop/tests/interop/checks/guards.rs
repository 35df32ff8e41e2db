//! What keeps calls from harm: on the callee, and on the caller by the options
//! that it has published.

use futures_util::future::{join_all, select_all};
use moleculer::prelude::*;
use serde_json::{Value as Json, json};

use super::{Check, check};
use crate::cluster::{Cluster, DIRECTIONS, until};

pub(crate) const ALL: &[(&str, Check)] = &[
    ("a call that takes too long ends", |cluster| Box::pin(timeouts(cluster))),
    ("failed calls have fallbacks", |cluster| Box::pin(fallbacks(cluster))),
    ("a circuit opens, and closes again", |cluster| Box::pin(circuits(cluster))),
    ("a full queue is told", |cluster| Box::pin(bulkheads(cluster))),
    ("results are kept on the callee", |cluster| Box::pin(caches(cluster))),
];

/// By what the call asks for, and by what the action has published.
async fn timeouts(cluster: &Cluster) -> Result<()> {
    let options = json!({ "timeout": 100 });
    let sleep = json!({ "action": "probe.sleep", "params": { "ms": 3000 }, "options": options });
    let late = json!({ "action": "guarded.late", "options": {} });
    for (caller, callee) in DIRECTIONS {
        for mut call in [sleep.clone(), late.clone()] {
            call["options"]["nodeID"] = callee.into();
            let action = call["action"].as_str().unwrap_or_default();
            // Both have a timer, and the callee names the caller. Its timer
            // begins later, and comes first only when the caller is held up.
            let ours = timed_out(action, callee);
            let mut theirs = timed_out(action, caller);
            theirs["nodeID"] = callee.into();
            let what = format!("{action} of {callee} for {caller}: the caller's timer comes first");
            until(&what, async || {
                // What is left of a caller's own time would go before the
                // action's timeout.
                let answer = cluster.driver.call::<Value>("probe.relay", call.clone());
                let found = Json::from(answer.node(caller).await?)["error"].take();
                if check(&what, &found, &theirs).is_ok() {
                    return Ok(false);
                }
                check(&what, &found, &ours).map(|()| true)
            })
            .await?;
        }
    }
    Ok(())
}

fn timed_out(action: &str, node: &str) -> Json {
    json!({
        "name": "RequestTimeoutError", "code": 504, "type": "REQUEST_TIMEOUT", "retryable": true,
        "message": format!("Request is timed out when call '{action}' action on '{node}' node."),
        "data": { "action": action, "nodeID": node },
    })
}

async fn fallbacks(cluster: &Cluster) -> Result<()> {
    let instead = json!({ "instead": ["é", 1.5, { "a": null }] });
    for (caller, callee) in DIRECTIONS {
        let call = async |action: &str, params: Json, timeout: u64, fallback: Option<&Json>| {
            let mut options = json!({ "nodeID": callee, "timeout": timeout });
            if let Some(fallback) = fallback {
                options["fallbackResponse"] = fallback.clone();
            }
            let call = json!({ "action": action, "params": params, "options": options });
            cluster.relay(caller, call).await
        };
        let direction = format!("{caller} -> {callee}");
        let failing = call("probe.fail", json!({ "message": "m" }), 0, Some(&instead)).await?;
        check(&direction, &failing["result"], &instead)?;
        let late = call("probe.sleep", json!({ "ms": 3000 }), 50, Some(&instead)).await?;
        check(&direction, &late["result"], &instead)?;
        let well = call("probe.echo", json!("well"), 0, Some(&instead)).await?;
        check(&direction, &well["result"], &"well".into())?;
        // Nobody was called.
        let nowhere = call("probe.nothing", json!({}), 0, Some(&instead)).await?;
        check(&direction, &nowhere["error"]["type"], &"SERVICE_NOT_FOUND".into())?;
        // The action's own, on its node.
        let soft = call("guarded.soft", json!({}), 0, None).await?;
        check(&direction, &soft["result"], &json!({ "instead": "SOFT" }))?;
    }
    Ok(())
}

/// Caller and callee have a circuit each; both have seen the same calls.
async fn circuits(cluster: &Cluster) -> Result<()> {
    for (caller, callee) in DIRECTIONS {
        let what = format!("{caller} -> {callee}");
        let call = async |fails: bool| {
            let call = json!({ "action": "guarded.brittle", "params": { "fails": fails },
                "options": { "nodeID": callee } });
            cluster.relay(caller, call).await
        };
        let broken = async || {
            let error = call(true).await?["error"].take();
            Ok(error["type"] == "BROKEN")
        };
        let told = async |event: &str, circuit: &Json| {
            told(cluster, [caller, callee], &format!("$circuit-breaker.{event}"), circuit).await
        };
        cluster.reports.clear();
        check(&what, &call(false).await?["ok"], &true.into())?;
        for _ in 0..2 {
            check(&what, &broken().await?.into(), &true.into())?;
        }
        let error = &call(false).await?["error"];
        let message = format!("Service 'guarded.brittle' is not found on '{callee}' node.");
        let open = json!([error["name"], error["message"], error["nodeID"]]);
        check(&what, &open, &json!(["ServiceNotFoundError", message, null]))?;
        let circuit =
            json!({ "nodeID": callee, "service": "guarded", "action": "guarded.brittle" });
        let mut opened = circuit.clone();
        opened["failures"] = 2.into();
        opened["count"] = 3.into();
        opened["rate"] = (2.0 / 3.0).into();
        told("opened", &opened).await?;

        // Half-open: the first call is let through, and says how it is.
        until("a call is let through", broken).await?;
        told("half-opened", &circuit).await?;
        let error = &call(false).await?["error"];
        check(&what, &error["type"], &"SERVICE_NOT_FOUND".into())?;
        until("the circuit closes", async || Ok(call(false).await?["ok"] == true)).await?;
        told("closed", &circuit).await?;
        // What was counted is forgotten.
        check(&what, &broken().await?.into(), &true.into())?;
        check(&what, &call(false).await?["ok"], &true.into())?;
    }
    Ok(())
}

/// Waits until these nodes have told this of the circuit.
async fn told(cluster: &Cluster, nodes: [&str; 2], event: &str, circuit: &Json) -> Result<()> {
    for node in nodes {
        let mut found = Json::Null;
        until(&format!("{node} tells {event}"), async || {
            let reports = cluster.reports.all();
            let mut reports = reports.iter().rev();
            let last = reports.find(|report| report["event"] == event && report["sender"] == node);
            found = last.map_or(Json::Null, |report| report["params"].clone());
            Ok(last.is_some())
        })
        .await?;
        check(&format!("{event} of {node}"), &found, circuit)?;
    }
    Ok(())
}

/// One call runs and one waits on the callee; the third is refused.
async fn bulkheads(cluster: &Cluster) -> Result<()> {
    for direction in DIRECTIONS {
        let (caller, callee) = direction;
        let call = json!({ "action": "guarded.narrow", "options": { "nodeID": callee } });
        let calls: Vec<_> = (0..3).map(|_| Box::pin(cluster.relay(caller, call.clone()))).collect();
        let (refused, _, others) = select_all(calls).await;
        let expected = json!({
            "name": "QueueIsFullError", "code": 429, "type": "QUEUE_FULL", "retryable": true,
            "message": format!("Queue is full. Request 'guarded.narrow' action on '{caller}' node is rejected."),
            "data": { "action": "guarded.narrow", "nodeID": caller }, "nodeID": callee,
        });
        check(&format!("{caller} -> {callee}"), &refused?["error"], &expected)?;
        cluster.ask(callee, "guarded.open", json!({ "calls": 2 })).await?;
        for answer in join_all(others).await {
            let one_at_once = json!({ "ok": true, "result": 1 });
            check(&format!("{caller} -> {callee}"), &answer?, &one_at_once)?;
        }
    }
    Ok(())
}

async fn caches(cluster: &Cluster) -> Result<()> {
    for (caller, callee) in DIRECTIONS {
        let mut runs = Vec::new();
        for (noise, key) in
            [json!("a"), json!("a"), json!(["b", null]), json!("a"), json!(["b", null])]
                .into_iter()
                .enumerate()
        {
            let params = json!({ "key": key, "noise": noise });
            let answer = cluster.call((caller, callee), "cached", params).await?;
            check(&format!("{caller} -> {callee}"), &answer["key"], &key)?;
            runs.push(answer["run"].as_f64());
        }
        let first = runs[0];
        let expected =
            [first, first, first.map(|run| run + 1.0), first, first.map(|run| run + 1.0)];
        check(&format!("{caller} -> {callee}"), &json!(runs), &json!(expected))?;
    }
    Ok(())
}
