//! Streams of bytes and of objects, from either side to the other.

use futures_util::{StreamExt, stream};
use moleculer::{ByteStream, ObjectStream, ProtocolVersion, prelude::*};
use serde_json::json;

use super::check;
use crate::cluster::{Cluster, JAVASCRIPT, RUST};

/// SHA-1 of the first 300 000 bytes of the test pattern.
const SHA1: &str = "4ec42555f6a50309ccdb22ae377a2759856c0231";

fn pattern(size: usize, chunk: usize) -> impl Iterator<Item = Result<Vec<u8>>> {
    (0..size)
        .step_by(chunk)
        .map(move |at| Ok((at..size.min(at + chunk)).map(|i| (i % 251) as u8).collect()))
}

/// The params that reach the other side beside a stream.
fn params(cluster: &Cluster) -> serde_json::Value {
    if cluster.version == ProtocolVersion::V4 { json!(null) } else { json!({ "p": 1 }) }
}

pub(crate) async fn rust_to_javascript(cluster: &Cluster) -> Result<()> {
    let call = |params| cluster.driver.call::<Value>("probe.upload", params).node(JAVASCRIPT);
    let sent = ByteStream::new(stream::iter(pattern(300_000, 100_000)));
    let answer = call(params(cluster)).stream(sent).await?;
    let expected = json!({ "size": 300_000, "chunks": 3, "sha1": SHA1, "params": params(cluster), "meta": {} });
    check("an upload", &answer.into(), &expected)?;

    let broken = pattern(1000, 100).chain([Err(Error::client(409, "BROKEN", "The source broke."))]);
    let broken = ByteStream::new(stream::iter(broken));
    match call(params(cluster)).stream(broken).await {
        Err(error) if error.message() == "The source broke." => {}
        other => return Err(Error::internal(format!("a broken upload: {other:?}"))),
    }

    let numbers = (0..50).map(|n| Ok::<_, Error>(json!({ "n": n })));
    let counted = cluster.driver.call::<Value>("probe.countObjects", ()).node(JAVASCRIPT);
    let counted = counted.stream(ObjectStream::new(stream::iter(numbers))).await?;
    check("objects", &counted.into(), &json!({ "count": 50, "sum": 1225 }))
}

pub(crate) async fn javascript_to_rust(cluster: &Cluster) -> Result<()> {
    let ask = |action, params| cluster.ask(JAVASCRIPT, action, params);
    let answer =
        ask("courier.upload", json!({ "node": RUST, "size": 300_000, "chunk": 50_000 })).await?;
    let expected = json!({ "size": 300_000, "chunks": 6, "sha1": SHA1, "params": params(cluster), "meta": {} });
    check("an upload", &answer, &expected)?;

    let broken = json!({ "node": RUST, "size": 1000, "chunk": 100, "fails": true });
    match ask("courier.upload", broken).await {
        Err(error) if error.message().contains("The source broke.") => {}
        other => return Err(Error::internal(format!("a broken upload: {other:?}"))),
    }

    let answer =
        ask("courier.download", json!({ "node": RUST, "size": 300_000, "chunk": 70_000 })).await?;
    check("a download", &answer, &json!({ "size": 300_000, "sha1": SHA1, "error": null }))?;
    let failing = json!({ "node": RUST, "size": 200_000, "chunk": 3000, "failAfter": 10_001 });
    let answer = ask("courier.download", failing).await?;
    check("bytes before the error", &answer["size"], &10_001.into())?;
    let error = json!({ "type": "DOWNLOAD_FAILED", "code": 500, "nodeID": RUST });
    check("the error of a download", &answer["error"], &error)?;

    let counted = ask("courier.objects", json!({ "node": RUST, "count": 50 })).await?;
    check("objects", &counted, &json!({ "count": 50, "sum": 1225 }))
}

/// Bytes are encrypted and decrypted, in chunks that flow in both ways at once.
pub(crate) async fn duplex(cluster: &Cluster) -> Result<()> {
    let sent = ByteStream::new(stream::iter(pattern(300_000, 64_000)));
    let call = |action| cluster.driver.call::<ByteStream>(action, ()).node(JAVASCRIPT);
    let encrypted = call("aes.encrypt").stream(sent).await?.collect_up_to(300_000).await?;
    let expected = pattern(300_000, 300_000).collect::<Result<Vec<_>>>()?.concat();
    if encrypted == expected {
        return Err(Error::internal("it is not encrypted"));
    }
    let encrypted = ByteStream::new(stream::iter([Ok::<_, Error>(encrypted)]));
    if call("aes.decrypt").stream(encrypted).await?.collect_up_to(300_000).await? != expected {
        return Err(Error::internal("what comes back differs"));
    }
    let answer = cluster.ask(
        JAVASCRIPT,
        "courier.duplex",
        json!({ "node": RUST, "size": 300_000, "chunk": 64_000 }),
    );
    check(
        "from JavaScript",
        &answer.await?,
        &json!({ "size": 300_000, "sha1": SHA1, "changed": true }),
    )
}

pub(crate) async fn downloads(cluster: &Cluster) -> Result<()> {
    let call =
        |params| cluster.driver.call::<ByteStream>("probe.download", params).node(JAVASCRIPT);
    let all = call(json!({ "size": 300_000, "chunk": 70_000 })).await?;
    let expected: Result<Vec<Vec<u8>>> = pattern(300_000, 300_000).collect();
    if all.collect_up_to(300_000).await? != expected?.concat() {
        return Err(Error::internal("a download differs"));
    }
    let mut failing = call(json!({ "size": 200_000, "chunk": 3000, "failAfter": 10_001 })).await?;
    let mut size = 0;
    let error = loop {
        match failing.next().await {
            Some(Ok(chunk)) => size += chunk.len(),
            Some(Err(error)) => break error,
            None => return Err(Error::internal("a failing download ends well")),
        }
    };
    check("bytes before the error", &size.into(), &10_001.into())?;
    check("the error's type", &error.r#type().into(), &"DOWNLOAD_FAILED".into())?;

    let objects =
        cluster.driver.call::<ObjectStream<Value>>("probe.objects", json!({ "count": 50 }));
    let objects: Vec<Result<Value>> = objects.node(JAVASCRIPT).await?.collect().await;
    let last = objects.last().and_then(|object| object.as_ref().ok()).cloned();
    check("the last object", &last.into(), &json!({ "n": 49 }))?;
    check("the objects", &objects.len().into(), &50.into())
}
