//! Streams between nodes, in both protocols.

mod support;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use moleculer_core::{
    Action, BrokerOptions, ByteStream, Context, Error, InProcessNetwork, ObjectStream, Params,
    ProtocolVersion, Result, Service, ServiceBroker,
};
use serde_json::json;

use self::support::{eventually, node};

fn bytes<const N: usize>(chunks: [Result<&'static str>; N]) -> ByteStream {
    ByteStream::new(stream::iter(chunks))
}

/// The params, the sizes of the chunks, and the whole content.
async fn upload(ctx: Context, mut body: ByteStream) -> Result<(serde_json::Value, Vec<usize>)> {
    assert_eq!(ctx.headers().len(), 0, "marks are no headers");
    let mut sizes = Vec::new();
    while let Some(chunk) = body.next().await {
        sizes.push(chunk?.len());
    }
    Ok((ctx.params()?, sizes))
}

async fn sum(mut numbers: ObjectStream<u64>) -> Result<u64> {
    let mut sum = 0;
    while let Some(number) = numbers.next().await {
        sum += number?;
    }
    Ok(sum)
}

async fn count(Params(to): Params<u64>) -> Result<ObjectStream<u64>> {
    Ok(ObjectStream::new(stream::iter((0..to).map(Ok::<_, Error>))))
}

async fn download(Params(fail): Params<bool>) -> Result<ByteStream> {
    let last = if fail { Err(Error::client(410, "GONE", "no more")) } else { Ok("end") };
    Ok(bytes([Ok("one"), Ok(""), last]))
}

async fn echo(body: ByteStream) -> Result<ByteStream> {
    Ok(body)
}

async fn refuse(_: Context) -> Result<()> {
    Err(Error::client(403, "NO", "no"))
}

async fn endless() -> Result<ByteStream> {
    let chunks = stream::repeat_with(|| Ok::<_, Error>(Bytes::from_static(&[0; 1000])));
    // Yields, as every real source does.
    Ok(ByteStream::new(chunks.then(|chunk| async {
        tokio::task::yield_now().await;
        chunk
    })))
}

fn service() -> Service {
    Service::builder("s")
        .action(Action::new("upload", upload))
        .action(Action::new("sum", sum))
        .action(Action::new("count", count))
        .action(Action::new("download", download))
        .action(Action::new("echo", echo))
        .action(Action::new("refuse", refuse))
        .action(Action::new("endless", endless))
        .build()
}

async fn two(protocol: ProtocolVersion) -> (ServiceBroker, ServiceBroker) {
    let network = InProcessNetwork::default();
    let options = || {
        let options = json!({ "transit": { "maxChunkSize": 4 }, "registry": { "stopDelay": 0 } });
        BrokerOptions::from_value(options).expect("valid options")
    };
    let start = async |id| {
        let broker = node(&network, id).options(options()).protocol(protocol);
        let broker = if id == "b" { broker.service(service()) } else { broker };
        broker.start().await.expect("starts")
    };
    let b = start("b").await;
    (start("a").await, b)
}

const BOTH: [ProtocolVersion; 2] = [ProtocolVersion::V4, ProtocolVersion::V5];

/// Nothing is left of any stream or call.
async fn all_ended(nodes: [&ServiceBroker; 2]) -> Result<()> {
    for node in nodes {
        eventually("no stream is left", || node.incoming_streams() == 0).await;
        assert_eq!(node.pending_requests(), 0);
    }
    for node in nodes {
        node.stop().await?;
        assert_eq!(node.running_tasks(), 0);
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn bytes_go_up_in_chunks_that_fit() -> Result<()> {
    for protocol in BOTH {
        let (a, b) = two(protocol).await;
        let params = if protocol == ProtocolVersion::V4 { json!({}) } else { json!({ "p": 1 }) };
        let sent = bytes([Ok("123456789"), Ok(""), Ok("ab")]);
        let (seen, sizes): (serde_json::Value, Vec<usize>) =
            a.call("s.upload", params.clone()).stream(sent).await?;
        assert_eq!(sizes, [4, 4, 1, 2]);
        let expected = if protocol == ProtocolVersion::V4 { json!(null) } else { params };
        assert_eq!(seen, expected);
        all_ended([&a, &b]).await?;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn objects_and_bytes_go_both_ways() -> Result<()> {
    for protocol in BOTH {
        let (a, b) = two(protocol).await;
        let numbers = ObjectStream::new(stream::iter((1..=100_u64).map(Ok::<_, Error>)));
        assert_eq!(a.call::<u64>("s.sum", ()).stream(numbers).await?, 5050);
        let response = a.call::<ObjectStream<u64>>("s.count", 5).with_response().await?;
        assert!(response.meta.is_empty() && response.headers.is_empty());
        let counted: Vec<_> = response.value.map(|n| n.expect("a number")).collect().await;
        assert_eq!(counted, [0, 1, 2, 3, 4]);
        let echoed: ByteStream =
            a.call("s.echo", ()).stream(bytes([Ok("back and"), Ok(" forth")])).await?;
        assert_eq!(echoed.collect_up_to(100).await?, "back and forth");
        all_ended([&a, &b]).await?;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn errors_travel_with_the_stream() -> Result<()> {
    for protocol in BOTH {
        let (a, b) = two(protocol).await;
        let broken = bytes([Ok("x"), Err(Error::client(409, "SOURCE", "the source failed"))]);
        let error = a.call::<serde_json::Value>("s.upload", ()).stream(broken).await;
        let error = error.expect_err("the source failed");
        assert_eq!((error.code(), error.r#type()), (409, Some("SOURCE")));

        let mut chunks: ByteStream = a.call("s.download", true).await?;
        assert_eq!(chunks.next().await.expect("a chunk")?, "one");
        let error = chunks.next().await.expect("an item").expect_err("it fails");
        assert_eq!((error.code(), error.r#type()), (410, Some("GONE")));
        assert!(chunks.next().await.is_none());
        all_ended([&a, &b]).await?;
    }
    Ok(())
}

/// Not under paused time: that stands still while a source is read.
#[tokio::test]
async fn nothing_is_left_of_a_stream_that_nobody_reads() -> Result<()> {
    let (a, b) = two(ProtocolVersion::V5).await;
    let source = Arc::new(());
    let upload = || {
        let alive = source.clone();
        let chunks = stream::repeat_with(move || {
            let _ = &alive;
            Ok::<_, Error>("x")
        });
        ByteStream::new(chunks.then(|chunk| async {
            tokio::task::yield_now().await;
            chunk
        }))
    };
    // The action fails and reads nothing, or is not there at all.
    for action in ["s.refuse", "s.missing"] {
        let refused = a.call::<()>(action, ()).node("b").stream(upload()).await;
        refused.expect_err("it is refused");
    }
    // The caller gives up.
    let timed = a.call::<usize>("s.upload", ()).stream(upload());
    timed.timeout(Duration::from_millis(50)).await.expect_err("it is endless");
    eventually("the sources are dropped", || Arc::strong_count(&source) == 1).await;

    // The caller drops what it gets.
    let mut chunks: ByteStream = a.call("s.endless", ()).await?;
    chunks.next().await.expect("a chunk")?;
    drop(chunks);
    b.stop().await?;
    all_ended([&a, &b]).await
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_the_node_that_sends_it() -> Result<()> {
    let (a, b) = two(ProtocolVersion::V5).await;
    let mut chunks: ByteStream = a.call("s.endless", ()).await?;
    chunks.next().await.expect("a chunk")?;
    b.stop().await?;
    let error = loop {
        match chunks.next().await.expect("an error ends it") {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error.r#type(), Some("STREAM_BROKEN"));
    all_ended([&a, &b]).await
}

#[tokio::test(start_paused = true)]
async fn protocol_4_has_no_params_beside_a_stream() -> Result<()> {
    let (a, b) = two(ProtocolVersion::V4).await;
    let call = a.call::<serde_json::Value>("s.upload", json!({ "p": 1 })).stream(bytes([Ok("x")]));
    let error = call.await.expect_err("the params would be lost");
    assert_eq!(error.r#type(), Some("PARAMS_WITH_STREAM"));
    all_ended([&a, &b]).await
}
