//! What Rust and JavaScript nodes have to do together.

use std::{pin::Pin, time::Duration};

use moleculer::{ErrorKind, ProtocolVersion, prelude::*};
use serde_json::{Value as Json, json};
use tokio::time::Instant;

use crate::{
    cluster::{self, Cluster, DIRECTIONS, JAVASCRIPT, RUST, until},
    process::{Implementation, Process},
};

/// A case, for one protocol version.
pub(crate) type Case = fn(ProtocolVersion) -> Pin<Box<dyn Future<Output = Result<()>>>>;

/// Every case with its name.
pub(crate) const ALL: &[(&str, Case)] = &[
    ("values come back as they went", |version| Box::pin(values(version))),
    ("values come back as they went, over MsgPack", |version| {
        Box::pin(values_over(version, "MsgPack"))
    }),
    ("a call carries its context", |version| Box::pin(context(version))),
    ("errors keep their class and members", |version| Box::pin(errors(version))),
    ("events reach the other side", |version| Box::pin(events(version))),
    ("events are balanced among both", |version| Box::pin(balanced_events(version))),
    ("echo.reply keeps every kind", |version| Box::pin(reply(version))),
    ("a killed JavaScript node is noticed, and welcome again", |version| Box::pin(killed(version))),
    ("a stopped Rust node says goodbye", |version| Box::pin(stopped(version))),
    ("the other protocol version is kept out, unless it is let in", |version| {
        Box::pin(mixed(version))
    }),
    ("nodes find each other by UDP", |version| Box::pin(udp(version))),
];

fn check(what: &str, actual: &Json, expected: &Json) -> Result<()> {
    if actual == expected {
        return Ok(());
    }
    Err(Error::internal(format!("{what}: expected {expected}, got {actual}")))
}

async fn values(version: ProtocolVersion) -> Result<()> {
    values_over(version, "JSON").await
}

async fn values_over(version: ProtocolVersion, serializer: &str) -> Result<()> {
    let cluster = Cluster::start_with(version, serializer).await?;
    let values = json!([
        null, true, 0, -1, 1.5, 1e21, 9_007_199_254_740_991_u64, "", "text \u{1F600} \" \\ \n \u{2028}", [],
        [1, [2, null]], {}, {"a": {"b": [{"c": null}]}, "ключ": "значение"},
        {"type": "Buffer", "data": [0, 1, 255]}, "x".repeat(100_000)
    ]);
    for direction in DIRECTIONS {
        for value in values.as_array().into_iter().flatten() {
            let answer = cluster.call(direction, "echo", value.clone()).await?;
            check(&format!("{direction:?}"), &answer, value)?;
        }
    }
    Ok(())
}

async fn context(version: ProtocolVersion) -> Result<()> {
    let cluster = Cluster::start(version).await?;
    for (caller, callee) in DIRECTIONS {
        let call = json!({
            "action": "probe.whoami",
            "options": { "nodeID": callee, "meta": { "user": { "id": 5 } }, "headers": { "h": "v" } }
        });
        let who = &cluster.relay(caller, call).await?["result"];
        let direction = format!("{caller} -> {callee}");
        check(&direction, &who["nodeID"], &callee.into())?;
        check(&direction, &who["sender"], &caller.into())?;
        check(&direction, &who["caller"], &"probe".into())?;
        check(&direction, &who["level"], &2.into())?;
        check(&direction, &who["meta"], &json!({ "user": { "id": 5 } }))?;
        if version == ProtocolVersion::V5 {
            check(&direction, &who["headers"], &json!({ "h": "v" }))?;
        }
        // The driver's call is the root; its id came along as the request id.
        let request = who["requestID"].as_str().unwrap_or_default();
        if request.len() != 36 || who["requestID"] != who["parentID"] {
            return Err(Error::internal(format!("{direction}: request id {who}")));
        }
    }
    let response = cluster.driver.call::<Value>("probe.setMeta", json!({ "set": 1 }));
    let response = response.node(JAVASCRIPT).meta([("mine", 2)]).with_response().await?;
    check("meta comes back", &Value::from(response.meta).into(), &json!({ "mine": 2, "set": 1 }))
}

