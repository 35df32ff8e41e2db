//! Much at once, and too much.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{future::join_all, stream};
use moleculer_core::{
    Action, BrokerOptions, ByteStream, Context, Error, ErrorKind, Result, Service,
};
use moleculer_testkit::relay::Relay;
use moleculer_transporter_nats::NatsTransporter;
use serde_json::json;
use tokio::{task::JoinSet, time::timeout};

use crate::support::{DEADLINE, Server, Setup, eventually};

async fn never(_: Context) -> Result<()> {
    std::future::pending().await
}

pub(crate) async fn requests_above_the_limit_are_refused(setup: Setup) {
    const CALLS: usize = 3000;
    let a = setup.node_with("a", setup.transporter(), |builder| {
        let options = json!({"nodeID": "a", "transit": {"maxRunningRequests": 1}});
        let options = BrokerOptions::from_value(options).unwrap();
        let slow = Service::builder("slow").action(Action::new("never", never));
        builder.options(options).namespace(setup.namespace()).service(slow)
    });
    let a = a.await.unwrap();
    let b = setup.node("b").await;
    b.knows("slow").await;
    let running = tokio::spawn(b.broker.call::<()>("slow.never", ()).into_future());
    eventually("a request", || b.broker.pending_requests() == 1).await;
    let calls =
        (0..CALLS).map(|_| tokio::spawn(b.broker.call::<()>("slow.never", ()).into_future()));
    for call in calls.collect::<Vec<_>>() {
        let error = timeout(DEADLINE, call).await.expect("a call hangs").unwrap().unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::QueueIsFull);
        assert!(error.retryable());
    }
    running.abort();
    a.stop().await;
    b.stop().await;
}

pub(crate) async fn many_callers_get_their_own_answers(setup: Setup) {
    let (a, b) = (setup.node("a").await, Arc::new(setup.node("b").await));
    let callers = (0..32).map(|caller| {
        let b = Arc::clone(&b);
        tokio::spawn(async move {
            for n in 0..100 {
                let text = format!("{caller}-{n}");
                assert_eq!(b.echo("a", &text).await.unwrap(), text);
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        timeout(DEADLINE, caller).await.expect("a call hangs").unwrap();
    }
    assert_eq!(a.runs(), 3200);
    a.stop().await;
    b.stop().await;
}

pub(crate) async fn streams_pass(setup: Setup) {
    async fn give_back(body: ByteStream) -> Result<ByteStream> {
        Ok(body)
    }
    let a = setup.node_with("a", setup.transporter(), |builder| {
        builder.service(Service::builder("streams").action(Action::new("back", give_back)))
    });
    let a = a.await.unwrap();
    let b = setup.node("b").await;
    b.knows("streams").await;
    let sent: Vec<u8> = (0..2_000_000_u32).map(|n| (n % 251) as u8).collect();
    let stream = ByteStream::new(stream::iter([Ok::<_, Error>(Bytes::from(sent.clone()))]));
    let back = b.broker.call::<ByteStream>("streams.back", ()).stream(stream).await.unwrap();
    assert_eq!(back.collect_up_to(sent.len()).await.unwrap(), sent);
    a.stop().await;
    b.stop().await;
}

/// Its own buffers are full, then ours; what is above them is refused.
pub(crate) async fn a_server_that_reads_nothing() {
    const SIZE: usize = 64 << 10;
    const QUEUED: usize = 1 << 20;
    /// What the operating system and the relay keep, at most.
    const SOCKETS: usize = 32 << 20;
    let server = Server::start::<&str>([]);
    let setup = Setup::new(&server.url());
    let relay = Relay::start(([127, 0, 0, 1], server.port()).into()).await.unwrap();
    let transporter = NatsTransporter::builder()
        .url(format!("nats://{}", relay.address()))
        .max_queued_bytes(QUEUED);
    let a = setup.node_with("a", transporter, |builder| {
        // Nobody is missed while the link is frozen.
        let options = json!({"nodeID": "a", "heartbeatTimeout": 60});
        let options = BrokerOptions::from_value(options).unwrap();
        builder.options(options).namespace(setup.namespace())
    });
    let (a, b) = (a.await.unwrap(), setup.node("b").await);
    a.knows("b").await;
    relay.freeze();
    let text = "x".repeat(SIZE);
    let mut calls = JoinSet::new();
    let refused = loop {
        let call = a.broker.call::<String>("b.echo", text.clone()).into_future();
        calls.spawn(call);
        if let Ok(Some(ended)) = timeout(Duration::from_millis(1), calls.join_next()).await {
            break ended.unwrap().unwrap_err();
        }
    };
    assert_eq!(refused.kind(), &ErrorKind::QueueIsFull);
    assert!(refused.retryable() && refused.message().contains("maxQueuedBytes"), "{refused}");
    let limit = refused.data().unwrap().pointer("limit").and_then(|limit| limit.as_u64());
    assert_eq!(limit, Some(9 * QUEUED as u64));
    // Each holds its packet, and no more is held.
    let waiting = a.broker.pending_requests();
    assert_eq!(waiting, calls.len());
    assert!(waiting * SIZE > 8 * QUEUED, "{waiting} calls wait");
    assert!(waiting * SIZE < 9 * QUEUED + SOCKETS, "{waiting} calls wait");
    for _ in 0..100 {
        let error = a.echo("b", &text).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::QueueIsFull);
    }

    relay.open();
    while let Some(call) = timeout(DEADLINE, calls.join_next()).await.expect("a call hangs") {
        assert_eq!(call.unwrap().unwrap(), text);
    }
    assert_eq!((b.runs(), a.broker.pending_requests()), (waiting as u64, 0), "each ran once");
    // There is as much room as before.
    let many = (0..50).map(|_| a.echo("b", &text));
    for answer in join_all(many).await {
        assert_eq!(answer.unwrap(), text);
    }
    let news = a.news().await;
    assert!(!news.iter().any(|news| news.starts_with("transporter")), "{news:?}");
    a.stop().await;
    b.stop().await;
}

pub(crate) async fn packets_above_the_limit_of_the_server_are_refused() {
    let server = Server::configured("max_payload: 65536\n");
    let setup = Setup::new(&server.url());
    let (a, b) = (setup.node("a").await, setup.node("b").await);
    a.knows("b").await;
    let fits = "x".repeat(60_000);
    assert_eq!(a.echo("b", &fits).await.unwrap(), fits);
    let error = a.echo("b", &"x".repeat(70_000)).await.unwrap_err();
    assert_eq!(error.r#type(), Some("PACKET_TOO_LARGE"));
    assert!(error.message().contains("65536"), "{error}");
    // The connection has taken no harm.
    assert_eq!(a.echo("b", "x").await.unwrap(), "x");
    assert_eq!(b.runs(), 2);
    let news = a.news().await;
    assert!(!news.iter().any(|news| news.starts_with("transporter")), "{news:?}");
    a.stop().await;
    b.stop().await;
}
