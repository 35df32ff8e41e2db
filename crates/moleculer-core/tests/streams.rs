//! Streams within a node: with a call, and as its result.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use moleculer_core::{
    Action, Body, BodyStream, BrokerBuilder, ByteStream, Context, Error, ErrorKind, ObjectStream,
    Params, Plugins, Result, Service, ServiceBroker,
};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;

/// Travels in memory only: whoever converts it fails.
#[derive(Debug, PartialEq)]
struct Precious(u64);

impl Serialize for Precious {
    fn serialize<S: serde::Serializer>(&self, _: S) -> std::result::Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("converted"))
    }
}

impl<'de> Deserialize<'de> for Precious {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> std::result::Result<Self, D::Error> {
        Err(serde::de::Error::custom("converted"))
    }
}

/// A source that tells how far it was read and whether it still exists.
#[derive(Clone, Default)]
struct Source {
    read: Arc<AtomicUsize>,
    alive: Arc<()>,
}

impl Source {
    fn endless(&self) -> impl Stream<Item = Result<Bytes>> + Send + use<> {
        let (read, alive) = (self.read.clone(), self.alive.clone());
        stream::repeat_with(move || {
            let _ = &alive;
            read.fetch_add(1, Ordering::Relaxed);
            Ok(Bytes::from_static(b"x"))
        })
    }

    fn read(&self) -> usize {
        self.read.load(Ordering::Relaxed)
    }

    fn dropped(&self) -> bool {
        Arc::strong_count(&self.alive) == 1
    }
}