async fn errors(version: ProtocolVersion) -> Result<()> {
    let cluster = Cluster::start(version).await?;
    let cases = [
        (
            json!({ "name": "MoleculerError", "message": "m", "code": 501, "type": "T", "data": { "a": [1] } }),
            json!({ "name": "MoleculerError", "message": "m", "code": 501, "type": "T", "data": { "a": [1] }, "retryable": false }),
        ),
        (
            json!({ "name": "MoleculerClientError", "message": "m", "code": 404, "type": "NO_POST", "data": 5 }),
            json!({ "name": "MoleculerClientError", "message": "m", "code": 404, "type": "NO_POST", "data": 5, "retryable": false }),
        ),
        (
            json!({ "name": "ValidationError", "message": "m", "data": [{ "field": "a" }] }),
            json!({ "name": "ValidationError", "message": "m", "code": 422, "type": "VALIDATION_ERROR", "data": [{ "field": "a" }], "retryable": false }),
        ),
        (
            json!({ "name": "ServiceNotFoundError", "data": { "action": "x.y" }, "retryable": false }),
            json!({ "name": "ServiceNotFoundError", "message": "Service 'x.y' is not found.", "code": 404, "type": "SERVICE_NOT_FOUND", "data": { "action": "x.y" }, "retryable": false }),
        ),
        (
            json!({ "name": "RequestTimeoutError", "data": { "action": "x.y", "nodeID": "n" } }),
            json!({ "name": "RequestTimeoutError", "message": "Request is timed out when call 'x.y' action on 'n' node.", "code": 504, "type": "REQUEST_TIMEOUT", "data": { "action": "x.y", "nodeID": "n" }, "retryable": true }),
        ),
        (
            json!({ "name": "TeapotError", "message": "short", "code": 418, "type": "TEA", "data": { "stout": true } }),
            json!({ "name": "TeapotError", "message": "short", "code": 418, "type": "TEA", "data": { "stout": true } }),
        ),
    ];
    for (caller, callee) in DIRECTIONS {
        for (fail, expected) in &cases {
            let call =
                json!({ "action": "probe.fail", "params": fail, "options": { "nodeID": callee } });
            let answer = cluster.relay(caller, call).await?;
            let mut expected = expected.clone();
            expected["nodeID"] = callee.into();
            check(&format!("{caller} -> {callee}"), &answer["error"], &expected)?;
        }
        let call = json!({ "action": "probe.panic", "options": { "nodeID": callee } });
        let error = &cluster.relay(caller, call).await?["error"];
        check(
            "panic",
            &json!([error["name"], error["code"], error["message"], error["nodeID"]]),
            &json!(["MoleculerError", 500, "The handler panicked.", callee]),
        )?;
        let call = json!({ "action": "probe.nothing", "options": { "nodeID": callee } });
        let error = &cluster.relay(caller, call).await?["error"];
        check(
            "unknown action",
            &error["message"],
            &format!("Service 'probe.nothing' is not found on '{callee}' node.").into(),
        )?;
    }
    Ok(())
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

async fn events(version: ProtocolVersion) -> Result<()> {
    let cluster = Cluster::start(version).await?;
    for (sender, receiver) in DIRECTIONS {
        let both = [sender, receiver];
        for node in both {
            cluster.probe(node, "forget", json!({})).await?;
        }
        let send =
            json!({ "kind": "broadcast", "event": "probe.once", "payload": { "n": [1, null] } });
        cluster.probe(sender, "send", send).await?;
        let events = seen(&cluster, receiver, "probe.once", 2).await?;
        let view: Vec<Json> = events
            .iter()
            .map(|seen| json!([seen["type"], seen["group"], seen["payload"], seen["sender"]]))
            .collect();
        let expected =
            ["once", "probe"].map(|group| json!(["broadcast", group, { "n": [1, null] }, sender]));
        check(&format!("{sender} -> {receiver}"), &view.into(), &expected.to_vec().into())?;
        let own = seen(&cluster, sender, "probe.once", 2).await?;
        check("the sender's own listeners", &own.len().into(), &2.into())?;

        let send = json!({ "kind": "broadcast", "event": "probe.grouped", "payload": null, "groups": ["probe"] });
        cluster.probe(sender, "send", send).await?;
        let grouped = seen(&cluster, receiver, "probe.grouped", 1).await?;
        check("groups", &grouped[0]["groups"], &json!(["probe"]))?;
        check("no payload", &grouped[0]["payload"], &Json::Null)?;
    }
    Ok(())
}

async fn balanced_events(version: ProtocolVersion) -> Result<()> {
    let cluster = Cluster::start(version).await?;
    let nodes = [RUST, JAVASCRIPT];
    for node in nodes {
        cluster.probe(node, "forget", json!({})).await?;
    }
    // The driver has no listener itself, so each group takes turns.
    for n in 0..8 {
        cluster.driver.emit("probe.turn", n).await?;
    }
    for node in nodes {
        let events = seen(&cluster, node, "probe.turn", 4).await?;
        check(&format!("{node}'s share"), &events.len().into(), &4.into())?;
        check("type", &events[0]["type"], &"emit".into())?;
        check("groups", &events[0]["groups"], &json!(["probe"]))?;
        check("sender", &events[0]["sender"], &"driver".into())?;
    }
    Ok(())
}

async fn reply(version: ProtocolVersion) -> Result<()> {
    let cluster = Cluster::start(version).await?;
    let params = json!({ "a": "text", "b": 123, "c": true, "d": { "e": 123.45, "f": [1, 2, 3], "g": null } });
    for (caller, callee) in DIRECTIONS {
        let call = json!({
            "action": "echo.reply", "params": params, "options": { "nodeID": callee, "meta": params }
        });
        let answer = &cluster.relay(caller, call).await?["result"];
        check("params", &answer["params"], &params)?;
        check("meta", &answer["meta"], &params)?;
        let response = json!({ "a": "Hey", "b": 3333, "c": true, "d": { "e": 122.34, "f": [1, 2, 3], "g": null } });
        check("response", &answer["response"], &response)?;
    }
    Ok(())
}

async fn killed(version: ProtocolVersion) -> Result<()> {
    let mut cluster = Cluster::start(version).await?;
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

async fn stopped(version: ProtocolVersion) -> Result<()> {
    let mut cluster = Cluster::start(version).await?;
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
        let urls = cluster::addresses(&["driver", JAVASCRIPT])?;
        let mut environment = cluster::environment(other, &namespace, &urls, JAVASCRIPT);
        environment.push(("DISABLE_VERSION_CHECK", let_in.to_string()));
        let _javascript = Process::start(Implementation::JavaScript, &environment).await?;
        let mut transit = moleculer::TransitOptions::default();
        transit.disable_version_check = let_in;
        let driver = cluster::driver(version, &namespace, &urls, "JSON", transit).await?;
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
    let mut environment = cluster::environment(version, &namespace, &[], JAVASCRIPT);
    environment.retain(|(key, _)| *key != "BROKER_OPTIONS");
    let options = json!({ "transporter": { "type": "TCP", "options": tcp } });
    environment.push(("BROKER_OPTIONS", options.to_string()));
    let mut options = moleculer::BrokerOptions::from_value(options)?;
    options.namespace = namespace;
    let driver = ServiceBroker::builder()
        .options(options)
        .node_id("driver")
        .protocol(version)
        .start()
        .await?;
    let _javascript = Process::start(Implementation::JavaScript, &environment).await?;
    driver.wait_for_services(["probe"], Duration::from_secs(20)).await?;
    let answer: Value = driver.call("probe.echo", "found").await?;
    check("a call", &answer.into(), &"found".into())?;
    driver.stop().await
}
