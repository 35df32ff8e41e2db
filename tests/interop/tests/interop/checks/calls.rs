//! What a call carries, and what comes back.

use bytes::Bytes;
use moleculer::{Object, ProtocolVersion, prelude::*};
use serde_json::json;

use super::check;
use crate::cluster::{Cluster, DIRECTIONS, JAVASCRIPT, RUST};

pub(crate) async fn values(cluster: &Cluster) -> Result<()> {
    let values = json!([
        null, true, 0, -1, 1.5, 1e-21, 9_007_199_254_740_991_u64, "", "text \u{1F600} \" \\ \n \u{2028}", [],
        [1, [2, null]], {}, {"a": {"b": [{"c": null}]}, "ключ": "значение"},
        {"type": "Buffer", "data": [0, 1, 255]}, "x".repeat(100_000)
    ]);
    for direction in DIRECTIONS {
        for value in values.as_array().into_iter().flatten() {
            // The reference's Avro refuses params that are false in a condition.
            let falsy = *value == 0 || *value == "";
            if falsy && cluster.serializer == "Avro" && direction.0 == JAVASCRIPT {
                continue;
            }
            let answer = cluster.call(direction, "echo", value.clone()).await?;
            check(&format!("{direction:?}"), &answer, value)?;
        }
    }
    Ok(())
}

pub(crate) async fn context(cluster: &Cluster) -> Result<()> {
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
        if cluster.version == ProtocolVersion::V5 {
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

pub(crate) async fn rules(cluster: &Cluster) -> Result<()> {
    for (caller, callee) in DIRECTIONS {
        let step = format!("{caller} -> {callee}");
        let call = |params| json!({ "action": "probe.checked", "params": params, "options": { "nodeID": callee } });
        let right = json!({ "email": "a@b.cd", "age": 18, "nick": "  nick ", "more": true });
        let answer = cluster.relay(caller, call(right)).await?;
        let trimmed = json!({ "email": "a@b.cd", "age": 18, "nick": "nick", "more": true });
        check(&step, &answer["result"], &trimmed)?;

        let wrong = json!({ "email": "a", "age": 17.5, "nick": null });
        let error = &cluster.relay(caller, call(wrong)).await?["error"];
        let item = |r#type: &str, field: &str, message: &str| {
            json!({ "type": r#type, "message": format!("The '{field}' field must be {message}"),
                    "field": field, "nodeID": caller, "action": "probe.checked" })
        };
        let mut items = [
            item("email", "email", "a valid e-mail."),
            item("numberMin", "age", "greater than or equal to 18."),
            item("numberInteger", "age", "an integer."),
        ];
        items[0]["actual"] = "a".into();
        items[1]["expected"] = 18.into();
        items[1]["actual"] = 17.5.into();
        items[2]["actual"] = 17.5.into();
        let expected = json!({
            "name": "ValidationError", "message": "Parameters validation error!", "code": 422,
            "type": "VALIDATION_ERROR", "retryable": false, "nodeID": callee, "data": items,
        });
        check(&step, error, &expected)?;
    }
    Ok(())
}

pub(crate) async fn errors(cluster: &Cluster) -> Result<()> {
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

pub(crate) async fn reply(cluster: &Cluster) -> Result<()> {
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

/// As bytes, and in the form that JSON has for them.
pub(crate) async fn binary(cluster: &Cluster) -> Result<()> {
    const SHA1: &str = "c9c960a0b925474fab83942cc27d504fc24ac37b";
    let bytes: Vec<u8> = (0..1000).map(|i| (i % 251) as u8).collect();
    let form = json!({ "type": "Buffer", "data": bytes });
    let value = Value::from(Bytes::from(bytes));
    let digest = json!({ "size": 1000, "sha1": SHA1 });
    for node in [RUST, JAVASCRIPT] {
        let call = |action, params: Value| cluster.driver.call::<Value>(action, params).node(node);
        let whole = call("probe.digest", value.clone()).await?;
        check(&format!("bytes to {node}"), &whole.into(), &digest)?;
        let inside = Object::from([("data", value.clone())]);
        let inside = call("probe.digest", inside.into()).await?;
        check(&format!("a member to {node}"), &inside.into(), &digest)?;
        let back = call("probe.binary", Value::from(json!({ "size": 1000 }))).await?;
        if back != value && serde_json::Value::from(back.clone()) != form {
            return Err(Error::internal(format!("bytes from {node}: {back:?}")));
        }
    }
    for direction in DIRECTIONS {
        let answer = cluster.call(direction, "digest", form.clone()).await?;
        check(&format!("{direction:?}"), &answer, &digest)?;
    }
    Ok(())
}

/// JavaScript tells them apart, and so does the sender.
pub(crate) async fn nothing(cluster: &Cluster) -> Result<()> {
    let make = |source| {
        let made = cluster.driver.call::<Value>("judge.make", json!({ "source": source }));
        made.node(JAVASCRIPT).into_future()
    };
    for (source, expected) in [("undefined", Value::Undefined), ("null", Value::Null)] {
        let made = make(source).await?;
        // These carry nothing as null, between nodes of the reference too.
        if made != expected && (source == "null" || made != Value::Null) {
            return Err(Error::internal(format!("{source} is read as {made:?}")));
        }
    }
    for (caller, callee) in DIRECTIONS {
        let call =
            json!({ "action": "probe.echo", "params": null, "options": { "nodeID": callee } });
        let answer = cluster.relay(caller, call).await?;
        check(&format!("{caller} -> {callee}"), &answer["result"], &json!(null))?;
        check(&format!("{caller} -> {callee}"), &answer["ok"], &true.into())?;
    }
    Ok(())
}

pub(crate) async fn flaky(cluster: &Cluster) -> Result<()> {
    for node in [RUST, JAVASCRIPT] {
        let request = format!("flaky-{node}");
        let call = || {
            let flaky = json!({ "times": 1, "code": 503 });
            let call = cluster.driver.call::<Value>("probe.flaky", flaky).node(node);
            call.request_id(request.as_str())
        };
        match call().await {
            Err(error) if error.code() == 503 && error.retryable() => {}
            other => return Err(Error::internal(format!("the first call: {other:?}"))),
        }
        check("the second call", &call().await?.into(), &json!({ "attempts": 2 }))?;
    }
    Ok(())
}