fn bytes<const N: usize>(chunks: [&'static str; N]) -> ByteStream {
    ByteStream::new(stream::iter(chunks.map(Ok::<_, Error>)))
}

async fn length(body: ByteStream) -> Result<usize> {
    Ok(body.collect_up_to(100).await?.len())
}

async fn repeat(Params(times): Params<usize>, body: Option<ByteStream>) -> Result<String> {
    let Some(body) = body else {
        return Ok("nothing".into());
    };
    let all = body.collect_up_to(100).await?;
    Ok(String::from_utf8_lossy(&all).repeat(times))
}

async fn count(Params(to): Params<u64>) -> Result<ObjectStream<Precious>> {
    Ok(ObjectStream::new(stream::iter((0..to).map(|n| Ok::<_, Error>(Precious(n))))))
}

async fn numbers() -> Result<ObjectStream<u64>> {
    let items = [Ok(1_u64), Err(Error::client(409, "NO_MORE", "no more")), Ok(3)];
    Ok(ObjectStream::new(stream::iter(items)))
}

async fn burst() -> Result<ByteStream> {
    let chunks = stream::iter(0..3).map(|n| {
        assert!(n < 2, "the source broke");
        Ok::<_, Error>("x")
    });
    Ok(ByteStream::new(chunks))
}

async fn relay(ctx: Context) -> Result<Body> {
    let stream = ctx.take_stream().ok_or_else(|| Error::internal("no stream"))?;
    assert!(ctx.has_stream() && ctx.take_stream().is_none());
    ctx.call("s.echo", ()).stream(stream).await
}

async fn echo(stream: BodyStream) -> Result<BodyStream> {
    Ok(stream)
}

async fn ignore(_: Context) -> Result<()> {
    std::future::pending().await
}

async fn broker() -> ServiceBroker {
    let service = Service::builder("s")
        .action(Action::new("length", length))
        .action(Action::new("repeat", repeat))
        .action(Action::new("count", count))
        .action(Action::new("numbers", numbers))
        .action(Action::new("burst", burst))
        .action(Action::new("relay", relay))
        .action(Action::new("echo", echo))
        .action(Action::new("ignore", ignore));
    let options = serde_json::json!({ "registry": { "stopDelay": 0 } });
    let options = moleculer_core::BrokerOptions::from_value(options).expect("valid options");
    let builder = BrokerBuilder::new(Plugins::core()).options(options).service(service);
    builder.start().await.expect("the broker starts")
}

#[tokio::test]
async fn a_stream_goes_along_with_params() -> Result<()> {
    let broker = broker().await;
    let twice: String = broker.call("s.repeat", 2_usize).stream(bytes(["ab", "c"])).await?;
    assert_eq!(twice, "abcabc");
    let none: String = broker.call("s.repeat", 2_usize).await?;
    assert_eq!(none, "nothing");
    broker.stop().await
}

#[tokio::test]
async fn objects_are_handed_over_and_not_converted() -> Result<()> {
    let broker = broker().await;
    let items: ObjectStream<Precious> = broker.call("s.count", 3_u64).await?;
    let items: Vec<_> = items.map(|item| item.expect("no error")).collect().await;
    assert_eq!(items, [Precious(0), Precious(1), Precious(2)]);
    // Another type is converted, and this one cannot be.
    let mut items: ObjectStream<u64> = broker.call("s.count", 3_u64).await?;
    let error = items.next().await.expect("an item").expect_err("not converted");
    assert!(error.message().contains("an object of the stream"), "{error}");
    assert!(items.next().await.is_none());
    broker.stop().await
}

#[tokio::test]
async fn readers_and_streams_turn_into_each_other() -> Result<()> {
    let broker = broker().await;
    let reader = std::io::Cursor::new(b"from a file".to_vec());
    let echoed: ByteStream =
        broker.call("s.echo", ()).stream(ByteStream::from_reader(reader)).await?;
    let mut text = String::new();
    echoed.into_reader().read_to_string(&mut text).await.expect("it reads");
    assert_eq!(text, "from a file");
    broker.stop().await
}

#[tokio::test]
async fn a_handler_passes_its_stream_on() -> Result<()> {
    let broker = broker().await;
    let echoed: ByteStream = broker.call("s.relay", ()).stream(bytes(["a", "b"])).await?;
    assert_eq!(echoed.collect_up_to(2).await?, "ab");
    broker.stop().await
}

#[tokio::test]
async fn nothing_is_read_before_it_is_asked_for() -> Result<()> {
    let broker = broker().await;
    let source = Source::default();
    let mut echoed: ByteStream =
        broker.call("s.relay", ()).stream(ByteStream::new(source.endless())).await?;
    assert_eq!(source.read(), 0);
    for expected in 1..=5 {
        echoed.next().await.expect("endless")?;
        assert_eq!(source.read(), expected);
    }
    drop(echoed);
    assert!(source.dropped());
    broker.stop().await
}

#[tokio::test]
async fn an_error_ends_the_stream() -> Result<()> {
    let broker = broker().await;
    let items: ObjectStream<u64> = broker.call("s.numbers", ()).await?;
    let items: Vec<_> = items.collect().await;
    assert_eq!(items.len(), 2);
    assert_eq!(items[0].as_ref().ok(), Some(&1));
    assert_eq!(items[1].as_ref().expect_err("the source failed").r#type(), Some("NO_MORE"));

    // An upload's error is the handler's, and then the caller's.
    let failing = stream::iter([Ok("x"), Err(Error::client(409, "NO_MORE", "no more"))]);
    let sent = broker.call::<usize>("s.length", ()).stream(ByteStream::new(failing));
    assert_eq!(sent.await.expect_err("the source failed").code(), 409);
    broker.stop().await
}

#[tokio::test]
async fn a_source_that_panics_is_an_error() -> Result<()> {
    let broker = broker().await;
    let chunks: ByteStream = broker.call("s.burst", ()).await?;
    let chunks: Vec<_> = chunks.collect().await;
    assert_eq!(chunks.len(), 3);
    let error = chunks[2].as_ref().expect_err("it panicked");
    assert_eq!((error.r#type(), error.message()), (Some("PANIC"), "the source broke"));
    broker.stop().await
}

#[tokio::test(start_paused = true)]
async fn a_call_that_ends_drops_its_stream() -> Result<()> {
    let broker = broker().await;
    let source = Source::default();
    let upload = || ByteStream::new(source.endless());
    let timed = broker.call::<()>("s.ignore", ()).timeout(Duration::from_secs(1)).stream(upload());
    assert_eq!(timed.await.expect_err("it waits").kind(), &ErrorKind::RequestTimeout);
    assert!(source.dropped());

    let mut given_up = Box::pin(broker.call::<()>("s.ignore", ()).stream(upload()).into_future());
    assert!(futures_util::poll!(given_up.as_mut()).is_pending());
    assert!(!source.dropped());
    drop(given_up);
    assert!(source.dropped());

    let too_much = broker.call::<usize>("s.length", ()).stream(upload()).await;
    assert_eq!(too_much.expect_err("endless").code(), 413);
    assert!(source.dropped());
    assert_eq!(source.read(), 101);
    broker.stop().await
}

#[tokio::test]
async fn what_does_not_fit_is_said() -> Result<()> {
    let broker = broker().await;
    let says = |error: Option<Error>, code: i64, text: &str| {
        let error = error.expect("it does not fit");
        assert!(error.code() == code && error.message().contains(text), "{error:?}");
    };
    let missing = broker.call::<usize>("s.length", ()).await;
    says(missing.err(), 400, "call it with `.stream(...)`");
    let objects = ObjectStream::new(stream::iter([Ok::<_, Error>(1)]));
    let wrong = broker.call::<usize>("s.length", ()).stream(objects).await;
    says(wrong.err(), 500, "found a stream of objects, not of bytes");
    let value = broker.call::<u64>("s.count", 1_u64).await;
    says(value.err(), 500, "found a stream, not a value");
    let stream = broker.call::<ByteStream>("s.repeat", 1_usize).await;
    says(stream.err(), 500, "found a value, not a stream");
    let bytes = broker.call::<ByteStream>("s.count", 1_u64).await;
    says(bytes.err(), 500, "found a stream of objects, not of bytes");
    broker.stop().await
}
