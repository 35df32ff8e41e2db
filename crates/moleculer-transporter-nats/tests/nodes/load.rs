//! Much at once, and too much.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use moleculer_core::{
    Action, BrokerOptions, ByteStream, Context, Error, ErrorKind, Result, Service,
};
use serde_json::json;
use tokio::time::timeout;

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
